"""Numbers as text: the digits that are promised, also where rounding reaches the next unit."""

from __future__ import annotations

import pytest

from tinytorch.ir.text.units import count, duration, size


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (7, "7"), (999, "999"), (999.4, "999"), (999.6, "1 k"), (1000, "1 k"), (1_234_567, "1.23 M"),
     (999_499, "999 k"), (999_500, "1 M"), (999.96e6, "1 G"), (2e12, "2 T"), (3.21e18, "3.21 E"), (1e23, "100000 E")],
)  # fmt: skip
def test_counts(number: float, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1, "1 B"), (1023, "1023 B"), (1024, "1 KiB"), (1000 * 1024, "1000 KiB"), (1536 * 1024, "1.5 MiB"),
     (1024**2 - 1, "1 MiB"), (1023.4 * 1024, "1023 KiB"), (3 * 1024**5, "3 PiB")],
)  # fmt: skip
def test_bytes(number: float, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0 ns"), (5e-10, "0.5 ns"), (57.3e-6, "57.3 µs"), (999.4e-6, "999 µs"), (999.6e-6, "1 ms"), (0.99996, "1 s"),
     (12.34, "12.3 s"), (1234.0, "1234 s"), (1.5, "1.5 s"), (0.0123, "12.3 ms"), (9e-6, "9 µs"), (1.2e-7, "120 ns")],
)  # fmt: skip
def test_durations(number: float, text: str) -> None:
    assert duration(number) == text
