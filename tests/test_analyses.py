"""The analyses of the course: what they are made of, the command, and that each runs and claims what it measured."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from analyses import running, spatial
from analyses.drawing import chart
from analyses.measuring import medians
from analyses.record import Analysis, Section, Table, shown
from tinytorch.cli import app
from tito.errors import CourseError
from tito.manifest import manifest

WRITTEN = [m.name for m in manifest().modules if (Path(running.__file__).parent / f"{m.name}.py").is_file()]


@cache
def analyzed(name: str) -> Analysis:
    """Each analysis runs once for all tests."""
    return running.analyze(manifest().module(name), quick=True)


def tables(name: str) -> list[Table]:
    """Those of all its sections, each of which has one."""
    found = [section.table for section in analyzed(name).sections]
    return [table for table in found if table is not None]


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
    assert [m.folder for m in running.chosen(["2", "03", "autograd"])] == ["02_activations", "03_layers", "05_autograd"]
    assert running.chosen(["all"]) == list(manifest().modules)
    for bad in ("0", "20", "tensors", "-1"):
        with pytest.raises(CourseError, match="there is no module"):
            running.chosen([bad])
    refused = CliRunner().invoke(app, ["analyze", "20"])
    assert refused.exit_code == 2 and "there is no module '20'" in refused.output


def test_the_command_prints_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {manifest().module("activations"): analyzed("activations")}
    monkeypatch.setattr(running, "analyze", lambda module, quick: known[module] if quick else None)
    result = CliRunner().invoke(app, ["analyze", "02", "--quick", "--out", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0 and "How sparse is ReLU" in result.output
    assert (tmp_path / "02_activations.md").is_file() and (tmp_path / "02_activations_1.svg").is_file()


def rows_of(name: str) -> list[list[Any]]:
    """The rows of the tables of an analysis, section by section."""
    return [[list(row) for row in section.table.rows] for section in analyzed(name).sections if section.table]


@pytest.mark.parametrize("name", WRITTEN)
def test_analyses_run_and_are_whole(name: str) -> None:
    analysis = analyzed(name)
    assert analysis.title and analysis.background.strip() and analysis.questions
    for section in analysis.sections:
        assert section.question.endswith("?") and section.reading.endswith(".")
        assert section.table is not None or section.picture is not None
        if section.table is not None:
            assert section.table.rows
            assert all(len(row) == len(section.table.columns) for row in section.table.rows)


# What is exact in the readings: counts of operations, bytes and integers, and bounds that hold on any machine.
def test_layout_and_products_are_counted() -> None:
    strides, broadcasting, distances, products, blocks = tables("tensor")
    count = strides.rows[0][2] // 4
    assert [row[2] for row in strides.rows] == [count * 4 * min(s, 16) for s in (1, 2, 4, 8, 16, 32, 64)]
    for n, own, repeated, first, second, *_ in broadcasting.rows:
        assert (own, repeated) == (4 * n, 4 * n * n) and repeated <= first < repeated * 1.3 < second
    assert all(row[2] > 64 * row[1] > 8 * row[3] and row[6] < 1e-3 for row in distances.rows)
    assert all(row[2] == 2 * row[1] ** 3 for row in products.rows)
    assert [row[1:3] for row in blocks.rows] == [[64, 2 * 128**3 // 32], [8, 2 * 128**3 // 64], [1, 2 * 128**3 // 128]]
    assert all(row[5] < 1e-4 for row in blocks.rows)


def test_activations_overflow_where_they_should_and_nowhere_else() -> None:
    overflow, sparsity, approximations, cost = tables("activations")
    first, second, own = (overflow.rows[0][i] for i in (4, 5, 6))
    assert math.isnan(first) and second == own > 0 and math.isnan(overflow.rows[-1][5])
    assert all(math.isfinite(row[3]) and math.isfinite(row[6]) for row in overflow.rows)
    for mean, zeros, *_ in sparsity.rows:
        assert abs(zeros - 0.5 * math.erfc(mean / math.sqrt(2))) < 0.02
    erf, tanh, sigmoid = (row[1] for row in approximations.rows)
    assert erf < 2e-6 < 1e-4 < tanh < 5e-4 < 0.01 < sigmoid < 0.03
    assert len(cost.rows) == 4


def test_parameters_signals_and_dropout_are_what_the_formulas_say() -> None:
    signal, memory, work, dropout = tables("layers")
    last = {(row[0], row[1]): row[4] for row in signal.rows}
    assert 0.2 < last["ReLU", "He"] < 5 and last["ReLU", "N(0, 1)"] > 1e6 and last["ReLU", "N(0, 0.01²)"] < 1e-6
    parameters = sum(o * (i + 1) for i, o in ((784, 256), (256, 128), (128, 10)))
    for batch, weights, gradients, results, peak in memory.rows:
        assert weights == gradients == 4 * parameters and results == 4 * batch * (256 + 128 + 10) < peak
    assert [row[1] for row in work.rows] == [2 * 64 * 64**2, 2 * 64 * 256**2]
    half = len(dropout.rows) // 2
    single, deep = dropout.rows[:half], dropout.rows[half:]
    assert single[-1][2] < single[0][2] / 4 and deep[-1][2] < deep[0][2]


def test_losses_are_finite_and_end_at_the_entropy() -> None:
    sizes, memory, least, gradient = tables("losses")
    assert all(row[3] == 0 and row[4] < 1e-6 for row in sizes.rows) and sizes.rows[-1][1] > 0.9
    assert all(row[1] == 4 * 32 * row[0] and row[2] > row[3] > row[4] > 1 for row in memory.rows)
    for smoothing, entropy, smallest, _, apart in least.rows:
        kinds = [1 - smoothing + smoothing / 10, *[smoothing / 10] * 9]
        assert entropy == pytest.approx(-sum(t * math.log(t) for t in kinds if t), abs=1e-12)
        assert entropy - 1e-6 <= smallest < entropy + 1e-3 and apart < 1e-5
    assert all(row[2] < 1e-6 and row[3] < 1e-6 for row in gradient.rows)


def test_the_tape_grows_with_depth_and_checkpoints_keep_less() -> None:
    tape, pieces, recording, differences = tables("autograd")
    assert all(2.9 < row[3] < 3.3 for row in tape.rows) and tape.rows[-1][2] < 1.2 * tape.rows[0][2]
    kept, *others = (row[1] for row in pieces.rows)
    assert min(others) < 0.7 * kept and len(recording.rows) == 2
    assert min(row[1] for row in differences.rows) < 1e-3 and min(row[2] for row in differences.rows) < 1e-9
    assert differences.rows[-1][1] > 0.1


def test_tables_and_positions_are_counted() -> None:
    memory, cost, positions, dimensions = (s.table for s in analyzed("embeddings").sections)
    assert memory and cost and positions and dimensions
    assert [row[:4] for row in memory.rows] == [[v, v * 64, v * 256, v * 1024] for v in (256, 8192, 50257)]
    assert memory.rows[0][5] > 0.9 > 0.1 > memory.rows[-1][5]
    assert cost.rows[1][1:3] == [2 * 256 * 1024 * 64, 256 * 1024 * 4]
    known, learned = positions.rows
    assert known[1] == 0 and max(known[2:]) < 1e-10 and learned[1] == 512 * 64 and min(learned[2:]) > 0.05
    assert all(abs(row[2] / row[3] - 1) < 0.02 for row in dimensions.rows)


def test_scores_are_counted() -> None:
    memory, cost, patterns, scale = (s.table for s in analyzed("attention").sections)
    assert memory and cost and patterns and scale
    last = memory.rows[-1]
    assert last[:2] == [512, 4 * 4 * 512**2] and last[2] > 2 * last[1] and last[4] < last[1]
    assert cost.rows[-1][:2] == [512, 4 * 4 * 512**2 * 32]
    full, causal, mask, blocks = (row[2] for row in patterns.rows)
    assert full == mask == 8 * blocks and 0.5 < causal / full < 0.51
    assert all(row[4] > 5 for row in scale.rows) and scale.rows[-1][2] < 0.5


def test_parameters_operations_and_parts_of_a_batch_are_counted() -> None:
    sections = analyzed("transformers").sections
    parameters, operations, depth, parts = (s.table for s in sections)
    assert parameters and operations and depth and parts
    assert all(row[1] == row[2] for row in parameters.rows)
    assert [row[1] for row in operations.rows] == [24 * 64**2 * row[0] for row in operations.rows]
    assert operations.rows[0][3] < operations.rows[-1][3]
    recorded, silent = ([row[i] for row in depth.rows] for i in (2, 3))
    assert recorded == sorted(recorded) and recorded[-1] > 2.5 * recorded[0] and silent[-1] < 1.5 * silent[0]
    assert parts.rows[-1][2] < 0.6 * parts.rows[0][2] and parts.rows[-1][4] < 1e-5


def test_kept_keys_and_values_are_counted() -> None:
    size, cost, counts, groups = (s.table for s in analyzed("kv_cache").sections)
    assert size and cost and counts and groups
    assert all(row[3] == row[4] for row in size.rows) and size.rows[0][3] == 4 * 2 * 2 * 64 * 64
    assert all(row[4] < 1e-4 for row in cost.rows)
    first, last = counts.rows[0], counts.rows[-1]
    assert first[1] == first[2] == first[4] == first[5] and last[1] > 200 * last[2] and last[6] > 100
    assert [row[1] for row in groups.rows[:4]] == [4 * 2 * 512 * kept * 64 for kept in (8, 4, 2, 1)]


def test_operations_of_different_work_are_equal() -> None:
    work, bandwidth, roofline, times = (s.table for s in analyzed("profiling").sections)
    assert work and bandwidth and roofline and times
    assert work.rows[0][1:4] == [2 * 128**3, 128**3, 2 * 4 * 128**2]
    assert max(row[1] for row in work.rows) < 1.02 * min(row[1] for row in work.rows)
    assert all(row[1] == 12 * row[0] for row in bandwidth.rows) and roofline.rows[0][3] == 1 / 12
    least, median, mean, percentile, largest = (row[1] for row in times.rows[1:])
    assert least <= median <= percentile <= largest and least <= mean <= largest


def test_a_product_is_counted() -> None:
    analysis = analyzed("acceleration")
    roofline, batches, underflow, scales = (s.table for s in analysis.sections[1:])
    assert roofline and batches and underflow and scales
    assert roofline.rows[2][:4] == ["matmul 256", 2 * 256**3, 3 * 4 * 256**2, 256 / 6]
    assert batches.rows[3][:3] == [8, 2 * 8 * 256**2, 4 * (256**2 + 2 * 8 * 256)]
    zero, infinite = ([row[i] for row in underflow.rows] for i in (1, 2))
    assert zero == sorted(zero, reverse=True) and infinite == sorted(infinite) and zero[0] > 0.01 and infinite[-1] > 0.5
    assert all(row[4] == 0 for row in underflow.rows)  # bf16 has the exponents of f32
    assert scales.rows[0][:2] == [60, 8]


def test_bytes_and_errors_of_integers_are_counted() -> None:
    rounding, scales, depth, layers = (s.table for s in analyzed("quantization").sections)
    assert rounding and scales and depth and layers
    assert all(0.45 < row[2] <= 0.501 for row in rounding.rows)  # in units of the scale
    assert scales.rows[-1][2] < 1.05 * scales.rows[0][2] and scales.rows[-1][1] > 50 * scales.rows[0][1]
    assert [row[1] for row in layers.rows[:3]] == [4 * 256 * 257, 2 * 256 * 257, 256 * (256 + 4 + 4 + 4)]
    assert depth.rows[0][3] < depth.rows[-1][3] < 0.1


def test_zeros_and_neurons_that_go_are_counted() -> None:
    time, accuracy, layers, structure, tickets = (s.table for s in analyzed("compression").sections)
    assert time and accuracy and layers and structure and tickets
    dense = 4 * (2 * 1024 * 1025 + 10 * 1025)
    assert [row[1] for row in time.rows] == [dense] * 3
    kept = 1024 - round(0.9 * 1024)
    assert time.rows[-1][2] == 4 * (kept * (1025 + kept + 1) + 10 * (kept + 1))
    assert [round(row[0], 3) for row in accuracy.rows] == [0, 0.5, 0.8, 0.9] and accuracy.rows[0][1] > 0.9
    assert layers.rows[1][2:5] == pytest.approx([0.9] * 3, abs=1e-3)
    assert [row[0] for row in tickets.rows] == pytest.approx([1, 0.5, 0.25], abs=1e-3)


def test_statistics_hold_what_they_claim() -> None:
    noise, alike, batches, frontier, energy = (s.table for s in analyzed("benchmarking").sections)
    assert noise and alike and batches and frontier and energy
    assert all(row[2] < row[1] and row[4] > 0.8 for row in noise.rows)  # medians differ less than means
    assert alike.rows[0][1] <= 0.05 < alike.rows[0][2] and alike.rows[-1][1] > 0.9
    assert {row[3] for row in frontier.rows} <= {"yes", "no"} and energy.rows[0][1] == 2 * 64 * 256 * (64 + 256 + 10)


def test_state_curvature_and_decay_of_optimizers() -> None:
    memory, curvature, decay, cost = rows_of("optimizers")
    count = 784 * 256 + 256 + 256 * 10 + 10
    assert [row[1:3] for row in memory] == [[4 * count] * 2] * 3
    assert [row[3] for row in memory] == [0, 4 * count, 8 * count + 8]  # and Adam's count of steps
    assert all(heavy < plain for _, plain, heavy, *_ in curvature[1:])
    assert len({row[3] for row in curvature}) == 1 and curvature[-1][4] > curvature[-1][3]  # aligned, and rotated
    assert [row[1] for row in decay] == pytest.approx([0.999**100] * len(decay), abs=5e-3)
    assert decay[-1][2] > 0.98 and [row[1] for row in cost] == [12, 20, 28]


def test_memory_and_gradients_of_batches() -> None:
    memory, convergence, accumulated, _ = rows_of("training")
    count = 784 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10
    assert {row[1] for row in memory} == {4 * 4 * count + 8}  # parameters, gradients, two moments, a count of steps
    assert all(row[3] == row[1] + row[2] and row[2] >= 4 * row[0] * 784 for row in memory)
    assert [row[1] for row in convergence] == [6 * 48, 6 * 3]
    assert all(row[2] < 1e-5 for row in accumulated) and accumulated[-1][3] < accumulated[0][3] / 2


def test_bytes_of_stored_images() -> None:
    storage, ahead, workers, changes = rows_of("data")
    size = 2_000 * 3072
    assert size <= storage[0][1] < 1.05 * size and storage[1][1] < 0.05 * size  # read, and mapped
    assert [row[0] for row in ahead] == [1, 4] and [row[0] for row in workers] == [0, 1, 2]
    assert all(row[2] == pytest.approx(row[1] * 1e3 / (64 * 3072)) for row in changes)


def test_windows_products_and_weights_of_convolutions() -> None:
    columns, products, times, separable = rows_of("spatial")
    assert [row[1] for row in columns] == [4 * 2 * 8 * k * k * 24 * 24 for k in (1, 3, 5, 7)]
    assert all(row[2] >= row[1] and row[-1] < 1e-5 for row in columns) and columns[-1][3] < columns[-1][1] / 5
    assert [row[1:4] for row in products[1:]] == [[36, 16, 2.25], [144, 36, 4.0], [324, 64, 81 / 16]]
    assert [row[5] for row in products] == sorted(row[5] for row in products) and products[-1][5] < 1e-5
    assert all(0 <= row[1] <= 3 and row[-1] < 1e-4 for row in times)
    assert [row[1:4:2] for row in separable] == [[9 * c * c, 1 / c + 1 / 9] for c in (16, 64)]


def test_transforms_of_winograd_give_the_definition() -> None:
    rng = np.random.default_rng(0)
    for m in (2, 4, 6):
        a, g, b = spatial.transforms(m)
        window, line = rng.standard_normal(3), rng.standard_normal(m + 2)
        assert np.allclose(a.T @ ((g @ window) * (b.T @ line)), np.convolve(line, window[::-1], "valid"))


def test_tokens_are_counted() -> None:
    vocabulary, scripts, units, merging = rows_of("tokenization")
    assert [row[0] for row in vocabulary] == [256, 512, 1024] and vocabulary[0][1] >= 1000
    assert vocabulary[0][1] > vocabulary[1][1] > vocabulary[2][1]
    assert [row[4] for row in vocabulary] == [4 * 256 * row[0] for row in vocabulary]
    assert [row[2] for row in scripts if row[0] in ("English", "Chinese", "emoji")] == [1, 3, 3.75]
    assert all(row[3] <= row[2] for row in scripts)  # merging makes tokens fewer than bytes
    assert units[0][3] == units[2][3] == 0 and units[3][3] > 0 and merging[-1][1] > merging[-1][2]
