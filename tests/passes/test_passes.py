"""Properties of all passes, and fold, CSE, expand, costs and the pipeline by examples."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gradients import differentiated
from tests.graphs import SPECIAL, arrays, graphs, same_bits
from tests.passes.building import _FILLED, _scalar, assert_same, build, f, op_names
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.errors import TinyTorchError, VerifyError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph, Value
from tinytorch.ir.loc import Loc
from tinytorch.ir.op import apply
from tinytorch.ir.ops import composite, core, elementwise, random
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import DType, TensorType, bf16, f16, f32, f64, i32, i64
from tinytorch.ir.verify import verify
from tinytorch.passes.cost import cost
from tinytorch.passes.cse import cse
from tinytorch.passes.dce import dce
from tinytorch.passes.expand import expand
from tinytorch.passes.fold import MAX_BYTES, fold
from tinytorch.passes.join_pads import join_pads
from tinytorch.passes.pipeline import CLEAN, DEFAULT_PASSES, run_passes
from tinytorch.passes.simplify.algebra import simplify

PASSES = [simplify, fold, cse, dce, expand]


# Properties.
@pytest.mark.parametrize("apply_pass", PASSES, ids=lambda p: p.__name__)
@settings(max_examples=120)
@given(graph=graphs(exact=True), seed=st.integers(0, 9))
def test_exact_passes_keep_every_bit(apply_pass: Callable[[Graph], Graph], graph: Graph, seed: int) -> None:
    assert_same(graph, apply_pass(graph), seed)


@settings(max_examples=120)
@given(graph=graphs(exact=True, nodes=25), seed=st.integers(0, 9))
def test_the_pipeline_keeps_every_bit_and_reaches_a_fixpoint(graph: Graph, seed: int) -> None:
    after, _ = run_passes(graph, verify=True)
    assert_same(graph, after, seed)
    again, records = run_passes(after)
    assert again is after
    assert all(record.nodes_before == record.nodes_after for record in records)


@settings(max_examples=80)
@given(graph=graphs(), seed=st.integers(0, 9))
def test_passes_change_float_functions_in_the_last_bits_only(graph: Graph, seed: int) -> None:
    after, _ = run_passes(graph, verify=True)
    if any(v.type.dtype.bits < 32 for node in graph.nodes for v in node.outputs):
        return  # a last bit of f32 that changes can change every bit of an integer or a half that is made of it
    values = [np.clip(np.nan_to_num(a), -3, 3).astype(a.dtype) for a in arrays(graph, seed)]
    for a, b in zip(evaluate(graph, values), evaluate(after, values), strict=True):
        if a.dtype.kind == "f" and all(np.isfinite(a).reshape(-1)) and _is_continuous(graph):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * max(1.0, float(np.abs(a).max(initial=0))))


def _is_continuous(graph: Graph) -> bool:
    jumps = {"floor", "cast", "eq", "ne", "lt", "ge", "where", "div", "exp", "sqrt", "log1p"}
    return jumps.isdisjoint(op_names(graph))


@settings(max_examples=60)
@given(graph=graphs())
def test_dce_drops_what_nothing_needs_and_nothing_else(graph: Graph) -> None:
    needed: set[Value] = set(graph.outputs)
    for node in reversed(graph.nodes):
        if needed & set(node.outputs):
            needed |= set(node.inputs)
    expected = [node for node in graph.nodes if needed & set(node.outputs)]
    after = dce(graph)
    assert list(after.nodes) == expected
    assert (after.inputs, after.outputs, after.state) == (graph.inputs, graph.outputs, graph.state)


@settings(max_examples=60)
@given(graph=graphs())
def test_cse_leaves_no_two_nodes_alike(graph: Graph) -> None:
    after = cse(graph)
    lines = [line.split(" = ", 1)[1] for line in print_graph(after).splitlines()[1:-1]]
    assert max(Counter(lines).values()) == 1


@settings(max_examples=60)
@given(graph=graphs())
def test_expand_leaves_no_composite(graph: Graph) -> None:
    after = expand(graph)
    verify(after)
    assert all(node.op.expand is None for node in after.nodes)


# Fold.
@pytest.mark.parametrize("dtype", [f32, f16, i32])
@pytest.mark.parametrize("order", [(2, 1, 0), (0, 1, 2), (1, 2, 0), (0, 2, 1)])
def test_gradients_of_parts_are_joined_to_the_bit(order: tuple[int, ...], dtype: DType) -> None:
    """In any order."""
    types = [TensorType(dtype, (2, size)) for size in (3, 1, 4)]
    builder = Builder("parts", [Value(type, name) for type, name in zip(types, "abc", strict=True)])
    pads: list[Expr] = []
    for x, low, high in zip(builder.inputs, (0, 3, 4), (5, 4, 0), strict=True):
        pads.append(Expr(builder, x).pad([(0, 0), (low, high)]))
    total = pads[order[0]] + pads[order[1]] + pads[order[2]]
    graph = builder.build([total.value])
    joined = dce(join_pads(graph))
    left = Counter(node.op.name for node in joined.nodes)
    assert (left["concat"], left["pad"]) == (1, 0)
    values = np.array([-0.0, 0.0, 1.5, np.inf, -np.inf, np.nan, -2.0, 6e-8] if dtype.is_float else range(8))
    inputs = [np.resize(values[i:], type.shape).astype(dtype.numpy) for i, type in enumerate(types)]
    assert all(map(same_bits, evaluate(graph, inputs), evaluate(joined, inputs)))


def test_fold_computes_constants() -> None:
    graph = build(lambda x: x * x.constant(np.float32(2)).sqrt().broadcast_to((3,)), f(3))
    after = dce(fold(graph))
    assert op_names(after) == [*_FILLED, "mul"]
    assert after.nodes[0].attrs["value"] == np.sqrt(np.float32(2))
    assert_same(graph, after)


def test_fold_keeps_broadcasts_and_bounds_the_size() -> None:
    small = build(lambda x: x + _scalar(x, 2.0) * _scalar(x, 3.0), f(100, 100))
    assert max(node.attrs["value"].size for node in fold(small).nodes if node.op is core.constant) == 1
    count = MAX_BYTES // 4
    for size, folded in ((count, True), (count + 1, False)):
        array = np.arange(size, dtype=np.float32)
        graph = build(lambda x, a=array: x * -x.constant(a), f(size))
        assert ("neg" not in op_names(fold(graph))) == folded
    mixed = build(lambda x: x * (x.constant(np.arange(50, dtype=np.float32)) * 2.0), f(50))
    assert op_names(dce(fold(mixed))) == ["constant", "mul"]
    growing = build(lambda x: x + x.constant(np.float32(1)).reshape((1, 1)).pad([(0, 9), (0, 9)]), f(10, 10))
    assert "pad" in op_names(fold(growing))


def test_fold_leaves_errors_to_the_run() -> None:
    graph = build(
        lambda x: x * apply(elementwise.checked_index, x.constant(np.array([5])), size=3), TensorType(i64, (1,))
    )
    assert fold(graph) is graph


# CSE.
def test_cse_tells_attributes_apart() -> None:
    values = [np.float32(0.0), np.float32(-0.0), np.float32(1), np.int32(1), np.bool_(True), np.float32(0.0)]
    builder = Builder()
    constants = [builder.append(core.constant, [], {"value": np.asarray(v)}).output for v in values]
    after = cse(builder.build(constants))
    assert len(after.nodes) == 5
    assert after.outputs[0] is after.outputs[5] and after.outputs[0] is not after.outputs[1]


def test_cse_commutes_and_shares_random_numbers() -> None:
    def shared(x: Any, y: Any, s: Any) -> Any:
        bits = [apply(random.random_bits, s, shape=(2,), word=w) for w in (0, 0, 1)]
        return x + y, y + x, x - y, y - x, *bits

    after = cse(build(shared, f(2), f(2), TensorType(i64, (2,))))
    assert op_names(after) == ["random_bits", "random_bits", "add", "sub", "sub"]
    assert after.outputs[0] is after.outputs[1] and after.outputs[4] is after.outputs[5]


# Expand.
def test_expand_keeps_what_it_is_told_to_and_the_lines() -> None:
    builder = Builder(loc=Loc("model.py", 7, "model.act"))
    x = Expr(builder, builder.input(f(2, 3), "x"))
    y = builder.append(composite.variance, [x.value], {"axes": (1,), "correction": 1.0}, names=("y",)).output
    graph = builder.build([Expr(builder, y).softmax(1).value])
    kept = op_names(expand(graph, keep=[composite.mean, composite.softmax]))
    centred = ["broadcast", "sub"]
    means = ["sum", *_FILLED, "mul", *centred, "sum", "broadcast", "mul", "add", *centred]
    assert kept == [*means, "mul", "sum", "sum", "mean", "mul", "sub", *_FILLED, "mul", "softmax"]
    full = expand(graph)
    locs = [node.loc for node in full.nodes if node.loc is not None]
    assert {(loc.file, loc.line, loc.scope) for loc in locs} == {("model.py", 7, "model.act")}
    assert len(locs) == len(full.nodes) and {loc.part_of for loc in locs} == {"variance", "softmax"}
    assert [v.name for node in full.nodes for v in node.outputs if node.op.name == "mul"] == [*[""] * 5, "y", ""]
    values = arrays(graph, 1)
    np.testing.assert_array_equal(evaluate(graph, values)[0], evaluate(full, values)[0])


# Cost.
COSTED = """
graph @g(%x: f32[8,4], %w: f32[4,2] = state) -> (%y, %v => %w) {
  %h = matmul(%x, %w) : f32[8,2]
  %t = permute(%h) : f32[2,8] {axes=(1, 0)}
  %e = exp(%t) : f32[2,8]
  %s = sum(%e) : f32[1,1] {axes=(0, 1)}
  %y = reshape(%s) : f32[] {shape=()}
  %b = broadcast(%y) : f32[4,2] {shape=(4, 2)}
  %v = sub(%w, %b) : f32[4,2]
}
"""


def test_cost_is_exact() -> None:
    found = cost(parse_graph(COSTED))
    assert (found.parameters, found.parameter_bytes) == (8, 32)
    assert found.flops == 2 * 8 * 4 * 2 + 16 + 16 + 8
    rows = {row.node.op.name: row for row in found.rows}
    assert (rows["matmul"].bytes_read, rows["matmul"].bytes_written) == (128 + 32, 64)
    assert (rows["permute"].bytes_read, rows["permute"].bytes_written) == (0, 0)
    assert (rows["sub"].bytes_read, rows["sub"].bytes_written) == (32 + 4, 32)  # the broadcast shows one number
    assert rows["matmul"].intensity == 128 / 224
    # x and w stay; h lives until exp, e until sum, s (as y and b) and v to the end.
    assert found.peak_bytes == 160 + max(64, 64, 64 + 64, 64 + 4, 4, 4, 4 + 32)


def test_cost_of_kernels_is_that_of_their_bodies() -> None:
    text = """graph @g(%x: f32[5]) -> (%y) {
      %y = kernel(%x) : f32[5] {body=graph @b(%a: f32[5]) -> (%1) {
        %0 = exp(%a) : f32[5]
        %1 = mul(%0, %a) : f32[5]
      }}
    }"""
    found = cost(parse_graph(text))
    assert (found.flops, found.bytes_read, found.bytes_written, found.peak_bytes) == (10, 20, 20, 40)


# The pipeline.
def test_the_pipeline_records_dumps_and_verifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = build(lambda x: (x * 1.0).softmax(1), f(2, 3))
    monkeypatch.setenv("TT_DUMP", str(tmp_path / "ir"))
    _, records = run_passes(graph)
    assert [r.name for r in records][:5] == ["simplify", "fold", "cse", "dce", "simplify"]
    assert records[0].nodes_before == len(graph.nodes) and records[0].nodes_after == 1
    assert all(r.seconds >= 0 for r in records)
    files = sorted(p.name for p in (tmp_path / "ir").iterdir())
    assert files[:2] == ["g.00.input.ir", "g.01.simplify.ir"] and len(files) == len(records) + 1
    assert "softmax" in (tmp_path / "ir" / "g.01.simplify.ir").read_text()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TinyTorchError, match="cannot write"):
        run_passes(build(lambda x: x * 2.0, f(2, 3)), dump=tmp_path / "file")


def test_the_verifier_names_the_pass_that_broke_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    def reverse(graph: Graph) -> Graph:
        return graph.with_nodes(reversed(graph.nodes))

    graph = build(lambda x: x.exp().sqrt(), f(2))
    run_passes(graph, [reverse], verify=False)
    with pytest.raises(VerifyError, match=r"after reverse: graph g: operand .* is used before"):
        run_passes(graph, [reverse], verify=True)
    monkeypatch.setenv("TT_VERIFY", "1")
    with pytest.raises(VerifyError, match="after reverse"):
        run_passes(graph, [reverse])


def test_the_pipeline_is_quick() -> None:
    """60 nodes in less than 15 ms, of which it takes about 3."""

    def step(x: Any, w: Any, b: Any) -> Any:
        for _ in range(4):
            x = ((x @ w + b).gelu() * 1.0).softmax(1)
        return x.sum()

    graph = differentiated(build(step, f(8, 8), f(8, 8), f(8)), [1, 2])
    assert len(graph.nodes) >= 60
    assert len(graph.nodes) < 400
    times: list[float] = []
    for _ in range(5):
        start = time.process_time()
        run_passes(graph, DEFAULT_PASSES, verify=False)
        times.append(time.process_time() - start)
    assert min(times) < 0.015 * len(graph.nodes) / 60


def test_clean_shares_the_forward_softmax_with_its_derivative() -> None:
    graph = build(
        lambda x, t: apply(composite.cross_entropy, x, t, smoothing=0.0).sum(), f(4, 5), TensorType(i64, (4,))
    )
    after, _ = run_passes(differentiated(graph, [0]))
    assert op_names(after).count("exp") == 1
    assert set(CLEAN) == {simplify, fold, cse, dce}


@pytest.mark.parametrize("dtype", [f16, bf16, f64], ids=str)
def test_division_by_powers_of_two_in_other_dtypes(dtype: DType) -> None:
    graph = build(lambda x: x / 4.0, TensorType(dtype, (len(SPECIAL),)))
    with np.errstate(over="ignore"):
        x = np.array(SPECIAL).astype(dtype.numpy)
    after = simplify(graph)
    assert "div" not in op_names(after)
    assert same_bits(evaluate(graph, [x])[0], evaluate(after, [x])[0])
    small = build(lambda x: x / 2.0**15, TensorType(f16, (2,)))  # 2**-15 is subnormal
    assert "div" in op_names(simplify(small))
