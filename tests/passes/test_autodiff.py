"""Gradients as the autodiff pass appends them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.gradients import differentiated
from tests.graphs import same_bits
from tests.passes.building import build, f
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.loc import Loc
from tinytorch.ir.ops import contract
from tinytorch.ir.types import TensorType, f32, f64
from tinytorch.ir.verify import verify
from tinytorch.passes.autodiff import append_gradients


def test_gradients_of_a_layer_match_finite_differences() -> None:
    def loss(x: Any, w: Any, b: Any) -> Any:
        return ((x @ w + b).tanh() * (x @ w).sigmoid()).sum()

    rng = np.random.default_rng(0)
    types = [TensorType(f64, s) for s in ((4, 3), (3, 2), (2,))]
    values = [rng.normal(size=t.shape) for t in types]
    graph = differentiated(build(loss, *types), [0, 1, 2])
    verify(graph)
    _, *gradients = evaluate(graph, values)
    for k, gradient in enumerate(gradients):
        for index in np.ndindex(values[k].shape):
            step = np.zeros_like(values[k])
            step[index] = 1e-6
            up, down = (
                evaluate(graph, [v + s * step if i == k else v for i, v in enumerate(values)])[0] for s in (1, -1)
            )
            np.testing.assert_allclose(gradient[index], (up - down) / 2e-6, rtol=1e-6, atol=1e-8)


def test_gradients_of_gradients() -> None:
    graph = differentiated(build(lambda x: (x * x * x).sum(), TensorType(f64, ())), [0])
    first = Graph("g", graph.inputs, graph.nodes, graph.outputs[1:])
    second = differentiated(first, [0])
    x = np.asarray(3.0)
    assert evaluate(second, [x])[0] == 27 and evaluate(second, [x])[1] == 18


def test_only_paths_from_wrt_to_the_seed_get_backward_nodes() -> None:
    builder = Builder(loc=Loc("model.py", 3))
    x, w, other = (Expr(builder, builder.input(f(2, 2), n)) for n in "xwo")
    hidden = x @ w
    unrelated = (other @ w).exp()
    builder.loc = Loc("model.py", 4)
    total = hidden.sum()
    builder.loc = Loc("model.py", 9)
    seed = builder.constant(np.float32(1))
    before = len(builder.nodes)
    found = append_gradients(builder, {total.value: seed}, [w.value, other.value])
    assert found[0] is not None and found[1] is None
    added = builder.nodes[before:]
    assert [n.op for n in added].count(contract.matmul) == 1  # none for x
    assert all(unrelated.value not in n.inputs for n in added)
    locs = [n.loc for n in added if n.loc is not None]
    assert {(loc.file, loc.line, loc.phase) for loc in locs} == {("model.py", i, "backward") for i in (3, 4)}
    assert len(locs) == len(added)
    assert builder.loc == Loc("model.py", 9)


def test_gradients_at_intermediate_values() -> None:
    builder = Builder()
    x = Expr(builder, builder.input(f(), "x"))
    y = x * x
    z = y * y
    seed = builder.constant(np.float32(1))
    dy, dx = append_gradients(builder, {z.value: seed}, [y.value, x.value])
    assert dy is not None and dx is not None
    graph = builder.build([dy, dx])
    assert [float(v) for v in evaluate(graph, [np.float32(3)])] == [18, 108]


def test_detached_and_integer_paths_have_no_gradient() -> None:
    graph = build(lambda x: x.detach().sum() + (x > 0.0).cast(f32).sum(), f(3))
    assert np.array_equal(evaluate(differentiated(graph, [0]), [np.ones(3, np.float32)])[1], [0, 0, 0])


@pytest.mark.parametrize("shape", [(), (3,), (0, 2)], ids=str)
def test_gradients_flow_through_casts(shape: tuple[int, ...]) -> None:
    graph = differentiated(build(lambda x: (x.cast(f64) * x.cast(f64)).sum(), f(*shape)), [0])
    x = np.full(shape, 3, np.float32)
    assert same_bits(evaluate(graph, [x])[1], np.asarray(2 * x))
