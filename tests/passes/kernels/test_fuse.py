"""Kernels: what goes together, and that nothing is lost, doubled or put out of order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.execution import assert_same, compiled, expected, kernels
from tests.graphs import arrays, graphs
from tests.passes.test_golden import GOLDEN, SEPARATOR
from tinytorch.ir.families import FAMILIES
from tinytorch.ir.graph import Graph, Value
from tinytorch.ir.kernels.layout import layouts
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.verify import verify
from tinytorch.passes.kernels.fuse import fuse
from tinytorch.passes.kernels.materialize import materialize
from tinytorch.passes.pipeline import DEFAULT_PASSES, run_passes

IN_MEMORY = ("contract", "index", "random", "view")  # kinds of ops whose operands a kernel reads by address


def materialized(graph: Graph) -> Graph:
    return materialize(run_passes(graph, DEFAULT_PASSES)[0], FAMILIES)


@settings(max_examples=150)
@given(graphs(exact=True))
def test_both_passes_keep_the_values(graph: Graph) -> None:
    inputs = arrays(graph, 0)
    wanted = expected(graph, inputs)
    after = materialized(graph)
    verify(after)
    assert_same(expected(after, inputs), wanted)
    fused = fuse(after, FAMILIES)
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
        if family not in ("loop", "contract"):
            (alone,) = body.nodes
            assert FAMILIES.of(alone).name == family


@settings(max_examples=100)
@given(graphs())
def test_nothing_expensive_is_computed_twice(graph: Graph) -> None:
    before = materialized(graph)
    bodies = [n.attrs["body"] for n in fuse(before, FAMILIES).nodes if n.op is kernel]
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


def tiled(text: str) -> Graph:
    """The graph of a text in which `{conv}` stands for the attributes of a convolution that keeps the size, `{tiles}`
    for those of a pooling with windows side by side."""
    conv = "{stride=(1, 1), low=(1, 1), high=(1, 1), dilation=(1, 1), groups=1}"
    tiles = "{window=(2, 2), stride=(2, 2), low=(0, 0), high=(0, 0), dilation=(1, 1)}"
    return parse_graph(text.replace("{conv}", conv).replace("{tiles}", tiles))


def fused_ops(text: str) -> list[list[str]]:
    """The ops of each kernel of `tiled(text)`, in order; compiled, the graph gives what it gives op by op."""
    graph = tiled(text)
    after = kernels(graph)
    rng = np.random.default_rng(0)
    inputs = [rng.integers(-1, 2, v.type.shape).astype(v.type.dtype.numpy) for v in graph.inputs]
    assert_same(compiled(graph, inputs), expected(graph, inputs))
    bodies = [n.attrs["body"].nodes for n in after.nodes if n.op is kernel]
    return [[n.op.name for n in nodes if n.op.name not in ("constant", "broadcast")] for nodes in bodies]


LAYER = """
graph @layer(%x: f32[2,6,8,3], %w: f32[3,3,3,20], %b: f32[20]) -> (%y, %i) {
  %c = conv2d(%x, %w) : f32[2,6,8,20] {conv}
  %bs = broadcast(%b) : f32[2,6,8,20] {shape=(2, 6, 8, 20)}
  %s = add(%c, %bs) : f32[2,6,8,20]
  %z = constant() : f32[] {value=f32[](0.0)}
  %zs = broadcast(%z) : f32[2,6,8,20] {shape=(2, 6, 8, 20)}
  %r = maximum(%s, %zs) : f32[2,6,8,20]
  %y, %i = max_pool2d(%r) : f32[2,3,4,20], u8[2,3,4,20] {tiles}
}"""


def changed(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_layer_with_pooling_is_one_kernel() -> None:
    (ops,) = fused_ops(LAYER)
    assert sorted(ops) == ["add", "conv2d", "max_pool2d", "maximum"]
    (ops,) = fused_ops(pooled(windows(1, 2, window=(6, 4), stride=(6, 4))))
    assert len(ops) == 4
    (ops,) = fused_ops(changed(LAYER, ("(%y, %i)", "(%y)")))
    assert sorted(ops) == ["add", "conv2d", "max_pool2d", "maximum"]


def windows(height: int, width: int, **attrs: tuple[int, int]) -> str:
    """The attributes of a pooling that are not those of plain tiles."""
    plain = {"window": (2, 2), "stride": (2, 2), "low": (0, 0), "high": (0, 0), "dilation": (1, 1)}
    text = ", ".join(f"{key}={value}" for key, value in {**plain, **attrs}.items())
    return f"[2,{height},{width},20] {{{text}}}"


def pooled(pooling: str, text: str = LAYER) -> str:
    """A layer with another pooling."""
    shape, attrs = pooling.split(" ", 1)
    return changed(text, ("[2,3,4,20]", shape), ("{tiles}", attrs))


@pytest.mark.parametrize(
    "pooling",
    [
        windows(3, 4, window=(3, 2), high=(1, 0)),  # overlaps
        windows(5, 4, stride=(1, 2)),
        windows(3, 3, stride=(2, 3), window=(2, 2)),  # leaves gaps
        windows(1, 4, window=(4, 2), stride=(4, 2)),  # leaves rows out
        windows(3, 2, window=(2, 3), stride=(2, 3)),  # leaves columns out
        windows(4, 5, low=(1, 1), high=(1, 1)),  # meets what is not there
        windows(2, 4, dilation=(3, 1)),
    ],
)
def test_only_windows_side_by_side_are_pooled_with_the_convolution(pooling: str) -> None:
    found = fused_ops(pooled(pooling))
    assert len(found) == 2 and found[1] == ["max_pool2d"]


def test_wide_windows_are_a_kernel_of_their_own() -> None:
    wide = changed(LAYER, ("[2,6,8,", "[2,18,8,"), ("(2, 6, 8,", "(2, 18, 8,"))
    pooling = windows(1, 1, window=(18, 8), stride=(18, 8))
    assert len(fused_ops(pooled(pooling, wide))) == 2


def test_results_of_full_size_that_others_read_are_pooled_by_another_kernel() -> None:
    output = changed(LAYER, ("(%y, %i)", "(%y, %i, %r)"))
    inner_output = changed(LAYER, ("(%y, %i)", "(%y, %i, %s)"))
    reader = changed(LAYER, ("(%y, %i)", "(%y, %i, %m)"), ("\n}", "\n  %m = sum(%r) : f32[2,6,8,1] {axes=(3,)}\n}"))
    inner_reader = changed(
        LAYER, ("(%y, %i)", "(%y, %i, %m)"), ("\n}", "\n  %m = sum(%c) : f32[2,6,8,1] {axes=(3,)}\n}")
    )
    for text in (output, inner_output, reader, inner_reader):
        found = fused_ops(text)
        assert ["max_pool2d"] in found, found


def test_other_windows_over_the_same_results_keep_both_apart() -> None:
    shape, other = windows(6, 4, window=(1, 2), stride=(1, 2)).split(" ", 1)
    text = changed(
        LAYER,
        ("(%y, %i)", "(%y, %oi)"),
        ("\n}", f"\n  %o, %oi = max_pool2d(%r) : f32{shape}, u8{shape} {other}\n}}"),
    )
    assert sorted(map(len, fused_ops(text))) == [1, 1, 3]


def test_what_is_pooled_is_pooled_again_by_another_kernel() -> None:
    text = """
