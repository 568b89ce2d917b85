"""What the documents say about the accuracy of functions, sums and products, against what is measured."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import accuracy
from tinytorch.ir import lanemath
from tinytorch.ir.lanes.numpy_emitter import evaluate
from tinytorch.runtime.llvm.text.target import Target

DOCUMENT = Path(__file__).parents[1] / "docs" / "architecture.md"
COUNT = {"f32": 1 << 16, "f64": 1 << 14}
NO_REFERENCE = np.finfo(np.longdouble).nmant < 63


def documented() -> dict[str, tuple[float, float]]:
    """The table of the documentation: function → the largest error in f32 and f64."""
    rows = re.findall(r"^\| ([a-z0-9 ]+) \| ([\d.]+) \| ([\d.]+) \|$", DOCUMENT.read_text(), re.M)
    return {name: (float(single), float(double)) for name, single, double in rows}


def stated() -> dict[str, tuple[tuple[float, float], tuple[float, float]]]:
    """The table in the docstring: function → (with, without a fused multiply-add) in f32 and f64."""
    found = {}
    for line in (lanemath.__doc__ or "").splitlines():
        parts = re.match(r"\s+([a-z0-9, ]+?)\s{2,}([\d.]+(?: / [\d.]+)?)\s{2,}([\d.]+(?: / [\d.]+)?)$", line)
        if parts:
            both = [tuple(float(x) for x in text.split(" / ")) for text in parts.groups()[1:]]
            found |= {name: tuple((b[0], b[-1]) for b in both) for name in parts[1].split(", ")}
    return found


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", accuracy.FUNCTIONS)
def test_the_table_of_the_documentation(name: str, dtype: str) -> None:
    """It bounds what a smaller sample finds, and is not far above."""
    if not Target.host().has_fma:
        pytest.skip("the table is of machines with a fused multiply-add")
    figure = accuracy.measured(name, dtype, COUNT[dtype])
    if figure is None:
        pytest.skip("the reference for f64 needs an 80-bit long double")
    bound = documented()[name][dtype == "f64"]
    assert 0.6 * bound <= figure[0] <= bound, f"at {figure[1]}"


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", [name for name in accuracy.FUNCTIONS if name in lanemath.__all__])
def test_the_bounds_of_the_docstring(name: str, dtype: str, fused: bool) -> None:
    if dtype == "f64" and NO_REFERENCE:
        pytest.skip("the reference for f64 needs an 80-bit long double")
    row, narrow = accuracy.FUNCTIONS[name], np.dtype(np.float32 if dtype == "f32" else np.float64)
    x = accuracy.samples(row, narrow, COUNT[dtype])
    with np.errstate(all="ignore"):
        exact = row.exact(x.astype(np.float64 if dtype == "f32" else np.longdouble))
    error, at = accuracy.ulp_error(evaluate(getattr(lanemath, name), x, fused=fused), exact, exact)
    assert error <= stated()[name][dtype == "f64"][not fused], f"at {x[at]}"


def test_a_wrong_result_is_seen() -> None:
    exact = np.array([1.0, 2.0, np.inf, np.nan])
    for place, wrong in enumerate([1.5, np.nan, 3.0, 0.0]):
        found = exact.astype(np.float32)
        found[place] = wrong
        error, at = accuracy.ulp_error(found, exact, exact)
        assert error > 1e6 and at == place
    assert accuracy.ulp_error(exact.astype(np.float32), exact, exact)[0] == 0


def test_sums_and_products_are_as_accurate_as_documented() -> None:
    for errors in (accuracy.sums(100_000), accuracy.products(64, 784, 128), accuracy.products(3, 65_536, 5)):
        assert errors["compiled"] < 10 and errors["eager"] < 10


def test_the_command_prints_every_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "SUMS", (1000,))
    monkeypatch.setattr(accuracy, "PRODUCTS", ((3, 50, 4),))
    console = Console(file=io.StringIO(), width=200)
    found = accuracy.run(console, 1 << 10)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(name in text for name in accuracy.FUNCTIONS)
    assert set(found["functions"]) == set(accuracy.FUNCTIONS) == set(documented())
    assert set(found["sums"]) == {"sum of 1,000", "[3, 50] @ [50, 4]"}
