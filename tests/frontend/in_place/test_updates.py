"""Updates of parts: what the ops refuse, and that the rules for chains of updates keep every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graphs import arrays, same_bits
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.op import OPS, apply
from tinytorch.ir.ops.index import dynamic_slice, scatter, update_slice
from tinytorch.ir.ops.view import slice_
from tinytorch.ir.types import TensorType, bool_, f32, i32, i64
from tinytorch.passes.simplify.algebra import simplify

SHAPE = (12, 7)
Draw = Any


def draw_region(draw: Draw) -> list[range]:
    """A range along each axis of SHAPE."""
    found: list[range] = []
    for size in SHAPE:
        start, step = draw(st.integers(0, size - 1)), draw(st.sampled_from([1, 1, 2, 3, 4, 6]))
        found.append(range(start, size, step)[: draw(st.integers(1, 6))])
    return found


def window(ranges: list[range]) -> dict[str, tuple[int, ...]]:
    starts, steps = tuple(r.start for r in ranges), tuple(r.step for r in ranges)
    return {"starts": starts, "limits": tuple(r[-1] + 1 for r in ranges), "steps": steps}


# Of positions that are known when the graph runs, and fit: the second one is a constant that a rule can see.
MOVES = {(): (), (0,): (2,), (1,): (1,), (1, 0): (1, 2)}


def moved(region: list[range], axes: tuple[int, ...]) -> list[range]:
    """A region that has room to be moved along `axes`, as much of this one as that leaves."""
    room = dict(zip(axes, MOVES[axes], strict=True))
    ends = [size - room.get(axis, 0) for axis, size in enumerate(SHAPE)]
    return [range(r.start if r[-1] < end else 1, end, r.step)[: len(r)] for r, end in zip(region, ends, strict=True)]


@st.composite
def moving_chains(draw: Draw) -> Graph:
    """The same with regions that positions move along some of the axes."""
    builder = Builder("moving")
    x = Expr(builder, builder.input(TensorType(f32, SHAPE), "x"))
    at = {place: x.constant(np.array(place)) if place == 1 else None for place in (1, 2)}
    at[2] = Expr(builder, builder.input(TensorType(i64, ()), "two"))
    regions = [draw_region(draw) for _ in range(2)]
    outputs: list[Expr] = []

    def drawn() -> tuple[list[range], tuple[int, ...], list[Expr]]:
        axes = draw(st.sampled_from(list(MOVES)))
        region = moved(draw(st.sampled_from(regions)), axes)
        return region, axes, [at[place] for place in MOVES[axes]]

    for i in range(draw(st.integers(1, 4))):
        region, axes, places = drawn()
        update = Expr(builder, builder.input(TensorType(f32, tuple(map(len, region))), f"u{i}"))
        attrs = {name: window(region)[name] for name in ("starts", "steps")}
        x = apply(update_slice, x, update, *places, **attrs, **({"axes": axes} if axes else {}))
        region, axes, places = drawn()
        op, extra = (dynamic_slice, {"axes": axes}) if axes else (slice_, {})
        outputs.append(apply(op, x, *places, **window(region), **extra))
    return builder.build([e.value for e in (*outputs, x)])


@settings(max_examples=300)
@given(moving_chains())
def test_rules_for_moved_updates_keep_every_bit(graph: Graph) -> None:
    after = simplify(graph)
    values = [np.array(2) if v.name == "two" else a for v, a in zip(graph.inputs, arrays(graph, 0), strict=True)]
    for a, b in zip(evaluate(graph, values), evaluate(after, values), strict=True):
        assert same_bits(a, b), f"{graph}\n{after}"


@st.composite
def chains(draw: Draw) -> Graph:
    """Updates of overlapping and disjoint regions one after the other, and slices read between them."""
    builder = Builder("chain")
    x = Expr(builder, builder.input(TensorType(f32, SHAPE), "x"))
    regions = [draw_region(draw) for _ in range(3)]
    outputs: list[Expr] = []
    for i in range(draw(st.integers(1, 4))):
        region = draw(st.sampled_from(regions))
        update = Expr(builder, builder.input(TensorType(f32, tuple(map(len, region))), f"u{i}"))
        attrs = window(region)
        x = apply(update_slice, x, update, starts=attrs["starts"], steps=attrs["steps"])
        outputs.append(apply(slice_, x, **window(draw(st.sampled_from([*regions, draw_region(draw)])))))
    return builder.build([e.value for e in (*outputs, x)])


@settings(max_examples=300)
@given(chains())
def test_rules_for_updates_keep_every_bit(graph: Graph) -> None:
    after = simplify(graph)
    values = arrays(graph, 0)
    for a, b in zip(evaluate(graph, values), evaluate(after, values), strict=True):
        assert same_bits(a, b), f"{graph}\n{after}"


def test_slices_of_updates_are_found_wherever_they_are_sure() -> None:
    """Against sets of indices, for all pairs of ranges of a small axis."""
    ranges = [range(a, b, s) for s in (1, 2, 3, 4) for a in range(7) for b in range(a + 1, 8)]
    for put in ranges:
        for asked in ranges:
            builder = Builder("g")
            x, u = (Expr(builder, builder.input(TensorType(f32, (n,)))) for n in (7, len(put)))
            new = apply(update_slice, x, u, starts=(put.start,), steps=(put.step,))
            out = apply(slice_, new, starts=(asked.start,), limits=(asked[-1] + 1,), steps=(asked.step,))
            names = [node.op.name for node in simplify(builder.build([out.value])).nodes]
            sure = set(asked) <= set(put) or not set(asked) & set(put) or len(put) == 7
            assert ("update_slice" in names) == (not sure), (put, asked)


BASE = TensorType(f32, (4, 6))


@pytest.mark.parametrize(
    ("update", "starts", "steps", "message"),
    [
        (TensorType(i32, (1, 6)), (0, 0), (1, 1), r"must have the rank and dtype of f32\[4,6\], got i32\[1,6\]"),
        (TensorType(f32, (6,)), (0, 0), (1, 1), r"must have the rank and dtype of f32\[4,6\], got f32\[6\]"),
        (TensorType(f32, (1, 6)), (0,), (1, 1), r"needs starts and steps for the 2 axes"),
        (
            TensorType(f32, (2, 6)),
            (3, 0),
            (1, 1),
            r"2 elements from 3 on in steps of 1 do not fit axis 0 of f32\[4,6\]",
        ),
        (TensorType(f32, (2, 6)), (0, 0), (4, 1), r"2 elements from 0 on in steps of 4 do not fit axis 0"),
        (TensorType(f32, (1, 1)), (0, -1), (1, 1), r"1 elements from -1 on in steps of 1 do not fit axis 1"),
        (TensorType(f32, (1, 1)), (0, 0), (1, 0), r"in steps of 0 do not fit axis 1"),
        (TensorType(f32, (1, 1)), (0, 0), (1, -2), r"in steps of -2 do not fit axis 1"),
        (TensorType(f32, (0, 1)), (5, 0), (1, 1), r"0 elements from 5 on in steps of 1 do not fit axis 0"),
    ],
)
def test_update_slice_refuses(update: TensorType, starts: Any, steps: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=rf"update_slice: .*{message}"):
        update_slice.infer(BASE, update, starts=starts, steps=steps)


PLACE = TensorType(i64, ())


@pytest.mark.parametrize(
    ("positions", "axes", "message"),
    [
        ((PLACE,), (), r"needs a position of i64\[\] for each of the axes \(\), got i64\[\]"),
        ((), (0,), r"needs a position of i64\[\] for each of the axes \(0,\), got none"),
        ((TensorType(i32, ()),), (1,), r"needs a position of i64\[\] .* got i32\[\]"),
        ((TensorType(i64, (1,)),), (1,), r"needs a position of i64\[\] .* got i64\[1\]"),
        ((PLACE, PLACE), (1, 1), r"axes must be distinct and in \[0, 2\), got \(1, 1\)"),
        ((PLACE,), (2,), r"axes must be distinct and in \[0, 2\), got \(2,\)"),
        ((PLACE,), (-1,), r"axes must be distinct and in \[0, 2\), got \(-1,\)"),
    ],
)
def test_positions_that_are_refused(positions: Any, axes: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=rf"update_slice: {message}"):
        update_slice.infer(BASE, TensorType(f32, (1, 2)), *positions, starts=(0, 0), steps=(1, 1), axes=axes)
    with pytest.raises(ShapeError, match=rf"dynamic_slice: {message}"):
        dynamic_slice.infer(BASE, *positions, starts=(0, 0), limits=(1, 2), steps=(1, 1), axes=axes)


def test_positions_out_of_range() -> None:
    x, u = np.zeros((4, 6)), np.ones((2, 2))
    attrs: dict[str, Any] = {"starts": (1, 0), "steps": (2, 1), "axes": (1, 0)}
    assert update_slice.eval(x, u, np.array(4), np.array(0), **attrs)[1:, 4:].tolist() == [[1, 1], [0, 0], [1, 1]]
    for places, message in [
        ((5, 0), "from 5 on in steps of 1"),
        ((-1, 0), "from -1 on"),
        ((0, 1), "from 2 on in steps of 2"),
    ]:
        at = [np.array(place) for place in places]
        with pytest.raises(IndexError, match=f"update_slice: 2 elements {message}"):
            update_slice.eval(x, u, *at, **attrs)
        with pytest.raises(IndexError, match=f"dynamic_slice: 2 elements {message}"):
            dynamic_slice.eval(x, *at, **attrs, limits=(4, 2))


def test_update_slice_takes_what_fits_just() -> None:
    for update, starts, steps in [((0, 6), (4, 0), (9, 1)), ((2, 6), (0, 0), (3, 1)), ((1, 1), (3, 5), (7, 7))]:
        assert update_slice.infer(BASE, TensorType(f32, update), starts=starts, steps=steps) == BASE


def test_scatter_refuses() -> None:
    rows = TensorType(i64, (2,))
    with pytest.raises(ShapeError, match=r"scatter: updates must be f32\[2,6\], got f32\[2,5\]"):
        scatter.infer(BASE, rows, TensorType(f32, (2, 5)), axis=0)
    with pytest.raises(ShapeError, match=r"scatter: updates must be f32\[4,2\], got i32\[4,2\]"):
        scatter.infer(BASE, rows, TensorType(i32, (4, 2)), axis=1)
    with pytest.raises(ShapeError, match=r"scatter: indices must be i64, got i32"):
        scatter.infer(BASE, TensorType(i32, (2,)), TensorType(f32, (2, 6)), axis=0)
    with pytest.raises(ShapeError, match=r"scatter: axis 2 is out of range for rank 2"):
        scatter.infer(BASE, rows, TensorType(f32, (2, 6)), axis=2)
    with pytest.raises(ShapeError, match=r"scatter_add: adds numbers, got bool\[4\]"):
        OPS["scatter_add"].infer(TensorType(bool_, (4,)), rows, TensorType(bool_, (2,)), axis=0)


def test_the_last_of_repeated_indices_counts() -> None:
    base, indices = np.zeros((3, 2)), np.array([[1, 1], [0, 1]])
    updates = np.arange(1.0, 9.0).reshape(2, 2, 2)
    assert scatter.eval(base, indices, updates, axis=0).tolist() == [[5, 6], [7, 8], [0, 0]]
    columns = np.arange(1.0, 10.0).reshape(3, 3)
    assert scatter.eval(base, np.array([1, 0, 1]), columns, axis=1).tolist() == [[2, 3], [5, 6], [8, 9]]
