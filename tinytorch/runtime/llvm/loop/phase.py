"""What all loop kernels share: the frame, chunks and items of a function, stages at a point, parts of reductions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from tinytorch.ir.graph import Node, Value
from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.loop.plan import LoopPlan
from tinytorch.runtime.llvm.loop.point import Cursor, Point
from tinytorch.runtime.llvm.loop.random_blocks import BLOCK_ELEMENTS, RandomBlocks
from tinytorch.runtime.llvm.loop.reduce import Accumulators, Lanes, Reduction, Slot, is_float_sum, reduction_of
from tinytorch.runtime.llvm.loop.stages import STACK_BYTES, Level, Stage
from tinytorch.runtime.llvm.loop.sweep import IndexRange, State
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.types import I1, I64, PTR


class Scratch:
    """Where the parts of split reductions, and kept buffers that are too large for the stack, lie in scratch."""

    def __init__(self, plan: LoopPlan) -> None:
        division, values = plan.division, plan.values
        self.on_stack = plan.buffer_bytes <= STACK_BYTES
        self.buffers = 0
        self.bytes = 0 if self.on_stack else plan.buffer_bytes * max(1, division.groups)
        self.columns = values.sizes[values.vector] if values.across and values.vector is not None else 1
        self.rows = division.items // division.blocks
        self.partials: dict[tuple[Node, int], int] = {}
        for stage in plan.stages if division.split is not None else ():
            for node in stage.reductions:
                for k, dtype in enumerate(reduction_of(node).parts):
                    self.partials[node, k] = self.bytes
                    self.bytes += aligned(division.parts * self.rows * self.columns * dtype.size)


def phases_of(plan: LoopPlan) -> int:
    """How many functions run one after the other: one, or one for each stage of a split kernel, and one more where the
    last stage's reductions must still be combined."""
    if plan.division.split is None:
        return 1
    return len(plan.stages) + bool(plan.stages[-1].reductions)


def sums_floats(stage: Stage) -> bool:
    """Whether the order of additions matters in a stage."""
    return any(map(is_float_sum, stage.reductions))


