"""When kernels run, and which of their results take memory: what the schedule knows, as passes may ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tinytorch.ir.graph import Graph, Value


@dataclass(frozen=True)
class Liveness:
    """`waves` says in which wave each result of a kernel is made, `stored` which of them lie in the arena (not in an
    output, or in the storage of state), and `bytes` how large that is."""

    waves: Mapping[Value, int]
    stored: frozenset[Value]
    bytes: int


Schedules = Callable[[Graph], Liveness]


@dataclass(frozen=True)
class MemoryLimit:
    """The most bytes that the arena of a graph of kernels may have, and how to find out what it has."""

    bytes: int
    liveness: Schedules
