"""Numbers as text: three digits, of bytes four, and the unit that fits."""

from __future__ import annotations

from collections.abc import Sequence


def count(number: float) -> str:
    """1234567 as `1.23 M`."""
    return _scaled(number, 1000, ("", "k", "M", "G", "T", "P", "E"), 3)


def size(number: float) -> str:
    """A number of bytes: `1.465 MiB`."""
    return _scaled(number, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"), 4)


def duration(seconds: float) -> str:
    """Seconds with the unit that fits: `57.3 µs`."""
    return _scaled(seconds * 1e9, 1000, ("ns", "µs", "ms", "s"), 3)


def _scaled(number: float, step: int, units: Sequence[str], digits: int) -> str:
    """In the smallest unit of which there are fewer than `step` once it is rounded, or in the largest one."""
    power = 0
    while number >= step - 0.5 and power < len(units) - 1:
        number, power = number / step, power + 1
    text = f"{number:.{digits}g}" if number < 10**digits - 0.5 else f"{number:.0f}"
    return f"{text} {units[power]}".strip()
