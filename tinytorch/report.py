"""The report of what the compiler made of a function, as tables for the terminal and for notebooks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tinytorch.passes.pipeline import PassRecord
from tinytorch.passes.sparsity import Choice

if TYPE_CHECKING:
    from tinytorch.runtime.roofline import Peaks

_PREFIXES = ("", "k", "M", "G", "T")
_WIDTH = 120  # of the report as text


@dataclass(frozen=True)
class KernelReport:
    """One kernel. `wave` is its place in the schedule: kernels of a wave run side by side. `flops` are operations,
    `bytes_read` and `bytes_written` its traffic if every operand is read once; times are in seconds: `predicted`
    by the roofline, `measured` alone and repeatedly, so with its data in the caches where they fit."""

    wave: int
    family: str
    ops: str
    result: str
    flops: int
    bytes_read: int
    bytes_written: int
    predicted: float
    measured: float | None

    @property
    def intensity(self) -> float:
        """Operations per byte of traffic."""
        traffic = self.bytes_read + self.bytes_written
        return self.flops / traffic if traffic else 0.0


@dataclass(frozen=True)
class Report:
    """What `Compiled.explain` returns; `print` shows it, rich and notebooks draw its tables.

    `parameters` counts the elements of what the graph renews (weights, moments), `arena_bytes` is the memory for all
    intermediate values, shared and used again. `sparsity` says of weights with many zeros whether
    these are left out, and why.
    """

    name: str
    backend: str
    passes: tuple[PassRecord, ...]
    nodes_traced: int
    nodes: int
    kernels: tuple[KernelReport, ...]
    flops: int
    arena_bytes: int
    parameters: int
    parameter_bytes: int
    peaks: Peaks | None
    sparsity: tuple[Choice, ...] = ()

    def __rich__(self) -> Group:
        return tables(self)

    def __str__(self) -> str:
        return _as_text(tables(self), _WIDTH)

    def __repr__(self) -> str:
        return str(self)


def count(number: float) -> str:
    """1234567 as `1.23 M`, with three digits."""
    power = min(int(math.log10(number) // 3), len(_PREFIXES) - 1) if number >= 1 else 0
    return f"{number / 1000**power:.3g} {_PREFIXES[power]}".strip()


def size(number: float) -> str:
    """A number of bytes: `1.46 MiB`."""
    power = min(int(math.log2(number) // 10), 4) if number >= 1 else 0
    return f"{number / 1024**power:.4g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def duration(seconds: float) -> str:
    """Seconds with the unit that fits: `57.3 µs`."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def tables(report: Report) -> Group:
    """The whole report."""
    parts = [passes_table(report.passes), Text(summary(report))]
    if report.kernels:
        parts.insert(1, kernels_table(report.kernels))
    if report.sparsity:
        parts.insert(-1, sparsity_table(report.sparsity))
    return Group(*parts)


def _as_text(shown: Group, width: int) -> str:
    console = Console(width=width, color_system=None, force_terminal=False, force_jupyter=False)
    with console.capture() as captured:
        console.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().rstrip().split("\n"))


def summary(report: Report) -> str:
    """Totals, and what the predictions stand on."""
    lines = [
        f"{report.name}: {report.nodes_traced} nodes traced, {report.nodes} after the passes; "
        f"{count(report.flops)} FLOPs; state {count(report.parameters)} elements, {size(report.parameter_bytes)}"
    ]
    if report.peaks is not None:
        lines[0] += f"; arena {size(report.arena_bytes)}"
        rates = ", ".join(f"{rate / 1e9:.0f} GB/s in {size(held)}" for held, rate in report.peaks.bandwidths)
        threads = f"{report.peaks.threads} thread{'s' if report.peaks.threads > 1 else ''}"
        lines.append(f"roofline, {threads}: {report.peaks.flops / 1e9:.0f} GFLOP/s; copy {rates}")
    return "\n".join(lines)


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for name in left:
        table.add_column(name)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def passes_table(passes: Sequence[PassRecord]) -> Table:
    """The runs of passes that changed the number of nodes, one row each; all others in the last row."""
    table = _table("Passes", ["pass"], ["nodes before", "after", "time"])
    kept = [record for record in passes if record.nodes_before != record.nodes_after]
    for record in kept:
        table.add_row(record.name, str(record.nodes_before), str(record.nodes_after), duration(record.seconds))
    rest = sum(record.seconds for record in passes if record not in kept)
    table.add_row(f"{len(passes) - len(kept)} runs that kept the number", "", "", duration(rest), style="dim")
    return table


def kernels_table(kernels: Sequence[KernelReport]) -> Table:
    """One row for each kernel, in the order of the schedule."""
    measured = any(k.measured is not None for k in kernels)
    columns = ["FLOPs", "bytes", "FLOP/B", "roofline", *(["measured", "of it"] if measured else [])]
    table = _table("Kernels", ["wave", "family", "ops", "result"], columns)
    for kernel in kernels:
        moved = size(kernel.bytes_read + kernel.bytes_written)
        cells = [count(kernel.flops), moved, f"{kernel.intensity:.2f}", duration(kernel.predicted)]
        if kernel.measured is not None:
            cells += [duration(kernel.measured), f"{kernel.predicted / kernel.measured:.0%}"]
        table.add_row(str(kernel.wave), kernel.family, kernel.ops, kernel.result, *cells)
    return table


def sparsity_table(choices: Sequence[Choice]) -> Table:
    """One row for each product by a constant weight with many zeros: the fastest form that leaves them out, what it
    takes of the time of the dense product, by the model of `passes/sparsity.py`, and which of both was chosen."""
    table = _table(
        "Weights with zeros", ["weight", "fastest sparse form", "chosen"], ["rows", "zeros", "of dense time"]
    )
    for choice in choices:
        weight = f"[{choice.depth},{choice.columns}]"
        dense = "dense: that is faster" if choice.ratio >= 1 else "dense: sparse gains too little"
        chosen = "sparse" if choice.form is not None else dense
        table.add_row(weight, str(choice.best), chosen, str(choice.rows), f"{choice.zeros:.0%}", f"{choice.ratio:.0%}")
    return table
