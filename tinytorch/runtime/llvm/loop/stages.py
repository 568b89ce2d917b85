"""The stages of a loop kernel: what each run through the reduced axes computes, and what it keeps for later ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.lanes.cost import lane_cost
from tinytorch.ir.types import DType, TensorType, i64
from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.lanes.node import computed
from tinytorch.runtime.llvm.loop.domain import Domain, Walk, is_reduction
from tinytorch.runtime.llvm.loop.random_blocks import BLOCK_ELEMENTS
from tinytorch.runtime.llvm.text.target import Target

_LIGHT = 12  # instructions of a body that four vectors side by side keep busy
_MEDIUM = 64  # instructions of a body that is not too long to be written _RUN times
_RUN = 8  # vectors that are read and written at once of each row of a square
_RANDOM = 120  # instructions of a random block
STACK_BYTES = 16 << 10  # stored values of a chunk up to this size live on the stack
_MOST_SCRATCH = 8 << 20  # bytes of stored values for all chunks together
_SQUARE = 8  # shorter axes are not worth transposing
_CHEAP = 12  # instructions; what costs more is kept for the next stage, not computed again
_CHEAP_UNCACHED = 60  # the same where keeping means going to memory


class Level(IntEnum):
    """The loop in which a value is computed. An item is a row (vectors along a reduced axis) or a line of tiles
    (vectors along a kept axis); COMMON and FULL lie inside the reduced loops, without and with the vector axis."""

    UNIFORM = 0
    ITEM = 1
    TILE = 2
    COMMON = 3
    FULL = 4


@dataclass(frozen=True)
class Access:
    """A buffer and how its address moves, in elements, along each axis."""

    dtype: DType
    walk: Walk


@dataclass(frozen=True)
class Store:
    """A value that a stage leaves for later ones in operand `operand`."""

    value: Value
    operand: int


@dataclass(frozen=True)
class Stage:
    """One run through the reduced axes: what it computes (COMMON and FULL nodes in order), reduces and stores; what it
    loads of what earlier stages kept; and which values of outer levels it uses."""

    nodes: tuple[Node, ...]
    reductions: tuple[Node, ...]
    stores: tuple[Store, ...]
    reloads: dict[Value, int]
    borrowed: tuple[Value, ...]
    unroll: int


def live_nodes(body: Graph) -> set[Node]:
    """The nodes that an output depends on."""
    producers = body.producers()
    found: set[Node] = set()
    pending = list(body.outputs)
    while pending:
        node = producers.get(pending.pop())
        if node is not None and node not in found:
            found.add(node)
            pending += node.inputs
    return found


class Values:
    """Where and when each value of a body is computed: its level, and how many stages must be over before."""

    def __init__(self, body: Graph, target: Target, domain: Domain, vector: int | None) -> None:
        self.body = body
        self.target = target
        self.domain = domain
        self.vector = vector
        self.sizes = [axis.size for axis in domain.axes]
        self.reduced = frozenset(a for a, axis in enumerate(domain.axes) if axis.reduced)
        self.across = vector is not None and vector not in self.reduced
        self.cross = self._cross()
        self.producers = body.producers()
        self.live = live_nodes(body)
        self.used = {v for node in self.live for v in node.inputs} | set(body.outputs)
        word = TensorType(i64, ())
        self.words = {state: (Value(word), Value(word)) for state in domain.states}
        self._weights: dict[Node, int] = {}
        self._varies: dict[Value, frozenset[int]] = {}
        self.stage_of: dict[Value, int] = {}
        self._trace()
        self.levels = {value: self._level(axes, self.stage_of[value]) for value, axes in self._varies.items()}
        for pair in self.words.values():
            self.levels.update(dict.fromkeys(pair, Level.UNIFORM))
        self.random = frozenset(node for node in self.live if self._shares_blocks(node))
        self.lanes = self._lanes()

    def _cross(self) -> int | None:
        """In an elementwise kernel, the axis along which most of the inputs lie that jump along the vector axis: it is
        walked through in squares, which are transposed."""
        if self.vector is None or self.reduced:
            return None
        counts = {a: len(self.transposed(a)) for a in range(len(self.sizes)) if self.sizes[a] >= _SQUARE}
        best = max(counts, key=lambda a: counts[a], default=None)
        return best if best is not None and counts[best] and self.sizes[self.vector] >= _SQUARE else None

    def transposed(self, axis: int) -> list[int]:
        """The inputs that lie side by side along `axis` and jump along the vector axis."""
        assert self.vector is not None
        walks = enumerate(self.domain.inputs)
        return [o for o, walk in walks if walk[axis] == 1 and abs(walk[self.vector]) > 1]

    def _trace(self) -> None:
        for value, walk in zip(self.body.inputs, self.domain.inputs, strict=True):
            self._varies[value], self.stage_of[value] = _moving(walk), 0
        along: frozenset[int] = frozenset() if self.vector is None else frozenset([self.vector])
        for node in self.body.nodes:
            axes = frozenset[int]().union(*(self._varies[v] for v in node.inputs))
            stage = max((self.stage_of[v] for v in node.inputs), default=0)
            if is_reduction(node):
                axes = (axes - self.reduced) | (along if self.across else frozenset())
                stage += 1
            elif node.op.kind != "reduce" and node in self.domain.counters:
                axes |= _moving(self.domain.counters[node])
            for value in node.outputs:
                self._varies[value], self.stage_of[value] = axes, stage

    def _level(self, axes: frozenset[int], stage: int) -> Level:
        if axes & self.reduced:
            return Level.FULL if self.vector in axes else Level.COMMON
        if self.across and self.vector in axes:
            return Level.TILE
        return Level.ITEM if axes or stage else Level.UNIFORM

    def _lanes(self) -> int:
        """As many as fit a register of the widest value in vectors, twice as many where chains of instructions are so
        long that two must run side by side to hide their latency; but not more than the axis has."""
        if self.vector is None:
            return 1
        deep = (Level.FULL, Level.TILE) if self.across else (Level.FULL,)
        widest = max((computed(v.type.dtype).size for v, level in self.levels.items() if level in deep), default=4)
        lanes = max(1, self.target.vector_bytes // widest)
        weight = sum(self.weight(level, list(self.live)) for level in deep)
        most = 1 << max(self.sizes[self.vector] - 1, 0).bit_length()
        self.register_lanes = min(lanes, most)
        return min(2 * lanes if weight > _LIGHT and self.cross is None else lanes, most)

    def _shares_blocks(self, node: Node) -> bool:
        """Whether elements of a random node that lie in vectors side by side take their bits from the same blocks."""
        if node.op.kind != "random" or node.attrs.get("word") is not None or self.vector is None:
            return False
        walk = self.domain.counters[node]
        return all(step == 1 if axis == self.vector else step % BLOCK_ELEMENTS == 0 for axis, step in enumerate(walk))

    def weight(self, level: Level, nodes: Sequence[Node]) -> int:
        """About how many instructions the nodes of a level take per vector."""
        return sum(self.node_weight(n) for n in nodes if self.levels[n.output] == level)

    def node_weight(self, node: Node) -> int:
        """About how many instructions a node takes per vector."""
        if node not in self._weights:
            self._weights[node] = _RANDOM if node.op.kind == "random" else lane_cost(_widened(node))
        return self._weights[node]

    def unroll(self, weight: int) -> int:
        """Vectors side by side: enough to hide latency, few where the body is long; so many that memory is read in runs
        where squares are walked through."""
        size = self.sizes[self.vector] if self.vector is not None else 1
        if self.cross is None:
            wanted = (4 if weight <= _LIGHT else 2) * self.register_lanes // self.lanes
        else:  # what is read lane by lane, because no square is whole, must stay in the nearest cache
            wanted = _RUN if weight <= _MEDIUM and self.sizes[self.cross] >= self.lanes else 1
        wanted = max(wanted, BLOCK_ELEMENTS // self.lanes) if self.random else wanted
        while wanted * self.lanes > max(size, self.lanes):
            wanted //= 2
        return max(wanted, 1)

    def operands_of(self, node: Node) -> Sequence[Value]:
        return self.words[node.inputs[0]] if node.op.kind == "random" else node.inputs

    def full_outputs(self) -> list[Store]:
        """The outputs that have reduced axes, as operands."""
        walks = enumerate(zip(self.body.outputs, self.domain.outputs, strict=True), len(self.body.inputs))
        return [Store(value, o) for o, (value, walk) in walks if any(walk[a] for a in self.reduced)]


def _widened(node: Node) -> Node:
    """The node on operands of the dtype that it is computed in."""
    return replace(node, inputs=tuple(Value(TensorType(computed(v.type.dtype), v.type.shape)) for v in node.inputs))


def _moving(walk: Walk) -> frozenset[int]:
    return frozenset(a for a, step in enumerate(walk) if step)


class StagePlanner:
    """Decides, from the last stage back, what each computes and what it needs kept from the ones before.

    `unfit` outputs, written past the caches or over an input, cannot hold stored values; a chunk's own memory must
    come out small for all `chunks`, and in a `split` kernel there is none.
    """

    def __init__(self, values: Values, unfit: frozenset[int], split: bool, chunks: int, tile_unroll: int) -> None:
        self._values = values
        self._unfit = unfit
        self._split = split
        self._chunks = chunks
        self._tile_unroll = tile_unroll
        self._stored: dict[Value, int] = {}
        self._operands = len(values.body.inputs) + len(values.body.outputs)
        self.buffers: list[Access] = []  # for stored values, after the outputs
        self.offsets: list[int] = []  # of the buffers, in the memory of a chunk
        self.bytes = 0

    def plan(self) -> tuple[Stage, ...]:
        """The stages in order; none where nothing is reduced."""
        values = self._values
        if not values.reduced:
            return ()
        reductions = [n for n in values.body.nodes if n in values.live and is_reduction(n)]
        stored = values.full_outputs()
        at = [values.stage_of[n.inputs[0]] for n in reductions] + [values.stage_of[k.value] for k in stored]
        stages: list[Stage] = []
        for t in range(max(at, default=-1), -1, -1):
            own = [n for n in reductions if values.stage_of[n.inputs[0]] == t]
            stages.append(self._stage(t, own, [k for k in stored if values.stage_of[k.value] == t]))
        return tuple(reversed(stages))

    def _stage(self, t: int, reductions: Sequence[Node], stored: Sequence[Store]) -> Stage:
        outputs = {k.operand for k in stored}
        stores = [*stored]
        stores += [Store(v, o) for v, o in self._stored.items() if self._values.stage_of[v] == t and o not in outputs]
        needed: set[Node] = set()
        reloads: dict[Value, int] = {}
        borrowed: dict[Value, None] = {}
        pending = [n.inputs[0] for n in reductions] + [k.value for k in stores]
        while pending:
            value = pending.pop()
            node = self._values.producers.get(value)
            if self._values.levels[value] <= Level.TILE:
                borrowed[value] = None
            elif self._values.stage_of[value] < t and self._is_stored(value, t):
                reloads[value] = self._stored[value]
            elif node is not None and node not in needed:
                needed.add(node)
                pending += self._values.operands_of(node)
        nodes = tuple(n for n in self._values.body.nodes if n in needed)
        weight = self._values.weight(Level.FULL, nodes) + 2 * len(reductions)
        unroll = self._tile_unroll if self._values.across else self._values.unroll(weight)
        return Stage(nodes, tuple(reductions), tuple(stores), reloads, tuple(borrowed), unroll)

    def _is_stored(self, value: Value, t: int) -> bool:
        """Whether stage t finds a value of an earlier stage in memory; the first time, decide."""
        if value in self._stored:
            return True
        if self._values.levels[value] != Level.FULL or value not in self._values.producers:
            return False
        if self._cost(value) <= (_CHEAP_UNCACHED if self._split else _CHEAP):
            return False
        buffer = self._output_for(value, t)
        if buffer is None:
            buffer = None if self._split else self._new_buffer(value)
        if buffer is None:
            return False
        self._stored[value] = buffer
        return True

    def _cost(self, value: Value) -> int:
        """Instructions to compute a value again from the inputs and outer levels."""
        seen: set[Value] = set()
        pending, cost = [value], 0
        while pending:
            found = pending.pop()
            if found in seen or self._values.levels[found] <= Level.TILE:
                continue
            seen.add(found)
            node = self._values.producers.get(found)
            cost += 1 if node is None else self._values.node_weight(node)
            pending += [] if node is None else self._values.operands_of(node)
        return cost

    def _output_for(self, value: Value, t: int) -> int | None:
        """An output that holds the value anyway, or is free for it until stage t."""
        taken = set(self._stored.values())
        for own in (True, False):
            for k in self._values.full_outputs():
                free = k.value is value if own else self._values.stage_of[k.value] >= t and k.operand not in taken
                fit = k.operand - len(self._values.body.inputs) not in self._unfit
                if free and fit and k.value.type.dtype is value.type.dtype:
                    return k.operand
        return None

    def _new_buffer(self, value: Value) -> int | None:
        """A contiguous buffer of a chunk's own: a row, or a tile of columns (in which the vector axis restarts); none
        where that would be too much memory."""
        values = self._values
        assert values.vector is not None
        walk = [0] * len(values.sizes)
        walk[values.vector] = 1
        step = values.lanes * self._tile_unroll if values.across else values.sizes[values.vector]
        for a in sorted(values.reduced - {values.vector}, reverse=True):
            walk[a], step = step, step * values.sizes[a]
        size = aligned(step * value.type.dtype.size)
        total = self.bytes + size
        if total > STACK_BYTES and total * self._chunks > _MOST_SCRATCH:
            return None
        self.buffers.append(Access(value.type.dtype, tuple(walk)))
        self.offsets.append(self.bytes)
        self.bytes += size
        return self._operands + len(self.buffers) - 1
