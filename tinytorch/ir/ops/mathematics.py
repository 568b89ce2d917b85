"""Elementary functions of floats: trigonometric, hyperbolic, their inverses, other bases of powers and logarithms, and
what is close to them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.ir import lanemath as lm
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.lanemath.core import format_of
from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.lanes.numpy_emitter import by_lanes
from tinytorch.ir.op import NONDIFF, Op, Rule, Spelled, apply, define
from tinytorch.ir.ops.core import filled, one_per_result, require_same, where, zeros_like
from tinytorch.ir.ops.elementwise import (
    cos,
    define_elementwise,
    eq,
    log,
    log1p,
    sigmoid,
    sign,
    sqrt,
    trunc,
)
from tinytorch.ir.types import TensorType, f32, f64, i32

LN2, LN10 = 0.6931471805599453, 2.302585092994046


def _of_one(name: str, doc: str, numpy: Any, lane: Any, rule: Rule, *others: str, standard: str = "") -> Op:
    spelled = Spelled((name, *others), standard=standard)
    return define_elementwise(name, doc, numpy, lane, (rule,), "float", spelled=spelled, autocast="high")


def _of_two(
    name: str, doc: str, numpy: Any, lane: Any, rules: tuple[Rule, Rule], *others: str, standard: str = "",
    in_place: bool = True, number: bool = False, either: bool = False,
) -> Op:  # fmt: skip
    spelled = Spelled((name, *others), 2, standard, in_place=in_place, number=number, either=either)
    return define_elementwise(name, doc, numpy, lane, rules, "float", spelled=spelled)


# Trigonometric and hyperbolic. g is the cotangent of the result, n the application.
tan = _of_one(
    "tan", "Tangent, of radians", np.tan, lm.tan, lambda g, n: g * (n.output * n.output + 1.0), standard="tan"
)
sinh = _of_one("sinh", "Hyperbolic sine", np.sinh, lm.sinh, lambda g, n: g * apply(cosh, n.inputs[0]), standard="sinh")
cosh = _of_one(
    "cosh", "Hyperbolic cosine", np.cosh, lm.cosh, lambda g, n: g * apply(sinh, n.inputs[0]), standard="cosh"
)


def _other_side(x: Any) -> Any:
    """sqrt(1 - x**2)."""
    return apply(sqrt, (1.0 - x) * (x + 1.0))


asin = _of_one(
    "asin", "Arc sine, in [-pi/2, pi/2]", np.arcsin, lm.asin, lambda g, n: g / _other_side(n.inputs[0]), "arcsin",
    standard="asin",
)  # fmt: skip
acos = _of_one(
    "acos", "Arc cosine, in [0, pi]", np.arccos, lm.acos, lambda g, n: -g / _other_side(n.inputs[0]), "arccos",
    standard="acos",
)  # fmt: skip
atan = _of_one(
    "atan", "Arc tangent, in [-pi/2, pi/2]", np.arctan, lm.atan,
    lambda g, n: g / (n.inputs[0] * n.inputs[0] + 1.0), "arctan", standard="atan",
)  # fmt: skip
asinh = _of_one(
    "asinh", "Inverse hyperbolic sine", np.arcsinh, lm.asinh,
    lambda g, n: g / apply(sqrt, n.inputs[0] * n.inputs[0] + 1.0), "arcsinh", standard="asinh",
)  # fmt: skip
acosh = _of_one(
    "acosh", "Inverse hyperbolic cosine, of x >= 1", np.arccosh, lm.acosh,
    lambda g, n: g / apply(sqrt, (n.inputs[0] - 1.0) * (n.inputs[0] + 1.0)), "arccosh", standard="acosh",
)  # fmt: skip
atanh = _of_one(
    "atanh", "Inverse hyperbolic tangent, of |x| <= 1", np.arctanh, lm.atanh,
    lambda g, n: g / (1.0 - n.inputs[0] * n.inputs[0]), "arctanh", standard="atanh",
)  # fmt: skip


def _over_square(g: Any, n: Any, part: Any) -> Any:
    """g * part / (a**2 + b**2); 0 where both are 0."""
    a, b = n.inputs
    square = a * a + b * b
    return apply(where, apply(eq, square, zeros_like(square)), zeros_like(g), g * part / square)


atan2 = _of_two(
    "atan2", "The angle of the point (other, input), in [-pi, pi]", np.arctan2, lm.atan2,
    (lambda g, n: _over_square(g, n, n.inputs[1]), lambda g, n: _over_square(g, n, -n.inputs[0])), "arctan2",
    standard="atan2",
)  # fmt: skip

# Powers and logarithms.
exp2 = _of_one("exp2", "2**x", np.exp2, lm.exp2, lambda g, n: g * n.output * LN2, "special.exp2")
log2 = _of_one("log2", "Logarithm to base 2", np.log2, lm.log2, lambda g, n: g / (n.inputs[0] * LN2), standard="log2")
log10 = _of_one(
    "log10", "Logarithm to base 10", np.log10, lm.log10, lambda g, n: g / (n.inputs[0] * LN10), standard="log10"
)


def _larger_plus(e: Emitter, a: Lane, b: Lane, rest: Any) -> Lane:
    """max(a, b) + rest(-|a - b|); the larger where the difference is none, as of equal infinities."""
    larger = a.max(b)
    distance = (a - b).abs()
    infinite = a.eq(b) & a.abs().eq(math.inf)
    distance = e.select(infinite, e.const(0.0, a.dtype), distance)
    return larger + rest(-distance)


def _logaddexp_lane(e: Emitter, a: Lane, b: Lane) -> Lane:
    return _larger_plus(e, a, b, lambda d: lm.log1p(e, lm.exp(e, d)))


def _logaddexp2_lane(e: Emitter, a: Lane, b: Lane) -> Lane:
    return _larger_plus(e, a, b, lambda d: lm.log1p(e, lm.exp2(e, d)) * (1 / LN2))


logaddexp = _of_two(
    "logaddexp", "log(exp(input) + exp(other))", np.logaddexp, _logaddexp_lane,
    (
        lambda g, n: g * apply(sigmoid, n.inputs[0] - n.inputs[1]),
        lambda g, n: g * apply(sigmoid, n.inputs[1] - n.inputs[0]),
    ),
    standard="logaddexp", in_place=False,
)  # fmt: skip
logaddexp2 = _of_two(
    "logaddexp2", "log2(2**input + 2**other)", np.logaddexp2, _logaddexp2_lane,
    (
        lambda g, n: g * apply(sigmoid, (n.inputs[0] - n.inputs[1]) * LN2),
        lambda g, n: g * apply(sigmoid, (n.inputs[1] - n.inputs[0]) * LN2),
    ),
    in_place=False,
)  # fmt: skip


# Products with a logarithm: 0 where x is, unless the other is NaN.
def _xlogy_lane(e: Emitter, x: Lane, y: Lane) -> Lane:
    return e.select(x.eq(0.0) & y.eq(y), e.const(0.0, x.dtype), x * lm.log(e, y))


def _xlog1py_lane(e: Emitter, x: Lane, y: Lane) -> Lane:
    return e.select(x.eq(0.0) & y.eq(y), e.const(0.0, x.dtype), x * lm.log1p(e, y))


def _zero_times(logarithm: Any) -> Any:
    def evaluate(x: Any, y: Any) -> Any:
        return np.where((x == 0) & (y == y), x.dtype.type(0), x * logarithm(y))

    return evaluate


def _at_zero(g: Any, n: Any, limit: float, logarithm: Op) -> Any:
    """g * log(y), or 0 where x is 0 and the logarithm is not finite."""
    x, y = n.inputs
    edge = apply(eq, x, zeros_like(x)) & ~_above(y, limit)
    return apply(where, edge, zeros_like(g), g * apply(logarithm, apply(where, edge, filled(y, 1.0, y.type), y)))


def _above(y: Any, limit: float) -> Any:
    """y > limit, also true of NaN."""
    return (y > limit) | (y != y)


xlogy = _of_two(
    "xlogy", "input * log(other), 0 where the input is", _zero_times(np.log), _xlogy_lane,
    (lambda g, n: _at_zero(g, n, 0.0, log), lambda g, n: g * n.inputs[0] / n.inputs[1]), "special.xlogy",
    either=True,
)  # fmt: skip
xlog1py = define_elementwise(
    "xlog1py", "input * log(1 + other), 0 where the input is", _zero_times(np.log1p), _xlog1py_lane,
    (lambda g, n: _at_zero(g, n, -1.0, log1p), lambda g, n: g * n.inputs[0] / (n.inputs[1] + 1.0)), "float",
    spelled=Spelled(("special.xlog1py",), 2, either=True),
)  # fmt: skip


# Lengths and signs.
def _hypot_lane(e: Emitter, a: Lane, b: Lane) -> Lane:
    a, b = a.abs(), b.abs()
    larger, smaller = a.max(b), a.min(b)
    ratio = smaller / e.select(larger.eq(0.0), e.const(1.0, a.dtype), larger)
    length = larger * e.unary("sqrt", e.fma(ratio, ratio, e.const(1.0, a.dtype)))
    return e.select(a.eq(math.inf) | b.eq(math.inf), e.const(math.inf, a.dtype), length)


hypot = _of_two(
    "hypot", "sqrt(input**2 + other**2)", np.hypot, _hypot_lane,
    (lambda g, n: g * n.inputs[0] / n.output, lambda g, n: g * n.inputs[1] / n.output), standard="hypot",
)  # fmt: skip


def _copysign_rule(g: Any, n: Any) -> Any:
    """1 or -1 as the sign was kept or changed; 0 at 0."""
    return g * apply(sign, n.inputs[0]) * apply(sign, n.output)


copysign = _of_two(
    "copysign", "|input| with the sign of other", np.copysign, lambda e, a, b: e.copysign(a, b),
    (_copysign_rule, lambda g, n: zeros_like(g)), standard="copysign", number=True,
)  # fmt: skip


def _fmod(a: Any, b: Any) -> Any:
    if a.dtype.kind == "f":
        return np.fmod(a, b)
    return np.where(b == 0, 0, np.fmod(a, np.where(b == 0, 1, b))).astype(a.dtype)


def _fmod_lane(e: Emitter, a: Lane, b: Lane) -> Lane:
    if a.dtype.is_float:
        return e.binary("rem", a, b)
    rest = lm.mod(e, a, b)
    if a.dtype.kind == "uint":
        return rest
    zero = e.const(0, a.dtype)
    return e.select(rest.ne(0) & ((rest < 0) ^ (a < 0)), rest - b, e.select(b.eq(0), zero, rest))


fmod = define_elementwise(
    "fmod", "The rest of input / other, with the input's sign; integers modulo zero give 0", _fmod, _fmod_lane,
    (lambda g, n: g, lambda g, n: -g * apply(trunc, n.inputs[0] / n.inputs[1])),
    spelled=Spelled(("fmod",), 2, floats=False, number=True),
)  # fmt: skip


def _rest(e: Emitter, a: Lane, b: Lane) -> Lane:
    """a modulo b, which is not 0, with a's sign; by way of floats, which divide in SIMD, where that is exact."""
    if a.dtype.bits == 64:
        return e.binary("rem", a, b)
    wide = f32 if a.dtype.bits == 8 else f64
    return a - (a.cast(wide) / b.cast(wide)).cast(a.dtype) * b


