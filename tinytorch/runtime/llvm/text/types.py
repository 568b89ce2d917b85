"""LLVM's types as the builder writes them: scalars, and vectors of them."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable

import ml_dtypes
import numpy as np

from tinytorch.ir.types import DType

_SIZES = {"float": 4, "double": 8, "half": 2, "bfloat": 2, "ptr": 8, "void": 0, "token": 0}
_MANGLED = {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16", "ptr": "p0"}
_ELEMENTS = {"f64": "double", "f32": "float", "f16": "half", "bf16": "bfloat"}


class LLType:
    """A scalar type, or a vector of `lanes` > 1 of them. Interned: compare with `is` or `==`."""

    __slots__ = ("is_float", "lanes", "scalar", "text")

    def __init__(self, scalar: str, lanes: int) -> None:
        self.scalar = scalar
        self.lanes = lanes
        self.text = scalar if lanes == 1 else f"<{lanes} x {scalar}>"
        self.is_float = scalar in ("float", "double", "half", "bfloat")

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    @property
    def element(self) -> LLType:
        return vector(self.scalar, 1)

    @property
    def bits(self) -> int:
        """Bits of one lane."""
        return int(self.scalar[1:]) if self.scalar[0] == "i" else _SIZES[self.scalar] * 8

    @property
    def element_bytes(self) -> int:
        """Bytes of one lane in memory."""
        return (self.bits + 7) // 8

    @property
    def bytes(self) -> int:
        return self.element_bytes * self.lanes

    @property
    def mangled(self) -> str:
        """The suffix that names this type in an overloaded intrinsic: `v16f32`."""
        name = _MANGLED.get(self.scalar, self.scalar)
        return name if self.lanes == 1 else f"v{self.lanes}{name}"

    def widen(self, lanes: int) -> LLType:
        """The same lane type, `lanes` of them."""
        return vector(self.scalar, lanes)

    def constant(self, value: float) -> str:
        """`value` in every lane, as text; floats are rounded to the type, integers wrap."""
        text = _scalar_constant(self.scalar, value)
        return text if self.lanes == 1 else f"splat ({self.scalar} {text})"


@functools.cache
def vector(scalar: str, lanes: int) -> LLType:
    """The one LLType of this scalar and lane count."""
    return LLType(scalar, lanes)


VOID, PTR = vector("void", 1), vector("ptr", 1)
I1, I8, I16, I32, I64 = (vector(f"i{bits}", 1) for bits in (1, 8, 16, 32, 64))
F32, F64, BF16 = (vector(name, 1) for name in ("float", "double", "bfloat"))


def memory_type(dtype: DType, lanes: int = 1) -> LLType:
    """What `lanes` elements of `dtype` are in memory; a bool is a byte."""
    return vector(_ELEMENTS.get(dtype.name) or f"i{dtype.bits}", lanes)


def _float_bits(value: float) -> str:
    with np.errstate(over="ignore"):
        rounded = float(np.float32(value))
    return f"0x{struct.unpack('Q', struct.pack('d', rounded))[0]:016X}"


def _double_bits(value: float) -> str:
    return f"0x{struct.unpack('Q', struct.pack('d', value))[0]:016X}"


def _half_bits(value: float) -> str:
    with np.errstate(over="ignore"):
        return f"0xH{int(np.float16(value).view(np.uint16)):04X}"


def _bfloat_bits(value: float) -> str:
    return f"0xR{int(np.asarray(value, ml_dtypes.bfloat16).view(np.uint16)):04X}"


_FLOAT_TEXT: dict[str, Callable[[float], str]] = {
    "float": _float_bits,
    "double": _double_bits,
    "half": _half_bits,
    "bfloat": _bfloat_bits,
}


@functools.lru_cache(4096)
def _float_text(scalar: str, digits: str) -> str:
    return _FLOAT_TEXT[scalar](float.fromhex(digits))


def _scalar_constant(scalar: str, value: float) -> str:
    if scalar in _FLOAT_TEXT:
        return _float_text(scalar, float(value).hex())  # 0.0 and -0.0 are equal, their digits are not
    if scalar == "i1":
        return "true" if value else "false"
    bits = int(scalar[1:])
    wrapped = int(value) & ((1 << bits) - 1)
    return str(wrapped - (1 << bits) if wrapped >> (bits - 1) else wrapped)
