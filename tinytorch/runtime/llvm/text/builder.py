"""A builder of LLVM IR as text, in SSA form from the start.

Loops are functions that carry values, so the text needs no mem2reg, no loop rotation and no IR pass pipeline: it
goes straight to code generation. Only this file writes phi and getelementptr.

    module = Module()
    f = module.function("scale", [PTR, PTR, F32])
    source, target, factor = f.params
    vec = F32.widen(16)
    def body(i: Register) -> None:
        f.store(f.load(f.at(source, i * 4), vec) * f.splat(factor, 16), f.at(target, i * 4))
    f.loop(1024, [], body, step=16)
    f.ret()
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Literal

from tinytorch.runtime.llvm.text.ssa import Instructions, Register
from tinytorch.runtime.llvm.text.types import I1, I8, I32, I64, PTR, VOID, LLType

__all__ = ["Function", "Module", "Register"]

Body = Callable[..., "Sequence[Register] | None"]
Ordering = Literal["monotonic", "acquire", "release", "acq_rel", "seq_cst"]


class Function(Instructions):
    """A function being written. `params` are its arguments; finish with `ret`."""

    def __init__(
        self,
        module: Module,
        name: str,
        params: Sequence[LLType],
        ret: LLType,
        internal: bool,
        attributes: str,
    ) -> None:
        super().__init__(module)
        self.module = module
        self.name = name
        self.result = ret
        self.params = [Register(f"%p{i}", t, self) for i, t in enumerate(params)]
        self.internal = internal
        self._attributes = attributes
        self._entry: list[str] = []
        self._block = "entry"

    def _label(self) -> str:
        self._count += 1
        return f"b{self._count}"

    def _start(self, label: str) -> None:
        self._lines.append(f"{label}:")
        self._block = label

    def text(self) -> str:
        params = ", ".join(f"{p.type} {p.ref}" for p in self.params)
        linkage = "internal " if self.internal else ""
        head = f"define {linkage}{self.result} @{self.name}({params}) {self._attributes} {{\nentry:"
        return "\n".join([head, *self._entry, *self._lines, "}", ""])

    # Memory: every offset is in bytes

    def at(self, pointer: Register, offset: Register | int) -> Register:
        """`pointer` moved by `offset` bytes."""
        moved = self.value(offset)
        if moved.literal == 0:
            return pointer
        return self.op(f"getelementptr i8, ptr {pointer.ref}, i64 {moved.ref}", PTR)

    def lane_mask(self, lanes: int, live: Register | int) -> Register | None:
        """The first `live` lanes true; None where all are, so that no mask is needed."""
        if not isinstance(live, Register):
            if live >= lanes:
                return None
            return self.constants([lane < live for lane in range(lanes)], I1.widen(lanes))
        if lanes == 1:
            return self.compare("sgt", live, self.const(0, live.type))
        count = self.convert("trunc", live, I32) if live.type is I64 else live
        return self.compare("slt", self.iota(count.type.widen(lanes)), self.splat(count, lanes))

    def load(
        self,
        pointer: Register,
        type: LLType,
        offset: Register | int = 0,
        *,
        align: int = 0,
        mask: Register | None = None,
    ) -> Register:
        """Load from `pointer` + `offset`, aligned as one element unless said otherwise; masked-off lanes read 0."""
        where = self.at(pointer, offset)
        align = align or type.element_bytes
        if mask is None:
            return self.op(f"load {type.text}, ptr {where.ref}, align {align}", type)
        wide = type.widen(mask.type.lanes)
        if wide.lanes == 1:
            return self.if_(mask, lambda: [self.load(where, type)], lambda: [self.zero(type)])[0]
        name = f"llvm.masked.load.{wide.mangled}.p0"
        self.module.declare(name, wide, (PTR, mask.type, wide))
        zero = f"{wide.text} zeroinitializer"
        return self.op(
            f"call {wide.text} @{name}(ptr align {align} {where.ref}, {mask.type.text} {mask.ref}, {zero})", wide
        )

    def store(
        self,
        value: Register,
        pointer: Register,
        offset: Register | int = 0,
        *,
        align: int = 0,
        mask: Register | None = None,
        streaming: bool = False,
    ) -> None:
        """Store to `pointer` + `offset`; masked-off lanes are left alone. `streaming` bypasses the caches."""
        where = self.at(pointer, offset)
        align = align or value.type.element_bytes
        if mask is None:
            hint = ", !nontemporal !{i32 1}" if streaming else ""
            self.do(f"store {value.type.text} {value.ref}, ptr {where.ref}, align {align}{hint}")
            return
        if mask.type.lanes == 1:
            self.if_(mask, lambda: self.store(value, where))
            return
        if mask.ref == self.constants([lane == 0 for lane in range(mask.type.lanes)], mask.type).ref:
            # LLVM 22 stores four bytes for the one lane of a vector that was truncated to two-byte elements.
            self.store(self.extract(value, 0), where)
            return
        name = f"llvm.masked.store.{value.type.mangled}.p0"
        self.module.declare(name, VOID, (value.type, PTR, mask.type))
        self.do(
            f"call void @{name}({value.type.text} {value.ref}, ptr align {align} {where.ref}, "
            f"{mask.type.text} {mask.ref})"
        )

    def load_strided(
        self, pointer: Register, type: LLType, stride: int, offset: Register | int = 0, *, mask: Register | None = None
    ) -> Register:
        """Lanes `stride` bytes apart, for any sign; stride 0 is one load for all lanes."""
        where = self.at(pointer, offset)
        if type.lanes == 1 or stride == type.element_bytes:
            return self.load(where, type, mask=mask)
        if mask is not None:
            return self.gather(where, self._steps(type.lanes, stride), type, mask=mask)
        if stride == 0:
            return self.splat(self.load(where, type.element), type.lanes)
        result = self.undefined(type)
        for lane in range(type.lanes):
            result = self.insert(result, self.load(where, type.element, lane * stride), lane)
        return result

    def store_strided(
        self,
        value: Register,
        pointer: Register,
        stride: int,
        offset: Register | int = 0,
        *,
        mask: Register | None = None,
    ) -> None:
        """Lanes written `stride` bytes apart, in lane order."""
        where = self.at(pointer, offset)
        if value.type.lanes == 1 or stride == value.type.element_bytes:
            self.store(value, where, mask=mask)
        elif mask is not None:
            self.scatter(value, where, self._steps(value.type.lanes, stride), mask=mask)
        else:
            for lane in range(value.type.lanes):
                self.store(self.extract(value, lane), where, lane * stride)

    def _steps(self, lanes: int, stride: int) -> Register:
        return self.constants([lane * stride for lane in range(lanes)], I64.widen(lanes))

    def _pointers(self, base: Register, offsets: Register) -> Register:
        type = PTR.widen(offsets.type.lanes)
        return self.op(f"getelementptr i8, ptr {base.ref}, {offsets.type} {offsets.ref}", type)

    def gather(self, base: Register, offsets: Register, type: LLType, *, mask: Register | None = None) -> Register:
        """Each lane from `base` + its own i64 byte offset; masked-off lanes read 0."""
        if type.lanes == 1:
            return self.load(self.at(base, offsets), type, mask=mask)
        live = mask or self.const(1, I1.widen(type.lanes))
        pointers = self._pointers(base, offsets)
        name = f"llvm.masked.gather.{type.mangled}.{pointers.type.mangled}"
        self.module.declare(name, type, (pointers.type, live.type, type))
        return self.op(
            f"call {type} @{name}({pointers.type} align {type.element_bytes} {pointers.ref}, {live.type} {live.ref}, "
            f"{type} zeroinitializer)",
            type,
        )

    def scatter(self, value: Register, base: Register, offsets: Register, *, mask: Register | None = None) -> None:
        """Each lane to `base` + its own i64 byte offset; of equal offsets the last lane wins."""
        type = value.type
        if type.lanes == 1:
            self.store(value, self.at(base, offsets), mask=mask)
            return
        live = mask or self.const(1, I1.widen(type.lanes))
        pointers = self._pointers(base, offsets)
        name = f"llvm.masked.scatter.{type.mangled}.{pointers.type.mangled}"
        self.module.declare(name, VOID, (type, pointers.type, live.type))
        self.do(
            f"call void @{name}({value}, {pointers.type} align {type.element_bytes} {pointers.ref}, "
            f"{live.type} {live.ref})"
        )

    def alloca(self, bytes: int, align: int = 64) -> Register:
        """`bytes` of the stack frame, reserved once on entry."""
        ref = self.fresh()
        self._entry.append(f"  {ref} = alloca [{bytes} x i8], align {align}")
        return Register(ref, PTR, self)

    def prefetch(
        self, pointer: Register, offset: Register | int = 0, *, locality: int = 3, write: bool = False
    ) -> None:
        """Ask for a cache line; locality 3 is L1, 2 is L2, 1 is L3."""
        where = self.at(pointer, offset)
        self.module.declare("llvm.prefetch.p0", VOID, (PTR, I32, I32, I32))
        self.do(f"call void @llvm.prefetch.p0(ptr {where.ref}, i32 {int(write)}, i32 {locality}, i32 1)")

    def copy(self, target: Register, source: Register, bytes: Register | int) -> None:
        """memcpy."""
        self.call("llvm.memcpy.p0.p0.i64", [target, source, self.value(bytes), self.const(0, I1)])

    def fill(self, target: Register, byte: Register | int, bytes: Register | int) -> None:
        """memset."""
        self.call("llvm.memset.p0.i64", [target, self.value(byte, I8), self.value(bytes), self.const(0, I1)])

    # Atomics

    def atomic_load(self, pointer: Register, type: LLType, ordering: Ordering = "acquire") -> Register:
        return self.op(f"load atomic {type}, ptr {pointer.ref} {ordering}, align {type.bytes}", type)

    def atomic_store(self, value: Register, pointer: Register, ordering: Ordering = "release") -> None:
        self.do(f"store atomic {value}, ptr {pointer.ref} {ordering}, align {value.type.bytes}")

    def atomic_rmw(self, name: str, pointer: Register, value: Register, ordering: Ordering = "acq_rel") -> Register:
        """The old value; `name` is LLVM's: `add`, `xchg`, `and` …"""
        return self.op(f"atomicrmw {name} ptr {pointer.ref}, {value} {ordering}", value.type)

    def compare_exchange(
        self, pointer: Register, expected: Register, new: Register, ordering: Ordering = "acq_rel"
    ) -> tuple[Register, Register]:
        """(the old value, i1: exchanged)."""
        pair = f"{{ {expected.type}, i1 }}"
        both = self.op(f"cmpxchg ptr {pointer.ref}, {expected}, {new} {ordering} monotonic", expected.type)
        old = self.op(f"extractvalue {pair} {both.ref}, 0", expected.type)
        return old, self.op(f"extractvalue {pair} {both.ref}, 1", I1)

    def fence(self, ordering: Ordering = "seq_cst") -> None:
        self.do(f"fence {ordering}")

    # Calls and control flow

    def call(self, callee: Function | str, args: Sequence[Register], ret: LLType = VOID) -> Register:
        """Call a function of this module, or by name an external one or an intrinsic that returns `ret`."""
        if isinstance(callee, Function):
            name, ret = callee.name, callee.result
        else:
            name = callee
            self.module.declare(name, ret, tuple(a.type for a in args))
        return self._call(f"@{name}", args, ret)

    def call_pointer(self, pointer: Register, args: Sequence[Register], ret: LLType = VOID) -> Register:
        """Call the function at an address."""
        return self._call(pointer.ref, args, ret)

    def _call(self, callee: str, args: Sequence[Register], ret: LLType) -> Register:
        text = f"call {ret.text} {callee}({', '.join([f'{a.type.text} {a.ref}' for a in args])})"
        if ret is not VOID:
            return self.op(text, ret)
        self.do(text)
        return Register("void", VOID, self)

    def ret(self, value: Register | None = None) -> None:
        self.do("ret void" if value is None else f"ret {value}")

    def ret_if(self, condition: Register) -> None:
        """Return from a function without a result where the condition holds; go on where it does not."""
        leave, stay = self._label(), self._label()
        self.do(f"br i1 {condition.ref}, label %{leave}, label %{stay}")
        self._start(leave)
        self.ret()
        self._start(stay)

    def loop(
        self,
        stop: Register | int,
        carried: Sequence[Register],
        body: Body,
        *,
        start: Register | int = 0,
        step: int = 1,
    ) -> list[Register]:
        """`for i in range(start, stop, step): carried = body(i, *carried)`; the last carried values.

        Bounds known here make a rotated loop without an entry test; one trip is straight-line code with a constant
        index, none emits nothing. Bounds known at run time are tested once before the first trip.
        """
        first, last = self.value(start), self.value(stop)
        static = isinstance(first.literal, int) and isinstance(last.literal, int)
        if isinstance(first.literal, int) and isinstance(last.literal, int):
            trips = -(-(last.literal - first.literal) // step)
            if trips <= 0:
                return list(carried)
            if trips == 1:
                return list(body(first, *carried) or ())
        before, head, done = self._block, self._label(), self._label()
        if static:
            self.do(f"br label %{head}")
        else:
            self.do(f"br i1 {self.compare('slt', first, last).ref}, label %{head}, label %{done}")
        self._start(head)
        index = Register(self.fresh(), I64, self)
        phis = [Register(self.fresh(), c.type, self) for c in carried]
        place = len(self._lines)
        results = list(body(index, *phis) or ())
        following = index + step
        back = self._block
        self._lines[place:place] = [
            f"  {phi.ref} = phi {phi.type} [{c.ref}, %{before}], [{r.ref}, %{back}]"
            for phi, c, r in zip([index, *phis], [first, *carried], [following, *results], strict=True)
        ]
        again = self.compare("slt", following, last)
        self.do(f"br i1 {again.ref}, label %{head}, label %{done}")
        self._start(done)
        return results if static else self._join(carried, before, results, back)

    def _join(self, a: Iterable[Register], from_a: str, b: Iterable[Register], from_b: str) -> list[Register]:
        return [
            self.op(f"phi {x.type} [{x.ref}, %{from_a}], [{y.ref}, %{from_b}]", x.type)
            for x, y in zip(a, b, strict=True)
        ]

    def while_(
        self,
        carried: Sequence[Register],
        condition: Callable[..., Register],
        body: Body,
    ) -> list[Register]:
        """`while condition(*carried): carried = body(*carried)`; the carried values that ended it."""
        before, head, inside, done = self._block, self._label(), self._label(), self._label()
        self.do(f"br label %{head}")
        self._start(head)
        phis = [Register(self.fresh(), c.type, self) for c in carried]
        place = len(self._lines)
        self.do(f"br i1 {condition(*phis).ref}, label %{inside}, label %{done}")
        self._start(inside)
        results = body(*phis) or ()
        self._lines[place:place] = [
            f"  {phi.ref} = phi {phi.type} [{c.ref}, %{before}], [{r.ref}, %{self._block}]"
            for phi, c, r in zip(phis, carried, results, strict=True)
        ]
        self.do(f"br label %{head}")
        self._start(done)
        return phis

    def if_(
        self,
        condition: Register,
        then: Callable[[], Sequence[Register] | None],
        otherwise: Callable[[], Sequence[Register] | None] | None = None,
    ) -> list[Register]:
        """Branch; both sides give values of the same types, which are joined."""
        on_true, on_false, done = self._label(), self._label(), self._label()
        self.do(f"br i1 {condition.ref}, label %{on_true}, label %{on_false}")
        self._start(on_true)
        first = then() or ()
        from_true = self._block
        self.do(f"br label %{done}")
        self._start(on_false)
        second = (otherwise() if otherwise is not None else None) or ()
        from_false = self._block
        self.do(f"br label %{done}")
        self._start(done)
        return self._join(first, from_true, second, from_false)


class Module:
    """Functions, declarations and constants that become one object file.

    `attributes` go on every function: `Target.attributes` makes LLVM use the vectors that the code was written for.
    """

    def __init__(self, attributes: str = "nounwind") -> None:
        self.attributes = attributes
        self.functions: list[Function] = []
        self._declarations: dict[str, str] = {}
        self._globals: dict[str, str] = {}
        self._shared: dict[Hashable, Function] = {}
        self._names = 0

    def function(
        self,
        name: str,
        params: Sequence[LLType],
        ret: LLType = VOID,
        *,
        internal: bool = False,
        noinline: bool = False,
    ) -> Function:
        """A new function. Internal ones are seen by this module alone."""
        attributes = self.attributes + (" noinline" if noinline else "")
        function = Function(self, name, params, ret, internal, attributes)
        self.functions.append(function)
        return function

    def shared(self, key: Hashable, build: Callable[[str], Function]) -> Function:
        """The function that `build(name)` wrote for `key`, written on the first request only."""
        if key not in self._shared:
            self._names += 1  # counted before building, for the build may ask for more shared functions
            self._shared[key] = build(f"shared{self._names}")
        return self._shared[key]

    def hide_all_but(self, shown: Collection[str]) -> None:
        """Let no functions be seen outside of this module but those of these names."""
        for function in self.functions:
            function.internal = function.name not in shown

    def declare(self, name: str, ret: LLType, params: Sequence[LLType]) -> None:
        if name not in self._declarations:
            self._declarations[name] = f"declare {ret} @{name}({', '.join(map(str, params))})"

    def constant(self, name: str, text: str) -> None:
        """A constant global: `text` is its LLVM type and initialiser. Read it through `Function.address`."""
        self._globals[name] = f"@{name} = internal constant {text}"

    def text(self) -> str:
        defined = {f.name for f in self.functions}
        declarations = [text for name, text in self._declarations.items() if name not in defined]
        return "\n".join([*self._globals.values(), *declarations, *(f.text() for f in self.functions)])
