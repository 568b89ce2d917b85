"""log, log1p, log2, log10 and pow.

x = 2**k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), found from the bits; then log x = k ln 2 + log(1 + f).
"""

from __future__ import annotations

from tinytorch.ir.lanemath.core import INF, NAN, Format, format_of, horner, in_f64
from tinytorch.ir.lanemath.exp import exp, exp_sum
from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.types import f32, f64

# ln 2 in two parts; k * hi is exact for every exponent k.
_LN2 = {f32: (0.693145751953125, 1.4286068203094173e-06), f64: (0.6931471803691238, 1.9082149292705877e-10)}
_LOG2_E = 1.4426950408889634
_LOG10_E, _LOG10_E_LOW = 0.4342944819032518, 1.098319650216765e-17
_SQRT_HALF_BITS = {f32: 0x3F3504F3, f64: 0x3FE6A09E667F3BCD}

# (log(1+f) - f + f**2/2) / f**3 on [sqrt(1/2)-1, sqrt(2)-1]; minimax error relative to log(1+f) 2**-27.4.
_LOG_F32 = (
    0.333333313, -0.250008225, 0.200012594, -0.166233405, 0.14201051, -0.131596029, 0.127661064, -0.0764163658,
)  # fmt: skip
# (2 atanh(s) - 2s) / s**3 as a polynomial in s**2 on [0, (3 - 2 sqrt(2))**2]; minimax error relative to log 2**-59.5.
_LOG_F64 = (
    0.6666666666666734, 0.3999999999941706, 0.2857142874188882, 0.2222219862209529, 0.18183561878637183,
    0.15314111137862368, 0.1479536114825735,
)  # fmt: skip
# (2 atanh(s) - 2s - 2/3 s**3) / s**5 in s**2 on the same range, for pow; minimax error relative to log 2**-73.5.
_LOG_POW = (
    0.3999999999999998, 0.28571428571443835, 0.22222222217791784, 0.18181818843697, 0.1538455845027037,
    0.13336263637784262, 0.11675798284796993, 0.11981608458694447,
)  # fmt: skip
_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)


def log(e: Emitter, x: Lane) -> Lane:
    """Natural logarithm; -inf at 0, NaN below, right for subnormals."""
    k, f = _decompose(e, x)
    return _with_edges(e, x, _log_reduced(e, k, f))


def log1p(e: Emitter, x: Lane) -> Lane:
    """log(1 + x), accurate near 0; -inf at -1, NaN below."""
    form = format_of(x)
    u = x + 1.0
    biased, mantissa = _split(form, u)
    k = _biased_to_float(form, biased, float(form.bias))
    # f = (1 + x) 2**-k - 1 without the rounding of 1 + x; where x is so large that 1 does not count, u is x
    scale = ((e.const(2 * form.bias, form.bits) - biased) << form.mantissa).bitcast(x.dtype)
    f = e.select(u < 2.0 ** (form.mantissa + 2), e.fma(x, scale, scale - 1.0), mantissa - 1.0)
    return e.copysign(_with_edges(e, u, _log_reduced(e, k, f)), x)


@in_f64
def log2(e: Emitter, x: Lane) -> Lane:
    """Logarithm to base 2, exact for powers of 2."""
    k, f = _decompose(e, x)
    return _with_edges(e, x, e.fma(_log_reduced(e, e.const(0.0, x.dtype), f), e.const(_LOG2_E, x.dtype), k))


@in_f64
def log10(e: Emitter, x: Lane) -> Lane:
    """Logarithm to base 10; with a fused multiply-add exact for powers of 10."""
    high, low = _log_two_part(e, x)
    value = high * _LOG10_E
    tail = e.fma(high, e.const(_LOG10_E, x.dtype), -value) + e.fma(high, e.const(_LOG10_E_LOW, x.dtype), low * _LOG10_E)
    return _with_edges(e, x, value + tail)


def pow(e: Emitter, x: Lane, y: Lane) -> Lane:
    """x**y with the special cases of IEEE 754 (and C's pow): x**0 and 1**y are 1 even for NaN, a negative base takes
    integer exponents only, zeros and infinities keep their sign under odd ones."""
    magnitude = _pow_magnitude(e, x.abs(), y)
    whole = e.unary("trunc", y)
    half = y * 0.5
    is_integer = whole.eq(y)
    is_odd = is_integer & e.unary("trunc", half).ne(half)
    one = e.const(1.0, x.dtype)
    signed = e.copysign(magnitude, e.select(is_odd, x, one))
    undefined = (x < 0.0) & (x > -INF) & ~is_integer & y.eq(y)
    signed = e.select(undefined, e.const(NAN, x.dtype), signed)
    return e.select(y.eq(0.0) | x.eq(1.0), one, signed)


