"""What the elementary functions share: the two float formats as bit patterns, and Horner's rule."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.types import DType, f32, f64, i32, i64

INF = float("inf")
NAN = float("nan")

# The Bernoulli numbers B2, B4, …
BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330,
    854513 / 138, -236364091 / 2730,
)  # fmt: skip


@dataclass(frozen=True)
class Format:
    """An IEEE binary format: sign, exponent of `bias`, `mantissa` stored bits; `bits` is the integer of its width."""

    dtype: DType
    bits: DType
    mantissa: int
    bias: int

    @property
    def one(self) -> int:
        """The bit pattern of 1.0."""
        return self.bias << self.mantissa

    @property
    def round_magic(self) -> float:
        """1.5 * 2**mantissa: adding it leaves the nearest integer in the low bits of the sum."""
        return 1.5 * 2.0**self.mantissa

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.bias)


FORMATS = {f32: Format(f32, i32, 23, 127), f64: Format(f64, i64, 52, 1023)}


def format_of(x: Lane) -> Format:
    """The format of an f32 or f64 lane; narrower floats are computed in f32 by the caller."""
    return FORMATS[x.dtype]


def horner(e: Emitter, x: Lane, coefficients: Sequence[float]) -> Lane:
    """sum(coefficients[k] * x**k), lowest power first."""
    value = e.const(coefficients[-1], x.dtype)
    for coefficient in reversed(coefficients[:-1]):
        value = e.fma(value, x, e.const(coefficient, x.dtype))
    return value


def chosen_horner(e: Emitter, condition: Lane, x: Lane, then: Sequence[float], otherwise: Sequence[float]) -> Lane:
    """`horner` with the coefficients `then` where the condition is true, else `otherwise`: one evaluation for both."""
    degree = max(len(then), len(otherwise))
    pairs = [(*(c[k] if k < len(c) else 0.0 for c in (then, otherwise)),) for k in range(degree)]
    lanes = [e.select(condition, e.const(a, x.dtype), e.const(b, x.dtype)) for a, b in pairs]
    value = lanes[-1]
    for lane in reversed(lanes[:-1]):
        value = e.fma(value, x, lane)
    return value


def in_f64(function: Callable[..., Lane]) -> Callable[..., Lane]:
    """`function` of f64 lanes for f32 lanes, too: computed in f64 and rounded once."""

    @functools.wraps(function)
    def run(e: Emitter, *lanes: Lane, **attrs: Any) -> Lane:
        if lanes[0].dtype == f64:
            return function(e, *lanes, **attrs)
        return function(e, *(x.cast(f64) for x in lanes), **attrs).cast(f32)

    return run