def _gcd_lane(e: Emitter, a: Lane, b: Lane) -> Lane:
    """Euclid's algorithm with the remainder that is the least in magnitude, which is 0 after at most log(n) / log(1 +
    sqrt(2)) steps. The magnitude of the lowest integer stays negative, as it wraps."""
    signed = a.dtype.kind == "int"
    if signed:
        a, b = a.abs(), b.abs()
    zero, one = e.const(0, a.dtype), e.const(1, a.dtype)
    for _ in range(math.ceil(a.dtype.bits * LN2 / math.log(1 + math.sqrt(2))) + 1):
        divisor = e.select(b.eq(0), one, b)
        rest = _rest(e, a, divisor)
        rest, size = (rest.abs(), divisor.abs()) if signed else (rest, divisor)
        other = size - rest
        rest = e.select(other < rest, other, rest)
        a, b = e.select(b.eq(0), a, b), e.select(b.eq(0), zero, rest)
    return a


gcd = define_elementwise(
    "gcd", "Greatest common divisor, not negative; of zeros 0", np.gcd, _gcd_lane, NONDIFF, "int", "uint",
    spelled=Spelled(("gcd",), 2, floats=False),
)  # fmt: skip


# The bits of floats. 16-bit floats are computed in f32 lanes, which have other neighbours.
def _nextafter_type(a: TensorType, b: TensorType) -> TensorType:
    out = require_same("nextafter", a, b)
    if not out.dtype.is_float or out.dtype.bits == 16:
        raise ShapeError(f"nextafter: needs f32 or f64, got {out.dtype}")
    return out


