"""Weights of products of bytes in the groups of k that a target multiplies at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinytorch.ir.graph import Node
from tinytorch.ir.kernels.costs import Costs
from tinytorch.ir.op import Array, Bounds
from tinytorch.ir.ops.byte_panels import byte_panel_matmul
from tinytorch.ir.ops.core import cast
from tinytorch.ir.ops.elementwise import xor
from tinytorch.ir.ops.view import broadcast, pad, permute, reshape
from tinytorch.ir.rewrite import Term
from tinytorch.ir.types import DType, i8, i32, u8

_SIGN = 128  # the bit that moves bytes from one kind to the other
_LEAST_SHARE = 4  # a vector may have so many times the columns that there are
_LIMITS = (-(1 << 15), (1 << 15) - 1)


@dataclass(frozen=True)
class ByteLayout:
    """Groups of `size` steps of k in panels of `width` columns, in the dtype that is multiplied; see
    `byte_panel_matmul` for `in_16_bits`."""

    size: int
    width: int
    dtype: DType
    in_16_bits: int


def suits_byte_panels(node: Node, costs: Costs) -> bool:
    """Whether a `matmul` is one of matrices of bytes, its sums in i32, with columns enough for a vector."""
    x, w = (v.type for v in node.inputs)
    plain = node.output.type.dtype is i32 and {x.dtype, w.dtype} <= {i8, u8} and w.rank == 2
    return plain and 0 not in (*x.shape, *w.shape) and w.shape[1] * _LEAST_SHARE >= costs.lanes(i32)


def byte_layout(left: DType, left_range: Bounds, weights: Array, dtype: DType, costs: Costs) -> ByteLayout:
    """How to lay out weights [k, n] for a left operand whose elements lie in `left_range`."""
    lanes = costs.lanes(i32)
    width = lanes * min(costs.panel_vectors, -(-weights.shape[1] // lanes))
    if costs.byte_dots == "quad":
        kept = costs.multiplies_bytes(left, dtype)
        return ByteLayout(4, width, dtype if kept else i8 if dtype is u8 else u8, 0)
    if costs.byte_dots == "none":
        return ByteLayout(1, width, dtype, 0)
    if costs.sums_of_16_bits and left is not dtype:
        count = _products_in_16_bits(left_range, (int(weights.min()), int(weights.max())))
        if count:
            return ByteLayout(4, width, dtype, count)
    return ByteLayout(2, width, dtype, 0)


def _products_in_16_bits(left: Bounds, right: Bounds) -> int:
    """The largest of 4, 2 and 0 products of numbers in these ranges whose sum is always one of 16 bits."""
    corners = [a * b for a in left for b in right]
    low, high = min(0, *corners), max(0, *corners)
    return next((count for count in (4, 2) if _LIMITS[0] <= count * low and count * high <= _LIMITS[1]), 0)


def in_byte_panels(w: Term, layout: ByteLayout) -> Term:
    """The columns of w [k, n] as [count, k / size, width, size]."""
    depth, columns = w.type.shape
    size, width = layout.size, layout.width
    if w.type.dtype is not layout.dtype:
        w = _moved(w, layout.dtype)
    steps, count = -(-depth // size), -(-columns // width)
    beyond = (steps * size - depth, count * width - columns)
    if any(beyond):
        w = w.apply_op(pad, [w], {"low": (0, 0), "high": beyond, "interior": (0, 0), "value": 0})
    cut = w.apply_op(reshape, [w], {"shape": (steps, size, count, width)})
    return cut.apply_op(permute, [cut], {"axes": (2, 0, 3, 1)})


def _moved(w: Term, dtype: DType) -> Term:
    """w + 128 as u8, or w - 128 as i8: both turn the highest bit."""
    as_u8 = w if w.type.dtype is u8 else w.apply_op(cast, [w], {"dtype": u8})
    sign = w.constant(_scalar(u8, _SIGN))
    sign = sign.apply_op(broadcast, [sign], {"shape": w.type.shape})
    turned = as_u8.apply_op(xor, [as_u8, sign], {})
    return turned if dtype is u8 else turned.apply_op(cast, [turned], {"dtype": i8})


def _scalar(dtype: DType, value: int) -> Array:
    return np.array(value, dtype.numpy)


def byte_product(x: Term, panels: Term, columns: int, weights: DType, layout: ByteLayout) -> Term:
    """The product of x and weights that were laid out so."""
    moved = 0 if weights is layout.dtype else _SIGN if layout.dtype is u8 else -_SIGN
    attrs = {"columns": columns, "moved": moved, "in_16_bits": layout.in_16_bits}
    return x.apply_op(byte_panel_matmul, [x, panels], {k: v for k, v in attrs.items() if v})
