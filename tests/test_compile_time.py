"""Compiling takes time in proportion to the nodes: counted in steps of searches and lines of code, not in seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import tinytorch as tt
from benchmarks import compile_time
from benchmarks.compile_families import FAMILIES
from tests.execution import compiled, expected
from tinytorch.frontend.tensor.mode import TraceAgain
from tinytorch.frontend.tracing import trace
from tinytorch.ir import families
from tinytorch.ir.graph import Graph
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.text.parser import parse_graph
from tinytorch.passes.autodiff import append_gradients
from tinytorch.passes.kernels.fuse import Fusion
from tinytorch.passes.kernels.groups import MAX_OPERANDS, MAX_WEIGHT
from tinytorch.passes.pipeline import kernel_passes, run_passes
from tinytorch.runtime.llvm.lower import lower
from tinytorch.runtime.llvm.pycall.spec import CallSpec
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.schedule import Planner, schedule


def traced(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Graph:
    names = [f"x{i}" for i in range(len(arguments))]
    try:
        return trace(function, arguments, {}, list(arguments), names, append_gradients, "f").graph
    except TraceAgain:
        return traced(function, arguments)


def materialized(name: str, nodes: int) -> Graph:
    """A family's graph in front of fusion."""
    return run_passes(traced(*FAMILIES[name](nodes)), kernel_passes()[:-3], verify=False)[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_families_have_about_as_many_nodes_as_asked(name: str) -> None:
    small, large = (len(traced(*FAMILIES[name](nodes)).nodes) for nodes in (300, 1200))
    assert 3 * small < large < 5 * small and 600 <= large <= 2400


@pytest.mark.parametrize("name", ["wide", "transformer", "gru_train", "mlp_train"])
def test_searches_grow_with_the_nodes(name: str) -> None:
    steps: list[int] = []
    for nodes in (600, 2400):
        graph = materialized(name, nodes)
        fusion = Fusion(graph, families.FAMILIES)
        planner = Planner(fusion.run())
        planner.plan()
        steps.append(fusion.order.steps + planner.order.steps + len(graph.nodes))
    assert steps[1] < 5 * steps[0]


def test_binding_looks_at_each_operand_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tuple of all operands is made a few times, not for each of them."""
    made = 0
    operands: Any = CallSpec.operands.fget

    def counted(spec: CallSpec) -> Any:
        nonlocal made
        made += 1
        return operands(spec)

    monkeypatch.setattr(CallSpec, "operands", property(counted))
    found: list[int] = []
    for count in (10, 100):
        made = 0
        tt.compile(lambda xs: tt.stack(xs))([tt.ones(3) for _ in range(count)])
        found.append(made)
    assert found[0] == found[1]


def heaviest(graph: Graph) -> tuple[int, int]:
    """The largest weight and number of operands of its kernels."""
    nodes = [node for node in graph.nodes if node.op is kernel]
    weights = [
        sum(families.FAMILIES.of(n).weight(n) for n in node.attrs["body"].nodes if n.op.name not in UNWEIGHED)
        for node in nodes
    ]
    return max(weights), max(len(node.inputs) for node in nodes)


UNWEIGHED = ("constant", "broadcast")
KERNELS = {
    "chain": (lambda x: [x := x * 0.5 + x.sin() for _ in range(300)][-1], 1),
    "every step is a result": (lambda x: [x := x * 0.5 + 1.0 for _ in range(900)], 1),
    "rows": (lambda x: [x := x - x.amax(1, keepdim=True) for _ in range(90)][-1], 1),
    "sum": (lambda *xs: sum(xs[1:], xs[0]), 300),
    "masks": (lambda *xs: sum((x.sign() for x in xs[1:]), xs[0]), 300),
    "epilogue": (lambda x: (x := x @ x, [x := (x * 0.1).tanh() for _ in range(200)][-1]), 1),
}


@pytest.mark.parametrize("name", KERNELS)
def test_no_kernel_is_too_large(name: str) -> None:
    function, count = KERNELS[name]
    arguments = tuple(tt.rand(8, 8) * 0.1 for _ in range(count))
    graph = traced(function, arguments)
    weight, operands = heaviest(run_passes(graph, kernel_passes())[0])
    assert weight <= MAX_WEIGHT and operands <= MAX_OPERANDS
    assert weight > MAX_WEIGHT // 2 or operands > MAX_OPERANDS // 2  # but as large as it may be
    arrays = [x.numpy() for x in arguments]
    for found, wanted in zip(compiled(graph, arrays), expected(graph, arrays), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_no_function_of_the_entry_is_large() -> None:
    def longest(name: str, nodes: int) -> int:
        graph = run_passes(traced(*FAMILIES[name](nodes)), kernel_passes())[0]
        text = lower(schedule(graph), Target.host(), 2).text
        return max(part.count("\n") for part in text.split("\ndefine ") if "@entry" in part.partition("(")[0])

    assert longest("wide", 5000) < 800
    assert longest("join", 1200) < 800  # a kernel with 600 operands


def test_a_step_of_many_parameters() -> None:
    arrays = [np.full((130, 258 + i % 3), i, np.float32) for i in range(450)]  # several chunks each
    parameters = [tt.Parameter(tt.tensor(array)) for array in arrays]
    optimizer = tt.SGD(parameters, lr=0.25)

    def step() -> tt.Tensor:
        optimizer.zero_grad()
        loss = sum(((p * p).sum() for p in parameters), tt.tensor(0.0))
        loss.backward()
        optimizer.step()
        return loss

    tt.compile(step)()
    for parameter, old in zip(parameters, arrays, strict=True):
        np.testing.assert_array_equal(parameter.numpy(), old - np.float32(0.25) * (old + old))


def test_many_lookups_that_depend_on_each_other() -> None:
    rng = np.random.default_rng(0)
    table, start = rng.permutation(500), np.arange(500)

    def walk(table: tt.Tensor, at: tt.Tensor) -> tt.Tensor:
        for _ in range(400):
            at = table[at]
        return at

    wanted = start
    for _ in range(400):
        wanted = table[wanted]
    step = tt.compile(walk)
    np.testing.assert_array_equal(step(tt.tensor(table), tt.tensor(start)).numpy(), wanted)
    table[250] = 500  # which some later lookup meets
    with pytest.raises(IndexError, match="500 is out of range"):
        step(tt.tensor(table), tt.tensor(start))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_thousand_operands_of_cat(axis: int) -> None:
    arrays = [np.full((3, 2), i, np.float32) for i in range(1000)]
    found = tt.compile(lambda *xs: tt.cat(list(xs), axis))(*map(tt.tensor, arrays))
    np.testing.assert_array_equal(found.numpy(), np.concatenate(arrays, axis))


@pytest.mark.parametrize("last", ["slice", "permute"])
def test_a_view_behind_a_long_chain(last: str) -> None:
    views = {"slice": lambda x: x[1:3], "permute": lambda x: x.permute(1, 0).sum(1)}

    def run(x: tt.Tensor) -> tt.Tensor:
        for _ in range(400):
            x = x * 0.5 + 1.0
        return views[last](x)

    x = tt.randn(4, 5)
    np.testing.assert_allclose(tt.compile(run)(x).numpy(), run(x).numpy(), rtol=1e-6)


def test_state_that_a_guarded_kernel_gives_is_copied_behind_the_guard() -> None:
    plan = schedule(
        run_passes(
            parse_graph("""graph @next(%i: i64[3] = state) -> (%c => %i) {
      %c = checked_index(%i) : i64[3] {size=9}
    }"""),
            kernel_passes(),
        )[0]
    )
    assert [[call.guarded for call in wave] for wave in plan.waves] == [[True], [False]]
    assert plan.waves[1][0].results[0].place.kind == "input"


# The benchmark.
def point(nodes: int, seconds: float) -> compile_time.Point:
    times = {**dict.fromkeys(compile_time.NAMES, 0.0), "total": seconds}
    return compile_time.Point("sample", nodes, 1, times, times)


def test_exponents() -> None:
    assert compile_time.exponent([point(100, 9.0), point(1000, 1.0), point(10_000, 10.0)], "cold") == pytest.approx(1)
    assert compile_time.exponent([point(1000, 1.0), point(2000, 4.0)], "cached") == pytest.approx(2)
    assert compile_time.exponent([point(100, 9.0), point(1000, 1.0)], "cold") is None


def test_a_run_of_the_benchmark() -> None:
    console = Console(record=True, width=200)
    found = compile_time.run(console, [60], ["mlp_train"])
    ((made,), text) = found["points"], console.export_text()
    assert made["nodes"] > 50 and made["kernels"] > 1 and "mlp_train" in text
    assert made["cold"]["total"] >= sum(made["cold"][name] for name in compile_time.NAMES) > 0
    assert made["cached"]["LLVM"] == made["cached"]["lower"] == 0 < made["cold"]["LLVM"]