def _nextafter_lane(e: Emitter, a: Lane, b: Lane) -> Lane:
    form = format_of(a)
    bits = a.bitcast(form.bits)
    away = (a < b) ^ (a < 0.0)  # greater in magnitude: up above zero, down below
    one, less = e.const(1, form.bits), e.const(-1, form.bits)
    moved = (bits + e.select(away, one, less)).bitcast(a.dtype)
    smallest = e.copysign(e.const(1, form.bits).bitcast(a.dtype), b)
    moved = e.select(a.eq(0.0), smallest, moved)
    moved = e.select(a.eq(b), b, moved)
    return e.select(a.eq(a) & b.eq(b), moved, a + b)


def _nextafter_rule(g: Any, n: Any) -> Any:
    return apply(where, apply(eq, *n.inputs), zeros_like(g), g)


nextafter = define(Op(
    "nextafter", "elementwise", "The next float after input towards other", _nextafter_type, np.nextafter,
    (_nextafter_rule, lambda g, n: zeros_like(g)), one_per_result, _nextafter_lane,
    spelled=Spelled(("nextafter",), 2, "nextafter"),
))  # fmt: skip


def _exponent_type(x: TensorType) -> TensorType:
    if not x.dtype.is_float:
        raise ShapeError(f"frexp: needs a float dtype, got {x.dtype}")
    return TensorType(i32, x.shape)


