"""Inverse trigonometric and hyperbolic functions, computed in f64.

The arc functions are angles of a point (x, y): one division gives the tangent t of what is left of the angle once the
nearest of 0, pi/4 and pi/2 is taken off, so that |t| <= tan(pi/8), and a polynomial the rest.
"""

from __future__ import annotations

from tinytorch.ir.lanemath.core import INF, NAN, horner, in_f64
from tinytorch.ir.lanemath.log import log1p
from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.types import f64

_PI = (3.141592653589793, 1.2246467991473532e-16)  # and what rounding took off
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17)
_QUARTER_PI = (0.7853981633974483, 3.061616997868383e-17)
_TAN_EIGHTH_PI = 0.41421356237309503  # tan(pi/8); its inverse is tan(3 pi/8)
_LN2 = 0.6931471805599453
_LARGE = 2.0**60  # from here on, x + 1 is x

# (atan(t) - t) / t**3 in t**2 on [0, tan(pi/8)**2]: interpolation in Chebyshev nodes, error 2**-58 relative to itself.
_ATAN = (
    -0.3333333333333333, 0.19999999999999804, -0.14285714285659828, 0.11111111105155447, -0.09090908753500877,
    0.07692296375032143, -0.06666424885738255, 0.05878928997834775, -0.05230454270650244, 0.04551593220626549,
    -0.034570561981427744, 0.016285756855221028,
)  # fmt: skip


@in_f64
def atan2(e: Emitter, y: Lane, x: Lane) -> Lane:
    """The angle of the point (x, y) in [-pi, pi], for zeros and infinities of either sign as IEEE 754 says."""
    ay, ax = y.abs(), x.abs()
    both = ay.eq(INF) & ax.eq(INF)
    one = e.const(1.0, f64)
    # so that no sum overflows, and no product vanishes
    larger = ay.max(ax)
    scale = e.select(larger < 2.0**-900, e.const(2.0**100, f64), one)
    scale = e.select(larger > 2.0**1000, e.const(2.0**-10, f64), scale)
    angle = _angle(e, e.select(both, one, ay * scale), e.select(both, one, ax * scale), e.copysign(one, x) < 0.0)
    return e.copysign(angle, y)


@in_f64
def atan(e: Emitter, x: Lane) -> Lane:
    """Arc tangent, in [-pi/2, pi/2]."""
    return e.copysign(_angle(e, x.abs().min(2.0**1000), e.const(1.0, f64)), x)


@in_f64
def asin(e: Emitter, x: Lane) -> Lane:
    """Arc sine, in [-pi/2, pi/2]; NaN where |x| > 1."""
    a = x.abs()
    return e.copysign(_angle(e, a, e.unary("sqrt", (1.0 - a) * (a + 1.0))), x)


@in_f64
def acos(e: Emitter, x: Lane) -> Lane:
    """Arc cosine, in [0, pi]; NaN where |x| > 1."""
    a = x.abs()
    return _angle(e, e.unary("sqrt", (1.0 - a) * (a + 1.0)), a, x < 0.0)


@in_f64
def asinh(e: Emitter, x: Lane) -> Lane:
    """Inverse hyperbolic sine: log1p(a + a**2 / (1 + sqrt(a**2 + 1))) for a = |x|, log(a) + log(2) where a is large."""
    a = x.abs()
    large = a > _LARGE
    near = a.min(_LARGE)
    square = near * near
    inner = near + square / (e.unary("sqrt", square + 1.0) + 1.0)
    return e.copysign(_log1p_or_log_of_double(e, large, inner, a), x)


@in_f64
def acosh(e: Emitter, x: Lane) -> Lane:
    """Inverse hyperbolic cosine: log1p(t + sqrt(t (t + 2))) for t = x - 1; NaN below 1."""
    large = x > _LARGE
    t = e.select(x < 1.0, e.const(NAN, f64), x.min(_LARGE) - 1.0)
    return _log1p_or_log_of_double(e, large, t + e.unary("sqrt", t * (t + 2.0)), x)


@in_f64
def atanh(e: Emitter, x: Lane) -> Lane:
    """Inverse hyperbolic tangent: log1p(2 a / (1 - a)) / 2 for a = |x|; NaN where |x| > 1."""
    a = x.abs()
    return e.copysign(log1p(e, (a + a) / (1.0 - a)) * 0.5, x)


def _log1p_or_log_of_double(e: Emitter, large: Lane, inner: Lane, a: Lane) -> Lane:
    """log1p(inner), or log(2 a) where it is large."""
    value = log1p(e, e.select(large, a, inner))
    return value + e.select(large, e.const(_LN2, f64), e.const(0.0, f64))


def _angle(e: Emitter, y: Lane, x: Lane, left: Lane | None = None) -> Lane:
    """The angle in [0, pi/2] of a point with y, x >= 0, of which one is finite; its supplement to pi if `left`."""
    steep = y * _TAN_EIGHTH_PI > x
    flat = y <= x * _TAN_EIGHTH_PI
    over = e.select(steep, -x, e.select(flat, y, y - x))
    under = e.select(steep, y, e.select(flat, x, y + x))
    t = over / e.select(under.eq(0.0), e.const(1.0, f64), under)
    base = _chosen(e, steep, flat, _HALF_PI[0], _QUARTER_PI[0])
    rest = _chosen(e, steep, flat, _HALF_PI[1], _QUARTER_PI[1])
    square = t * t
    bend = e.fma(horner(e, square, _ATAN), square * t, rest)
    if left is None:
        return base + (t + bend)
    # pi - base is exact: both are multiples of pi/4 as they are rounded
    sign = e.select(left, e.const(-1.0, f64), e.const(1.0, f64))
    base = e.select(left, _PI[0] - base, base)
    low = e.select(left, e.const(_PI[1], f64), e.const(0.0, f64))
    return base + (e.fma(bend, sign, low) + t * sign)


def _chosen(e: Emitter, steep: Lane, flat: Lane, at_steep: float, else_: float) -> Lane:
    return e.select(steep, e.const(at_steep, f64), e.select(flat, e.const(0.0, f64), e.const(else_, f64)))
