"""The harness itself: which numbers agree, who takes part, and that a run gives a table. No times are tested."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from benchmarks import harness, report, workloads
from benchmarks.registry import LIMIT, OURS, WORKLOADS, Case, Targets, Workload
from benchmarks.worker import Worker, digest

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


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.5, "1.5 s"), (0.0123, "12.3 ms"), (9e-6, "9 µs"), (1.2e-7, "120 ns"), (2000.0, "2000 s")]
)
def test_durations(seconds, text):
    assert report.duration(seconds) == text


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


def test_a_run_from_processes_to_table_and_json(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    names = ["perceptron_train", "gemm_nn_64x128x784"]
    rows, versions = harness.run([WORKLOADS[name] for name in names], ["numpy"], 1, 2, 1e-3, console)
    assert versions["numpy"] == np.__version__
    assert [len(row.timings["numpy"].rounds) for row in rows] == [2, 2]
    assert LIMIT in rows[1].timings and LIMIT not in rows[0].timings
    console.print(report.table(rows, ["numpy"], 1))
    assert all(name in console.file.getvalue() for name in names)
    report.write_json(tmp_path / "out.json", report.as_json({}, {}, rows, []))
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["workloads"][1]["seconds"]["numpy"] == rows[1].timings["numpy"].median


def test_every_workload_has_ours_and_a_peer_to_check_it():
    for entry in WORKLOADS.values():
        assert OURS in entry.builders and len(entry.builders.keys() - {OURS, "tinytorch eager"}) >= 2
        assert {"fma": entry.flops, "copy": entry.bytes, None: 1}[entry.limit] > 0