def _exponent(x: Any) -> Any:
    x = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    return np.frexp(np.where(np.isfinite(x), x, 0))[1].astype(np.int32)


def _exponent_lane(e: Emitter, x: Lane) -> Lane:
    form = format_of(x)
    small = x.abs() < form.smallest_normal
    lift = form.mantissa + 1
    scaled = e.select(small, x * 2.0**lift, x)
    biased = (scaled.bitcast(form.bits) >> form.mantissa) & (2 * form.bias + 1)
    offset = e.select(small, e.const(form.bias - 1 + lift, form.bits), e.const(form.bias - 1, form.bits))
    finite = (x.abs() < math.inf) & x.ne(0.0)
    return e.select(finite, biased - offset, e.const(0, form.bits)).cast(i32)


exponent = define(Op(
    "exponent", "elementwise", "The i32 k with |x| / 2**k in [1/2, 1); 0 of zeros, infinities and NaN", _exponent_type,
    _exponent, NONDIFF, one_per_result, _exponent_lane,
))  # fmt: skip


# sin(pi x) / (pi x).
def _sinc_lane(e: Emitter, x: Lane) -> Lane:
    half = x * 0.5
    part = (half - e.unary("rint", half)) * 2.0  # x less the nearest even integer, exactly
    over = lm.sin(e, part * math.pi)
    flat = x.eq(0.0)
    return e.select(flat, e.const(1.0, x.dtype), over / e.select(flat, e.const(1.0, x.dtype), x * math.pi))


def _sinc_rule(g: Any, n: Any) -> Any:
    """(cos(pi x) - sinc(x)) / x; 0 at 0."""
    (x,) = n.inputs
    flat = apply(eq, x, zeros_like(x))
    safe = apply(where, flat, filled(x, 1.0, x.type), x)
    return apply(where, flat, zeros_like(g), g * (apply(cos, safe * math.pi) - n.output) / safe)


sinc = _of_one("sinc", "sin(pi x) / (pi x), 1 at 0", by_lanes(_sinc_lane), _sinc_lane, _sinc_rule, "special.sinc")
