"""Loop kernels whose vectors lie along a kept axis: elementwise chains, column reductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.ir.graph import Value
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.loop.phase import PhaseWriter, sums_floats
from tinytorch.runtime.llvm.loop.plan import SUM_TRIPS
from tinytorch.runtime.llvm.loop.point import Cursor, Point
from tinytorch.runtime.llvm.loop.reduce import Accumulators, Lanes, Slot
from tinytorch.runtime.llvm.loop.stages import Level, Stage
from tinytorch.runtime.llvm.loop.sweep import IndexRange, State, Sweep, in_blocks
from tinytorch.runtime.llvm.text.builder import Register

Tile = Callable[[Register, LaneEmitter, int, "Register | None"], None]  # (first column, emitter, vectors, mask)
_ROWS = SUM_TRIPS // 2  # rows of a column sum that one accumulator takes


@dataclass(frozen=True)
class Columns:
    """A tile: its line, first column, emitter and mask, the scalars around it, and its vectors."""

    row: Register
    i: Register
    e: LaneEmitter
    mask: Register | None
    item: Point
    points: Sequence[Point]


class ColumnsWriter(PhaseWriter):
    """Runs tiles of a few vectors, side by side along the vector axis, through all stages."""

    def _run_item(self, item: Point, number: Register, row: Register) -> None:
        front = self._front(item, self._borrowed_by_tiles())

        def tile(i: Register, e: LaneEmitter, count: int, mask: Register | None) -> None:
            self._tile(item, front if e is self.many else item, row, i, e, count, mask)

        self._sweep(self._line(number % self.plan.division.blocks), tile)

    def _line(self, block: Register) -> IndexRange:
        """The indices of the vector axis in one of its blocks."""
        division, axis = self.plan.division, self.values.vector
        assert axis is not None
        size = self.values.sizes[axis]
        if division.blocks == 1:
            return IndexRange(self.fn.const(0), self.fn.const(size), size)
        start = block * division.block
        last = size - (division.blocks - 1) * division.block
        return IndexRange(start, self._least(start + division.block, size), math.gcd(division.block, last))

    def _sweep(self, indices: IndexRange, visit: Tile) -> None:
        def vectors(
            i: Register, e: LaneEmitter, count: int, mask: Register | None, states: Sequence[State]
        ) -> Sequence[State]:
            visit(i, e, count, mask)
            return states

        assert self.values.vector is not None
        sweep = Sweep(self.fn, self.many, [], self.values.sizes[self.values.vector])
        sweep.run(indices, self.plan.unroll, vectors)

    def _borrowed_by_tiles(self) -> list[Value]:
        """Registers of the scalar levels that tiles use, to be splatted before the loop."""
        values = self.values
        found: dict[Value, None] = {}
        for node in values.body.nodes:
            if node in values.live and values.levels[node.output] == Level.TILE and node.op.kind != "reduce":
                found.update(dict.fromkeys(values.operands_of(node)))
        for stage in self.plan.stages:
            found.update(dict.fromkeys(stage.borrowed))
        for j, value in enumerate(values.body.outputs):
            if self.plan.store_level(j) == Level.TILE:
                found[value] = None
        return [v for v in found if values.levels[v] <= Level.ITEM]

    def _tile(
        self, item: Point, front: Point, row: Register, i: Register, e: LaneEmitter, count: int, mask: Register | None
    ) -> None:
        """`count` vectors of columns from column i on, through all stages."""
        assert self.values.vector is not None
        cursor = item.cursor if self.values.vector in item.cursor.index else item.cursor.bind(self.values.vector, i)
        sources = {Level.UNIFORM: front, Level.ITEM: front}
        blocks = self._blocks(e, count)
        points = [
            Point(e, cursor, Level.TILE, sources, shift=u * e.lanes, mask=mask, report=self._report, blocks=blocks)
            for u in range(count)
        ]
        columns = Columns(row, i, e, mask, item, points)
        for t, stage in enumerate(self.plan.stages):
            for point in points:
                point.run(self.plan.outer_nodes(Level.TILE, t))
            if not self._columns_stage(t, stage, columns):
                return
        for point in points:
            point.run(self.plan.outer_nodes(Level.TILE, len(self.plan.stages)))
            self._store(point, Level.TILE)

    def _columns_stage(self, t: int, stage: Stage, columns: Columns) -> bool:
        """Run or combine stage t for a tile; False where this phase ends with it."""
        reductions, points = self.reductions[t], columns.points
        if self.split and t < self.phase:
            for u, point in enumerate(points):
                where = self._column_of(columns, u)
                for reduction in reductions:
                    state = self._combined(columns.e, reduction, where, self.scratch.columns, columns.mask)
                    point.set(reduction.node.output, reduction.result(columns.e, state))
            return True
        for point in points:
            point.require(stage.borrowed)
        sums = Accumulators([Slot(r, columns.e) for _ in points for r in reductions])
        states = sums.split(self._columns_nest(self.plan.inner_axes, columns.points[0].cursor, stage, sums, columns))
        for u, point in enumerate(points):
            for reduction, state in zip(reductions, states[u * len(reductions) :], strict=False):
                if self.split:
                    where = self._column_of(columns, u)
                    self._leave(columns.e, reduction, state, where, self.scratch.columns, columns.mask)
                else:
                    point.set(reduction.node.output, reduction.result(columns.e, state))
        return not self.split or self.last

    def _column_of(self, columns: Columns, u: int) -> Register:
        """The number of an accumulator of a tile among those of its part."""
        return columns.row * self.scratch.columns + columns.i + u * columns.e.lanes

    def _columns_nest(
        self, axes: Sequence[int], cursor: Cursor, stage: Stage, sums: Accumulators, columns: Columns
    ) -> State:
        """Loops over the reduced axes around a tile's vectors."""
        axis, indices = axes[0], self._range(axes[0])
        if len(axes) > 1:
            return self._outer_loop(
                indices, sums, lambda k: self._columns_nest(axes[1:], cursor.bind(axis, k), stage, sums, columns)
            )

        def rows(part: IndexRange) -> State:
            def body(k: Register, *state: Register) -> State:
                return self._cell(cursor.bind(axis, k), stage, sums, list(state), columns)

            return self.fn.loop(part.stop, sums.identity(), body, start=part.start)

        return in_blocks(self.fn, indices, _ROWS, sums, rows) if sums_floats(stage) else rows(indices)

    def _cell(self, cursor: Cursor, stage: Stage, sums: Accumulators, state: State, columns: Columns) -> State:
        """A tile's vectors at one index of the reduced axes."""
        scalars, wide = self._common(cursor, stage, columns.item)
        common = wide if columns.e is self.many else scalars
        states = sums.split(state)
        updated: list[Lanes] = []
        blocks = self._blocks(columns.e, len(columns.points))
        for u, tile in enumerate(columns.points):
            outer = dict.fromkeys((Level.UNIFORM, Level.ITEM, Level.TILE), tile)
            point = self._full(columns.e, cursor, stage, {**outer, Level.COMMON: common}, u, columns.mask, blocks)
            width = len(stage.reductions)
            updated += self._visit(point, stage, states[u * width : (u + 1) * width], None)
        return sums.flatten(updated)
