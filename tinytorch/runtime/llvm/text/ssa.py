"""Virtual registers, and the instructions that compute with them: arithmetic, conversions and lanes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tinytorch.runtime.llvm.text.types import I1, I64, PTR, LLType


class Declarations(Protocol):
    """Where a function declares the intrinsics that it calls."""

    def declare(self, name: str, ret: LLType, params: Sequence[LLType]) -> None: ...


class Register:
    """A virtual register of a function, or a constant; `literal` is set where it is a known constant.

    Operators take Registers of the same type or Python numbers. On integers `//` and `%` are unsigned, since they
    serve index arithmetic, and `>>` is logical; the signed forms are `Instructions.binary`'s `sdiv`, `srem`, `ashr`.
    """

    __slots__ = ("fn", "literal", "ref", "type")

    def __init__(self, ref: str, type: LLType, fn: Instructions, literal: float | None = None) -> None:
        self.ref = ref
        self.type = type
        self.fn = fn
        self.literal = literal

    def __repr__(self) -> str:
        return f"{self.type} {self.ref}"

    def _op(self, integer: str, float_: str, other: Register | float, swap: bool = False) -> Register:
        right = other if isinstance(other, Register) else self.fn.const(other, self.type)
        name = float_ if self.type.is_float else integer
        return self.fn.binary(name, right, self) if swap else self.fn.binary(name, self, right)

    def __add__(self, other: Register | float) -> Register:
        return self._op("add", "fadd", other)

    def __radd__(self, other: float) -> Register:
        return self._op("add", "fadd", other, swap=True)

    def __sub__(self, other: Register | float) -> Register:
        return self._op("sub", "fsub", other)

    def __rsub__(self, other: float) -> Register:
        return self._op("sub", "fsub", other, swap=True)

    def __mul__(self, other: Register | float) -> Register:
        return self._op("mul", "fmul", other)

    def __rmul__(self, other: float) -> Register:
        return self._op("mul", "fmul", other, swap=True)

    def __truediv__(self, other: Register | float) -> Register:
        return self._op("sdiv", "fdiv", other)

    def __rtruediv__(self, other: float) -> Register:
        return self._op("sdiv", "fdiv", other, swap=True)

    def __floordiv__(self, other: Register | int) -> Register:
        return self._op("udiv", "fdiv", other)

    def __mod__(self, other: Register | int) -> Register:
        return self._op("urem", "frem", other)

    def __and__(self, other: Register | int) -> Register:
        return self._op("and", "and", other)

    def __or__(self, other: Register | int) -> Register:
        return self._op("or", "or", other)

    def __xor__(self, other: Register | int) -> Register:
        return self._op("xor", "xor", other)

    def __lshift__(self, other: Register | int) -> Register:
        return self._op("shl", "shl", other)

    def __rshift__(self, other: Register | int) -> Register:
        return self._op("lshr", "lshr", other)


_NEUTRAL = {"add": 0, "sub": 0, "mul": 1, "udiv": 1}


def _fold(name: str, a: Register, b: Register) -> Register | int | None:
    """Index arithmetic that needs no instruction: on i64 constants, and with the neutral element."""
    x, y = a.literal, b.literal
    if y is not None and y == _NEUTRAL.get(name):
        return a
    if x is not None and name in ("add", "mul") and x == _NEUTRAL[name]:
        return b
    if not isinstance(x, int) or not isinstance(y, int):
        return None
    if name == "add":
        return x + y
    if name == "sub":
        return x - y
    if name == "mul":
        return x * y
    if name == "udiv" and x >= 0 and y > 0:
        return x // y
    if name == "urem" and x >= 0 and y > 0:
        return x % y
    return None


class Instructions:
    """The lines of one function: what computes on values without touching memory or control flow."""

    def __init__(self, module: Declarations) -> None:
        self._declarations = module
        self._lines: list[str] = []
        self._count = 0

    def fresh(self) -> str:
        """A new SSA name."""
        self._count += 1
        return f"%v{self._count}"

    def do(self, text: str) -> None:
        """Write an instruction without a result."""
        self._lines.append("  " + text)

    def op(self, text: str, type: LLType) -> Register:
        """Write an instruction with a result of `type`."""
        self._count += 1
        ref = f"%v{self._count}"
        self._lines.append(f"  {ref} = {text}")
        return Register(ref, type, self)

    # Constants and arithmetic

    def address(self, name: str) -> Register:
        """The address of a global or function of this module."""
        return Register(f"@{name}", PTR, self)

    def const(self, value: float, type: LLType = I64) -> Register:
        """`value` in every lane of `type`."""
        return Register(type.constant(value), type, self, value)

    def zero(self, type: LLType) -> Register:
        return Register("zeroinitializer" if type.lanes > 1 else type.constant(0), type, self, 0)

    def constants(self, values: Sequence[float], type: LLType) -> Register:
        """A vector constant with these lanes."""
        element = type.element
        inner = ", ".join(f"{element} {element.constant(v)}" for v in values)
        return Register(f"<{inner}>", type, self)

    def undefined(self, type: LLType) -> Register:
        return Register("poison", type, self)

    def value(self, value: Register | int, type: LLType = I64) -> Register:
        """A Register as it is, a number as a constant of `type`."""
        return value if isinstance(value, Register) else self.const(value, type)

    def binary(self, name: str, a: Register, b: Register) -> Register:
        """Any two-operand instruction by LLVM's name."""
        if a.type is I64:
            folded = _fold(name, a, b)
            if folded is not None:
                return self.value(folded)
        return self.op(f"{name} {a.type.text} {a.ref}, {b.ref}", a.type)

    def unary(self, name: str, a: Register) -> Register:
        """A one-operand overloaded intrinsic: `llvm.{name}.{type}`."""
        return self.intrinsic(name, [a])

    def count_trailing_zeros(self, a: Register) -> Register:
        """Of integers: the place of the lowest bit that is set; the width where none is."""
        return self.intrinsic("cttz", [a, self.const(0, I1)])

    def fneg(self, a: Register) -> Register:
        return self.op(f"fneg {a.type.text} {a.ref}", a.type)

    def fma(self, a: Register, b: Register, c: Register) -> Register:
        """The fused a*b + c; a target without the instruction would call libm, so ask `Target.has_fma` first."""
        return self.intrinsic("fma", [a, b, c])

    def intrinsic(self, name: str, args: Sequence[Register]) -> Register:
        """`llvm.{name}`, overloaded on the type of its first argument alone, which it returns."""
        type = args[0].type
        full = f"llvm.{name}.{type.mangled}"
        self._declarations.declare(full, type, [a.type for a in args])
        return self.op(f"call {type.text} @{full}({', '.join([f'{a.type.text} {a.ref}' for a in args])})", type)

    def compare(self, predicate: str, a: Register, b: Register) -> Register:
        """i1 lanes; `predicate` is LLVM's: `olt`, `une` for floats, `slt`, `ult`, `eq` for integers."""
        name = "fcmp" if a.type.is_float else "icmp"
        return self.op(f"{name} {predicate} {a.type.text} {a.ref}, {b.ref}", I1.widen(a.type.lanes))

    def select(self, condition: Register, a: Register, b: Register) -> Register:
        return self.op(f"select {condition.type} {condition.ref}, {a.type} {a.ref}, {b.type} {b.ref}", a.type)

    def convert(self, name: str, a: Register, type: LLType) -> Register:
        """A conversion by LLVM's name: `zext`, `sitofp`, `bitcast`, `ptrtoint` …; none where the type is the same."""
        if a.type is type:
            return a
        return self.op(f"{name} {a.type.text} {a.ref} to {type.text}", type)

    def bitcast(self, a: Register, type: LLType) -> Register:
        return self.convert("bitcast", a, type)

    # Lanes

    def splat(self, a: Register, lanes: int) -> Register:
        """A scalar in every lane."""
        if lanes == 1:
            return a
        type = a.type.widen(lanes)
        if a.literal is not None:
            return self.const(a.literal, type)
        first = self.op(f"insertelement {type.text} poison, {a.type.text} {a.ref}, i64 0", type)
        return self.op(
            f"shufflevector {type.text} {first.ref}, {type.text} poison, <{lanes} x i32> zeroinitializer", type
        )

    def iota(self, type: LLType) -> Register:
        """0, 1, 2 … in the lanes."""
        return self.constants(range(type.lanes), type) if type.lanes > 1 else self.const(0, type)

    def extract(self, a: Register, lane: Register | int) -> Register:
        if a.type.lanes == 1:
            return a
        return self.op(f"extractelement {a.type} {a.ref}, i64 {self.value(lane).ref}", a.type.element)

    def insert(self, a: Register, scalar: Register, lane: Register | int) -> Register:
        if a.type.lanes == 1:
            return scalar
        return self.op(
            f"insertelement {a.type} {a.ref}, {scalar.type} {scalar.ref}, i64 {self.value(lane).ref}", a.type
        )

    def shuffle(self, a: Register, b: Register | None, lanes: Sequence[int]) -> Register:
        """Lanes picked from a (0 …) and b (a's lane count …); -1 leaves a lane undefined."""
        picked = ", ".join(f"i32 {lane}" if lane >= 0 else "i32 poison" for lane in lanes)
        second = "poison" if b is None else b.ref
        return self.op(
            f"shufflevector {a.type} {a.ref}, {a.type} {second}, <{len(lanes)} x i32> <{picked}>",
            a.type.widen(len(lanes)),
        )

    def reduce(self, a: Register, combine: Callable[[Register, Register], Register]) -> Register:
        """Lanes combined as a balanced tree, so the rounding depends on the lane count alone."""
        while a.type.lanes > 1:
            half = a.type.lanes // 2
            if half == 1:
                a = combine(self.extract(a, 0), self.extract(a, 1))
            else:
                a = combine(self.shuffle(a, None, range(half)), self.shuffle(a, None, range(half, 2 * half)))
        return a
