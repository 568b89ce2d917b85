"""Operations on the bits of integers, and on bools; and the least common multiple."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from typing import Any

from tinytorch.frontend.functions.pointwise.operands import pair
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.op import Op
from tinytorch.ir.ops import elementwise, mathematics


def _combined(what: str, op: Op, input: Any, other: Any) -> Tensor:
    x, y = pair(what, input, other, numbers="either")
    return x._with(op, y)


@spelled(in_place=True, standard="bitwise_and")
def bitwise_and(input: Any, other: Any) -> Tensor:
    """input & other."""
    return _combined("bitwise_and", elementwise.and_, input, other)


@spelled(in_place=True, standard="bitwise_or")
def bitwise_or(input: Any, other: Any) -> Tensor:
    """input | other."""
    return _combined("bitwise_or", elementwise.or_, input, other)


@spelled(in_place=True, standard="bitwise_xor")
def bitwise_xor(input: Any, other: Any) -> Tensor:
    """input ^ other."""
    return _combined("bitwise_xor", elementwise.xor, input, other)


@spelled(in_place=True, standard="bitwise_invert")
def bitwise_not(input: Tensor) -> Tensor:
    """~input; of bools, not."""
    return ~input


@spelled(in_place=True, standard="bitwise_left_shift")
def bitwise_left_shift(input: Any, other: Any) -> Tensor:
    """input << other; 0 where that is the width or more."""
    x, y = pair("bitwise_left_shift", input, other, numbers="either")
    return x << y


@spelled(in_place=True, standard="bitwise_right_shift")
def bitwise_right_shift(input: Any, other: Any) -> Tensor:
    """input >> other, which keeps the sign."""
    x, y = pair("bitwise_right_shift", input, other, numbers="either")
    return x >> y


@spelled(in_place=True)
def lcm(input: Any, other: Any) -> Tensor:
    """Least common multiple of integers, not negative; 0 where one of them is."""
    x, y = pair("lcm", input, other, numbers="no")
    a, b = x._pair("lcm", y)
    return (a // a._apply(mathematics.gcd, b) * b).abs()
