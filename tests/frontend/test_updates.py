"""Updates of parts: what the ops refuse, and that the rules for chains of updates keep every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graphs import arrays, same_bits
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.op import OPS, apply
from tinytorch.ir.ops.index import scatter, update_slice
from tinytorch.ir.ops.view import slice_
from tinytorch.ir.reference import evaluate
from tinytorch.ir.types import TensorType, bool_, f32, i32, i64
from tinytorch.passes.simplify import simplify

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
