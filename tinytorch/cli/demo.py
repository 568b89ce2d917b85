"""`tinytorch demo`: an MLP's training step traced, transformed, compiled, and run three ways side by side."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import statistics
import tempfile
import tracemalloc
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from tinytorch.backend_names import BackendName
from tinytorch.compile import compile
from tinytorch.compiled.function import Compiled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.text.units import duration, size
from tinytorch.samples import BATCH, FEATURES, HIDDEN, LEARNING_RATE, MOMENTUM, Array, digits, mlp_model, training_step

STEPS = 30  # of training, after which the runs are compared
BATCHES = 8
ROUNDS = 11  # of timing, in turns
ROUND_SECONDS = 0.04
TOLERANCE = 1e-4  # relative to the largest number of an array: the runs add in different orders


@dataclass
class Run:
    """One way to run the training step, and what came of it. `step` takes a batch and gives the loss."""

    name: str
    step: Callable[[Any, Any], Any]
    batches: Sequence[tuple[Any, Any]]
    parameters: Callable[[], list[Array]]
    first_call: str = ""
    memory: str = ""
    kernels: str = ""
    seconds: float = 0.0
    losses: tuple[float, ...] = ()
    trained: tuple[Array, ...] = ()

    def train(self) -> None:
        """The first steps, whose losses and weights are kept."""
        self.losses = tuple(float(self.step(*batch)) for batch in islice(cycle(self.batches), STEPS))
        self.trained = tuple(array.copy() for array in self.parameters())


def demo(console: Console, folder: Path) -> bool:
    """Run the demo; the drawing goes to `folder`. Whether all runs agree."""
    console.rule(f"[bold]One training step of an MLP {FEATURES}-{HIDDEN}-10, batch {BATCH}, traced and compiled")
    compiled = _compiled_run(console, folder / "mlp.svg")
    console.rule("[bold]The same step, side by side")
    runs = [_eager_run(), _interpreted_run(), compiled]
    if importlib.util.find_spec("torch") is not None:
        runs.append(_torch_run())
    for run in runs:
        run.train()
    _time(runs)
    console.print(_table(runs))
    return _compare(runs, console)


def _show_graph(compiled: Compiled, console: Console, drawing: Path) -> None:
    console.print("\n[bold]The graph as traced[/]: forward, backward and update in one", highlight=False)
    console.print(print_graph(compiled.traced_graph, elide=True), markup=False, highlight=False, soft_wrap=True)
    console.print("\n[bold]After the passes[/]: every kernel holds a small graph of its own", highlight=False)
    console.print(print_graph(compiled.graph, elide=True), markup=False, highlight=False, soft_wrap=True)
    console.print()
    console.print(compiled.explain())
    compiled.save_svg(drawing)
    console.print(f"\nDrawn in {drawing}\n", markup=False, highlight=False, soft_wrap=True)


# The runs. All start from the same weights and see the same batches.
def _data() -> list[tuple[Array, Array]]:
    return [digits(BATCH, seed) for seed in range(BATCHES)]


def _run(name: str, backend: BackendName | None) -> Run:
    model = mlp_model()
    step = training_step(model)
    batches = [(Tensor(x), Tensor(y)) for x, y in _data()]
    run = step if backend is None else compile(step, backend=backend)
    return Run(name, run, batches, lambda: [p.numpy() for p in model.parameters()])


def _eager_run() -> Run:
    run = _run("eager", None)
    run.memory = _traced_memory(_run("eager", None))
    return run


def _interpreted_run() -> Run:
    first = _run("interpreter", "interpreter")
    run = _run("interpreter", "interpreter")
    run.first_call = duration(_first_call(first))
    run.memory = _traced_memory(first)
    return run


def _compiled_run(console: Console, drawing: Path) -> Run:
    """Compiled twice, from nothing and from the disk cache; the graph of the first is shown."""
    with _empty_cache():
        first = _run("compiled", "llvm")
        cold = _first_call(first)
        warm = _first_call(_run("compiled", "llvm"))
    shown = first.step
    assert isinstance(shown, Compiled)
    _show_graph(shown, console, drawing)
    run = _run("compiled", "llvm")
    run.first_call = f"{duration(cold)}, cached {duration(warm)}"
    run.memory = size(shown.executable.arena_bytes)
    run.kernels = str(sum(node.op.kind == "kernel" for node in shown.graph.nodes))
    return run


def _torch_run() -> Run:
    from tinytorch.runtime.thread_count import get_num_threads

    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(get_num_threads())
    start = mlp_model().state_dict()
    model: Any = torch.nn.Sequential(torch.nn.Linear(FEATURES, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 10))
    model.load_state_dict({name: torch.from_numpy(np.array(value.numpy())) for name, value in start.items()})
    optimizer: Any = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss: Any = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in _data()]
    return Run(
        f"torch {torch.__version__} eager", step, batches, lambda: [p.detach().numpy() for p in model.parameters()]
    )


# Measuring.
@contextlib.contextmanager
def _empty_cache() -> Generator[None]:
    before = os.environ.get("TT_CACHE_DIR")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TT_CACHE_DIR"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["TT_CACHE_DIR"]
            else:
                os.environ["TT_CACHE_DIR"] = before


def _first_call(run: Run) -> float:
    before = perf_counter()
    run.step(*run.batches[0])
    return perf_counter() - before


def _traced_memory(run: Run) -> str:
    """The most that one step has allocated at a time; the optimizer's state is there since the step before."""
    run.step(*run.batches[0])
    tracemalloc.start()
    try:
        run.step(*run.batches[1])
        return size(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def _time(runs: Sequence[Run]) -> None:
    """The median of rounds in turns, so that all see the same load of the machine."""
    rounds: dict[str, list[float]] = {run.name: [] for run in runs}
    for _ in range(ROUNDS):
        for run in runs:
            rounds[run.name].append(_seconds_per_step(run))
    for run in runs:
        run.seconds = statistics.median(rounds[run.name])


def _seconds_per_step(run: Run) -> float:
    batches = cycle(run.batches)
    steps = 0
    start = now = perf_counter()
    while now - start < ROUND_SECONDS:
        run.step(*next(batches))
        steps += 1
        now = perf_counter()
    return (now - start) / steps


# Reporting.
def _table(runs: Sequence[Run]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in (
        "time per step",
        "speed",
        "compile and first call",
        "intermediates",
        "kernels",
        f"loss after {STEPS} steps",
    ):
        table.add_column(name, justify="right")
    eager = runs[0].seconds
    for run in runs:
        speed = f"{eager / run.seconds:.2f}×"
        table.add_row(
            run.name, duration(run.seconds), speed, run.first_call, run.memory, run.kernels, f"{run.losses[-1]:.6f}"
        )
    return table


def _difference(a: Array, b: Array) -> float:
    """The largest difference, relative to the largest number of `a`."""
    return float(np.max(np.abs(a - b)) / np.max(np.abs(a)))


def _compare(runs: Sequence[Run], console: Console) -> bool:
    first = runs[0]
    agree = True
    for run in runs[1:]:
        loss = _difference(np.array(first.losses), np.array(run.losses))
        weights = max(_difference(a, b) for a, b in zip(first.trained, run.trained, strict=True))
        same = max(loss, weights) <= TOLERANCE
        agree = agree and same
        verdict = "[green]agrees[/]" if same else "[red]DIFFERS[/]"
        text = f"{run.name} {verdict} with {first.name}: over {STEPS} steps, losses differ by at most {loss:.1e}"
        console.print(f"{text}, weights by {weights:.1e} (relative)", highlight=False)
    return agree
