"""The rungs compiled, checked against numpy, and timed in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tinytorch as tt
from benchmarks.ladder.rungs import RUNGS, UNIT, Sizes, write
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import compile_object, load_object
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.threads.peaks import peaks
from tinytorch.runtime.llvm.threads.pool import shared_pool

_CHUNKS_PER_THREAD = 2
OWN = "the compiler's kernel"


@dataclass
class Step:
    """One way to compute the product: the threads that it runs on, the seconds of its rounds, and the machine's rate of
    multiply-adds on so many threads."""

    name: str
    threads: int
    call: Callable[[], Any]
    limit: float
    times: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return statistics.median(self.times)


@dataclass(frozen=True)
class Ladder:
    """The steps of matrices of n rows, with their times."""

    n: int
    steps: tuple[Step, ...]

    def rate(self, step: Step) -> float:
        """Operations per second."""
        return 2 * self.n**3 / step.seconds

    def share(self, step: Step) -> float:
        """Of the rate of fused multiply-adds that the step's threads have."""
        return self.rate(step) / step.limit


def measure(n: int, rounds: int, threads: int) -> Ladder:
    """Compile all steps, check their results, and time them in turns."""
    if n < UNIT or n % UNIT:
        raise ValueError(f"the size is a multiple of {UNIT}, got {n}")
    before = tt.get_num_threads()
    limits = {count: _limit(count) for count in {1, threads}}
    try:
        steps = _steps(n, threads, limits)
        for _ in range(rounds):
            for step in steps:
                tt.set_num_threads(step.threads)
                step.call()  # the threads are awake, the operands in the caches
                start = time.perf_counter()
                step.call()
                step.times.append(time.perf_counter() - start)
        limits = {count: _limit(count) for count in limits}  # the best so far: the machine may have been busy before
        for step in steps:
            step.limit = limits[step.threads]
    finally:
        tt.set_num_threads(before)
    return Ladder(n, tuple(steps))


def _limit(threads: int) -> float:
    """What so many threads can do now, or did better before."""
    tt.set_num_threads(threads)
    return peaks(again=True).flops


def _steps(n: int, threads: int, limits: dict[int, float]) -> list[Step]:
    a, b = (np.random.default_rng(i).standard_normal((n, n), np.float32) for i in range(2))
    wanted = a @ b
    target, module, pool = Target.host(), Module(Target.host().attributes), shared_pool()
    sizes = {name: Sizes.of(n, 1 if name != "threaded" else _CHUNKS_PER_THREAD * threads, target) for name in RUNGS}
    for name, rung in RUNGS.items():
        write(module, _symbol(name), rung, sizes[name])
    code = load_object(compile_object(module.text(), target))
    steps: list[Step] = []
    for name in RUNGS:
        used, out = threads if name == "threaded" else 1, np.full((n, n), np.nan, np.float32)
        frame = np.array([x.ctypes.data for x in (a, b, out)], np.uint64)
        address, count = code.address(_symbol(name)), n // sizes[name].rows

        def call(address: int = address, frame: Any = frame, count: int = count, keep: Any = (code, a, b, out)) -> None:
            pool.run(address, frame.ctypes.data, count)

        call()
        _check(name, out, wanted)
        steps.append(Step(name, used, call, limits[used]))
    x, y = tt.from_numpy(a), tt.from_numpy(b)
    _check(OWN, tt.vectorized_matmul(x, y).numpy(), wanted)
    own = [Step(OWN, count, lambda: tt.vectorized_matmul(x, y), limits[count]) for count in sorted({1, threads})]
    return [*steps, *own]


def _symbol(name: str) -> str:
    return name.replace("-", "_")


def _check(name: str, found: Any, wanted: Any) -> None:
    """A wrong product is not timed."""
    if not np.allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.sqrt(len(wanted))):
        raise AssertionError(f"{name}: the product is wrong")


def draw(ladder: Ladder, path: Path) -> None:
    """A bar for each step: its share of the limit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    names = [f"{s.name}, {s.threads} thread{'s' * (s.threads > 1)}" for s in ladder.steps]
    shares = [ladder.share(s) for s in ladder.steps]
    drawn = axes.barh(range(len(names)), [100 * share for share in shares], color="C0")
    axes.bar_label(drawn, [f"{share:.1%}" for share in shares], padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlim=(0, 110), xlabel="% of the threads' rate of fused multiply-adds")
    axes.set_title(f"f32[{ladder.n}, {ladder.n}] @ f32[{ladder.n}, {ladder.n}]")
    figure.savefig(path)
