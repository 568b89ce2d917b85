"""Tiles of rows outside, panels of columns inside: for all products but those of few rows.

A block of b, `k_block` rows of it, is packed into panels, which lie one behind the other as the loops read them. For
each tile of rows, the tile's part of a (some 12 KB) stays in L1 while the panels stream past it, once in address
order, which the hardware prefetches from L2 or L3 at a third of the rate that it can; results are written along their
rows. With panels outside, the tile's part of a would come anew for each of them, at strides that are not prefetched.

- The first tile of rows reads b where it lies and packs it on the way, so the copy hides behind multiply-adds.
- While a tile is computed, rows of the next one are fetched, a few in each panel; or, where a lies across, lines of
  what is packed next. Where b meets few tiles, lines of its next block are fetched as well: read when it is packed, it
  would come from memory at a rate far below that of the products.
- Rows of a are read in place, unless they collide in L1 (strides of whole pages), lie across (a transposed a, some
  tiles of which are packed together, to read whole cache lines), or must be converted.
"""

from __future__ import annotations

from tinytorch.runtime.llvm.contract.microkernel.tile import Ahead
from tinytorch.runtime.llvm.contract.orders.work import Block, Depth, Fetched, Panel, Work
from tinytorch.runtime.llvm.contract.parts import LINE, least, where_differ
from tinytorch.runtime.llvm.text.builder import Register

_FEW_TILES = 32  # among which the time that b's packing waits for memory counts


def rows_first(work: Work, block: Block) -> None:
    """Write the loops of an item."""
    work.over_k(block, lambda depth: _RowsFirst(work, block, depth).write())


class _RowsFirst:
    """The loops for a block of k."""

    def __init__(self, work: Work, block: Block, depth: Depth) -> None:
        self.work = work
        self.block = block
        self.depth = depth

    def write(self) -> None:
        work, block = self.work, self.block
        if work.plan.pack_b != "none" and not work.fuses:
            work.over_panels(block, lambda column, width: work.pack_b(block, column, width, self.depth))
        if work.plan.pack_a == "panels":
            self._groups()
        else:
            self._tiles(work.fn.const(0), block.rows, work.fuses)

    def _groups(self) -> None:
        """Groups of tiles, packed together."""
        work, block = self.work, self.block
        group = work.plan.group

        def rows(first: Register, fuses: bool) -> None:
            count = least(block.rows - first, group)
            work.pack_a(block, first, count, self.depth)
            self._tiles(first, count, fuses)

        if work.fuses:
            rows(work.fn.const(0), True)
        work.fn.loop(block.rows, [], lambda i: rows(i, False), start=group if work.fuses else 0, step=group)

    def _tiles(self, first: Register, rows: Register, fuses: bool) -> None:
        """Tiles of `rows` rows from `first` on."""
        fn, tall = self.work.fn, self.work.plan.tile.rows
        whole = rows // tall * tall
        if fuses:
            self._tile(first, first, tall, True)
        start = fn.const(tall if fuses else 0)
        fn.loop(whole, [], lambda i: self._tile(first + i, first, tall, False), start=start, step=tall)
        rest = self.work.product.m % tall
        if rest:
            where_differ(fn, rows, whole, lambda: self._tile(first + whole, first, rest, False))

    def _tile(self, i: Register, first: Register, tall: int, packs: bool) -> None:
        """A tile of rows against all panels."""
        work, block, depth = self.work, self.block, self.depth
        if work.plan.pack_a == "rows":
            first = i
            work.pack_a(block, i, work.fn.const(tall), depth)
        a = work.tile_of_a(block, i, first, depth)

        def panel(column: Register, width: int) -> None:
            packed = work.b_packed(block, column) if work.plan.pack_b != "none" else None
            b = work.b_in_place(block, column, depth) if packs or packed is None else packed
            ahead = self._ahead(i, first, column, packs) if tall == self.work.plan.tile.rows else []
            work.tile(block, i, tall, a, Panel(column, width, b), depth, packed if packs else None, ahead)

        work.over_panels(block, panel)

    def _ahead(self, i: Register, first: Register, column: Register, packs: bool) -> Fetched:
        """What is fetched while the tile of row i meets a panel; its group of tiles begins with row `first`."""
        work, plan = self.work, self.work.plan
        found: list[tuple[Register, Ahead]] = []
        if plan.fetch_rows:
            found.append(self._next_rows(i, column))
        larger = plan.item_rows > plan.item_columns  # a, whose packing waits for memory as well
        if plan.pack_a == "panels" and larger and abs(work.product.a.row_bytes) == work.product.a.dtype.size:
            found.append(self._next_group(i, first, column))
        if work.fuses and not packs and work.k_blocks > 1 and plan.item_rows <= _FEW_TILES * plan.tile.rows:
            found.append(self._next_block(i, column))
        return found

    def _next_rows(self, i: Register, column: Register) -> tuple[Register, Ahead]:
        """The panel's share of the next tile's rows."""
        fn, plan, a = self.work.fn, self.work.plan, self.work.product.a
        rows, tall = plan.fetch_rows, plan.tile.rows
        number = least(self._number(column) * rows, tall - rows)
        at = (i + tall + number) * a.row_bytes + self.depth.start * a.column_bytes
        return fn.at(self.block.a, at), Ahead(rows, a.row_bytes, a.column_bytes)

    def _next_group(self, i: Register, first: Register, column: Register) -> tuple[Register, Ahead]:
        """A cache line of each column of the next group, or of the first group of the next block: one for each tile and
        panel, until all are fetched."""
        work, block, plan, a = self.work, self.block, self.work.plan, self.work.product.a
        fn = work.fn
        number = (i - first) // plan.tile.rows * -(-plan.item_columns // plan.panel) + self._number(column)
        line = least(number, -(-plan.group * a.dtype.size // LINE) - 1)
        ends = fn.compare("sge", first + plan.group, block.rows)
        row = fn.select(ends, fn.const(0), first + plan.group)
        step = fn.select(ends, self.depth.start + plan.k_block, self.depth.start)
        at = row * a.row_bytes + step * a.column_bytes + line * LINE
        return fn.at(block.a, at), Ahead(1, 0, a.column_bytes, locality=2)

    def _next_block(self, i: Register, column: Register) -> tuple[Register, Ahead]:
        """A cache line of each row of the panel in the next block: one for each tile, until all are fetched."""
        work, plan, b = self.work, self.work.plan, self.work.product.b
        line = least(i // plan.tile.rows - 1, -(-plan.panel * b.dtype.size // LINE) - 1)
        following = Depth(self.depth.start + plan.k_block, self.depth.count)
        at = work.fn.at(work.b_in_place(self.block, column, following), line * LINE)
        return at, Ahead(1, 0, b.row_bytes, locality=2)

    def _number(self, column: Register) -> Register:
        """Of the item's panel that begins with a column."""
        return (column - self.block.column) // self.work.plan.panel
