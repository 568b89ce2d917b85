"""The report of what the compiler made of a function, as tables for the terminal and for notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from tinytorch.compiled.compilations import Compilation
from tinytorch.insight.memory import MemoryPlan, memory_summary, memory_table
from tinytorch.insight.record import KernelRecord, LineCost, Refusal
from tinytorch.insight.tables import (
    compilations_table,
    kernels_table,
    lines_table,
    modules_table,
    passes_table,
    refusals_table,
    sparsity_table,
)
from tinytorch.insight.text import as_text
from tinytorch.ir.text.units import count, duration, size
from tinytorch.passes.pipeline import PassRecord
from tinytorch.passes.products.sparsity import Choice

if TYPE_CHECKING:
    from tinytorch.runtime.roofline import Peaks


@dataclass(frozen=True)
class Report:
    """What `explain` returns; `print` shows it, rich and notebooks draw its tables.

    `parameters` counts the elements of what the graph renews (weights, moments), `arena_bytes` is the memory for all
    intermediate values, shared and used again, and for the scratch of kernels. `sparsity` says of weights with many
    zeros whether these are left out, and why. `call_seconds` is the time of one call, where that was measured.
    """

    name: str
    backend: str
    passes: tuple[PassRecord, ...]
    nodes_traced: int
    nodes: int
    kernels: tuple[KernelRecord, ...]
    lines: tuple[LineCost, ...]
    memory: MemoryPlan
    refusals: tuple[Refusal, ...]
    compilations: tuple[Compilation, ...]
    flops: int
    arena_bytes: int
    parameters: int
    parameter_bytes: int
    peaks: Peaks | None
    sparsity: tuple[Choice, ...] = ()
    call_seconds: float | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        return iter(tables(self, options.max_width))

    def __str__(self) -> str:
        return as_text(self)

    def __repr__(self) -> str:
        return str(self)


def tables(report: Report, width: int) -> list[RenderableType]:
    """The whole report, for so many characters in a line."""
    parts: list[RenderableType] = [passes_table(report.passes)]
    if report.kernels:
        parts += [kernels_table(report.kernels, width), modules_table(report.kernels)]
    if report.lines:
        parts.append(lines_table(report.lines))
    if report.kernels:
        parts.append(memory_table(report.memory))
    if report.refusals:
        parts.append(refusals_table(report.refusals))
    if report.compilations:
        parts.append(compilations_table(report.compilations))
    if report.sparsity:
        parts.append(sparsity_table(report.sparsity))
    return [*parts, Text(summary(report))]


def summary(report: Report) -> str:
    """Totals, and what the predictions stand on."""
    lines = [
        f"{report.name}: {report.nodes_traced} nodes traced, {report.nodes} after the passes; "
        f"{count(report.flops)} FLOPs; state {count(report.parameters)} elements, {size(report.parameter_bytes)}"
    ]
    if report.call_seconds is not None:
        kernels = sum(kernel.measured or 0.0 for kernel in report.kernels)
        lines.append(f"one call {duration(report.call_seconds)}, of which kernels {duration(kernels)}")
    if report.peaks is None:
        lines.append("on the interpreter, which runs nodes one by one and has no kernels")
    else:
        lines.append(memory_summary(report.memory))
        rates = ", ".join(f"{rate / 1e9:.0f} GB/s in {size(held)}" for held, rate in report.peaks.bandwidths)
        threads = f"{report.peaks.threads} thread{'s' if report.peaks.threads > 1 else ''}"
        lines.append(f"roofline, {threads}: {report.peaks.flops / 1e9:.0f} GFLOP/s; copy {rates}")
    return "\n".join(lines)
