"""Random numbers over tensors: moments of the distributions, dtypes, gradients, compiled as eagerly, and bad input."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import tinytorch as tt

N = 40_000
# What is drawn, and how large the share of what is drawn is that lies below a bound.
DRAWN: dict[str, tuple[Callable[[tt.Tensor], tt.Tensor], float, float]] = {
    "normal": (lambda x: x.normal_(1, 2), 1.0, 0.5),
    "uniform": (lambda x: x.uniform_(-1, 3), 0.0, 0.25),
    "bernoulli": (lambda x: x.bernoulli_(0.3), 0.5, 0.7),
    "exponential": (lambda x: x.exponential_(2.0), 0.5, 1 - math.exp(-1)),
    "geometric": (lambda x: x.geometric_(0.25), 2.5, 1 - 0.75**2),
    "cauchy": (lambda x: x.cauchy_(1, 0.5), 1.5, 0.75),
    "log_normal": (lambda x: x.log_normal_(0.5, 0.5), math.exp(0.5), 0.5),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_distributions(name: str, dtype: str) -> None:
    draw, bound, share = DRAWN[name]
    results: list[np.ndarray] = []
    for run in (draw, tt.compile(lambda x: draw(x.clone()))):
        tt.manual_seed(3)
        x = tt.zeros(N, dtype=dtype)
        out = run(x)
        assert out.dtype == x.dtype and (run is not draw or out is x)
        results.append(out.numpy().copy())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4, atol=1e-6)  # eps of the median
    assert np.isfinite(results[0]).all()
    assert abs((results[0] < bound).mean() - share) < 4 * math.sqrt(share * (1 - share) / N)


def test_new_tensors() -> None:
    tt.manual_seed(0)
    mean, std = tt.tensor([0.0, 100.0]), tt.tensor([[1.0], [0.0]])
    out = tt.normal(mean, std)
    assert out.shape == (2, 2) and out[1].tolist() == [0.0, 100.0] and abs(float(out[0, 1]) - 100) < 10
    assert tt.normal(2.0, 0.0, (3,)).tolist() == [2.0, 2.0, 2.0]
    assert tt.normal(mean, 0.0).tolist() == [0.0, 100.0]
    whole = tt.randint_like(tt.zeros(1000), 2, 5)
    assert whole.dtype == tt.float32 and set(whole.tolist()) == {2.0, 3.0, 4.0}


def test_gradients_of_what_was_overwritten_are_zeros() -> None:
    x = tt.ones(3, requires_grad=True)
    (x * 2).normal_().sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(tt.TinyTorchError, match="leaf that requires grad"):
        x.normal_()
    x.data.uniform_(4, 5)
    assert all(4 <= value < 5 for value in x.tolist())


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.normal_(0, -1), lambda x: x.uniform_(3, 1), lambda x: x.bernoulli_(2), lambda x: x.exponential_(0),
        lambda x: x.geometric_(1), lambda x: x.cauchy_(0, 0), lambda x: x.log_normal_(0, 0), lambda x: x.normal_("a"),
        lambda x: tt.normal(0.0, 1.0), lambda x: tt.normal(x, "a"), lambda x: tt.randint_like(x, "a"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(call: Callable[[tt.Tensor], object]) -> None:
    with pytest.raises(tt.TinyTorchError) as info:
        call(tt.zeros(2))
    assert "test_drawing.py" in str(info.value)
