"""Elementwise functions of one or two tensors that are written in others."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple

from tinytorch.frontend.arguments import number
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.pointwise.operands import pair
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.ops import mathematics, special

_LARGEST = {
    "f16": 65504.0, "bf16": 2.0**128 - 2.0**120, "f32": 2.0**128 - 2.0**104, "f64": sys.float_info.max,
}  # fmt: skip


class MantissaAndExponent(NamedTuple):
    """The two results of `frexp`."""

    mantissa: Tensor
    exponent: Tensor


@spelled(in_place=True)
def frac(input: Tensor) -> Tensor:
    """What is behind the decimal point, with the input's sign; of floats."""
    if not input.dtype.is_float:
        raise ShapeError(f"frac: needs a float dtype, got {input.type}", user_loc())
    return input - input.trunc()


@spelled(in_place=True)
def deg2rad(input: Tensor) -> Tensor:
    """Degrees as radians."""
    return input._float() * (math.pi / 180)


@spelled(in_place=True)
def rad2deg(input: Tensor) -> Tensor:
    """Radians as degrees."""
    return input._float() * (180 / math.pi)


@spelled(in_place=True)
def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """`nan` (0 by default) for NaN, `posinf` and `neginf` (the largest and the smallest number of the dtype) for
    infinities."""
    if not input.dtype.is_float:
        return input.clone()
    largest = _LARGEST[input.dtype.name]
    limits = (nan, 0.0), (posinf, largest), (neginf, -largest)
    for_nan, above, below = (input._like(usual if given is None else given) for given, usual in limits)
    out = where(input != input, for_nan, input)
    return where(input == -math.inf, below, where(input == math.inf, above, out))


@spelled(in_place=True)
def ldexp(input: Any, other: Any) -> Tensor:
    """input * 2**other, in floats."""
    x, y = pair("ldexp", input, other, numbers="no")
    return x * x._like(y)._float()._apply(mathematics.exp2)


@spelled()
def frexp(input: Tensor) -> MantissaAndExponent:
    """(mantissa, exponent): input = mantissa * 2**exponent with |mantissa| in [1/2, 1), or 0, infinite or NaN and an
    exponent of 0. Exponents are i32."""
    exponent = input._apply(mathematics.exponent)
    half = exponent // 2
    first, second = ((-k).cast(input.dtype)._apply(mathematics.exp2) for k in (half, exponent - half))
    return MantissaAndExponent(input * first * second, exponent)  # in two steps, which neither overflow nor round


@spelled("special.logit", in_place=True)
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), of x limited to [eps, 1 - eps] if there is an `eps`."""
    x = input._float()
    if eps is not None:
        eps = number("logit", "eps", eps, lambda e: 0 <= e < 1, "a number between 0 and 1")
        x = x.clamp(eps, 1 - eps)
    return x._apply(special.logit)


@spelled(method=False, standard="real")
def real(input: Tensor) -> Tensor:
    """The input itself: all numbers here are real."""
    return input


@spelled("conj_physical", "resolve_conj", "resolve_neg", standard="conj")
def conj(input: Tensor) -> Tensor:
    """The input itself: all numbers here are real."""
    return input


@spelled()
def angle(input: Tensor) -> Tensor:
    """0 where the number is not negative, pi where it is; NaN of NaN."""
    x = input._float().detach()
    return where(x < 0, math.pi, where(x != x, x, 0.0))
