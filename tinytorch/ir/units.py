"""Numbers as text, three digits and the unit that fits."""

from __future__ import annotations

import math

_PREFIXES = ("", "k", "M", "G", "T")


def count(number: float) -> str:
    """1234567 as `1.23 M`, with three digits."""
    power = min(int(math.log10(number) // 3), len(_PREFIXES) - 1) if number >= 1 else 0
    return f"{number / 1000**power:.3g} {_PREFIXES[power]}".strip()


def size(number: float) -> str:
    """A number of bytes: `1.46 MiB`."""
    power = min(int(math.log2(number) // 10), 4) if number >= 1 else 0
    return f"{number / 1024**power:.4g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def duration(seconds: float) -> str:
    """Seconds with the unit that fits: `57.3 µs`."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
