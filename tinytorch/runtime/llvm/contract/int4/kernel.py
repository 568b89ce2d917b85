"""The kernel of a product with weights of four bits: its items of work, and the loops inside of one.

An item is some panels of 16 columns for a block of rows, which are copied first (`rows`). Several panels are read side
by side, which memory gives faster than one.
"""

from __future__ import annotations

from tinytorch.ir.ops.int4 import PANEL, RUN
from tinytorch.ir.types import f32
from tinytorch.runtime.llvm.contract.epilogue import STORE_SUMS, Epilogue, epilogue_function
from tinytorch.runtime.llvm.contract.grid import Grid, left, right
from tinytorch.runtime.llvm.contract.int4.product import Int4Product, Tile, form_of, tile_of
from tinytorch.runtime.llvm.contract.int4.rows import copy_rows
from tinytorch.runtime.llvm.contract.int4.tile import tile_function
from tinytorch.runtime.llvm.contract.parts import least, where_differ
from tinytorch.runtime.llvm.contract.shares import share
from tinytorch.runtime.llvm.kernel import Buffer, KernelCode, Phase
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR

_ITEM_ROWS = 64  # whose copies stay in L2
_ITEM_PANELS = 4  # that repay copying the rows of an item
_CHUNK_BYTES = 512 << 10  # for each of which the rows are packed again
_CHUNK_FLOPS = 2 << 20
_MOST_CHUNKS = 48


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
    product = Int4Product(form_of(x, target), x, n, groups, packed.shape[1] * RUN // max(groups, 1), lanes, target)
    grid = Grid((), m, n, f32, (out, *epilogue.outputs), epilogue.operands)
    work = _Work(module, fn, product, grid, epilogue, tile_of(m, product))
    work.write()
    fn.ret()
    return KernelCode((Phase(name, work.chunks),), frame.buffers, private_bytes=work.scratch_bytes)


class _Work:
    """The loops over items, panels and tiles of rows."""

    def __init__(
        self, module: Module, fn: Function, product: Int4Product, grid: Grid, epilogue: Epilogue, tile: Tile
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
        fn.call(copy_rows(self.module, product), [x, self.frame.scratch(fn), rows])

        def over_rows(first: Register, panels: int, apart: Register) -> None:
            def one(i: Register, tall: int) -> None:
                self._tile(row, i, column, first, Tile(tall, panels), apart)

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

    def _tile(self, row: Register, i: Register, column: Register, first: Register, tile: Tile, apart: Register) -> None:
        """Rows from the item's row i on, against panels from the item's panel `first` on, `apart` from one another."""
        fn, product = self.fn, self.product
        number = column // PANEL + first
        packed = fn.at(right(fn), number * product.panel_bytes)
        scales = fn.at(self.frame.further_operand(fn), number * product.scale_bytes)
        x = fn.at(self.frame.scratch(fn), i * product.row_bytes)
        kernel = tile_function(self.module, product, tile, self.pitch)
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
