"""Intervals, verdicts, frontiers and energy counters; no clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch.frontend.benchmarking import energy
from tinytorch.frontend.benchmarking.comparison import Comparison, Result, pareto_front
from tinytorch.frontend.benchmarking.intervals import Interval, median_interval, speedup, verdict
from tinytorch.frontend.benchmarking.metrics import METRICS
from tinytorch.ir.errors import TinyTorchError


def noisy(rng: np.random.Generator, seconds: float, rounds: int = 20) -> np.ndarray:
    """Times with a spread of 5 %, of which one in ten was disturbed."""
    disturbed = np.where(rng.random(rounds) < 0.1, rng.uniform(1, 4, rounds), 1)
    return seconds * rng.normal(1, 0.05, rounds).clip(0.8) * disturbed


def test_the_interval_holds_the_median_of_what_was_measured() -> None:
    """Of 200 experiments the true median lies in at least nine of ten intervals of 95 %."""
    rng = np.random.default_rng(0)
    found = [median_interval(rng.normal(1, 0.1, 20)) for _ in range(200)]
    inside = sum(each.low <= 1 <= each.high for each in found)
    assert inside >= 180
    assert median_interval([3.0]) == Interval(3.0, 3.0, 3.0)
    wide, narrow = median_interval(rng.normal(1, 0.1, 10)), median_interval(rng.normal(1, 0.1, 1000))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


@settings(max_examples=25)
@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=30))
def test_intervals_are_in_order_and_scale(times: list[float]) -> None:
    found = median_interval(times)
    assert min(times) <= found.low <= found.median <= found.high <= max(times)
    assert median_interval(times) == found
    twice = median_interval([2 * t for t in times])
    assert (twice.low, twice.median, twice.high) == (2 * found.low, 2 * found.median, 2 * found.high)


def test_verdicts_on_a_noisy_machine() -> None:
    """Equal models are called equal nearly always, 15 % are seen nearly always, and never the wrong way round."""
    rng = np.random.default_rng(1)
    found = {"equal": [], "better": [], "worse": []}
    for _ in range(100):
        load = rng.uniform(1, 2, 20)  # what else runs slows both models of a round
        base = noisy(rng, 1.0) * load
        for name, seconds in (("equal", 1.0), ("better", 0.85), ("worse", 1.15)):
            found[name].append(verdict(speedup(base, noisy(rng, seconds) * load), margin=0.02))
    assert found["equal"].count("no difference seen") >= 90
    assert found["better"].count("faster") >= 90 and "slower" not in found["better"]
    assert found["worse"].count("slower") >= 90 and "faster" not in found["worse"]


@pytest.mark.parametrize(
    ("low", "high", "margin", "expected"),
    [
        (1.01, 1.2, 0.0, "faster"),
        (1.01, 1.2, 0.02, "no difference seen"),
        (1.03, 1.2, 0.02, "faster"),
        (0.9, 1.1, 0.0, "no difference seen"),
        (0.5, 0.99, 0.0, "slower"),
        (0.5, 0.99, 0.02, "no difference seen"),
        (0.5, 0.97, 0.02, "slower"),
    ],
)
def test_a_verdict_needs_the_whole_interval(low: float, high: float, margin: float, expected: str) -> None:
    assert verdict(Interval((low + high) / 2, low, high), margin) == expected


def test_ratios_are_those_of_the_rounds() -> None:
    """A round that took ten times as long for both says as much as the others."""
    found = speedup([2.0, 20.0, 4.0], [1.0, 10.0, 2.0])
    assert found == Interval(2.0, 2.0, 2.0)


def results(points: list[tuple[float | None, float | None]]) -> list[Result]:
    return [Result(str(i), {"size": x, "accuracy": y}) for i, (x, y) in enumerate(points)]


def names(front: tuple[Result, ...]) -> list[str]:
    return [result.name for result in front]


def test_frontiers_by_hand() -> None:
    size, accuracy = METRICS["size"], METRICS["accuracy"]
    points = [(10.0, 0.9), (5.0, 0.8), (5.0, 0.7), (7.0, 0.8), (1.0, 0.1), (None, 1.0), (20.0, 0.9), (5.0, 0.8)]
    assert names(pareto_front(results(points), size, accuracy)) == ["0", "1", "7", "4"]
    assert names(pareto_front(results([(1.0, 0.5)]), size, accuracy)) == ["0"]
    assert pareto_front(results([(None, 0.5)]), size, accuracy) == ()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_nothing_beats_the_frontier_and_it_beats_the_rest(points: list[tuple[int, int]]) -> None:
    found = results([(float(x), float(y)) for x, y in points])
    front = pareto_front(found, METRICS["size"], METRICS["accuracy"])

    def beats(a: Result, b: Result) -> bool:
        x, y = (r.figures for r in (a, b))
        return x["size"] <= y["size"] and x["accuracy"] >= y["accuracy"] and dict(x) != dict(y)

    assert front and not any(beats(other, one) for one in front for other in found)
    assert all(any(beats(one, other) for one in front) for other in found if other not in front)


def test_a_comparison_knows_its_models_and_metrics() -> None:
    found = Comparison(tuple(results([(1.0, 0.5)])), (METRICS["size"], METRICS["accuracy"]), "0", 1, 1)
    assert found["0"].figures["size"] == 1
    with pytest.raises(TinyTorchError, match="no model 'other'; there are 0"):
        found["other"]
    with pytest.raises(TinyTorchError, match="'latency' was not measured; there are size, accuracy"):
        found.front("latency", "accuracy")


def test_two_ways_of_measuring_are_joined() -> None:
    size, latency = METRICS["size"], METRICS["latency"]
    still = Comparison((Result("a", {"size": 1.0}), Result("b", {"size": 2.0})), (size,), "a", 8, 1, ("one",))
    timed = tuple(Result(name, {"latency": 0.1}, (0.1, 0.2)) for name in ("a", "b"))
    found = still.joined(Comparison(timed, (latency,), "b", 1, 2, ("two",)))
    assert [dict(r.figures) for r in found.results] == [{"size": n, "latency": 0.1} for n in (1.0, 2.0)]
    assert (found.baseline, found.samples, found.rounds, found.notes) == ("b", 1, 2, ("one", "two"))
    assert [m.name for m in found.metrics] == ["latency", "size"] and found["a"].times == (0.1, 0.2)
    again = Comparison(timed, (latency,), "b", 1, 2).joined(still)
    assert again["a"].times == (0.1, 0.2) and again.samples == 1
    with pytest.raises(TinyTorchError, match="the models are a, b and a"):
        still.joined(Comparison(timed[:1], (latency,), "a", 1, 2))


# Energy.
def machine(folder: Path, microjoules: str = "5", wraps: str = "1000", name: str = "package-0") -> Path:
    zone = folder / "intel-rapl:0"
    zone.mkdir(parents=True)
    (folder / "intel-rapl:0:0").mkdir()
    for file, text in (("name", name), ("energy_uj", microjoules), ("max_energy_range_uj", wraps)):
        (zone / file).write_text(text + "\n")
    return folder


def test_energy_by_a_counter_that_wraps(tmp_path: Path) -> None:
    folder = machine(tmp_path, "990")
    counter = folder / "intel-rapl:0" / "energy_uj"

    def call() -> None:
        counter.write_text(str((int(counter.read_text()) + 40) % 1000))

    found = energy.joules_per_call(call, folder, seconds=1e-9)
    assert found == pytest.approx(40e-6)


def test_no_counter_no_energy(tmp_path: Path) -> None:
    assert energy.counters(tmp_path) == [] and energy.joules_per_call(lambda: None, tmp_path) is None
    assert energy.counters(machine(tmp_path / "a", name="psys")) == []
    assert energy.counters(machine(tmp_path / "b", microjoules="none")) == []
    folder = machine(tmp_path / "c")
    assert len(energy.counters(folder)) == 1
    (folder / "intel-rapl:0" / "energy_uj").unlink()
    assert energy.counters(folder) == []
