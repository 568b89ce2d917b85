"""Sums in f32 that are long: by BLAS in blocks, which are added up in f64; and sums into rows that repeat."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinytorch.ir.fast.memory import order_of, row_major
from tinytorch.ir.op import Array

_BLOCK = 512  # rows that BLAS adds up in the precision of the operands
_SMALL = 1 << 12  # elements below which numpy alone is as fast
_FEW = 16  # terms that are added as whole parts of the operand
_RUN = 8  # elements next to each other from which on that pays


def sum_of_rows(x: Array) -> Array:
    """[columns] of x [rows, columns], row-major: the sums along axis 0. Integers wrap."""
    if x.dtype.kind != "f" or x.size < _SMALL:
        return x.sum(0, dtype=x.dtype)
    whole = x.shape[0] // _BLOCK * _BLOCK
    blocks = np.matmul(np.ones((1, _BLOCK), x.dtype), x[:whole].reshape(-1, _BLOCK, x.shape[1]))
    rest = np.matmul(np.ones(x.shape[0] - whole, x.dtype), x[whole:])
    return (blocks.sum((0, 1), dtype=np.float64) + rest).astype(x.dtype)


def faster_sum(otherwise: Callable[..., Array]) -> Callable[..., Array]:
    """A sum over `axes`, which stay with size 1, of f32 or f64; by the function `otherwise` where numpy is fast.

    It is slow where the axes are the outer ones in memory, one row being added to the other, and where they are so
    short that the loop over them costs more than the sums: then whole parts of the operand are added.
    """

    def run(x: Array, *, axes: tuple[int, ...]) -> Array:
        if x.size < _SMALL or x.dtype.kind != "f" or x.dtype.itemsize == 2:
            return otherwise(x, axes=axes)
        order = order_of(x)
        others, laid = order[len(axes) :], x.transpose(order)
        shape = [1 if a in axes else d for a, d in enumerate(x.shape)]
        count = math.prod(x.shape[a] for a in axes)
        outer = set(order[: len(axes)]) == set(axes)
        if others and outer and others == sorted(others) and laid.flags.c_contiguous:
            return sum_of_rows(laid.reshape(count, x.size // count)).reshape(shape)
        inner = [a for a in order if a not in axes][-1:]
        if 1 < count <= _FEW and inner and x.shape[inner[0]] >= _RUN:
            parts = (x[place] for place in _each(x, axes))
            total = np.array(next(parts))
            for part in parts:
                total += part
            return row_major(total).reshape(shape)
        return otherwise(x, axes=axes)

    return run


def _each(x: Array, axes: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """The indices of all places along `axes`, of everything along the others."""
    return itertools.product(*(range(d) if a in axes else [slice(None)] for a, d in enumerate(x.shape)))


def scatter_add(base: Array, indices: Array, updates: Array, *, axis: int) -> Array:
    """`base` with `updates` added at `indices` along `axis`, as the op `scatter_add` defines it: one after the other if
    each is large, else sorted by their index, so that those of an index are added up at once."""
    wide = base.astype(np.float32) if base.dtype.itemsize == 2 else base.copy()
    flat = indices.reshape(-1)
    if not flat.size or not base.size:
        return wide.astype(base.dtype)
    lead: Any = (slice(None),) * axis
    each = updates.reshape((*base.shape[:axis], flat.size, *base.shape[axis + 1 :])).astype(wide.dtype, copy=False)
    if base.size // base.shape[axis] >= _SMALL:
        for place, row in enumerate(flat):
            wide[(*lead, row)] += each[(*lead, place)]
    else:
        order = np.argsort(flat, kind="stable")
        rows, first = np.unique(flat[order], return_index=True)
        wide[(*lead, rows)] += np.add.reduceat(each[(*lead, order)], first, axis=axis)
    return wide.astype(base.dtype)
