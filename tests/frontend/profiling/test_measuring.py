"""Parameters, bytes and seconds, and the table of all."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.profiling.latency import Latency, time_calls

profiler = tt.Profiler(repeats=6, warmup=1, seconds=0.2)


def mlp() -> tt.Sequential:
    return tt.Sequential(tt.Linear(20, 30), tt.ReLU(), tt.Linear(30, 10))


def test_what_is_measured_can_be_copied_and_pickled() -> None:
    profile = tt.Profiler(repeats=2, warmup=0).profile(lambda x: x * 2, (3, 8))
    sparsity = tt.measure_sparsity(mlp())
    for number in (profile.flops, profile.eager, sparsity):
        for made in (copy.deepcopy(number), pickle.loads(pickle.dumps(number))):
            assert type(made) is type(number) and made == number and vars(made) == vars(number)
    assert profile.as_dict()["modules"][0]["flops"] == 24


def test_parameters_count_once() -> None:
    model = mlp()
    assert profiler.count_parameters(model) == 20 * 30 + 30 + 30 * 10 + 10
    model[0].weight.requires_grad_(False)
    assert profiler.count_parameters(model, trainable=True) == 30 + 30 * 10 + 10
    tied = tt.GPT(11, 8, 1, 2, context_length=4, bias=False)
    assert profiler.count_parameters(tied) == 11 * 8 + 4 * 8 + 12 * 64 + 3 * 8
    assert profiler.count_parameters(tt.compile(model)) == profiler.count_parameters(model)


@pytest.mark.parametrize(("optimizer", "moments"), [(None, 0), (tt.SGD, 1), (tt.AdamW, 2)])
def test_memory_that_is_computed(optimizer: Any, moments: int) -> None:
    model = tt.Sequential(*mlp(), tt.BatchNorm1d(10))
    found = profiler.measure_memory(model, (16, 20), optimizer)
    weights = 4 * (20 * 30 + 30 + 30 * 10 + 10 + 20)
    assert (found.parameters, found.gradients) == (weights, weights)
    assert found.buffers == 2 * 4 * 10 + 8
    assert abs(found.optimizer - moments * weights) <= 8 * 8  # and counts of steps
    assert (found.inputs, found.outputs) == (4 * 16 * 20, 4 * 16 * 10)
    assert found.inference == weights + found.buffers + found.inputs + found.outputs + found.forward
    assert found.training is not None and found.training >= 4 * 16 * 30  # the hidden layer is kept
    assert found.peak > found.inference
    assert found.eager >= 4 * 16 * 30 and found.eager_training is not None and found.eager_training > weights
    assert "arena, forward" in found.table() and "optimizer state" in found.table()
    assert model.training and all(p.grad is None for p in model.parameters())


def test_memory_of_what_cannot_be_trained() -> None:
    found = profiler.measure_memory(lambda x: (x * 2).exp(), (8, 8))
    assert found.training is None and found.parameters == 0 and found.peak == found.inference
    frozen = mlp().requires_grad_(False)
    assert profiler.measure_memory(frozen, (2, 20), tt.AdamW).optimizer == 0
    with pytest.raises(tt.TinyTorchError, match="optimizer"):
        profiler.measure_memory(mlp(), (2, 20), "adam")


def test_the_optimizer_that_is_given_counts() -> None:
    model = mlp()
    optimizer = tt.SGD(model.parameters(), momentum=0.9)
    assert profiler.measure_memory(model, (2, 20), optimizer).optimizer == 4 * profiler.count_parameters(model)


def test_larger_batches_need_more() -> None:
    small, large = (profiler.measure_memory(mlp(), (batch, 20)) for batch in (8, 64))
    assert large.parameters == small.parameters and large.training > small.training and large.eager > small.eager


def test_latency_is_a_number_with_all_times_beside_it() -> None:
    model = mlp()
    for measured in (model, tt.compile(model, freeze=True), lambda x: x.exp()):
        found = profiler.measure_latency(measured, tt.randn(4, 20))
        assert isinstance(found, float) and found == found.median == found.percentile(50) > 0
        assert 5 <= len(found.times) <= 6 and found.samples == 4
        assert found.least <= found.percentile(90) <= found.percentile(99) <= max(found.times)
        assert found.throughput == 4 / found.median and "p95" in found.table()
    assert model.training and gc.isenabled()


def test_percentiles_by_hand() -> None:
    found = Latency([4.0, 1.0, 3.0, 2.0, 10.0], samples=6)
    assert (found.median, found.mean, found.least, found.percentile(100), found.throughput) == (3, 4, 1, 10, 2)
    assert found.percentile(75) == 4 and float(found) == 3
    with pytest.raises(tt.TinyTorchError, match="between 0 and 100"):
        found.percentile(101)


def test_the_time_is_bounded_and_the_warmup_not_counted() -> None:
    calls: list[int] = []
    assert len(time_calls(lambda: calls.append(1), 1000, 3, 1e-9)) == 5 and len(calls) == 8
    assert len(time_calls(lambda: None, 7, 0, 10.0)) == 7


def test_tokens_and_several_inputs() -> None:
    model = tt.GPT(11, 8, 1, 2, context_length=8)
    assert profiler.measure_latency(model, (2, 5)) > 0
    assert profiler.measure_memory(model, (2, 5)).inputs == 2 * 5 * 8
    pair = profiler.measure_latency(lambda x, y: x @ y, [(3, 4), tt.randn(4, 5)])
    assert pair > 0 and pair.samples == 3


@pytest.mark.parametrize(
    "options", [{"repeats": 0}, {"warmup": -1}, {"seconds": 0}, {"repeats": 2.5}, {"seconds": float("nan")}]
)
def test_bad_settings(options: dict[str, Any]) -> None:
    with pytest.raises(tt.TinyTorchError, match="Profiler"):
        tt.Profiler(**options)


def test_a_profile_is_a_table() -> None:
    model = tt.Sequential(tt.Conv2d(3, 4, 3, padding=1), tt.ReLU(), tt.Flatten(), tt.Linear(4 * 64, 5))
    found = profiler.profile(model, (2, 3, 8, 8), tt.AdamW)
    by_name = {row.name: row for row in found.modules}
    assert list(by_name) == ["", "0", "1", "2", "3"]
    assert by_name["0"].flops == 2 * 2 * 4 * 64 * 27 + 2 * 4 * 64 and by_name["0"].parameters == 4 * 27 + 4
    assert by_name[""].parameters == found.parameters and by_name[""].flops == found.flops
    assert all(row.seconds >= 0 for row in found.modules)
    assert by_name[""].seconds >= by_name["0"].seconds > 0
    text = str(found)
    for part in ("(0) Conv2d", "optimizer state", "eager:", "compiled:", "p99", "FLOP/s"):
        assert part in text
    assert not model[0]._hooks and model.training
    assert "<lambda>" in str(profiler.profile(lambda x: x.exp(), (3,)))
    np.testing.assert_equal(found.eager.samples, 2)
