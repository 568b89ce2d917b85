"""exp and what is made of it: expm1, exp2, sigmoid, sinh, cosh, tanh, erf, and the exponential of a two-part number for
pow.

Reduction (Cody and Waite, "Software Manual for the Elementary Functions", 1980): x = n ln 2 + r, with n found by adding
a magic number: the low bits of the sum hold n plus a bias, from which a shift makes the exponent of 2**n. Functions
whose result may overflow or be subnormal cut 2**n into two factors, so that no intermediate leaves the normal range and
a subnormal result is rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.lanemath.core import Format, format_of, horner, in_f64
from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.types import f32, f64

_LOG2_E = 1.4426950408889634
_LN2 = 0.6931471805599453
_LN2_LOW = 2.3190468138462996e-17  # what rounding took off


@dataclass(frozen=True)
class _Table:
    """Constants of one format. ln 2 = `ln2_hi` + `ln2_lo`, where n * `ln2_hi` is exact for every n that occurs."""

    ln2_hi: float
    ln2_lo: float
    lowest: float  # exp of this and below rounds to 0
    highest: float  # exp of this and above overflows
    exp: tuple[float, ...]  # (exp(r) - 1) / r on |r| <= ln(2)/2
    expm1: tuple[float, ...]  # (expm1(r) - r) / r**2 there
    tanh_one: float  # tanh of this rounds to 1
    erf_one: float  # erf of this rounds to 1
    erf_slope: float  # 2/sqrt(pi) rounded, and what rounding took off
    erf_slope_lo: float
    erf: tuple[float, ...]  # (-log(erfc(x))/x - 2/sqrt(pi)) / x on [0, erf_one]


# Minimax fits (Remez exchange in 200-bit arithmetic, coefficients rounded to the format from the lowest power up,
# the rest fitted again after each). Error of the exp fits relative to exp(r): f32 2**-28.2, f64 2**-63.4; of the expm1
# fits relative to expm1(r): f32 2**-31.0, f64 2**-57.5. The erf fits minimise the error of 1 - exp(-y) relative to erf:
# f32 2**-27.8 on [0, 4], f64 2**-57.5 on [0, 6].
_TABLES = {
    f32: _Table(
        ln2_hi=0.693145751953125,
        ln2_lo=1.4286068203094173e-06,
        lowest=-104.0,
        highest=89.0,
        exp=(1.0, 0.49999994, 0.166665137, 0.0416680612, 0.00836954918, 0.00138438737),
        expm1=(0.5, 0.166666657, 0.0416664667, 0.00833363924, 0.00139349524, 0.000196720575),
        tanh_one=10.0,
        erf_one=4.0,
        erf_slope=1.128379225730896,
        erf_slope_lo=-5.863538342219759e-08,
        erf=(
            0.636619508, 0.102776878, -0.0191499814, -0.000165499019, 0.00167168432, -0.000635204255, 0.000118270356,
            -9.32460171e-06,
        ),
    ),
    f64: _Table(
        ln2_hi=0.6931471803691238,
        ln2_lo=1.9082149292705877e-10,
        lowest=-746.0,
        highest=710.0,
        exp=(
            1.0, 0.5, 0.1666666666666669, 0.04166666666666686, 0.00833333333331167, 0.001388888888874518,
            0.00019841269909210907, 2.4801587657818957e-05, 2.755722251087635e-06, 2.755695235788918e-07,
            2.5116183837812236e-08, 2.1022987641714267e-09,
        ),
        expm1=(
            0.5000000000000001, 0.1666666666666667, 0.041666666666648984, 0.008333333333328549, 0.001388888889752813,
            0.00019841269865640852, 2.4801570165317265e-05, 2.7557266164401057e-06, 2.7572010253103077e-07,
            2.5101206125274628e-08, 1.6353209334948758e-09,
        ),
        tanh_one=20.0,
        erf_one=6.0,
        erf_slope=1.1283791670955126,
        erf_slope_lo=1.533545961316588e-17,
        erf=(
            0.6366197723675828, 0.10277260330181975, -0.019128447005635485, -0.0002091946889904674,
            0.0016962063471451796, -0.0005901253785730226, 2.587803820971702e-05, 6.449322948609287e-05,
            -2.9726573641660462e-05, 3.410898697024192e-06, 2.8310177558462043e-06, -1.7378179241964042e-06,
            3.336561678160547e-07, 1.3876712741969238e-07, -1.4251016493751087e-07, 6.601785283705397e-08,
            -2.1049206843160016e-08, 5.018606194689541e-09, -9.121678101061126e-10, 1.2540967428715362e-10,
            -1.2671379446167963e-11, 8.890026810213903e-13, -3.870773771865177e-14, 7.877129712609381e-16,
        ),
    ),
}  # fmt: skip


def exp(e: Emitter, x: Lane) -> Lane:
    """e**x; overflows to inf, underflows through the subnormals to 0."""
    return _exp_clamped(e, _clamp(x))


def exp_sum(e: Emitter, x: Lane, tail: Lane) -> Lane:
    """e**(x + tail) where |tail| is at most a few ulp of x: a result good to the last bits for large x."""
    return _exp_clamped(e, _clamp(x), tail)


def expm1(e: Emitter, x: Lane) -> Lane:
    """e**x - 1, accurate near 0."""
    form = format_of(x)
    r, bits = _reduce(e, _clamp(x), 2 * form.bias)
    first, second = _two_powers(form, bits)
    inverse = (e.const(2 * form.one, form.bits) - second.bitcast(form.bits)).bitcast(x.dtype)
    # (1 + q) s t - 1 == (q s + (s - 1/t)) t, which neither overflows early nor cancels
    return e.copysign(e.fma(_expm1_small(e, r), first, first - inverse) * second, x)


@in_f64
def exp2(e: Emitter, x: Lane) -> Lane:
    """2**x, exact for integers; overflows to inf, underflows through the subnormals to 0."""
    form = format_of(x)
    x = x.max(-1080.0).min(1030.0)
    shifted = x + (form.round_magic + 2 * form.bias)
    part = x - (shifted - (form.round_magic + 2 * form.bias))
    r = part * _LN2
    tail = e.fma(part, e.const(_LN2, x.dtype), -r) + part * _LN2_LOW
    grown = e.fma(horner(e, r, _TABLES[x.dtype].exp), r, tail) + 1.0
    first, second = _two_powers(form, shifted.bitcast(form.bits))
    return grown * first * second


@in_f64
def sinh(e: Emitter, x: Lane) -> Lane:
    """Hyperbolic sine: (t + t / (t + 1)) / 2 for t = expm1(|x|), e**|x| / 2 where that is all."""
    a = x.abs()
    t = expm1(e, a.min(30.0))
    return e.copysign(e.select(a > 30.0, _half_exp(e, a), (t + t / (t + 1.0)) * 0.5), x)


@in_f64
def cosh(e: Emitter, x: Lane) -> Lane:
    """Hyperbolic cosine: h + 1 / (4 h) for h = e**|x| / 2."""
    half = _half_exp(e, x.abs())
    return half + 0.25 / half


def sigmoid(e: Emitter, x: Lane) -> Lane:
    """1 / (1 + e**-x), accurate in both tails."""
    decay = _exp_clamped(e, e.copysign(x, e.const(-1.0, x.dtype)).max(_TABLES[x.dtype].lowest))
    return e.select(x < 0.0, decay, e.const(1.0, x.dtype)) / (decay + 1.0)


def tanh(e: Emitter, x: Lane) -> Lane:
    """Hyperbolic tangent, |t / (t + 2)| for t = expm1(-2|x|), with the sign of x."""
    form = format_of(x)
    below = e.copysign(x, e.const(-1.0, x.dtype)).max(-_TABLES[x.dtype].tanh_one)
    r, bits = _reduce(e, below + below, form.bias, fine=False)
    q, scale = _expm1_small(e, r), (bits << form.mantissa).bitcast(x.dtype)
    # t + 2 from q, not from the rounded t, whose error would count twice
    return e.copysign(e.fma(q, scale, scale - 1.0) / e.fma(q, scale, scale + 1.0), x)


def erf(e: Emitter, x: Lane) -> Lane:
    """The error function, as 1 - exp(-y(|x|)): y is close to a parabola, so one polynomial serves the whole range."""
    table = _TABLES[x.dtype]
    a = x.abs().min(table.erf_one)
    bend = e.fma(horner(e, a, table.erf), a, e.const(table.erf_slope_lo, x.dtype))
    y = e.fma(a, e.const(table.erf_slope, x.dtype), a * bend)
    form = format_of(x)
    r, bits = _reduce(e, -y, form.bias, fine=False)
    scale = (bits << form.mantissa).bitcast(x.dtype)
    return e.copysign(e.fma(_expm1_small(e, r), scale, scale - 1.0), x)


def _clamp(x: Lane) -> Lane:
    table = _TABLES[x.dtype]
    return x.max(table.lowest).min(table.highest)


def _half_exp(e: Emitter, x: Lane) -> Lane:
    """e**x / 2 of a positive f64, which overflows later than e**x."""
    form = format_of(x)
    r, bits = _reduce(e, x.min(711.0), 2 * form.bias)
    first, second = _two_powers(form, bits - 1)
    return e.fma(horner(e, r, _TABLES[x.dtype].exp), r, e.const(1.0, x.dtype)) * first * second


def _exp_clamped(e: Emitter, x: Lane, tail: Lane | None = None) -> Lane:
    form = format_of(x)
    r, bits = _reduce(e, x, 2 * form.bias, tail)
    first, second = _two_powers(form, bits)
    return e.fma(horner(e, r, _TABLES[x.dtype].exp), r, e.const(1.0, x.dtype)) * first * second


def _reduce(e: Emitter, x: Lane, bias: int, tail: Lane | None = None, *, fine: bool = True) -> tuple[Lane, Lane]:
    """(r, bits) with x + tail = n ln 2 + r, and n + bias in the low bits of the integer lane `bits`.

    Not `fine`: with ln 2 in one part, off by n times its rounding; that is little where e**x is small for large n and
    the result is close to 1.
    """
    table, form = _TABLES[x.dtype], format_of(x)
    magic = form.round_magic + bias
    shifted = e.fma(x, e.const(_LOG2_E, x.dtype), e.const(magic, x.dtype))
    n = shifted - magic
    if not fine:
        return e.fma(n, e.const(-_LN2, x.dtype), x), shifted.bitcast(form.bits)
    r = e.fma(n, e.const(-table.ln2_hi, x.dtype), x)
    low = e.const(-table.ln2_lo, x.dtype)
    r = e.fma(n, low, r) if tail is None else r + e.fma(n, low, tail)
    return r, shifted.bitcast(form.bits)


def _expm1_small(e: Emitter, r: Lane) -> Lane:
    """expm1 on |r| <= ln(2)/2."""
    return e.fma(horner(e, r, _TABLES[r.dtype].expm1), r * r, r)


def _two_powers(form: Format, bits: Lane) -> tuple[Lane, Lane]:
    """Two powers of two whose product is 2**n, for n + 2 * bias in the low bits of `bits`."""
    half = bits >> 1
    return (half << form.mantissa).bitcast(form.dtype), ((bits - half) << form.mantissa).bitcast(form.dtype)
