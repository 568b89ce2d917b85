"""Sorting and what follows from an order: the largest, the one in the middle, quantiles; and searches.

NaN counts as largest, and equal elements keep their order. Values and indices come as a named tuple, `values` and
`indices`; the gradient goes to the elements at the indices.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.creation import as_tensor, full
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import zeros_like
from tinytorch.frontend.tensor.mode import mode as thread
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.operators.promotion import normalize_axis, promote
from tinytorch.ir.operators.reductions import ValuesAndIndices
from tinytorch.ir.ops.sorting import median_index, take_along
from tinytorch.ir.types import bool_, i32, i64


def _axis(what: str, x: Tensor, dim: int) -> tuple[Tensor, int]:
    """x and the axis; a tensor without axes is one of a single element, as in PyTorch."""
    return x if x.ndim else x.reshape((1,)), normalize_axis(what, dim, max(x.ndim, 1))


def _like(x: Tensor, *found: Tensor) -> ValuesAndIndices:
    """Values and indices, without an axis where x has none."""
    values, indices = found if x.ndim else (t.reshape(()) for t in found)
    return ValuesAndIndices(values, indices)


def _one(x: Tensor, indices: Tensor, axis: int, keepdim: bool) -> ValuesAndIndices:
    """The elements of x at indices, which have size 1 along the axis."""
    values = take_along(x, indices, axis)
    return ValuesAndIndices(values._dropping((axis,), keepdim), indices._dropping((axis,), keepdim))


def _not_empty(what: str, x: Tensor, axis: int) -> None:
    if not x.shape[axis]:
        raise ShapeError(f"{what}: axis {axis} of {x.type} is empty", user_loc())


def _numbers(what: str, x: Tensor) -> None:
    if x.dtype == bool_:
        raise ShapeError(f"{what}: needs numbers, got {x.type}", user_loc())


# Sorting.
@spelled()
def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> ValuesAndIndices:
    """The elements along `dim` in order, and the index that each had, i64. The order is always a stable one."""
    x, axis = _axis("sort", input, dim)
    return _like(input, *apply(ops.sorting.sort, x, axis=axis, descending=bool(descending), count=x.shape[axis]))


@spelled(standard="argsort")
def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
    """The indices, i64, that sort the elements along `dim`; equal ones keep their order."""
    return sort(input, dim, descending).indices


@spelled()
def msort(input: Tensor) -> Tensor:
    """The elements along the first axis in ascending order."""
    return sort(input, 0).values


@spelled()
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesAndIndices:
    """The `k` largest elements along `dim`, or the smallest, the best first, and their indices, i64."""
    x, axis = _axis("topk", input, dim)
    count = arguments.integer("topk", "k", k, 0)
    if count > x.shape[axis]:
        raise ShapeError(f"topk: axis {axis} of {input.type} has no {count} elements", user_loc())
    found = apply(ops.sorting.sort, x, axis=axis, descending=bool(largest), count=count)
    return _like(input, *found) if count == 1 or input.ndim else ValuesAndIndices(*found)


@spelled()
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The `k`-th smallest element along `dim`, counted from 1, and its index."""
    _numbers("kthvalue", input)
    x, axis = _axis("kthvalue", input, dim)
    count = arguments.integer("kthvalue", "k", k)
    if not 1 <= count <= x.shape[axis]:
        raise ShapeError(f"kthvalue: k is between 1 and the {x.shape[axis]} of axis {axis}, got {k}", user_loc())
    order = apply(ops.sorting.sort, x, axis=axis, descending=False, count=count)[1]
    found = _one(x, order.narrow(axis, count - 1, 1).clone(), axis, keepdim)
    return _like(input, *found)


