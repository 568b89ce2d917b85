"""What a report is about: one signature of a compiled function, and how it was compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from tinytorch.calls import frozen_graph, run_again
from tinytorch.ir.costs import Precision
from tinytorch.ir.graph import Graph
from tinytorch.runtime.backend import Backend
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.schedule import Call, Schedule
from tinytorch.specialization import Compilation, Specialization


@dataclass(frozen=True)
class Subject:
    """A specialization; `backend` is None for the interpreter."""

    name: str
    item: Specialization
    backend: Backend | None
    frozen: bool
    memory_limit: int | None
    precision: Precision
    backend_name: str
    compilations: tuple[Compilation, ...]

    @cached_property
    def traced(self) -> Graph:
        """The graph that the passes began with."""
        return frozen_graph(self.item.traced) if self.frozen else self.item.traced.graph

    @property
    def graph(self) -> Graph:
        """The graph behind the passes."""
        return self.item.calls.graph

    @property
    def schedule(self) -> Schedule | None:
        """Waves and buffers; None for the interpreter, which has none."""
        executable = self.item.calls.executable
        return executable.schedule if isinstance(executable, Executable) else None

    @property
    def calls(self) -> tuple[tuple[int, Call], ...]:
        """The kernels in the order of the schedule, with their waves."""
        waves = () if self.schedule is None else self.schedule.waves
        return tuple((number, call) for number, wave in enumerate(waves) for call in wave)

    def run_passes_again(self, after: Callable[[str, int, Graph, Graph], None]) -> None:
        """Run the passes that made the graph once more; `after` is told of each (see `run_passes`)."""
        run_again(self.traced, self.backend, self.frozen, self.memory_limit, self.precision, after)
