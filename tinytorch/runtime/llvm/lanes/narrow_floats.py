"""f16 and bf16 from and to f32, in integer and f32 arithmetic that every target has.

All conversions are exact or round to nearest even, and keep NaN, infinity, subnormals and the sign of zero. On the
way to 16 bits an i64 becomes an f64, and an f64 an f32, rounded to odd, so that the value is rounded once in effect
(S. Boldo and G. Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd",
2008).
"""

from __future__ import annotations

from typing import cast as static_cast

import numpy as np

from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.ops.core import rounded
from tinytorch.ir.types import DType, bf16, f16, f32, f64, i32
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.types import I16, I32

_INFINITY = 0x7F800000  # in f32 bits
_SMALLEST_NORMAL_F16 = 0x38800000  # 2**-14 in f32 bits
_OVERFLOW_F16 = 0x47800000  # 2**16 in f32 bits; 65520 and above round to infinity by themselves
_REBIAS = (127 - 15) << 23


def bits_of(value: float, dtype: DType) -> int:
    """The bits of `value` rounded to f16 or bf16."""
    with np.errstate(over="ignore"):
        return int(rounded(value, dtype).view(np.uint16))


def from_bf16(fn: Function, a: Lane) -> Lane:
    """bf16 is the upper half of an f32."""
    return (_widened(fn, a) << 16).bitcast(f32)


def to_bf16(fn: Function, a: Lane) -> Lane:
    """Round an f32 to its upper half."""
    bits = a.bitcast(i32)
    # Half of the last place kept, or just below it where that place is even: a tie goes to even.
    rounded = bits + ((bits >> 16) & 1) + 0x7FFF
    quiet = bits | 0x400000  # a NaN whose payload lies in the lower half must not become infinity
    return _narrowed(fn, a.emitter.select(a.ne(a), quiet, rounded) >> 16, bf16)


def from_f16(fn: Function, a: Lane) -> Lane:
    """Move exponent and mantissa into place; a subnormal is its mantissa times 2**-24."""
    emitter = a.emitter
    bits = _widened(fn, a)
    sign = (bits & 0x8000) << 16
    magnitude = bits & 0x7FFF
    normal = (magnitude << 13) + _REBIAS
    special = (magnitude << 13) | _INFINITY
    subnormal = (magnitude.cast(f32) * 2.0**-24).bitcast(i32)
    result = emitter.select(magnitude >= 0x7C00, special, emitter.select(magnitude < 0x400, subnormal, normal))
    return (result | sign).bitcast(f32)


def to_f16(fn: Function, a: Lane) -> Lane:
    """Round an f32 to f16."""
    emitter = a.emitter
    bits = a.bitcast(i32)
    sign = (bits >> 16) & 0x8000
    magnitude = bits & 0x7FFFFFFF
    normal = (magnitude - _REBIAS + ((magnitude >> 13) & 1) + 0xFFF) >> 13
    # Adding 0.5 puts the last place of an f16 subnormal, 2**-24, at the end of the mantissa: the sum rounds.
    subnormal = (magnitude.bitcast(f32) + 0.5).bitcast(i32) - 0x3F000000
    finite = emitter.select(magnitude < _SMALLEST_NORMAL_F16, subnormal, normal)
    special = emitter.select(magnitude > _INFINITY, ((magnitude >> 13) & 0x3FF) | 0x7E00, emitter.const(0x7C00, i32))
    result = emitter.select(magnitude >= _OVERFLOW_F16, special, finite)
    return _narrowed(fn, result | sign, f16)


def round_to_odd(a: Lane) -> Lane:
    """An f64 as the f32 next to it towards zero, with the last bit set if that was not exact."""
    emitter = a.emitter
    near = a.cast(f32)
    back = near.cast(f64)
    bits = near.bitcast(i32)
    towards_zero = emitter.select(back.abs() > a.abs(), bits - 1, bits)
    inexact = (back < a) | (back > a)
    return emitter.select(inexact, towards_zero | 1, bits).bitcast(f32)


def integer_to_odd(a: Lane) -> Lane:
    """An i64 as one that an f64 holds: beyond 2**53 the last 12 bits go, and bit 12 says whether they were zeros."""
    emitter = a.emitter
    fits = (a < 1 << 53) & (a > -(1 << 53))
    sticky = emitter.select((a & 0xFFF).ne(0), emitter.const(0x1000, a.dtype), emitter.const(0, a.dtype))
    return emitter.select(fits, a, (a & ~0xFFF) | sticky)


def _widened(fn: Function, a: Lane) -> Lane:
    value = static_cast(Register, a.ref)
    return Lane(a.emitter, i32, fn.convert("zext", value, I32.widen(value.type.lanes)))


def _narrowed(fn: Function, a: Lane, dtype: DType) -> Lane:
    value = static_cast(Register, a.ref)
    return Lane(a.emitter, dtype, fn.convert("trunc", value, I16.widen(value.type.lanes)))
