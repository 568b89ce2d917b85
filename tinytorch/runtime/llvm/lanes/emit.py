"""LaneEmitter: op definitions written as vector instructions.

A Lane's `ref` is a Register with one element per SIMD lane:

- bool is `i1` lanes in registers, bytes 0 and 1 in memory;
- f16 and bf16 are carried as their bits, in `i16` lanes. Arithmetic on them goes through f32, and the conversions
  are LLVM's where the target has the instruction, integer arithmetic where LLVM would call a library;
- the other dtypes are themselves.
"""

from __future__ import annotations

import math
from typing import cast as static_cast

from tinytorch.ir.lanes.emitter import Binary, Lane, Number, Predicate, Unary
from tinytorch.ir.types import DType, bf16, bool_, f16, f32, f64, i64
from tinytorch.runtime.llvm.lanes import narrow_floats
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I8, I16, LLType, memory_type, vector

_INTEGER = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor", "shl": "shl"}
_FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "rem": "frem"}
_SIGNED = {"div": "sdiv", "rem": "srem", "lshr": "lshr", "ashr": "ashr"}
_UNSIGNED = {"div": "udiv", "rem": "urem", "lshr": "lshr", "ashr": "lshr"}
_FLOAT_PREDICATES = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}


def register_type(dtype: DType, lanes: int) -> LLType:
    """What `lanes` elements of `dtype` are in registers."""
    if dtype is bool_:
        return vector("i1", lanes)
    return I16.widen(lanes) if is_narrow(dtype) else memory_type(dtype, lanes)


def is_narrow(dtype: DType) -> bool:
    """Whether the dtype is a 16-bit float, which arithmetic widens to f32."""
    return dtype is f16 or dtype is bf16


