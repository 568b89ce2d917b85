"""The pages of a comparison and of a model's profile."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.insight.browser import needs_chromium, said_by
from tests.insight.made_up import record
from tinytorch.insight.page import read_page, write_comparison


@pytest.fixture(scope="module")
def profile() -> Any:
    model = tt.Sequential(tt.Linear(8, 4), tt.ReLU(), tt.Sequential(tt.Linear(4, 2)))
    return tt.Profiler(repeats=6, warmup=1).profile(model, (3, 8), tt.SGD)


def test_a_profile_is_written_as_a_page(profile: Any, tmp_path: Path) -> None:
    profile.save_html(tmp_path / "profile.html")
    found = read_page(tmp_path / "profile.html")
    assert found["title"] == "Sequential" and found["parameters"] == 8 * 4 + 4 + 4 * 2 + 2
    assert [row["name"] for row in found["modules"]] == ["", "0", "1", "2", "2.0"]
    assert found["modules"][0]["flops"] == found["flops"] == sum(found["ops"].values()) == int(profile.flops)
    assert found["memory"]["peak"] == profile.memory.peak and found["memory"]["optimizer"] == profile.memory.optimizer
    assert np.median(found["compiled"]["times"]) == float(profile.compiled)
    with pytest.raises(tt.TinyTorchError, match="nofolder"):
        profile.save_html(tmp_path / "nofolder" / "profile.html")


PROFILE_STEPS = """
const latency = all("#latency tbody tr").map((row) => row.children[1].textContent);
all("#modules .head button").find((button) => button.textContent === "parameters").click();
return [latency, all("#modules .rows .row").map((row) => row.children[1].textContent), $(".tile .figure").textContent];
"""


@needs_chromium
def test_a_profile_shows_the_numbers_of_the_profiler(profile: Any, tmp_path: Path) -> None:
    profile.save_html(tmp_path / "profile.html")
    latency, parameters, first = said_by(tmp_path / "profile.html", PROFILE_STEPS, tmp_path)
    assert parameters == ["46", "36", "10", "10", "0"]
    units = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
    eager, compiled = (float(words.split()[0]) * units[words.split()[1]] for words in latency)
    assert eager == pytest.approx(float(profile.eager), rel=6e-3)  # three digits are shown
    assert compiled == pytest.approx(float(profile.compiled), rel=6e-3)
    assert first == latency[1]


def changed(made: dict[str, Any]) -> dict[str, Any]:
    """The record with one kernel less, one of another name, and a faster one."""
    other = copy.deepcopy(made)
    other["title"] = "other"
    other["kernels"][0]["title"] = "matmul + relu"
    other["kernels"][3]["measured"] /= 4
    del other["kernels"][5]
    other["versions"]["numpy"] = "2.2"
    return other


COMPARISON_STEPS = """
return {
  kernels: $("#pairs .quiet").textContent,
  rows: all("#pairs .rows .row").map((row) => row.textContent),
  versions: all("#target b").map((each) => each.textContent),
  diff: $("#graph .quiet").textContent,
  numerics: $("#numerics").textContent,
  figure: $("#figures tbody tr:nth-child(2)").textContent,
};
"""


@needs_chromium
def test_a_comparison_marks_what_differs(tmp_path: Path) -> None:
    made = record(12, 60)
    diff = [[" ", "%0 = relu(%x)", "%0"], ["-", "%1 = add(%0, %0)", "%1"], ["+", "%1 = mul(%0, %2)", "%1"]]
    numerics = [{"name": "loss", "largest": 2e-6, "relative": 0}]
    compared = {"a": made, "b": changed(made), "diff": diff, "numerics": numerics}
    write_comparison(compared, tmp_path / "comparison.html")
    said = said_by(tmp_path / "comparison.html", COMPARISON_STEPS, tmp_path)
    first = made["title"]
    assert said["kernels"].startswith(f"10 in both, 2 only in {first}, 1 only in other")
    assert sum("only in" in row for row in said["rows"]) == 3 and len(said["rows"]) == 13
    assert said["versions"] == ["2.1", "2.2"] and said["diff"].startswith("1 lines only in the first, 1 only")
    assert "2.0e-6" in said["numerics"] and said["figure"].startswith("kernels1211−1")
