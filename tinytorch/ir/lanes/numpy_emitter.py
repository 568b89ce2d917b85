"""The Emitter protocol on numpy arrays: evaluates a lane expression, one instruction at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.ir.lanes.emitter import Binary, Lane, Number, Predicate, Unary
from tinytorch.ir.op import Array
from tinytorch.ir.types import DType, bool_, dtype_of, f64


def _second_of_equals(function: Any) -> Callable[[Array, Array], Array]:
    """numpy's maximum or minimum, with the second operand where both are equal: the sign of zero then is what x86's
    instructions give. numpy leaves it to the processor, so it is repaired where that does something else."""
    zeros = np.zeros(37)
    pairs = [(zeros.astype(t), -zeros.astype(t)) for t in (np.float32, np.float64)]
    if all(np.signbit(function(a, b)).all() and not np.signbit(function(b, a)).any() for a, b in pairs):
        return function

    def repaired(a: Array, b: Array) -> Array:
        return np.where(np.equal(a, b), b, function(a, b))

    return repaired


larger, smaller = _second_of_equals(np.maximum), _second_of_equals(np.minimum)

_BINARY: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "min": smaller, "max": larger,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "shl": np.left_shift, "ashr": np.right_shift,
}  # fmt: skip
_UNARY: dict[str, Any] = {
    "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc,
    "rint": np.rint, "not": np.invert,
}  # fmt: skip
_COMPARE: dict[str, Any] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip


class NumpyEmitter:
    """Lanes are numpy arrays. `fused` says whether the target has a fused multiply-add."""

    def __init__(self, fused: bool = True) -> None:
        self.fused = fused

    def lane(self, array: Array) -> Lane:
        return Lane(self, dtype_of(array.dtype), array)

    def const(self, value: Number, dtype: DType) -> Lane:
        if dtype.kind in ("int", "uint"):
            wrapped = int(value) & ((1 << dtype.bits) - 1)
            return Lane(self, dtype, np.array(wrapped, f"u{dtype.size}").view(dtype.numpy))
        with np.errstate(all="ignore"):
            return Lane(self, dtype, np.array(value).astype(dtype.numpy))

    def binary(self, name: Binary, a: Lane, b: Lane) -> Lane:
        assert a.dtype == b.dtype, (name, a.dtype, b.dtype)
        with np.errstate(all="ignore"):
            return Lane(self, a.dtype, self._binary(name, a, b).astype(a.dtype.numpy))

    def _binary(self, name: Binary, a: Lane, b: Lane) -> Array:
        x, y = np.asarray(a.ref), np.asarray(b.ref)
        if name == "lshr":
            unsigned = np.dtype(f"u{a.dtype.size}")
            return (x.view(unsigned) >> y.view(unsigned)).view(a.dtype.numpy)
        if name == "rem":
            return np.fmod(x, y)
        if name == "div" and not a.dtype.is_float:
            assert np.all(y != 0), "integer division by zero traps"
            return np.where((x % y != 0) & ((x < 0) != (y < 0)), x // y + 1, x // y)
        return np.divide(x, y) if name == "div" else _BINARY[name](x, y)

    def unary(self, name: Unary, a: Lane) -> Lane:
        with np.errstate(all="ignore"):
            return Lane(self, a.dtype, _UNARY[name](a.ref))

    def fma(self, a: Lane, b: Lane, c: Lane) -> Lane:
        assert a.dtype == b.dtype == c.dtype
        if not self.fused:
            return a * b + c
        with np.errstate(all="ignore"):
            if a.dtype == f64:
                return Lane(self, f64, _fma64(*np.broadcast_arrays(a.ref, b.ref, c.ref)))
            x, y, z = (np.asarray(v.ref).astype(np.float64) for v in (a, b, c))
            return Lane(self, a.dtype, (x * y + z).astype(a.dtype.numpy))

    def copysign(self, magnitude: Lane, sign: Lane) -> Lane:
        return Lane(self, magnitude.dtype, np.copysign(magnitude.ref, sign.ref).astype(magnitude.dtype.numpy))

    def compare(self, predicate: Predicate, a: Lane, b: Lane) -> Lane:
        assert a.dtype == b.dtype
        with np.errstate(all="ignore"):
            return Lane(self, bool_, _COMPARE[predicate](a.ref, b.ref))

    def select(self, condition: Lane, a: Lane, b: Lane) -> Lane:
        assert condition.dtype == bool_ and a.dtype == b.dtype
        return Lane(self, a.dtype, np.where(condition.ref, a.ref, b.ref))

    def cast(self, a: Lane, dtype: DType) -> Lane:
        with np.errstate(all="ignore"):
            return Lane(self, dtype, np.asarray(a.ref).astype(dtype.numpy))

    def bitcast(self, a: Lane, dtype: DType) -> Lane:
        assert a.dtype.bits == dtype.bits
        return Lane(self, dtype, np.ascontiguousarray(a.ref).reshape(np.shape(a.ref)).view(dtype.numpy))


def evaluate(function: Callable[..., Lane], *arrays: Array, fused: bool = True) -> Array:
    """`function(emitter, *lanes)` on whole arrays."""
    emitter = NumpyEmitter(fused)
    result: Any = function(emitter, *(emitter.lane(np.atleast_1d(a)) for a in arrays)).ref
    return np.asarray(result).reshape(np.broadcast_shapes(*(a.shape for a in arrays)))


def by_lanes(function: Callable[..., Lane], fused: bool = True) -> Callable[..., Array]:
    """The numpy function that a lane expression defines. Not `fused`, each multiply-add of f64 takes two passes
    instead of twenty."""
    return lambda *arrays, **attrs: evaluate(functools.partial(function, **attrs), *arrays, fused=fused)


def _fma64(a: Array, b: Array, c: Array) -> Array:
    """a*b + c of doubles, rounded once: products of half-width parts are exact in 80-bit floats."""
    plain = a * b + c
    wide = np.longdouble
    low = np.int64(-(1 << 27))
    a_hi, b_hi = ((x.view(np.int64) & low).view(np.float64) for x in (np.ascontiguousarray(a), np.ascontiguousarray(b)))
    a_lo, b_lo = (a - a_hi).astype(wide), (b - b_hi).astype(wide)
    a_hi, b_hi = a_hi.astype(wide), b_hi.astype(wide)
    total, rest = c.astype(wide), np.zeros(c.shape, wide)
    for part in (a_hi * b_hi, a_hi * b_lo + a_lo * b_hi, a_lo * b_lo):
        grown = total + part
        back = grown - total
        rest += (total - (grown - back)) + (part - back)
        total = grown
    exact = (total + rest).astype(np.float64)
    # zeros, infinities and NaN follow the plain rules
    return np.where(np.isfinite(plain) & np.isfinite(exact) & (exact != 0), exact, plain)
