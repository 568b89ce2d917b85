"""Python numbers among the arguments: inputs of the graph as soon as they vary, static where Python needs them."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.guards.cases import recompiles

FLOATS = [1.0, 2.0, 0.1, -0.0, math.nan, math.inf, 1e40, 1e-46, 3.0]
INTS = [1, 2, 3, 0, -1, 7]


def wide() -> tt.Tensor:
    return tt.tensor(np.array([1.0, 2.0, 3.0]))


def narrow() -> tt.Tensor:
    return tt.tensor([1.0, 2.0, 3.0])


def whole() -> tt.Tensor:
    return tt.tensor([1, 2, 3])


def same(a: Any, b: Any) -> bool:
    if isinstance(a, tt.Tensor):
        return isinstance(b, tt.Tensor) and a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


COMPUTED: dict[str, Callable[[Any, Any], Any]] = {
    "product": lambda x, k: x * k,
    "right difference": lambda x, k: k - x,
    "quotient": lambda x, k: x / (k * k + 1),
    "polynomial": lambda x, k: x * (2 * k - k / 4 + 1),
    "sum of two": lambda x, k: x * k + k,
    "passed on": lambda x, k: (lambda j: x * j)(k),
}


@pytest.mark.parametrize("make", [wide, narrow, whole])
@pytest.mark.parametrize("values", [FLOATS, INTS], ids=["floats", "ints"])
@pytest.mark.parametrize("what", ["product", "right difference", "quotient", "polynomial", "sum of two", "passed on"])
def test_numbers_that_are_computed_with(
    what: str, values: list[Any], make: Callable[[], tt.Tensor], capfd: Any, monkeypatch: Any
) -> None:
    function = COMPUTED[what]
    compiled = tt.compile(function, backend="interpreter")

    def call(i: int) -> None:
        with np.errstate(all="ignore"):
            assert same(compiled(make(), values[i]), function(make(), values[i])), values[i]

    assert len(recompiles(call, len(values), capfd, monkeypatch)) == 2 or make is whole


def caught(x: Any, k: Any) -> Any:
    try:
        return x * [1.0, 2.0, 3.0, 4.0][k]
    except:  # noqa: E722
        return x * 0


def suppressed(x: Any, k: Any) -> Any:
    class Suppress:
        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> bool:
            return True

    with Suppress():
        return x * [1.0, 2.0, 3.0, 4.0][k]
    return x


def returned_at_last(x: Any, k: Any) -> Any:
    try:
        x = x * [1.0, 2.0, 3.0, 4.0][k]
    finally:
        return x  # noqa: B012


NEEDED: dict[str, Callable[[Any, Any], Any]] = {
    "shape": lambda x, k: x * tt.ones(int(k), 3).sum(0),
    "slice": lambda x, k: x[:k],
    "index": lambda x, k: [x, x * 2, x * 3, x * 4][k],
    "range": lambda x, k: sum((x for _ in range(k)), x),
    "condition": lambda x, k: x if k > 1 else -x,
    "exponent": lambda x, k: x**k,
    "key": lambda x, k: x * {1: 5.0, 2: 6.0, 3: 8.0}[k],
    "text": lambda x, k: x * float(f"{k}"),
    "exact type": lambda x, k: x * (2 if type(k) is int else 3),
    "type called": lambda x, k: x * type(k)(2.7),
    "isinstance": lambda x, k: x * (2 if isinstance(k, int) else 3),
    "C code": lambda x, k: x * float(json.dumps(k)),
    "math": lambda x, k: x * math.sqrt(k),
    "returned": lambda x, k: (x, k),
    "bare except": caught,
    "suppressed": suppressed,
    "finally": returned_at_last,
}


@pytest.mark.parametrize("what", NEEDED)
def test_numbers_whose_value_python_needs(what: str) -> None:
    function = NEEDED[what]
    compiled = tt.compile(function, backend="interpreter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in (1, 2, 3, 2):
            assert same(compiled(narrow(), k), function(narrow(), k)), k
    for k in (1.5, 2.5) if what in ("exact type", "type called", "isinstance", "condition", "exponent") else ():
        assert same(compiled(narrow(), k), function(narrow(), k)), k


@pytest.mark.parametrize("k", [2**31 + 1, 2**53 + 1, 2**62, 2**63 - 1, 2**64])
@pytest.mark.parametrize("what", ["square", "sum", "half", "cube", "third"])
def test_integers_have_no_end(what: str, k: int) -> None:
    functions: dict[str, Callable[[Any, Any], Any]] = {
        "square": lambda x, k: x * (k * k),
        "sum": lambda x, k: x * (k + 1),
        "half": lambda x, k: x * ((k + 1) / 2),
        "cube": lambda x, k: x * (k * k * k),
        "third": lambda x, k: x * (k / 3),
    }
    function = functions[what]
    compiled = tt.compile(function, backend="interpreter")
    for value in (1, 2, k, k - 2, 2**31, 2**30, 3):
        assert same(compiled(wide(), value), function(wide(), value)), value


def test_an_error_of_the_function_leaves_numbers_inputs(capfd: Any, monkeypatch: Any) -> None:
    @tt.compile
    def f(x: Any, k: float) -> Any:
        if x.shape[0] != 3:
            raise ValueError("three of them")
        return x * k

    for k in (1.0, 2.0):
        f(narrow(), k)
    with pytest.raises(ValueError, match="three of them"):
        f(tt.ones(2), 3.0)
    assert recompiles(lambda i: f(narrow(), 4.0 + i), 5, capfd, monkeypatch) == []


def test_type_of_self_keeps_numbers_inputs(capfd: Any, monkeypatch: Any) -> None:
    class Scale(tt.Module):
        unit = 2.0

        def forward(self, x: Any, k: float) -> Any:
            return x * type(self).unit * k

    compiled = tt.compile(Scale(), backend="interpreter")
    assert len(recompiles(lambda i: compiled(narrow(), 1.0 + i), 6, capfd, monkeypatch)) == 2


def test_one_number_static_another_an_input(capfd: Any, monkeypatch: Any) -> None:
    f = tt.compile(lambda x, n, k: sum((x * k for _ in range(n)), x), backend="interpreter")
    for n, k in ((1, 0.1), (2, 0.2), (1, 0.3)):
        f(narrow(), n, k)
    found = recompiles(lambda i: f(narrow(), 1 + i % 2, 1.0 + i), 6, capfd, monkeypatch)
    assert len(found) <= 1


def test_the_third_compilation_for_one_reason_warns_once() -> None:
    f = tt.compile(lambda x, k: x if k > 1 else -x, backend="interpreter")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for k in range(8):
            f(narrow(), float(k))
    assert len(found) == 1
    assert "whose value Python needs" in str(found[0].message)
    assert found[0].filename == __file__
