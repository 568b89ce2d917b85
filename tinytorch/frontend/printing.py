"""Arrays as text, laid out as PyTorch prints them: aligned, four digits, the middle of large ones left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.ir.op import Array

THRESHOLD = 1000  # elements that are printed in full
EDGE = 3  # at each end of an axis, beyond that
WIDTH = 80  # characters of a line
DIGITS = 4


def text_of(array: Array, indent: int) -> str:
    """Its elements in brackets; lines behind the first are indented."""
    summarized = array.size > THRESHOLD
    shown = _edges(array) if summarized else array
    write = _writer(shown.reshape(-1))
    if array.ndim == 0:
        return write(array[()])
    return _nested(array, indent, summarized, write)


def _edges(array: Array) -> Array:
    """What is printed of a large array."""
    for axis, size in enumerate(array.shape):
        if size > 2 * EDGE:
            array = np.take(array, [*range(EDGE), *range(size - EDGE, size)], axis)
    return array


def _writer(shown: Array) -> Callable[[Any], str]:
    """How to write an element, in the width that all that are shown have in common; infinities and NaN may be wider."""
    if shown.dtype.kind not in "fV":
        text: Callable[[Any], str] = str
        measured = shown
    else:
        values = shown.astype(np.float64)
        measured = values[np.isfinite(values) & (values != 0)]
        text = _float_text(measured)
    width = max((len(text(x)) for x in measured), default=1)
    return lambda x: text(x).rjust(width)


def _float_text(values: Array) -> Callable[[Any], str]:
    """Whole numbers as `1.`, others with four digits; all with exponents where their sizes differ much, or are far from
    1. `values` are those that count: finite, and not 0."""
    sizes = np.abs(values)
    least, most = (sizes.min(), sizes.max()) if sizes.size else (1.0, 1.0)
    if most > 1000 * least or most > 1e8 or least < 1e-4:
        return lambda x: f"{float(x):.{DIGITS}e}"
    if np.all(values == np.trunc(values)):
        return lambda x: f"{float(x):.0f}." if math.isfinite(x) else str(float(x))
    return lambda x: f"{float(x):.{DIGITS}f}"


def _nested(array: Array, indent: int, summarized: bool, write: Callable[[Any], str]) -> str:
    cut = summarized and array.shape[0] > 2 * EDGE
    kept = [*array[:EDGE], None, *array[-EDGE:]] if cut else list(array)
    if array.ndim > 1:
        rows = ["..." if row is None else _nested(row, indent + 1, summarized, write) for row in kept]
        return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(rows) + "]"
    texts = [" ..." if x is None else write(x) for x in kept]
    width = max((len(t) for t in texts), default=0)
    each = max(1, (WIDTH - indent) // (width + 2))
    lines = [", ".join(texts[i : i + each]) for i in range(0, len(texts), each)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
