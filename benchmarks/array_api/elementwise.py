"""Elementwise functions: every dtype, shapes that broadcast, numbers of Python, and the edges of floats."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.array_api.case import BOOL, FLOATS, INTEGERS, NUMBERS, Case, given, numbers

SHAPES = ((), (4,), (0, 2), (2, 3), (2, 1, 3))
PAIRS = (((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2,)), ((0, 2), (2,)))
MIXED = (("float32", "float64"), ("int8", "int32"), ("uint8", "int32"), ("int32", "int64"))
EDGES = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.5, -2.5, 1e30, -1e-30])


def _unary(name: str, dtypes: tuple[str, ...], low: float = -8, high: float = 8, edges: bool = True) -> Iterator[Case]:
    for dtype, shape in itertools.product(dtypes, SHAPES):
        yield given(f"{dtype}{list(shape)}", lambda xp, x: getattr(xp, name)(x), numbers(dtype, shape, low, high))
    for dtype in FLOATS if edges and set(FLOATS) <= set(dtypes) else ():
        yield given(f"{dtype} edges", lambda xp, x: getattr(xp, name)(x), EDGES.astype(dtype))


def _binary(name: str, dtypes: tuple[str, ...], low: float = -8, high: float = 8) -> Iterator[Case]:
    def both(xp: Any, x: Any, y: Any) -> Any:
        return getattr(xp, name)(x, y)

    for dtype, (one, other) in itertools.product(dtypes, PAIRS):
        x, y = numbers(dtype, one, low, high), numbers(dtype, other, low, high, 1)
        yield given(f"{dtype}{list(one)}, {list(other)}", both, x, y)
    for one, other in MIXED:
        if {one, other} <= set(dtypes):
            x, y = numbers(one, (), low, high), numbers(other, (3,), low, high, 1)
            yield given(f"{one}, {other}", both, x, y)
            yield given(f"{other}, {one}", both, y, x)
    for dtype in dtypes:
        number = True if dtype == "bool" else 2.0 if dtype in FLOATS else 2
        x = numbers(dtype, (2, 3), low, high)
        yield given(f"{dtype}, number", lambda xp, x, n=number: getattr(xp, name)(x, n), x)
        yield given(f"number, {dtype}", lambda xp, x, n=number: getattr(xp, name)(n, x), x)
    x, y = numbers(dtypes[0], (2, 3), low, high), numbers(dtypes[0], (2, 4), low, high)
    yield given("shapes that do not fit", both, x, y, refused=True)


def _pairs_of_edges(name: str) -> Iterator[Case]:
    one, other = (grid.ravel() for grid in np.meshgrid(EDGES, EDGES))
    for dtype in FLOATS:
        yield given(f"{dtype} edges", lambda xp, x, y: getattr(xp, name)(x, y), one.astype(dtype), other.astype(dtype))


def _clipped() -> list[Case]:
    found = [
        given(f"{dtype} {low} {high}", lambda xp, x, lo=low, hi=high: xp.clip(x, lo, hi), numbers(dtype, (2, 3)))
        for dtype in NUMBERS
        for low, high in ((1, 3), (None, 3), (1, None), (None, None))
    ]
    bounds = np.array([-1, 0, 1], np.float32)
    return [
        *found,
        given("arrays", lambda xp, x, y, z: xp.clip(x, y, z), numbers("float32", (2, 3)), bounds, bounds + 2),
    ]


def elementwise() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for name in ("abs", "ceil", "floor", "negative", "positive", "round", "sign", "square", "trunc"):
        found[name] = [*_unary(name, NUMBERS)]
    for name in ("isfinite", "isinf", "isnan"):
        found[name] = [*_unary(name, NUMBERS)]
    for name in ("cos", "exp", "expm1", "sin", "sinh", "cosh", "tan", "tanh", "asinh", "atan", "signbit", "reciprocal"):
        found[name] = [*_unary(name, FLOATS, edges=name not in ("cos", "sin", "tan"))]
    for name in ("log", "log10", "log2", "sqrt"):
        found[name] = [*_unary(name, FLOATS, 0.01, 50)]
    for name in ("acos", "asin", "atanh"):
        found[name] = [*_unary(name, FLOATS, -0.99, 0.99)]
    found["log1p"] = [*_unary("log1p", FLOATS, -0.9, 20)]
    found["acosh"] = [*_unary("acosh", FLOATS, 1, 20)]
    found["bitwise_invert"] = [*_unary("bitwise_invert", INTEGERS + BOOL)]
    found["logical_not"] = [*_unary("logical_not", BOOL)]
    for name in ("conj", "imag", "real"):
        found[name] = [Case("complex64", lambda xp, a, n=name: getattr(xp, n)(a(np.array([1 + 2j], np.complex64))))]
    for name in ("add", "multiply", "subtract", "maximum", "minimum"):
        found[name] = [*_binary(name, NUMBERS), *_pairs_of_edges(name)]
    for name in ("equal", "not_equal"):
        found[name] = [*_binary(name, NUMBERS + BOOL), *_pairs_of_edges(name)]
    for name in ("greater", "greater_equal", "less", "less_equal"):
        found[name] = [*_binary(name, NUMBERS), *_pairs_of_edges(name)]
    for name in ("floor_divide", "remainder"):
        found[name] = [*_binary(name, NUMBERS, 1, 9)]
        for dtype, signs in itertools.product(("int32", "float32", "float64"), ((7, -3), (-7, 3), (-7, -3))):
            x, y = (np.array([s], dtype) for s in signs)
            found[name].append(given(f"{dtype}{signs}", lambda xp, x, y, n=name: getattr(xp, n)(x, y), x, y))
    found["divide"] = [*_binary("divide", FLOATS), *_pairs_of_edges("divide")]
    found["pow"] = [*_binary("pow", FLOATS, 0.5, 4), *_binary("pow", INTEGERS, 0, 3)]
    for name in ("atan2", "copysign", "hypot", "logaddexp", "nextafter"):
        found[name] = [*_binary(name, FLOATS), *_pairs_of_edges(name)]
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
        found[name] = [*_binary(name, INTEGERS + BOOL)]
    for name in ("bitwise_left_shift", "bitwise_right_shift"):
        found[name] = [*_binary(name, INTEGERS, 0, 6)]
    for name in ("logical_and", "logical_or", "logical_xor"):
        found[name] = [*_binary(name, BOOL)]
    found["clip"] = _clipped()
    return found