def _pow_magnitude(e: Emitter, a: Lane, y: Lane) -> Lane:
    """a**y for a >= 0, but for 0**0, 1**NaN and NaN**0."""
    if a.dtype == f32:
        wide = log(e, a.cast(f64)) * y.cast(f64)
        magnitude = exp(e, wide).cast(f32)
    else:
        high, low = _log_two_part(e, a)
        product = y * high
        tail = e.fma(y, high, -product) + y * low
        # far out of exp's range (or with an infinite log) the tail is meaningless, and inf - inf there
        tail = e.select(product.abs() < 1000.0, tail, e.const(0.0, f64))
        magnitude = exp_sum(e, product, tail)
    # 1**inf: the product above is 0 * inf
    return e.select(a.eq(1.0) & y.eq(y), e.const(1.0, a.dtype), magnitude)


def _split(form: Format, x: Lane) -> tuple[Lane, Lane]:
    """(k + bias as integer, m) with x = 2**k m, m in [sqrt(1/2), sqrt(2)), of a positive normal x."""
    sqrt_half = _SQRT_HALF_BITS[form.dtype]
    shifted = x.bitcast(form.bits) + (form.one - sqrt_half)
    mantissa = (shifted & ((1 << form.mantissa) - 1)) + sqrt_half
    return shifted >> form.mantissa, mantissa.bitcast(form.dtype)


def _biased_to_float(form: Format, biased: Lane, bias: float | Lane) -> Lane:
    """biased - bias as a float: the integer is put into the low bits of 2**mantissa."""
    base = 2.0**form.mantissa
    offset = base + bias
    return (biased | ((form.bias + form.mantissa) << form.mantissa)).bitcast(form.dtype) - offset


def _decompose(e: Emitter, x: Lane) -> tuple[Lane, Lane]:
    """(k, f) with x = 2**k (1 + f) of a positive x; subnormals are scaled up first."""
    form = format_of(x)
    is_small = x < form.smallest_normal
    lift = form.mantissa + 1
    normal = e.select(is_small, x * 2.0**lift, x)
    bias = e.select(is_small, e.const(float(form.bias + lift), x.dtype), e.const(float(form.bias), x.dtype))
    biased, mantissa = _split(form, normal)
    return _biased_to_float(form, biased, bias), mantissa - 1.0


def _log_reduced(e: Emitter, k: Lane, f: Lane) -> Lane:
    """k ln 2 + log(1 + f)."""
    hi, lo = _LN2[f.dtype]
    square = f * f
    if f.dtype == f32:
        y = e.fma(horner(e, f, _LOG_F32), square * f, k * lo)
        y = e.fma(square, e.const(-0.5, f32), y)
        return e.fma(k, e.const(hi, f32), f + y)
    # log(1+f) = f - f**2/2 + s (f**2/2 + R(s)), s = f/(2+f): the large terms are exact
    s = f / (f + 2.0)
    z = s * s
    half_square = square * 0.5
    correction = e.fma(s, e.fma(horner(e, z, _LOG_F64), z, half_square), k * lo)
    return e.fma(k, e.const(hi, f64), f - (half_square - correction))


def _log_two_part(e: Emitter, x: Lane) -> tuple[Lane, Lane]:
    """log of a non-negative f64 as an unevaluated sum, good to about 2**-68; products are split exactly by fma."""
    k, f = _decompose(e, x)
    d = f + 2.0
    d_lo = f - (d - 2.0)
    s = f / d
    s_lo = (e.fma(-s, d, f) - s * d_lo) / d
    z = s * s
    z_lo = e.fma(s, s, -z) + (s + s) * s_lo
    w = s * z
    w_lo = e.fma(s, z, -w) + e.fma(s, z_lo, s_lo * z)
    third, third_lo = _TWO_THIRDS
    t = w * third
    t_lo = e.fma(w, e.const(third, f64), -t) + e.fma(w, e.const(third_lo, f64), w_lo * third)
    t_lo = e.fma(w * z, horner(e, z, _LOG_POW), t_lo)
    double = s + s
    high, low = _fast_two_sum(double, t)
    low = low + (s_lo + s_lo + t_lo)
    ln2_hi, ln2_lo = _LN2[f64]
    total, rest = _fast_two_sum(k * ln2_hi, high)
    total, rest = _fast_two_sum(total, rest + e.fma(k, e.const(ln2_lo, f64), low))
    return _with_edges(e, x, total), e.select((x > 0.0) & (x < INF), rest, e.const(0.0, f64))


def _fast_two_sum(a: Lane, b: Lane) -> tuple[Lane, Lane]:
    """a + b exactly, as sum and remainder, for |a| >= |b| or a = 0 (Dekker 1971)."""
    total = a + b
    return total, b - (total - a)


def _with_edges(e: Emitter, x: Lane, value: Lane) -> Lane:
    """`value` for finite x > 0; the logarithm of everything else."""
    at_zero_or_below = e.select(x.eq(0.0), e.const(-INF, x.dtype), e.const(NAN, x.dtype))
    edge = e.select(x > 0.0, x, at_zero_or_below)
    return e.select((x > 0.0) & (x < INF), value, edge)
