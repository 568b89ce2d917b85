"""`tinytorch bench module:callable`: the user's own model or function, eager, on the interpreter and compiled.

The times are those of `Benchmark`; operations, bytes, memory and the limit those of `explain`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.machine import describe
from benchmarks.options import output_file
from tinytorch.cli.errors import told
from tinytorch.cli.program import Commands
from tinytorch.cli.targets import called_target
from tinytorch.compile import compile
from tinytorch.compiled.function import Compiled
from tinytorch.frontend.benchmarking import Benchmark, Comparison, Result
from tinytorch.frontend.module import Module
from tinytorch.frontend.profiling.inputs import Model, evaluating, plain
from tinytorch.frontend.profiling.latency import time_calls
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.system.files import write_text
from tinytorch.ir.text.titles import phase_of
from tinytorch.ir.text.units import count, duration, size
from tinytorch.report import Report
from tinytorch.runtime.thread_count import get_num_threads, set_num_threads

app = Commands("tinytorch bench")
_LONG = 1.0  # seconds of a call on the interpreter that is not waited for in every round
_FILE_WIDTH = 140  # of the table, where the output is not a terminal
_EAGER, _INTERPRETER = "eager", "interpreter"


@dataclass(frozen=True)
class Measured:
    """A target in all the ways in which it can run. `reports` are what `explain` says of it, by the number of threads;
    `threads` are those of each model of the comparison that is compiled."""

    target: str
    inputs: tuple[str, ...]
    comparison: Comparison
    threads: Mapping[str, int]
    reports: Mapping[int, Report]
    notes: tuple[str, ...]

    @property
    def report(self) -> Report:
        """With all threads."""
        return self.reports[max(self.reports)]

    @property
    def bytes(self) -> int:
        """What the kernels read and write."""
        return sum(kernel.bytes_read + kernel.bytes_written for kernel in self.report.kernels)

    def rate(self, result: Result) -> float:
        """Operations of the compiled graph per second; eager execution gives the same results."""
        return self.report.flops / _seconds(result)

    def limit(self, result: Result) -> float | None:
        """The roofline's time of the kernels, one by one; None for what has none."""
        kernels = self.reports[self.threads[result.name]].kernels if result.name in self.threads else ()
        return sum(kernel.predicted or 0.0 for kernel in kernels) if kernels else None

    @property
    def head(self) -> list[str]:
        return ["", "time", "95 % of medians", "FLOP/s", "of limit", f"against {self.comparison.baseline}", "memory"]

    @property
    def rows(self) -> list[list[str]]:
        """A row for each way to run it."""
        return [self._cells(result) for result in self.comparison.results]

    def _cells(self, result: Result) -> list[str]:
        limit, held = self.limit(result), result.figures["memory"]
        between = result.latency
        return [
            result.name,
            duration(_seconds(result)),
            "" if between is None else f"{duration(between.low)} to {duration(between.high)}",
            count(self.rate(result)),
            "–" if limit is None else f"{limit / _seconds(result):.0%}",
            result.shown_verdict,
            "–" if held is None else size(held),
        ]

    @property
    def facts(self) -> list[str]:
        """What a call computes, moves and holds, and what the limit stands on."""
        found, kernels = self.report, _several(len(self.report.kernels), "kernel")
        lines = [
            f"{count(found.flops)} FLOPs, {size(self.bytes)} read and written by {kernels}; "
            f"arena {size(found.arena_bytes)}",
            f"medians of {_several(self.comparison.rounds, 'interleaved round')}",
        ]
        for threads, each in self.reports.items():
            if each.peaks is not None:
                limit = sum(kernel.predicted or 0.0 for kernel in each.kernels)
                peak = f"{each.peaks.flops / 1e9:.0f} GFLOP/s"
                lines.append(f"limit with {_threads(threads)}: {duration(limit)}, by the roofline of {peak}")
        return [*lines, *self.notes]

    def table(self) -> Table:
        """For the terminal."""
        found = Table(title=self.target, title_justify="left")
        for i, name in enumerate(self.head):
            found.add_column(name, justify="right" if i else "left")
        for row in self.rows:
            found.add_row(*row)
        return found

    def markdown(self) -> str:
        """The table and the facts."""
        head, *rows = (f"| {' | '.join(row)} |" for row in (self.head, *self.rows))
        rule = "| --- |" + " ---: |" * (len(self.head) - 1)
        title = f"## {self.target} ({', '.join(self.inputs)})" if self.inputs else f"## {self.target}"
        return "\n".join([title, "", head, rule, *rows, "", *(f"- {fact}" for fact in self.facts)]) + "\n"

    def as_json(self) -> dict[str, Any]:
        """Everything measured, rounds included; seconds throughout."""
        found, compared = self.report, self.comparison.as_json()
        for model, result in zip(compared["models"], self.comparison.results, strict=True):
            model |= {"threads": self.threads.get(result.name), "flops_per_second": self.rate(result)}
            model["limit_seconds"] = self.limit(result)
        return {
            "target": self.target,
            "inputs": self.inputs,
            "machine": describe(),
            "flops": found.flops,
            "bytes": self.bytes,
            "arena_bytes": found.arena_bytes,
            "kernels": [kernel.title for kernel in found.kernels],
            "peaks": [asdict(each.peaks) for each in self.reports.values() if each.peaks is not None],
            "comparison": compared,
            "notes": self.notes,
        }


