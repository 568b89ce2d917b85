"""Kernels: what goes together, and that nothing is lost, doubled or put out of order."""

from __future__ import annotations

from hypothesis import given, settings

from tests.execution import assert_same, expected, kernels
from tests.graphs import arrays, graphs
from tests.test_golden import GOLDEN, SEPARATOR
from tinytorch.ir.graph import Graph, Value
from tinytorch.ir.layout import layouts
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.parser import parse_graph
from tinytorch.ir.verify import verify
from tinytorch.passes.fuse import fuse
from tinytorch.passes.materialize import materialize
from tinytorch.passes.pipeline import DEFAULT_PASSES, run_passes

IN_MEMORY = ("contract", "index", "random", "view")  # kinds of ops whose operands a kernel reads by address


def materialized(graph: Graph) -> Graph:
    return materialize(run_passes(graph, DEFAULT_PASSES)[0])


@settings(max_examples=150)
@given(graphs(exact=True))
def test_both_passes_keep_the_values(graph: Graph) -> None:
    inputs = arrays(graph, 0)
    wanted = expected(graph, inputs)
    after = materialized(graph)
    verify(after)
    assert_same(expected(after, inputs), wanted)
    fused = fuse(after)
    verify(fused)
    assert_same(expected(fused, inputs), wanted)


@settings(max_examples=150)
@given(graphs())
def test_outputs_are_whole_buffers_of_their_own(graph: Graph) -> None:
    after = kernels(graph)
    known = layouts(after)
    bases: list[Value] = []
    made = {v for node in after.nodes if node.op is kernel for v in node.outputs}
    for output in after.outputs:
        layout = known[output]
        assert layout.base in made and layout.offset == 0 and layout.is_contiguous(output.type.shape)
        bases.append(layout.base)
    assert len(set(bases)) == len(bases)


@settings(max_examples=150)
@given(graphs())
def test_only_kernels_views_and_constants_are_left(graph: Graph) -> None:
    for node in kernels(graph).nodes:
        if node.op is not kernel:
            assert node.op.name in ("constant", "permute", "reshape", "broadcast", "slice", "flip")
            continue
        body, family = node.attrs["body"], node.attrs["family"]
        verify(body)
        used = {v for n in body.nodes for v in n.inputs}
        assert used >= set(body.inputs) and len(set(node.inputs)) == len(node.inputs)
        for inner in body.nodes:
            if inner.op.kind in IN_MEMORY and inner.op.name != "broadcast":
                assert set(inner.inputs) <= set(body.inputs)
        if family not in ("loop", "matmul"):
            assert [n.op.name for n in body.nodes] == [family]


@settings(max_examples=100)
@given(graphs())
def test_nothing_expensive_is_computed_twice(graph: Graph) -> None:
    before = materialized(graph)
    bodies = [n.attrs["body"] for n in fuse(before).nodes if n.op is kernel]
    inside = [n for body in bodies for n in body.nodes if n.op.name not in ("constant", "broadcast")]
    outside = [n for n in before.nodes if n.op.kind != "view" or n.op.name in ("pad", "concat")]
    needed = [n for n in outside if n.op.name != "constant"]
    assert sorted(n.op.name for n in inside) == sorted(n.op.name for n in needed)


def count(text: str) -> int:
    return sum(node.op is kernel for node in kernels(parse_graph(text)).nodes)


def test_a_chain_is_one_kernel() -> None:
    chain = "\n".join(f"%{i + 1} = exp(%{i}) : f32[64]" for i in range(8))
    assert count(f"graph @chain(%0: f32[64]) -> (%8) {{\n{chain}\n}}") == 1


def test_softmax_and_its_gradient_are_row_kernels() -> None:
    assert count("graph @rows(%x: f32[8,16]) -> (%y) {\n %y = softmax(%x) : f32[8,16] {axis=1}\n}") == 1


def test_a_path_through_another_kernel_keeps_two_apart() -> None:
    assert count((GOLDEN / "fuse" / "between.ir").read_text().partition(SEPARATOR)[0]) == 2
