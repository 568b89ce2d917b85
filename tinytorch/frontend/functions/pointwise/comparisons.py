"""Comparisons, logic of truth values, and questions about single numbers."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from typing import Any

from tinytorch.frontend.arguments import flag, not_negative
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.creation import full
from tinytorch.frontend.functions.pointwise.operands import pair, tensor
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Op
from tinytorch.ir.operators.promotion import broadcast_shapes
from tinytorch.ir.ops import elementwise
from tinytorch.ir.ops.mathematics import copysign
from tinytorch.ir.types import bool_, f32


def _compared(op: Op, input: Any, other: Any) -> Tensor:
    x, y = pair(op.name, input, other)
    return x._compare(op, y)


@spelled(in_place=True, standard="equal")
def eq(input: Any, other: Any) -> Tensor:
    """input == other, elementwise; False of NaN."""
    return _compared(elementwise.eq, input, other)


@spelled("not_equal", in_place=True, standard="not_equal")
def ne(input: Any, other: Any) -> Tensor:
    """input != other; True of NaN."""
    return _compared(elementwise.ne, input, other)


@spelled("less", in_place=True, standard="less")
def lt(input: Any, other: Any) -> Tensor:
    """input < other; False of NaN."""
    return _compared(elementwise.lt, input, other)


@spelled("less_equal", in_place=True, standard="less_equal")
def le(input: Any, other: Any) -> Tensor:
    """input <= other; False of NaN."""
    return _compared(elementwise.le, input, other)


@spelled("greater", in_place=True, standard="greater")
def gt(input: Any, other: Any) -> Tensor:
    """input > other; False of NaN."""
    return _compared(elementwise.gt, input, other)


@spelled("greater_equal", in_place=True, standard="greater_equal")
def ge(input: Any, other: Any) -> Tensor:
    """input >= other; False of NaN."""
    return _compared(elementwise.ge, input, other)


def _truths(op: Op, what: str, input: Any, other: Any) -> Tensor:
    x, y = pair(what, input, other, numbers="no")
    return x.cast(bool_)._with(op, x._like(y).cast(bool_))


@spelled(in_place=True, standard="logical_and")
def logical_and(input: Any, other: Any) -> Tensor:
    """Whether both are true, as everything but zero is."""
    return _truths(elementwise.and_, "logical_and", input, other)


@spelled(in_place=True, standard="logical_or")
def logical_or(input: Any, other: Any) -> Tensor:
    """Whether one is true, as everything but zero is."""
    return _truths(elementwise.or_, "logical_or", input, other)


@spelled(in_place=True, standard="logical_xor")
def logical_xor(input: Any, other: Any) -> Tensor:
    """Whether just one is true, as everything but zero is."""
    return _truths(elementwise.xor, "logical_xor", input, other)


@spelled()
def fmax(input: Any, other: Any) -> Tensor:
    """The larger; of a number and NaN the number."""
    x, y = pair("fmax", input, other, numbers="no")
    a, b = x._pair("fmax", y)
    return where((a >= b) | b.isnan(), a, b)


@spelled()
def fmin(input: Any, other: Any) -> Tensor:
    """The smaller; of a number and NaN the number."""
    x, y = pair("fmin", input, other, numbers="no")
    a, b = x._pair("fmin", y)
    return where((a <= b) | b.isnan(), a, b)


@spelled(standard="maximum")
def maximum(input: Any, other: Any) -> Tensor:
    """The larger, NaN if either is."""
    x, y = pair("maximum", input, other, numbers="no")
    return x._with(elementwise.maximum, y)


@spelled(standard="minimum")
def minimum(input: Any, other: Any) -> Tensor:
    """The smaller, NaN if either is."""
    x, y = pair("minimum", input, other, numbers="no")
    return x._with(elementwise.minimum, y)


@spelled(in_place=True)
def clamp_min(input: Any, min: Any) -> Tensor:
    """At least `min`, a number or a tensor; NaN stays."""
    x, limit = pair("clamp_min", input, min)
    return x.clamp(min=limit)


@spelled(in_place=True)
def clamp_max(input: Any, max: Any) -> Tensor:
    """At most `max`, a number or a tensor; NaN stays."""
    x, limit = pair("clamp_max", input, max)
    return x.clamp(max=limit)


@spelled()
def isclose(input: Tensor, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol * |other|, elementwise; infinities are close to themselves alone, and NaN
    to NaN if `equal_nan`."""
    other = tensor("isclose", "other", other)
    if input.dtype != other.dtype:
        raise ShapeError(f"isclose: needs operands of one dtype, got {input.type} and {other.type}", user_loc())
    not_negative("isclose", "rtol", rtol)
    not_negative("isclose", "atol", atol)
    close = input == other
    if flag("isclose", "equal_nan", equal_nan):
        close = close | (input.isnan() & other.isnan())
    if rtol == 0 and atol == 0:
        return close
    a, b = (x if x.dtype.is_float else x.cast(f32) for x in (input, other))
    distance = a - b if a.dtype.is_float and input.dtype.is_float else _distance(input, other)
    return close | (distance.isfinite() & (distance.abs() <= b.abs() * rtol + atol))


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """The difference of integers or bools as f32."""
    return (a.cast("i64") - b.cast("i64")).cast(f32)


def _constant(input: Tensor, value: bool) -> Tensor:
    return full(broadcast_shapes("full", input.shape, ()), value, dtype=bool_)


@spelled()
def isposinf(input: Tensor) -> Tensor:
    """Whether it is the positive infinity."""
    return input == math.inf if input.dtype.is_float else _constant(input, False)


@spelled()
def isneginf(input: Tensor) -> Tensor:
    """Whether it is the negative infinity."""
    return input == -math.inf if input.dtype.is_float else _constant(input, False)


@spelled()
def isreal(input: Tensor) -> Tensor:
    """True: all numbers here are real."""
    return _constant(input, True)


@spelled(standard="signbit")
def signbit(input: Tensor) -> Tensor:
    """Whether the sign is minus, also of zero and NaN."""
    if not input.dtype.is_float:
        return input < 0 if input.dtype.kind == "int" else _constant(input, False)
    one = input._like(1.0).broadcast_to(input.shape)
    return one._apply(copysign, input) < 0
