"""Max pooling by whole passes over the images, one for each place of the window, without masked assignments.

An image may lie in memory with its channels last or, seen through a permutation, in front of its lines; the passes go
over it in the order in which it lies, since numpy is slow along axes that do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.ir.fast.memory import filled_like, laid_like, row_major
from tinytorch.ir.op import Array
from tinytorch.ir.windows import Pair, output_size, places

Search = Callable[..., tuple[Array, Array]]


def largest(search: Search) -> Callable[..., Array]:
    """The largest of each window, as `search` finds it, which is asked itself where the order of elements counts."""

    def run(x: Array, *, high: Pair, **attrs: Any) -> Array:
        wide = _wide(x)
        best = _largest(wide, high, attrs)
        if _depends_on_order(wide, best):
            return search(x, high=high, **attrs)[0]
        return row_major(best.astype(x.dtype, copy=False))

    return run


def place_of_largest(search: Search) -> Callable[..., Array]:
    """Where the largest of each window is, as `search` finds it: the first that is equal to it."""

    def run(x: Array, best: Array, *, high: Pair, **attrs: Any) -> Array:
        wide, best = _wide(x), laid_like(x, _wide(best))
        if np.isnan(best).any():
            return search(x, high=high, **attrs)[1]
        counts = np.uint8 if attrs["window"][0] * attrs["window"][1] <= 256 else np.int32
        index = filled_like(x, best.shape, counts, 0)
        open_ = filled_like(x, best.shape, np.bool_, True)
        for place, outer, inner in places(_size(wide), _size(best), **attrs):
            found = wide[inner] == best[outer]
            found &= open_[outer]
            open_[outer] ^= found
            index[outer] += found * counts(place)
        return row_major(index)

    return run


def max_unpool2d(g: Array, index: Array, *, size: Pair, **attrs: Any) -> Array:
    """Elements put back to where their windows' largest were, as the op `max_unpool2d` defines it.

    Elements that do not belong to a place become 0 by their bits: a product with 0 would make NaN of an infinity.
    """
    out = filled_like(g, (g.shape[0], *size, g.shape[3]), g.dtype, 0)
    signed = np.dtype(f"i{g.dtype.itemsize}")
    bits, index = g.view(signed), laid_like(g, index)
    for place, outer, inner in places(size, _size(g), **attrs):
        chosen = np.negative((index[outer] == place).view(np.int8), dtype=signed)  # all bits, or none
        chosen &= bits[outer]
        target = out[inner]
        target += chosen.view(g.dtype)
    return row_major(out)


def _largest(x: Array, high: Pair, attrs: dict[str, Any]) -> Array:
    """Laid out as x; NaN where one is in the window, a zero of any sign."""
    across = zip(_size(x), attrs["window"], attrs["stride"], attrs["low"], high, attrs["dilation"], strict=True)
    outputs = tuple(output_size(*axis) for axis in across)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    best = filled_like(x, (x.shape[0], *outputs, x.shape[3]), x.dtype, lowest)
    for _, outer, inner in places(_size(x), _size(best), **attrs):
        part = best[outer]
        np.maximum(part, x[inner], out=part)
    return best


def _depends_on_order(x: Array, best: Array) -> bool:
    """Whether a window holds a NaN, or perhaps zeros of both signs."""
    if x.dtype.kind != "f":
        return False
    if np.isnan(best).any():
        return True
    return bool((best == 0).any()) and bool((np.signbit(x) & (x == 0)).any())


def _wide(x: Array) -> Array:
    """16-bit floats as f32, for which numpy has fast loops; this keeps their order."""
    return x.astype(np.float32) if x.dtype.itemsize == 2 and x.dtype.kind in "fV" else x


def _size(x: Array) -> Pair:
    return x.shape[1], x.shape[2]
