"""The memory that a process needs for training steps, against other frameworks."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Contestant, WorkerError
from benchmarks.registry import OURS, WORKLOADS, Case, Workload

STEPS = 3  # the first ones make what stays: code, moments, arenas
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident(which: str) -> int:
    """Bytes in memory (Linux): VmRSS now, or VmHWM at most since `forget_peak`."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(which + ":"))
    return int(line.split()[1]) << 10


def forget_peak() -> None:
    """Give back what is free, and count the peak anew."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    _CLEAR.write_text("5")


def peak_of(build: Any) -> int:
    """The bytes that building a case and running its steps takes at most, beyond what the process had before; what
    only the first steps need, such as a compiler's memory, is not counted if it was given back."""
    forget_peak()
    before = resident("VmRSS")
    case: Case = build()
    for _ in range(STEPS):
        case.step()
    forget_peak()
    for _ in range(STEPS):
        case.step()
    return resident("VmHWM") - before


def measure(workload: Workload, contestants: Sequence[str], threads: int) -> dict[str, int]:
    """Bytes by contestant, each in a process of its own; ours in a second one that finds its code compiled."""
    found: dict[str, int] = {}
    for name in (OURS, OURS, *contestants):
        if name not in workload.builders:
            continue
        contestant = Contestant(name, threads)
        try:
            contestant.ask("start")
            found[name] = contestant.ask("peak_memory", workload.name)
        except WorkerError:
            found.pop(name, None)
        finally:
            contestant.close()
    return found


def run(console: Console, contestants: Sequence[str], threads: int) -> dict[str, Any]:
    """Measure the training steps of networks, print a table; the bytes, for JSON."""
    steps = [w for w in WORKLOADS.values() if "vision" in w.suites and "_train_" in w.name]
    measured = {workload.name: measure(workload, contestants, threads) for workload in steps}
    names = [name for name in (OURS, *contestants) if any(name in found for found in measured.values())]
    table = Table(title="memory of a process for training steps (of ours)", title_justify="left")
    for name in ("step", *names):
        table.add_column(name, justify="left" if name == "step" else "right", no_wrap=True)
    for step, found in measured.items():
        table.add_row(step, *(_cell(found, name) for name in names))
    console.print(table)
    return measured


def _cell(found: dict[str, int], name: str) -> str:
    if name not in found:
        return "–"
    ratio = f" {found[name] / found[OURS]:.2f}×" if OURS in found and name != OURS else ""
    return f"{found[name] / 2**20:.0f} MiB{ratio}"
