"""Ops with several results, from the tape to machine code: an op of three that only this file has, and max pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
import tinytorch.frontend.functional as F
from tests.execution import assert_near, compiled, interpreted
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import gradients
from tinytorch.ir.errors import PassError, TinyTorchError, VerifyError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph, Node
from tinytorch.ir.op import NONDIFF, OPS, Op, apply, define
from tinytorch.ir.ops import elementwise, pooling
from tinytorch.ir.ops.composite import define_composite
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.reduce import argmax, max_, mean_of, sum_
from tinytorch.ir.ops.view import broadcast
from tinytorch.ir.parser import parse_graph
from tinytorch.ir.printer import print_graph
from tinytorch.ir.reference import evaluate
from tinytorch.ir.rewrite import Var, local, rewrite, rule, table
from tinytorch.ir.types import TensorType, bf16, f32, f64, i64
from tinytorch.ir.verify import verify
from tinytorch.passes.autodiff import append_gradients
from tinytorch.passes.cost import cost
from tinytorch.passes.cse import cse
from tinytorch.passes.dce import dce
from tinytorch.passes.expand import expand
from tinytorch.passes.fold import fold

BACKENDS = ["interpreter", "llvm"]
RNG = np.random.default_rng(0)


# An op of x and y [rows, columns]: x less its mean in each row; the sum of that times y; where x is largest (i64).
def _type(x: TensorType, y: TensorType) -> tuple[TensorType, ...]:
    column = (x.shape[0], 1)
    return x, TensorType(y.dtype, column), TensorType(i64, column)


def _wide(x: Any, like: Any) -> Any:
    return apply(broadcast, x, shape=like.type.shape)


def _definition(x: Any, y: Any) -> tuple[Any, Any, Any]:
    centred = x - _wide(mean_of(x, (1,)), x)
    return centred, apply(sum_, centred * y, axes=(1,)), apply(argmax, x, axes=(1,))


def _of_x(cts: Sequence[Any], n: Any) -> Any:
    """That of the second result comes by way of the first."""
    parts = [cts[0]] if cts[0] is not None else []
    parts += [_wide(cts[1], n.inputs[1]) * n.inputs[1]] if cts[1] is not None else []
    total = parts[0] if len(parts) == 1 else parts[0] + parts[1]
    return total - _wide(mean_of(total, (1,)), total)


def _of_y(cts: Sequence[Any], n: Any) -> Any:
    return None if cts[1] is None else _wide(cts[1], n.inputs[1]) * n.outputs[0]


@pytest.fixture(autouse=True, scope="module")
def triple() -> Iterator[Op]:
    """The op, known for as long as the tests of this file run."""
    doc = "x less its mean, the sum of that times y, where x is largest"
    op = define_composite("triple", doc, _type, _definition, (_of_x, _of_y), results=3)
    yield op
    del OPS["triple"]


def operands(rows: int = 3, columns: int = 5, dtype: str = "f64") -> tuple[np.ndarray, np.ndarray]:
    x, y = RNG.normal(size=(2, rows, columns)).astype(dtype.replace("f", "float"))
    return x, y


def graph_of(function: Callable[..., Any], *types: TensorType) -> Graph:
    builder = Builder("g")
    made = function(*(Expr(builder, builder.input(t, name)) for t, name in zip(types, "xyz", strict=False)))
    return builder.build([e.value for e in (made if isinstance(made, tuple) else (made,))])


MATRIX = TensorType(f64, (3, 5))


# Eager mode and its tape.
def test_eager_gives_all_results(triple):
    x, y = operands()
    centred, total, place = apply(triple, Tensor(x), Tensor(y))
    np.testing.assert_allclose(centred.numpy(), x - x.mean(1, keepdims=True))
    np.testing.assert_allclose(total.numpy(), ((x - x.mean(1, keepdims=True)) * y).sum(1, keepdims=True))
    np.testing.assert_array_equal(place.numpy(), x.argmax(1)[:, None])


def test_results_require_grad_if_they_are_floats(triple):
    x, y = (Tensor(a, requires_grad=True) for a in operands())
    centred, total, place = apply(triple, x, y)
    assert [t.requires_grad for t in (centred, total, place)] == [True, True, False]
    assert [t.is_leaf for t in (centred, total, place)] == [False, False, True]
    with tt.no_grad():
        assert not any(t.requires_grad for t in apply(triple, x, y))


def test_results_of_half_precision_are_rounded_once(triple):
    x, y = (Tensor(a).cast(bf16) for a in operands())
    narrow, wide = apply(triple, x, y), apply(triple, x.float(), y.float())
    assert [t.dtype for t in narrow] == [bf16, bf16, i64]
    for a, b in zip(narrow[:2], wide[:2], strict=True):
        assert a.numpy().tobytes() == b.cast(bf16).numpy().tobytes()


def loss_of(triple: Op, x: Any, y: Any, weights: Sequence[float], by_parts: bool) -> Any:
    """A number that depends on those results whose weight is not 0."""
    centred, total, _ = _definition(x, y) if by_parts else apply(triple, x, y)
    found = x.sum() * 0.5
    for result, weight in zip((centred, total), weights, strict=True):
        if weight:
            found = found + (result * result * x[:, :1]).sum() * weight
    return found


def first_and_second(function: Callable[[Tensor, Tensor], Tensor], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Gradients with respect to x and y, and those of a weighted sum of them."""
    a, b = Tensor(x, requires_grad=True), Tensor(y, requires_grad=True)
    value = function(a, b)
    first = gradients(value, [a, b], Tensor(1.0, dtype="f64"), create_graph=True)
    total = sum(((g * g * b).sum() for g in first if g is not None), Tensor(0.0, dtype="f64"))
    second = gradients(total, [a, b], Tensor(1.0, dtype="f64"), create_graph=False)
    return [np.zeros(x.shape) if g is None else g.detach().numpy() for g in (*first, *second)]


