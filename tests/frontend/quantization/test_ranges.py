"""Ranges of activations: which part of what calibration has seen."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.quantization.ranges import SeenRange


def seen(*batches: np.ndarray) -> SeenRange:
    found = SeenRange("layer")
    for batch in batches:
        found.see(batch.astype(np.float32))
    return found


def test_limits_by_each_method() -> None:
    body = np.linspace(-1, 3, 9999)
    found = seen(body, np.array([100.0]), np.zeros(0))
    assert found.limits("minmax", 99.99, 8) == (-1.0, 100.0)
    low, high = found.limits("percentile", 99.9, 8)
    assert low == pytest.approx(-0.996, abs=0.002) and high == pytest.approx(2.996, abs=0.002)
    assert found.limits("percentile", 100, 8) == (-1.0, 100.0)
    assert found.limits("mse", 99.99, 8)[1] > 95  # what the outlier costs, all others do not gain
    spread = seen(np.random.default_rng(0).laplace(size=20000))
    low, high = spread.limits("mse", 99.99, 8)
    assert spread.low < low < -2 and 2 < high < spread.high
    assert seen(np.full(5, 2.0)).limits("minmax", 99.99, 8) == (0.0, 2.0)


def test_large_batches_keep_their_tails() -> None:
    x = np.random.default_rng(0).normal(size=300_000)
    x[12_345] = 1e3
    found = seen(x)
    assert found.limits("mse", 99.99, 8)[1] > 500
    low, high = found.limits("percentile", 99.0, 8)
    assert low == pytest.approx(-2.326, abs=0.03) and high == pytest.approx(2.326, abs=0.03)


def test_nan_names_the_layer() -> None:
    with pytest.raises(tt.TinyTorchError, match="the input of layer in calibration has NaN"):
        seen(np.array([np.nan]))
