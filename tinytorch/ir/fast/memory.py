"""How arrays lie in memory: made like others, and copied in pieces that stay in cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.ir.op import Array

_RUN = 16  # elements of the last axis that are copied at a time: one cache line of f32


def order_of(x: Array) -> list[int]:
    """The axes of x from the outermost in memory to the innermost."""
    return sorted(range(x.ndim), key=lambda a: (-abs(x.strides[a]), a))


def filled_like(x: Array, shape: tuple[int, ...], dtype: Any, value: Any) -> Array:
    """An array of `shape` full of `value`, its axes in memory in the order of those of x."""
    order = order_of(x)
    laid = np.full([shape[a] for a in order], value, dtype)
    return laid.transpose(np.argsort(order))


def laid_like(x: Array, other: Array) -> Array:
    """The elements of `other` with their axes in memory in the order of those of x."""
    order = order_of(x)
    return np.ascontiguousarray(other.transpose(order)).transpose(np.argsort(order))


def copy_into(target: Array, source: Array) -> None:
    """Write `source` into `target`, whose last axis is the innermost in memory. Where it is an outer one of the source
    (images with their channels in front), a run of it is copied at a time: it comes from lines that are in cache."""
    size = source.shape[-1]
    run = size if source.strides[-1] == source.itemsize else _RUN
    for first in range(0, size, run or 1):
        target[..., first : first + run] = source[..., first : first + run]


def row_major(x: Array) -> Array:
    """x itself if it is row-major, or a copy."""
    if x.flags.c_contiguous:
        return x
    out = np.empty(x.shape, x.dtype)
    copy_into(out, x)
    return out
