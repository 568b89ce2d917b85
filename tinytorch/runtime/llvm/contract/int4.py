"""Products with weights of four bits, which are taken apart in registers.

An item is some panels of 16 columns for a block of rows. Its rows of x are copied to scratch memory, in the order in
which the microkernel reads them: bytes as they are (for instructions that take four to a lane), pairs of 16 bits in the
order in which shifts bring the nibbles up, or one number for each. Bytes are followed by what the sum of each group
begins with, -8 times the sum of x there, since a nibble holds its weight plus 8. Several panels are read side by side,
which memory gives faster than one; a tile of rows takes all of k, so that groups are added up in order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tinytorch.ir.emitter import Lane
from tinytorch.ir.ops.int4 import PANEL, RUN, ZERO
from tinytorch.ir.types import DType, f16, f32, i8, u8
from tinytorch.runtime.llvm.contract.bytes.instructions import (
    add_16_bits,
    pair,
    quad,
    quad_in_16_bits,
)
from tinytorch.runtime.llvm.contract.epilogue import STORE_SUMS, Epilogue, epilogue_function
from tinytorch.runtime.llvm.contract.grid import Grid, left, right
from tinytorch.runtime.llvm.contract.parts import aligned, least, where_differ
from tinytorch.runtime.llvm.contract.shares import share
from tinytorch.runtime.llvm.kernel import Buffer, KernelCode, Phase
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import F32, I8, I16, I32, I64, PTR, LLType

_BLOCK = 32  # steps of k whose products 16 bits hold: 8 · (15 + 15) · 128 < 2¹⁵
_LOW = 0x0F0F0F0F
_MOST_ROWS = 8  # of a tile
_MOST_PANELS = 4  # that are read side by side
_ITEM_ROWS = 64  # whose copies stay in L2
_ITEM_PANELS = 4  # that repay copying the rows of an item
_CHUNK_BYTES = 512 << 10  # for each of which the rows are packed again
_CHUNK_FLOPS = 2 << 20
_MOST_CHUNKS = 48

Form = Literal["quad", "sixteen", "pair", "each", "float"]  # how products are computed; "sixteen" adds up in 16 bits
_X_BYTES: dict[Form, int] = {"quad": 1, "sixteen": 1, "pair": 2, "each": 4, "float": 4}  # of a copied element
_ORDER = (0, 2, 1, 3, 4, 6, 5, 7)  # of the steps of a run in pairs


@dataclass(frozen=True)
class _Int4:
    """A product x [m, k] by weights of n columns in groups of `group` steps."""

    form: Form
    x: Buffer
    columns: int
    groups: int
    group: int
    lanes: int
    target: Target

    @property
    def depth(self) -> int:
        return self.groups * self.group

    @property
    def vectors(self) -> int:
        """In a panel."""
        return PANEL // self.lanes

    @property
    def sums_at(self) -> int:
        """Where a copied row has what its sums begin with."""
        return aligned(self.depth * _X_BYTES[self.form])

    @property
    def row_bytes(self) -> int:
        """From one copied row to the next, no multiple of a page."""
        return self.sums_at + aligned(4 * self.groups) + 64

    @property
    def panel_bytes(self) -> int:
        return self.depth * PANEL // 2

    @property
    def scale_bytes(self) -> int:
        return self.groups * PANEL * f16.size


@dataclass(frozen=True)
class _Tile:
    rows: int
    panels: int


def emit_int4(
    module: Module,
    name: str,
    x: Buffer,
    packed: Buffer,
    scales: Buffer,
    out: Buffer,
    target: Target,
    epilogue: Epilogue | None = None,
) -> KernelCode:
    """Write the kernel of `out = epilogue(int4_matmul(x, packed, scales))`; weights and scales are row-major."""
    epilogue = epilogue or STORE_SUMS
    frame = epilogue.frame(further=1)
    fn = module.function(name, [PTR, I64])
    m, n = out.shape
    if not (m and n):
        fn.ret()
        return KernelCode((), frame.buffers)
    lanes = min(PANEL, target.lanes(f32))
    groups = scales.shape[1]
    product = _Int4(_form(x, target), x, n, groups, packed.shape[1] * RUN // max(groups, 1), lanes, target)
    grid = Grid((), m, n, f32, (out, *epilogue.outputs), epilogue.operands)
    work = _Work(module, fn, product, grid, epilogue, _tile(m, product))
    work.write()
    fn.ret()
    return KernelCode((Phase(name, work.chunks),), frame.buffers, private_bytes=work.scratch_bytes)


def _form(x: Buffer, target: Target) -> Form:
    if x.dtype is not i8:
        return "float"
    if target.byte_dots == "pair" and target.has_sums_of_16_bits:
        return "sixteen"
    return "each" if target.byte_dots == "none" else target.byte_dots


def _tile(m: int, product: _Int4) -> _Tile:
    """Half of the registers hold sums of f32, as many rows as they allow but evenly."""
    most = max(1, product.target.vector_registers // 2 // product.vectors)
    rows = -(-m // -(-m // min(_MOST_ROWS, most)))
    return _Tile(rows, max(1, min(_MOST_PANELS, most // rows, -(-product.columns // PANEL))))


class _Work:
    """The loops over items, panels and tiles of rows."""

    def __init__(
        self, module: Module, fn: Function, product: _Int4, grid: Grid, epilogue: Epilogue, tile: _Tile
    ) -> None:
        self.module, self.fn, self.product, self.grid, self.tile = module, fn, product, grid, tile
        self.frame = epilogue.frame(further=1)
        self.item_rows = min(grid.rows, _ITEM_ROWS // tile.rows * tile.rows)
        unit = tile.panels * PANEL
        bytes_ = -(-grid.columns // PANEL) * product.panel_bytes
        wanted = max(bytes_ // _CHUNK_BYTES, 2 * grid.rows * grid.columns * product.depth // _CHUNK_FLOPS)
        down = -(-grid.rows // self.item_rows)
        across = max(1, min(_MOST_CHUNKS, wanted) // down)
        self.item_columns = share(grid.columns, across, _ITEM_PANELS * PANEL, unit)
        self.across = -(-grid.columns // self.item_columns)
        self.chunks = down * self.across
        self.sums_at = self.item_rows * product.row_bytes
        # Of few rows, the sums of a whole item wait in scratch memory: a call for each panel would take longer.
        self.waits = grid.rows <= tile.rows
        self.pitch = -(-self.item_columns // unit) * unit if self.waits else unit
        self.scratch_bytes = self.sums_at + (grid.rows * self.pitch * f32.size if self.waits else 0)
        self._finish = epilogue_function(module, grid, epilogue, product.lanes, self.pitch, product.target)

    def write(self) -> None:
        fn, grid, product, tile = self.fn, self.grid, self.product, self.tile
        chunk = fn.params[1]
        column, row = chunk % self.across * self.item_columns, chunk // self.across * self.item_rows
        rows, columns = least(grid.rows - row, self.item_rows), least(grid.columns - column, self.item_columns)
        x = fn.at(left(fn), row * product.x.row_bytes)
        fn.call(_copy_rows(self.module, product), [x, self.frame.scratch(fn), rows])

        def over_rows(first: Register, panels: int, apart: Register) -> None:
            def one(i: Register, tall: int) -> None:
                self._tile(row, i, column, first, _Tile(tall, panels), apart)

            whole = rows // tile.rows * tile.rows
            fn.loop(whole, [], lambda i: one(i, tile.rows), step=tile.rows)
            rest = grid.rows % tile.rows
            if rest:
                where_differ(fn, rows, whole, lambda: one(whole, rest))

        # Each of the panels that are read side by side is on a stream of its own through the item.
        count = (columns + (PANEL - 1)) // PANEL
        apart = count // tile.panels
        fn.loop(apart, [], lambda t: over_rows(t, tile.panels, apart))
        if tile.panels > 1:
            fn.loop(count, [], lambda t: over_rows(t, 1, fn.const(1)), start=apart * tile.panels)
        if self.waits:
            sums = fn.at(self.frame.scratch(fn), self.sums_at)
            fn.call(self._finish, [fn.params[0], sums, rows, columns, row, column, fn.const(0)])

    def _tile(
        self, row: Register, i: Register, column: Register, first: Register, tile: _Tile, apart: Register
    ) -> None:
        """Rows from the item's row i on, against panels from the item's panel `first` on, `apart` from one another."""
        fn, product = self.fn, self.product
        number = column // PANEL + first
        packed = fn.at(right(fn), number * product.panel_bytes)
        scales = fn.at(self.frame.further_operand(fn), number * product.scale_bytes)
        x = fn.at(self.frame.scratch(fn), i * product.row_bytes)
        kernel = _tile_function(self.module, product, tile, self.pitch)
        if self.waits:
            sums = fn.at(fn.at(self.frame.scratch(fn), self.sums_at), first * (PANEL * f32.size))
            fn.call(kernel, [x, packed, scales, sums, apart, apart * (PANEL * f32.size)])
            return
        sums = fn.alloca(self.tile.rows * self.pitch * f32.size)
        fn.call(kernel, [x, packed, scales, sums, apart, fn.const(PANEL * f32.size)])
        for panel in range(tile.panels):
            at = number * PANEL + apart * (panel * PANEL)
            size = [fn.const(tile.rows), least(self.grid.columns - at, PANEL)]
            to = fn.at(sums, panel * PANEL * f32.size)
            fn.call(self._finish, [fn.params[0], to, *size, row + i, at, fn.const(0)])


def _copy_rows(module: Module, product: _Int4) -> Function:
    """`(from, to, rows)`: rows of x in the order of the form, zeros behind k, and what their sums begin with."""
    x, form, k = product.x, product.form, product.x.shape[1]

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, I64], internal=True, noinline=True)
        source, to, rows = fn.params

        def row(i: Register) -> None:
            start, end = fn.at(source, i * x.row_bytes), fn.at(to, i * product.row_bytes)
            if form == "float":
                _copy_plain(fn, start, end, x, F32)
                fn.fill(fn.at(end, 4 * k), 0, 4 * (product.depth - k))
                return
            if form in ("quad", "sixteen"):
                _copy_plain(fn, start, end, x, I8)
                fn.fill(fn.at(end, k), 0, product.depth - k)
            else:
                _copy_wide(fn, start, end, product)
            if product.groups:
                _copy_sums(fn, start, fn.at(end, product.sums_at), product)

        fn.loop(rows, [], row)
        fn.ret()
        return fn

    return module.shared(("int4 rows", replace(product, columns=0)), build)


def _copy_plain(fn: Function, start: Register, end: Register, x: Buffer, element: LLType) -> None:
    """k elements one behind the other."""
    k = x.shape[1]
    if x.strides[1] == 1:
        fn.copy(end, start, k * element.bytes)
        return
    fn.loop(k, [], lambda j: fn.store(fn.load(start, element, j * x.column_bytes), end, j * element.bytes))


def _copy_wide(fn: Function, start: Register, end: Register, product: _Int4) -> None:
    """Elements widened to 16 or 32 bits, those of pairs in the order of the nibbles."""
    x, size = product.x, _X_BYTES[product.form]
    element = I16 if size == 2 else I32
    order = _ORDER if product.form == "pair" else range(RUN)
    k = x.shape[1]

    def run(first: Register, live: int) -> None:
        for place, step in enumerate(order):
            value = fn.zero(element)
            if step < live:
                value = fn.convert("sext", fn.load(start, I8, (first + step) * x.column_bytes), element)
            fn.store(value, end, (first + place) * size)

    fn.loop(k // RUN * RUN, [], lambda first: run(first, RUN), step=RUN)
    for first in range(k // RUN * RUN, product.depth, RUN):
        run(fn.const(first), max(0, k - first))


def _copy_sums(fn: Function, start: Register, to: Register, product: _Int4) -> None:
    """-8 times the sum of each group."""
    x, k, group = product.x, product.x.shape[1], product.group
    lanes = product.lanes

    def sum_of(first: Register, count: int) -> None:
        whole = count // lanes * lanes if x.strides[1] == 1 else 0

        def vector(j: Register, total: Register) -> Sequence[Register]:
            loaded = fn.load(start, I8.widen(lanes), first + j)
            return [total + fn.convert("sext", loaded, I32.widen(lanes))]

        def single(j: Register, total: Register) -> Sequence[Register]:
            return [total + fn.convert("sext", fn.load(start, I8, (first + j) * x.column_bytes), I32)]

        totals = fn.loop(whole, [fn.zero(I32.widen(lanes))], vector, step=lanes)
        totals = fn.loop(count, [fn.reduce(totals[0], lambda a, b: a + b)], single, start=whole)
        fn.store(totals[0] * -ZERO, to, first // group * 4)

    full = k // group
    fn.loop(full * group, [], lambda first: sum_of(first, group), step=group)
    if k % group:
        sum_of(fn.const(full * group), k % group)


def _tile_function(module: Module, product: _Int4, tile: _Tile, pitch: int) -> Function:
    """`(x, packed, scales, to, apart, step)`: the sums of a tile, rows of `pitch` elements, of panels that are so far
    `apart`; those of a panel lie `step` bytes behind those of the one before."""

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, PTR, PTR, I64, I64], internal=True, noinline=True)
        _Microkernel(fn, product, tile, pitch).write()
        fn.ret()
        return fn

    key = replace(product, columns=0, x=replace(product.x, shape=(), strides=()))
    return module.shared(("int4 tile", key, tile, pitch), build)


class _Microkernel:
    """Sums of f32 in registers, and within a group sums of what the form computes with."""

    def __init__(self, fn: Function, product: _Int4, tile: _Tile, pitch: int) -> None:
        self.fn, self.product, self.tile, self.pitch = fn, product, tile, pitch
        self.emitter = LaneEmitter(fn, product.target, product.lanes)
        self.places = [(p, v, i) for p in range(tile.panels) for v in range(product.vectors) for i in range(tile.rows)]
        self.block = math.gcd(product.group, _BLOCK)

    def write(self) -> None:
        fn, product = self.fn, self.product
        x, _, _, to, _, step_to = fn.params
        zeros = [fn.zero(F32.widen(product.lanes))] * len(self.places)
        panels, scales = self._panels(1, product.panel_bytes), self._panels(2, product.scale_bytes)

        def group(g: Register, *totals: Register) -> Sequence[Register]:
            step = product.group * _X_BYTES[product.form]
            at = [fn.at(panel, g * (product.group * PANEL // 2)) for panel in panels]
            sums = self._group(fn.at(x, g * step), at, g)
            return self._scaled([fn.at(s, g * (PANEL * f16.size)) for s in scales], sums, totals)

        totals = fn.loop(product.groups, zeros, group)
        for total, (p, v, i) in zip(totals, self.places, strict=True):
            fn.store(total, fn.at(to, step_to * p), (i * self.pitch + v * product.lanes) * f32.size)

    def _panels(self, parameter: int, bytes_: int) -> list[Register]:
        """Where each panel begins in an operand."""
        apart = self.fn.params[4]
        return [self.fn.at(self.fn.params[parameter], apart * (i * bytes_)) for i in range(self.tile.panels)]

    def _group(self, x: Register, packed: Sequence[Register], g: Register) -> list[Register]:
        """The sums of a group."""
        fn, product = self.fn, self.product
        if product.form == "float":
            start = [fn.zero(F32.widen(product.lanes))] * len(self.places)
        else:
            begins = [
                fn.splat(fn.load(fn.params[0], I32, g * 4 + (i * product.row_bytes + product.sums_at)), product.lanes)
                for i in range(self.tile.rows)
            ]
            start = [begins[i] for _, _, i in self.places]
        if self.block == product.group:
            return self._block(x, packed, start)

        def block(k: Register, *sums: Register) -> Sequence[Register]:
            at = [fn.at(panel, k * (PANEL // 2)) for panel in packed]
            return self._block(fn.at(x, k * _X_BYTES[product.form]), at, list(sums))

        return fn.loop(product.group, start, block, step=self.block)

    def _block(self, x: Register, packed: Sequence[Register], sums: list[Register]) -> list[Register]:
        """The sums after `block` steps of k, panel by panel so that few registers are live."""
        fn, product, rows = self.fn, self.product, self.tile.rows
        found: list[Register] = []
        for p in range(self.tile.panels):
            for v in range(product.vectors):
                first = len(found)
                here = sums[first : first + rows]
                narrow: list[Register | None] = [None] * rows
                for r in range(self.block // RUN):
                    at = (r * PANEL + v * product.lanes) * (RUN // 2)
                    word = fn.load(packed[p], I32.widen(product.lanes), at, align=1)
                    here, narrow = self._run(x, r, word, here, narrow)
                for i, total in enumerate(narrow):
                    found.append(here[i] if total is None else add_16_bits(fn, here[i], total))
        return found

    def _run(
        self, x: Register, r: int, word: Register, sums: list[Register], narrow: list[Register | None]
    ) -> tuple[list[Register], list[Register | None]]:
        """Eight steps of k for a vector of columns; `narrow` are the sums of 16 bits, if the form has any."""
        fn, product, form = self.fn, self.product, self.product.form
        if form in ("quad", "sixteen"):
            halves = [word & _LOW, (word >> 4) & _LOW]
            for half, nibbles in enumerate(halves):
                for i in range(self.tile.rows):
                    y = self._x(x, i, r * RUN + half * 4, I32)
                    if form == "quad":
                        sums[i] = quad(fn, product.target, sums[i], nibbles, y, *self._quad_dtypes)
                        continue
                    products, before = quad_in_16_bits(fn, nibbles, y), narrow[i]
                    narrow[i] = products if before is None else before + products
        elif form == "pair":
            for place, shift in enumerate((0, 8, 4, 12)):
                nibbles = (word >> shift if shift else word) & 0x000F000F
                for i in range(self.tile.rows):
                    sums[i] = pair(fn, sums[i], nibbles, self._x(x, i, (r * RUN + place * 2) * 2, I32))
        else:
            for step in range(RUN):
                shift = step % 4 * 8 + step // 4 * 4
                nibble = (word >> shift if shift else word) & 15
                sums = self._single(x, r * RUN + step, nibble, sums)
        return sums, narrow

    @property
    def _quad_dtypes(self) -> tuple[DType, DType]:
        """Nibbles are bytes of either kind."""
        return (u8, i8) if self.product.target.has_vnni else (i8, i8)

    def _single(self, x: Register, step: int, nibble: Register, sums: list[Register]) -> list[Register]:
        """One step of k."""
        fn, product, rows = self.fn, self.product, range(self.tile.rows)
        if product.form == "each":
            return [sums[i] + nibble * self._x(x, i, step * 4, I32) for i in rows]
        weight = self.emitter.lane(fn.convert("sitofp", nibble - ZERO, F32.widen(product.lanes)), f32)
        return [self._fma(self._x(x, i, step * 4, F32), weight, sums[i]) for i in rows]

    def _fma(self, x: Register, weight: Lane, total: Register) -> Register:
        lane = self.emitter.lane
        return self.emitter.value(self.emitter.fma(lane(x, f32), weight, lane(total, f32)))

    def _x(self, x: Register, row: int, offset: int, element: LLType) -> Register:
        """An element of a copied row in all lanes."""
        return self.fn.splat(self.fn.load(x, element, row * self.product.row_bytes + offset), self.product.lanes)

    def _scaled(
        self, scales: Sequence[Register], sums: Sequence[Register], totals: Sequence[Register]
    ) -> list[Register]:
        """The totals with the sums of a group, times their scales, added: two roundings, as the reference has them."""
        fn, product = self.fn, self.product
        found: list[Register] = []
        known: dict[tuple[int, int], Lane] = {}
        for value, total, (p, v, _) in zip(sums, totals, self.places, strict=True):
            if (p, v) not in known:
                known[p, v] = self.emitter.load(scales[p], f16, v * product.lanes * f16.size).cast(f32)
            if product.form == "float":
                found.append(self._fma(value, known[p, v], total))
                continue
            as_float = fn.convert("sitofp", value, F32.widen(product.lanes))
            found.append(total + self.emitter.value(known[p, v]) * as_float)
        return found
