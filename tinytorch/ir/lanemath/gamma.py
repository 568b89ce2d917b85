"""The logarithm of the gamma function and its derivatives, computed in f64.

Large arguments go by Stirling's series (Abramowitz & Stegun 6.1.40, 6.3.18, 6.4.11), smaller ones are moved there, or
to [1.5, 2.5], by the recurrence (6.1.15, 6.3.6, 6.4.6), negative ones by the reflection (6.1.17, 6.3.7, 6.4.7).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinytorch.ir.lanemath.core import BERNOULLI, INF, NAN, horner, in_f64
from tinytorch.ir.lanemath.log import log
from tinytorch.ir.lanemath.trig import cos, sin
from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.types import f64

_LOG_PI = 1.1447298858494002
_STIRLING = 0.9189385332046728 - 0.5  # log(2 pi) / 2 - 1/2
_LARGE = 8.0  # from here on Stirling's series has the accuracy of an f64
_BERNOULLI = BERNOULLI[:10]  # so many terms of the series

# lgamma(2 + d) / d on [-1/2, 1/2]: interpolation in Chebyshev nodes, error 2**-61 relative to itself.
_LGAMMA = (
    0.42278433509846713, 0.3224670334241132, -0.06735230105319814, 0.02058080842778457, -0.0073855510286681535,
    0.002890510330738737, -0.0011927539120010226, 0.0005096695248853096, -0.00022315475074520367,
    9.945750909889392e-05, -4.4926351103833334e-05, 2.050726741605779e-05, -9.438458716242811e-06,
    4.374374916915131e-06, -2.0449201467015115e-06, 9.578663334114758e-07, -4.303558760359961e-07,
    2.0304806751615227e-07, -1.3412819758517287e-07, 6.379047507619774e-08,
)  # fmt: skip


@in_f64
def lgamma(e: Emitter, x: Lane) -> Lane:
    """log |gamma(x)|; infinite at 0, at negative integers and at infinity. Near the zeros between negative integers,
    the error is that of numbers around 1."""
    reflect = x < 0.5
    value = _lgamma_right(e, e.select(reflect, 1.0 - x, x))
    sine = sin(e, _fraction(e, x) * math.pi).abs()
    value = e.select(reflect, _LOG_PI - log(e, sine) - value, value)
    return e.select(x.abs().eq(INF), x.abs(), value)


def _lgamma_right(e: Emitter, z: Lane) -> Lane:
    """lgamma of z >= 1/2."""
    one, large = e.const(1.0, f64), z >= _LARGE
    below = z < 1.5
    steps = e.unary("ceil", z.min(_LARGE) - 2.5).max(0.0)
    d = e.select(below, z - 1.0, z - 2.0 - steps)
    product = one
    for step in range(1, 7):
        product = product * e.select(steps >= float(step), z - float(step), one)
    logarithm = log(e, e.select(large | below, z, product))
    middle = e.fma(d, horner(e, d, _LGAMMA), e.select(below, -logarithm, logarithm))
    inverse = 1.0 / z
    series = [b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1)]
    tail = e.fma(inverse, horner(e, inverse * inverse, series), e.const(_STIRLING, f64))
    return e.select(large, e.fma(z - 0.5, logarithm - 1.0, tail), middle)


@in_f64
def digamma(e: Emitter, x: Lane) -> Lane:
    """The derivative of log gamma(x): infinite at zeros, against their sign, NaN at negative integers. Near its own
    zeros, the error is that of numbers around 1."""
    reflect = x < 0.5
    fraction = _fraction(e, x)
    angle = e.select(fraction.eq(0.0), x, fraction) * math.pi
    cotangent = cos(e, fraction * math.pi) / sin(e, angle) * math.pi
    z = e.select(reflect, 1.0 - x, x)
    small = z < _LARGE
    over, under = _harmonic(e, z)
    moved = e.select(small, z + _LARGE, z)
    inverse = 1.0 / moved
    square = inverse * inverse
    series = horner(e, square, [b / (2 * k) for k, b in enumerate(_BERNOULLI, 1)])
    value = log(e, moved) - e.fma(series, square, inverse * 0.5)
    value = value - e.select(small, over / under, e.const(0.0, f64))
    value = e.select(reflect, value - cotangent, value)
    return e.select((x < 0.0) & fraction.eq(0.0), e.const(NAN, f64), value)


def _harmonic(e: Emitter, z: Lane) -> tuple[Lane, Lane]:
    """1/z + 1/(z + 1) + … as a fraction, of as many terms as lead from 0 to `_LARGE`; of a small z."""
    z = z.min(_LARGE)
    over, under = e.const(1.0, f64), z
    for step in range(1, int(_LARGE)):
        term = z + float(step)
        over, under = e.fma(over, term, under), under * term
    return over, under


@in_f64
def polygamma(e: Emitter, x: Lane, *, n: int) -> Lane:
    """The n-th derivative of digamma, n >= 1: infinite at 0 and at negative integers."""
    reflect = x < 0.0
    fraction = _fraction(e, x)
    value = _polygamma_right(e, e.select(reflect, 1.0 - x, x.abs()), n)
    angle = fraction * math.pi
    cotangent = cos(e, angle) / sin(e, angle)
    other = horner(e, cotangent, _cotangent_derivative(n)) * math.pi ** (n + 1)
    signed = value if n % 2 == 0 else -value
    value = e.select(reflect, signed - other, value)
    pole = e.const(INF if n % 2 else -INF, f64)
    return e.select((x <= 0.0) & fraction.eq(0.0), pole, value)


def _polygamma_right(e: Emitter, z: Lane, n: int) -> Lane:
    """polygamma of z >= 0, but for its sign at z = 0."""
    steps = 10 + n // 2
    moved = z + float(steps)
    total = _power(1.0 / moved, n) * (e.const(0.5 * math.factorial(n), f64) / moved + math.factorial(n - 1))
    inverse = 1.0 / moved
    series = [b * _quotient_of_factorials(2 * k + n - 1, 2 * k) for k, b in enumerate(_BERNOULLI, 1)]
    square = inverse * inverse
    total = total + horner(e, square, series) * square * _power(inverse, n)
    for step in reversed(range(steps)):
        total = total + _power(1.0 / (z + float(step)), n + 1) * float(math.factorial(n))
    return total if n % 2 else -total


def _quotient_of_factorials(a: int, b: int) -> float:
    return math.factorial(a) / math.factorial(b)


def _power(x: Lane, n: int) -> Lane:
    """x**n by squaring, n >= 1."""
    out = None
    while n:
        out = (x if out is None else out * x) if n & 1 else out
        n >>= 1
        x = x * x if n else x
    assert out is not None
    return out


def _cotangent_derivative(n: int) -> Sequence[float]:
    """The n-th derivative of cot as a polynomial of cot, whose own derivative is -(1 + cot**2)."""
    polynomial = [0, 1]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(polynomial)][1:]
        polynomial = [0] * (len(slope) + 2)
        for k, c in enumerate(slope):
            polynomial[k] -= c
            polynomial[k + 2] -= c
    return [float(c) for c in polynomial]


def _fraction(e: Emitter, x: Lane) -> Lane:
    """x less the nearest integer; 0 where x is one."""
    return x - e.unary("rint", x)
