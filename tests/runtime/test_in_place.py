"""Kernels with reductions that write a result over the operand that they reduce, and those that must not."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tests.execution import assert_near, compiled, expected, interpreted, kernels
from tests.runtime.test_jit_differential import TARGETS, target_of
from tinytorch.ir.text.parser import parse_graph
from tinytorch.runtime.schedule import Call, Schedule, schedule


def softmax(shape: str, axis: int, sums: str) -> str:
    """exp(x - max x) / sum of it; x is a product that nothing else reads."""
    return f"""
      %m = max(%x) : f32[{sums}] {{axes=({axis},)}}
      %mb = broadcast(%m) : f32[{shape}] {{shape=({shape})}}
      %c = sub(%x, %mb) : f32[{shape}]
      %e = exp(%c) : f32[{shape}]
      %s = sum(%e) : f32[{sums}] {{axes=({axis},)}}
      %sb = broadcast(%s) : f32[{shape}] {{shape=({shape})}}
      %y = div(%e, %sb) : f32[{shape}]"""


def graph_of(rows: int, columns: int, body: str, *results: str) -> str:
    """x, a product that nothing else reads, then `body`; and each of the results is read by a product, since outputs
    of a graph have memory of their own."""
    lines = [f"%x = matmul(%a, %b) : f32[{rows},{columns}]", body]
    lines += [f"%p{r} = matmul(%q, %{r}) : f32[2,{columns}]" for r in results]
    inputs = f"%a: f32[{rows},3], %b: f32[3,{columns}], %q: f32[2,{rows}]"
    outputs = ", ".join(f"%p{r}" for r in results)
    text = "\n".join(lines)
    return f"graph @g({inputs}) -> ({outputs}) {{\n{text}\n}}"


TWO = """
      %z = div(%x, %sb) : f32[40,300]"""
AGAIN = """
      %w = mul(%y, %y) : f32[40,300]
      %u = sum(%w) : f32[40,1] {axes=(1,)}
      %ub = broadcast(%u) : f32[40,300] {shape=(40, 300)}
      %v = mul(%ub, %x) : f32[40,300]"""
KEPT = """
      %k = mul(%y, %x) : f32[40,300]"""
BLEND = """
      %s = sum(%x) : f32[40,1] {axes=(1,)}
      %sb = broadcast(%s) : f32[40,300] {shape=(40, 300)}
      %y = mul(%sb, %x) : f32[40,300]"""
CASES = {
    "rows": graph_of(40, 300, softmax("40, 300", 1, "40, 1"), "y"),
    "short rows": graph_of(700, 17, softmax("700, 17", 1, "700, 1"), "y"),
    "columns": graph_of(300, 70, softmax("300, 70", 0, "1, 70"), "y"),
    "long row": graph_of(1, 200_003, softmax("1, 200003", 1, "1, 1"), "y"),
    "long columns": graph_of(90_001, 2, softmax("90001, 2", 0, "1, 2"), "y"),
    "early result": graph_of(40, 300, softmax("40, 300", 1, "40, 1") + TWO, "c", "z"),
    "results of three stages": graph_of(40, 300, softmax("40, 300", 1, "40, 1") + AGAIN, "y", "v"),
    "kept and read again": graph_of(40, 300, softmax("40, 300", 1, "40, 1") + KEPT, "k"),
    "kept and read again in columns": graph_of(
        300, 40, softmax("300, 40", 0, "1, 40") + KEPT.replace("40,300", "300,40"), "k"
    ),
    "with its sum": graph_of(40, 300, BLEND, "y"),
}
# What lies where x did; elsewhere y.
COVERING = {"early result": ["z"], "results of three stages": ["v"], "kept and read again": ["k"]}
COVERING["kept and read again in columns"] = ["k"]


def reducing(plan: Schedule) -> list[Call]:
    return [c for wave in plan.waves for c in wave if any(n.op.kind == "reduce" for n in c.body.nodes)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_values_over_what_is_reduced(case: str, target: str) -> None:
    graph = parse_graph(CASES[case])
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=v.type.shape, scale=0.2).astype(np.float32) for v in graph.inputs]
    wanted = expected(graph, inputs)
    for found in (interpreted(graph, inputs), compiled(graph, inputs, target_of(target))):
        assert_near(found, wanted)


@pytest.mark.parametrize("case", CASES)
def test_a_result_lies_over_an_operand_that_is_not_read_behind_it(case: str) -> None:
    (call,) = reducing(schedule(kernels(parse_graph(CASES[case]))))
    assert [call.node.outputs[i].name for i in call.covering] == COVERING.get(case, ["y"])


def test_state_that_is_normalised_has_no_copy() -> None:
    """Rows of a table divided by their norms, in place."""
    table = tt.Tensor(np.random.default_rng(1).normal(size=(64, 1000)).astype(np.float32))
    before = table.numpy().copy()

    @tt.compile
    def normalise() -> None:
        table.copy_(table / (table * table).sum(1, keepdim=True).sqrt())

    normalise()
    np.testing.assert_allclose(table.numpy(), before / np.linalg.norm(before, axis=1, keepdims=True), rtol=1e-5)
    plan = schedule(normalise.graph)
    ((call,),) = plan.waves
    assert plan.arena_bytes == 0 and call.covering == (0,)


def test_state_that_is_repeated_elsewhere_is_changed_once() -> None:
    """A row of state that a larger result is computed from as well: each of its elements is read for every row."""
    state = tt.Tensor(np.arange(70, dtype=np.float32).reshape(1, 70))
    big = np.random.default_rng(2).normal(size=(90, 70)).astype(np.float32)

    @tt.compile
    def step(x: tt.Tensor) -> tt.Tensor:
        y = x + state * 3
        state.copy_(state * 2 + 1)
        return y

    for i in range(3):
        kept = state.numpy().copy()
        np.testing.assert_allclose(step(tt.Tensor(big)).numpy(), big + kept * 3, rtol=1e-6, err_msg=str(i))
        np.testing.assert_array_equal(state.numpy(), kept * 2 + 1)


@pytest.mark.parametrize("classes", [65, 5000])
def test_logits_become_their_gradient(classes: int) -> None:
    """The head's logits are the largest value of a language model: read by one kernel, which writes the gradient over
    them."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(96, 8)).astype(np.float32), rng.integers(0, classes, 96)
    weight = tt.Tensor(rng.normal(size=(classes, 8)).astype(np.float32), requires_grad=True)

    @tt.compile
    def step(x: tt.Tensor, y: tt.Tensor) -> tt.Tensor:
        weight.grad = None
        loss = tt.cross_entropy(x @ weight.T, y)
        loss.backward()
        return loss

    loss = step(tt.Tensor(x), tt.Tensor(y)).item()
    logits = x.astype(np.float64) @ weight.numpy().T
    logits -= logits.max(1, keepdims=True)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert loss == pytest.approx(-np.log(p[np.arange(96), y]).mean(), rel=1e-5)
    p[np.arange(96), y] -= 1
    np.testing.assert_allclose(weight.grad.numpy(), p.T @ x / 96, rtol=1e-4, atol=1e-6)  # pyright: ignore
    plan = schedule(step.graph)
    large = [c for wave in plan.waves for c in wave for r in c.results if r.value.type.shape == (96, classes)]
    assert len(large) == 2 and len(large[1].covering) == 1, "the product, and one kernel for loss and gradient"
    assert plan.arena_bytes < 1.1 * 96 * classes * 4 + 16384
