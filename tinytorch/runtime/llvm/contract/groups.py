"""Products of bytes: k in groups of 2 or 4, each of which one instruction multiplies and adds up in an i32.

A group takes four bytes in packed operands: four elements for `vpdpbusd` (AVX-512 VNNI), which multiplies unsigned by
signed ones, or two widened to 16 bits for `pmaddwd` (all of x86). Neither saturates, unlike `pmaddubsw`: a group is
exact, and sums wrap. A missing element of the last group is 0.

`vpdpbusd` takes operands of one signedness after 128 is added to b, or subtracted from it: the product is then off by
128 times the sum of a's row, which the packed row has behind its groups, negated for the sums to begin with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tinytorch.ir.types import DType, i8, u8
from tinytorch.runtime.llvm.contract.layout import Product
from tinytorch.runtime.llvm.contract.pack import row_pitch
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I8, I16, I32, I64, PTR

GROUP_BYTES = 4
_ROWS = 8  # that repay packing b
_DEPTH = 16
_MULTIPLY_PAIRS = {
    4: "llvm.x86.sse2.pmadd.wd",
    8: "llvm.x86.avx2.pmadd.wd",
    16: "llvm.x86.avx512.pmaddw.d.512",
}


@dataclass(frozen=True)
class Groups:
    """How many elements are in a group, and the dtypes of the operands."""

    size: int
    left: DType
    right: DType

    @property
    def moves(self) -> bool:
        """Whether b is moved by 128."""
        return self.size == 4 and self.left is self.right

    def dot(self, fn: Function, total: Register, x: Register, y: Register) -> Register:
        """total + the products of groups x of a and y of b, lane by lane."""
        lanes = total.type.lanes
        if self.size == 4:
            pair = (x, y) if self.left is u8 else (y, x)
            elements = [fn.bitcast(v, I8.widen(4 * lanes)) for v in pair]
            return fn.call("llvm.x86.avx512.vpdpbusd.512", [total, *elements], total.type)
        elements = [fn.bitcast(v, I16.widen(2 * lanes)) for v in (x, y)]
        return total + fn.call(_MULTIPLY_PAIRS[lanes], elements, total.type)


def groups_of(product: Product, target: Target) -> Groups | None:
    """The groups for a product, or None where single elements are multiplied."""
    a, b = product.a.dtype, product.b.dtype
    small = product.m < _ROWS or product.k < _DEPTH or product.n < target.lanes(product.compute)
    if small or not {a, b} <= {i8, u8} or target.lanes(product.compute) not in _MULTIPLY_PAIRS or not _is_x86(target):
        return None
    return Groups(4 if target.has_vnni else 2, a, b)


def _is_x86(target: Target) -> bool:
    return target.triple.startswith(("x86_64", "amd64"))


def grouped(product: Product, groups: Groups) -> Product:
    """The product with a step of k for each group, the last of which may overhang."""
    a, b, size = product.a, product.b, groups.size
    steps = -(-product.k // size)
    row, column = a.strides[-2:]
    a = replace(a, shape=(*a.shape[:-1], steps), strides=(*a.strides[:-2], row, column * size))
    row, column = b.strides[-2:]
    b = replace(b, shape=(*b.shape[:-2], steps, b.shape[-1]), strides=(*b.strides[:-2], row * size, column))
    return replace(product, a=a, b=b)


def start_at(steps: int, lanes: int) -> int:
    """Where a packed row has what its sums begin with, in bytes."""
    return (row_pitch(steps, lanes) - 1) * GROUP_BYTES


def pack_row_groups(module: Module, a: Buffer, groups: Groups, lanes: int, target: Target) -> Function:
    """`(from, to, rows)`: all of k of that many rows of a, `row_pitch` groups from one to the next."""
    k, each = a.shape[-1], GROUP_BYTES // groups.size
    steps = -(-k // groups.size)
    wide = lanes * groups.size
    element = I8 if each == 1 else I16
    widening = "sext" if a.dtype is i8 else "zext"

    def write(fn: Function) -> None:
        source, to, rows = fn.params
        zero, ones = fn.zero(I32.widen(lanes)), fn.const(1, I8.widen(wide))
        counting = replace(groups, right=u8 if a.dtype is i8 else i8)

        def row(i: Register) -> None:
            start, end = fn.at(source, i * a.row_bytes), fn.at(to, i * (row_pitch(steps, lanes) * GROUP_BYTES))

            def vector(j: Register, *sums: Register) -> Sequence[Register]:
                loaded = fn.load(start, I8.widen(wide), j)
                value = loaded if each == 1 else fn.convert(widening, loaded, element.widen(wide))
                fn.store(value, end, j * each)
                return [counting.dot(fn, total, loaded, ones) for total in sums]

            def single(j: Register, *sums: Register) -> Sequence[Register]:
                loaded = fn.load(start, I8, j * a.column_bytes)
                fn.store(loaded if each == 1 else fn.convert(widening, loaded, element), end, j * each)
                return [total + fn.convert(widening, loaded, I32) for total in sums]

            whole = k // wide * wide if a.column_bytes == 1 else 0
            sums = fn.loop(whole, [zero] if groups.moves else [], vector, step=wide)
            totals = [fn.reduce(total, lambda x, y: x + y) for total in sums]
            totals = fn.loop(k, totals, single, start=whole)
            for j in range(k, steps * groups.size):
                fn.store(fn.zero(element), end, j * each)
            for total in totals:
                fn.store(total * (-128 if a.dtype is i8 else 128), end, start_at(steps, lanes))

        fn.loop(rows, [], row)

    key = ("row groups", groups, a.dtype, a.row_bytes, a.column_bytes, k, lanes, target)
    return _shared(module, key, 3, write)


def pack_column_groups(module: Module, b: Buffer, groups: Groups, width: int, lanes: int, target: Target) -> Function:
    """`(from, to, steps, end)`: `width` columns of b for that many groups of k, the last of which is the last of all
    where `end` is not 0."""
    size, rest = groups.size, b.shape[-2] % groups.size
    pitch = -(-width // lanes) * lanes * GROUP_BYTES

    def write(fn: Function) -> None:
        source, to, steps, last = fn.params
        emitter = LaneEmitter(fn, target, lanes)

        def together(start: Register, j: int) -> Register:
            """Groups that lie together in each column."""
            found, type = fn.zero((I32 if size == 4 else I16).widen(lanes)), I32 if size == 4 else I16
            for lane in range(min(lanes, width - j)):
                loaded = fn.load(start, type, (j + lane) * b.column_bytes, align=1)
                found = fn.insert(found, loaded, lane)
            if size == 4:
                return found
            widening = "sext" if b.dtype is i8 else "zext"
            wide = fn.convert(widening, fn.bitcast(found, I8.widen(2 * lanes)), I16.widen(2 * lanes))
            return fn.bitcast(wide, I32.widen(lanes))

        def apart(start: Register, j: int, live: int) -> Register:
            """Groups of `live` rows of b."""
            bits, mask = 8 * GROUP_BYTES // size, fn.lane_mask(lanes, width - j)
            found = fn.zero(I32.widen(lanes))
            for i in range(live):
                at = i * b.row_bytes + j * b.column_bytes
                lane = emitter.load_strided(start, b.dtype, b.strides[-1], at, mask=mask)
                value = fn.convert("sext" if b.dtype is i8 else "zext", emitter.value(lane), I32.widen(lanes))
                found = found | ((value & ((1 << bits) - 1)) << (bits * i))
            return found

        def step(g: Register, live: int = size) -> None:
            start, end = fn.at(source, g * (size * b.row_bytes)), fn.at(to, g * pitch)
            for j in range(0, width, lanes):
                value = together(start, j) if b.row_bytes == 1 and live == size else apart(start, j, live)
                fn.store(value ^ -0x7F7F7F80 if groups.moves else value, end, j * GROUP_BYTES)

        if not rest:
            fn.loop(steps, [], step)
            return
        ends = fn.compare("ne", last, fn.const(0))
        whole = fn.select(ends, steps - 1, steps)
        fn.loop(whole, [], step)
        fn.if_(ends, lambda: step(whole, rest))

    key = ("column groups", groups, b.row_bytes, b.column_bytes, rest, width, lanes, target)
    return _shared(module, key, 4, write)


def _shared(module: Module, key: object, params: int, write: Callable[[Function], None]) -> Function:
    def build(name: str) -> Function:
        types = [PTR, PTR, I64, I64][:params]
        fn = module.function(name, types, internal=True, noinline=True)
        write(fn)
        fn.ret()
        return fn

    return module.shared(key, build)