class LaneEmitter:
    """Implements `tinytorch.ir.lanes.emitter.Emitter` in `fn` for `lanes` lanes (1: scalar code)."""

    def __init__(self, fn: Function, target: Target, lanes: int) -> None:
        self.fn = fn
        self.target = target
        self.lanes = lanes

    # Between Registers and Lanes

    def lane(self, value: Register, dtype: DType) -> Lane:
        """A Register of `register_type(dtype)` as a Lane; a scalar Register is splatted."""
        if value.type.lanes != self.lanes:
            value = self.fn.splat(value, self.lanes)
        return Lane(self, dtype, value)

    def value(self, lane: Lane) -> Register:
        """The Register behind a Lane of this emitter."""
        return static_cast(Register, lane.ref)

    def load(
        self, pointer: Register, dtype: DType, offset: Register | int = 0, *, mask: Register | None = None
    ) -> Lane:
        """Consecutive elements at `pointer` + `offset` bytes; masked-off lanes read 0."""
        return self.load_strided(pointer, dtype, 1, offset, mask=mask)

    def load_strided(
        self, pointer: Register, dtype: DType, stride: int, offset: Register | int = 0, *, mask: Register | None = None
    ) -> Lane:
        """Elements `stride` elements apart (any sign); stride 0 reads one element for all lanes, mask or not."""
        type = self._memory_type(dtype)
        if stride == 0:
            return self._from_memory(self.fn.splat(self.fn.load(pointer, type.element, offset), self.lanes), dtype)
        loaded = self.fn.load_strided(pointer, type, stride * dtype.size, offset, mask=mask)
        return self._from_memory(loaded, dtype)

    def gather(self, pointer: Register, dtype: DType, offsets: Register, *, mask: Register | None = None) -> Lane:
        """Each lane from `pointer` + its own i64 byte offset; masked-off lanes read 0."""
        return self._from_memory(self.fn.gather(pointer, offsets, self._memory_type(dtype), mask=mask), dtype)

    def store(self, lane: Lane, pointer: Register, offset: Register | int = 0, *, mask: Register | None = None) -> None:
        """Consecutive elements at `pointer` + `offset` bytes; masked-off lanes are left alone."""
        self.store_strided(lane, pointer, 1, offset, mask=mask)

    def store_strided(
        self, lane: Lane, pointer: Register, stride: int, offset: Register | int = 0, *, mask: Register | None = None
    ) -> None:
        """Elements `stride` elements apart (any sign but 0)."""
        value = self.value(lane)
        if lane.dtype is bool_:
            value = self.fn.convert("zext", value, I8.widen(self.lanes))
        self.fn.store_strided(value, pointer, stride * lane.dtype.size, offset, mask=mask)

    def _memory_type(self, dtype: DType) -> LLType:
        return I8.widen(self.lanes) if dtype is bool_ else register_type(dtype, self.lanes)

    def _from_memory(self, value: Register, dtype: DType) -> Lane:
        if dtype is bool_:
            value = self.fn.compare("ne", value, self.fn.zero(value.type))
        return Lane(self, dtype, value)

    # The Emitter protocol

    def const(self, value: Number, dtype: DType) -> Lane:
        type = register_type(dtype, self.lanes)
        if is_narrow(dtype):
            return Lane(self, dtype, self.fn.const(narrow_floats.bits_of(float(value), dtype), type))
        return Lane(self, dtype, self.fn.const(value if dtype.is_float else int(value), type))

    def binary(self, name: Binary, a: Lane, b: Lane) -> Lane:
        dtype = a.dtype
        if is_narrow(dtype):
            return self.cast(self.binary(name, self.cast(a, f32), self.cast(b, f32)), dtype)
        x, y = self.value(a), self.value(b)
        if name == "min" or name == "max":
            return Lane(self, dtype, self._extreme(name == "max", dtype, x, y))
        if dtype.is_float:
            return Lane(self, dtype, self.fn.binary(_FLOAT[name], x, y))
        table = _SIGNED if dtype.kind == "int" else _UNSIGNED
        return Lane(self, dtype, self.fn.binary(_INTEGER.get(name) or table[name], x, y))

    def _extreme(self, larger: bool, dtype: DType, a: Register, b: Register) -> Register:
        fn = self.fn
        if not dtype.is_float:
            side = "s" if dtype.kind == "int" else "u"
            return fn.select(fn.compare(f"{side}{'gt' if larger else 'lt'}", a, b), a, b)
        if _is_number(b) and b.literal != 0:  # a zero of a may be of the other sign, and comes first then
            a, b = b, a
        # x86's min and max, this select exactly, return the second operand where either is NaN.
        best = fn.select(fn.compare("ogt" if larger else "olt", a, b), a, b)
        return best if _is_number(a) else fn.select(fn.compare("uno", a, a), a, best)

    def unary(self, name: Unary, a: Lane) -> Lane:
        dtype = a.dtype
        if is_narrow(dtype):
            return self.cast(self.unary(name, self.cast(a, f32)), dtype)
        x = self.value(a)
        if name == "not":
            return Lane(self, dtype, x ^ (1 if dtype is bool_ else -1))
        if not dtype.is_float:
            return Lane(self, dtype, self._integer_unary(name, dtype, x))
        if name == "neg":
            return Lane(self, dtype, self.fn.fneg(x))
        if name == "abs":
            return Lane(self, dtype, self.fn.unary("fabs", x))
        if name == "sqrt" or self.target.has_round:
            return Lane(self, dtype, self.fn.unary("roundeven" if name == "rint" else name, x))
        return self._round(name, a)

    def _integer_unary(self, name: Unary, dtype: DType, x: Register) -> Register:
        negative = self.fn.zero(x.type) - x
        if name == "neg":
            return negative
        if name == "abs" and dtype.kind == "int":
            return self.fn.select(self.fn.compare("slt", x, self.fn.zero(x.type)), negative, x)
        return x

    def _round(self, name: Unary, a: Lane) -> Lane:
        """To an integral value without a rounding instruction; the sign of zero is kept."""
        magnitude = a.abs()
        # Adding 2**(precision-1) leaves no bits for a fraction, so the sum itself rounds to nearest even.
        shift = self.const(2.0 ** (23 if a.dtype is f32 else 52), a.dtype)
        nearest = magnitude + shift - shift
        if name == "trunc":
            nearest = self.select(nearest > magnitude, nearest - 1.0, nearest)
        elif name != "rint":
            nearest = self.copysign(nearest, a)
        if name == "floor":
            nearest = self.select(nearest > a, nearest - 1.0, nearest)
        elif name == "ceil":
            nearest = self.select(nearest < a, nearest + 1.0, nearest)
        return self.select(magnitude < shift, self.copysign(nearest, a), a)

    def fma(self, a: Lane, b: Lane, c: Lane) -> Lane:
        if is_narrow(a.dtype):
            wide = [self.cast(x, f32) for x in (a, b, c)]
            return self.cast(self.fma(*wide), a.dtype)
        if not a.dtype.is_float or not self.target.has_fma:
            return a * b + c
        return Lane(self, a.dtype, self.fn.fma(self.value(a), self.value(b), self.value(c)))

    def copysign(self, magnitude: Lane, sign: Lane) -> Lane:
        if is_narrow(magnitude.dtype):
            bits = (self.value(magnitude) & 0x7FFF) | (self.value(sign) & 0x8000)
            return Lane(self, magnitude.dtype, bits)
        value = self.fn.intrinsic("copysign", [self.value(magnitude), self.value(sign)])
        return Lane(self, magnitude.dtype, value)

    def compare(self, predicate: Predicate, a: Lane, b: Lane) -> Lane:
        if is_narrow(a.dtype):
            return self.compare(predicate, self.cast(a, f32), self.cast(b, f32))
        if a.dtype.is_float:
            name = _FLOAT_PREDICATES[predicate]
        elif predicate in ("eq", "ne"):
            name = predicate
        else:
            name = ("s" if a.dtype.kind == "int" else "u") + predicate
        return Lane(self, bool_, self.fn.compare(name, self.value(a), self.value(b)))

    def select(self, condition: Lane, a: Lane, b: Lane) -> Lane:
        return Lane(self, a.dtype, self.fn.select(self.value(condition), self.value(a), self.value(b)))

    def bitcast(self, a: Lane, dtype: DType) -> Lane:
        value = self.value(a)
        if a.dtype is bool_:
            value = self.fn.convert("zext", value, I8.widen(self.lanes))
        if dtype is bool_:
            return self._from_memory(self.fn.bitcast(value, I8.widen(self.lanes)), dtype)
        return Lane(self, dtype, self.fn.bitcast(value, register_type(dtype, self.lanes)))

    def cast(self, a: Lane, dtype: DType) -> Lane:
        source = a.dtype
        if source is dtype:
            return a
        if is_narrow(source):
            return self.cast(self._widen(a), dtype)
        if dtype is bool_:
            return self.compare("ne", a, self.const(0, source))
        if is_narrow(dtype):
            return self._narrow(a, dtype)
        type = register_type(dtype, self.lanes)
        return Lane(self, dtype, self.fn.convert(_conversion(source, dtype), self.value(a), type))

    def _widen(self, a: Lane) -> Lane:
        if a.dtype is bf16:
            return narrow_floats.from_bf16(self.fn, a)
        if self.target.has_half:
            half = self.fn.bitcast(self.value(a), vector("half", self.lanes))
            return Lane(self, f32, self.fn.convert("fpext", half, vector("float", self.lanes)))
        return narrow_floats.from_f16(self.fn, a)

    def _narrow(self, a: Lane, dtype: DType) -> Lane:
        if not a.dtype.is_float:
            a = narrow_floats.integer_to_odd(a) if a.dtype is i64 else a
            a = self.cast(a, f32 if a.dtype.bits <= 8 else f64)
        if a.dtype is f64:
            a = narrow_floats.round_to_odd(a)
        if dtype is bf16:
            return narrow_floats.to_bf16(self.fn, a)
        if self.target.has_half:
            half = self.fn.convert("fptrunc", self.value(a), vector("half", self.lanes))
            return Lane(self, dtype, self.fn.bitcast(half, I16.widen(self.lanes)))
        return narrow_floats.to_f16(self.fn, a)


def _is_number(value: Register) -> bool:
    """Whether the value is a constant other than NaN."""
    return value.literal is not None and not math.isnan(value.literal)


def _conversion(source: DType, dtype: DType) -> str:
    """LLVM's conversion between two dtypes that are neither 16-bit floats nor bool targets."""
    signed = source.kind == "int"
    if source.is_float and dtype.is_float:
        return "fptrunc" if dtype.bits < source.bits else "fpext"
    if source.is_float:
        return "fptosi" if dtype.kind == "int" else "fptoui"
    if dtype.is_float:
        return "sitofp" if signed else "uitofp"
    if source is bool_ or dtype.bits > source.bits:
        return "sext" if signed else "zext"
    return "trunc" if dtype.bits < source.bits else "bitcast"