# The middle.
@spelled()
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The element in the middle, of an even number the lower one; NaN where there is one. Without `dim` that of the
    whole tensor, whose gradient is shared among equal elements; along `dim` values and indices."""
    return _median("median", input, dim, keepdim, False)


@spelled()
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """As `median`, of the elements that are not NaN; NaN where there are none."""
    return _median("nanmedian", input, dim, keepdim, True)


def _median(what: str, input: Tensor, dim: int | None, keepdim: bool, skip_nan: bool) -> Any:
    _numbers(what, input)
    if dim is None:
        if not input.numel():
            if not input.dtype.is_float:
                raise ShapeError(f"{what}: {input.type} has no elements", user_loc())
            return full((), math.nan, input.dtype)
        return apply(ops.sorting.median, input.reshape((-1,)), skip_nan=skip_nan)
    x, axis = _axis(what, input, dim)
    _not_empty(what, x, axis)
    return _like(input, *_one(x, median_index(x, axis, skip_nan), axis, keepdim))


@spelled()
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The element that is there most often along `dim`, the smallest of several such, and the index of its last
    occurrence."""
    x, axis = _axis("mode", input, dim)
    _not_empty("mode", x, axis)
    size = x.shape[axis]
    values, order = apply(ops.sorting.sort, x, axis=axis, descending=False, count=size)
    places = x.apply_op(ops.core.iota, (), {"shape": x.shape, "axis": axis})
    # A run of equal elements begins where one differs from the one before it.
    before = ops.view.neighbours(values, axis, True, 0)
    starts = where((values != before) | (places == 0), places, 0)
    begin = apply(ops.scan.cummax, starts, axis=axis)[0]
    longest = apply(ops.reduce.argmax, places - begin, axes=(axis,))
    return _like(input, *_one(x, take_along(order, longest, axis), axis, keepdim))


# Quantiles.
@spelled()
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """What a share `q` of the elements along `dim`, or of all, lies below; NaN where there is one.

    `q` is a number in [0, 1] or a vector of them, whose axis comes first in the result. The place q * (n - 1) in the
    order mostly lies between two elements: `interpolation` is "linear", "lower", "higher", "midpoint" or "nearest".
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@spelled()
def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """As `quantile`, of the elements that are not NaN; NaN where there are none."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


def _quantile(
    what: str, input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool
) -> Tensor:
    arguments.choice(what, "interpolation", interpolation, "linear", "lower", "higher", "midpoint", "nearest")
    shares = _shares(what, input, q)
    if dim is None:
        x, axis, kept = input.reshape((-1,)), 0, (1,) * input.ndim
    else:
        x, axis = _axis(what, input, dim)
        kept = tuple(1 if a == axis else d for a, d in enumerate(x.shape)) if input.ndim else ()
    _not_empty(what, x, axis)
    x = x.permute((*(a for a in range(x.ndim) if a != axis), axis))
    found = _between(x, _ranks(x, shares.reshape((-1,)), skip_nan), interpolation)
    found = found.permute((x.ndim - 1, *range(x.ndim - 1)))
    dropped = kept if keepdim else tuple(d for a, d in enumerate(kept) if a != axis) if dim is not None else ()
    return found.reshape((*shares.shape, *dropped))


def _shares(what: str, x: Tensor, q: Any) -> Tensor:
    """`q` as a tensor of numbers in [0, 1] of x's dtype."""
    if not x.dtype.is_float or x.dtype.bits < 32:
        raise ShapeError(f"{what}: input is f32 or f64, got {x.type}", user_loc())
    if not isinstance(q, Tensor):
        return full((), arguments.fraction(what, "q", q), x.dtype)
    if q.dtype != x.dtype or q.ndim > 1:
        raise ShapeError(f"{what}: q is a number or a vector of the input's dtype {x.dtype}, got {q.type}", user_loc())
    if thread.trace is None and q.numel() and not bool(((q >= 0) & (q <= 1)).all()):
        raise arguments.wrong_value(what, "q", "between 0 and 1", q)
    return q


def _ranks(x: Tensor, shares: Tensor, skip_nan: bool) -> Tensor:
    """The places in the order along the last axis, [..., shares]; the last one, which is NaN, where NaN counts."""
    count = (x == x)._apply(ops.core.cast, dtype=x.dtype)._apply(ops.reduce.sum_, axes=(x.ndim - 1,))
    shape = (*x.shape[:-1], shares.numel())
    ranks = shares * (count - 1 if skip_nan else x.shape[-1] - 1)
    if skip_nan:
        return ranks.clamp(min=0).broadcast_to(shape)
    return where((count < x.shape[-1]).broadcast_to(shape), float(x.shape[-1] - 1), ranks.broadcast_to(shape))


