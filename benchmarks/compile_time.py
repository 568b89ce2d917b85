"""How long compiling takes, against the number of nodes: cold and from the disk cache, and where the time goes.

`python -m benchmarks.compile_time FAMILY NODES` is the process that is measured; it prints one line of JSON.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import environment
from tinytorch.ir.text.units import duration

STAGES = {  # what is timed: module, function, and the stage that it belongs to
    ("tinytorch.compiled.function", "trace"): "trace",
    ("tinytorch.compiled.calls", "run_passes"): "passes",
    ("tinytorch.runtime.executable", "schedule"): "lower",
    ("tinytorch.runtime.llvm.lower", "lower"): "lower",
    ("tinytorch.runtime.llvm.text.jit", "compile_object"): "LLVM",
}
NAMES = ("trace", "passes", "lower", "LLVM")
GOAL = 1.1  # the largest exponent
_FIT_FROM = 900  # nodes; below, what every compilation takes hides the growth
_LONGEST = 90.0  # seconds of a run that is still begun
_TIMEOUT = 900.0
_FEW, _MANY = 8, 24  # kernels, of which the difference tells what one takes
_KERNEL_GOALS = {"products": 0.025, "loops": 0.010, "alike": 0.001}


@dataclass
class Point:
    """One function: CPU seconds of its first call with an empty disk cache, by stage, and in a new process with what
    the first has left there."""

    family: str
    nodes: int
    kernels: int
    cold: dict[str, float]
    cached: dict[str, float]


def run(console: Console, nodes: Sequence[int], only: Sequence[str]) -> dict[str, Any]:
    """Measure, print the tables; everything measured, for JSON."""
    from benchmarks.compile_families import FAMILIES, KERNELS
    from benchmarks.compile_kernels import ORDINARY

    points: list[Point] = []
    for family in (name for name in FAMILIES if not only or name in only):
        points += list(_grow(console, family, nodes))
    console.print(_table(points))
    console.print(_growth_table(points))
    kernels = {} if only else {name: _seconds_per_kernel(name) for name in KERNELS}
    if kernels:
        console.print(_kernel_table(kernels))
    ordinary = {} if only else {name: seconds_of_one(name) for name in ORDINARY}
    if ordinary:
        console.print(_ordinary_table({name: (seconds, ORDINARY[name][0]) for name, seconds in ordinary.items()}))
    fits = {family: {"cold": exponent(own, "cold"), "cached": exponent(own, "cached")} for family, own in _by(points)}
    return {"points": [asdict(p) for p in points], "exponents": fits, "seconds_per_kernel": {**kernels, **ordinary}}


def _grow(console: Console, family: str, nodes: Sequence[int]) -> Iterator[Point]:
    """Larger and larger, until the next would take too long."""
    last = None
    for count in sorted(nodes):
        if last is not None and last.cold["total"] * count / last.nodes > _LONGEST:
            console.print(f"[yellow]{family}: not measured from {count} nodes on, for the time")
            return
        last = measure(family, count)
        cold, cached = (duration(seconds["total"]) for seconds in (last.cold, last.cached))
        console.print(f"{family}, {last.nodes} nodes: {cold} cold, {cached} from the cache")
        yield last


def measure(family: str, nodes: int) -> Point:
    """One process with an empty cache, one more with what the first has left."""
    with tempfile.TemporaryDirectory(prefix="benchmark-cache-") as cache:
        first, second = _process(family, nodes, cache), _process(family, nodes, cache)
    return Point(family, first["nodes"], first["kernels"], first["seconds"], second["seconds"])


def _process(family: str, nodes: int, cache: str) -> dict[str, Any]:
    with environment(1):
        variables = {**os.environ, "TT_CACHE_DIR": cache}
    command = [sys.executable, "-m", "benchmarks.compile_time", family, str(nodes)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def exponent(points: Sequence[Point], which: str) -> float | None:
    """The p of seconds = c * nodes**p, by least squares of the logarithms; None where there are too few points."""
    pairs = [(math.log(p.nodes), math.log(getattr(p, which)["total"])) for p in points if p.nodes >= _FIT_FROM]
    if len(pairs) < 2:
        return None
    x, y = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    return sum((a - x) * (b - y) for a, b in pairs) / sum((a - x) ** 2 for a, _ in pairs)


def _by(points: Sequence[Point]) -> list[tuple[str, list[Point]]]:
    return [(name, [p for p in points if p.family == name]) for name in dict.fromkeys(p.family for p in points)]


def _seconds_per_kernel(name: str) -> float:
    """Generating and compiling one more kernel: the slope between a few and many."""
    few, many = (measure(name, count).cold for count in (_FEW, _MANY))
    return sum(many[stage] - few[stage] for stage in ("lower", "LLVM")) / (_MANY - _FEW)


def seconds_of_one(name: str) -> float:
    """Generating and compiling one of the ordinary kernels: the mean, where that graph has several. What the entry
    function takes is part of it."""
    point = measure(name, 0)
    return (point.cold["lower"] + point.cold["LLVM"]) / point.kernels


# Tables.
def _table(points: Sequence[Point]) -> Table:
    out = Table(title="first call: CPU time, cold and from the disk cache", title_justify="left")
    for name in ("family", "nodes", "kernels", *NAMES, "cold", "from the cache", "cold per node"):
        out.add_column(name, justify="left" if name == "family" else "right", no_wrap=True)
    for p in points:
        stages = [duration(p.cold[name]) for name in NAMES]
        totals = [duration(p.cold["total"]), duration(p.cached["total"]), duration(p.cold["total"] / p.nodes)]
        out.add_row(p.family, str(p.nodes), str(p.kernels), *stages, *totals)
    return out


def _growth_table(points: Sequence[Point]) -> Table:
    title = f"growth: time = c × nodes^p, from {_FIT_FROM} nodes on (aim: p ≤ {GOAL})"
    out = Table(title=title, title_justify="left")
    for name in ("family", "p, cold", "p, from the cache"):
        out.add_column(name, justify="left" if name == "family" else "right")
    for family, own in _by(points):
        out.add_row(family, *(_judged(exponent(own, which), GOAL, "{:.2f}".format) for which in ("cold", "cached")))
    return out


def _kernel_table(kernels: dict[str, float]) -> Table:
    out = Table(title="one more kernel: generating it, and LLVM", title_justify="left")
    for name in ("kernels", "CPU time", "aim"):
        out.add_column(name, justify="left" if name == "kernels" else "right")
    for name, seconds in kernels.items():
        goal = _KERNEL_GOALS[name]
        out.add_row(name, _judged(seconds, goal, duration), f"≤ {duration(goal)}")
    return out


def _ordinary_table(kernels: dict[str, tuple[float, float]]) -> Table:
    out = Table(title="time of one kernel: generating it, and LLVM", title_justify="left")
    for name in ("kernel", "CPU time", "aim"):
        out.add_column(name, justify="left" if name == "kernel" else "right")
    for name, (seconds, goal) in kernels.items():
        out.add_row(name, _judged(seconds, goal, duration), f"≤ {duration(goal)}")
    return out


def _judged(value: float | None, goal: float, text: Callable[[float], str]) -> str:
    if value is None:
        return "–"
    return f"[green]✓[/] {text(value)}" if value <= goal else f"[red]✗[/] {text(value)}"


# The process that is measured.
class _Clock:
    """CPU seconds by stage; a stage inside of another counts for itself."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(NAMES, 0.0)
        self._running: list[str] = []
        self._since = 0.0

    def _turn(self) -> None:
        now = time.process_time()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._turn()
            self._running.append(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn()
                self._running.pop()

        return call


def _child(family: str, nodes: int) -> dict[str, Any]:
    import tinytorch as tt
    from benchmarks.compile_families import FAMILIES, KERNELS
    from benchmarks.compile_kernels import ORDINARY

    clock = _Clock()
    for (module, name), stage in STAGES.items():
        importlib.import_module(module)
        owner = sys.modules[module]  # tinytorch.compile is a function, too
        setattr(owner, name, clock.timed(stage, getattr(owner, name)))
    # What only the first compilations of a process do.
    tt.compile(lambda x: x + 1)(tt.zeros(2))
    for name in ("contract", "conv", "index", "pooling"):
        importlib.import_module(f"tinytorch.runtime.llvm.{name}.kernel")
    function, arguments = ORDINARY[family][1]() if family in ORDINARY else {**FAMILIES, **KERNELS}[family](nodes)
    clock.seconds = dict.fromkeys(NAMES, 0.0)  # making large arguments may compile, too
    compiled = tt.compile(function)
    begin = time.process_time()
    compiled(*arguments)
    total = time.process_time() - begin
    kernels = sum(node.op.kind == "kernel" for node in compiled.graph.nodes)
    seconds = {**clock.seconds, "total": total}
    return {"nodes": len(compiled.traced_graph.nodes), "kernels": kernels, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(_child(sys.argv[1], int(sys.argv[2]))))
