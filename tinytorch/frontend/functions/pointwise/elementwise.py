"""Elementwise ops whose records say how users call them: as functions, methods and changes in place."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinytorch.frontend.functions.pointwise.operands import pair
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.op import OPS, Op, Spelled


def _of_one(op: Op, how: Spelled) -> Callable[..., Any]:
    def function(input: Tensor) -> Tensor:
        return (input._float() if how.floats else input)._apply(op)

    return function


def _of_two(op: Op, how: Spelled) -> Callable[..., Any]:
    numbers = "either" if how.either else "second" if how.number else "no"

    def function(input: Any, other: Any) -> Tensor:
        x, y = pair(op.name, input, other, numbers=numbers)
        return (x._float(y) if how.floats else x)._with(op, y)

    return function


def _enter(op: Op, how: Spelled) -> None:
    first, *others = how.names
    function = {1: _of_one, 2: _of_two}[how.operands](op, how)
    function.__doc__ = f"{op.doc}."
    spelled(*others, name=first, in_place=how.in_place, standard=how.standard)(function)


for _op in list(OPS.values()):
    if _op.spelled is not None:
        _enter(_op, _op.spelled)