def _seconds(result: Result) -> float:
    found = result.figures["latency"]
    assert found is not None
    return found


def _threads(number: int) -> str:
    return _several(number, "thread")


def _several(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


class _InTurns(Benchmark):
    """Each compiled model on its number of threads; `begin` is told whose turn begins."""

    def __init__(
        self,
        args: tuple[Tensor, ...],
        threads: Mapping[str, int],
        trains: bool,
        begin: Callable[[str], None],
        rounds: int,
        seconds: float,
    ) -> None:
        super().__init__(rounds=rounds, seconds=seconds)
        self._args, self._threads, self._trains, self._begin = args, threads, trains, begin

    def _examples_of(self, models: Iterable[str]) -> dict[str, tuple[Any, ...]]:
        return dict.fromkeys(models, self._args)

    def _around(self, model: Model) -> AbstractContextManager[None]:
        return _mode(model, self._trains)

    def _before_turn(self, name: str) -> None:
        self._begin(name)
        if name in self._threads:
            set_num_threads(self._threads[name])


def _mode(model: Model, trains: bool) -> AbstractContextManager[None]:
    """A training step is called as it is, all else in evaluation mode."""
    return nullcontext() if trains else evaluating(model)


def measure(
    target: str, inputs: tuple[str, ...], rounds: int, seconds: float, begin: Callable[[str, int], None]
) -> Measured:
    """Run what `target` names in all ways, in turns; `begin(name, turns)` is told whose turn begins, of how many."""
    function, args = called_target(target, inputs)
    made = function if isinstance(function, Compiled) else compile(function, backend="llvm")
    trains = _trains(made, args)
    eager = plain(function)
    with _kept_threads() as most:
        threads = {f"compiled, {_threads(n)}": n for n in sorted({1, most})}
        models: dict[str, Any] = {_EAGER: eager, _INTERPRETER: compile(eager, backend="interpreter")}
        notes = _too_long(models, args, trains)
        models |= dict.fromkeys(threads, made)
        turns = len(models) * (rounds + 1)
        bench = _InTurns(args, threads, trains, lambda name: begin(name, turns), rounds, seconds)
        compared = bench.compare_models(models, ["latency", "memory"], _EAGER)
        return Measured(target, inputs, compared, threads, dict(_reports(made, threads)), notes)


def _trains(made: Compiled, args: tuple[Tensor, ...]) -> bool:
    """Whether it computes gradients itself, as a training step does."""
    if isinstance(plain(made), Module):
        return False
    made(*args)
    return any(phase_of(node) != "forward" for node in made.traced_graph.nodes)


def _too_long(models: dict[str, Any], args: tuple[Tensor, ...], trains: bool) -> tuple[str, ...]:
    """Leave the interpreter out where a call takes long; a line that says so."""
    model = models[_INTERPRETER]
    with _mode(model, trains):
        once = min(time_calls(lambda: model(*args), 2, 0, _LONG))  # the first call traces, too
    if once <= _LONG:
        return ()
    del models[_INTERPRETER]
    return (f"the interpreter was left out: a call took {duration(once)}",)


def _reports(made: Compiled, threads: Mapping[str, int]) -> Generator[tuple[int, Report]]:
    for number in threads.values():
        set_num_threads(number)
        yield number, made.explain()


@contextmanager
def _kept_threads() -> Generator[int]:
    """The number of threads, which is the same afterwards."""
    most = get_num_threads()
    try:
        yield most
    finally:
        set_num_threads(most)


@app.command()
def main(
    target: Annotated[str, typer.Argument(help="module:callable: a function, a model, or what makes it.")],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="Type of an argument, such as f32[64,784]; once for each.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each way to run it.")] = 15,
    seconds: Annotated[float, typer.Option(min=1e-4, help="Length of a turn.")] = 0.05,
    json_file: Annotated[
        Path | None, typer.Option("--json", callback=output_file, help="Write everything measured to this file.")
    ] = None,
    md_file: Annotated[
        Path | None, typer.Option("--md", callback=output_file, help="Write the table to this file, in Markdown.")
    ] = None,
) -> None:
    """Time your own model or function: eager, on the interpreter, and compiled with one thread and with all."""
    console = Console(width=None if sys.stdout.isatty() else _FILE_WIDTH)
    with told():
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("compiling", total=None)
            found = measure(
                target,
                tuple(inputs or ()),
                rounds,
                seconds,
                lambda name, turns: progress.update(task, advance=1, total=turns, description=name),
            )
        console.print(found.table())
        for fact in found.facts:
            console.print(fact, highlight=False)
        for path, text in ((json_file, json.dumps(found.as_json(), indent=1) + "\n"), (md_file, found.markdown())):
            if path is not None:
                write_text(path, text)
                typer.echo(f"written to {path}")
