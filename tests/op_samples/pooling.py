"""Pools and their gradients."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.op_samples.convolutions import PLAIN, WINDOWS, without
from tests.op_samples.operands import random_array, rng_of
from tests.op_samples.sample import Sample
from tinytorch.ir.op import OPS, Array
from tinytorch.ir.types import DTYPES, dtype_of, f32


def _pool_samples(x: Array, attrs: Mapping[str, Any], smooth: bool = False) -> list[Sample]:
    """A pool, and elements taken from and put to its places."""
    pool = Sample(OPS["max_pool2d"], (x,), attrs, smooth=smooth)
    _, index = pool.results
    g = random_array(dtype_of(x.dtype), index.shape, rng_of("max_pool2d"))
    shared, image = without(attrs, "high"), (x.shape[1], x.shape[2])
    return [
        pool,
        Sample(OPS["max_unpool2d"], (g, index), {**shared, "size": image}, 4, False, smooth),
        Sample(OPS["max_pool2d_take"], (x, index), shared, smooth=smooth),
    ]


def _pools() -> list[Sample]:
    rng = rng_of("pool")
    samples: list[Sample] = []
    windows: list[tuple[int, int]] = [(2, 2), (3, 2), (2, 3)]
    for window, attrs in zip(windows, ({**PLAIN, "stride": (2, 2)}, *WINDOWS[1:]), strict=True):
        x = rng.permutation(2 * 6 * 7 * 3).reshape(2, 6, 7, 3) / 10
        samples += _pool_samples(x, {"window": window, **attrs}, smooth=True)
    ties = rng.integers(-2, 3, (2, 8, 9, 5)).astype(np.float32)
    ties[rng.random(ties.shape) < 0.1] = np.nan
    wide = random_array(f32, (3, 8, 8, 33), rng)
    for x, (window, attrs) in itertools.product((ties, wide), zip(windows, WINDOWS, strict=True)):
        samples += _pool_samples(x, {"window": window, **attrs})
    samples += _pool_samples(rng.normal(size=(1, 20, 20, 2)), {"window": (17, 17), **PLAIN})
    for dtype in ("bf16", "f16", "i64", "i8", "u8"):
        x = random_array(DTYPES[dtype], (2, 6, 6, 4), rng)
        samples += _pool_samples(x, {"window": (2, 2), **PLAIN, "stride": (2, 2)})
    return samples


def samples() -> list[Sample]:
    return _pools()
