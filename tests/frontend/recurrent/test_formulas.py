"""LSTM, GRU and RNN and their gradients against their formulas, written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.recurrent.models import BACKENDS, Array, as_doubles, compiled, weights_of
from tinytorch.frontend.tensor import Tensor


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def lstm_by_hand(x: Array, w: dict[str, Array], h: Array, c: Array) -> tuple[Array, Array, Array]:
    outputs: list[Array] = []
    for row in x:
        z = w["weight_ih"] @ row + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"]
        i, f, g, o = np.split(z, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), h, c


def gru_by_hand(x: Array, w: dict[str, Array], h: Array) -> tuple[Array, Array]:
    outputs: list[Array] = []
    for row in x:
        (xr, xz, xn), (hr, hz, hn) = (
            np.split(w[f"weight_{k}"] @ v + w[f"bias_{k}"], 3) for k, v in (("ih", row), ("hh", h))
        )
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        h = (1 - z) * np.tanh(xn + r * hn) + z * h
        outputs.append(h)
    return np.stack(outputs), h


@pytest.mark.parametrize("backend", BACKENDS)
def test_lstm_computes_its_formula(backend: str) -> None:
    rng = np.random.default_rng(3)
    model = as_doubles(tt.LSTM(3, 5))
    x, h, c = rng.normal(size=(4, 3)), rng.normal(size=5), rng.normal(size=5)
    out, (h_n, c_n) = compiled(model, backend)(Tensor(x), (Tensor(h[None]), Tensor(c[None])))
    wanted = lstm_by_hand(x, weights_of(model, "_l0"), h, c)
    for found, expected in zip((out, h_n[0], c_n[0]), wanted, strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    cell = tt.LSTMCell(3, 5).double()
    cell.load_state_dict(weights_of(model, "_l0"))
    states = (Tensor(h), Tensor(c))
    for row in x:
        states = compiled(cell, backend)(Tensor(row), states)
    for found, expected in zip(states, wanted[1:], strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gru_computes_its_formula(backend: str) -> None:
    rng = np.random.default_rng(4)
    model = as_doubles(tt.GRU(3, 5))
    x, h = rng.normal(size=(4, 3)), rng.normal(size=5)
    out, h_n = compiled(model, backend)(Tensor(x), Tensor(h[None]))
    expected, last = gru_by_hand(x, weights_of(model, "_l0"), h)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(h_n.numpy()[0], last, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_and_its_gradient_of_one_number(nonlinearity: str, backend: str) -> None:
    """h₁ = f(w x₁ + b), h₂ = f(w x₂ + u h₁ + b) with b the sum of both biases; the gradient of h₂ by hand."""
    model = as_doubles(tt.RNN(1, 1, nonlinearity=nonlinearity))
    w, u, b, d = 0.5, -0.7, 0.2, 0.1
    numbers = {"weight_ih_l0": [[w]], "weight_hh_l0": [[u]], "bias_ih_l0": [b], "bias_hh_l0": [d]}
    model.load_state_dict({name: np.array(value) for name, value in numbers.items()})

    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        out, last = model(x)
        last.sum().backward()
        return out, last

    out, last = compiled(step, backend)(Tensor([[2.0], [3.0]], dtype="f64"))
    f = np.tanh if nonlinearity == "tanh" else lambda v: max(v, 0.0)
    first = f(w * 2 + b + d)
    second = f(w * 3 + u * first + b + d)
    slopes = [1 - h * h if nonlinearity == "tanh" else float(h > 0) for h in (first, second)]
    np.testing.assert_allclose(out.numpy(), [[first], [second]], rtol=1e-12)
    np.testing.assert_allclose(last.numpy(), [[second]], rtol=1e-12)
    back = u * slopes[1] * slopes[0]
    gradients = {name: t.grad.numpy().item() for name, t in model.named_parameters()}
    assert gradients == pytest.approx({
        "weight_ih_l0": slopes[1] * 3 + back * 2, "weight_hh_l0": slopes[1] * first,
        "bias_ih_l0": slopes[1] + back, "bias_hh_l0": slopes[1] + back,
    })  # fmt: skip


def test_initial_weights_are_uniform_and_follow_the_generator() -> None:
    model = tt.LSTM(40, 100, generator=tt.Generator(1))
    for _, weight in model.named_parameters():
        values = weight.numpy()
        assert abs(values).max() <= 0.1
        assert abs(values).max() > 0.099 and abs(values.mean()) < 0.01
    again = tt.LSTM(40, 100, generator=tt.Generator(1))
    np.testing.assert_array_equal(again.weight_hh_l0.numpy(), model.weight_hh_l0.numpy())


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_of_a_gradient(backend: str) -> None:
    """The derivative of |gradient|² with respect to x, against differences of the gradient."""
    model = as_doubles(tt.LSTM(2, 3))
    x = np.random.default_rng(0).normal(size=(3, 2, 2))

    def penalty(x: Tensor) -> Tensor:
        gradient = tt.grad(lambda x: (model(x)[0] ** 2).sum())(x)
        return (gradient**2).sum()

    found = compiled(lambda x: tt.grad(penalty)(x), backend)(Tensor(x)).numpy()
    for index in np.ndindex(x.shape):
        there, back = x.copy(), x.copy()
        there[index] += 1e-5
        back[index] -= 1e-5
        slope = (penalty(Tensor(there)).numpy() - penalty(Tensor(back)).numpy()) / 2e-5
        np.testing.assert_allclose(found[index], slope, rtol=1e-5, atol=1e-8)
