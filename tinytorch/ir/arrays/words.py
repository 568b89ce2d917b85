"""Arrays in words, for errors: their type, their range, and single elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytorch.ir.op import Array
from tinytorch.ir.types import TensorType, dtype_of

_PART = 1 << 16  # elements that are looked at together
Place = tuple[int, ...]  # of an element


def described(array: Array, place: Place | None = None) -> str:
    """`f32[64,10] from -2.1 to 3, 4 infinite, -1 at [0, 3]`. The element is left out where `place` is none of the
    array's."""
    text = str(TensorType(dtype_of(array.dtype), array.shape))
    if array.size < 2:
        return f"{text} of {number(array.item())}" if array.size else text
    if array.dtype == np.bool_:
        return f"{text}, {np.count_nonzero(array)} True"
    text += _contents(array)
    if place is None or not is_place(array, place):
        return text
    return f"{text}, {number(array[place].item())} at {list(place)}"


def _contents(array: Array) -> str:
    """` from -2.1 to 3, 4 infinite`, of a part after the other, so that a large array needs no memory."""
    ends: list[float] = []
    infinite = nans = 0
    for part in np.nditer(array, ["external_loop", "buffered"], buffersize=_PART):
        values = np.asarray(part) if array.dtype.kind in "iu" else np.asarray(part).astype(np.float64)
        finite = values[np.isfinite(values)]
        ends += [finite.min().item(), finite.max().item()] if finite.size else []
        infinite += int(np.isinf(values).sum())
        nans += int(np.isnan(values).sum())
    text = f" from {number(min(ends))} to {number(max(ends))}" if ends else ""
    return text + "".join(f", {count} {kind}" for count, kind in ((infinite, "infinite"), (nans, "NaN")) if count)


def is_place(array: Array, place: Place) -> bool:
    return len(place) == array.ndim and all(i < n for i, n in zip(place, array.shape, strict=True))


def first_place(found: Array) -> Place:
    """Of the first True of a bool array that holds one."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(found)), found.shape))


def operands_in_words(operands: Sequence[Array], place: Place | None = None) -> str:
    """A line for each operand of an op."""
    return "\n".join(f"  operand {i}: {described(array, place)}" for i, array in enumerate(operands))


def number(value: float) -> str:
    """With six digits, whole numbers in full."""
    return str(value) if isinstance(value, (bool, int)) else f"{value:.6g}"
