"""Module 02: the classes of the course, forward and backward, against their formulas in f64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinytorch as tt

X = np.array([-30.0, -4.0, -1.0, -0.3, 0.0, 1e-3, 0.7, 2.0, 6.0, 30.0])
S = 1 / (1 + np.exp(-X))
PHI = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in X])
DENSITY = np.exp(-X * X / 2) / math.sqrt(2 * math.pi)
C, K = 0.044715, math.sqrt(2 / math.pi)
T = np.tanh(K * (X + C * X**3))
TANH_SLOPE = (1 + T) / 2 + X / 2 * (1 - T * T) * K * (1 + 3 * C * X * X)
CASES: list[tuple[str, Any, Any, Any]] = [
    ("sigmoid", tt.Sigmoid, S, S * (1 - S)),
    ("relu", tt.ReLU, np.maximum(X, 0), (X > 0) * 1.0),
    ("gelu", tt.GELU, X * PHI, PHI + X * DENSITY),
    ("gelu by tanh", lambda: tt.GELU("tanh"), X / 2 * (1 + T), TANH_SLOPE),
]  # fmt: skip


@pytest.mark.parametrize(("make", "values", "slopes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_forward_backward_and_autograd_are_the_formulas(make: Any, values: Any, slopes: Any) -> None:
    grad = np.linspace(-2, 3, len(X))
    for run in (make(), tt.compile(make())):
        np.testing.assert_allclose(run(tt.Tensor(X)).numpy(), values, rtol=1e-9, atol=1e-12)
    module = make()
    x = tt.Tensor(X, requires_grad=True)
    module(x).backward(tt.Tensor(grad))
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), grad * slopes, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(module.backward(tt.Tensor(grad)).numpy(), grad * slopes, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", [tt.Sigmoid, tt.ReLU, tt.GELU, lambda: tt.GELU("tanh")])
def test_large_numbers_integers_and_nan(make: Any) -> None:
    module = make()
    assert np.isfinite(module(tt.Tensor([-1e4, -100.0, 100.0, 1e4])).numpy()).all()
    assert np.isfinite(module.backward(tt.ones(4)).numpy()).all()
    assert module(tt.Tensor([1, 2])).dtype == tt.f32
    assert np.isnan(module(tt.Tensor([math.nan])).numpy()).all()
    with pytest.raises(tt.ShapeError, match="does not fit"):
        module.backward(tt.ones(2))


def test_a_step_of_training_goes_through_them() -> None:
    tt.manual_seed(0)
    layers = [tt.Linear(4, 8), tt.GELU(), tt.Linear(8, 8), tt.ReLU(), tt.Linear(8, 1), tt.Sigmoid()]
    model = tt.Sequential(*layers)
    x = tt.randn(16, 4)

    def step(x: tt.Tensor) -> list[Any]:
        for p in model.parameters():
            p.grad = None
        (model(x) - 1).square().mean().backward()
        return [p.grad for p in model.parameters()]

    for eager, compiled in zip(step(x), tt.compile(step)(x), strict=True):
        np.testing.assert_allclose(compiled.numpy(), eager.numpy(), rtol=1e-4, atol=1e-7)
