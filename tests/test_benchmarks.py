"""The harness itself: which numbers agree, who takes part, and that a run gives a table. No times are tested."""

from __future__ import annotations

import importlib.util
import io
import json
import signal
from unittest.mock import Mock

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import tinytorch as tt
from benchmarks import eager, harness, memory, report, workloads
from benchmarks.__main__ import app
from benchmarks.eager_cases import CASES
from benchmarks.registry import LIMIT, OURS, WORKLOADS, Case, Targets, Workload
from benchmarks.worker import Worker, digest
from benchmarks.workloads import cnn, convolution, whitened

workloads.load()


def workload(**options) -> Workload:
    return Workload("sample", {}, **options)


def timed(seconds: dict[str, float], **options) -> harness.Row:
    timings = {name: harness.Timing(name, [value]) for name, value in seconds.items()}
    return harness.Row(workload(**options), 1, timings)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda a: a, True),
        (lambda a: a * (1 + 1e-6), True),
        (lambda a: a + 0.01, False),
        (lambda a: a[:-1], False),
        (lambda a: np.where(np.arange(a.size) == a.size // 2 + 1, 1e9, a), False),  # not in the sample, but in the mean
        (lambda a: a * np.nan, False),
    ],
)
def test_agreement(change, same):
    array = np.linspace(-1, 2, 100_001)
    assert harness.agree({"a": digest(array)}, {"a": digest(change(array))}, workload()) is same
    assert not harness.agree({"a": digest(array)}, {"b": digest(array)}, workload())


def test_the_odd_one_out_is_not_timed():
    right, wrong = {"a": digest(np.ones(3))}, {"a": digest(np.zeros(3))}
    row = harness.Row(workload(), 1)
    assert harness.outvoted(row, {OURS: right, "torch": wrong, "jax": right}) == ["torch"]
    assert row.agreed_with == ["jax"]
    assert harness.outvoted(row, {OURS: wrong, "torch": right}) == [OURS, "torch"]  # nobody knows who is right
    assert harness.outvoted(row, {OURS: right}) == [] and "no peer" in row.notes[-1]


def test_ratios_and_targets():
    row = timed(
        {OURS: 2.0, "torch": 10.0, "jax": 5.0, "tinytorch eager": 1.0, LIMIT: 1.0},
        targets=Targets(best=2.0, torch=6.0, limit=0.5),
    )
    assert report.ratios(row) == {"torch": 5.0, "jax": 2.5, "best": 2.5, LIMIT: 0.5}
    assert report.verdicts(row) == {"best": True, "torch": False, LIMIT: True}
    assert report.verdicts(timed({"torch": 1.0}, targets=Targets(best=2.0))) == {}


def test_a_round_gives_the_time_of_a_unit():
    worker = Worker("numpy", 1)
    calls = []
    worker.cases["sample"] = Case(lambda: calls.append(None), dict, units=1e6)
    one = worker.round("sample", 1e-3)
    assert 0 < one < 1e-9
    assert len(calls) > 100


def test_a_worker_that_fails_or_dies_is_reported():
    contestant = harness.Contestant("no_such_framework", 1)
    try:
        with pytest.raises(harness.WorkerError, match="ModuleNotFoundError"):
            contestant.ask("start")
        with pytest.raises(harness.WorkerError, match="KeyError"):
            contestant.ask("build", "no such workload")
        with pytest.raises(harness.WorkerError, match="the process ended"):
            contestant.ask("stop")
    finally:
        contestant.close()


def test_a_process_that_died_is_started_again_for_the_next_workload():
    contestant = harness.Contestant("numpy", 1)
    try:
        with pytest.raises(harness.WorkerError, match="the process ended"):
            contestant.ask("stop")
        contestant.drop("perceptron_train")
        assert contestant.ask("build", "perceptron_train")
    finally:
        contestant.close()


