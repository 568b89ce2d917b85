"""`python -m benchmarks.op_db`: what of PyTorch's database of ops is found here, how many of its samples are equal."""

from __future__ import annotations

import dataclasses
import functools
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

import tinytorch as tt
from benchmarks.op_db import names
from benchmarks.op_db.errors import Refusals, run_errors
from benchmarks.op_db.modules import run_module, run_module_errors
from benchmarks.op_db.names import Function
from benchmarks.op_db.samples import Outcome, run_op
from benchmarks.options import output_file
from benchmarks.report import write_json
from tinytorch.cli.program import Commands

app = Commands("benchmarks.op_db")


@app.command()
def main(
    only: Annotated[
        list[str] | None, typer.Argument(help="Names or patterns, with or without the variant (add, nn.*, div.floor*).")
    ] = None,
    modules: Annotated[
        bool, typer.Option("--modules", help="The database of modules, instead of that of ops.")
    ] = False,
    errors: Annotated[bool, typer.Option("--errors", help="Calls that must be refused, instead of samples.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Only which names are found, and which are not.")] = False,
    eager: Annotated[bool, typer.Option("--eager", help="Leave out tt.compile.")] = False,
    limit: Annotated[float, typer.Option(min=0.1, help="Seconds that a sample may take.")] = 20.0,
    save: Annotated[Path | None, typer.Option("--json", callback=output_file, help="Write all outcomes here.")] = None,
) -> None:
    """Ops of PyTorch's database: how many names are found, and how many samples are equal."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    tt.set_num_threads(1)
    console = Console(soft_wrap=True)
    patterns = [p for each in only or [] for p in each.split(",")]
    entries = names.chosen_modules(module_db, patterns) if modules else names.chosen(op_db, patterns)
    if not entries:
        raise typer.BadParameter(f"no {'module' if modules else 'op'} is called {', '.join(patterns)}")
    of = names.module_here if modules else names.ours
    found = [(entry, function) for entry in entries if (function := of(entry)) is not None]
    known = {op.name for op, _ in found}
    missing = sorted({op.name for op in entries} - known)
    results: dict[str, Any] = {"found": sorted(known), "missing": missing}
    if listed:
        console.print(" ".join(sorted(known)), markup=False)
    elif errors:
        results["errors"] = _errors(console, found, run_module_errors if modules else run_errors)
    else:
        run = run_module if modules else functools.partial(run_op, limit=limit)
        results["samples"] = _samples(console, found, functools.partial(run, compiled=not eager))
    console.print(f"names found: {len(known)} of {len(known) + len(missing)}", markup=False)
    if missing:
        console.print(f"not found: {' '.join(missing)}", markup=False)
    if save is not None:
        write_json(save, results)


def _samples(
    console: Console, found: Sequence[tuple[Any, Function]], run: Callable[[Any, Any], Outcome]
) -> list[dict[str, Any]]:
    outcomes: list[Outcome] = []
    start = time.perf_counter()
    for number, (op, function) in enumerate(found, 1):
        outcomes.append(run(op, function))
        if console.is_terminal:
            console.print(f"{number} of {len(found)}: {outcomes[-1].name}", end="\x1b[K\r", highlight=False)
    _table(console, "Samples that are not equal", outcomes)
    total, equal = sum(o.samples for o in outcomes), sum(o.equal for o in outcomes)
    share = 100 * equal / max(total, 1)
    seconds = time.perf_counter() - start
    console.print(f"samples equal: {equal:,} of {total:,} ({share:.1f} %), in {seconds:.0f} s", markup=False)
    if any(o.compiled for o in outcomes):
        console.print(f"of which compiled: {sum(o.compiled for o in outcomes):,}", markup=False)
    _list(console, "eager only", [o.name for o in outcomes if o.eager_only])
    _list(console, "random, compared in shape and dtype", [o.name for o in outcomes if o.random])
    return [dataclasses.asdict(o) for o in outcomes]


def _errors(
    console: Console, found: Sequence[tuple[Any, Function]], run: Callable[[Any, Any], Refusals]
) -> list[dict[str, Any]]:
    outcomes = [run(op, function) for op, function in found]
    _table(console, "Calls that are not refused clearly", outcomes)
    cases, refused = sum(o.cases for o in outcomes), sum(o.refused for o in outcomes)
    console.print(f"error samples refused: {refused:,} of {cases:,}", markup=False)
    console.print(f"with arguments that do not exist here: {sum(o.not_ours for o in outcomes):,}", markup=False)
    _list(console, "called errors, but accepted by PyTorch", [o.name for o in outcomes if o.accepted])
    return [dataclasses.asdict(o) for o in outcomes]


def _table(console: Console, title: str, outcomes: Sequence[Outcome | Refusals]) -> None:
    """The entries that fail, with the first reason."""
    failing = [o for o in outcomes if o.reasons]
    if not failing:
        return
    width = max(len(o.name) for o in failing)
    console.print(f"{title}: fail / of, first reason, its sample", markup=False)
    for o in failing:
        first = o.reasons[0]
        count = o.samples if isinstance(o, Outcome) else o.cases
        line = f"{o.name:{width}} {len(o.reasons):3} / {count:3}  {first['reason']}  <- {first['sample']}"
        console.print(line, markup=False, highlight=False)


def _list(console: Console, title: str, items: Sequence[str]) -> None:
    if items:
        console.print(f"{title}: {' '.join(items)}", markup=False)


app()
