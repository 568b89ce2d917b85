"""Few rows: vectors run along the columns of a slab, and meet the elements of x that its rows say.

Columns that have their rows in common share an element; otherwise each lane has its own, which scalar loads bring
together: that is faster than the gather instructions of most CPUs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinytorch.ir.ops.sparse import BLOCK_ROWS, SparseLayout
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter, register_type
from tinytorch.runtime.llvm.sparse.items import Sums
from tinytorch.runtime.llvm.sparse.lines import Lines
from tinytorch.runtime.llvm.sparse.slabs import Slab, Slabs
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.types import I64, vector

MOST_ROWS = 8  # of a tile, whose sums are in registers
_CHAINS = 4  # sums that are added up side by side, since an addition waits for the one before


def scratch_bytes(sums: Sums) -> int:
    """Of a thread, for the sums of a tile."""
    return sums.bytes + sums.target.vector_bytes


def write_group(
    fn: Function, slabs: Slabs, lines: Lines, sums: Sums, x: Register, own: Register, tile: Register, group: Register
) -> None:
    """The results of a tile of rows and a group of columns. The lines of the tile begin at `x`; `own` is scratch memory
    of the thread."""
    writer = _Columns(fn, slabs, lines, sums, x, own)
    fn.fill(own, 0, sums.bytes)
    slabs.loop(group, writer.slab)
    sums.finish(fn, own, tile, group)


class _Columns:
    def __init__(self, fn: Function, slabs: Slabs, lines: Lines, sums: Sums, x: Register, own: Register) -> None:
        self.fn, self.slabs, self.lines, self.sums, self.x, self.own = fn, slabs, lines, sums, x, own
        self.layout: SparseLayout = slabs.layout
        self.vectors = LaneEmitter(fn, sums.target, self.layout.lanes)

    def slab(self, slab: Slab) -> None:
        fn, dtype = self.fn, self.layout.dtype
        block = fn.at(self.x, slab.block * self.lines.block_bytes)
        zero = fn.zero(register_type(dtype, self.layout.lanes))

        def elements(rows: Register) -> list[Register]:
            at = self._lines(block, rows)
            return [self._elements(at, row) for row in range(self.lines.tile)]

        def step(values: Register, rows: Register, sums: Sequence[Register]) -> Sequence[Register]:
            w = self.vectors.load(values, dtype)
            pairs = zip(elements(rows), sums, strict=True)
            lanes = ((self.vectors.lane(a, dtype), self.vectors.lane(b, dtype)) for a, b in pairs)
            return [self.vectors.value(self.vectors.fma(a, w, b)) for a, b in lanes]

        chains = max(1, _CHAINS // self.lines.tile)
        self._add(slab, self.slabs.steps(slab, chains, [zero] * self.lines.tile, step))

    def _lines(self, block: Register, rows: Register) -> list[Register]:
        """The elements of x in the rows of the places. Their numbers are read several at once, since loads are what
        there is too little of."""
        fn, places, found = self.fn, self.layout.places, list[Register]()
        at_once = math.gcd(places, 8)
        for first in range(0, places, at_once):
            several = fn.load(rows, vector(f"i{8 * at_once}", 1), first, align=1)
            for place in range(at_once):
                row = fn.binary("lshr", several, fn.const(8 * place, several.type)) if place else several
                row = fn.convert("zext", row, I64) & (BLOCK_ROWS - 1)
                found.append(fn.at(block, row * self.lines.line_bytes))
        return found

    def _elements(self, lines: Sequence[Register], row: int) -> Register:
        """One for each lane, of a row of the tile."""
        fn, layout = self.fn, self.layout
        scalar = register_type(layout.dtype, 1)
        found = [fn.load(line, scalar, row * layout.dtype.size) for line in lines]
        if len(found) == 1:
            return fn.splat(found[0], layout.lanes)
        x = fn.undefined(scalar.widen(len(found)))
        for place, element in enumerate(found):
            x = fn.insert(x, element, place)
        if layout.side_by_side == 1:
            return x
        return fn.shuffle(x, None, [lane // layout.side_by_side for lane in range(layout.lanes)])

    def _add(self, slab: Slab, found: Sequence[Register]) -> None:
        """Add what a slab gives to the sums of its columns."""
        fn, layout, pitch = self.fn, self.layout, self.sums.pitch * self.layout.dtype.size
        few = layout.side_by_side
        type = register_type(layout.dtype, few)
        for place in range(layout.places):
            column = self.slabs.column(slab, place) * layout.dtype.size
            for row, total in enumerate(found):
                part = total
                if layout.places > 1 and few > 1:
                    part = fn.shuffle(total, None, range(place * few, (place + 1) * few))
                elif layout.places > 1:
                    part = fn.extract(total, place)
                at = fn.at(self.own, column + row * pitch)
                fn.store(fn.load(at, type) + part, at)
