"""sin, cos and tan: x = n pi/2 + r with |r| <= pi/4, then a polynomial of r chosen by n's low bits.

The reduction runs in f64 for f32 lanes too. pi/2 is cut into parts so short that n times a part is exact, which makes
the first subtractions exact (Cody and Waite 1980).
"""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.lanemath.core import FORMATS, format_of, horner
from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.types import f32, f64

_TWO_OVER_PI = 0.6366197723675814


@dataclass(frozen=True)
class _Table:
    """pi/2 in parts, and the fits on |r| <= pi/4 in powers of r**2."""

    half_pi: tuple[float, float, float]
    sin: tuple[float, ...]  # (sin(r) - r) / r**3
    cos: tuple[float, ...]  # (cos(r) - 1 + r**2/2) / r**4


# Minimax fits (Remez, 200 bits); error relative to sin(r), cos(r): f32 2**-27.9, 2**-33.0; f64 2**-57.9, 2**-63.9.
_TABLES = {
    f32: _Table(
        half_pi=(1.570796012878418, 3.139164164167596e-07, 6.223372171896613e-14),  # 22, 22 and 53 bits
        sin=(-0.166666552, 0.00833218731, -0.000195178975),
        cos=(0.0416666456, -0.00138873095, 2.44323273e-05),
    ),
    f64: _Table(
        half_pi=(1.570796325802803, 9.920935791635221e-10, 5.170182981794105e-19),  # 30, 30 and 53 bits
        sin=(
            -0.1666666666666663, 0.00833333333332184, -0.00019841269829358522, 2.7557313538509393e-06,
            -2.505073438798433e-08, 1.5895433185206867e-10,
        ),
        cos=(
            0.041666666666666595, -0.0013888888888873307, 2.4801587288965233e-05, -2.7557314203081955e-07,
            2.0875703140120435e-09, -1.1358617044798738e-11,
        ),
    ),
}  # fmt: skip


def sin(e: Emitter, x: Lane) -> Lane:
    """Sine of radians; NaN at infinity. See `tinytorch.ir.lanemath` for what happens to huge arguments."""
    r, quadrant = _reduce(e, x)
    return _evaluate(e, r, quadrant)


def cos(e: Emitter, x: Lane) -> Lane:
    """Cosine of radians; NaN at infinity. See `tinytorch.ir.lanemath` for what happens to huge arguments."""
    r, quadrant = _reduce(e, x)
    return _evaluate(e, r, quadrant + 1)


def tan(e: Emitter, x: Lane) -> Lane:
    """Tangent of radians, computed in f64; NaN at infinity. Huge arguments fare as those of sin."""
    r, quadrant = _reduce_wide(e, x)
    sine, cosine = _sine_and_cosine(e, r)
    even = (quadrant & 1).eq(0)
    return (e.select(even, sine, -cosine) / e.select(even, cosine, sine)).cast(x.dtype)


def _reduce(e: Emitter, x: Lane) -> tuple[Lane, Lane]:
    """(r, n) with x = n pi/2 + r; n as an integer lane of x's width, of which only the low two bits count."""
    r, quadrant = _reduce_wide(e, x)
    return (r, quadrant) if x.dtype == f64 else (r.cast(f32), quadrant.cast(FORMATS[f32].bits))


def _reduce_wide(e: Emitter, x: Lane) -> tuple[Lane, Lane]:
    """The same as f64 and i64 lanes."""
    wide = x if x.dtype == f64 else x.cast(f64)
    magic = FORMATS[f64].round_magic
    shifted = e.fma(wide, e.const(_TWO_OVER_PI, f64), e.const(magic, f64))
    n = shifted - magic
    r = wide
    for part in _TABLES[x.dtype].half_pi:
        r = e.fma(n, e.const(-part, f64), r)
    # beyond the reduction's range r is rubbish, but stays where the polynomials are bounded by 1
    r = r.max(-0.8).min(0.8)
    return r, shifted.bitcast(FORMATS[f64].bits)


def _evaluate(e: Emitter, r: Lane, quadrant: Lane) -> Lane:
    """sin(r + quadrant pi/2)."""
    form = format_of(r)
    sine, cosine = _sine_and_cosine(e, r)
    chosen = e.select((quadrant & 1).eq(0), sine, cosine)
    sign = (quadrant & 2) << (form.dtype.bits - 2)
    return (chosen.bitcast(form.bits) ^ sign).bitcast(r.dtype)


def _sine_and_cosine(e: Emitter, r: Lane) -> tuple[Lane, Lane]:
    """Both of |r| <= pi/4."""
    table, square = _TABLES[r.dtype], r * r
    sine = e.copysign(e.fma(horner(e, square, table.sin), square * r, r), r)
    cosine = e.fma(
        horner(e, square, table.cos), square * square, e.fma(square, e.const(-0.5, r.dtype), e.const(1.0, r.dtype))
    )
    return sine, cosine
