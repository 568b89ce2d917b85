"""Elementwise functions of the standard that are operators here, or whose operands PyTorch promotes otherwise."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.spelling import standard_names
from tinytorch.frontend.standard.shared import STANDARD, common, enter
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.types import bool_

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "bitwise_and": operator.and_,
    "bitwise_left_shift": operator.lshift,
    "bitwise_or": operator.or_,
    "bitwise_right_shift": operator.rshift,
    "bitwise_xor": operator.xor,
    "divide": operator.truediv,
    "equal": operator.eq,
    "floor_divide": operator.floordiv,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
    "multiply": operator.mul,
    "not_equal": operator.ne,
    "pow": operator.pow,
    "remainder": operator.mod,
    "subtract": operator.sub,
}
_LOGIC: dict[str, Callable[[Any, Any], Any]] = {
    "logical_and": operator.and_,
    "logical_or": operator.or_,
    "logical_xor": operator.xor,
}
_OF_TWO = ("atan2", "copysign", "hypot", "logaddexp", "maximum", "minimum", "nextafter")  # of the table


def _of_two(name: str, compute: Callable[[Any, Any], Any], doc: str | None) -> None:
    def function(x1: Any, x2: Any, /) -> Tensor:
        a, b = common(name, x1, x2)
        return compute(a, b)

    function.__doc__ = doc
    function.__name__ = function.__qualname__ = name
    enter()(function)


def _logical(compute: Callable[[Any, Any], Any]) -> Callable[[Tensor, Tensor], Any]:
    return lambda a, b: compute(a.cast(bool_), b.cast(bool_))


for _name, _compute in _OPERATORS.items():
    _of_two(_name, _compute, f"`{_name}` of each pair of elements; of numbers, one may be Python's.")
for _name, _compute in _LOGIC.items():
    _of_two(_name, _logical(_compute), f"`{_name}` of each pair of elements, where 0 is false.")
for _name in _OF_TWO:
    if _name in standard_names():
        _of_two(_name, standard_names()[_name], standard_names()[_name].__doc__)


@enter()
def bitwise_invert(x: Tensor, /) -> Tensor:
    """Every bit inverted, of bools their truth."""
    return ~x


@enter()
def negative(x: Tensor, /) -> Tensor:
    """`-x`."""
    return -x


@enter()
def positive(x: Tensor, /) -> Tensor:
    """`x`, in memory of its own."""
    return x.clone()


@enter()
def conj(x: Tensor, /) -> Tensor:
    """`x`: all numbers here are real."""
    return x.clone()


@enter()
def real(x: Tensor, /) -> Tensor:
    """`x`: all numbers here are real."""
    return x.clone()


@enter()
def sign(x: Tensor, /) -> Tensor:
    """-1, 0 or 1, the sign of `x`, and NaN of NaN (PyTorch's is 0)."""
    return where(x == x, x.sign(), x) if x.dtype.is_float else x.sign()


@enter()
def clip(x: Tensor, /, min: Any = None, max: Any = None) -> Tensor:
    """`x` limited to [min, max]; both may be missing."""
    if min is None and max is None:
        return x.clone()
    return x.clamp(min, max).cast(x.dtype)


assert set(_OPERATORS) | set(_LOGIC) <= STANDARD.keys()
