"""Indexing as numpy has it, in views and gathers."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir import ops
from tinytorch.ir.op import apply
from tinytorch.ir.types import i64


def basic_index(x: Any, index: tuple[Any, ...]) -> Any:
    """`x[index]` for integers, slices, `...` and None."""
    index = _without_ellipsis(x, index)
    asked = [item for item in index if item is not None]  # of each axis
    windows = [i if isinstance(i, slice) else _one(x, operator.index(i), axis) for axis, i in enumerate(asked)]
    out = _windowed(x, windows)
    kept = iter([d for d, item in zip(out.shape, asked, strict=True) if isinstance(item, slice)])
    return out.reshape(tuple(1 if i is None else next(kept) for i in index if i is None or isinstance(i, slice)))


def array_index(x: Any, index: tuple[Any, ...]) -> Any:
    """`x[index]` where some items are integer operands: adjacent ones broadcast against each other, and their axes
    replace the indexed ones; they come first where a slice or None stands between them."""
    index = _without_ellipsis(x, index)
    advanced = [n for n, i in enumerate(index) if i is not None and not isinstance(i, slice)]
    x = basic_index(x, tuple(slice(None) if n in advanced else i for n, i in enumerate(index)))
    indices = [
        i if hasattr(i, "apply_op") else x.constant(np.asarray(i, np.int64)) for i in (index[n] for n in advanced)
    ]
    together = advanced == list(range(advanced[0], advanced[-1] + 1))
    front = advanced[0] if together else 0
    others = [n for n in range(x.ndim) if n not in advanced]
    return _gathered(x.permute([*others[:front], *advanced, *others[front:]]), indices, front)


def _without_ellipsis(x: Any, index: tuple[Any, ...]) -> tuple[Any, ...]:
    """The index with `...`, or what is left out at the end, written as full slices."""
    dots = [n for n, item in enumerate(index) if item is Ellipsis]
    rest = x.ndim - sum(1 for item in index if item is not None and item is not Ellipsis)
    if rest < 0 or len(dots) > 1:
        raise IndexError(f"too many indices for {x.type}: {index}")
    at = dots[0] if dots else len(index)
    return (*index[:at], *[slice(None)] * rest, *index[at + 1 :])


def _one(x: Any, at: int, axis: int) -> slice:
    size = x.shape[axis]
    if not -size <= at < size:
        raise IndexError(f"index {at} is out of range for axis {axis} of {x.type}")
    return slice(at % size, at % size + 1)


def _windowed(x: Any, windows: Sequence[slice]) -> Any:
    """A slice of every axis; a negative step is a slice and a flip."""
    ranges = [range(*w.indices(d)) for w, d in zip(windows, x.shape, strict=True)]
    flips = tuple(axis for axis, r in enumerate(ranges) if r.step < 0)
    ranges = [r[::-1] if r.step < 0 else r for r in ranges]
    starts = tuple(r.start if len(r) else 0 for r in ranges)
    limits = tuple(r[-1] + 1 if len(r) else 0 for r in ranges)
    steps = tuple(r.step for r in ranges)
    if (starts, limits) != ((0,) * x.ndim, x.shape) or any(step != 1 for step in steps):
        x = apply(ops.view.slice_, x, starts=starts, limits=limits, steps=steps)
    return apply(ops.view.flip, x, axes=flips) if flips else x


def _gathered(x: Any, indices: Sequence[Any], axis: int) -> Any:
    """Elements at `indices`, one for each of the axes from `axis` on, which are made one axis first."""
    sizes = x.shape[axis : axis + len(indices)]
    flat = _checked(indices[0], sizes[0])
    for index, size in zip(indices[1:], sizes[1:], strict=True):
        flat = flat * size + _checked(index, size)
    merged = x.reshape((*x.shape[:axis], math.prod(sizes), *x.shape[axis + len(indices) :]))
    return apply(ops.index.gather, merged, flat, axis=axis)


def _checked(index: Any, size: int) -> Any:
    if index.dtype.kind not in ("int", "uint"):
        raise IndexError(f"an index needs an integer dtype, got {index.type}")
    return apply(ops.elementwise.checked_index, index.cast(i64), size=size)
