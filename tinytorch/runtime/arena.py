"""One block of memory for all intermediate values: who lies where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A buffer of `bytes` that is live from wave `first` to wave `last`, both included."""

    first: int
    last: int
    bytes: int


def place(intervals: Sequence[Interval], alignment: int) -> tuple[list[int], int]:
    """Byte offsets at which no two buffers that are live at once overlap, and the size of the whole.

    Greedy by size: the largest first, each at the lowest offset that is free while it is live (Pisarchyk & Lee,
    "Efficient memory management for deep neural net inference", 2020).
    """
    offsets = [0] * len(intervals)
    placed: list[int] = []
    size = 0
    for i in sorted(range(len(intervals)), key=lambda i: -intervals[i].bytes):
        item = intervals[i]
        if item.bytes == 0:
            continue
        at = 0
        for j in sorted(placed, key=offsets.__getitem__):
            other = intervals[j]
            if other.first > item.last or other.last < item.first:
                continue
            if at + item.bytes <= offsets[j]:
                break
            at = max(at, _aligned(offsets[j] + other.bytes, alignment))
        offsets[i] = at
        placed.append(i)
        size = max(size, at + item.bytes)
    return offsets, _aligned(size, alignment)


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment
