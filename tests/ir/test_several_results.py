"""Ops with several results: eagerly, compiled, and max pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
import tinytorch.frontend.functional as F
from tests.ir.triple import RNG, _definition, _of_x, _of_y, _type, loss_of, operands
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import gradients
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.graph import Graph
from tinytorch.ir.op import NONDIFF, OPS, Op, apply, define
from tinytorch.ir.ops import pooling
from tinytorch.ir.ops.composite import define_composite
from tinytorch.ir.types import bf16, i64

BACKENDS = ["interpreter", "llvm"]


@pytest.fixture(autouse=True, scope="module")
def triple() -> Iterator[Op]:
    """The op, known for as long as the tests of this file run."""
    doc = "x less its mean, the sum of that times y, where x is largest"
    op = define_composite("triple", doc, _type, _definition, (_of_x, _of_y), results=3)
    yield op
    del OPS["triple"]


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
