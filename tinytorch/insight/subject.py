"""What a report is about: one signature of a compiled function, and how it was compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.compiled.calls import Calls, run_again
from tinytorch.compiled.compilations import Compilation
from tinytorch.compiled.options import Options
from tinytorch.frontend.tensor import Tensor
from tinytorch.insight.memory import MemoryPlan, memory_plan
from tinytorch.ir.graph import Graph
from tinytorch.runtime.backend import Backend
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.schedule import Call, Schedule


@dataclass(frozen=True)
class Subject:
    """`traced` is the graph that the passes began with; its last inputs are the tensors `captured`."""

    name: str
    traced: Graph
    captured: Sequence[Tensor]
    made: Calls
    options: Options
    compilations: tuple[Compilation, ...]

    @property
    def graph(self) -> Graph:
        """The graph behind the passes."""
        return self.made.graph

    @property
    def executable(self) -> Executable | None:
        """What runs; None for the interpreter, which has no kernels."""
        found = self.made.executable
        return found if isinstance(found, Executable) else None

    @property
    def backend(self) -> Backend | None:
        """What made the kernels; None for the interpreter."""
        return None if self.executable is None else self.executable.backend

    @property
    def schedule(self) -> Schedule | None:
        """Waves and buffers; None for the interpreter."""
        return None if self.executable is None else self.executable.schedule

    @property
    def calls(self) -> tuple[tuple[int, Call], ...]:
        """The kernels in the order of the schedule, with their waves."""
        waves = () if self.schedule is None else self.schedule.waves
        return tuple((number, call) for number, wave in enumerate(waves) for call in wave)

    @property
    def memory(self) -> MemoryPlan:
        """The memory of a call; empty for the interpreter, whose arrays are numpy's."""
        ran = self.executable
        return MemoryPlan() if ran is None else memory_plan(ran.schedule, ran.arena_bytes)

    def run_passes_again(self, after: Callable[[str, int, Graph, Graph], None]) -> None:
        """Run the passes that made the graph once more; `after` is told of each (see `run_passes`)."""
        run_again(self.traced, self.backend, self.options, after)
