"""What one lane of an elementwise op may do: the protocol between op definitions and code generation.

An op's `scalar` field writes its expression against these methods; the LLVM emitter turns it into vector
instructions, the numpy emitter (used by tests) evaluates it. Comparisons are IEEE: false on NaN, but for `ne`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tinytorch.ir.types import DType

Binary = Literal["add", "sub", "mul", "div", "rem", "min", "max", "and", "or", "xor", "shl", "lshr", "ashr"]
Unary = Literal["neg", "abs", "sqrt", "floor", "ceil", "trunc", "rint", "not"]
Predicate = Literal["eq", "ne", "lt", "le", "gt", "ge"]
Number = float | int | bool


class Emitter(Protocol):
    """Emits one instruction for all lanes. Operands have the same dtype unless said otherwise."""

    def const(self, value: Number, dtype: DType) -> Lane:
        """A constant; floats are rounded to `dtype`, integers wrap."""
        ...

    def binary(self, name: Binary, a: Lane, b: Lane) -> Lane:
        """Integers wrap; integer div and rem truncate (caller guards zero and overflow). min/max return NaN if
        either operand is NaN, and b where both are equal, as zeros of either sign are. and/or/xor also take bool;
        shifts take integers, amount < bits."""
        ...

    def unary(self, name: Unary, a: Lane) -> Lane:
        """neg and abs wrap on integers; rint rounds half to even; not is bitwise, logical on bool."""
        ...

    def fma(self, a: Lane, b: Lane, c: Lane) -> Lane:
        """a*b + c, rounded once where the target has the instruction."""
        ...

    def copysign(self, magnitude: Lane, sign: Lane) -> Lane: ...

    def compare(self, predicate: Predicate, a: Lane, b: Lane) -> Lane:
        """A bool lane."""
        ...

    def select(self, condition: Lane, a: Lane, b: Lane) -> Lane:
        """a where the bool lane is true, else b; no branch, both are evaluated."""
        ...

    def cast(self, a: Lane, dtype: DType) -> Lane:
        """Convert the value: float to int truncates and is undefined out of range (caller clamps);
        to bool is `!= 0`; between floats rounds to nearest even; integers sign- or zero-extend, or wrap."""
        ...

    def bitcast(self, a: Lane, dtype: DType) -> Lane:
        """Reinterpret the bits as a dtype of the same width."""
        ...


@dataclass(frozen=True, eq=False)
class Lane:
    """A value in each SIMD lane; operators take Lanes of the same dtype or Python numbers."""

    emitter: Emitter
    dtype: DType
    ref: Any  # what the emitter keeps: an SSA name, a numpy array

    def _other(self, other: Lane | Number) -> Lane:
        return other if isinstance(other, Lane) else self.emitter.const(other, self.dtype)

    def __add__(self, other: Lane | Number) -> Lane:
        return self.emitter.binary("add", self, self._other(other))

    def __sub__(self, other: Lane | Number) -> Lane:
        return self.emitter.binary("sub", self, self._other(other))

    def __mul__(self, other: Lane | Number) -> Lane:
        return self.emitter.binary("mul", self, self._other(other))

    def __truediv__(self, other: Lane | Number) -> Lane:
        return self.emitter.binary("div", self, self._other(other))

    def __radd__(self, other: Number) -> Lane:
        return self._other(other) + self

    def __rsub__(self, other: Number) -> Lane:
        return self._other(other) - self

    def __rmul__(self, other: Number) -> Lane:
        return self._other(other) * self

    def __rtruediv__(self, other: Number) -> Lane:
        return self._other(other) / self

    def __and__(self, other: Lane | Number) -> Lane:
        return self.emitter.binary("and", self, self._other(other))

    def __or__(self, other: Lane | Number) -> Lane:
        return self.emitter.binary("or", self, self._other(other))

    def __xor__(self, other: Lane | Number) -> Lane:
        return self.emitter.binary("xor", self, self._other(other))

    def __lshift__(self, other: Lane | Number) -> Lane:
        return self.emitter.binary("shl", self, self._other(other))

    def __rshift__(self, other: Lane | Number) -> Lane:
        """Logical shift: zeros come in; see `ashr` for the arithmetic one."""
        return self.emitter.binary("lshr", self, self._other(other))

    def ashr(self, other: Lane | Number) -> Lane:
        return self.emitter.binary("ashr", self, self._other(other))

    def __neg__(self) -> Lane:
        return self.emitter.unary("neg", self)

    def __invert__(self) -> Lane:
        return self.emitter.unary("not", self)

    def __lt__(self, other: Lane | Number) -> Lane:
        return self.emitter.compare("lt", self, self._other(other))

    def __le__(self, other: Lane | Number) -> Lane:
        return self.emitter.compare("le", self, self._other(other))

    def __gt__(self, other: Lane | Number) -> Lane:
        return self.emitter.compare("gt", self, self._other(other))

    def __ge__(self, other: Lane | Number) -> Lane:
        return self.emitter.compare("ge", self, self._other(other))

    def eq(self, other: Lane | Number) -> Lane:
        return self.emitter.compare("eq", self, self._other(other))

    def ne(self, other: Lane | Number) -> Lane:
        return self.emitter.compare("ne", self, self._other(other))

    def min(self, other: Lane | Number) -> Lane:
        return self.emitter.binary("min", self, self._other(other))

    def max(self, other: Lane | Number) -> Lane:
        return self.emitter.binary("max", self, self._other(other))

    def abs(self) -> Lane:
        return self.emitter.unary("abs", self)

    def cast(self, dtype: DType) -> Lane:
        return self.emitter.cast(self, dtype)

    def bitcast(self, dtype: DType) -> Lane:
        return self.emitter.bitcast(self, dtype)
