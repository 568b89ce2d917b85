"""What the milestones share: arguments, the report with its criteria, memory and time of a training step, pictures."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from rich.console import Console
from rich.table import Table

import tinytorch as tt
from tinytorch.passes.cost import cost

matplotlib.use("Agg")

console = Console(highlight=False)


def arguments(name: str, about: str, epochs: int, argv: Sequence[str] | None) -> argparse.Namespace:
    """`--out`, `--eager` and `--epochs`, as every milestone takes them."""
    parser = argparse.ArgumentParser(prog=f"python -m milestones.{name}", description=about)
    parser.add_argument("--out", type=Path, default=Path("out") / name, help="folder for pictures and figures")
    parser.add_argument("--eager", action="store_true", help="run every step eagerly, without the compiler")
    parser.add_argument("--epochs", type=int, default=epochs, help=f"epochs at most, {epochs} by default")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    return options


@dataclass(frozen=True)
class Criterion:
    """A figure and what it is to reach: at least `goal`, more than it if `strict`, at most it if `below`.

    An `aim` is reported in the same way but does not decide the exit status.
    """

    what: str
    figure: float
    goal: float
    shown: str = "{:.2%}"
    strict: bool = False
    below: bool = False
    aim: bool = False

    @property
    def met(self) -> bool:
        if self.below:
            return self.figure < self.goal
        return self.figure > self.goal if self.strict else self.figure >= self.goal

    def __str__(self) -> str:
        relation = "<" if self.below else ">" if self.strict else "≥"
        verdict = "[green]met[/]" if self.met else "[red]NOT met[/]"
        kind = "aim" if self.aim else "criterion"
        figure, goal = self.shown.format(self.figure), self.shown.format(self.goal)
        return f"{verdict}: {self.what}: {figure} ({kind}: {relation} {goal})"


@dataclass
class Report:
    """Every measured figure of a milestone by name, and its criteria."""

    name: str
    out: Path
    figures: dict[str, Any] = field(default_factory=dict)
    criteria: list[Criterion] = field(default_factory=list)

    def finish(self) -> int:
        """Write the figures, state the criteria; 0 if all that are no mere aims are met, else 1."""
        path = self.out / f"{self.name}.json"
        machine = {"cpus": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()}
        criteria = [{**asdict(c), "met": c.met} for c in self.criteria]
        content = {"milestone": self.name, "machine": machine, "criteria": criteria, "figures": self.figures}
        path.write_text(json.dumps(content, indent=1, default=float) + "\n")
        console.print(f"\nPictures and figures: {self.out}")
        for criterion in self.criteria:
            console.print(str(criterion))
        return 0 if all(c.met for c in self.criteria if not c.aim) else 1


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows; the first column is a name, the others are figures."""
    made = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        made.add_column(column, justify="right" if i else "left")
    for row in rows:
        made.add_row(*map(str, row))
    console.print(made)


def kib(size: float) -> str:
    """In KiB."""
    return f"{size / 1024:,.1f}"


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f}"


@dataclass(frozen=True)
class StepProfile:
    """One training step at one batch size: bytes, and seconds per step.

    `state` is parameters and moments, `batch_bytes` the batch. Beyond those a step needs: `eager` bytes at its peak
    (measured), `graph` if the traced graph ran node by node (computed), `arena` compiled (what is allocated; the
    interpreter has none, and no kernels).
    """

    batch: int
    state: int
    batch_bytes: int
    eager: int
    graph: int
    arena: int
    kernels: int
    flops: int
    seconds: float
    eager_seconds: float


def profile_step(make: Callable[[bool], tt.Trainer], inputs: Any, targets: Any, repeats: int = 30) -> StepProfile:
    """Measure the training step of `make(compile)` on a batch, eager and compiled."""
    x, y = tt.from_numpy(inputs), tt.from_numpy(targets)
    eager, compiled = make(False).train_step, make(True).train_step
    compiled(x, y)
    seconds = median_seconds(lambda: compiled(x, y), repeats)  # before the threads of numpy's products wake up and spin
    eager(x, y)
    graph = compiled.traced_graph
    held = sum(v.type.bytes for v in graph.inputs)
    batch_bytes = inputs.nbytes + targets.nbytes
    totals = cost(graph)
    return StepProfile(
        batch=len(inputs),
        state=held - batch_bytes,
        batch_bytes=batch_bytes,
        eager=peak_bytes(lambda: eager(x, y)),
        graph=totals.peak_bytes - held,
        arena=getattr(compiled.executable, "arena_bytes", 0),
        kernels=getattr(compiled.executable, "kernels", 0),
        flops=totals.flops,
        seconds=seconds,
        eager_seconds=median_seconds(lambda: eager(x, y), repeats),
    )


def peak_bytes(call: Callable[[], Any]) -> int:
    """The most memory that Python and numpy held at one time during `call`, beyond what they held before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def show_profiles(title: str, profiles: Sequence[StepProfile]) -> None:
    """KiB held by state and batch, KiB needed beyond that in three ways, and the time of a step in two."""
    rows = [
        (
            f"{p.batch:,}",
            kib(p.state + p.batch_bytes),
            kib(p.eager),
            kib(p.graph),
            kib(p.arena),
            microseconds(p.eager_seconds),
            microseconds(p.seconds),
        )
        for p in profiles
    ]
    columns = ("batch", "held", "eager", "graph", "arena", "eager µs", "compiled µs")
    table(title, columns, rows)


def draw_memory(profiles: Sequence[StepProfile], path: Path) -> None:
    """Working memory of a step over the batch size."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    sizes = [p.batch for p in profiles]
    axes.plot(sizes, [p.eager / 1024 for p in profiles], "o-", label="eager, measured")
    axes.plot(sizes, [p.graph / 1024 for p in profiles], "s-", label="graph node by node, computed")
    axes.plot(sizes, [p.arena / 1024 for p in profiles], "^-", label="compiled, the arena")
    axes.axhline(profiles[0].state / 1024, color="gray", linestyle=":", label="parameters and moments")
    axes.set(xscale="log", yscale="log", xlabel="batch size", ylabel="KiB", title="Memory of one training step")
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
