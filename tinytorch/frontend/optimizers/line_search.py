"""A line search for the strong Wolfe conditions (Nocedal & Wright, Numerical Optimization, 2006, algorithms 3.5, 3.6).

Along f(t), with f'(0) < 0, a step t is taken that lowers f enough and at which f is flat enough:

    f(t) <= f(0) + 1e-4 * t * f'(0)            |f'(t)| <= 0.9 * |f'(0)|
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinytorch.ir.op import Array

DECREASE, CURVATURE = 1e-4, 0.9
EVALUATIONS = 25


class Point(NamedTuple):
    """A step, with f there, its gradient, and its slope f'(t)."""

    t: float
    f: float
    gradient: Array
    slope: float


def between(a: Point, b: Point, least: float | None = None, most: float | None = None) -> float:
    """The minimum, in [least, most] (by default the two steps), of the cubic through two points with their slopes
    (equation 3.59); the middle where it has none."""
    if a.t > b.t:
        a, b = b, a
    low, high = a.t if least is None else least, b.t if most is None else most
    d = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d * d - a.slope * b.slope
    root = math.sqrt(square) if square >= 0 else math.nan
    divisor = b.slope - a.slope + 2 * root
    if not abs(divisor) > 0:
        return (low + high) / 2
    return min(max(b.t - (b.t - a.t) * ((b.slope + root - d) / divisor), low), high)


def strong_wolfe(
    at: Callable[[float], Point], start: Point, first: float, size: float, tolerance: float
) -> tuple[Point, int]:
    """The point that was found, and how many were tried, from f(0) in `start` and the step `first`. `size` is the
    largest element of the direction: what moves nothing by more than `tolerance` is not searched further."""
    search = _Search(at, start, size, tolerance)
    return search.run(first)


class _Search:
    def __init__(self, at: Callable[[float], Point], start: Point, size: float, tolerance: float) -> None:
        self.at, self.start, self.size, self.tolerance = at, start, size, tolerance
        self.rounds = 0

    def enough(self, point: Point) -> bool:
        return point.f <= self.start.f + DECREASE * point.t * self.start.slope

    def flat(self, point: Point) -> bool:
        return abs(point.slope) <= -CURVATURE * self.start.slope

    def run(self, first: float) -> tuple[Point, int]:
        before, now = self.start, self.at(first)
        while self.rounds < EVALUATIONS:
            if not self.enough(now) or (self.rounds > 1 and now.f >= before.f):
                return self.zoom(before, now), self.rounds + 1
            if self.flat(now):
                return now, self.rounds + 1
            if now.slope >= 0:
                return self.zoom(before, now), self.rounds + 1
            further = between(before, now, now.t + 0.01 * (now.t - before.t), now.t * 10)
            before, now = now, self.at(further)
            self.rounds += 1
        return min(self.start, now, key=lambda point: point.f), self.rounds + 1

    def zoom(self, one: Point, other: Point) -> Point:
        """A point between two that enclose one which meets the conditions."""
        low, high = (one, other) if one.f <= other.f else (other, one)
        near_an_end = False
        while self.rounds < EVALUATIONS and abs(high.t - low.t) * self.size >= self.tolerance:
            t, near_an_end = self.inside(low, high, near_an_end)
            new = self.at(t)
            self.rounds += 1
            if not self.enough(new) or new.f >= low.f:
                high = new
                if high.f < low.f:
                    low, high = high, low
                continue
            if self.flat(new):
                return new
            if new.slope * (high.t - low.t) >= 0:
                high = low
            low = new
        return low

    def inside(self, low: Point, high: Point, near_an_end: bool) -> tuple[float, bool]:
        """A step between two, and whether it is near one of them: twice in a row it is moved a tenth away."""
        t = between(low, high)
        least, most = sorted((low.t, high.t))
        margin = 0.1 * (most - least)
        if min(most - t, t - least) >= margin:
            return t, False
        if not near_an_end and least < t < most:
            return t, True
        return (most - margin if abs(t - most) < abs(t - least) else least + margin), False


def slope(gradient: Array, direction: Array) -> float:
    return float(np.dot(gradient, direction))
