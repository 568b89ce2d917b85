"""Values that are kept over a peak of memory, in segments of the program that may compute them again.

The peak is the wave in which most bytes are live; a value crosses it if it is made before and read again after it.
Boundaries cut the waves before the peak into segments. What a later segment needs of an earlier one is kept, so that
each can be computed again alone, right before the first of its values is read (Chen et al., "Training deep nets with
sublinear memory cost", 2016, for any graph).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.kernels.layout import layouts
from tinytorch.ir.kernels.liveness import Liveness
from tinytorch.ir.ops.core import kernel


@dataclass(eq=False)
class Segment:
    """Kernels that are run again before wave `first`, right behind `trigger`, for the values in `dropped`, which are
    `bytes` at the peak; that takes `flops`."""

    kernels: list[Node] = field(default_factory=list[Node])
    dropped: set[Value] = field(default_factory=set[Value])
    first: int = 0
    trigger: Node | None = None

    @property
    def bytes(self) -> int:
        return sum(value.type.bytes for value in self.dropped)

    @property
    def flops(self) -> int:
        return sum(node.flops for node in self.kernels)


class Peak:
    """What crosses the peak of a graph of kernels."""

    def __init__(self, graph: Graph, live: Liveness) -> None:
        self.graph = graph
        self.waves = live.waves
        bases = layouts(graph)
        self.base = {value: layout.base for value, layout in bases.items()}
        self.kernels = [node for node in graph.nodes if node.op is kernel]
        self.makers = {value: node for node in self.kernels for value in node.outputs}
        self.readers: dict[Value, list[Node]] = {}
        for node in self.kernels:
            for value in self.operands(node):
                self.readers.setdefault(value, []).append(node)
        self.stored = live.stored.intersection(self.makers)
        self.last = {v: max(map(self.wave_of, self.readers.get(v, ())), default=self.waves[v]) for v in self.makers}
        self.wave = self._peak()
        self.crossing = [
            v for v in self.makers if v in self.stored and self.waves[v] < self.wave < self.last[v] and v.type.bytes
        ]
        self._last_before = {v: self._last_up_to_peak(v) for v in self.makers}

    def operands(self, node: Node) -> list[Value]:
        """The buffers that a kernel reads."""
        return list(dict.fromkeys(self.base[v] for v in node.inputs))

    def wave_of(self, node: Node) -> int:
        return self.waves[node.outputs[0]]

    def _last_up_to_peak(self, value: Value) -> int:
        """The last wave up to the peak in which `value` is read; -1 for none."""
        return max((w for w in map(self.wave_of, self.readers.get(value, ())) if w <= self.wave), default=-1)

    def _peak(self) -> int:
        """The wave in which most bytes are live."""
        changes = [0] * (max(self.waves.values(), default=0) + 2)
        for value in self.stored:
            changes[self.waves[value]] += value.type.bytes
            changes[self.last[value] + 1] -= value.type.bytes
        live = list(accumulate(changes))
        return live.index(max(live))

    @property
    def live(self) -> list[Value]:
        """What is live at the peak."""
        return [v for v in self.makers if v in self.stored and self.waves[v] <= self.wave <= self.last[v]]

    # Segments.
    def segments(self, count: int, may_run: Callable[[Node], bool]) -> list[Segment]:
        """About `count` segments of equal bytes, of kernels that `may_run` again. The last one is left out: its values
        would be needed at once."""
        boundaries = self._boundaries(count, may_run)
        return self._fill(boundaries, may_run)

    def _boundaries(self, count: int, may_run: Callable[[Node], bool]) -> list[int]:
        """The last wave of each segment but the last: such that least has to be kept for what comes behind."""
        made = [0] * (self.wave + 1)
        for value in self.crossing:
            if may_run(self.makers[value]):
                made[self.waves[value]] += value.type.bytes
        sums = [0, *accumulate(made)]
        across = self._across()
        size = sums[-1] / count
        found: list[int] = []
        start = 0
        while sums[-1] - sums[start] > size:
            low = max(start + 1, bisect_left(sums, sums[start] + size / 2))
            high = max(low, bisect_left(sums, sums[start] + size))
            end = min(range(low, min(high, self.wave) + 1), key=lambda w: (across[w - 1], -w), default=0)
            if end <= start:
                break
            found.append(end - 1)
            start = end
        return found

    def _across(self) -> list[int]:
        """For each wave before the peak, the bytes made until then that are read later, up to the peak."""
        changes = [0] * (self.wave + 2)
        for value, last in self._last_before.items():
            if self.waves[value] < last:
                changes[self.waves[value]] += value.type.bytes
                changes[last] -= value.type.bytes
        return list(accumulate(changes))

    def _fill(self, boundaries: Sequence[int], may_run: Callable[[Node], bool]) -> list[Segment]:
        kept = {value for value in self.makers if self._is_cut(value, boundaries)}
        kept |= {value for value in self.makers if value not in self.stored}
        there = {*kept, *self.crossing}  # after the peak, without running anything again
        segments = [Segment() for _ in boundaries]

        def segment_of(node: Node) -> Segment | None:
            place = bisect_left(boundaries, self.wave_of(node))
            return segments[place] if place < len(segments) else None

        again: set[Value] = set()  # what can be computed again
        for node in self.kernels:
            operands = [v for v in self.operands(node) if v in self.makers]
            if segment_of(node) and may_run(node) and all(v in there or v in again for v in operands):
                again.update(node.outputs)
        dropped = {value for value in self.crossing if value in again and value not in kept}
        there -= dropped
        needed = set(dropped)
        for node in reversed(self.kernels):
            segment = segment_of(node)
            if segment is not None and not needed.isdisjoint(node.outputs):
                segment.kernels.append(node)
                segment.dropped.update(dropped.intersection(node.outputs))
                needed.update(v for v in self.operands(node) if v in self.makers and v not in there)
        used = [segment for segment in segments if segment.dropped]
        for segment in used:
            segment.kernels.reverse()
            self._set_time(segment, dropped)
        return used

    def _is_cut(self, value: Value, boundaries: Sequence[int]) -> bool:
        """Whether a boundary lies between the making and a read before the peak."""
        place = bisect_left(boundaries, self.waves[value])
        return place < len(boundaries) and boundaries[place] < self._last_before[value]

    def _set_time(self, segment: Segment, dropped: Collection[Value]) -> None:
        """Run a segment when all else is there that the first reader of its values needs."""
        late = [n for v in segment.dropped for n in self.readers[v] if self.wave_of(n) > self.wave]
        first = min(late, key=self.wave_of)
        others = [self.makers[v] for v in self.operands(first) if v in self.makers and v not in dropped]
        segment.first = self.wave_of(first)
        segment.trigger = max(others, key=self.wave_of, default=None)