def _between(x: Tensor, ranks: Tensor, interpolation: str) -> Tensor:
    """The elements at these places of the order along the last axis, which may lie between two."""
    axis, size = x.ndim - 1, x.shape[-1]
    order = apply(ops.sorting.sort, x, axis=axis, descending=False, count=size)[1]

    def at(places: Tensor) -> Tensor:
        return take_along(x, take_along(order, places.cast(i64).clamp(0, size - 1), axis), axis)

    rounding = {"lower": ranks.floor, "higher": ranks.ceil, "nearest": ranks.round}.get(interpolation)
    if rounding is not None:
        return at(rounding())
    below, above = at(ranks.floor()), at(ranks.ceil())
    weight = ranks - ranks.floor().detach() if interpolation == "linear" else zeros_like(ranks) + 0.5
    distance = above - below
    return where(weight < 0.5, below + weight * distance, above - distance * (1.0 - weight))


# Searching.
@spelled(method=False, standard="searchsorted")
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """For each of `input` the index in `sorted_sequence` in front of which it keeps the order: in front of equal ones,
    or behind them if `right` (or `side` is "right").

    The sequence is a vector, or has the same axes as `input` but for the last; it is ascending along that, or becomes
    so by the indices of `sorter`. i64, or i32 with `out_int32`.
    """
    return _search("searchsorted", sorted_sequence, input, out_int32, right, side, sorter)


@spelled(method=False)
def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """For each of `input` the number of the bucket between the ascending `boundaries`, a vector: `searchsorted` with
    its operands in the other order."""
    edges = as_tensor(boundaries)
    if edges.ndim != 1:
        raise ShapeError(f"bucketize: boundaries is a vector, got {edges.type}", user_loc())
    return _search("bucketize", edges, input, out_int32, right, None, None)


def _search(
    what: str, sequence: Tensor, input: Any, out_int32: bool, right: bool, side: str | None, sorter: Tensor | None
) -> Tensor:
    if side is not None:
        arguments.choice(what, "side", side, "left", "right")
        if side == "left" and right:
            raise arguments.wrong_value(what, "side", '"right" where right=True', side)
    wanted = input if isinstance(input, Tensor) else sequence._like(input)
    x = wanted if wanted.ndim else wanted.reshape((1,))
    if not sequence.ndim:
        raise ShapeError(f"{what}: the sequence needs an axis, got {sequence.type}", user_loc())
    if sorter is not None:
        if sorter.type.shape != sequence.shape or sorter.dtype != i64:
            raise ShapeError(f"{what}: sorter is i64{list(sequence.shape)}, got {sorter.type}", user_loc())
        checked = apply(ops.elementwise.checked_index, sorter, size=sequence.shape[-1], wrap=False)
        sequence = take_along(sequence, checked, sequence.ndim - 1)
    if sequence.ndim == 1:
        x = x.reshape((-1,))
    elif sequence.shape[:-1] != x.shape[:-1]:
        raise ShapeError(
            f"{what}: the sequence {sequence.type} is a vector, or has the axes of {wanted.type} but for the last",
            user_loc(),
        )
    dtype = promote(sequence.type, x.type)
    found = apply(ops.sorting.searchsorted, sequence.cast(dtype), x.cast(dtype), right=bool(right or side == "right"))
    return found.reshape(wanted.shape).cast(i32 if out_int32 else i64)


@spelled(method=False)
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each of `elements` is one of `test_elements`, or if `invert`, whether it is none. NaN never is."""
    first = elements if isinstance(elements, Tensor) else None
    second = test_elements if isinstance(test_elements, Tensor) else None
    x = first if first is not None else second._like(elements) if second is not None else as_tensor(elements)
    others = second if second is not None else x._like(test_elements)
    dtype = promote(x.type, others.type)
    values = sort(others.cast(dtype).reshape((-1,))).values
    if not values.numel():
        found = zeros_like(x) != 0
    else:
        flat = x.cast(dtype).reshape((-1,))
        # NaN, which comes last, would not be ordered; as an infinity it is found at its place, where it is not equal.
        ordered = where(values != values, math.inf, values) if dtype.is_float else values
        at = apply(ops.sorting.searchsorted, ordered, flat, right=False).clamp(max=values.numel() - 1)
        found = (take_along(values, at, 0) == flat).reshape(x.shape)
    return found.logical_not() if invert else found
