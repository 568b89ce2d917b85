"""Rotary position embedding: pairs of elements turned by angles (Su et al. 2021)."""

from __future__ import annotations

from typing import Any

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import apply
from tinytorch.ir.ops.composite import define_composite
from tinytorch.ir.ops.core import cast
from tinytorch.ir.ops.view import flip, reshape
from tinytorch.ir.types import TensorType, f32


def _rotary_type(x: TensorType, cos: TensorType, sin: TensorType) -> TensorType:
    if not x.dtype.is_float or not x.rank or x.shape[-1] % 2:
        raise ShapeError(f"rotary: needs floats and an even last axis, got {x}")
    dtypes = (x.dtype, f32) if x.dtype.bits == 16 else (x.dtype,)
    if cos != sin or cos.shape != x.shape or cos.dtype not in dtypes:
        raise ShapeError(f"rotary: cos and sin of {x} are {x}, got {cos} and {sin}")
    return x


def _halves(x: Any) -> Any:
    """[..., d] as [..., 2, d / 2]."""
    return apply(reshape, x, shape=(*x.type.shape[:-1], 2, x.type.shape[-1] // 2))


def _exchanged(halves: Any) -> Any:
    return apply(flip, halves, axes=(halves.type.rank - 2,))


def _swapped(x: Any) -> Any:
    """The halves of the last axis, exchanged: a view."""
    return apply(reshape, _exchanged(_halves(x)), shape=x.type.shape)


def _rotary(x: Any, cos: Any, sin: Any) -> Any:
    """All of it in halves, so that it is one kernel."""
    halves = _halves(x)
    turned = halves * _halves(cos) + _exchanged(halves) * _halves(sin)
    return apply(reshape, turned, shape=x.type.shape)


def _table_rule(g: Any, factor: Any, table: Any) -> Any:
    """The cotangent of cos or sin, which have a dtype of their own."""
    dtype = table.type.dtype
    return apply(cast, g, dtype=dtype) * apply(cast, factor, dtype=dtype)


rotary = define_composite(
    "rotary", "x cos + swapped(x) sin, swapped(x) being x with the halves of its last axis exchanged", _rotary_type,
    _rotary,
    (
        lambda g, n: apply(rotary, g, n.inputs[1], _swapped(n.inputs[2])),
        lambda g, n: _table_rule(g, n.inputs[0], n.inputs[1]),
        lambda g, n: _table_rule(g, _swapped(n.inputs[0]), n.inputs[2]),
    ),
)  # fmt: skip
