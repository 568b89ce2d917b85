"""The table for people, and the JSON for everything else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.harness import Row
from benchmarks.registry import BASELINE, LIMIT, OURS, Targets
from benchmarks.startup import Startup
from tinytorch.ir.system.files import write_text
from tinytorch.ir.text.units import duration

DONE = "done"  # the part of the limit by the operations really done


def peers(row: Row) -> dict[str, float]:
    """Median seconds of the others; our own eager mode is no peer, nor is our model in f32."""
    own = (OURS, BASELINE, LIMIT, "tinytorch eager")
    return {name: t.median for name, t in row.timings.items() if name not in own}


def ratios(row: Row) -> dict[str, float]:
    """How many times faster ours is than each peer and than the best; and which part of the limit it reaches."""
    if OURS not in row.timings:
        return {}
    ours = row.timings[OURS].median
    others = {name: seconds / ours for name, seconds in peers(row).items()}
    if others:
        others["best"] = min(others.values())
    if BASELINE in row.timings:
        others[BASELINE] = row.timings[BASELINE].median / ours
    if LIMIT in row.timings:
        others[LIMIT] = row.timings[LIMIT].median / ours
        if row.done is not None:
            others[DONE] = others[LIMIT] * row.done / row.workload.flops
    return others


def _goals(targets: Targets) -> dict[str, float | None]:
    return {"best": targets.best, "torch": targets.torch, BASELINE: targets.fp32, LIMIT: targets.limit}


def verdicts(row: Row) -> dict[str, bool]:
    """Which targets are met; only those that this run can tell."""
    targets, reached = row.workload.targets, ratios(row)
    wanted = _goals(targets)
    found = {name: reached[name] >= goal for name, goal in wanted.items() if goal is not None and name in reached}
    if targets.done is not None and "best" in found:
        found["best"] |= reached.get(DONE, 0.0) >= targets.done
    return found


def table(rows: Sequence[Row], contestants: Sequence[str], threads: int) -> Table:
    """One line per workload: our time, rate and part of the limit; each peer's time and how many times ours it is."""
    plural = "s" if threads > 1 else ""
    out = Table(title=f"{threads} thread{plural}: median time per step (× = peer's time ÷ ours)", title_justify="left")
    out.add_column("workload", no_wrap=True)
    out.add_column(OURS, justify="right", no_wrap=True)
    out.add_column("rate", justify="right", no_wrap=True)
    out.add_column("of limit", justify="right", no_wrap=True)
    counted = any(row.done is not None for row in rows)
    if counted:
        out.add_column("by ops done", justify="right", no_wrap=True)
    others = [name for name in contestants if name != OURS and any(name in row.workload.builders for row in rows)]
    for name in others:
        out.add_column(name, justify="right", no_wrap=True)
    out.add_column("targets", no_wrap=True)
    for row in rows:
        out.add_row(
            row.workload.name, *_own_cells(row, counted), *(_cell(row, name) for name in others), _target_cell(row)
        )
    return out


def _own_cells(row: Row, counted: bool) -> tuple[str, ...]:
    """With `counted`, also the part of the limit by the operations really done."""
    if OURS not in row.timings:
        limit = row.timings.get(LIMIT)
        return "–", "", f"(limit {duration(limit.median)})" if limit else "", *[""] * counted
    seconds = row.timings[OURS].median
    reached = ratios(row)
    rate = ""
    if row.workload.limit == "fma":
        rate = f"{row.workload.flops / seconds / 1e9:.1f} GFLOP/s"
    elif row.workload.limit in ("copy", "read"):
        rate = f"{row.workload.bytes / seconds / 1e9:.1f} GB/s"
    parts = [f"{reached[name]:.0%}" if name in reached else "" for name in (LIMIT, DONE)[: 1 + counted]]
    return duration(seconds), rate, *parts


