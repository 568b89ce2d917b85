"""Arrays as text, laid out as PyTorch prints them: aligned, four digits, the middle of large ones left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.ir.op import Array


@dataclass
class PrintOptions:
    """How many elements are printed in full, how many at each end of an axis beyond that, characters of a line, digits
    behind the point, and whether numbers have exponents (None: where they differ much)."""

    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    precision: int = 4
    sci_mode: bool | None = None


options = PrintOptions()
_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Print tensors in another way from now on: those of `PrintOptions` that are not None, on top of a `profile`
    ("default", "short" or "full") if there is one."""
    if profile is not None:
        base = _PROFILES[arguments.choice("set_printoptions", "profile", profile, *_PROFILES)]
        options.__dict__.update(base.__dict__)
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None:
            check = arguments.not_negative if name == "threshold" else arguments.integer
            check("set_printoptions", name, value)
            if value < 0 or (name == "precision" and value > 100):
                raise arguments.wrong_value("set_printoptions", name, "a number from 0 to 100", value)
            setattr(options, name, value)
    options.sci_mode = sci_mode


def text_of(array: Array, indent: int) -> str:
    """Its elements in brackets; lines behind the first are indented."""
    summarized = array.size > options.threshold
    shown = _edges(array) if summarized else array
    write = _writer(shown.reshape(-1))
    if array.ndim == 0:
        return write(array[()])
    return _nested(array, indent, summarized, write)


def _edges(array: Array) -> Array:
    """What is printed of a large array."""
    for axis, size in enumerate(array.shape):
        if size > 2 * options.edgeitems:
            array = np.take(array, [*range(options.edgeitems), *range(size - options.edgeitems, size)], axis)
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
    differ = most > 1000 * least or most > 1e8 or least < 1e-4
    if differ if options.sci_mode is None else options.sci_mode:
        return lambda x: f"{float(x):.{options.precision}e}"
    if np.all(values == np.trunc(values)):
        return lambda x: f"{float(x):.0f}." if math.isfinite(x) else str(float(x))
    return lambda x: f"{float(x):.{options.precision}f}"


def _nested(array: Array, indent: int, summarized: bool, write: Callable[[Any], str]) -> str:
    cut = summarized and array.shape[0] > 2 * options.edgeitems
    kept = [*array[: options.edgeitems], None, *array[-options.edgeitems :]] if cut else list(array)
    if array.ndim > 1:
        rows = ["..." if row is None else _nested(row, indent + 1, summarized, write) for row in kept]
        return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(rows) + "]"
    texts = [" ..." if x is None else write(x) for x in kept]
    width = max((len(t) for t in texts), default=0)
    each = max(1, (options.linewidth - indent) // (width + 2))
    lines = [", ".join(texts[i : i + each]) for i in range(0, len(texts), each)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