@settings(max_examples=30, deadline=None)
@given(weights=st.tuples(*[st.sampled_from([0.0, 1.0, -0.5])] * 2), seed=st.integers(0, 99))
def test_derivatives_are_those_of_the_definition(triple, weights, seed):
    x, y = np.random.default_rng(seed).normal(size=(2, 3, 4))
    found, wanted = (
        first_and_second(lambda a, b, by=by: loss_of(triple, a, b, weights, by), x, y) for by in (False, True)
    )
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_a_result_as_a_variable_of_its_own(triple):
    x, y = (Tensor(a, requires_grad=True) for a in operands())
    centred, total, _ = apply(triple, x, y)
    loss = (centred * centred).sum() + (total * 3.0).sum()
    seed = Tensor(1.0, dtype="f64")
    to_centred, to_x = gradients(loss, [centred, x], seed, create_graph=False)
    np.testing.assert_allclose(to_centred.numpy(), 2 * centred.detach().numpy())
    (of_total,) = gradients((total * 3.0).sum(), [x], seed, create_graph=False)
    np.testing.assert_allclose(to_x.numpy(), of_total.numpy())  # its own cotangent goes no further


def test_a_changed_result_is_refused_where_the_rule_reads_it(triple):
    x, y = (Tensor(a, requires_grad=True) for a in operands())
    centred, total, _ = apply(triple, x, y)
    centred.detach().add_(1.0)
    with pytest.raises(TinyTorchError, match="triple was changed in place"):
        total.sum().backward()


def test_changes_of_a_result_are_differentiated(triple):
    x, y = operands()
    found: list[np.ndarray] = []
    for by_parts in (False, True):
        a, b = Tensor(x, requires_grad=True), Tensor(y)
        centred, total, place = _definition(a, b) if by_parts else apply(triple, a, b)
        total.mul_(centred[:, :1] + 2.0)
        place += 1
        centred[:, 0] = total[:, 0]
        (centred * total).sum().backward()
        found.append(a.grad.numpy())
    np.testing.assert_allclose(found[0], found[1])


def test_a_history_moves_with_its_result(triple):
    """What takes over one result's history has no part in the other's, though both are of one application."""
    x, y = (Tensor(a, requires_grad=True) for a in operands(3, 1))
    centred, total, _ = apply(triple, x, y)
    kept = Tensor(np.zeros((3, 1)))
    kept.copy_(centred)
    view = kept[:2]
    kept.copy_(total)
    (found,) = gradients(view.sum(), [y], Tensor(1.0, dtype="f64"), create_graph=False)
    (wanted,) = gradients(total[:2].sum(), [y], Tensor(1.0, dtype="f64"), create_graph=False)
    np.testing.assert_array_equal(found.numpy(), wanted.numpy())


def test_backward_frees_the_application(triple):
    def twice(x: Tensor, y: Tensor) -> Tensor:
        centred, total, _ = apply(triple, x, y)
        centred.sum().backward()
        total.sum().backward()
        return total

    x, y = (Tensor(a, requires_grad=True) for a in operands())
    for function in (twice, tt.compile(twice)):
        with pytest.raises(TinyTorchError, match="freed"):
            function(x, y)


