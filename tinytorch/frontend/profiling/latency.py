"""Seconds of calls, one by one, with their percentiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.ir.system import collector
from tinytorch.ir.text.units import duration

PERCENTILES = (50, 90, 95, 99)
_FEWEST = 5  # calls that are timed, however long they take


class Latency(float):
    """The median of the seconds that calls took: a number, with all of them beside it in `times`.

    A mean would count what the rest of the machine did meanwhile; the median does not, and high percentiles show it.
    """

    times: tuple[float, ...]
    samples: int

    def __new__(cls, times: Sequence[float], samples: int = 1) -> Self:
        made = super().__new__(cls, float(np.median(times)))
        made.times, made.samples = tuple(times), samples
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies and pickles."""
        return type(self), (self.times, self.samples)

    @property
    def median(self) -> float:
        return float(self)

    @property
    def mean(self) -> float:
        return float(np.mean(self.times))

    @property
    def least(self) -> float:
        """The best of all, nearest to what the machine could do undisturbed."""
        return min(self.times)

    def percentile(self, percent: float) -> float:
        """Seconds within which `percent` of 100 calls were done; between two of them, in proportion."""
        arguments.number("percentile", "percent", percent, lambda x: 0 <= x <= 100, "between 0 and 100")
        return float(np.percentile(self.times, percent))

    @property
    def throughput(self) -> float:
        """Samples per second: what the first axis of the first input holds, over the median."""
        return self.samples / self.median if self.median else float("inf")

    def table(self) -> str:
        """Percentiles, in a line."""
        shown = ", ".join(f"p{p} {duration(self.percentile(p))}" for p in PERCENTILES)
        return f"{shown} of {len(self.times)} calls"


def time_calls(call: Callable[[], Any], repeats: int, warmup: int, seconds: float) -> list[float]:
    """Seconds of each of `repeats` calls behind `warmup` others; fewer, but five at least, after `seconds` in all."""
    for _ in range(warmup):
        call()
    times: list[float] = []
    clock = time.perf_counter
    with collector.paused():  # which would stop at some of the calls
        end = clock() + seconds
        while len(times) < repeats and (len(times) < _FEWEST or clock() < end):
            start = clock()
            call()
            times.append(clock() - start)
    return times
