"""compiled.explain(): passes, kernels, the roofline, and measured times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.ir.ops import core
from tinytorch.ir.text.units import count, duration, size
from tinytorch.runtime import cache
from tinytorch.runtime.llvm.threads import peaks as peaks_module
from tinytorch.runtime.llvm.threads.peaks import WORKING_SETS, peaks, peaks_now
from tinytorch.runtime.measure import alone
from tinytorch.runtime.roofline import Peaks
from tinytorch.samples import mlp


@pytest.fixture(scope="module")
def compiled() -> tt.Compiled:
    sample = mlp()
    step = tt.compile(sample.step, backend="llvm")
    step(*sample.args)
    return step


def test_every_kernel_of_the_schedule_is_there(compiled: tt.Compiled) -> None:
    report = compiled.explain()
    assert len(report.kernels) == sum(map(len, compiled.executable.schedule.waves))
    assert [k.wave for k in report.kernels] == sorted(k.wave for k in report.kernels)
    first = next(k for k in report.kernels if k.family == "contract")
    assert first.title.startswith("matmul") and first.flops >= 2 * 64 * 784 * 128
    assert first.bytes_read == 4 * (64 * 784 + 784 * 128 + 128)  # the broadcast bias is read once
    assert first.bytes_written == 4 * 64 * 128
    assert first.intensity == first.flops / (first.bytes_read + first.bytes_written)
    assert all(k.predicted > 0 and k.measured is None for k in report.kernels if k.flops)


def test_totals(compiled: tt.Compiled) -> None:
    report = compiled.explain()
    parameters = 784 * 128 + 128 + 128 * 10 + 10
    assert report.parameters == 2 * parameters  # weights and momenta
    assert report.parameter_bytes == 8 * parameters
    assert report.arena_bytes == compiled.executable.arena_bytes > 0
    assert report.nodes_traced == len(compiled.traced_graph.nodes)
    assert [p.name for p in report.passes[-3:]] == ["fuse", "write_permuted", "share_literals"]
    assert report.passes[-1].nodes_after == report.nodes


def test_it_prints(compiled: tt.Compiled) -> None:
    text = str(compiled.explain())
    for part in ("Passes", "fuse", "Kernels", "matmul", "roofline, ", "GFLOP/s", "arena"):
        assert part in text
    assert "measured" not in text
    assert all(line == line.rstrip() for line in text.split("\n"))


def test_measured_times_stand_beside_the_predicted_ones() -> None:
    step = tt.compile(lambda x, w: (x @ w).relu().sum(), backend="llvm")
    step(tt.ones(32, 16), tt.ones(16, 8))
    report = step.explain(measure=True)
    assert report.kernels and all(k.measured is not None and 0 < k.measured < 1e-2 for k in report.kernels)
    assert "measured" in str(report)


def test_indices_and_reduced_precision_can_be_measured() -> None:
    step = tt.compile(lambda w, i: w[i].sum(), backend="llvm")
    step(tt.ones(10, 4, dtype=tt.bf16), tt.Tensor(np.arange(5)))
    assert all(k.measured for k in step.explain(measure=True).kernels)


def test_the_interpreter_explains_passes_only() -> None:
    step = tt.compile(lambda x: x.exp(), backend="interpreter")
    step(tt.ones(3))
    report = step.explain()
    assert report.kernels == () and report.peaks is None and "Kernels" not in str(report)


def test_a_kernel_alone_keeps_its_views() -> None:
    step = tt.compile(lambda x, w: (x.exp() @ w.T).tanh(), backend="llvm")
    step(tt.ones(3, 4), tt.ones(5, 4))
    node = step.graph.nodes[-1]
    graph = alone(step.graph, node)
    assert node.op is core.kernel and graph.nodes[-1] is node
    assert sorted(v.type.shape for v in graph.inputs) == [(3, 4), (5, 4)]
    assert [n.op.name for n in graph.nodes] == ["permute", "kernel"]


def test_peaks_are_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path))
    first = peaks()
    assert first.flops > 1e8 and [held for held, _ in first.bandwidths] == list(WORKING_SETS)
    monkeypatch.setattr(peaks_module, "_measure", lambda *_: pytest.fail("measured again"))
    assert peaks() == first
    monkeypatch.setattr(peaks_module, "_measure", lambda *_: {"rates": [2 * first.flops, 1, 1, 1, 1]})
    better = peaks(again=True)
    assert better.flops == 2 * first.flops and better.bandwidths == first.bandwidths
    assert peaks() == better and cache.folder() == tmp_path
    monkeypatch.setattr(peaks_module, "_measure", lambda *_: {"rates": [3, 1, 1, 1, 1]})
    assert peaks_now().flops == 3 and peaks() == better  # measured for one who asks, and not kept


def test_peaks_of_a_busy_machine_do_not_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each of the first processes measures once more, and one on a later day; the better of all counts."""
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path))
    clock, measured = [1e9], iter([5.0, 3.0, 9.0, 2.0, 1.0, 11.0])
    monkeypatch.setattr(peaks_module, "time", lambda: clock[0])
    monkeypatch.setattr(peaks_module, "_measure", lambda *_: {"rates": [next(measured), 1.0, 1.0, 1.0, 1.0]})

    def other_process() -> float:
        monkeypatch.setattr(peaks_module, "_here", {})
        assert peaks() == peaks()  # one process measures once
        return peaks().flops

    assert [other_process() for _ in range(6)] == [5, 5, 9, 9, 9, 9]
    clock[0] += 25 * 3600
    assert [other_process(), other_process()] == [9, 9]  # 1 was measured
    clock[0] += 25 * 3600
    assert [other_process(), other_process()] == [11, 11]
    assert next(measured, None) is None


@pytest.mark.parametrize(
    "kept", [{}, {"rates": [1.0]}, {"rates": [-1.0] * 5, "count": 9, "last": 1e9}, {"rates": "much"}]
)
def test_peaks_that_make_no_sense_are_measured(
    kept: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "load", lambda key: cache.Entry(kept, b""))
    monkeypatch.setattr(peaks_module, "_here", {})
    monkeypatch.setattr(peaks_module, "_measure", lambda *_: {"rates": [7.0] * 5})
    assert peaks().flops == 7


def test_the_roofline_takes_the_longer_of_two_times() -> None:
    machine = Peaks(1, 1e9, ((1000, 4e9), (10000, 1e9)))
    assert machine.seconds(1e6, 1000) == 1e-3
    assert machine.seconds(1e6, 1000, element_bytes=8) == 2e-3
    assert machine.seconds(0, 1000) == 1000 / 4e9
    assert machine.seconds(0, 50000) == 50000 / 1e9


def test_units() -> None:
    assert [count(n) for n in (0, 999, 1234567)] == ["0", "999", "1.23 M"]
    assert [size(n) for n in (0, 100, 1536)] == ["0 B", "100 B", "1.5 KiB"]
    assert [duration(s) for s in (2, 1e-3, 57.3e-6, 2e-9)] == ["2 s", "1 ms", "57.3 µs", "2 ns"]