# Tracing.
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (1.0, -0.5)])
def test_compiled_is_eager(triple, backend, weights):
    def step(x: Tensor, y: Tensor) -> Any:
        centred, total, place = apply(triple, x, y)
        loss = loss_of(triple, x, y, weights, False) + total.sum()
        loss.backward()
        return centred, total, place, loss, x.grad, y.grad

    def second(x: Tensor, y: Tensor) -> Any:
        slope = tt.grad(lambda a: loss_of(triple, a, y, weights, False))
        return tt.grad(lambda a: (slope(a) * y).sum())(x)

    for function in (step, second):
        x, y = operands(dtype="f32")
        results = [
            f(Tensor(x, requires_grad=True), Tensor(y, requires_grad=True))
            for f in (function, tt.compile(function, backend=backend))
        ]
        eager, traced = (r if isinstance(r, tuple) else (r,) for r in results)
        for a, b in zip(eager, traced, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=2e-5, atol=2e-5)


def test_verify_explain_and_drawing(triple, tmp_path):
    def run(x: Tensor, y: Tensor) -> Any:
        centred, total, place = apply(triple, x, y)
        return centred * total, place

    x, y = (Tensor(a) for a in operands(dtype="f32"))
    assert "agree" in str(tt.verify(run, x, y))
    compiled_ = tt.compile(run)
    compiled_(x, y)
    assert compiled_.explain().flops > 0
    drawn = compiled_.traced_graph._repr_svg_()
    assert "triple" in drawn and "f32[3,5], f32[3,1], i64[3,1]" in drawn


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


# Max pooling.
ATTRS = {"window": (2, 2), "stride": (2, 2), "low": (0, 0), "high": (0, 0), "dilation": (1, 1)}


def test_results_of_a_parameter_are_no_parameters(triple):
    x = tt.Parameter(Tensor(RNG.normal(size=(1, 4, 4, 2))))
    best, place = apply(pooling.max_pool2d, x, **ATTRS)
    assert type(best) is Tensor and type(place) is Tensor and best.requires_grad
    rows = tt.Parameter(Tensor(RNG.normal(size=(3, 5))))
    assert [type(t) for t in apply(triple, rows, rows)] == [Tensor] * 3


