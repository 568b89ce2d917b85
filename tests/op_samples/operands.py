"""Operands: values at the edges of a dtype, and random ones, the same in every run."""

from __future__ import annotations

import numpy as np

from tinytorch.ir.op import Array
from tinytorch.ir.types import DType, bool_


def rng_of(name: str) -> np.random.Generator:
    return np.random.default_rng(list(name.encode()))


_FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, np.inf, -np.inf, np.nan]


def corners_of(dtype: DType) -> Array:
    """Values at the edges of a dtype."""
    if dtype.is_float:
        info = {"f64": (1e308, 5e-324), "f32": (3e38, 1e-45), "f16": (6e4, 6e-8), "bf16": (3e38, 1e-40)}[dtype.name]
        return np.array([*_FLOATS, *info, -info[0]]).astype(dtype.numpy)
    if dtype == bool_:
        return np.array([True, False])
    limits = np.iinfo(dtype.numpy)
    return np.array(
        [0, 1, 2, 7, limits.max, limits.min, limits.max - 1, *([-1, -3] if limits.min else [])], dtype.numpy
    )


def random_array(dtype: DType, shape: tuple[int, ...], rng: np.random.Generator, scale: float = 3.0) -> Array:
    if dtype.is_float:
        return (rng.normal(size=shape) * scale).astype(dtype.numpy)
    if dtype == bool_:
        return rng.integers(0, 2, shape).astype(bool)
    limits = np.iinfo(dtype.numpy)
    return rng.integers(limits.min, limits.max, shape, dtype.numpy, endpoint=True)


def combined_corners(dtype: DType, count: int, rng: np.random.Generator) -> tuple[Array, ...]:
    """Every combination of corners, then random values."""
    corners = np.stack(np.meshgrid(*[corners_of(dtype)] * count, indexing="ij")).reshape(count, -1)
    return tuple(np.concatenate([c, random_array(dtype, (50,), rng)]) for c in corners)
