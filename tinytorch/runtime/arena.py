"""One block of memory for all intermediate values: who lies where."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64  # bytes: a cache line, and the widest vector
_FEW = 512  # buffers that are placed in both ways; the careful one takes the square of their number


def aligned(bytes: int, alignment: int = ALIGNMENT) -> int:
    """The same, or the next multiple of `alignment`: a size in whole cache lines, an address where one begins."""
    return -(-bytes // alignment) * alignment


@dataclass(frozen=True)
class Interval:
    """A buffer of `bytes` that is live from wave `first` to wave `last`, both included."""

    first: int
    last: int
    bytes: int


def place(intervals: Sequence[Interval], alignment: int) -> tuple[list[int], int]:
    """Byte offsets at which no two buffers that are live at once overlap, and the size of the whole.

    Placed wave by wave; where that takes more than what is live at once and the buffers are few, they are placed by
    size as well, and the smaller plan is taken.
    """
    sizes = [aligned(item.bytes, alignment) for item in intervals]
    plan = _by_time(intervals, sizes)
    if len(intervals) <= _FEW and plan[1] > _most_live(intervals, sizes):
        plan = min(plan, _by_size(intervals, sizes), key=lambda p: p[1])
    return plan


def _most_live(intervals: Sequence[Interval], sizes: Sequence[int]) -> int:
    """The most bytes that are live in one wave, which no plan can undercut."""
    changes = [(item.first, 1, size) for item, size in zip(intervals, sizes, strict=True)]
    changes += [(item.last, 2, -size) for item, size in zip(intervals, sizes, strict=True)]
    most = now = 0
    for _, _, change in sorted(changes):  # in each wave, what begins before what ends
        now += change
        most = max(most, now)
    return most


class _Gaps:
    """Free memory below `top`: of the gaps that are large enough, the smallest is taken, of those the lowest."""

    def __init__(self) -> None:
        self.top = 0
        self._by_size: list[tuple[int, int]] = []  # (size, offset), sorted
        self._starts: dict[int, int] = {}  # offset → size
        self._ends: dict[int, int] = {}  # where it ends → offset

    def take(self, size: int) -> int:
        """The offset of `size` bytes."""
        index = bisect_left(self._by_size, (size, 0))
        if index < len(self._by_size):
            length, offset = self._by_size[index]
            self._remove(offset, length)
            if length > size:
                self._add(offset + size, length - size)
            return offset
        offset = self._ends.get(self.top, self.top)  # a gap at the top grows
        if offset < self.top:
            self._remove(offset, self.top - offset)
        self.top = offset + size
        return offset

    def give(self, offset: int, size: int) -> None:
        """Free what was taken; neighbouring gaps become one."""
        start, end = offset, offset + size
        if start in self._ends:
            start = self._ends[start]
            self._remove(start, offset - start)
        if end in self._starts:
            length = self._starts[end]
            self._remove(end, length)
            end += length
        self._add(start, end - start)

    def _add(self, offset: int, size: int) -> None:
        insort(self._by_size, (size, offset))
        self._starts[offset] = size
        self._ends[offset + size] = offset

    def _remove(self, offset: int, size: int) -> None:
        del self._by_size[bisect_left(self._by_size, (size, offset))]
        del self._starts[offset]
        del self._ends[offset + size]


def _by_time(intervals: Sequence[Interval], sizes: Sequence[int]) -> tuple[list[int], int]:
    """Wave by wave, in each the largest first, into the gaps that buffers have left which are no longer live."""
    offsets = [0] * len(intervals)
    some = [i for i, size in enumerate(sizes) if size]
    ending = sorted(some, key=lambda i: intervals[i].last, reverse=True)
    gaps = _Gaps()
    for i in sorted(some, key=lambda i: (intervals[i].first, -sizes[i])):
        while ending and intervals[ending[-1]].last < intervals[i].first:
            over = ending.pop()
            gaps.give(offsets[over], sizes[over])
        offsets[i] = gaps.take(sizes[i])
    return offsets, gaps.top


def _by_size(intervals: Sequence[Interval], sizes: Sequence[int]) -> tuple[list[int], int]:
    """The largest first, each at the lowest offset that is free while it is live (Pisarchyk & Lee, "Efficient memory
    management for deep neural net inference", 2020)."""
    offsets = [0] * len(intervals)
    placed: list[tuple[int, int]] = []  # (offset, number), sorted
    top = 0
    for i in sorted(range(len(intervals)), key=lambda i: -intervals[i].bytes):
        item = intervals[i]
        if item.bytes == 0:
            continue
        at = 0
        for offset, j in placed:
            other = intervals[j]
            if other.first > item.last or other.last < item.first:
                continue
            if at + sizes[i] <= offset:
                break
            at = max(at, offset + sizes[j])
        offsets[i] = at
        insort(placed, (at, i))
        top = max(top, at + sizes[i])
    return offsets, top
