"""Where the vertices of a layered drawing go: rows from top to bottom, few crossings, straight long edges.

Ranks are given. The steps are those of Sugiyama, Tagawa and Toda (IEEE Trans. SMC 11(2), 1981): an edge that runs past
rows bends at a point in each; points of a row are sorted by the mean place of their neighbours; then each is moved
towards its neighbours as far as those beside it allow, which is a least-squares problem that merging blocks solves
(pool adjacent violators). Time is proportional to the number of points but for sorting, and the number of bends of an
edge is bounded: what runs further becomes a pair of numbered tags.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

ROW_GAP = 46.0  # between rows, for edges and their labels
GAP = 26.0  # between boxes of a row
LINE_GAP = 9.0  # between edges
WIDEST = 1500.0  # of a row; what does not fit goes to rows below
FURTHEST = 9  # rows that an edge may run past
_SWEEPS = 8
_FAR = 0.1  # the weight of an edge that is not drawn


@dataclass(eq=False)
class Point:
    """A vertex, or the place where an edge crosses a row. `x` is its middle, `y` its upper end."""

    width: float
    height: float
    rank: int = 0
    x: float = 0.0
    y: float = 0.0
    row: int = 0
    floor: float = 0.0  # the lower end of its row
    above: list[tuple[Point, float]] = field(default_factory=list["tuple[Point, float]"])  # neighbours, with weights
    below: list[tuple[Point, float]] = field(default_factory=list["tuple[Point, float]"])
    at: float = 0.0  # in its row, from 0 to 1
    place: int = 0  # the same as a number

    @property
    def is_bend(self) -> bool:
        return self.width == 0


@dataclass(eq=False)
class Line:
    """An edge, and the points that it goes through; without any it is `cut`, and is shown by tags."""

    source: Point
    target: Point
    through: list[Point] = field(default_factory=list[Point])
    cut: bool = False


def lay_out(points: Sequence[Point], lines: Sequence[Line]) -> tuple[float, float]:
    """Give points their places and lines their bends; the width and height of all."""
    rows = _rows(points)
    for line in lines:
        _bend(line, rows)
    _sort(rows)
    _spread(rows)
    for line in lines:
        _straighten(line, rows)
    return _settle(rows)


def _rows(points: Sequence[Point]) -> list[list[Point]]:
    """Points by rank; ranks too wide become several rows of about one width."""
    ranks: dict[int, list[Point]] = {}
    for point in points:
        ranks.setdefault(point.rank, []).append(point)
    rows: list[list[Point]] = []
    for _, members in sorted(ranks.items()):
        whole = sum(p.width + GAP for p in members)
        most = whole / max(1, round(whole / WIDEST + 0.49))
        row: list[Point] = []
        used = 0.0
        for point in members:
            if row and used + point.width / 2 > most:
                rows.append(row)
                row, used = [], 0.0
            row.append(point)
            used += point.width + GAP
        rows.append(row)
    for number, row in enumerate(rows):
        for point in row:
            point.row = number
    return rows


def _bend(line: Line, rows: list[list[Point]]) -> None:
    between = range(line.source.row + 1, line.target.row)
    if len(between) > FURTHEST or line.target.row <= line.source.row:
        line.cut = True
        line.source.below.append((line.target, _FAR))
        line.target.above.append((line.source, _FAR))
        return
    before = line.source
    for row in between:
        bend = Point(0, 0, row=row)
        rows[row].append(bend)
        line.through.append(bend)
        _join(before, bend)
        before = bend
    _join(before, line.target)


def _join(a: Point, b: Point) -> None:
    weight = 1.0 + 3.0 * a.is_bend + 3.0 * b.is_bend  # long edges straight first
    a.below.append((b, weight))
    b.above.append((a, weight))


# The order within rows.
def _sort(rows: list[list[Point]]) -> None:
    _number(rows)
    best, fewest = [list(row) for row in rows], _crossings(rows)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            for point in row:
                near = point.above if down else point.below
                point.at = sum(p.at * w for p, w in near) / sum(w for _, w in near) if near else point.at
            row.sort(key=lambda p: p.at)
            for i, point in enumerate(row):
                point.at = (i + 0.5) / len(row)
        found = _crossings(rows)
        if found < fewest:
            best, fewest = [list(row) for row in rows], found
    rows[:] = best
    _number(rows)


def _number(rows: list[list[Point]]) -> None:
    for row in rows:
        for i, point in enumerate(row):
            point.at = (i + 0.5) / len(row)


def _crossings(rows: list[list[Point]]) -> int:
    """Pairs of edges that cross, counted with a tree of partial sums over the lower row."""
    total = 0
    for upper in rows:
        ends = [end for p in upper for end in sorted(q.at for q, weight in p.below if weight > _FAR)]
        places = {at: i + 1 for i, at in enumerate(sorted(set(ends)))}
        sums = [0] * (len(places) + 1)
        for seen, end in enumerate(ends):
            place = places[end]
            total += seen
            i = place
            while i:
                total -= sums[i]
                i &= i - 1
            i = place
            while i < len(sums):
                sums[i] += 1
                i += i & -i
    return total


# Places along rows.
def _spread(rows: list[list[Point]]) -> None:
    for row in rows:
        for i, point in enumerate(row):
            point.place = i
        left = 0.0
        for a, b in zip([None, *row], row, strict=False):
            left += _apart(a, b) if a is not None else b.width / 2
            b.x = left
        middle = left / 2
        for point in row:
            point.x -= middle
    for sweep in range(2 * _SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            _place(row, down, both=sweep >= _SWEEPS)


def _apart(a: Point, b: Point) -> float:
    gap = LINE_GAP if a.is_bend and b.is_bend else GAP if not (a.is_bend or b.is_bend) else GAP / 2
    return (a.width + b.width) / 2 + gap


def _place(row: list[Point], down: bool, both: bool) -> None:
    """Move the points of a row as near as they can get to the mean of their neighbours."""
    blocks: list[tuple[float, float, int]] = []  # (where the first of a block wants to be, weight, how many)
    offset = 0.0
    offsets: list[float] = []
    for i, point in enumerate(row):
        offset += _apart(row[i - 1], point) if i else 0.0
        offsets.append(offset)
        near = [*point.above, *point.below] if both else point.above if down else point.below
        weight = sum(w for _, w in near)
        wanted = sum(p.x * w for p, w in near) / weight if near else point.x
        block = (wanted - offset, weight or 0.1, 1)
        while blocks and blocks[-1][0] > block[0]:
            start, mass, count = blocks.pop()
            mean = (start * mass + block[0] * block[1]) / (mass + block[1])
            block = (mean, mass + block[1], count + block[2])
        blocks.append(block)
    at = 0
    for start, _, count in blocks:
        for i in range(at, at + count):
            row[i].x = start + offsets[i]
        at += count


def _straighten(line: Line, rows: list[list[Point]]) -> None:
    """Let runs of bends stand below each other, as far as the neighbours of each leave room."""
    run: list[Point] = []
    low, high = -math.inf, math.inf
    for bend in line.through:
        left, right = _room(bend, rows[bend.row])
        if run and max(low, left) > min(high, right):
            _align(run, low, high)
            run, low, high = [], -math.inf, math.inf
        run.append(bend)
        low, high = max(low, left), min(high, right)
    if run:
        _align(run, low, high)


def _room(point: Point, row: list[Point]) -> tuple[float, float]:
    """From where to where a point may be moved."""
    i = point.place
    left = row[i - 1].x + _apart(row[i - 1], point) if i else -math.inf
    right = row[i + 1].x - _apart(point, row[i + 1]) if i + 1 < len(row) else math.inf
    return min(left, point.x), max(right, point.x)


def _align(run: list[Point], low: float, high: float) -> None:
    ends = sorted([run[0].above[0][0].x, run[-1].below[0][0].x])
    middle = sum(bend.x for bend in run) / len(run)
    x = min(max(min(max(middle, ends[0]), ends[1]), low), high)
    for bend in run:
        bend.x = x


def _settle(rows: list[list[Point]]) -> tuple[float, float]:
    """Heights, and everything to the right of 0; the size of the drawing."""
    left = min((p.x - p.width / 2 for row in rows for p in row), default=0.0)
    right = max((p.x + p.width / 2 for row in rows for p in row), default=0.0)
    top = 0.0
    for row in rows:
        height = max(p.height for p in row)
        for point in row:
            point.x -= left
            point.y, point.floor = top, top + height
            if point.is_bend:
                point.height = height
        top += height + ROW_GAP
    return right - left, top - ROW_GAP if rows else 0.0
