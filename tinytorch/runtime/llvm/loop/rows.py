"""Loop kernels whose vectors lie along a reduced axis: row reductions, softmax, layernorm."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.loop.phase import PhaseWriter, Scratch, sums_floats
from tinytorch.runtime.llvm.loop.plan import SUM_TRIPS, LoopPlan
from tinytorch.runtime.llvm.loop.point import Cursor, Point
from tinytorch.runtime.llvm.loop.reduce import Accumulators, Slot, fold_lanes
from tinytorch.runtime.llvm.loop.stages import Level, Stage
from tinytorch.runtime.llvm.loop.sweep import IndexRange, State, Sweep, in_blocks
from tinytorch.runtime.llvm.text.builder import Module, Register


class RowsWriter(PhaseWriter):
    """Runs one row after the other through all stages; a kernel of single values is one row without stages."""

    def __init__(self, module: Module, name: str, plan: LoopPlan, scratch: Scratch, phase: int) -> None:
        super().__init__(module, name, plan, scratch, phase)
        self.busiest = max(plan.stages, key=lambda s: self.values.weight(Level.FULL, s.nodes), default=None)
        self.ahead = self._rows_ahead()

    def _rows_ahead(self) -> dict[int, int]:
        """The inputs that a row kernel runs through row after row, and how many bytes ahead their next row is."""
        plan, values = self.plan, self.values
        if values.across or values.vector is None or not plan.outer_axes or len(plan.stages) < 2:
            return {}
        row, found = plan.outer_axes[-1], dict[int, int]()
        for o, operand in enumerate(plan.operands[: len(values.body.inputs)]):
            length = values.sizes[values.vector] * operand.dtype.size
            step = operand.walk[row] * operand.dtype.size
            if operand.walk[values.vector] == 1 and length <= step and length <= plan.target.l1_bytes:
                found[o] = step
        return found

    def _run_item(self, item: Point, number: Register, row: Register) -> None:
        for t, stage in enumerate(self.plan.stages):
            if t:
                item.run(self.plan.outer_nodes(Level.ITEM, t))
            if not self._row_stage(t, stage, item, row):
                return
        if self.plan.stages:
            item.run(self.plan.outer_nodes(Level.ITEM, len(self.plan.stages)))
        self._store(item, Level.ITEM)

    def _row_stage(self, t: int, stage: Stage, item: Point, row: Register) -> bool:
        """Run or combine stage t for a row; False where this phase ends with it."""
        reductions = self.reductions[t]
        if self.split and t < self.phase:
            for reduction in reductions:
                state = self._combined(self.one, reduction, row, 1, None)
                item.set(reduction.node.output, reduction.result(self.one, state))
            return True
        axis = self.values.vector
        assert axis is not None
        front = self._front(item, stage.borrowed)
        sweep = Sweep(self.fn, self.many, reductions, self.values.sizes[axis])
        total = self._row_nest(self.plan.inner_axes, item.cursor, stage, sweep, item, front)
        states = sweep.accumulators.split(total)
        for k, reduction in enumerate(reductions):
            state = fold_lanes(reduction, self.many, states[k])
            if len(states) > len(reductions):
                state = reduction.combine(self.one, state, states[len(reductions) + k])
            if self.split:
                self._leave(self.one, reduction, state, row, 1, None)
            else:
                item.set(reduction.node.output, reduction.result(self.one, state))
        return not self.split or self.last

    def _row_nest(
        self, axes: Sequence[int], cursor: Cursor, stage: Stage, sweep: Sweep, item: Point, front: Point
    ) -> State:
        """Loops over the reduced axes around the vector axis."""
        if axes:
            indices, axis = self._range(axes[0]), axes[0]
            return self._outer_loop(
                indices,
                sweep.accumulators,
                lambda k: self._row_nest(axes[1:], cursor.bind(axis, k), stage, sweep, item, front),
            )
        axis = self.values.vector
        assert axis is not None
        scalars, wide = self._common(cursor, stage, item)

        def visit(
            i: Register, e: LaneEmitter, count: int, mask: Register | None, states: Sequence[State]
        ) -> Sequence[State]:
            here = cursor.bind(axis, i)
            if mask is None and e is self.many and stage is self.busiest:
                self._prefetch(here, count * e.lanes)
            outer = front if e is self.many else item
            common = wide if e is self.many else scalars
            sources = {Level.UNIFORM: outer, Level.ITEM: outer, Level.COMMON: common}
            slots = Accumulators([Slot(r, e) for r in self.reductions[self.plan.stages.index(stage)]])
            blocks = self._blocks(e, count)
            points = [self._full(e, here, stage, sources, u, mask, blocks) for u in range(count)]
            return [
                slots.flatten(self._visit(point, stage, slots.split(state), mask))
                for point, state in zip(points, states, strict=True)
            ]

        def run(indices: IndexRange) -> State:
            return sweep.run(indices, stage.unroll, visit)

        block = self.many.lanes * stage.unroll * SUM_TRIPS
        indices = self._range(axis)
        return in_blocks(self.fn, indices, block, sweep.accumulators, run) if sums_floats(stage) else run(indices)

    def _prefetch(self, here: Cursor, elements: int) -> None:
        """Ask for these elements of the next row while this one keeps the arithmetic busy."""
        for o, ahead in self.ahead.items():
            size = self.plan.operands[o].dtype.size
            for offset in range(0, elements * size, 64):
                self.fn.prefetch(here.pointers[o], ahead + offset, locality=2)