def _cell(row: Row, name: str) -> str:
    if name not in row.timings:
        return "–"
    reached = ratios(row).get(name)
    seconds = row.timings[name].median
    if reached is None and OURS in row.timings:
        reached = seconds / row.timings[OURS].median
    return duration(seconds) + (f" {reached:.2f}×" if reached is not None else "")


def _target_cell(row: Row) -> str:
    goals = _goals(row.workload.targets)
    words = []
    for name, met in verdicts(row).items():
        goal = goals[name]
        text = f"{goal:.0%} of limit" if name == LIMIT else f"{name} {goal}×"
        if name == "best" and row.workload.targets.done is not None:
            text += f" or {row.workload.targets.done:.0%} of limit by ops done"
        words.append(f"[green]✓ {text}[/]" if met else f"[red]✗ {text}[/] ({_reached(row, name)})")
    return ", ".join(words)


def _reached(row: Row, name: str) -> str:
    value = ratios(row)[name]
    return f"{value:.0%}" if name == LIMIT else f"{value:.2f}×"


def startup_table(results: Iterable[Startup], workload: str) -> Table:
    """Import, and the first training step in a new process."""
    out = Table(title=f"new process: import, then the first step of {workload}", title_justify="left")
    for name in ("", "import", "first step, cold", "first step, warm"):
        out.add_column(name, justify="right" if name else "left")
    for result in results:
        medians = result.summary()
        out.add_row(result.contestant, *(duration(medians[key]) for key in ("imports", "cold", "warm")))
    return out


def as_json(
    machine: Mapping[str, Any], options: Mapping[str, Any], rows: Sequence[Row], startups: Sequence[Startup]
) -> dict[str, Any]:
    """Everything measured, rounds included; seconds throughout."""
    return {
        "machine": machine,
        "options": options,
        "workloads": [_row_json(row) for row in rows],
        "startup": [{"contestant": s.contestant, "rounds": vars(s), "median": s.summary()} for s in startups],
    }


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "name": row.workload.name,
        "threads": row.threads,
        "flops": row.workload.flops,
        "flops_done": row.done,
        "bytes": row.workload.bytes,
        "limit": row.workload.limit,
        "seconds": {name: timing.median for name, timing in row.timings.items()},
        "rounds": {name: timing.rounds for name, timing in row.timings.items()},
        "build_seconds": {name: timing.build_seconds for name, timing in row.timings.items()},
        "ratios": ratios(row),
        "targets_met": verdicts(row),
        "agrees_with": row.agreed_with,
        "notes": row.notes,
    }


def as_markdown(table: Table) -> str:
    """A table in Markdown, without its colours."""
    columns = [[str(column.header), *map(_plain, column.cells)] for column in table.columns]
    head, *rows = (f"| {' | '.join(cells)} |" for cells in zip(*columns, strict=True))
    rules = (" ---: " if column.justify == "right" else " --- " for column in table.columns)
    return "\n".join([f"**{table.title}**", "", head, f"|{'|'.join(rules)}|", *rows]) + "\n"


def _plain(cell: object) -> str:
    return Text.from_markup(str(cell)).plain.replace("|", "\\|")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=1) + "\n")


def print_peaks(console: Console, rows: Sequence[Row]) -> None:
    """The machine's limits as measured beside the workloads, per number of threads."""
    for kind, quantity, unit in (
        ("fma", "flops", "GFLOP/s"),
        ("copy", "bytes", "GB/s, read + written"),
        ("read", "bytes", "GB/s, read"),
    ):
        for threads in sorted({row.threads for row in rows}):
            rates = [
                getattr(row.workload, quantity) / row.timings[LIMIT].median / 1e9
                for row in rows
                if row.threads == threads and row.workload.limit == kind and LIMIT in row.timings
            ]
            if rates:
                span = f"{min(rates):.1f}" if len(rates) == 1 else f"{min(rates):.1f} to {max(rates):.1f}"
                console.print(f"{kind} limit, {threads} thread{'s' * (threads > 1)}: {span} {unit}")