class PhaseWriter(ABC):
    """Writes `void name(ptr frame, i64 chunk)`: the whole kernel, or of a split one the stage numbered `phase`."""

    def __init__(self, module: Module, name: str, plan: LoopPlan, scratch: Scratch, phase: int) -> None:
        self.plan = plan
        self.values = plan.values
        self.scratch = scratch
        self.phase = phase
        self.split = plan.division.split is not None
        self.last = phase == phases_of(plan) - 1
        self.reductions = [[reduction_of(node) for node in stage.reductions] for stage in plan.stages]
        self.fn: Function = module.function(name, [PTR, I64])
        self.one = LaneEmitter(self.fn, plan.target, 1)
        self.many = self.one if self.values.lanes == 1 else LaneEmitter(self.fn, plan.target, self.values.lanes)
        self.streaming = False
        self.guards = [n for n in self.values.body.nodes if n in self.values.live and n.op.guard is not None]

    @abstractmethod
    def _run_item(self, item: Point, number: Register, row: Register) -> None:
        """Everything inside one item, whose scalars are those of `item`; `row` numbers the kept axes' indices."""

    # Frame and chunk

    def write(self) -> None:
        fn, body = self.fn, self.values.body
        frame, chunk = fn.params
        count = len(body.inputs) + len(body.outputs)
        ends = [fn.load(frame, PTR, 8 * o) for o in range(count)]
        self.memory = fn.load(frame, PTR, 8 * count)
        self.faults = fn.load(frame, PTR, 8 * (count + 1)) if self.guards else None
        parts = self.plan.division.parts
        self.part = chunk % parts if self._is_parted() else fn.const(0)
        group = chunk // parts if self._is_parted() else chunk
        self.cursor = Cursor(fn, self.plan, (*ends, *self._buffers(group)), {})
        self.uniform = Point(self.one, self.cursor, Level.UNIFORM, {}, report=self._report)
        self._read_uniform()
        streamed = self.plan.streamed if self.last else ()
        if streamed:
            fn.if_(self._may_stream(), lambda: self._chunk(group, True), lambda: self._chunk(group, False))
        else:
            self._chunk(group, False)
        if self.last:
            self._store(self.uniform, Level.UNIFORM)
        fn.ret()

    def _is_parted(self) -> bool:
        return self.split and self.phase < len(self.plan.stages)

    def _buffers(self, group: Register) -> list[Register]:
        plan, fn = self.plan, self.fn
        if not plan.buffers:
            return []
        base = fn.alloca(plan.buffer_bytes) if self.scratch.on_stack else fn.at(self.memory, group * plan.buffer_bytes)
        return [fn.at(base, offset) for offset in plan.buffers]

    def _read_uniform(self) -> None:
        """Everything that is the same in the whole domain, once and before any branch."""
        for state, words in self.values.words.items():
            pointer = self.cursor.pointers[self.values.body.inputs.index(state)]
            stride = self.values.domain.states[state] * state.type.dtype.size
            for k, word in enumerate(words):
                self.uniform.set(word, self.one.load(pointer, state.type.dtype, k * stride))
        self._load(self.uniform, Level.UNIFORM)
        self.uniform.run(self.plan.outer_nodes(Level.UNIFORM, 0))

    def _load(self, point: Point, level: Level) -> None:
        """Load the inputs of an outer level at once, so that every later use is dominated."""
        for value in self.values.body.inputs:
            if self.values.levels[value] == level and value in self.values.used and value not in self.values.words:
                point.lane(value)

    def _report(self, node: Node, bad: Register) -> None:
        """Leave the number of a broken guard in the fault word."""
        fn, faults = self.fn, self.faults
        assert faults is not None
        number = fn.const(1 + self.guards.index(node))
        fn.if_(bad, lambda: fn.store(number, faults))

    def _may_stream(self) -> Register:
        """Whether every streamed output is aligned, and none is an input, whose lines are in the cache already."""
        fn, inputs = self.fn, len(self.values.body.inputs)
        good = fn.const(1, I1)
        for j in sorted(self.plan.streamed):
            address = fn.convert("ptrtoint", self.cursor.pointers[inputs + j], I64)
            good = good & fn.compare("eq", address & 63, fn.const(0))
            for pointer in self.cursor.pointers[:inputs]:
                good = good & fn.compare("ne", self.cursor.pointers[inputs + j], pointer)
        return good

    def _chunk(self, group: Register, streaming: bool) -> None:
        fn, division = self.fn, self.plan.division
        self.streaming = streaming
        if division.groups <= 1:
            fn.loop(division.items, [], self._item)
        elif division.items % division.items_per_chunk == 0:
            first = group * division.items_per_chunk
            fn.loop(division.items_per_chunk, [], lambda k: self._item(first + k))
        else:
            first = group * division.items_per_chunk
            fn.loop(self._least(first + division.items_per_chunk, division.items), [], self._item, start=first)
        if streaming:
            fn.fence()

    def _least(self, a: Register, most: int) -> Register:
        limit = self.fn.const(most)
        return self.fn.select(self.fn.compare("slt", a, limit), a, limit)

    def _item(self, item: Register) -> None:
        row = item // self.plan.division.blocks
        self._run_item(self._item_point(self._cursor(row)), item, row)

    def _cursor(self, row: Register) -> Cursor:
        """The outer axes bound to the indices that `row` counts, the last the fastest."""
        cursor, left = self.cursor, row
        for n, axis in reversed(list(enumerate(self.plan.outer_axes))):
            size = self.values.sizes[axis]
            cursor = cursor.bind(axis, left % size if n else left)
            left = left // size
        return cursor

    def _item_point(self, cursor: Cursor) -> Point:
        """The scalars at a place that do not wait for a stage."""
        point = Point(self.one, cursor, Level.ITEM, {Level.UNIFORM: self.uniform}, report=self._report)
        self._load(point, Level.ITEM)
        point.run(self.plan.outer_nodes(Level.ITEM, 0))
        return point

    def _front(self, item: Point, borrowed: Sequence[Value]) -> Point:
        """A point that holds values of the scalar levels in all lanes."""
        front = Point(self.many, item.cursor, None, {Level.UNIFORM: self.uniform, Level.ITEM: item})
        front.require(borrowed)
        return front

    # Stages

    def _range(self, axis: int) -> IndexRange:
        """The indices of a reduced axis that this chunk runs through."""
        fn, division, size = self.fn, self.plan.division, self.values.sizes[axis]
        if axis != division.split:
            return IndexRange(fn.const(0), fn.const(size), size)
        start = self.part * division.part
        last = size - (division.parts - 1) * division.part
        return IndexRange(start, self._least(start + division.part, size), math.gcd(division.part, last))

    def _outer_loop(self, indices: IndexRange, sums: Accumulators, inner: Callable[[Register], State]) -> State:
        def body(k: Register, *state: Register) -> State:
            return sums.combine(list(state), inner(k))

        return self.fn.loop(indices.stop, sums.identity(), body, start=indices.start)

    def _common(self, cursor: Cursor, stage: Stage, item: Point) -> tuple[Point, Point]:
        """What does not move along the vector axis inside the reduced loops: computed once, and held in all lanes."""
        scalars = Point(
            self.one,
            cursor,
            Level.COMMON,
            {Level.UNIFORM: self.uniform, Level.ITEM: item},
            report=self._report,
        )
        scalars.run(n for n in stage.nodes if self.values.levels[n.output] == Level.COMMON)
        front = Point(self.many, cursor, None, {Level.COMMON: scalars})
        front.require(self._common_values(stage))
        return scalars, front

    def _common_values(self, stage: Stage) -> list[Value]:
        """The COMMON values that vectors of the stage use."""
        found: dict[Value, None] = {}
        for node in stage.nodes:
            if self.values.levels[node.output] == Level.FULL:
                found.update(dict.fromkeys(self.values.operands_of(node)))
        found.update(dict.fromkeys(n.inputs[0] for n in stage.reductions))
        found.update(dict.fromkeys(k.value for k in stage.stores))
        return [v for v in found if self.values.levels[v] == Level.COMMON]

    def _blocks(self, e: LaneEmitter, count: int) -> RandomBlocks | None:
        """What `count` vectors side by side share, of those that a sweep takes at a time."""
        return RandomBlocks() if count * e.lanes % BLOCK_ELEMENTS == 0 else None

    def _full(
        self,
        e: LaneEmitter,
        cursor: Cursor,
        stage: Stage,
        sources: dict[Level, Point],
        u: int,
        mask: Register | None,
        blocks: RandomBlocks | None,
    ) -> Point:
        return Point(
            e,
            cursor,
            Level.FULL,
            sources,
            shift=u * e.lanes,
            mask=mask,
            reloads=stage.reloads,
            report=self._report,
            blocks=blocks,
        )

    def _visit(self, point: Point, stage: Stage, states: Sequence[Lanes], mask: Register | None) -> list[Lanes]:
        """Compute the stage's nodes at a point, store, and enter the point into the accumulators."""
        point.run(n for n in stage.nodes if self.values.levels[n.output] == Level.FULL)
        operands = [point.wide(n.inputs[0]) for n in stage.reductions]
        point.require(k.value for k in stage.stores)
        for store in stage.stores:
            streamed = store.operand - len(self.values.body.inputs) in self.plan.streamed
            point.store(store.operand, store.value, self.streaming and streamed)
        updated: list[Lanes] = []
        for node, x, state in zip(stage.reductions, operands, states, strict=True):
            counter = self.values.domain.counters.get(node)
            index = None if counter is None else point.index(counter)
            updated.append(reduction_of(node).update(point.e, state, x, index, mask))
        return updated

    # Parts of split reductions, and results

    def _partial(self, reduction: Reduction, k: int, part: Register, where: Register, columns: int) -> Register:
        """The address of part `part`, accumulator `where`, lane part k."""
        size = reduction.parts[k].size
        slot = part * (self.scratch.rows * columns) + where
        return self.fn.at(self.memory, slot * size + self.scratch.partials[reduction.node, k])

    def _leave(
        self, e: LaneEmitter, reduction: Reduction, state: Lanes, where: Register, columns: int, mask: Register | None
    ) -> None:
        for k, lane in enumerate(state):
            e.store(lane, self._partial(reduction, k, self.part, where, columns), mask=mask)

    def _combined(
        self, e: LaneEmitter, reduction: Reduction, where: Register, columns: int, mask: Register | None
    ) -> Lanes:
        """The parts of a reduction combined in order."""
        sums = Accumulators([Slot(reduction, e)])

        def body(part: Register, *state: Register) -> State:
            found = [
                e.load(self._partial(reduction, k, part, where, columns), dtype, mask=mask)
                for k, dtype in enumerate(reduction.parts)
            ]
            return sums.combine(list(state), sums.flatten([found]))

        return sums.split(self.fn.loop(self.plan.division.parts, sums.identity(), body))[0]

    def _store(self, point: Point, level: Level) -> None:
        """Write the outputs of an outer level."""
        inputs = len(self.values.body.inputs)
        own = [(j, v) for j, v in enumerate(self.values.body.outputs) if self.plan.store_level(j) == level]
        point.require(value for _, value in own)
        for j, value in own:
            point.store(inputs + j, value, self.streaming and j in self.plan.streamed)
