"""Memory over time: what lies in the arena in each instant, as the schedule has placed it, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from tinytorch.insight.graphs import loc_text
from tinytorch.insight.parts import kernel_title
from tinytorch.insight.record import Lifetime, Outside, Peak
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.schedule import Schedule


@dataclass(frozen=True)
class MemoryPlan:
    """The memory of a call. `arena_bytes` is what the buffers take, each at its place for its time; `outside` what is
    there beside them: of that, `scratch` is allocated with the arena."""

    buffers: tuple[Lifetime, ...]
    arena_bytes: int
    peak: Peak | None
    outside: Outside
    instants: int

    @property
    def allocated(self) -> int:
        """The bytes that a call takes for the arena and the scratch of kernels."""
        return self.arena_bytes + self.outside.scratch

    def alive(self, instant: int) -> tuple[Lifetime, ...]:
        """What lies in the arena then, the largest first."""
        found = [buffer for buffer in self.buffers if buffer.first <= instant <= buffer.last]
        return tuple(sorted(found, key=lambda buffer: -buffer.bytes))


def memory_plan(executable: Executable) -> MemoryPlan:
    """The plan of an executable, which needs no run."""
    schedule = executable.schedule
    buffers = tuple(sorted(_lifetimes(schedule), key=lambda buffer: (buffer.first, buffer.offset)))
    instants = sum(map(len, schedule.waves))
    graph = schedule.graph
    state = {index for index, _ in graph.state}
    renewed = {output for _, output in graph.state}
    outside = Outside(
        state=sum(graph.inputs[i].type.bytes for i in state),
        inputs=sum(v.type.bytes for i, v in enumerate(graph.inputs) if i not in state),
        results=sum(v.type.bytes for i, v in enumerate(graph.outputs) if i not in renewed),
        constants=sum(array.nbytes for array in schedule.constants),
        scratch=executable.arena_bytes - schedule.arena_bytes,
    )
    return MemoryPlan(buffers, schedule.arena_bytes, _peak(buffers, instants), outside, instants)


def _lifetimes(schedule: Schedule) -> Iterator[Lifetime]:
    """All buffers, by the time at which they end. Kernels of a wave run at one time, so what one of them makes or reads
    is there from the first instant of the wave to the last. Where a kernel writes over its operand, that is over with
    the wave before."""
    there: dict[int, Lifetime] = {}  # by offset: what was written there last
    first = 0
    for wave in schedule.waves:
        last = first + len(wave) - 1
        for call in wave:
            for offset in {a.place.index for a in call.operands if a.place.kind == "arena"} & there.keys():
                there[offset] = replace(there[offset], last=last)
        for number, call in enumerate(wave, first):
            for result in call.results:
                size = result.value.type.bytes
                if result.place.kind == "arena" and size:
                    offset = result.place.index
                    if offset in there:
                        old = there.pop(offset)
                        yield replace(old, last=min(old.last, first - 1))
                    name = result.value.name or kernel_title(call.node)
                    there[offset] = Lifetime(name, offset, size, first, last, loc_text(call.node.loc), number)
        first = last + 1
    yield from there.values()


def _peak(buffers: Sequence[Lifetime], instants: int) -> Peak | None:
    change = [0] * (instants + 1)
    for buffer in buffers:
        change[buffer.first] += buffer.bytes
        change[buffer.last + 1] -= buffer.bytes
    alive = list(accumulate(change))
    return Peak(alive.index(max(alive)), max(alive)) if buffers else None
