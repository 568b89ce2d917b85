"""The analyses of the course: what they are made of, the command, and that each runs and claims what it measured."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analyses import MODULES, running
from analyses.drawing import chart
from analyses.measuring import medians
from analyses.record import Analysis, Section, Table, shown
from tinytorch.cli import app
from tinytorch.ir.errors import TinyTorchError

WRITTEN = [name for name in MODULES if (Path(running.__file__).parent / f"{name}.py").is_file()]


def test_pages_have_the_numbers_as_measured_and_pictures_that_are_the_same_bytes(tmp_path: Path) -> None:
    figure, axes = chart("n", "time, µs")
    axes.plot([1, 2], [3, 4])
    table = Table(["name", "bytes", "ratio"], [["a|b", 1234567, 0.12345], ["c", None, 2.0]])
    analysis = Analysis("A title", "f(x) = x", [Section("How many?", "Two.", table, figure)], ["Why?"])
    page = analysis.write(tmp_path, "01_a")
    text, picture = page.read_text(), (tmp_path / "01_a_1.svg").read_bytes()
    for part in (
        "# A title",
        "f(x) = x",
        "## How many?",
        "(01_a_1.svg)",
        "| a&#124;b | 1,234,567 | 0.123 |",
        "1. Why?",
    ):
        assert part in text
    assert "| --- | ---: | ---: |" in text and "| c | – | 2.00 |" in text and "Measured on " in text
    analysis.write(tmp_path, "01_a")
    assert (tmp_path / "01_a_1.svg").read_bytes() == picture


@pytest.mark.parametrize(
    ("cell", "text"), [(0.0, "0"), (-3.14159, "-3.14"), (1e-9, "1.00e-09"), (math.nan, "nan"), (True, "True")]
)
def test_cells(cell: object, text: str) -> None:
    assert shown(cell) == text


def test_medians_call_all_and_tell_slow_from_quick() -> None:
    calls: list[str] = []
    found = medians({"quick": lambda: calls.append("q"), "slow": lambda: sum(range(200_000))}, seconds=0.02)
    assert calls and 0 < found["quick"] < found["slow"]


def test_modules_by_number_and_name() -> None:
    assert running.chosen(["2", "03", "autograd"]) == ["activations", "layers", "autograd"]
    assert running.chosen(["all"]) == list(MODULES) and running.page_name("activations") == "02_activations"
    for bad in ("0", "20", "tensors", "-1"):
        with pytest.raises(TinyTorchError, match="is no module"):
            running.chosen([bad])
    assert CliRunner().invoke(app, ["analyze", "20"]).exit_code == 2


def test_the_command_prints_and_writes(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["analyze", "02", "--quick", "--out", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0 and "How sparse is ReLU" in result.output
    assert (tmp_path / "02_activations.md").is_file() and (tmp_path / "02_activations_1.svg").is_file()


@pytest.mark.parametrize("name", WRITTEN)
def test_analyses_run_and_are_whole(name: str) -> None:
    analysis = running.analyze(name, quick=True)
    assert analysis.title and analysis.background.strip() and analysis.questions
    for section in analysis.sections:
        assert section.question.endswith("?") and section.reading.endswith(".")
        assert section.table is not None or section.picture is not None
        if section.table is not None:
            assert section.table.rows
            assert all(len(row) == len(section.table.columns) for row in section.table.rows)


# What is exact in the readings: counts of operations, bytes and integers, and bounds that hold on any machine.
def test_a_product_is_counted() -> None:
    analysis = running.analyze("acceleration", quick=True)
    roofline, batches, underflow, scales = (s.table for s in analysis.sections[1:])
    assert roofline and batches and underflow and scales
    assert roofline.rows[2][:4] == ["matmul 256", 2 * 256**3, 3 * 4 * 256**2, 256 / 6]
    assert batches.rows[1][:3] == [8, 2 * 8 * 256**2, 4 * (256**2 + 2 * 8 * 256)]
    zero, infinite = ([row[i] for row in underflow.rows] for i in (1, 2))
    assert zero == sorted(zero, reverse=True) and infinite == sorted(infinite) and zero[0] > 0.01 and infinite[-1] > 0.5
    assert all(row[4] == 0 for row in underflow.rows)  # bf16 has the exponents of f32
    assert scales.rows[0][:2] == [60, 8]


def test_bytes_and_errors_of_integers_are_counted() -> None:
    rounding, scales, depth, layers = (s.table for s in running.analyze("quantization", quick=True).sections)
    assert rounding and scales and depth and layers
    assert all(0.45 < row[2] <= 0.501 for row in rounding.rows)  # in units of the scale
    assert scales.rows[-1][2] < 1.05 * scales.rows[0][2] and scales.rows[-1][1] > 50 * scales.rows[0][1]
    assert [row[1] for row in layers.rows[:3]] == [4 * 256 * 257, 2 * 256 * 257, 256 * (256 + 4 + 4 + 4)]
    assert depth.rows[0][3] < depth.rows[-1][3] < 0.1


def test_zeros_and_neurons_that_go_are_counted() -> None:
    time, accuracy, layers, structure, tickets = (s.table for s in running.analyze("compression", quick=True).sections)
    assert time and accuracy and layers and structure and tickets
    dense = 4 * (2 * 256 * 257 + 10 * 257)
    assert [row[1] for row in time.rows] == [dense] * 3
    kept = 256 - round(0.9 * 256)
    assert time.rows[-1][2] == 4 * (kept * (257 + kept + 1) + 10 * (kept + 1))
    assert [round(row[0], 3) for row in accuracy.rows] == [0, 0.5, 0.8, 0.9] and accuracy.rows[0][1] > 0.9
    assert layers.rows[1][2:5] == pytest.approx([0.9] * 3, abs=1e-3)
    assert [row[0] for row in tickets.rows] == pytest.approx([1, 0.5, 0.25], abs=1e-3)


def test_statistics_hold_what_they_claim() -> None:
    noise, alike, batches, frontier, energy = (s.table for s in running.analyze("benchmarking", quick=True).sections)
    assert noise and alike and batches and frontier and energy
    assert all(row[2] < row[1] and row[4] > 0.8 for row in noise.rows)  # medians differ less than means
    assert alike.rows[0][1] <= 0.05 < alike.rows[0][2] and alike.rows[-1][1] > 0.9
    assert {row[3] for row in frontier.rows} <= {"yes", "no"} and energy.rows[0][1] == 2 * 64 * 256 * (64 + 256 + 10)
