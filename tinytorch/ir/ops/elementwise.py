"""Elementwise ops: each is a numpy reference, a derivative, and one lane."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.ir import lanemath as lm
from tinytorch.ir.emitter import Emitter, Lane
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.numpy_emitter import by_lanes
from tinytorch.ir.op import NONDIFF, Nondiff, Op, Rule, apply, define
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


def _elementwise(name: str, doc: str, numpy: Any, lane: Any, vjp: tuple[Rule | None, ...] | Nondiff, *kinds: str) -> Op:
    """An op whose operands and result have one type."""
    infer = _same(name, kinds or ("float", "int", "uint"))
    return define(Op(name, "elementwise", doc, infer, computed_in_f32(numpy), vjp, one_per_result, lane))


def _number(like: Any, value: float) -> Any:
    return filled(like, value, like.type)


# Arithmetic. g is the cotangent of the result, n the application.
add = _elementwise(
    "add", "a + b; of bools, a or b", np.add, lambda e, a, b: a | b if a.dtype.kind == "bool" else a + b,
    (lambda g, n: g, lambda g, n: g), "float", "int", "uint", "bool",
)  # fmt: skip
sub = _elementwise("sub", "a - b", np.subtract, lambda e, a, b: a - b, (lambda g, n: g, lambda g, n: -g))
mul = _elementwise(
    "mul", "a * b; of bools, a and b", np.multiply, lambda e, a, b: a & b if a.dtype.kind == "bool" else a * b,
    (lambda g, n: g * n.inputs[1], lambda g, n: g * n.inputs[0]), "float", "int", "uint", "bool",
)  # fmt: skip
div = _elementwise(
    "div", "a / b of floats", np.divide, lambda e, a, b: a / b,
    (lambda g, n: g / n.inputs[1], lambda g, n: -g * n.output / n.inputs[1]), "float",
)  # fmt: skip
floordiv = _elementwise(
    "floordiv", "floor(a / b); integers divided by zero give 0", np.floor_divide, lm.floordiv, NONDIFF
)
mod = _elementwise(
    "mod", "a - floor(a / b) * b, with the sign of b", np.remainder, lm.mod,
    (lambda g, n: g, lambda g, n: -g * apply(floor, n.inputs[0] / n.inputs[1])),
)  # fmt: skip
neg = _elementwise("neg", "-x", np.negative, lambda e, x: -x, (lambda g, n: -g,))
abs_ = _elementwise("abs", "|x|", np.abs, lambda e, x: x.abs(), (lambda g, n: g * apply(sign, n.inputs[0]),))


def _extremum_rule(index: int) -> Rule:
    """The gradient goes to the operand that was chosen, half to each where they are equal."""

    def rule(g: Any, n: Any) -> Any:
        own, other = n.inputs[index], n.inputs[1 - index]
        half = apply(where, apply(eq, own, other), g * 0.5, zeros_like(g))
        return apply(where, apply(eq, own, n.output) & apply(ne, own, other), g, half)

    return rule


_EXTREMUM = (_extremum_rule(0), _extremum_rule(1))
maximum = _elementwise(
    "maximum",
    "The larger, NaN if either is",
    np.maximum,
    lambda e, a, b: a.max(b),
    _EXTREMUM,
    "float",
    "int",
    "uint",
    "bool",
)
minimum = _elementwise(
    "minimum",
    "The smaller, NaN if either is",
    np.minimum,
    lambda e, a, b: a.min(b),
    _EXTREMUM,
    "float",
    "int",
    "uint",
    "bool",
)


def _sign_lane(e: Emitter, x: Lane) -> Lane:
    one, zero = e.const(1, x.dtype), e.const(0, x.dtype)
    positive = e.select(x > 0, one, x if x.dtype.is_float else zero)  # x itself keeps NaN and the sign of zero
    return positive if x.dtype.kind == "uint" else e.select(x < 0, e.const(-1, x.dtype), positive)


sign = _elementwise("sign", "-1, 0 or 1; NaN of NaN", np.sign, _sign_lane, NONDIFF)

# Functions of floats.
exp = _elementwise("exp", "e**x", np.exp, lm.exp, (lambda g, n: g * n.output,), "float")
expm1 = _elementwise("expm1", "e**x - 1", np.expm1, lm.expm1, (lambda g, n: g * (n.output + 1.0),), "float")
log = _elementwise("log", "Natural logarithm", np.log, lm.log, (lambda g, n: g / n.inputs[0],), "float")
log1p = _elementwise("log1p", "log(1 + x)", np.log1p, lm.log1p, (lambda g, n: g / (n.inputs[0] + 1.0),), "float")
sqrt = _elementwise(
    "sqrt", "Square root", np.sqrt, lambda e, x: e.unary("sqrt", x), (lambda g, n: g * 0.5 / n.output,), "float"
)
rsqrt = _elementwise(
    "rsqrt", "1 / sqrt(x)", lambda x: 1 / np.sqrt(x), lm.rsqrt,
    (lambda g, n: g * -0.5 * n.output / n.inputs[0],), "float",
)  # fmt: skip
tanh = _elementwise(
    "tanh", "Hyperbolic tangent", np.tanh, lm.tanh, (lambda g, n: g * (1.0 - n.output * n.output),), "float"
)
erf = _elementwise(
    "erf", "Error function, 2/sqrt(pi) * integral of exp(-t*t) from 0 to x", by_lanes(lm.erf), lm.erf,
    (lambda g, n: g * 1.1283791670955126 * apply(exp, -n.inputs[0] * n.inputs[0]),), "float",
)  # fmt: skip
sin = _elementwise("sin", "Sine, of radians", np.sin, lm.sin, (lambda g, n: g * apply(cos, n.inputs[0]),), "float")
cos = _elementwise("cos", "Cosine, of radians", np.cos, lm.cos, (lambda g, n: -g * apply(sin, n.inputs[0]),), "float")


def _pow_base(g: Any, n: Any) -> Any:
    a, b = n.inputs
    return apply(where, apply(eq, b, zeros_like(b)), zeros_like(g), g * b * apply(pow_, a, b - 1.0))


def _pow_exponent(g: Any, n: Any) -> Any:
    """x**b * log(x), which is 0 at x = 0 for b > 0."""
    a, b = n.inputs
    zero = zeros_like(a)
    safe = apply(where, apply(eq, a, zero), _number(a, 1.0), a)
    return apply(where, apply(eq, a, zero) & apply(gt, b, zero), zero, g * n.output * apply(log, safe))


pow_ = _elementwise("pow", "a**b of floats", np.power, lm.pow, (_pow_base, _pow_exponent), "float")

# Rounding: zero derivative almost everywhere.
floor = _elementwise(
    "floor", "Largest integer not above x", np.floor, lambda e, x: e.unary("floor", x), NONDIFF, "float"
)
ceil = _elementwise("ceil", "Smallest integer not below x", np.ceil, lambda e, x: e.unary("ceil", x), NONDIFF, "float")
trunc = _elementwise("trunc", "x without its fraction", np.trunc, lambda e, x: e.unary("trunc", x), NONDIFF, "float")
rint = _elementwise(
    "round", "Nearest integer, halves to even", np.rint, lambda e, x: e.unary("rint", x), NONDIFF, "float"
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
and_ = _elementwise("and", "a & b", np.bitwise_and, lambda e, a, b: a & b, NONDIFF, *_LOGIC)
or_ = _elementwise("or", "a | b", np.bitwise_or, lambda e, a, b: a | b, NONDIFF, *_LOGIC)
xor = _elementwise("xor", "a ^ b", np.bitwise_xor, lambda e, a, b: a ^ b, NONDIFF, *_LOGIC)
not_ = _elementwise("not", "~x", np.invert, lambda e, x: ~x, NONDIFF, *_LOGIC)


def _shift(name: str, doc: str, numpy: Any, lane: Any) -> Op:
    """A shift whose amount is taken modulo the width, as the hardware does."""

    def evaluate(a: Any, b: Any) -> Any:
        return numpy(a, b & (a.dtype.itemsize * 8 - 1))

    def emit(e: Emitter, a: Lane, b: Lane) -> Lane:
        return lane(a, b & (a.dtype.bits - 1))

    return _elementwise(name, doc, evaluate, emit, NONDIFF, *INTEGERS)


def _logical_right(a: Any, b: Any) -> Any:
    unsigned = np.dtype(f"u{a.dtype.itemsize}")
    return (a.view(unsigned) >> b.astype(unsigned)).view(a.dtype)


shift_left = _shift("shift_left", "a << b", np.left_shift, lambda a, b: a << b)
shift_right = _shift(
    "shift_right",
    "a >> b, keeping the sign",
    np.right_shift,
    lambda a, b: a.ashr(b) if a.dtype.kind == "int" else a >> b,
)
shift_right_logical = _shift("shift_right_logical", "a >> b, zeros coming in", _logical_right, lambda a, b: a >> b)


# Indices in range.
def _index_type(x: TensorType, *, size: int, wrap: bool = True) -> TensorType:
    if x.dtype != i64:
        raise ShapeError(f"an index must be i64 here, got {x.dtype}")
    return x


def _index_eval(x: Any, *, size: int, wrap: bool = True) -> Any:
    bad = (x < (-size if wrap else 0)) | (x >= size)
    if bad.any():
        raise IndexError(f"index {x[bad].flat[0]} is out of range for size {size}")
    return np.where(x < 0, x + size, x)


checked_index = define(Op(
    name="checked_index", kind="elementwise",
    doc="Indices into an axis of `size`; negative ones count from its end if `wrap`, and are out of range if not.",
    infer=_index_type, eval=_index_eval, vjp=NONDIFF, flops=one_per_result,
    scalar=lambda e, x, *, size, wrap=True: e.select(x < 0, x + size, x) if wrap else x,
    guard=lambda e, x, *, size, wrap=True: (x < size) & (x >= (-size if wrap else 0)),
))  # fmt: skip
