"""Division helpers: Python's floor division and modulo on integer and float lanes, and 1/sqrt."""

from __future__ import annotations

from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.types import f32, f64


def rsqrt(e: Emitter, x: Lane) -> Lane:
    """1 / sqrt(x); inf at 0 (with its sign), NaN below."""
    return 1.0 / e.unary("sqrt", x)


def floordiv(e: Emitter, a: Lane, b: Lane) -> Lane:
    """floor(a / b). Integers: division by zero gives 0, the lowest integer by -1 wraps. Floats: numpy's rule, exact
    where a - mod(a, b) is; a / b where b is 0."""
    if a.dtype.is_float:
        remainder = e.binary("rem", a, b)
        quotient = (a - remainder) / b
        quotient = e.select(_wrong_sign(remainder, b), quotient - 1.0, quotient)
        whole = e.unary("floor", quotient)
        whole = e.select(quotient - whole > 0.5, whole + 1.0, whole)
        ratio = a / b
        whole = e.select(quotient.eq(0.0), e.copysign(e.const(0.0, a.dtype), ratio), whole)
        return e.select(b.eq(0.0), ratio, whole)
    quotient, remainder = _truncated(e, a, b)
    if a.dtype.kind == "int":
        one, zero = e.const(1, a.dtype), e.const(0, a.dtype)
        quotient = quotient - e.select(_wrong_sign(remainder, b), one, zero)
    return e.select(b.eq(0), e.const(0, a.dtype), quotient)


def mod(e: Emitter, a: Lane, b: Lane) -> Lane:
    """a - b * floor(a / b), with the sign of b. Integers: 0 where b is 0. Floats: exact up to the one addition, zeros
    with the sign of a, NaN where b is 0 or a is infinite."""
    if a.dtype.is_float:
        remainder = e.binary("rem", a, b)
        return e.select(_wrong_sign(remainder, b), remainder + b, remainder)
    _, remainder = _truncated(e, a, b)
    if a.dtype.kind == "int":
        remainder = e.select(_wrong_sign(remainder, b), remainder + b, remainder)
    return e.select(b.eq(0), e.const(0, a.dtype), remainder)


def _wrong_sign(remainder: Lane, b: Lane) -> Lane:
    """Where truncation rounded up: a remainder that is not zero and has not b's sign."""
    return remainder.ne(0) & ((remainder < 0) ^ (b < 0))


def _truncated(e: Emitter, a: Lane, b: Lane) -> tuple[Lane, Lane]:
    """Integer quotient rounded toward zero and its remainder; by 1 where the division would trap."""
    one = e.const(1, a.dtype)
    unsafe = b.eq(0)
    if a.dtype.kind == "int":
        lowest = -(1 << (a.dtype.bits - 1))
        unsafe = unsafe | (a.eq(lowest) & b.eq(-1))
    divisor = e.select(unsafe, one, b)
    if a.dtype.bits == 64:
        quotient = e.binary("div", a, divisor)
    else:
        # A float with more bits than the operands truncates to the exact quotient, and divides in SIMD.
        wide = f32 if a.dtype.bits == 8 else f64
        quotient = (a.cast(wide) / divisor.cast(wide)).cast(a.dtype)
    return quotient, a - quotient * divisor
