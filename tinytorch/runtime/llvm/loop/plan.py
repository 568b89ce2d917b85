"""How a loop kernel runs: which axis is in vectors, when each value is computed, what is kept, how work is split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.types import DType, f32
from tinytorch.runtime.llvm.lanes.node import computed
from tinytorch.runtime.llvm.loop.domain import Domain, domain_of, is_reduction
from tinytorch.runtime.llvm.loop.stages import Access, Level, Stage, StagePlanner, Values
from tinytorch.runtime.llvm.text.target import Target

GRAIN = 16384  # elements of a chunk: some microseconds of work
_SPLIT = 32768  # elements of one part of a reduction that several chunks share
_SPLIT_LENGTH = 1024  # a reduction of fewer elements is not split
_MOST_PARTS = 64
_STREAMED_BYTES = 32 << 20  # an output that no cache holds is written past the caches
_FEW_CHUNKS = 8  # fewer leave processors idle, so long reductions are split
SUM_TRIPS = 64  # additions to one accumulator before it is added to the next level's


@dataclass(frozen=True)
class Division:
    """How the work is cut into chunks, from shapes alone. An item is a row, or one of `blocks` blocks of `block`
    elements of the vector axis; a chunk is `items_per_chunk` items, of which it runs one of `parts` parts (`part`
    elements long) of the reduced axis `split`."""

    items: int
    blocks: int
    block: int
    items_per_chunk: int
    parts: int = 1
    part: int = 0
    split: int | None = None

    @property
    def groups(self) -> int:
        """Chunks, where reductions are not split."""
        return -(-self.items // self.items_per_chunk)


@dataclass(frozen=True)
class LoopPlan:
    """Everything that code generation needs to know. `operands` are the inputs, the outputs, then kept buffers."""

    values: Values
    division: Division
    unroll: int  # vectors side by side in a tile
    operands: tuple[Access, ...]
    stages: tuple[Stage, ...]
    streamed: frozenset[int]  # outputs written past the caches
    buffers: tuple[int, ...]  # where each buffer of stored values begins in the memory of a chunk
    buffer_bytes: int  # of that memory

    @property
    def body(self) -> Graph:
        return self.values.body

    @property
    def target(self) -> Target:
        return self.values.target

    @property
    def outer_axes(self) -> list[int]:
        """The kept axes that items count: all but the vector axis and the one walked through in squares."""
        others = self.values.reduced | {self.values.vector, self.values.cross}
        return [a for a in range(len(self.values.sizes)) if a not in others]

    @property
    def inner_axes(self) -> list[int]:
        """The reduced axes that are not in vectors."""
        return sorted(self.values.reduced - {self.values.vector})

    def outer_nodes(self, level: Level, stage: int) -> list[Node]:
        """The nodes of an outer level, other than reductions, that are computed once `stage` stages are over."""
        values = self.values
        own = (n for n in values.body.nodes if n in values.live and values.levels[n.output] == level)
        return [n for n in own if values.stage_of[n.output] == stage and not is_reduction(n)]

    def store_level(self, output: int) -> Level:
        """The loop in which an output is written."""
        values = self.values
        walk = values.domain.outputs[output]
        own = values.levels[self.body.outputs[output]]
        if any(walk[a] for a in values.reduced):
            return Level.FULL
        if values.across and values.vector is not None and (walk[values.vector] or own == Level.TILE):
            return Level.TILE
        return Level.ITEM if any(walk) else min(own, Level.ITEM)


def plan_loop(
    body: Graph,
    strides: Sequence[Sequence[int]],
    ends: Sequence[Sequence[int]],
    target: Target,
    covering: Sequence[int] = (),
) -> LoopPlan:
    """The plan of `body`, whose inputs have these `strides` and whose outputs these `ends`, on `target`. `covering`
    outputs lie where inputs do."""
    values = _values(body, strides, ends, target)
    domain = values.domain
    nodes = [n for n in body.nodes if n in values.live]
    unroll = values.unroll(values.weight(Level.TILE, nodes) + values.weight(Level.FULL, nodes)) if values.across else 1
    division = _divide(values, unroll)
    streamed = _streamed(values)
    planner = StagePlanner(values, streamed.union(covering), division.split is not None, division.groups, unroll)
    stages = planner.plan()
    walks = zip((*body.inputs, *body.outputs), (*domain.inputs, *domain.outputs), strict=True)
    operands = [Access(v.type.dtype, walk) for v, walk in walks]
    return LoopPlan(
        values=values,
        division=division,
        unroll=unroll,
        operands=(*operands, *planner.buffers),
        stages=stages,
        streamed=streamed,
        buffers=tuple(planner.offsets),
        buffer_bytes=planner.bytes,
    )


def _values(body: Graph, strides: Sequence[Sequence[int]], ends: Sequence[Sequence[int]], target: Target) -> Values:
    """With a folded axis, if it is the one in vectors and the inputs that step unevenly along it are transposed."""
    for fold in (True, False):
        domain = domain_of(body, strides, ends, fold=fold)
        values = Values(body, target, domain, _choose_vector(body, domain, target))
        if not domain.folded:
            break
        crossing = () if values.cross is None else values.transposed(values.cross)
        if values.vector == len(domain.axes) - 1 and domain.folded.keys() <= set(crossing):
            break
    return values


def _divide(values: Values, unroll: int) -> Division:
    inner = math.prod(values.sizes[a] for a in values.reduced)
    outer = math.prod(d for a, d in enumerate(values.sizes) if a not in values.reduced and a != values.vector)
    width, blocks, block = 1, 1, 0
    if values.cross is not None:
        outer = outer // values.sizes[values.cross] * -(-values.sizes[values.cross] // values.lanes)
        inner = values.lanes  # the rows of a square
    if values.across and values.vector is not None:
        tile = values.lanes * unroll
        width = block = values.sizes[values.vector]
        most = -(-max(tile, GRAIN // max(inner, 1)) // tile) * tile
        if width > most:
            block, blocks = most, -(-width // most)
    items = outer * blocks
    plain = Division(items, blocks, block, max(1, GRAIN // max(inner * (block or 1), 1)))
    total = outer * width * inner
    if plain.groups >= _FEW_CHUNKS or inner < _SPLIT_LENGTH or total < 2 * _SPLIT:
        return plain
    axis = max(sorted(values.reduced), key=lambda a: values.sizes[a])
    parts = max(1, min(_MOST_PARTS, -(-total // _SPLIT) // plain.groups))
    step = values.lanes * 4 * SUM_TRIPS if axis == values.vector else 1
    part = -(-values.sizes[axis] // parts // step) * step
    parts = -(-values.sizes[axis] // part)
    return plain if parts < 2 else replace(plain, parts=parts, part=part, split=axis)


def _streamed(values: Values) -> frozenset[int]:
    """Outputs too large for any cache, whose whole vectors lie at whole multiples of their size."""
    found: list[int] = []
    for j, (value, walk) in enumerate(zip(values.body.outputs, values.domain.outputs, strict=True)):
        vector_bytes = values.lanes * value.type.dtype.size
        if values.vector is None or value.type.bytes < _STREAMED_BYTES or vector_bytes < 16:
            continue
        others = (step * value.type.dtype.size for a, step in enumerate(walk) if a != values.vector)
        if walk[values.vector] == 1 and all(step % vector_bytes == 0 for step in others):
            found.append(j)
    return frozenset(found)


def _choose_vector(body: Graph, domain: Domain, target: Target) -> int | None:
    """The axis whose vectors cost least to load, store and reduce; of equals the innermost."""
    best: tuple[float, int] | None = None
    dtypes = [v.type.dtype for v in (*body.inputs, *body.outputs)]
    walks = [*domain.inputs, *domain.outputs]
    reductions = sum(is_reduction(n) for n in body.nodes)
    inner = math.prod(axis.size for axis in domain.axes if axis.reduced)
    for a, axis in enumerate(domain.axes):
        lanes = target.lanes(max((d for d, w in zip(dtypes, walks, strict=True) if w[a]), key=_width, default=f32))
        used = max(axis.size, 1)
        waste = -(-used // lanes) * lanes / used
        cost = sum(_access(w[a], lanes, waste) for w in walks)
        if axis.reduced:
            cost += reductions * (4 * lanes.bit_length() + 6) / max(inner, 1)
        if best is None or (cost, -a) < best:
            best = cost, -a
    return None if best is None else -best[1]


def _access(step: int, lanes: int, waste: float) -> float:
    """Instructions per element to load or store lanes `step` apart."""
    if step == 0:
        return 0.0
    return waste / lanes if step == 1 else 2 * waste / lanes if step == -1 else 2.0


def _width(dtype: DType) -> int:
    return computed(dtype).size
