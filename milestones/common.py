"""What the milestones share: arguments, the report with its criteria, memory and time of a training step, pictures."""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from rich.console import Console
from rich.table import Table

import tinytorch as tt
from tinytorch.frontend.profiling.memory import peak_bytes
from tinytorch.ir.system.files import write_bytes, write_text
from tinytorch.passes.cost import cost
from tinytorch.runtime.llvm.threads.peaks import peaks_now

if TYPE_CHECKING:
    from matplotlib.figure import Figure

matplotlib.use("Agg")

console = Console(highlight=False)
SMOKE_BATCHES, SMOKE_EPOCHS = 4, 3


def argument_parser(name: str, about: str, epochs: int) -> argparse.ArgumentParser:
    """`--out`, `--eager` and `--epochs`, as every milestone takes them."""
    parser = argparse.ArgumentParser(prog=f"python -m milestones.{name}", description=about)
    parser.add_argument("--out", type=Path, help=f"folder for pictures and figures, out/{name} by default")
    parser.add_argument("--eager", action="store_true", help="run every step eagerly, without the compiler")
    parser.add_argument("--epochs", type=positive, default=epochs, help=f"epochs at most, {epochs} by default")
    add_smoke(parser)
    return parser


def positive(text: str) -> int:
    """How often something is done, as an option says it."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"a positive whole number, got {text!r}")
    return int(text)


def add_smoke(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that all of it runs: no criterion")


def smoke(name: str, trainer: tt.Trainer, data: tt.Dataset, batch: int, **loading: Any) -> int:
    """Train on the first few batches of the data, over and over; the exit status says whether the loss is finite and
    falls, which is no criterion of a milestone."""
    loader = tt.DataLoader(tt.Subset(data, range(SMOKE_BATCHES * batch)), batch, prefetch=0, **loading)
    losses = [record["train_loss"] for record in trainer.fit(loader, epochs=SMOKE_EPOCHS)]
    falls = bool(np.isfinite(losses).all()) and losses[-1] < losses[0]
    shown = ", ".join(f"{loss:.4f}" for loss in losses)
    console.print(f"{name}: a few steps, no criterion: loss {shown}: {'falls' if falls else 'does NOT fall'}")
    return 0 if falls else 1


def arguments(name: str, about: str, epochs: int, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argument_parser(name, about, epochs)
    return with_folder(parser, parser.parse_args(argv), name)


def with_folder(parser: argparse.ArgumentParser, options: argparse.Namespace, name: str) -> argparse.Namespace:
    """The same options; the folder of the pictures is there, and can be written. The parser ends the program where it
    cannot, before anything is trained."""
    options.out = options.out or Path("out") / name
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out: cannot make the folder {options.out}: {error.strerror}")
    if not os.access(options.out, os.W_OK | os.X_OK):
        parser.error(f"--out: the folder {options.out} cannot be written")
    return options


def refused(why: str) -> int:
    """Say why nothing is trained; the exit status."""
    print(why, file=sys.stderr)
    return 2


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
        write_text(path, json.dumps(content, indent=1, default=float) + "\n")
        console.print(f"\nPictures and figures: {self.out}")
        for criterion in self.criteria:
            console.print(str(criterion))
        return 0 if all(c.met for c in self.criteria if not c.aim) else 1


SHARE = 0.65  # of the machine's rate of multiply-adds, which bounds the time of a training


def multiply_add_rate() -> float:
    """Operations per second of fused multiply-adds on all threads, each counted as two, measured now."""
    return peaks_now().flops


def bound(operations: float, seconds: float, rates: Sequence[float]) -> dict[str, Any]:
    """Figures of a training by what it cost: the time that it may take at the machine's rate of multiply-adds, and the
    share of that rate which it reached. `rates` were measured before, between and behind the pieces of the training.
    The best counts, since a machine that does something else for a moment shows less. Its clock changes by some percent
    within minutes, if it is shared, so the share of their median stands beside it.
    """
    limit = max(rates)
    return {
        "limit": limit,
        "limits": list(rates),
        "bound_seconds": operations / (SHARE * limit),
        "share_of_limit": operations / seconds / limit,
        "share_of_median": operations / seconds / statistics.median(rates),
    }


def bound_rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of a table: the bound beside the time."""
    return [
        ("operations", f"{figures['operations']:.3g}"),
        ("training, s", f"{figures['training_seconds']:,.0f}"),
        (f"operations at {SHARE:.0%} of {figures['limit'] / 1e9:.0f} GFLOP/s, s", f"{figures['bound_seconds']:,.0f}"),
        ("share of the rate of multiply-adds", f"{figures['share_of_limit']:.1%}"),
        (f"of the median of {len(figures['limits'])} such rates", f"{figures['share_of_median']:.1%}"),
    ]


def muon_operations(short: int, long: int, steps: int = 5) -> int:
    """Of orthogonalizing a matrix by the formula: two products with the long side and one without, in each step. Of
    matrices more than 1.5 times as long as short, `tt.Muon` computes fewer."""
    return steps * 2 * (2 * short**2 * long + short**3)


@dataclass(frozen=True)
class LinearSchedule:
    """A rate that rises to `highest` in the first `warmup` (a share) of `total` epochs, and falls to zero at their
    end."""

    highest: float
    total: int
    warmup: float = 0.0

    def get_lr(self, epoch: float) -> float:
        done = epoch / self.total
        rising = min(1.0, (done + 1e-4) / self.warmup) if self.warmup else 1.0
        return self.highest * min(rising, 1 - done)


class Timed:
    """The batches of a loader; `waited` adds up the seconds that its user waited for them, `used` those from the first
    one to the last."""

    def __init__(self, loader: tt.DataLoader) -> None:
        self.loader, self.waited, self.used = loader, 0.0, 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        return self._timed(iter(self.loader))

    def _timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        end = object()
        while True:
            start = time.perf_counter()
            batch = next(batches, end)
            taken = time.perf_counter()
            self.waited += taken - start
            if batch is end:
                return
            yield batch
            self.used += time.perf_counter() - start


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


def save_figure(figure: Figure, path: Path) -> None:
    """Write it as a picture, and close it."""
    from matplotlib import pyplot

    content = io.BytesIO()
    figure.savefig(content, dpi=120)
    pyplot.close(figure)
    write_bytes(path, content.getvalue())


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
    save_figure(figure, path)
