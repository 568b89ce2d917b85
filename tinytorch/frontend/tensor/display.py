"""Tensors in notebooks: their type and range, and their numbers in a table, shaded by size."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from tinytorch.ir.arrays.words import described, number
from tinytorch.ir.op import Array

_FIRST, _LAST = (6, 2), (8, 2)  # rows and columns shown at both ends
_WARM, _COLD = "214,96,77", "67,147,195"  # of positive and negative numbers; seen on light and on dark pages
_CELL = "padding:1px 7px;text-align:right;font-family:monospace;white-space:nowrap"


def as_html(array: Array, notes: str) -> str:
    """An array under a caption of its type, its range and `notes`; of one with more than two axes, the first matrix."""
    caption = escape(described(array)) + (f" · {escape(notes)}" if notes else "")
    caption = f'<div style="font-size:90%;opacity:0.8">{caption}</div>'
    if not array.size:
        return caption
    matrix = array[(0,) * (array.ndim - 2)] if array.ndim > 2 else np.atleast_2d(array)
    if array.ndim > 2:
        place = ", ".join(["0"] * (array.ndim - 2))
        caption += f'<div style="font-size:90%;opacity:0.8">the matrix at [{place}]:</div>'
    return f"{caption}{_table(matrix)}"


def _table(matrix: Array) -> str:
    rows, columns = (_shown(n, *ends) for n, ends in zip(matrix.shape, (_FIRST, _LAST), strict=True))
    chosen = matrix[np.ix_([i for i in rows if i >= 0], [j for j in columns if j >= 0])].astype(np.float64)
    finite = np.abs(chosen[np.isfinite(chosen)])
    largest = float(finite.max()) if finite.size and chosen.size > 1 else 0.0
    lines = [_line(matrix[i] if i >= 0 else None, columns, largest) for i in rows]
    return f'<table style="border-collapse:collapse;border:none;color:inherit"><tbody>{"".join(lines)}</tbody></table>'


def _shown(length: int, first: int, last: int) -> list[int]:
    """The indices that are shown, with -1 where some are left out."""
    if length <= first + last + 1:
        return list(range(length))
    return [*range(first), -1, *range(length - last, length)]


def _line(row: Array | None, columns: list[int], largest: float) -> str:
    cells = [_gap if row is None or j < 0 else _cell(row[j].item(), largest) for j in columns]
    return f'<tr style="background:none">{"".join(cells)}</tr>'


def _cell(value: Any, largest: float) -> str:
    text = str(value) if isinstance(value, bool) else number(value) if isinstance(value, int) else f"{value:.4g}"
    share = abs(float(value)) / largest if largest and np.isfinite(value) else 0.0
    shade = f";background:rgba({_WARM if value > 0 else _COLD},{0.6 * share:.2f})" if share > 0.02 else ""
    return f'<td style="{_CELL}{shade}">{text}</td>'


_gap = f'<td style="{_CELL};opacity:0.6">…</td>'
