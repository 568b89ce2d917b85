"""Ops with several results in graphs, passes and rewrite rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.execution import assert_near, compiled, interpreted
from tests.ir.triple import _definition, _of_x, _of_y, _type, _wide, loss_of, operands
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.errors import PassError, VerifyError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph, Node
from tinytorch.ir.op import OPS, Op, apply
from tinytorch.ir.ops import elementwise
from tinytorch.ir.ops.composite import define_composite
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.reduce import argmax, max_, sum_
from tinytorch.ir.ops.view import broadcast
from tinytorch.ir.rewrite import Var, local, rewrite, rule, table
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import TensorType, f32, f64
from tinytorch.ir.verify import verify
from tinytorch.passes.autodiff import append_gradients
from tinytorch.passes.cost import cost
from tinytorch.passes.cse import cse
from tinytorch.passes.dce import dce
from tinytorch.passes.expand import expand
from tinytorch.passes.fold import fold


@pytest.fixture(autouse=True, scope="module")
def triple() -> Iterator[Op]:
    """The op, known for as long as the tests of this file run."""
    doc = "x less its mean, the sum of that times y, where x is largest"
    op = define_composite("triple", doc, _type, _definition, (_of_x, _of_y), results=3)
    yield op
    del OPS["triple"]


def graph_of(function: Callable[..., Any], *types: TensorType) -> Graph:
    builder = Builder("g")
    made = function(*(Expr(builder, builder.input(t, name)) for t, name in zip(types, "xyz", strict=False)))
    return builder.build([e.value for e in (made if isinstance(made, tuple) else (made,))])


MATRIX = TensorType(f64, (3, 5))


# Graphs.
@given(read=st.sets(st.integers(0, 2), min_size=1), rows=st.integers(1, 4), columns=st.integers(1, 70))
@settings(max_examples=40, deadline=None)
def test_graphs_agree_whatever_is_read(triple, read, rows, columns):
    matrix = TensorType(f32, (rows, columns))
    graph = graph_of(lambda x, y: tuple(apply(triple, x, y)[i] for i in sorted(read)), matrix, matrix)
    verify(graph)
    text = print_graph(graph)
    assert print_graph(parse_graph(text)) == text
    rng = np.random.default_rng(rows * 100 + columns)
    arrays = [rng.normal(size=(rows, columns)).astype(np.float32) for _ in "xy"]
    wanted = evaluate(graph, arrays)
    spelled = dce(expand(graph))
    assert triple not in {n.op for n in spelled.nodes}
    for other in (spelled, parse_graph(text)):
        assert_near(evaluate(other, arrays), wanted)
    assert_near(interpreted(graph, arrays), wanted)
    assert_near(compiled(graph, arrays), wanted)


def test_text_and_rules_of_the_language(triple):
    graph = graph_of(lambda x, y: apply(triple, x, y)[1], MATRIX, MATRIX)
    text = print_graph(graph)
    assert "%0, %1, %2 = triple(%x, %y) : f64[3,5], f64[3,1], i64[3,1]" in text
    for changed in (
        text.replace("%0, %1, %2 =", "%0, %1 ="),
        text.replace(", i64[3,1]\n", "\n"),
        text.replace("i64[3,1]", "i64[3,2]"),
        text.replace("%0, %1, %2 =", "%0, %0, %2 ="),
    ):
        assert changed != text
        with pytest.raises(VerifyError, match="line 2"):
            parse_graph(changed)
    node = graph.nodes[0]
    with pytest.raises(VerifyError, match="triple gives"):
        verify(graph.with_nodes([Node(node.op, node.inputs, node.attrs, node.outputs[:2])]))


def test_a_definition_that_gives_something_else_is_refused(triple):
    wrong = replace(triple, expand=lambda x, y: _definition(x, y)[:2])
    OPS["triple"] = wrong
    try:
        with pytest.raises(VerifyError, match="its definition gives something else"):
            verify(graph_of(lambda x, y: apply(wrong, x, y)[0], MATRIX, MATRIX))
    finally:
        OPS["triple"] = triple


def test_gradients_of_graphs(triple):
    def gradient(by_parts: bool, weights: Sequence[float]) -> Graph:
        builder = Builder("g")
        x, y = (Expr(builder, builder.input(MATRIX, name)) for name in "xy")
        loss = loss_of(triple, x, y, weights, by_parts)
        seed = builder.constant(np.ones(()))
        found = append_gradients(builder, {loss.value: seed}, [x.value, y.value])
        return builder.build([v for v in found if v is not None])

    arrays = operands()
    for weights in ((1.0, 0.0), (0.0, 1.0), (1.0, -0.5)):
        a, b = (evaluate(gradient(by, weights), arrays) for by in (False, True))
        assert_near(a, b)
    assert len(gradient(False, (1.0, 0.0)).outputs) == 1  # y has no part in the first result


# Passes.
def test_cse_joins_applications_with_all_their_results(triple):
    def twice(x: Expr, y: Expr) -> tuple[Expr, ...]:
        a, b = apply(triple, x, y), apply(triple, x, y)
        return a[0], b[0], a[1] + b[1], b[2]

    graph = cse(graph_of(twice, MATRIX, MATRIX))
    (node,) = [n for n in graph.nodes if n.op is triple]
    assert graph.outputs[:2] == (node.outputs[0],) * 2 and graph.outputs[3] is node.outputs[2]
    assert graph.nodes[1].inputs == (node.outputs[1],) * 2


@pytest.mark.parametrize("read", [0, 1, 2])
def test_dce_keeps_what_has_one_result_that_is_read(triple, read):
    graph = graph_of(lambda x, y: apply(triple, x, y)[read], MATRIX, MATRIX)
    assert dce(graph) is graph
    unread = graph_of(lambda x, y: (apply(triple, x, y), x + y)[1], MATRIX, MATRIX)
    assert len(unread.nodes) == 2 and [n.op.name for n in dce(unread).nodes] == ["add"]


@pytest.mark.parametrize("read", [0, 1, 2])
def test_what_an_unread_result_needs_goes_with_it(triple, read):
    graph = graph_of(lambda x, y: apply(triple, x, y)[read], MATRIX, MATRIX)
    names = {n.op.name for n in dce(expand(graph)).nodes}
    assert ("argmax" in names, "sub" in names) == (read == 2, read != 2)


def test_fold_makes_a_constant_of_each_result(triple):
    x, y = operands()
    graph = graph_of(lambda z: tuple(e for e in apply(triple, z.constant(x), z.constant(y))), MATRIX)
    folded = dce(fold(graph))
    assert [n.op for n in folded.nodes] == [constant] * 3
    assert folded.outputs == graph.outputs  # with their names
    for a, b in zip(evaluate(folded, [x]), triple.evaluate((x, y), {}), strict=True):
        np.testing.assert_array_equal(a, b)
    assert fold(graph, max_bytes=50) is graph  # the first result is too large


def test_cost_counts_results_that_are_read(triple):
    def bytes_written(read: int) -> int:
        found = cost(graph_of(lambda x, y: apply(triple, x, y)[read], MATRIX, MATRIX))
        assert found.peak_bytes == 2 * 15 * 8 + found.bytes_written
        return found.bytes_written

    assert [bytes_written(i) for i in range(3)] == [15 * 8, 3 * 8, 3 * 8]
    (row,) = cost(graph_of(lambda x, y: apply(triple, x, y), MATRIX, MATRIX)).rows
    spelled = cost(expand(graph_of(lambda x, y: apply(triple, x, y), MATRIX, MATRIX)))
    assert row.flops == spelled.flops and row.bytes_written == 15 * 8 + 3 * 8 + 3 * 8


# Rewrite rules.
def rewritten(rules: Sequence[Any], function: Callable[..., Any]) -> list[str]:
    graph = graph_of(function, MATRIX, MATRIX)
    after = dce(rewrite(graph, table(rules)))
    verify(after)
    arrays = operands()
    assert [a.shape for a in evaluate(after, arrays)] == [v.type.shape for v in graph.outputs]
    return [n.op.name for n in after.nodes]


def test_a_pattern_names_one_result(triple):
    x, y = Var("x"), Var("y")
    centred, total, _ = apply(triple, x, y)
    rules = [rule(-centred, x), rule(total + total, apply(sum_, x, axes=(1,)))]
    assert rewritten(rules, lambda a, b: -apply(triple, a, b)[0]) == []
    assert rewritten(rules, lambda a, b: -apply(triple, a, b)[1]) == ["triple", "neg"]
    assert rewritten(rules, lambda a, b: (t := apply(triple, a, b)[1]) + t) == ["sum"]


def test_results_in_one_pattern_are_of_one_node(triple):
    x, y = Var("x"), Var("y")
    centred, total, _ = apply(triple, x, y)
    rules = [rule(apply(elementwise.mul, centred, apply(broadcast, total)), -x)]

    def product(same: bool) -> Callable[..., Any]:
        def function(a: Expr, b: Expr) -> Expr:
            first = apply(triple, a, b)
            second = first if same else apply(triple, a, b)
            return first[0] * _wide(second[1], a)

        return function

    assert rewritten(rules, product(True)) == ["neg"]
    assert rewritten(rules, product(False)) == ["triple", "triple", "broadcast", "mul"]


def test_a_replacement_may_name_another_result_of_what_was_found(triple):
    x, y = Var("x"), Var("y")
    centred, total, _ = apply(triple, x, y)
    rules = [rule(apply(elementwise.abs_, centred), centred + _row(total))]
    assert rewritten(rules, lambda a, b: abs(apply(triple, a, b)[0])) == ["triple", "broadcast", "add"]


def _row(total: Any) -> Any:
    return apply(broadcast, total, shape=(3, 5))


def test_new_applications_in_a_replacement_are_made_once(triple):
    x, y = Var("x"), Var("y")
    centred, total, _ = apply(triple, y, x)
    rules = [rule(x - y, centred + _row(total))]
    assert rewritten(rules, lambda a, b: a - b) == ["triple", "broadcast", "add"]


def test_a_rule_replaces_all_results_of_a_node(triple):
    x, y = Var("x"), Var("y")
    column = apply(sum_, x, axes=(1,))
    rules = [rule(apply(triple, x, y), (x - _row(column), apply(max_, y, axes=(1,)), apply(argmax, x, axes=(1,))))]

    def function(a: Expr, b: Expr) -> tuple[Expr, ...]:
        first, second, place = apply(triple, a, b)
        return first * 2.0, second, place

    assert "triple" not in rewritten(rules, function)

    @local(triple)
    def swapped(rewriter: Any, node: Node) -> Any:
        a, b = map(rewriter.term, node.inputs)
        return apply(triple, b, a) if node.inputs[0].name == "x" else None

    graph = graph_of(function, MATRIX, MATRIX)
    after = rewrite(graph, table([swapped]))
    assert after.nodes[0].inputs == graph.inputs[::-1] and after.nodes[0].outputs == graph.nodes[0].outputs

    @local(triple)
    def wrong(rewriter: Any, node: Node) -> Any:
        a, b = map(rewriter.term, node.inputs)
        return a, b, b

    with pytest.raises(PassError, match=r"triple of f64\[3,5\], f64\[3,1\], i64\[3,1\] by f64"):
        rewrite(graph, table([wrong]))
    with pytest.raises(TypeError, match="all results of triple"):
        rule(apply(triple, x, y)[1], x)
