"""The order that fusion and the schedule keep, against searches of the whole graph."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch.ir import order as order_module
from tinytorch.ir.order import Order, Vertex


class Checked:
    """An order beside a plain graph of the same vertices: numbers, of which merged ones share a set of edges."""

    def __init__(self) -> None:
        self.order = Order()
        self.vertices: list[Vertex] = []
        self.needs: dict[int, set[int]] = {}  # of those that have not been merged into others
        self.into: dict[int, int] = {}

    def enter(self, needs: set[int]) -> None:
        number, vertex = len(self.vertices), Vertex()
        self.vertices.append(vertex)
        self.into[number] = number
        self.needs[number] = {self.into[n] for n in needs}
        self.order.enter(vertex, [self.vertices[n] for n in sorted(self.needs[number])])

    def reaches(self, start: int, goal: int, skip: int | None = None) -> bool:
        """Whether `start` needs `goal`, directly or not; without the vertex `skip`'s direct edge to the goal."""
        first = self.needs[start] - ({goal} if start == skip else set())
        seen, stack = set(first), list(first)
        while stack:
            at = stack.pop()
            if at == goal:
                return True
            stack += self.needs[at] - seen
            seen |= self.needs[at]
        return goal in seen

    def merge(self, a: int, b: int) -> None:
        path = self.reaches(a, b, a) or self.reaches(b, a, b)
        assert self.order.merge(self.vertices[a], self.vertices[b]) is not path
        if not path:
            for number, root in self.into.items():
                self.into[number] = a if root == b else root
            self.needs[a] = (self.needs[a] | self.needs.pop(b)) - {a, b}
            self.needs = {n: {a if x == b else x for x in own} for n, own in self.needs.items()}

    def connect(self, a: int, b: int) -> None:
        """Let `b` need `a`, unless `a` needs `b`."""
        path = self.reaches(a, b) or a == b
        assert self.order.put_before(self.vertices[a], self.vertices[b]) is not path
        if not path:
            self.order.need(self.vertices[b], self.vertices[a])
            self.needs[b].add(a)

    def check(self) -> None:
        places = {vertex: i for i, vertex in enumerate(self.order)}
        assert places.keys() == {self.vertices[n] for n in self.needs}
        for number, own in self.needs.items():
            vertex = self.vertices[number]
            assert {self.vertices[n] for n in own} == {v.current() for v in vertex.needs} - {vertex}
            assert all(places[self.vertices[n]] < places[vertex] for n in own)
        labels = [vertex.label for vertex in self.order]
        assert labels == sorted(set(labels))
        for number, root in self.into.items():
            assert self.vertices[number].current() is self.vertices[root]


STEPS = st.lists(
    st.tuples(st.sampled_from(["enter", "enter", "merge", "connect"]), st.lists(st.integers(0, 99), max_size=4)),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.sampled_from([1, 2, 64, 1 << 1024]))
def test_the_order_answers_as_a_search_of_all_does(steps: list[tuple[str, list[int]]], gap: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order_module, "_GAP", gap)
        checked = Checked()
        for what, numbers in steps:
            alive = sorted(checked.needs)
            picked = [alive[n % len(alive)] for n in numbers] if alive else []
            if what == "enter":
                checked.enter(set(picked))
            elif len(set(picked[:2])) == 2:
                (checked.merge if what == "merge" else checked.connect)(picked[0], picked[1])
            checked.check()


def test_a_vertex_does_not_come_before_itself() -> None:
    order, vertex = Order(), Vertex()
    order.enter(vertex, [])
    assert not order.put_before(vertex, vertex)


def test_what_is_far_away_over_a_long_edge_is_found_in_a_few_steps() -> None:
    """A backward pass: each vertex needs the one before it and its counterpart in the forward pass."""
    order, forward = Order(), []
    for _ in range(2000):
        vertex = Vertex()
        order.enter(vertex, forward[-1:])
        forward.append(vertex)
    last = forward[-1]
    for counterpart in reversed(forward[:-1]):
        vertex = Vertex()
        order.enter(vertex, [last, counterpart])
        assert not order.merge(counterpart, vertex)
        last = vertex
    assert order.steps < 20 * 2000
