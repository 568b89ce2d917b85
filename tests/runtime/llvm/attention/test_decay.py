"""The exponential of scores relative to the largest."""

import numpy as np
import pytest

from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.lanes.numpy_emitter import NumpyEmitter
from tinytorch.ir.types import dtype_of
from tinytorch.runtime.llvm.attention.decay import decay


def decayed(x: np.ndarray) -> np.ndarray:
    e = NumpyEmitter()
    with np.errstate(all="ignore"):
        return np.asarray(decay(e, Lane(e, dtype_of(x.dtype), x)).ref)


@pytest.mark.parametrize(("lowest", "ulps"), [(-1.0, 3), (-20.0, 6), (-87.0, 20)])
def test_decay_is_exact_to_some_ulp(lowest, ulps):
    x = np.linspace(lowest, 0, 200_001).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    assert np.max(np.abs(decayed(x) - exact) / np.spacing(exact.astype(np.float32))) <= ulps


def test_the_ends_of_decay():
    found = decayed(np.array([0.0, -0.0, -np.inf, -1e9, -88.0, np.nan], np.float32))
    np.testing.assert_array_equal(found, np.array([1, 1, 0, 0, 0, np.nan], np.float32))


def test_decay_of_f64_is_exp():
    x = np.linspace(-700, 0, 1001)
    np.testing.assert_allclose(decayed(x), np.exp(x), rtol=3e-16)