graph @twice(%x: f32[2,8,8,3], %w: f32[3,3,3,20]) -> (%q) {
  %c = conv2d(%x, %w) : f32[2,8,8,20] {conv}
  %p, %pi = max_pool2d(%c) : f32[2,4,4,20], u8[2,4,4,20] {tiles}
  %n = neg(%p) : f32[2,4,4,20]
  %q, %qi = max_pool2d(%n) : f32[2,2,2,20], u8[2,2,2,20] {tiles}
}"""
    assert fused_ops(text) == [["conv2d", "max_pool2d", "neg"], ["max_pool2d"]]


def test_ops_of_pooled_size_join_unless_another_kernel_stands_between() -> None:
    text = """
graph @between(%x: f32[2,6,6,3], %w: f32[3,3,3,20], %g: f32[2,3,3,1]) -> (%y) {
  %c = conv2d(%x, %w) : f32[2,6,6,20] {conv}
  %p, %pi = max_pool2d(%c) : f32[2,3,3,20], u8[2,3,3,20] {tiles}
  %t = permute(%p) : f32[2,3,3,20] {axes=(0, 2, 1, 3)}
  %s = sum(%t) : f32[2,3,3,1] {axes=(3,)}
  %ss = broadcast(%s) : f32[2,3,3,20] {shape=(2, 3, 3, 20)}
  %y = mul(%p, %ss) : f32[2,3,3,20]
}"""
    assert fused_ops(text) == [["conv2d", "max_pool2d"], ["sum"], ["mul"]]
    alone = text.replace("%ss = broadcast(%s)", "%ss = broadcast(%g)").replace("%s = sum", "%unused = sum")
    assert fused_ops(alone) == [["conv2d", "max_pool2d", "mul"]]


@pytest.mark.parametrize("read", ["%y, %i, %e", "%i, %y, %e", "%y, %e", "%i, %e"])
def test_a_kernel_has_the_results_that_something_reads(read: str) -> None:
    text = """
graph @search(%x: f32[2,6,8,5], %g: u8[2,3,4,5]) -> ({read}) {
  %y, %i = max_pool2d(%x) : f32[2,3,4,5], u8[2,3,4,5] {tiles}
  %e = mul(%i, %g) : u8[2,3,4,5]
}""".replace("{read}", read)
    if "%i" not in read:
        text = text.replace("%i, %g", "%g, %g")
    assert sorted(fused_ops(text)) == [["max_pool2d"], ["mul"]]
    (pool,) = (n for n in kernels(tiled(text)).nodes if n.attrs.get("family") == "pooling")
    assert [v.name for v in pool.outputs] == [name for name in ("y", "i") if f"%{name}" in read]


def test_other_poolings_of_an_input_are_other_kernels() -> None:
    text = """
graph @search(%x: f32[2,6,8,5]) -> (%y, %i) {
  %y, %yi = max_pool2d(%x) : f32[2,3,4,5], u8[2,3,4,5] {tiles}
  %m = neg(%x) : f32[2,6,8,5]
  %iy, %i = max_pool2d(%m) : f32[2,3,4,5], u8[2,3,4,5] {tiles}
}"""
    assert sorted(map(len, fused_ops(text))) == [1, 1, 1]
