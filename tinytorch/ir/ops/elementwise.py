"""Elementwise ops: each is a numpy reference, a derivative, and one lane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.ir import lanemath as lm
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.lanes.numpy_emitter import by_lanes, larger, smaller
from tinytorch.ir.op import NONDIFF, Nondiff, Op, Precision, Rule, Spelled, apply, define
from tinytorch.ir.ops.core import computed_in_f32, filled, one_per_result, require_same, where, zeros_like
from tinytorch.ir.types import TensorType, bool_, i64

INTEGERS = ("int", "uint")


def _same(name: str, kinds: tuple[str, ...]) -> Any:
    def infer(*types: TensorType) -> TensorType:
        out = require_same(name, *types)
        if out.dtype.kind not in kinds:
            raise ShapeError(f"{name}: needs a dtype of kind {' or '.join(kinds)}, got {out.dtype}")
        return out

    return infer


def define_elementwise(
    name: str,
    doc: str,
    numpy: Any,
    lane: Any,
    vjp: tuple[Rule | None, ...] | Nondiff,
    *kinds: str,
    spelled: Spelled | None = None,
    autocast: Precision | None = None,
) -> Op:
    """An op whose operands and result have one type."""
    infer = _same(name, kinds or ("float", "int", "uint"))
    how = computed_in_f32(numpy)
    return define(
        Op(name, "elementwise", doc, infer, how, vjp, one_per_result, lane, spelled=spelled, autocast=autocast)
    )


# Of functions in steps, as rounding: their derivative is 0 almost everywhere.
_FLAT: tuple[Rule, ...] = (lambda g, n: zeros_like(g),)


def _number(like: Any, value: float) -> Any:
    return filled(like, value, like.type)


# Arithmetic. g is the cotangent of the result, n the application.
add = define_elementwise(
    "add", "a + b; of bools, a or b", np.add, lambda e, a, b: a | b if a.dtype.kind == "bool" else a + b,
    (lambda g, n: g, lambda g, n: g), "float", "int", "uint", "bool",
)  # fmt: skip
sub = define_elementwise("sub", "a - b", np.subtract, lambda e, a, b: a - b, (lambda g, n: g, lambda g, n: -g))
mul = define_elementwise(
    "mul", "a * b; of bools, a and b", np.multiply, lambda e, a, b: a & b if a.dtype.kind == "bool" else a * b,
    (lambda g, n: g * n.inputs[1], lambda g, n: g * n.inputs[0]), "float", "int", "uint", "bool",
)  # fmt: skip
div = define_elementwise(
    "div", "a / b of floats", np.divide, lambda e, a, b: a / b,
    (lambda g, n: g / n.inputs[1], lambda g, n: -g * n.output / n.inputs[1]), "float",
)  # fmt: skip
floordiv = define_elementwise(
    "floordiv", "floor(a / b); integers divided by zero give 0", np.floor_divide, lm.floordiv, _FLAT * 2
)


def _mod(a: Any, b: Any) -> Any:
    if a.dtype.kind != "f":
        return np.remainder(a, b)
    rest = np.asarray(np.fmod(a, b))
    wrong = (rest != 0) & ((rest < 0) != (b < 0))
    return np.add(rest, b, out=rest, where=wrong) if wrong.any() else rest


mod = define_elementwise(
    "mod", "a - floor(a / b) * b, with b's sign; zeros have a's sign, integers modulo zero give 0", _mod, lm.mod,
    (lambda g, n: g, lambda g, n: -g * apply(floordiv, *n.inputs)),
)  # fmt: skip
neg = define_elementwise("neg", "-x", np.negative, lambda e, x: -x, (lambda g, n: -g,))
abs_ = define_elementwise("abs", "|x|", np.abs, lambda e, x: x.abs(), (lambda g, n: g * apply(sign, n.inputs[0]),))


def _extremum_rules(loses: Callable[[Any, Any], Any]) -> tuple[Rule, Rule]:
    """The gradient goes to the operand that was chosen, half to each where they are equal, all to both at a NaN."""

    def rule(g: Any, own: Any, other: Any) -> Any:
        shared = apply(where, apply(eq, own, other), g * 0.5, g)
        return apply(where, loses(own, other), zeros_like(g), shared)

    return lambda g, n: rule(g, *n.inputs), lambda g, n: rule(g, *n.inputs[::-1])


maximum = define_elementwise(
    "maximum", "The larger, NaN if either is; b where both are equal", larger, lambda e, a, b: a.max(b),
    _extremum_rules(lambda own, other: apply(lt, own, other)),
    "float", "int", "uint", "bool",
)  # fmt: skip
minimum = define_elementwise(
    "minimum", "The smaller, NaN if either is; b where both are equal", smaller, lambda e, a, b: a.min(b),
    _extremum_rules(lambda own, other: apply(gt, own, other)),
    "float", "int", "uint", "bool",
)  # fmt: skip


def _sign(x: Any) -> Any:
    out = np.asarray(np.sign(x))
    nan = out != out
    if nan.any():
        out[nan] = 0
    return out


def _sign_lane(e: Emitter, x: Lane) -> Lane:
    one, zero = e.const(1, x.dtype), e.const(0, x.dtype)
    positive = e.select(x > 0, one, zero)
    return positive if x.dtype.kind == "uint" else e.select(x < 0, e.const(-1, x.dtype), positive)


sign = define_elementwise("sign", "-1, 0 or 1; 0 of NaN, as in PyTorch", _sign, _sign_lane, _FLAT)

# Functions of floats.
exp = define_elementwise(
    "exp", "e**x", np.exp, lm.exp, (lambda g, n: g * n.output,), "float", autocast="high"
)  # fmt: skip
expm1 = define_elementwise(
    "expm1", "e**x - 1", np.expm1, lm.expm1, (lambda g, n: g * (n.output + 1.0),), "float", autocast="high"
)
log = define_elementwise(
    "log", "Natural logarithm", np.log, lm.log, (lambda g, n: g / n.inputs[0],), "float", autocast="high"
)
log1p = define_elementwise(
    "log1p", "log(1 + x)", np.log1p, lm.log1p, (lambda g, n: g / (n.inputs[0] + 1.0),), "float", autocast="high"
)
sqrt = define_elementwise(
    "sqrt", "Square root", np.sqrt, lambda e, x: e.unary("sqrt", x), (lambda g, n: g * 0.5 / n.output,), "float"
)
rsqrt = define_elementwise(
    "rsqrt", "1 / sqrt(x)", lambda x: 1 / np.sqrt(x), lm.rsqrt,
    (lambda g, n: g * -0.5 * n.output * n.output * n.output,), "float", autocast="high",
)  # fmt: skip
tanh = define_elementwise(
    "tanh", "Hyperbolic tangent", np.tanh, lm.tanh, (lambda g, n: g * (1.0 - n.output * n.output),), "float"
)


def _sigmoid(x: Any) -> Any:
    """The plain formula, and exp(x) where exp(-x) overflows or nearly does, down to the subnormals."""
    out = np.asarray(1 / (np.exp(-x) + 1))
    low = x < (-85 if x.dtype == np.float32 else -700)
    if low.any():
        out[low] = np.exp(x[low])
    return out


sigmoid = define_elementwise(
    "sigmoid", "1 / (1 + exp(-x))", _sigmoid, lm.sigmoid, (lambda g, n: g * n.output * (1.0 - n.output),), "float"
)
erf = define_elementwise(
    "erf", "Error function, 2/sqrt(pi) * integral of exp(-t*t) from 0 to x", by_lanes(lm.erf), lm.erf,
    (lambda g, n: g * 1.1283791670955126 * apply(exp, -n.inputs[0] * n.inputs[0]),), "float",
)  # fmt: skip
sin = define_elementwise(
    "sin", "Sine, of radians", np.sin, lm.sin, (lambda g, n: g * apply(cos, n.inputs[0]),), "float"
)
cos = define_elementwise(
    "cos", "Cosine, of radians", np.cos, lm.cos, (lambda g, n: -g * apply(sin, n.inputs[0]),), "float"
)


def _pow_base(g: Any, n: Any) -> Any:
    """b a**(b - 1), and 0 for b = 0, where no power of -1 is taken, whose derivative at a = 0 would be NaN times 0."""
    a, b = n.inputs
    flat = apply(eq, b, zeros_like(b))
    rest = apply(pow_, a, apply(where, flat, b, b - 1.0))
    return apply(where, flat, zeros_like(g), g * b * rest)


def _pow_exponent(g: Any, n: Any) -> Any:
    """a**b * log(a), which is 0 at a = 0 for b >= 0."""
    a, b = n.inputs
    zero = zeros_like(a)
    flat = apply(eq, a, zero) & apply(ge, b, zero)
    safe = apply(where, flat, _number(a, 1.0), a)
    return apply(where, flat, zero, g * n.output * apply(log, safe))


def _pow(a: Any, b: Any) -> Any:
    if a.dtype.kind != "f":
        return _integer_pow(a, b)
    out = np.power(a, b)
    if (b.ndim == 0 or 0 in b.strides) and (b == 0.5).any():  # numpy takes a square root then, of -0.0 and -inf, too
        out = np.where(b == 0.5, np.where(np.isneginf(a), np.inf, np.where(a == 0, np.abs(a), out)), out)
    return out


def _integer_pow(a: Any, b: Any) -> Any:
    """By squaring, as kernels do; numpy refuses negative exponents."""
    out = np.where((b >= 0) | (a == 1), 1, np.where(a == -1, 1 - 2 * (b & 1), 0)).astype(a.dtype)
    base, rest = np.where(b > 0, a, 1).astype(a.dtype), np.maximum(b, 0)
    while rest.any():
        out = np.where(rest & 1, out * base, out)
        base, rest = base * base, rest >> 1
    return out


def _pow_lane(e: Emitter, a: Lane, b: Lane) -> Lane:
    if a.dtype.is_float:
        return lm.pow(e, a, b)
    one, zero = e.const(1, a.dtype), e.const(0, a.dtype)
    out, base = one, a
    for bit in range(a.dtype.bits - (a.dtype.kind == "int")):
        out = e.select((b & (1 << bit)).ne(0), out * base, out)
        base = base * base
    if a.dtype.kind == "uint":
        return out
    inverse = e.select(a.eq(1), one, e.select(a.eq(-1), one - ((b & 1) << 1), zero))
    return e.select(b < 0, inverse, out)


pow_ = define_elementwise(
    "pow", "a**b; integers wrap, and those with a negative exponent are rounded to zero", _pow, _pow_lane,
    (_pow_base, _pow_exponent), autocast="high",
)  # fmt: skip

# Rounding.
floor = define_elementwise(
    "floor", "Largest integer not above x", np.floor, lambda e, x: e.unary("floor", x), _FLAT, "float"
)
ceil = define_elementwise(
    "ceil", "Smallest integer not below x", np.ceil, lambda e, x: e.unary("ceil", x), _FLAT, "float"
)
trunc = define_elementwise(
    "trunc", "x without its fraction", np.trunc, lambda e, x: e.unary("trunc", x), _FLAT, "float"
)
rint = define_elementwise(
    "round", "Nearest integer, halves to even", np.rint, lambda e, x: e.unary("rint", x), _FLAT, "float"
)


# Comparison: false on NaN, but for ne.
def _comparison(name: str, doc: str, numpy: Any, lane: Any) -> Op:
    def infer(a: TensorType, b: TensorType) -> TensorType:
        return TensorType(bool_, require_same(name, a, b).shape)

    return define(Op(name, "elementwise", doc, infer, numpy, NONDIFF, one_per_result, lane))


eq = _comparison("eq", "a == b", np.equal, lambda e, a, b: a.eq(b))
ne = _comparison("ne", "a != b", np.not_equal, lambda e, a, b: a.ne(b))
lt = _comparison("lt", "a < b", np.less, lambda e, a, b: a < b)
le = _comparison("le", "a <= b", np.less_equal, lambda e, a, b: a <= b)
gt = _comparison("gt", "a > b", np.greater, lambda e, a, b: a > b)
ge = _comparison("ge", "a >= b", np.greater_equal, lambda e, a, b: a >= b)

# Logic, bitwise on integers.
_LOGIC = ("bool", "int", "uint")
and_ = define_elementwise("and", "a & b", np.bitwise_and, lambda e, a, b: a & b, NONDIFF, *_LOGIC)
or_ = define_elementwise("or", "a | b", np.bitwise_or, lambda e, a, b: a | b, NONDIFF, *_LOGIC)
xor = define_elementwise("xor", "a ^ b", np.bitwise_xor, lambda e, a, b: a ^ b, NONDIFF, *_LOGIC)
not_ = define_elementwise("not", "~x", np.invert, lambda e, x: ~x, NONDIFF, *_LOGIC)


def _shift(name: str, doc: str, numpy: Any, lane: Any, *, keeps_sign: bool = False) -> Op:
    """A shift. By a negative amount, or by the width or more, nothing is left of a but, if it is kept, its sign."""

    def evaluate(a: Any, b: Any) -> Any:
        last = a.dtype.itemsize * 8 - 1
        inside = (b >= 0) & (b <= last)
        if keeps_sign and a.dtype.kind == "i":
            return numpy(a, np.where(inside, b, last).astype(b.dtype))
        return np.where(inside, numpy(a, b & last), 0).astype(a.dtype)

    def emit(e: Emitter, a: Lane, b: Lane) -> Lane:
        last = a.dtype.bits - 1
        inside = (b >= 0) & (b <= last)
        if keeps_sign and a.dtype.kind == "int":
            return lane(a, e.select(inside, b, e.const(last, b.dtype)))
        return e.select(inside, lane(a, b & last), e.const(0, a.dtype))

    return define_elementwise(name, doc, evaluate, emit, NONDIFF, *INTEGERS)


def _arithmetic_right(a: Any, b: Any) -> Any:
    return a.ashr(b) if a.dtype.kind == "int" else a >> b


def _logical_right(a: Any, b: Any) -> Any:
    unsigned = np.dtype(f"u{a.dtype.itemsize}")
    return (a.astype(unsigned) >> b.astype(unsigned)).astype(a.dtype)


shift_left = _shift("shift_left", "a << b, 0 if b is not below the width", np.left_shift, lambda a, b: a << b)
shift_right = _shift(
    "shift_right", "a >> b, keeping the sign, which alone is left if b is not below the width", np.right_shift,
    _arithmetic_right, keeps_sign=True,
)  # fmt: skip
shift_right_logical = _shift(
    "shift_right_logical", "a >> b, zeros coming in; 0 if b is not below the width", _logical_right, lambda a, b: a >> b
)


# Indices in range.
def _index_type(x: TensorType, *, size: int, wrap: bool = True, what: str = "index") -> TensorType:
    if x.dtype != i64:
        raise ShapeError(f"an index must be i64 here, got {x.dtype}")
    return x


def _index_eval(x: Any, *, size: int, wrap: bool = True, what: str = "index") -> Any:
    bad = (x < (-size if wrap else 0)) | (x >= size)
    if bad.any():
        raise IndexError(f"{what} {x[bad].flat[0]} is out of range for size {size}")
    return np.where(x < 0, x + size, x)


checked_index = define(Op(
    name="checked_index", kind="elementwise",
    doc="Indices into an axis of `size`; negative ones count from its end if `wrap`, and are out of range if not. An "
    "error calls an index `what`.",
    infer=_index_type, eval=_index_eval, vjp=NONDIFF, flops=one_per_result,
    scalar=lambda e, x, *, size, wrap=True, what="": e.select(x < 0, x + size, x) if wrap else x,
    guard=lambda e, x, *, size, wrap=True, what="": (x < size) & (x >= (-size if wrap else 0)),
))  # fmt: skip


# Numbers that integers can stand for.
def _number_type(x: TensorType, *, what: str = "") -> TensorType:
    if not x.dtype.is_float:
        raise ShapeError(f"checked_number: needs a float dtype, got {x}")
    return x


def _number_eval(x: Any, *, what: str = "") -> Any:
    if (x != x).any():
        raise FloatingPointError(f"{what or 'checked_number'}: the input has NaN, which no integer stands for")
    return x


checked_number = define(Op(
    name="checked_number", kind="elementwise", doc="x, none of which may be NaN. An error begins with `what`.",
    infer=_number_type, eval=_number_eval, vjp=(lambda g, n: g,), flops=one_per_result,
    scalar=lambda e, x, *, what="": x, guard=lambda e, x, *, what="": x.eq(x),
))  # fmt: skip
