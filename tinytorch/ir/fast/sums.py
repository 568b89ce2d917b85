"""Sums in f32 that are long: by BLAS in blocks, which are added up in f64; and sums into rows that repeat."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.ir.op import Array

_BLOCK = 512  # rows that BLAS adds up in the precision of the operands
_SMALL = 1 << 12  # elements below which numpy alone is as fast
_WIDE = 16  # elements of a row from which on adding whole rows is faster than element by element


def sum_of_rows(x: Array) -> Array:
    """[columns] of x [rows, columns], row-major: the sums along axis 0. Integers wrap."""
    if x.dtype.kind != "f" or x.size < _SMALL:
        return x.sum(0, dtype=x.dtype)
    whole = x.shape[0] // _BLOCK * _BLOCK
    blocks = np.matmul(np.ones((1, _BLOCK), x.dtype), x[:whole].reshape(-1, _BLOCK, x.shape[1]))
    rest = np.matmul(np.ones(x.shape[0] - whole, x.dtype), x[whole:])
    return (blocks.sum((0, 1), dtype=np.float64) + rest).astype(x.dtype)


def leading_sum(otherwise: Callable[..., Array]) -> Callable[..., Array]:
    """A sum over `axes`, which stay with size 1: by BLAS where they are the outer ones in memory, which numpy adds one
    row after the other; by the function `otherwise` in all other cases."""

    def run(x: Array, *, axes: tuple[int, ...]) -> Array:
        if x.size >= _SMALL and x.dtype in (np.float32, np.float64):
            order = sorted(range(x.ndim), key=lambda a: -x.strides[a])
            kept = order[len(axes) :]
            laid = x.transpose(order)
            if kept and sorted(order[: len(axes)]) == list(axes) and kept == sorted(kept) and laid.flags.c_contiguous:
                count = math.prod(laid.shape[: len(axes)])
                sums = sum_of_rows(laid.reshape(count, x.size // count))
                return sums.reshape([1 if a in axes else d for a, d in enumerate(x.shape)])
        return otherwise(x, axes=axes)

    return run


def scatter_add(base: Array, indices: Array, updates: Array, *, axis: int) -> Array:
    """`base` with `updates` added at `indices` along `axis`, as the op `scatter_add` defines it: sorted by their index,
    the updates of each are added up at once."""
    wide = base.astype(np.float32) if base.dtype.itemsize == 2 else base.copy()
    flat = indices.reshape(-1)
    if not flat.size or not base.size:
        return wide.astype(base.dtype)
    lead: Any = (slice(None),) * axis
    each = updates.reshape((*base.shape[:axis], flat.size, *base.shape[axis + 1 :])).astype(wide.dtype, copy=False)
    order = np.argsort(flat, kind="stable")
    rows, first = np.unique(flat[order], return_index=True)
    wide[(*lead, rows)] += np.add.reduceat(each[(*lead, order)], first, axis=axis)
    return wide.astype(base.dtype)
