"""Sums of padded operands keep every bit when they are joined: infinities, NaN, zeros of both signs, any order."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.execution import assert_same, compiled, expected
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.op import apply
from tinytorch.ir.ops.view import pad
from tinytorch.ir.types import TensorType, dtype_of, f32
from tinytorch.ir.verify import verify
from tinytorch.passes.join_pads import join_pads

SIZE = 6
SPECIAL = [0.0, -0.0, 1.0, -1.0, 1e-45, 3e38, np.inf, -np.inf, np.nan, *[0.1, 1e8, 0.3, 1e-3, -1e8] * 2]


def _padded(x: Expr, axis: int, low: int, high: int) -> Expr:
    widths = [tuple(width if i == axis else 0 for i in range(2)) for width in (low, high)]
    return apply(pad, x, low=widths[0], high=widths[1], interior=(0, 0), value=0.0)


@st.composite
def sums(draw: st.DrawFn) -> tuple[Graph, list[np.ndarray]]:
    """A tree of additions over pads along either axis and plain operands, some of which are read elsewhere, too; what
    is padded may be such a sum itself, along the other axis."""
    builder, arrays, found = Builder(), [], []
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    for _ in range(draw(st.integers(2, 7))):
        axis, plain = draw(st.sampled_from([0, 1, 1, 1])), draw(st.integers(0, 5)) == 0
        start = 0 if plain else draw(st.sampled_from([0, 2, 3, 6]))
        stop = SIZE if plain else draw(st.sampled_from([end for end in (0, 2, 3, 6) if end >= start]))
        halves = 2 if not plain and draw(st.integers(0, 3)) == 0 else 1
        shape = (SIZE // halves, stop - start) if axis else (stop - start, SIZE // halves)
        values = [rng.choice(SPECIAL, shape).astype(np.float32) for _ in range(halves)]
        parts = [Expr(builder, builder.input(TensorType(f32, shape))) for _ in values]
        arrays += values
        if halves == 2:
            parts = [_padded(x, 1 - axis, SIZE // 2 * i, SIZE // 2 * (1 - i)) for i, x in enumerate(parts)]
        x = sum(parts[1:], parts[0])
        found.append(x if plain else _padded(x, axis, start, SIZE - stop))
    outputs = [found[0]] if draw(st.integers(0, 4)) == 0 else []
    while len(found) > 1:
        a, b = (found.pop(draw(st.integers(0, len(found) - 1))) for _ in range(2))
        found.append(a + b)
        if draw(st.integers(0, 7)) == 0:
            outputs.append(found[-1] * 2.0)
    return builder.build([x.value for x in (*found, *outputs)]), arrays


@settings(max_examples=400, deadline=None)
@given(case=sums())
def test_every_bit_stays(case: tuple[Graph, list[np.ndarray]]) -> None:
    graph, arrays = case
    joined = join_pads(graph)
    verify(joined)
    assert_same(expected(joined, arrays), expected(graph, arrays))


@settings(max_examples=15, deadline=None)
@given(case=sums())
def test_kernels_agree(case: tuple[Graph, list[np.ndarray]]) -> None:
    graph, arrays = case
    assert_same(compiled(graph, arrays), expected(graph, arrays))


def test_nothing_to_join_is_the_same_graph() -> None:
    builder = Builder()
    x = Expr(builder, builder.input(TensorType(dtype_of("f32"), (2, 2))))
    padded = [apply(pad, x, low=(0, low), high=(0, 4 - low), interior=(0, 0), value=0.0) for low in (0, 1)]
    graph = builder.build([(padded[0] + padded[1]).value])
    assert join_pads(graph) is graph


def ops_of(step: Any) -> list[list[str]]:
    """Of each kernel."""
    return [[n.op.name for n in node.attrs["body"].nodes] for node in step.graph.nodes if "body" in node.attrs]


def test_the_gradient_of_steps_is_put_together_once() -> None:
    """A sequence of which a loop takes step after step, as with a cell: nothing adds whole sequences."""

    def gradient(x: Tensor) -> Tensor:
        return tt.grad(lambda x: sum((x[t] * x[t] * float(t) for t in range(64)), tt.zeros(3, 8)).sum())(x)

    x = tt.randn(64, 3, 8)
    step = tt.compile(gradient)
    np.testing.assert_allclose(step(x).numpy(), gradient(x).numpy(), rtol=1e-5)
    kernels = ops_of(step)
    assert sum("concat" in body for body in kernels) == 1
    assert all("pad" not in body for body in kernels)


def test_the_gradient_of_parts_side_by_side_is_put_together_once() -> None:
    """One product for three, as of queries, keys and values."""

    def gradient(w: Tensor, x: Tensor) -> Tensor:
        def total(w: Tensor) -> Tensor:
            q, k, v = tt.chunk(x @ w, 3, 1)
            return (q.tanh() * k + v).sum()

        return tt.grad(total)(w)

    w, x = tt.randn(8, 12), tt.randn(5, 8)
    step = tt.compile(gradient)
    np.testing.assert_allclose(step(w, x).numpy(), gradient(w, x).numpy(), rtol=1e-4, atol=1e-6)
    kernels = ops_of(step)
    assert sum("concat" in body for body in kernels) == 1
    assert all("pad" not in body for body in kernels)