def test_a_run_from_processes_to_table_and_json(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    names = ["perceptron_train", "gemm_nn_64x128x784"]
    rows, versions = harness.run([WORKLOADS[name] for name in names], ["numpy"], 1, 2, 1e-3, console)
    assert versions["numpy"] == np.__version__
    assert [len(row.timings["numpy"].rounds) for row in rows] == [2, 2]
    assert LIMIT in rows[1].timings and LIMIT not in rows[0].timings
    console.print(report.table(rows, ["numpy"], 1))
    assert all(name in console.file.getvalue() for name in names)
    lines = report.as_markdown(report.table(rows, ["numpy"], 1)).splitlines()
    assert lines[0].startswith("**1 thread") and [line.split("|")[1].strip() for line in lines[4:]] == names
    assert {line.count("|") for line in lines[2:]} == {len(report.table(rows, ["numpy"], 1).columns) + 1}
    report.write_json(tmp_path / "out.json", report.as_json({}, {}, rows, []))
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["workloads"][1]["seconds"]["numpy"] == rows[1].timings["numpy"].median


def test_markdown_has_the_words_of_a_table_alone():
    row = timed({OURS: 2.0, "torch": 10.0}, targets=Targets(torch=4.0, best=6.0))
    row.workload.builders.update({OURS: dict, "torch": dict})
    *_, line = report.as_markdown(report.table([row], [OURS, "torch"], 1)).splitlines()
    assert "✓ torch 4.0×" in line and "✗ best 6.0×" in line and "[" not in line and "10 s 5.00×" in line


def test_every_workload_has_ours_and_a_peer_to_check_it():
    for entry in WORKLOADS.values():
        others = entry.builders.keys() - {OURS, "tinytorch eager"}
        assert OURS in entry.builders and len(others) >= (1 if entry.suites == ("compression",) else 2)
        assert {"fma": entry.flops, "copy": entry.bytes, "read": entry.bytes, None: 1}[entry.limit] > 0


def test_a_table_has_a_column_for_those_who_take_part():
    row = harness.Row(Workload("sample", {OURS: dict, "torch": dict}), 1)
    columns = [column.header for column in report.table([row], [OURS, "torch", "torch channels_last"], 1).columns]
    assert columns == ["workload", OURS, "rate", "of limit", "torch", "targets"]


def test_suites_are_apart():
    vision = {name for name, entry in WORKLOADS.items() if entry.suites == ("vision",)}
    assert {name for name, entry in WORKLOADS.items() if "vision" in entry.suites} == vision
    assert {"cnn_train_b128", "cnn_infer_b1", "cnn_infer_b128_frozen", "conv3x3_b128_32to64_16x16_dx"} <= vision
    assert WORKLOADS["cnn_train_b128"].flops == pytest.approx(8.1e9, rel=0.01)
    assert WORKLOADS["conv7x7s2_b8_3to64_112x112_forward"].flops == 2 * 8 * 64 * 56 * 56 * 3 * 49


SMALL = [
    convolution.Shape(2, 3, 5, (6, 7), 3, padding=1),
    convolution.Shape(2, 4, 4, (5, 4), 3, padding=1, groups=4),
    convolution.Shape(1, 3, 6, (9, 8), 5, stride=2, padding=2),
    convolution.Shape(3, 6, 2, (3, 4), 1),
]


@pytest.mark.parametrize("direction", ["forward", "dx", "dw"])
@pytest.mark.parametrize("shape", SMALL, ids=lambda shape: shape.name)
def test_convolutions_of_all_frameworks_agree(shape, direction, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("TT_BACKEND", "interpreter")
    expected = convolution.torch_convolution(shape, direction).read()["y"]
    others = [convolution.tinytorch_convolution, convolution.torch_convolution]
    for builder, options in zip(others, ({}, {"last": True}), strict=True):
        found = builder(shape, direction, **options).read()["y"]
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("direction", "op"), [("forward", "conv2d"), ("dx", "conv2d"), ("dw", "conv2d_weight_grad")])
def test_a_single_convolution_is_all_that_runs(direction, op):
    shape = SMALL[0]
    step = tt.compile(convolution.tinytorch_function(shape, direction), backend="interpreter")
    x, g = (tt.zeros(2, 6, 7, channels) for channels in (3, 5))
    w = tt.zeros(*shape.weights)
    step(*{"forward": (x, w), "dx": (x, g, w), "dw": (w, x, g)}[direction])
    names = [node.op.name for node in step.graph.nodes]
    assert [name for name in names if name.startswith("conv2d")] == [op]
    assert not {"mul", "broadcast", "sum"} & set(names)


def test_networks_of_tinytorch_and_torch_train_alike(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("TT_BACKEND", "interpreter")
    ours, theirs = cnn.tinytorch_train(2), cnn.torch_train(2)
    ours.step()
    theirs.step()
    expected = theirs.read()
    for name, found in ours.read().items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-5)


def test_whitened_networks_of_all_frameworks_train_alike(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("TT_BACKEND", "interpreter")
    size, widths = 6, (8, 16)
    ours, *others = [whitened.tinytorch_train(size, widths), whitened.torch_train(size, widths, True)]
    if importlib.util.find_spec("jax"):
        others.append(whitened.jax_train(size, widths))
    start = {name: value.copy() for name, value in ours.read().items()}
    for _ in range(2):
        for case in (ours, *others):
            case.step()
    for case in others:
        expected = case.read()
        assert expected.keys() == ours.read().keys() == set(whitened.trained(widths))
        for name, found in ours.read().items():
            assert not np.array_equal(found, start[name])
            np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_eager_mode_is_compared_in_the_same_rounds():
    times = {"ours": [2.0, 9.0, 6.0], "torch": [1.0, 3.0, 2.0]}

    def case(flops, aimed=True):
        return {"name": "x", "aimed": aimed, "flops": flops, "forward": times}

    assert eager.ratio(case(2e6), "forward") == 3.0
    assert [eager.must_keep_up(c) for c in (case(2e6), case(1e5), case(2e6, aimed=False))] == [True, False, False]


def test_eager_mode_is_compared_only_with_what_is_there(monkeypatch):
    monkeypatch.setattr(eager.importlib.util, "find_spec", lambda name: None)
    text = io.StringIO()
    assert eager.run(Console(file=text, width=200), 1) == {}
    assert "torch is not installed" in text.getvalue()


def test_eager_cases_have_names_of_their_own():
    assert len({case.name for case in CASES}) == len(CASES)
    assert any(case.aimed for case in CASES) and not all(case.aimed for case in CASES)


def test_memory_of_training_steps_is_measured_against_the_depth():
    points = {point.way: point for point in memory.measure("MLP", 9)}
    assert list(points) == ["kept", "checkpoints", "limit"]
    kept, checkpoints, limit = points.values()
    assert checkpoints.bytes < 0.6 * kept.bytes and limit.bytes <= kept.bytes / 2
    assert kept.flops < min(limit.flops, checkpoints.flops)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--threads", "two"], "--threads"),
        (["--threads", "1,0"], "--threads"),
        (["--suite", "compile", "--nodes", "100,"], "--nodes"),
        (["--suite", "memory", "--depths", "-2"], "--depths"),
        (["--suite", "speed"], "speed is not one of"),
        (["--json", "no/such/folder.json"], "no folder"),
        (["--md", "."], "is a folder"),
        (["--json", __file__ + "/x.json"], "no folder"),
    ],
)
def test_options_that_cannot_be_met_are_refused_before_anything_is_timed(arguments, said, monkeypatch):
    monkeypatch.setattr(harness, "run", None)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 2 and said in " ".join(result.output.replace("│", "").split())


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="a system without masks of signals")
def test_workers_hear_of_no_ctrl_c(monkeypatch):
    """They inherit what is blocked as they start; the process that started them ends them, and says so in a line."""
    context = Mock()
    context.get_start_method.return_value, context.Pipe.return_value = "fork", (Mock(), Mock())
    blocked = []
    context.Process.return_value.start = lambda: blocked.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    monkeypatch.setattr(harness.multiprocessing, "get_context", lambda method: context)
    harness.Contestant("numpy", 1)
    blocked.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    assert [signal.SIGINT in mask for mask in blocked] == [True, False]
