"""What both libraries are asked, and numbers for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Make = Callable[..., Any]  # an array of the library that is asked, from numpy's
Ask = Callable[[Any, Make], Any]  # of a namespace

FLOATS, INTEGERS, BOOL = ("float32", "float64"), ("int8", "int32", "int64", "uint8"), ("bool",)
NUMBERS = INTEGERS + FLOATS


@dataclass(frozen=True)
class Case:
    """What both libraries are asked: `ask`, which the standard refuses where `refused`."""

    label: str
    ask: Ask
    refused: bool = False


def given(label: str, function: Callable[..., Any], *arrays: NDArray[Any], refused: bool = False) -> Case:
    """What `function(namespace, *arrays)` gives."""
    return Case(label, lambda xp, a: function(xp, *map(a, arrays)), refused)


def cases(*asks: Ask, refused: tuple[Ask, ...] = ()) -> list[Case]:
    return [Case(f"case {i}", ask) for i, ask in enumerate(asks, 1)] + [
        Case(f"refused {i}", ask, refused=True) for i, ask in enumerate(refused, 1)
    ]


def numbers(dtype: str, shape: tuple[int, ...], low: float = -8, high: float = 8, seed: int = 0) -> NDArray[Any]:
    """The same numbers in each run."""
    rng = np.random.default_rng([seed, len(shape), *shape])
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype in INTEGERS:
        return rng.integers(max(int(low), 0 if dtype == "uint8" else -100), int(high) + 1, shape).astype(dtype)
    return rng.uniform(low, high, shape).astype(dtype)


# Small arrays.
X = numbers("float32", (2, 3, 4))
N = numbers("int64", (2, 3, 4), -4, 5)  # integers
M = numbers("float64", (3, 3))
V = np.array([3.0, 1.0, 2.0, 2.0, -1.0], np.float32)
B = numbers("bool", (2, 3, 4))
