"""Gradients that compiled functions leave, and errors on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.functions.random import default_generator
from tinytorch.ir.errors import TinyTorchError

BACKENDS = ["llvm", "interpreter"]


@pytest.fixture(params=BACKENDS)
def compiled(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """`tt.compile` with each backend."""
    return lambda function: tt.compile(function, backend=request.param)


def param(*values: float) -> tt.Tensor:
    return tt.tensor(list(values), requires_grad=True)


def batch(seed: int, *shape: int) -> tt.Tensor:
    return tt.Tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


# Gradients that a compiled function leaves.
def test_grad_is_kept_where_no_step_uses_it(compiled: Any) -> None:
    p = param(1.0, 2.0)

    def step(x: Any) -> None:
        p.grad = None
        (p * x).sum().backward()

    step = compiled(step)
    for k in (1, 2):
        step(tt.ones(2) * k)
        assert p.grad is not None and p.grad.tolist() == [k, k]


def test_grad_accumulates(compiled: Any) -> None:
    p = param(1.0, 2.0)
    step = compiled(lambda x: (p * x).sum().backward())
    for k in (1, 2, 3):
        step(tt.ones(2))
        assert p.grad is not None and p.grad.tolist() == [k, k]
    p.grad = tt.tensor([10.0, 10.0])
    step(tt.ones(2))
    assert p.grad.tolist() == [11, 11]
    p.grad = None
    step(tt.ones(2))
    assert p.grad.tolist() == [1, 1]  # pyright: ignore[reportOptionalMemberAccess]


def test_gradient_accumulation_over_compiled_pieces(compiled: Any) -> None:
    p = param(0.0, 0.0)
    optimizer = tt.SGD([p], lr=0.1, momentum=0)
    micro = compiled(lambda x: (p * x).sum().backward())

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad()

    update = compiled(update)
    for k in (1, 2, 3):
        micro(tt.ones(2))
        micro(tt.ones(2) * 2)
        update()
        np.testing.assert_allclose(p.numpy(), -0.3 * k, rtol=1e-6)
        assert p.grad is None


def test_a_grad_that_the_step_used_up(compiled: Any) -> None:
    p = param(1.0, 2.0)
    optimizer = tt.SGD([p], lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        (p * x).sum().backward()
        optimizer.step()
        return p.grad

    assert compiled(step)(tt.ones(2)).tolist() == [1, 1]
    with pytest.raises(TinyTorchError, match="zero_grad"):
        print(p.grad)
    optimizer.zero_grad()
    assert p.grad is None


def test_a_step_without_zero_grad_is_refused_rather_than_wrong(compiled: Any) -> None:
    p = param(1.0)
    optimizer = tt.SGD([p], lr=0.1, momentum=0)

    def step(x: Any) -> None:
        (p * x).sum().backward()
        optimizer.step()

    step = compiled(step)
    step(tt.ones(1))
    with pytest.raises(TinyTorchError, match="zero_grad"):
        step(tt.ones(1))
    np.testing.assert_allclose(p.numpy(), 0.9)


def test_compiled_models_in_an_eager_loop(compiled: Any) -> None:
    tt.manual_seed(0)
    model = tt.Sequential(tt.Linear(3, 4), tt.Tanh(), tt.Linear(4, 2))
    fast, x = compiled(model), batch(0, 5, 3)
    x.requires_grad_()
    for _ in range(3):
        (fast(x) ** 2).sum().backward()
        got = [p.grad.numpy() for p in (*model.parameters(), x)]
        model.zero_grad()
        x.grad = None
        (model(x) ** 2).sum().backward()
        for a, p in zip(got, (*model.parameters(), x), strict=True):
            np.testing.assert_allclose(a, p.grad.numpy(), rtol=1e-5, atol=1e-6)
        model.zero_grad()
        x.grad = None


def test_several_results_with_gradients(compiled: Any) -> None:
    p, x = param(1.0, 2.0), param(3.0, 4.0)
    result = compiled(lambda x: {"a": p * x, "b": [(p * p).sum(), x]})(x)
    assert result["b"][1] is x
    (result["a"].sum() * result["b"][0]).backward()
    np.testing.assert_allclose(p.grad.numpy(), x.numpy() * 5 + 11 * 2 * p.numpy())  # pyright: ignore
    np.testing.assert_allclose(x.grad.numpy(), p.numpy() * 5)  # pyright: ignore


def test_a_result_with_gradient_of_a_function_with_state(compiled: Any) -> None:
    p, calls = param(1.0, 2.0), tt.zeros(1)

    def function(x: Any) -> Any:
        calls.copy_(calls + 1)
        return (p * x * calls.detach()).sum()

    function = compiled(function)
    for _ in range(3):
        function(tt.ones(2)).backward()
    assert calls.item() == 3 and p.grad.tolist() == [6, 6]  # pyright: ignore


def test_no_grad_inside_and_outside(compiled: Any) -> None:
    p = param(1.0, 2.0)

    def detached(x: Any) -> Any:
        with tt.no_grad():
            y = p * 2
        return y * x

    assert not compiled(detached)(tt.ones(2)).requires_grad
    function = compiled(lambda x: p * x)
    flags = [function(tt.ones(2)).requires_grad]
    with tt.no_grad():
        flags.append(function(tt.ones(2)).requires_grad)
    flags.append(function(tt.ones(2)).requires_grad)
    assert flags == [True, False, True]


def test_gradient_functions_inside(compiled: Any) -> None:
    x = tt.tensor([1.0, 2.0])
    cube = tt.grad(lambda z: (z**3).sum())
    np.testing.assert_allclose(compiled(cube)(x).numpy(), [3, 12], rtol=1e-6)
    np.testing.assert_allclose(compiled(tt.grad(lambda y: cube(y).sum()))(x).numpy(), [6, 12], rtol=1e-6)
    value, gradient = compiled(tt.value_and_grad(lambda y: (y * y).sum()))(x)
    assert value.item() == 5 and gradient.tolist() == [2, 4]


def test_functions_with_a_derivative_of_their_own(compiled: Any) -> None:
    class Square(tt.Function):
        def forward(self, x: Any) -> Any:
            self.save_for_backward(x)
            return x * x

        def backward(self, g: Any) -> Any:
            (x,) = self.saved_tensors
            return g * x * 20  # not the derivative, so that one sees which rule ran

    p = param(1.0, 2.0)

    def function() -> Any:
        p.grad = None
        Square()(p).sum().backward()
        return p.grad

    function = compiled(function)
    assert [function().tolist() for _ in range(2)] == [[20, 40], [20, 40]]


# An error on the way leaves everything as it was.
def test_an_index_out_of_range_changes_nothing(compiled: Any) -> None:
    table = tt.Tensor(np.ones((5, 3), np.float32), requires_grad=True)
    optimizer = tt.SGD([table], lr=1.0)

    def step(i: Any) -> Any:
        optimizer.zero_grad()
        loss = tt.dropout(table[i], 0.5).sum()
        loss.backward()
        optimizer.step()
        return loss

    step = compiled(step)
    step(tt.tensor([0, 1]))
    for bad in ([0, 9], [-6, 0]):
        weights, momentum = table.numpy().copy(), optimizer.state[0]["momentum_buffer"].numpy().copy()
        stream = default_generator.get_state().tolist()
        with pytest.raises(IndexError, match="out of range for size 5") as caught:
            step(tt.tensor(bad))
        assert "test_compile_gradients.py:" in str(caught.value)
        np.testing.assert_array_equal(table.numpy(), weights)
        np.testing.assert_array_equal(optimizer.state[0]["momentum_buffer"].numpy(), momentum)
        assert default_generator.get_state().tolist() == stream
    step(tt.tensor([0, -1]))
    assert not np.array_equal(table.numpy(), weights)


def test_a_target_out_of_range(compiled: Any) -> None:
    loss = compiled(tt.cross_entropy)
    assert loss(tt.ones(2, 3), tt.tensor([0, 2])).item() == pytest.approx(np.log(3))
    with pytest.raises(IndexError, match="index 3 is out of range for size 3"):
        loss(tt.ones(2, 3), tt.tensor([0, 3]))
