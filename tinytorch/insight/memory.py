"""Memory over time: what lies in the arena in each instant, as the schedule has placed it, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tinytorch.insight.graphs import loc_text
from tinytorch.insight.record import Lifetime, Outside, Peak
from tinytorch.insight.text import add, as_text, more, place, shortened, table
from tinytorch.ir.graph import Value
from tinytorch.ir.text.titles import kernel_title
from tinytorch.ir.text.units import size
from tinytorch.runtime.schedule import Schedule

_ROWS = 12  # instants in the table
_NAME, _BAR = 44, 24  # characters


@dataclass(frozen=True)
class MemoryPlan:
    """The memory of a call. `arena_bytes` is what the buffers take, each at its place for its time; `outside` what is
    there beside them: of that, `scratch` is allocated with the arena."""

    buffers: tuple[Lifetime, ...] = ()
    arena_bytes: int = 0
    peak: Peak | None = None
    outside: Outside = field(default_factory=Outside)
    instants: int = 0

    def __rich__(self) -> Group:
        return Group(memory_table(self), Text(memory_summary(self)))

    def __str__(self) -> str:
        return as_text(self.__rich__())

    def __repr__(self) -> str:
        return str(self)

    @property
    def allocated(self) -> int:
        """The bytes that a call takes for the arena and the scratch of kernels."""
        return self.arena_bytes + self.outside.scratch

    def in_use(self) -> list[int]:
        """The bytes of the arena that are in use in each instant."""
        return _in_use(self.buffers, self.instants)

    def alive(self, instant: int) -> tuple[Lifetime, ...]:
        """What lies in the arena then, the largest first."""
        found = [buffer for buffer in self.buffers if buffer.first <= instant <= buffer.last]
        return tuple(sorted(found, key=lambda buffer: -buffer.bytes))


def memory_plan(schedule: Schedule, allocated: int) -> MemoryPlan:
    """The plan of a schedule, whose program allocates that many bytes for a call."""
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
        scratch=allocated - schedule.arena_bytes,
    )
    return MemoryPlan(buffers, schedule.arena_bytes, _peak(_in_use(buffers, instants)), outside, instants)


def _lifetimes(schedule: Schedule) -> Iterator[Lifetime]:
    """All buffers, by the time at which they end. Kernels of a wave run at one time, so what one of them makes or reads
    is there from the first instant of the wave to the last. Where a kernel writes over its operand, that is over with
    the wave before."""
    there: dict[int, list[Lifetime]] = {}  # by offset: what was written there last, in parts that are joined
    bases: dict[int, Value] = {}  # what they are parts of
    first = 0
    for wave in schedule.waves:
        last = first + len(wave) - 1
        for call in wave:
            for offset in {a.place.index for a in call.operands if a.place.kind == "arena"} & there.keys():
                there[offset] = [replace(part, last=last) for part in there[offset]]
        for number, call in enumerate(wave, first):
            for result in call.results:
                size = result.value.type.bytes
                if result.place.kind == "arena" and size:
                    offset = result.place.index
                    if bases.get(offset) is not result.base:
                        for old in there.pop(offset, ()):
                            yield replace(old, last=min(old.last, first - 1))
                    bases[offset] = result.base
                    name = result.value.name or kernel_title(call.node)
                    part = Lifetime(name, offset, size, first, last, loc_text(call.node.loc), number)
                    there.setdefault(offset, []).append(part)
        first = last + 1
    for parts in there.values():
        yield from parts


def _in_use(buffers: Sequence[Lifetime], instants: int) -> list[int]:
    """The bytes in use in each instant."""
    change = [0] * (instants + 1)
    for buffer in buffers:
        change[buffer.first] += buffer.bytes
        change[buffer.last + 1] -= buffer.bytes
    return list(accumulate(change))[:instants]


def _peak(in_use: Sequence[int]) -> Peak | None:
    most = max(in_use, default=0)
    return Peak(in_use.index(most), most) if most else None


def memory_summary(plan: MemoryPlan) -> str:
    """Sizes, in a line."""
    parts = {name: getattr(plan.outside, name) for name in ("scratch", "state", "inputs", "constants", "results")}
    beside = ", ".join(f"{name} {size(bytes)}" for name, bytes in parts.items() if bytes)
    peak = "" if plan.peak is None else f", of which {size(plan.peak.bytes)} are in use in instant {plan.peak.instant}"
    return f"arena {size(plan.arena_bytes)}{peak}; beside it {beside or 'nothing'}"


def memory_table(plan: MemoryPlan) -> Table:
    """How much of the arena is in use, in some of the instants (kernels, in order): the first, the fullest, the last,
    and others in even steps."""
    found = table("Memory over time", ["instant", "in use", "", "the largest", "line"], [])
    in_use = plan.in_use()
    most = 0 if plan.peak is None else plan.peak.bytes
    step = max(1, -(-plan.instants // (_ROWS - 2)))
    peak = () if plan.peak is None else (plan.peak.instant,)
    rows = sorted({*range(0, plan.instants, step), *peak, *((plan.instants - 1,) if plan.instants else ())})
    for instant in rows:
        largest = next(iter(plan.alive(instant)), None)
        name, line = ("", "") if largest is None else (shortened(largest.name, _NAME), place(largest.loc))
        bar = "█" * round(_BAR * in_use[instant] / most) if most else ""
        marked = "bold" if instant in peak else ""
        add(found, str(instant), size(in_use[instant]), bar, name, line, style=marked)
    if len(rows) < plan.instants:
        more(found, f"{plan.instants - len(rows)} further ones; memory_plan().alive(instant) lists what is there")
    return found
