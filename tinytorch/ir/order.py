"""A topological order that is kept up to date while edges are added and vertices merge.

Every vertex has a label, and comes after all that it needs. Whether a path leads from one vertex to another can only
be a question where its label is the smaller one, and then the path runs between their labels: a search on both sides,
in turn, ends when it meets itself, or when the smaller side has been seen whole and nothing was met. In the second
case the vertices seen change sides, so the same ones are not searched again (after Pearce & Kelly, "A dynamic
topological sort algorithm for directed acyclic graphs", 2006, and Bender et al. on searches from both sides).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

# Between two neighbours a thousand vertices fit one after the other, each halving the gap, before all labels are
# given anew. Python's integers are as wide as that needs.
_GAP = 1 << 1024


class Vertex:
    """A vertex. `needs` come before it, `users` after it; both may name vertices that have become part of others.
    The rest is the order's own: the label, the neighbours in the list, and what it has become a part of."""

    def __init__(self) -> None:
        self.needs: list[Vertex] = []
        self.users: list[Vertex] = []
        self.label = 0
        self.left: Vertex | None = None
        self.right: Vertex | None = None
        self.merged: Vertex | None = None

    def current(self) -> Vertex:
        """The vertex that this one has become a part of: itself as long as it has not been merged."""
        if self.merged is None:
            return self
        root = self.merged
        while root.merged is not None:
            root = root.merged
        at: Vertex | None = self
        while at is not None and at is not root:  # shorten the way for the next time
            at.merged, at = root, at.merged
        return root


class Order:
    """The order of all vertices that were entered. `steps` counts the edges that searches have looked at."""

    def __init__(self) -> None:
        self.steps = 0
        self._first = Vertex()  # stands before all others
        self._last = self._first

    def __iter__(self) -> Iterator[Vertex]:
        at = self._first.right
        while at is not None:
            yield at
            at = at.right

    def enter(self, vertex: Vertex, needs: Iterable[Vertex]) -> None:
        """Put a new vertex at the end; `needs`, different from each other, have been entered."""
        vertex.needs = list(needs)
        for need in vertex.needs:
            need.users.append(vertex)
        self._insert([vertex], self._last)

    def is_before(self, a: Vertex, b: Vertex) -> bool:
        """Whether `a` stands before `b` now; if not, there is no path from it to `b`."""
        return a.label < b.label

    def put_before(self, a: Vertex, b: Vertex) -> bool:
        """Let `a` stand before `b`, where no path leads the other way; false where one does."""
        if a is b:
            return False
        if self.is_before(a, b):
            return True
        found = _Search(b, a, direct=True).run()
        self.steps += found.steps
        if found.path:
            return False
        if found.behind is not None:
            self._move([*found.behind, a], b, after=False)
        else:
            self._move([b, *(found.ahead or ())], a, after=True)
        return True

    def need(self, vertex: Vertex, other: Vertex) -> None:
        """Add an edge: `vertex` needs `other`, which stands before it."""
        assert self.is_before(other, vertex)
        vertex.needs.append(other)
        other.users.append(vertex)

    def merge(self, a: Vertex, b: Vertex) -> bool:
        """Make `b` a part of `a`; false, and nothing is changed, where a path leads from one to the other through a
        third. Both are current, and so are those that they need afterwards."""
        low, high = (a, b) if self.is_before(a, b) else (b, a)
        found = _Search(low, high, direct=False).run()
        self.steps += found.steps
        if found.path:
            return False
        if found.behind is not None:
            self._move(found.behind, low, after=False)
            place = low
        else:
            self._move(found.ahead or [], high, after=True)
            place = high
        if place is b:
            self._unlink(a)
            self._insert([a], b)
        self._unlink(b)
        b.merged = a
        needs = dict.fromkeys(v.current() for v in (*a.needs, *b.needs))
        needs.pop(a, None)
        a.needs = list(needs)
        if len(a.users) < len(b.users):
            a.users, b.users = b.users, a.users
        a.users += b.users
        b.needs, b.users = [], []
        return True

    # The list of all vertices.
    def _move(self, vertices: Iterable[Vertex], anchor: Vertex, *, after: bool) -> None:
        """Take vertices from where they are to the place right before or after `anchor`, in the order they have."""
        run = sorted(vertices, key=lambda v: v.label)
        for vertex in run:
            self._unlink(vertex)
        left = anchor if after else anchor.left
        assert left is not None
        self._insert(run, left)

    def _unlink(self, vertex: Vertex) -> None:
        left, right = vertex.left, vertex.right
        assert left is not None
        left.right = right
        if right is None:
            self._last = left
        else:
            right.left = left

    def _insert(self, run: list[Vertex], left: Vertex) -> None:
        right = left.right
        for vertex in run:
            left.right, vertex.left = vertex, left
            left = vertex
        left.right = right
        if right is None:
            self._last = left
        else:
            right.left = left
        self._number(run, right)

    def _number(self, run: list[Vertex], right: Vertex | None) -> None:
        """Labels between those of the neighbours, evenly."""
        if not run:
            return
        left = run[0].left
        assert left is not None
        step = _GAP if right is None else (right.label - left.label) // (len(run) + 1)
        if step == 0:
            self._number_all()
            return
        for i, vertex in enumerate(run, 1):
            vertex.label = left.label + i * step

    def _number_all(self) -> None:
        at: Vertex | None = self._first
        label = 0
        while at is not None:
            at.label, label, at = label, label + _GAP, at.right


class _Search:
    """Looks for a path from `low` to `high`, where `low` has the smaller label: a `direct` edge is one, or only a
    path through a third vertex is. Without one, `behind` or `ahead` is a whole side: those between the labels that
    `high` needs, or that need `low`, directly or not."""

    def __init__(self, low: Vertex, high: Vertex, *, direct: bool) -> None:
        self.low, self.high, self.direct = low, high, direct
        self.path = False
        self.behind: list[Vertex] | None = None
        self.ahead: list[Vertex] | None = None
        self.steps = 0

    def run(self) -> _Search:
        behind: set[Vertex] = set()
        ahead: set[Vertex] = set()
        down = self._walk(self.high, self.low, _needs, behind, ahead, 1)
        up = self._walk(self.low, self.high, _users, ahead, behind, -1)
        while True:
            met = next(down, None)
            if met is None:
                self.behind = list(behind)
                break
            met = met or next(up, None)
            if met is None:
                self.ahead = list(ahead)
                break
            if met:
                self.path = True
                break
        return self

    def _walk(
        self,
        start: Vertex,
        goal: Vertex,
        neighbours: Callable[[Vertex], list[Vertex]],
        seen: set[Vertex],
        theirs: set[Vertex],
        sign: int,
    ) -> Iterator[bool]:
        """One edge a time, whether it met the other side. The vertices nearest to the goal in the order come first:
        what is far away is mostly reached over few long edges, as a backward pass reads the forward pass."""
        low, high = self.low.label, self.high.label
        waiting: list[tuple[int, Vertex]] = []
        at = start
        while True:
            for neighbour in neighbours(at):
                self.steps += 1
                vertex = neighbour.current()
                if vertex in theirs or (vertex is goal and (self.direct or at is not start)):
                    yield True
                elif low < vertex.label < high and vertex not in seen:
                    seen.add(vertex)
                    heapq.heappush(waiting, (sign * vertex.label, vertex))
                yield False
            if not waiting:
                return
            at = heapq.heappop(waiting)[1]


def _needs(vertex: Vertex) -> list[Vertex]:
    return vertex.needs


def _users(vertex: Vertex) -> list[Vertex]:
    return vertex.users
