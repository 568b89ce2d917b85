"""tt.compare_reports: two records side by side."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tinytorch as tt
from tinytorch.insight.record import Record, Result
from tinytorch.ir.errors import TinyTorchError
from tinytorch.samples import mlp_forward


def report(**options: Any) -> Record:
    sample = mlp_forward()
    made = tt.compile(sample.step, **options)
    made(*sample.args)
    return made.report()


@pytest.fixture(scope="module")
def plain() -> Record:
    return report()


def test_a_record_is_like_itself(plain: Record) -> None:
    both = tt.compare_reports(plain, plain)
    assert both.diff == () and [(pair.a, pair.b) for pair in both.kernels] == [(0, 0), (1, 1)]
    assert both.numerics and all(each.largest == each.relative == 0 for each in both.numerics)
    assert "kernels: 2 in both, 0 only in a, 0 only in b" in str(both)


def test_two_ways_to_compile_a_model(plain: Record, tmp_path: Path) -> None:
    narrow = report(autocast=tt.bfloat16)
    both = tt.compare_reports(plain, narrow)
    (found,) = both.numerics or ()
    assert found.name == "result 0" and 0 < found.relative < 0.02
    values: list[Any] = [plain.results[0].values, narrow.results[0].values]
    assert found.largest == max(abs(x - y) for x, y in zip(*values, strict=True))
    assert any("bf16" in text for kind, text, _ in both.diff if kind == "+")
    assert {pair.a for pair in both.kernels} >= {0, 1} and {pair.b for pair in both.kernels} >= {0, 1}
    text = str(both)
    assert "time of a call" in text and "Results on the same arguments" in text and "last compilation" in text
    plain.save(tmp_path / "a.json")
    data = both.as_dict()
    assert tt.compare_reports(tmp_path / "a.json", narrow).as_dict() == data
    assert data["a"]["title"] == "Sequential" and data["numerics"][0]["name"] == "result 0"
    both.save_html(tmp_path / "both.html")
    assert (tmp_path / "both.html").stat().st_size > 10_000


def test_pages_are_compared_too(tmp_path: Path) -> None:
    sample = mlp_forward()
    made = tt.compile(sample.step)
    made(*sample.args)
    record = made.report(tmp_path / "report.html")
    assert tt.compare_reports(tmp_path / "report.html", record).diff == ()


def test_results_that_are_no_numbers(plain: Record) -> None:
    def with_values(*values: float | None) -> Record:
        return replace(plain, results=(Result("result 0", "f32[2]", values),))

    def apart(a: Record, b: Record) -> float:
        (found,) = tt.compare_reports(a, b).numerics or ()
        return found.relative

    assert apart(with_values(None, 2.0), with_values(None, 3.0)) == 0.5
    assert math.isinf(apart(with_values(1.0, 2.0), with_values(None, 2.0)))
    assert math.isinf(apart(with_values(0.0, 0.0), with_values(0.0, 1.0)))
    assert tt.compare_reports(plain, replace(plain, arguments="others")).numerics is None
    assert tt.compare_reports(replace(plain, arguments=""), replace(plain, arguments="")).numerics is None


def test_what_is_no_report_is_a_clear_error(plain: Record, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html></html>")
    wrong: list[Any] = [3, tmp_path / "page.html", tmp_path / "none.json"]
    for each in wrong:
        with pytest.raises(TinyTorchError, match=r"report|page"):
            tt.compare_reports(plain, each)
