"""Medians with what is known about them, by the bootstrap (Efron 1979): the measurements are drawn again, with
replacement, many times; the middle 95 % of the medians of these samples are the interval.

Times of two models are compared round by round. In a round they run one after the other, so what slows the machine
down slows both, and their ratio keeps what is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinytorch.ir.op import Array

Verdict = Literal["faster", "slower", "no difference seen"]
RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A median, and the interval in which it lies by the measurements."""

    median: float
    low: float
    high: float


def median_interval(values: Sequence[float] | Array, confidence: float = 0.95) -> Interval:
    """Of measurements, at least one. The same ones give the same interval."""
    found = np.asarray(values, np.float64)
    drawn = np.random.default_rng(0).integers(0, len(found), (RESAMPLES, len(found)))
    medians = np.median(found[drawn], axis=1)
    low, high = np.quantile(medians, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(np.median(found)), float(low), float(high))


def speedup(before: Sequence[float], after: Sequence[float], confidence: float = 0.95) -> Interval:
    """How many times as fast as `before` the times `after` are, by rounds that belong together."""
    return median_interval(np.asarray(before, np.float64) / np.asarray(after, np.float64), confidence)


def verdict(ratio: Interval, margin: float = 0.0) -> Verdict:
    """What a speedup says: faster or slower where all of its interval is on one side of 1, by more than `margin`."""
    if ratio.low > 1 + margin:
        return "faster"
    return "slower" if ratio.high < 1 / (1 + margin) else "no difference seen"
