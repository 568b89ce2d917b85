"""Cursors and points of a loop kernel: addresses under the bound axes, and the lanes of the values there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from tinytorch.ir.graph import Node, Value
from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.ops.core import iota
from tinytorch.ir.types import DType, bool_, i32, i64
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.lanes.node import computed, node_lane
from tinytorch.runtime.llvm.loop.domain import Walk
from tinytorch.runtime.llvm.loop.plan import LoopPlan
from tinytorch.runtime.llvm.loop.random_blocks import RandomBlocks
from tinytorch.runtime.llvm.loop.stages import Level
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.types import I8, I32, I64, vector


@dataclass(frozen=True)
class Cursor:
    """Some axes bound to indices, and the pointer of every operand there; `transposed` operands are read from copies,
    in which the lanes of the vector axis lie side by side."""

    fn: Function
    plan: LoopPlan
    pointers: tuple[Register, ...]
    index: Mapping[int, Register]
    transposed: Mapping[int, Register] = field(default_factory=dict[int, Register])

    def bind(self, axis: int, index: Register) -> Cursor:
        """The cursor with one more axis bound to `index`."""
        moved: dict[int, Register] = {}

        def advance(o: int, pointer: Register) -> Register:
            operand = self.plan.operands[o]
            step = operand.walk[axis] * operand.dtype.size
            if step == 0 or self._restarts(o, axis):
                return pointer
            if step not in moved:
                moved[step] = index * step
            return self.fn.at(pointer, moved[step])

        pointers = tuple(advance(o, p) for o, p in enumerate(self.pointers))
        return replace(self, pointers=pointers, index={**self.index, axis: index})

    def _restarts(self, o: int, axis: int) -> bool:
        """Whether the operand is a buffer of a tile, which starts at the tile's first column, or is folded along the
        vector axis, so that no step leads to its elements."""
        values = self.plan.values
        if not values.across or axis != values.vector:
            return False
        return o >= len(values.body.inputs) + len(values.body.outputs) or o in values.domain.folded

    def position(self, walk: Walk) -> Register:
        """What a counter that walks so has counted."""
        total = self.fn.const(0)
        for axis, index in self.index.items():
            if walk[axis]:
                total = total + index * walk[axis]
        return total


class Point:
    """The lanes of values at one place: of `level`, or borrowed from the points of other levels.

    Along the vector axis it covers `e.lanes` elements, `shift` elements on from the cursor; a mask's lanes beyond the
    first few are off. `blocks` are those of random bits that it shares with the points beside it.
    """

    def __init__(
        self,
        e: LaneEmitter,
        cursor: Cursor,
        level: Level | None,
        sources: Mapping[Level, Point],
        *,
        shift: int = 0,
        mask: Register | None = None,
        reloads: Mapping[Value, int] | None = None,
        report: Callable[[Node, Register], None] | None = None,
        blocks: RandomBlocks | None = None,
    ) -> None:
        self.e = e
        self.cursor = cursor
        self.level = level
        self.sources = sources
        self.shift = shift
        self.mask = mask
        self.reloads = reloads or {}
        self.report = report
        self.blocks = blocks
        self._known: dict[Value, Lane] = {}
        self._wide: dict[Value, Lane] = {}
        values = cursor.plan.values
        self._levels = values.levels
        self._inputs = {value: o for o, value in reversed(list(enumerate(values.body.inputs)))}

    def set(self, value: Value, lane: Lane) -> None:
        self._known[value] = lane

    def lane(self, value: Value) -> Lane:
        """The value here; computed nodes must have run."""
        found = self._known.get(value)
        if found is None:
            found = self._known[value] = self._find(value)
        return found

    def require(self, values: Iterable[Value]) -> None:
        """Find the values now: before a store that may overwrite them, or a loop that they must dominate."""
        for value in values:
            self.lane(value)

    def wide(self, value: Value) -> Lane:
        """The value in the dtype that it is computed in."""
        lane = self.lane(value)
        target = computed(lane.dtype)
        if target is lane.dtype:
            return lane
        if value not in self._wide:
            self._wide[value] = self.e.cast(lane, target)
        return self._wide[value]

    def _find(self, value: Value) -> Lane:
        if value in self.reloads:
            return self._load(self.reloads[value])
        level = self._levels[value]
        if level == self.level:
            return self._load(self._inputs[value])
        lane = self.sources[level].lane(value)
        if lane.emitter is self.e:
            return lane
        source = self.sources[level].e
        return self.e.lane(source.value(lane), lane.dtype)

    def _load(self, o: int) -> Lane:
        operand = self.cursor.plan.operands[o]
        if o in self.cursor.transposed:
            return self.e.load(self.cursor.transposed[o], operand.dtype, self.shift * operand.dtype.size)
        step = self._step(o)
        pointer, e = self.cursor.pointers[o], self.e
        offset = self.shift * step * operand.dtype.size
        if step == -1 and e.lanes > 1 and self.mask is None:
            back = e.load(pointer, operand.dtype, offset - (e.lanes - 1) * operand.dtype.size)
            return Lane(e, back.dtype, e.fn.shuffle(e.value(back), None, range(e.lanes - 1, -1, -1)))
        return e.load_strided(pointer, operand.dtype, step, offset, mask=self.mask)

    def _step(self, o: int) -> int:
        vector_axis = self.cursor.plan.values.vector
        return 0 if vector_axis is None else self.cursor.plan.operands[o].walk[vector_axis]

    def store(self, o: int, value: Value, streaming: bool = False) -> None:
        """Write the value to an operand; one element for all lanes where it does not move along the vector axis."""
        operand, lane, e = self.cursor.plan.operands[o], self.lane(value), self.e
        pointer, step = self.cursor.pointers[o], self._step(o)
        offset = self.shift * step * operand.dtype.size
        if step == 0:
            first = LaneEmitter(e.fn, e.target, 1)
            first.store(first.lane(e.fn.extract(e.value(lane), 0), lane.dtype), pointer)
        elif streaming and self.mask is None and e.lanes == self.cursor.plan.values.lanes:
            bits = e.value(lane)
            bits = e.fn.convert("zext", bits, I8.widen(e.lanes)) if lane.dtype is bool_ else bits
            e.fn.store(bits, pointer, offset, align=min(bits.type.bytes, 64), streaming=True)
        else:
            e.store_strided(lane, pointer, step, offset, mask=self.mask)

    def run(self, nodes: Iterable[Node]) -> None:
        """Compute the nodes in order."""
        for node in nodes:
            self._known[node.output] = self._compute(node)

    def _compute(self, node: Node) -> Lane:
        values = self.cursor.plan.values
        if node.op.kind == "view":
            return self.lane(node.inputs[0])
        if node.op.kind == "reduce":  # along axes of size 1
            counts = node in values.domain.counters
            return self.e.const(0, i64) if counts else self.lane(node.inputs[0])
        operands = [self.wide(v) for v in values.operands_of(node)]
        if self.blocks is not None and node in values.random:
            start = self.cursor.position(values.domain.counters[node])
            return self.blocks.bits(self.e, node, start, self.shift, operands)
        if node in values.domain.counters:
            wanted = node.output.type.dtype if node.op is iota else i64
            operands.insert(0, self.index(values.domain.counters[node], wanted))
        if node.op.guard is not None and self.report is not None:
            self._check(node, node.op.guard(self.e, *operands, **node.attrs))
        return node_lane(self.e, node, operands)

    def index(self, walk: Walk, wanted: DType = i64) -> Lane:
        """What a counter has counted, in i64 lanes; in i32 lanes, which are twice as many, if these are wanted."""
        fn, vector_axis = self.e.fn, self.cursor.plan.values.vector
        dtype, word = (i32, I32) if wanted is i32 else (i64, I64)
        step = 0 if vector_axis is None or vector_axis not in self.cursor.index else walk[vector_axis]
        position = self.cursor.position(walk) + self.shift * step
        lane = self.e.lane(position if dtype is i64 else fn.convert("trunc", position, word), dtype)
        if step == 0 or self.e.lanes == 1:
            return lane
        steps = fn.constants([k * step for k in range(self.e.lanes)], word.widen(self.e.lanes))
        return lane + Lane(self.e, dtype, steps)

    def _check(self, node: Node, holds: Lane) -> None:
        fn = self.e.fn
        bad = self.e.value(~holds)
        if self.mask is not None:
            bad = bad & self.mask
        if self.e.lanes > 1:
            bits = fn.bitcast(bad, vector(f"i{self.e.lanes}", 1))
            bad = fn.compare("ne", bits, fn.const(0, bits.type))
        assert self.report is not None
        self.report(node, bad)
