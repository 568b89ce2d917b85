"""Products of bytes: k in groups of 2 or 4, each of which an instruction multiplies and adds up in an i32.

Packed rows of a take four bytes for a group: four elements, or two widened to 16 bits where pairs are multiplied.
Packed panels of b keep bytes: for each group, that of every column, one behind the other; pairs are widened as they are
read. A missing element of the last group is 0. No sum saturates, see `instructions`, and sums of i32 wrap.

Where an instruction multiplies bytes of other kinds than the operands are, b is moved by 128: the product is then off
by 128 times the sum of a's row, which the packed row has behind its groups, for the sums to begin with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tinytorch.ir.errors import CompileError
from tinytorch.ir.types import DType, i8, u8
from tinytorch.runtime.llvm.contract.bytes.instructions import (
    add_16_bits,
    pair,
    quad,
    quad_in_16_bits,
)
from tinytorch.runtime.llvm.contract.operands.layout import Product
from tinytorch.runtime.llvm.contract.operands.pack import row_pitch
from tinytorch.runtime.llvm.contract.plan.packing import sums_along_k
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I8, I16, I32, I64, PTR

GROUP_BYTES = 4  # of a packed row
_ROWS = 8  # that repay packing b
_DEPTH = 16
_SIGNS = -0x7F7F7F80  # the highest bit of each byte: moves bytes by 128


@dataclass(frozen=True)
class Groups:
    """How groups are multiplied: `quad` takes four bytes, `pair` two, `sixteen` four whose products are added up by two
    in 16 bits first, and `eight` two groups of four, by four. `left` is a's dtype, `right` that of b once it has been
    moved by `moved`.
    """

    form: Literal["quad", "pair", "sixteen", "eight"]
    left: DType
    right: DType
    moved: int = 0

    @property
    def size(self) -> int:
        """Elements of a group."""
        return 2 if self.form == "pair" else 4

    def dot(self, fn: Function, target: Target, total: Register, x: Register, y: Register) -> Register:
        """total + the products of groups x of a and y of b, lane by lane."""
        if self.form == "quad":
            return quad(fn, target, total, x, y, self.left, self.right)
        if self.form == "pair":
            return pair(fn, total, x, y)
        return add_16_bits(fn, total, self._sixteen(fn, x, y))

    def dot_two(
        self, fn: Function, total: Register, x: tuple[Register, Register], y: tuple[Register, Register]
    ) -> Register:
        """The same of two groups, whose products 16 bits hold together."""
        return add_16_bits(fn, total, self._sixteen(fn, x[0], y[0]) + self._sixteen(fn, x[1], y[1]))

    def _sixteen(self, fn: Function, x: Register, y: Register) -> Register:
        return quad_in_16_bits(fn, x, y) if self.left is u8 else quad_in_16_bits(fn, y, x)

    def load_b(self, fn: Function, pointer: Register, offset: int, lanes: int) -> Register:
        """A vector of packed groups, as i32 lanes."""
        if self.size == 4:
            return fn.load(pointer, I32.widen(lanes), offset, align=1)
        return self.widened(fn, fn.load(pointer, I8.widen(2 * lanes), offset), self.right)

    def widened(self, fn: Function, loaded: Register, dtype: DType) -> Register:
        """A vector of groups of bytes, as i32 lanes."""
        lanes = loaded.type.lanes // self.size
        if self.size == 2:
            loaded = fn.convert(_widening(dtype), loaded, I16.widen(2 * lanes))
        return fn.bitcast(loaded, I32.widen(lanes))


def groups_of(product: Product, target: Target) -> Groups | None:
    """The groups for a product, or None where single elements are multiplied."""
    a, b = product.a.dtype, product.b.dtype
    small = product.m < _ROWS or product.k < _DEPTH or product.n < target.lanes(product.compute)
    dots = target.byte_dots
    if small or not {a, b} <= {i8, u8} or dots == "none":
        return None
    if groups_along_k(a, b, target) and sums_along_k(product, target.lanes(product.compute)):
        return None  # packing would take longer than all of the product
    if dots == "pair":
        return Groups("pair", a, b)
    right = b if target.multiplies_bytes(a, b) else other_kind(b)
    return Groups("quad", a, right, moved_by(b, right))


def groups_along_k(left: DType, right: DType, target: Target) -> Groups | None:
    """The groups of dot products, whose operands are read where they lie."""
    if not {left, right} <= {i8, u8} or target.byte_dots == "none":
        return None
    if target.multiplies_bytes(left, right):
        return Groups("quad", left, right)
    return Groups("pair", left, right) if target.is_x86 else None


def groups_of_panels(left: DType, panels: Buffer, moved: int, in_16_bits: int, target: Target) -> Groups | None:
    """The groups in which such panels are multiplied, or None for single elements; CompileError where the target has no
    instruction for them."""
    size, right = panels.shape[-1], panels.dtype
    if size == 1 and not moved:
        return None
    if size == 2 and not moved and target.is_x86:
        return Groups("pair", left, right)
    if size == 4 and target.multiplies_bytes(left, right):
        return Groups("quad", left, right, moved)
    if size == 4 and not moved and in_16_bits and left is not right and target.has_sums_of_16_bits:
        return Groups("eight" if in_16_bits >= 4 else "sixteen", left, right)
    raise CompileError(f"{target.name} does not multiply {left} by {right} in groups of {size}")


def other_kind(dtype: DType) -> DType:
    return i8 if dtype is u8 else u8


def moved_by(dtype: DType, moved: DType) -> int:
    """What is added to bytes that are to be of another kind."""
    return 0 if dtype is moved else 128 if moved is u8 else -128


def grouped(product: Product, groups: Groups) -> Product:
    """The product with a step of k for each group, the last of which may overhang."""
    b, size = product.b, groups.size
    steps = -(-product.k // size)
    row, column = b.strides[-2:]
    b = replace(b, shape=(*b.shape[:-2], steps, b.shape[-1]), strides=(*b.strides[:-2], row * size, column))
    return replace(product, a=grouped_rows(product.a, size), b=b)


def grouped_rows(a: Buffer, size: int) -> Buffer:
    """Rows with a step of k for each group."""
    row, column = a.strides[-2:]
    steps = -(-a.shape[-1] // size)
    return replace(a, shape=(*a.shape[:-1], steps), strides=(*a.strides[:-2], row, column * size))


def start_at(steps: int, lanes: int) -> int:
    """Where a packed row has what its sums begin with, in bytes."""
    return (row_pitch(steps, lanes) - 1) * GROUP_BYTES


def pack_row_groups(module: Module, a: Buffer, groups: Groups, lanes: int, target: Target) -> Function:
    """`(from, to, rows)`: all of k of that many rows of a, `row_pitch` groups from one to the next."""
    k, each = a.shape[-1], GROUP_BYTES // groups.size
    steps = -(-k // groups.size)
    wide = lanes * groups.size
    element = I8 if each == 1 else I16
    widening = _widening(a.dtype)

    def write(fn: Function) -> None:
        source, to, rows = fn.params
        zero, ones = fn.zero(I32.widen(lanes)), fn.const(0x01010101, I32.widen(lanes))

        def row(i: Register) -> None:
            start, end = fn.at(source, i * a.row_bytes), fn.at(to, i * (row_pitch(steps, lanes) * GROUP_BYTES))

            def vector(j: Register, *sums: Register) -> Sequence[Register]:
                loaded = fn.load(start, I8.widen(wide), j)
                value = loaded if each == 1 else fn.convert(widening, loaded, element.widen(wide))
                fn.store(value, end, j * each)
                together = fn.bitcast(loaded, I32.widen(lanes)) if sums else loaded
                return [groups.dot(fn, target, total, together, ones) for total in sums]

            def single(j: Register, *sums: Register) -> Sequence[Register]:
                loaded = fn.load(start, I8, j * a.column_bytes)
                fn.store(loaded if each == 1 else fn.convert(widening, loaded, element), end, j * each)
                return [total + fn.convert(widening, loaded, I32) for total in sums]

            whole = k // wide * wide if a.column_bytes == 1 else 0
            sums = fn.loop(whole, [zero] if groups.moved else [], vector, step=wide)
            totals = [fn.reduce(total, lambda x, y: x + y) for total in sums]
            totals = fn.loop(k, totals, single, start=whole)
            for j in range(k, steps * groups.size):
                fn.store(fn.zero(element), end, j * each)
            for total in totals:
                fn.store(total * -groups.moved, end, start_at(steps, lanes))

        fn.loop(rows, [], row)

    key = ("row groups", groups, a.dtype, a.row_bytes, a.column_bytes, k, lanes, target)
    return _shared(module, key, 3, write)


def pack_column_groups(module: Module, b: Buffer, groups: Groups, width: int, lanes: int, target: Target) -> Function:
    """`(from, to, steps, end)`: `width` columns of b for that many groups of k, the last of which is the last of all
    where `end` is not 0."""
    size, rest = groups.size, b.shape[-2] % groups.size
    pitch = -(-width // lanes) * lanes * size
    element = I32 if size == 4 else I16

    def write(fn: Function) -> None:
        source, to, steps, last = fn.params
        emitter = LaneEmitter(fn, target, lanes)

        def together(start: Register, j: int) -> Register:
            """Groups that lie together in each column."""
            found = fn.zero(element.widen(lanes))
            for lane in range(min(lanes, width - j)):
                found = fn.insert(found, fn.load(start, element, (j + lane) * b.column_bytes, align=1), lane)
            return found

        def apart(start: Register, j: int, live: int) -> Register:
            """Groups of `live` rows of b."""
            mask = fn.lane_mask(lanes, width - j)
            found = fn.zero(element.widen(lanes))
            for i in range(live):
                at = i * b.row_bytes + j * b.column_bytes
                lane = emitter.load_strided(start, b.dtype, b.strides[-1], at, mask=mask)
                value = fn.convert("zext", emitter.value(lane), element.widen(lanes))
                found = found | (value << (8 * i) if i else value)
            return found

        def step(g: Register, live: int = size) -> None:
            start, end = fn.at(source, g * (size * b.row_bytes)), fn.at(to, g * pitch)
            for j in range(0, width, lanes):
                value = together(start, j) if b.row_bytes == 1 and live == size else apart(start, j, live)
                fn.store(value ^ _SIGNS if groups.moved else value, end, j * size)

        if not rest:
            fn.loop(steps, [], step)
            return
        ends = fn.compare("ne", last, fn.const(0))
        whole = fn.select(ends, steps - 1, steps)
        fn.loop(whole, [], step)
        fn.if_(ends, lambda: step(whole, rest))

    key = ("column groups", groups, b.row_bytes, b.column_bytes, rest, width, lanes, target)
    return _shared(module, key, 4, write)


def _widening(dtype: DType) -> str:
    return "sext" if dtype is i8 else "zext"


def _shared(module: Module, key: object, params: int, write: Callable[[Function], None]) -> Function:
    def build(name: str) -> Function:
        types = [PTR, PTR, I64, I64][:params]
        fn = module.function(name, types, internal=True, noinline=True)
        write(fn)
        fn.ret()
        return fn

    return module.shared(key, build)
