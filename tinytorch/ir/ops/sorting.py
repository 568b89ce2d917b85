"""Order along an axis: sort, of which topk and medians are parts, and searches in what is sorted.

The order is PyTorch's: NaN counts as largest, zeros of both signs are equal, and equal elements keep their order, also
in a descending one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import NONDIFF, Array, Attrs, Op, apply, define
from tinytorch.ir.ops.composite import define_composite
from tinytorch.ir.ops.core import cast, filled, iota, normalize_axis, where, zeros_like
from tinytorch.ir.ops.elementwise import eq, ge, gt, maximum, minimum, ne
from tinytorch.ir.ops.index import gather, scatter_add
from tinytorch.ir.ops.reduce import sum_
from tinytorch.ir.ops.view import broadcast, reshape
from tinytorch.ir.types import DType, Shape, TensorType, contiguous_strides, dtype_of, i64


# Elements at indices along an axis.
def take_along(x: Any, indices: Any, axis: int) -> Any:
    """The elements of x at `indices` along `axis`, which are in range; both have the same other axes."""
    flat = apply(reshape, x, shape=(x.type.size,))
    return apply(gather, flat, _flat(indices, x.type.shape, axis), axis=0)


def put_along(g: Any, indices: Any, axis: int, shape: Shape) -> Any:
    """The transpose of `take_along`: g added up at `indices` along `axis` of zeros of that shape."""
    size = TensorType(g.type.dtype, shape).size
    zeros = filled(g, 0, TensorType(g.type.dtype, (size,)))
    return apply(reshape, apply(scatter_add, zeros, _flat(indices, shape, axis), g, axis=0), shape=shape)


def _flat(indices: Any, shape: Shape, axis: int) -> Any:
    """Where elements lie in a row-major tensor of that shape."""
    steps = contiguous_strides(shape)
    flat = indices if steps[axis] == 1 else indices * steps[axis]
    for other, step in enumerate(steps):
        if other != axis and shape[other] > 1:
            along = indices.apply_op(iota, (), {"shape": indices.type.shape, "axis": other})
            flat = flat + (along if step == 1 else along * step)
    return flat


# Sorting.
def infinity_bits(dtype: DType) -> int:
    """The bits of infinity, as an unsigned integer."""
    return int(np.asarray(np.inf, dtype.numpy).view(f"u{dtype.size}"))


def order_keys(x: Array, descending: bool) -> Array:
    """Unsigned integers that are ordered as the elements are."""
    dtype = dtype_of(x.dtype)
    bits = x.view(f"u{dtype.size}")
    sign = bits.dtype.type(1 << (dtype.bits - 1))
    keys = bits ^ sign if dtype.kind == "int" else bits
    if dtype.is_float:
        magnitude = bits & ~sign
        keys = np.where(bits >= sign, ~bits, bits | sign)
        keys = np.where(magnitude == 0, sign, keys)
        keys = np.where(magnitude > infinity_bits(dtype), ~bits.dtype.type(0), keys)
    return ~keys if descending else keys


def _sort_type(x: TensorType, *, axis: int, descending: bool, count: int) -> tuple[TensorType, TensorType]:
    normalize_axis("sort", axis, x.rank)
    if not 0 <= count <= x.shape[axis]:
        raise ShapeError(f"sort: axis {axis} of {x} has no {count} elements")
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    return TensorType(x.dtype, shape), TensorType(i64, shape)


def _sort(x: Array, *, axis: int, descending: bool, count: int) -> tuple[Array, Array]:
    order = np.argsort(order_keys(x, descending), axis=axis, kind="stable")
    indices = order[(slice(None),) * axis + (slice(0, count),)]
    return np.take_along_axis(x, indices, axis), indices


def _sort_flops(types: Any, out: Any, attrs: Attrs) -> int:
    """A comparison for each halving of the axis."""
    return types[0].size * max(1, types[0].shape[attrs["axis"]].bit_length())


def _sort_rule(cts: Any, n: Any) -> Any:
    return put_along(cts[0], n.outputs[1], n.attrs["axis"], n.inputs[0].type.shape)


sort = define(Op(
    name="sort", kind="index", results=2,
    doc="The first `count` elements along `axis` in ascending or `descending` order, and their indices. NaN counts as "
    "largest; equal elements keep their order.",
    infer=_sort_type, eval=_sort, vjp=(_sort_rule,), flops=_sort_flops,
))  # fmt: skip


# The element in the middle: of an even number the lower one, as in PyTorch.
def median_index(x: Any, axis: int, skip_nan: bool) -> Any:
    """The index of the median along `axis`, which stays with size 1 and is not empty: of the first NaN where there is
    one, unless NaNs are skipped."""
    size = x.type.shape[axis]
    order = apply(sort, x, axis=axis, descending=False, count=size)[1]
    kept = TensorType(i64, tuple(1 if a == axis else d for a, d in enumerate(x.type.shape)))
    middle = filled(order, (size - 1) // 2, kept)
    if x.type.dtype.is_float:
        numbers = apply(sum_, apply(cast, apply(eq, x, x), dtype=i64), axes=(axis,))
        if skip_nan:
            middle = apply(maximum, numbers - 1, filled(order, 0, kept)) // 2
        else:
            middle = apply(where, apply(eq, numbers, filled(order, size, kept)), middle, numbers)
    return take_along(order, middle, axis)


def _median_type(x: TensorType, *, skip_nan: bool) -> TensorType:
    if x.rank != 1 or not x.size or x.dtype.kind == "bool":
        raise ShapeError(f"median: needs a vector of numbers that is not empty, got {x}")
    return TensorType(x.dtype, ())


def _median(x: Any, *, skip_nan: bool) -> Any:
    return apply(reshape, take_along(x, median_index(x, 0, skip_nan), 0), shape=())


def _median_rule(g: Any, n: Any) -> Any:
    """Shared equally among the elements that are equal to it, as in PyTorch."""
    x = n.inputs[0]
    median = apply(broadcast, n.output, shape=x.type.shape)
    hit = apply(eq, x, median) | (apply(ne, x, x) & apply(ne, median, median))
    share = apply(broadcast, g, shape=x.type.shape) / apply(
        broadcast, apply(sum_, apply(cast, hit, dtype=x.type.dtype), axes=(0,)), shape=x.type.shape
    )
    return apply(where, hit, share, zeros_like(share))


median = define_composite(
    "median", "The median of a vector: NaN where there is one, unless NaNs are skipped", _median_type, _median,
    (_median_rule,),
)  # fmt: skip


# Searching.
def _search_type(sequence: TensorType, x: TensorType, *, right: bool) -> TensorType:
    if sequence.dtype != x.dtype or min(sequence.rank, x.rank) < 1 or sequence.shape[:-1] != x.shape[:-1]:
        raise ShapeError(f"searchsorted: {x} cannot be looked up in the rows of {sequence}")
    return TensorType(i64, x.shape)


def _halvings(sequence: Any, x: Any, *, right: bool) -> Any:
    """Binary search: bit by bit, from the highest, the number of elements in front of each of x. What is not ordered,
    as NaN, counts as in front."""
    size, behind = sequence.type.shape[-1], gt if right else ge
    kind = TensorType(i64, x.type.shape)
    found = filled(x, 0, kind)
    for bit in reversed(range(size.bit_length())):
        further = found + (1 << bit)
        last = apply(minimum, further, filled(x, size, kind)) - 1
        stays = apply(behind, take_along(sequence, last, len(kind.shape) - 1), x) | (further > size)
        found = apply(where, stays, found, further)
    return found


searchsorted = define_composite(
    "searchsorted", "For each of x, how many of its row of `sequence`, which is sorted, are smaller, or not larger if "
    "`right`", _search_type, _halvings, NONDIFF,
)  # fmt: skip