def test_results_never_share_memory():
    def define_same(x: Any) -> tuple[Any, Any, Any]:
        double = x + x
        return x, double, double

    op = define_composite("same", "x, 2 x and 2 x", lambda x: (x, x, x), define_same, NONDIFF, results=3)
    try:
        for run in (lambda x: apply(op, x), tt.compile(lambda x: tuple(apply(op, x)))):
            x = Tensor([1.0, 2.0])
            found = run(x)
            for i, result in enumerate(found):
                result.add_(10.0 * (i + 1))
            assert x.tolist() == [1, 2] and [t.tolist() for t in found] == [[11, 12], [22, 24], [32, 34]]

        def changing(x: Tensor) -> Any:
            found = apply(op, x)
            for i, result in enumerate(found):
                result.add_(10.0 * (i + 1))
            return tuple(found)

        assert [t.tolist() for t in tt.compile(changing)(Tensor([1.0, 2.0]))] == [[11, 12], [22, 24], [32, 34]]
    finally:
        del OPS["same"]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often eager mode computes each result of max_pool2d from now on."""
    calls = [0, 0]

    def count(index: int, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arrays: Any, **attrs: Any) -> Any:
            calls[index] += 1
            return function(*arrays, **attrs)

        return run

    functions = pooling.max_pool2d.fast
    assert isinstance(functions, tuple)
    monkeypatch.setitem(pooling.max_pool2d.__dict__, "fast", tuple(count(i, f) for i, f in enumerate(functions)))
    return calls


def test_eager_pooling_computes_places_when_they_are_read(monkeypatch):
    calls = counted(monkeypatch)
    x = Tensor(RNG.normal(size=(2, 3, 6, 6)), requires_grad=True)
    y = F.max_pool2d(x, 2)
    with tt.no_grad():
        F.max_pool2d(x, 2)
    assert calls == [2, 0]
    (y * y).sum().backward()
    assert calls == [2, 1]  # once, and without another search
    F.max_pool2d(x, 2, return_indices=True)
    assert calls == [3, 2]


def test_places_are_found_though_the_largest_have_changed(monkeypatch):
    calls = counted(monkeypatch)
    values = RNG.normal(size=(2, 3, 6, 6))
    x, other = Tensor(values, requires_grad=True), Tensor(values, requires_grad=True)
    y = F.max_pool2d(x, 2)
    y.mul_(2.0)
    y.sum().backward()
    (F.max_pool2d(other, 2) * 2.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), other.grad.numpy())
    assert calls == [3, 2]


def test_pooling_of_what_has_changed_since_is_refused():
    x = Tensor(RNG.normal(size=(2, 3, 6, 6)), requires_grad=True)
    z = x * 1.0
    y = F.max_pool2d(z, 2)
    z.add_(1.0)
    with pytest.raises(TinyTorchError, match="max_pool2d was changed in place"):
        y.sum().backward()


def searches(graph: Graph) -> list[list[str]]:
    """The results of each max_pool2d that stands in a kernel."""
    bodies: list[Graph] = [n.attrs["body"] for n in graph.nodes if n.op.kind == "kernel"]
    return [
        [str(v.type.dtype) for v in node.outputs if v in read]
        for body in bodies
        for read in [{*body.outputs, *(v for n in body.nodes for v in n.inputs)}]
        for node in body.nodes
        if node.op is pooling.max_pool2d
    ]


def test_compiled_pooling_searches_once_and_for_what_is_read():
    def pooled(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2)

    def trained(x: Tensor) -> Any:
        y = F.max_pool2d(x, 2)
        (y * y).sum().backward()
        return y, x.grad

    def indices(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2, return_indices=True)[1]

    x = Tensor(RNG.normal(size=(2, 3, 6, 6)), requires_grad=True)
    found: list[list[list[str]]] = []
    for function in (pooled, trained, indices):
        run = tt.compile(function)
        run(x)
        found.append(searches(run.graph))
    assert found == [[["f64"]], [["f64", "u8"]], [["u8"]]]


def test_pooling_has_second_derivatives_of_the_same_places():
    x = Tensor(RNG.normal(size=(1, 1, 4, 4)), requires_grad=True)

    def loss(a: Tensor) -> Tensor:
        return (F.max_pool2d(a, 2) ** 3).sum()

    second = tt.grad(lambda a: (tt.grad(loss)(a) ** 2).sum())(x).numpy()
    largest = np.isin(x.numpy(), F.max_pool2d(x, 2).detach().numpy())
    np.testing.assert_allclose(second, np.where(largest, 36 * x.numpy() ** 3, 0))


@settings(max_examples=25, deadline=None)
@given(
    window=st.tuples(*[st.integers(1, 3)] * 2), stride=st.tuples(*[st.integers(1, 3)] * 2),
    dilation=st.tuples(*[st.integers(1, 2)] * 2), padded=st.booleans(), ceil=st.booleans(),
    ties=st.booleans(), backend=st.sampled_from(["eager", *BACKENDS]), seed=st.integers(0, 99),
)  # fmt: skip
def test_indices_are_those_of_torch(window, stride, dilation, padded, ceil, ties, backend, seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 3, 7, 8)).astype(np.float32)
    x = np.round(x) if ties else x
    options = {
        "kernel_size": window, "stride": stride, "dilation": dilation, "ceil_mode": ceil,
        "padding": tuple(w // 2 for w in window) if padded else 0, "return_indices": True,
    }  # fmt: skip
    layer = tt.MaxPool2d(**options)

    def run(a: Tensor) -> Any:
        best, places = layer(a)
        (best * best).sum().backward()
        return best, places, a.grad

    function = run if backend == "eager" else tt.compile(run, backend=backend)
    found = function(Tensor(x, requires_grad=True))
    theirs = torch.tensor(x, requires_grad=True)
    best, places = torch.nn.MaxPool2d(**options)(theirs)
    (best * best).sum().backward()
    assert found[1].dtype == i64
    for ours, other in zip(found, (best, places, theirs.grad), strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), other.detach().numpy(), rtol=1e-5)


def test_indices_of_a_known_image():
    x = np.array([[1, 5, 2, 0], [3, 4, 9, 9], [0, 0, 1, 1], [7, 0, 1, 1]], np.float32).reshape(1, 1, 4, 4)
    best, places = F.max_pool2d(Tensor(x), 2, return_indices=True)
    assert best.numpy().ravel().tolist() == [5, 9, 7, 1] and places.numpy().ravel().tolist() == [1, 6, 12, 10]
    best, places = F.max_pool2d(Tensor(x), 3, 2, 1, return_indices=True)
    assert best.numpy().ravel().tolist() == [5, 9, 7, 9] and places.numpy().ravel().tolist() == [1, 6, 12, 6]


def test_ops_of_one_lane_have_one_result():
    with pytest.raises(AssertionError, match="has one result"):
        define(replace(OPS["exp"], name="two", results=2))
    assert "two" not in OPS
