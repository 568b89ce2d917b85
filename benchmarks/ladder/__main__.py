"""`python -m benchmarks.ladder`: a matrix product from three loops to the machine's limit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import tinytorch as tt
from benchmarks import machine
from benchmarks.ladder.measure import Ladder, draw, measure
from benchmarks.ladder.rungs import UNIT
from benchmarks.options import output_file
from benchmarks.report import write_json
from tinytorch.cli.program import Commands
from tinytorch.ir.text.units import duration

app = Commands("benchmarks.ladder")


@app.command()
def main(
    size: Annotated[int, typer.Option(help=f"Rows of the square matrices, a multiple of {UNIT}.")] = 768,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each step.")] = 7,
    threads: Annotated[int, typer.Option(min=0, help="Of the threaded steps; 0: as many as compiled code uses.")] = 0,
    draw_to: Annotated[
        Path | None, typer.Option("--draw", callback=output_file, help="A picture, such as ladder.svg.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(callback=output_file, help="Write everything measured to this file.")
    ] = None,
) -> None:
    """Time each step of the ladder, and compare it with the machine's rate of fused multiply-adds."""
    if size < UNIT or size % UNIT:
        raise typer.BadParameter(f"a multiple of {UNIT}, got {size}", param_hint="--size")
    console = Console(width=None if sys.stdout.isatty() else 120)
    found = measure(size, rounds, threads or tt.get_num_threads())
    console.print(machine.cpu_name())
    console.print(_table(found))
    if draw_to is not None:
        draw(found, draw_to)
        console.print(f"drawn in {draw_to}")
    if json is not None:
        steps = [{"name": s.name, "threads": s.threads, "times": s.times, "share": found.share(s)} for s in found.steps]
        write_json(json, {"machine": machine.describe(), "size": size, "steps": steps})
        console.print(f"written to {json}")


def _table(ladder: Ladder) -> Table:
    out = Table(title=f"f32[{ladder.n}, {ladder.n}] @ f32[{ladder.n}, {ladder.n}]", title_justify="left")
    for name in ("step", "threads", "time", "GFLOP/s", "of limit", "times the first"):
        out.add_column(name, justify="left" if name == "step" else "right", no_wrap=True)
    first = ladder.steps[0].seconds
    for step in ladder.steps:
        rate = f"{ladder.rate(step) / 1e9:.1f}"
        gain = f"{first / step.seconds:.1f}×"
        out.add_row(step.name, str(step.threads), duration(step.seconds), rate, f"{ladder.share(step):.1%}", gain)
    return out


if __name__ == "__main__":
    app()
