"""Statistics of equal numbers: variance, deviation and what norms make of them are exactly 0, in every mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.ops import composite

BACKENDS = ["eager", "interpreter", "llvm"]
NUMBERS = [0.1, 1 / 3, 1e4 / 3, 1e10 / 7, 1e-20, -123.456, 3.0]
SIZES = [1, 2, 3, 7, 49, 769, 4097]
FUNCTIONS = {
    "variance": lambda x: x.var(1, correction=0),
    "variance of a column": lambda x: x.permute(1, 0).var(0, correction=0),
    "variance of all": lambda x: x.var(correction=0),
    "deviation": lambda x: x.std(1, correction=0),
    "moments": lambda x: composite.moments(x, (1,))[1],
    "layer norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "layer norm of both axes": lambda x: F.layer_norm(x, x.shape),
}


def found(function: Any, backend: str, *args: Tensor) -> np.ndarray:
    run = function if backend == "eager" else tt.compile(function, backend=backend)
    return run(*args).numpy().astype(np.float64)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["f32", "f64", "bf16", "f16"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_equal_numbers_give_zeros(name: str, dtype: str, backend: str) -> None:
    for size in SIZES:
        for number in NUMBERS:
            if dtype == "f16" and not 1e-3 < abs(number) < 1e4:
                continue
            x = tt.full((2, size), number, dtype=dtype)
            np.testing.assert_array_equal(found(FUNCTIONS[name], backend, x), 0, f"{size} times {number}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_of_the_variance_of_equal_numbers(backend: str) -> None:
    x = tt.full((3, 49), 0.1)
    np.testing.assert_array_equal(found(tt.grad(lambda x: x.var(1).sum()), backend, x), 0)


@pytest.mark.parametrize("backend", ["eager", "llvm"])
@pytest.mark.parametrize("number", NUMBERS)
def test_running_statistics(number: float, backend: str) -> None:
    def update(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        F.batch_norm(x, mean, variance, training=True, momentum=1.0)
        return variance

    x = tt.full((8, 3, 7, 7), number)
    np.testing.assert_array_equal(found(update, backend, x, tt.zeros(3), tt.ones(3)), 0)
    out = found(lambda x: F.batch_norm(x, None, None, training=True), backend, x)
    np.testing.assert_array_equal(out, 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_small_variance_around_a_large_mean(dtype: str, backend: str) -> None:
    """Numbers that differ in their last places are not taken for equal."""
    rng = np.random.default_rng(0)
    step = 2.0**-23 if dtype == "f32" else 2.0**-52
    units = rng.integers(0, [[2], [3], [4], [5]], (4, 1000)).astype(np.float64)
    x = tt.tensor((1 + units * step).astype(dtype.replace("f", "float")))
    expected = units.var(axis=1)
    for name in ("variance", "moments"):
        scaled = found(FUNCTIONS[name], backend, x).reshape(4) / step**2
        np.testing.assert_allclose(scaled, expected, rtol=1e-5)


@pytest.mark.parametrize("backend", ["eager", "llvm"])
@pytest.mark.parametrize("number", NUMBERS)
def test_statistics_of_large_tensors(number: float, backend: str) -> None:
    """The first mean is that of a sample, which may be far from all else."""
    rng = np.random.default_rng(5)
    x = np.full((70, 100, 80), number, np.float32)

    def moments(x: Any) -> Any:
        return tt.cat(list(composite.moments(x, (0, 1))))

    mean, variance = found(moments, backend, tt.tensor(x)).reshape(2, 80)
    np.testing.assert_array_equal(mean, x[0, 0].astype(np.float64))
    np.testing.assert_array_equal(variance, 0)
    x += np.abs(np.float32(number)) * rng.standard_normal(x.shape, np.float32)
    x[:, ::16] *= 100
    wide = x.astype(np.float64)
    mean, variance = found(moments, backend, tt.tensor(x)).reshape(2, 80)
    np.testing.assert_allclose(mean, wide.mean((0, 1)), rtol=1e-6, atol=1e-6 * wide.std())
    np.testing.assert_allclose(variance, wide.var((0, 1)), rtol=2e-5)
