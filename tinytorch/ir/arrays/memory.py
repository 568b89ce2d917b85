"""Which arrays share memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from tinytorch.ir.op import Array

_OVERLAP_WORK = 10_000  # candidates that numpy may try before two interleaved views count as sharing memory


def owner(array: Array) -> Any:
    """The object that owns an array's memory: an array, or what numpy was given (a memory map, bytes)."""
    base: Any = array.base
    while base is not None:
        inner = getattr(base, "base", None)  # numpy puts an object of its own between when it sets strides
        if not isinstance(base, np.ndarray) and not (hasattr(base, "__array_interface__") and inner is not None):
            return base
        array, base = base, inner
    return array


def overlap(a: Array, b: Array) -> bool:
    """Whether two arrays have an element in common."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=_OVERLAP_WORK)  # pyright: ignore[reportArgumentType]
    except np.exceptions.TooHardError:
        return True


def overlaps(arrays: Sequence[Array], written: Collection[int]) -> frozenset[tuple[int, int]]:
    """Pairs of arrays that have an element in common, of which the first is among those that are `written`."""
    if not written:
        return frozenset()
    groups: dict[int, list[int]] = {}
    for i, array in enumerate(arrays):
        groups.setdefault(id(owner(array)), []).append(i)
    pairs = [(i, j) for group in groups.values() if len(group) > 1 for i in group for j in group if i != j]
    return frozenset((i, j) for i, j in pairs if i in written and overlap(arrays[i], arrays[j]))
