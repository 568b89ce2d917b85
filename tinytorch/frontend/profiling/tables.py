"""Figures as text: with a unit that fits, and in columns."""

from __future__ import annotations

import math
from collections.abc import Sequence

_PREFIXES = ("", "k", "M", "G", "T", "P")
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")


def shown_count(number: float) -> str:
    """1234567 as `1.23 M`, with three digits."""
    power = min(int(math.log10(number) // 3), len(_PREFIXES) - 1) if number >= 1 else 0
    return f"{number / 1000**power:.3g} {_PREFIXES[power]}".strip()


def shown_bytes(number: float) -> str:
    """A number of bytes: `1.46 MiB`."""
    power = min(int(math.log2(number) // 10), len(_BYTES) - 1) if number >= 1 else 0
    return f"{number / 1024**power:.4g} {_BYTES[power]}"


def shown_seconds(seconds: float) -> str:
    """Seconds with the unit that fits: `57.3 µs`."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}" if seconds < 1000 * factor else f"{seconds / factor:.0f} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def in_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under a head, with a rule between; the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "  ".join([f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in others)]).rstrip()

    return "\n".join([line(head), "─" * (sum(widths) + 2 * (len(widths) - 1)), *map(line, rows)])
