"""Elements as unsigned integers in the same order, and the memory that a run of them is sorted in."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.ops.sorting import infinity_bits
from tinytorch.ir.types import DType
from tinytorch.runtime.arena import ALIGNMENT, aligned
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I32, I64, LLType


def ordered(fn: Function, bits: Register, dtype: DType, descending: bool) -> Register:
    """Lanes of `dtype`, as plain bits, as unsigned integers of the same width that are ordered as the elements are:
    see `order_keys`, which this is in lanes."""
    type, sign = bits.type, 1 << (dtype.bits - 1)
    keys = bits
    if dtype.kind == "int":
        keys = bits ^ sign
    elif dtype.is_float:
        negative = fn.compare("slt", bits, fn.const(0, type))
        keys = bits ^ fn.select(negative, fn.const(-1, type), fn.const(sign, type))
        magnitude = bits & (sign - 1)
        keys = fn.select(fn.compare("eq", magnitude, fn.const(0, type)), fn.const(sign, type), keys)
        is_nan = fn.compare("ugt", magnitude, fn.const(infinity_bits(dtype), type))
        keys = fn.select(is_nan, fn.const(-1, type), keys)
    return keys ^ -1 if descending else keys


@dataclass(frozen=True)
class Run:
    """The memory of a run of up to `capacity` keys: two halves, one of which the keys are read from while they go to
    the other, and counters. A half has the keys, then the number of each in its row."""

    dtype: DType
    capacity: int
    size: int  # of the row

    @property
    def key(self) -> LLType:
        return I64 if self.dtype.bits == 64 else I32

    @property
    def number(self) -> LLType:
        return I32 if self.size < 2**31 else I64

    @property
    def digits(self) -> int:
        """Bytes of a key."""
        return self.dtype.bits // 8

    def lanes(self, target: Target) -> int:
        """Keys in a vector."""
        return target.vector_bytes // self.key.bytes

    @property
    def numbers_at(self) -> int:
        """From the first key of a half to its first number; whole vectors may be read behind the last key."""
        return aligned(self.capacity * self.key.bytes) + ALIGNMENT

    @property
    def half_bytes(self) -> int:
        return self.numbers_at + aligned(self.capacity * self.number.bytes) + ALIGNMENT

    @property
    def counter_bytes(self) -> int:
        """Of the counters of all digits, and of ranks, which lie in the same place."""
        return 256 * self.digits * self.number.bytes

    @property
    def bytes(self) -> int:
        return 2 * self.half_bytes + self.counter_bytes
