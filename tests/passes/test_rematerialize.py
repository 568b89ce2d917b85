"""Rematerialisation: limits of memory are met, numbers stay the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.gradients import differentiated
from tests.graphs import arrays, graphs, same_bits
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.errors import CompileError
from tinytorch.ir.graph import Graph
from tinytorch.ir.kernels.liveness import Liveness, MemoryLimit
from tinytorch.ir.verify import verify
from tinytorch.passes.pipeline import kernel_passes, run_passes
from tinytorch.passes.rematerialize.rematerialize import rematerialize
from tinytorch.runtime.schedule import liveness

X = np.random.default_rng(1).normal(size=(128, 32)).astype(np.float32)


def mlp(depth: int, **options: Any) -> tuple[Any, list[tt.Tensor]]:
    tt.manual_seed(0)
    layers = [tt.Linear(32, 32) for _ in range(depth)]
    parameters = [p for layer in layers for p in layer.parameters()]
    optimizer = tt.SGD(parameters, lr=0.05)

    def step(x: tt.Tensor) -> tt.Tensor:
        optimizer.zero_grad()
        for layer in layers:
            x = tt.dropout(layer(x).tanh(), 0.1)
        loss = x.square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return tt.compile(step, **options), parameters


def ran(depth: int, **options: Any) -> tuple[Any, list[bytes]]:
    step, parameters = mlp(depth, **options)
    losses = [step(tt.tensor(X)).numpy().tobytes() for _ in range(3)]
    return step, [*losses, *(p.numpy().tobytes() for p in parameters)]


def kernels(build: Callable[[int], Any], depth: int) -> Graph:
    """The graph of kernels of a step, without code."""
    step, _ = build(depth, backend="interpreter")
    step(tt.tensor(X))
    return run_passes(step.traced_graph, kernel_passes())[0]


@pytest.fixture(scope="module")
def deep() -> tuple[int, list[bytes]]:
    step, expected = ran(12)
    return step.explain().arena_bytes, expected


@pytest.mark.parametrize("share", [1.0, 0.9, 0.7, 0.5])
def test_a_limit_is_met_with_the_same_bits(deep: tuple[int, list[bytes]], share: float) -> None:
    most, expected = deep
    limit = int(most * share)
    step, found = ran(12, memory_limit=limit)
    assert step.explain().arena_bytes == step.executable.arena_bytes <= limit
    assert found == expected
    record = next(r for r in step.passes if r.name == "rematerialize")
    assert (record.nodes_after > record.nodes_before) is (share < 1)


def test_what_is_possible_is_said_and_possible() -> None:
    step, _ = mlp(8, memory_limit=1000)
    with pytest.raises(CompileError) as caught:
        step(tt.tensor(X))
    text = str(caught.value)
    least = int(text.split("a call needs ")[1].split(" bytes")[0].replace(",", ""))
    assert f"{least - 1000:,} more" in text and "test_rematerialize.py" in text and "f32[128,32]" in text
    _, expected = ran(8)
    step, found = ran(8, memory_limit=least)
    assert found == expected and step.executable.arena_bytes <= least
    plain, _ = ran(8)
    assert least < 0.7 * plain.executable.arena_bytes


def test_a_limit_that_is_refused_changes_nothing() -> None:
    step, parameters = mlp(4, memory_limit=0)
    before = [p.numpy().tobytes() for p in parameters]
    with pytest.raises(CompileError):
        step(tt.tensor(X))
    assert before == [p.numpy().tobytes() for p in parameters]


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "1MiB", np.int64(3)])
def test_limits_are_integers(wrong: Any) -> None:
    with pytest.raises(CompileError, match="memory_limit is a number of bytes"):
        tt.compile(lambda x: x, memory_limit=wrong)


def test_the_limit_holds_for_gradients_outside_and_copies() -> None:
    def f(x: tt.Tensor) -> tt.Tensor:
        for _ in range(12):
            x = (x @ w).tanh()
        return x.sum()

    w = tt.tensor(np.eye(32, dtype=np.float32) * 0.9)
    found = []
    for limit in (None, 120_000):
        compiled = tt.compile(f, memory_limit=limit)
        x = tt.tensor(X, requires_grad=True)
        compiled(x).backward()
        (item,) = next(iter(compiled._known.values()))
        (vjp,) = item.gradients.values()
        found.append((x.grad.numpy().tobytes(), next(iter(vjp.all_calls())).executable.arena_bytes))
    assert found[0][0] == found[1][0] and found[1][1] <= 120_000 < found[0][1]


def test_verify_runs_the_pass() -> None:
    plain, _ = ran(6)
    step, _ = mlp(6, memory_limit=int(0.7 * plain.executable.arena_bytes))
    assert "rematerialize" in tt.verify(step, tt.tensor(X)).passes


def test_memory_falls_to_the_root_of_the_depth() -> None:
    size = X.nbytes
    for depth in (16, 64):
        graph = kernels(mlp, depth)
        least = rematerialize(graph, MemoryLimit(0, liveness))
        assert liveness(graph).bytes >= 2 * depth * size  # an activation and a mask for each layer
        assert liveness(least).bytes <= (4 * depth**0.5 + 8) * size
        work = sum(node.flops for node in least.nodes) / sum(node.flops for node in graph.nodes)
        assert work < 1.6  # at most the forward pass again, in which random bits take a large part


def test_cheap_kernels_run_again_before_products() -> None:
    def build(depth: int, **options: Any) -> tuple[Any, None]:
        tt.manual_seed(0)
        weights = [tt.randn(32, 32).requires_grad_() for _ in range(depth)]
        norms = [tt.LayerNorm(32) for _ in range(depth)]

        def step(x: tt.Tensor) -> tt.Tensor:
            for w, norm in zip(weights, norms, strict=True):
                w.grad = None
                x = x + norm(x) @ w
            x.square().sum().backward()
            return x.detach()

        return tt.compile(step, **options), None

    graph = kernels(build, 8)
    most = liveness(graph).bytes
    less = rematerialize(graph, MemoryLimit(int(0.9 * most), liveness))
    assert liveness(less).bytes <= 0.9 * most
    counts = [[n.attrs["family"] for n in g.nodes if n.op.kind == "kernel"].count("contract") for g in (graph, less)]
    assert counts[0] == counts[1] and len(less.nodes) > len(graph.nodes)


def test_few_schedules_are_made() -> None:
    asked = []
    for depth in (16, 48):
        graph = kernels(mlp, depth)
        for share in (0.8, 0.4, 0.0):
            made: list[int] = []

            def counted(graph: Graph, made: list[int] = made) -> Liveness:
                made.append(len(graph.nodes))
                return liveness(graph)

            rematerialize(graph, MemoryLimit(int(share * liveness(graph).bytes), counted))
            asked.append(len(made))
    assert max(asked) <= 60, asked


@settings(max_examples=150, deadline=None)
@given(graphs(exact=True, nodes=20), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.6, 0.9]))
def test_random_graphs_keep_their_values(graph: Graph, seed: int, share: float) -> None:
    before = run_passes(graph, kernel_passes())[0]
    after = rematerialize(before, MemoryLimit(int(share * liveness(before).bytes), liveness))
    verify(after)
    assert liveness(after).bytes <= liveness(before).bytes
    inputs = arrays(graph, seed)
    for a, b in zip(evaluate(before, inputs), evaluate(after, inputs), strict=True):
        assert same_bits(a, b)


@settings(max_examples=60, deadline=None)
@given(graphs(nodes=20), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5, 0.8]))
def test_gradients_of_random_graphs_keep_their_values(graph: Graph, seed: int, share: float) -> None:
    floats = [v for node in graph.nodes for v in node.outputs if v.type.dtype.is_float and not v.type.shape]
    wanted = [i for i, v in enumerate(graph.inputs) if v.type.dtype.is_float]
    if not floats or not wanted:
        return
    whole = differentiated(Graph(graph.name, graph.inputs, graph.nodes, (floats[-1],)), wanted)
    before = run_passes(whole, kernel_passes())[0]
    after = rematerialize(before, MemoryLimit(int(share * liveness(before).bytes), liveness))
    verify(after)
    inputs = arrays(graph, seed)
    with np.errstate(all="ignore"):
        for a, b in zip(evaluate(before, inputs), evaluate(after, inputs), strict=True):
            assert same_bits(a, b)
