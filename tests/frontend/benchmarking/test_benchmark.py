"""Models compared: what is measured, how it is shown, and what is refused. No times are tested."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.benchmarking import candidates, energy
from tinytorch.frontend.benchmarking.metrics import METRICS
from tinytorch.frontend.data import TensorDataset

ALL = list(METRICS)


class Fixed(tt.Module):
    """Scores of which the largest is that of the class in the first column."""

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return -(x[:, :1] - tt.arange(3)).abs()


def data(count: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Nine of ten targets are what `Fixed` says."""
    x = np.arange(count, dtype=np.float32)[:, None] % 3 * np.ones((1, 4), np.float32)
    y = (np.arange(count) % 3).astype(np.int64)
    y[0] = 1
    return x, y


def quick(pairs: Any = None, **options: Any) -> tt.Benchmark:
    return tt.Benchmark(data() if pairs is None else pairs, rounds=3, seconds=1e-4, **options)


def mlp() -> tt.Sequential:
    tt.manual_seed(0)
    return tt.Sequential(tt.Linear(4, 16), tt.ReLU(), tt.Linear(16, 3))


def test_modules_compiled_ones_and_functions_side_by_side() -> None:
    model = mlp()
    models = {"eager": model, "compiled": tt.compile(model), "frozen": tt.compile(model, freeze=True)}
    models["function"] = lambda x: x @ tt.ones(4, 3)
    found = quick(batch_size=4).compare_models(models, ALL, baseline="compiled")
    assert [r.name for r in found.results] == list(models) and found.baseline == "compiled" and found.samples == 4
    eager, compiled, frozen, function = found.results
    weights = 4 * (4 * 16 + 16 + 16 * 3 + 3)
    assert eager.figures["accuracy"] == compiled.figures["accuracy"] == frozen.figures["accuracy"]
    assert [r.figures["size"] for r in found.results] == [weights, weights, weights, None]
    assert [r.figures["parameters"] for r in found.results] == [weights / 4] * 3 + [None]
    assert eager.figures["flops"] == 2 * 4 * (64 + 48) + 4 * (16 + 16 + 3)
    assert compiled.figures["memory"] >= weights + 4 * 4 * (4 + 3) and frozen.figures["memory"] >= weights
    assert function.figures["memory"] > 0
    for r in found.results:
        assert len(r.times) == 3 and r.latency.low <= r.figures["latency"] <= r.latency.high
        assert r.figures["throughput"] == 4 / r.figures["latency"]
        assert (r.speedup is None) == (r.name == "compiled") == (r.verdict is None)
    assert model.training
    assert "frozen" in str(found) and "against compiled" in str(found)
    assert found.as_json()["models"][0]["figures"]["size"] == weights


def test_accuracy_of_all_data_in_all_forms() -> None:
    x, y = data()
    loader = tt.DataLoader(TensorDataset(x, y), 3)
    forms = [(x, y), (tt.tensor(x), tt.tensor(y)), loader, TensorDataset(x, y), [(x[:7], y[:7]), (x[7:], y[7:])]]
    for form in forms:
        found = quick(form, batch_size=4).compare_models([Fixed()], ["accuracy"])
        assert found["Fixed"].figures == {"accuracy": 0.9}


def test_whose_scores_are_largest() -> None:
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(2, 5, 7)), rng.integers(0, 5, (2, 7))
    expected = scores.argmax(1) == targets
    assert np.array_equal(candidates.largest_scores(tt.tensor(scores), tt.tensor(targets)), expected)
    moved = np.ascontiguousarray(scores.transpose(0, 2, 1))  # [N, T, C], as language models give them
    assert np.array_equal(candidates.largest_scores(tt.tensor(moved), tt.tensor(targets)), expected)
    assert not candidates.largest_scores(np.array([[np.nan, 0.0]]), np.array([0]))  # no score is largest
    for bad in ((scores[:, 0], targets), (scores, targets.astype(np.float32)), (scores[:1], targets)):
        with pytest.raises(tt.ShapeError, match="there is no accuracy of results"):
            candidates.largest_scores(*bad)


def test_hits_may_say_what_is_right() -> None:
    x, y = data()
    found = quick((x, y.astype(np.float32)), hits=lambda p, t: (p[:, 0] > -0.5) == (t < 0.5)).compare_models(
        [Fixed()], ["accuracy"]
    )
    assert found["Fixed"].figures["accuracy"] == 0.9


def test_hits_must_be_booleans() -> None:
    for hits in (lambda p, t: None, lambda p, t: p[:, 0]):
        with pytest.raises(tt.TinyTorchError, match="gives booleans"):
            quick(hits=hits).compare_models([Fixed()], ["accuracy"])


def test_several_inputs() -> None:
    x = np.ones((4, 3), np.float32)
    found = tt.Benchmark(example=(x, x.T), rounds=2, seconds=1e-4).compare_models(
        {"product": lambda a, b: a @ b}, ["latency", "flops", "memory"]
    )
    assert found["product"].figures["flops"] == 2 * 4 * 4 * 3 and found.samples == 4
    number = tt.Benchmark(example=tt.tensor(2.0), rounds=2, seconds=1e-4).compare_models(
        [lambda x: x * x], ["throughput"]
    )
    assert number.samples == 1
    batches = [((tt.tensor(x), tt.ones(3, 2)), tt.tensor([0, 0, 0, 0]))]
    assert quick(batches).compare_models([lambda a, b: a @ b], ["accuracy"]).results[0].figures["accuracy"] == 1


def test_models_may_take_inputs_of_their_own() -> None:
    models = {"narrow": tt.compile(tt.Linear(4, 2)), "wide": tt.compile(tt.Linear(6, 2))}
    bench = tt.Benchmark(example={"narrow": tt.ones(3, 4), "wide": (tt.ones(5, 6),)}, rounds=2, seconds=1e-4)
    found = bench.compare_models(models, ["throughput", "flops"], baseline="wide")
    assert [r.figures["flops"] for r in found.results] == [3 * 2 * 9, 5 * 2 * 13] and found.samples == 5
    assert found["narrow"].figures["throughput"] == pytest.approx(3 / found["narrow"].latency.median)
    with pytest.raises(tt.TinyTorchError, match="nothing for other"):
        bench.compare_models({**models, "other": tt.Linear(4, 2)}, ["latency"])


def test_zeros_need_not_be_stored() -> None:
    layer = tt.Linear(64, 64, bias=False)
    layer.requires_grad_(False).weight.copy_(tt.where(tt.arange(64 * 64).reshape(64, 64) % 8 == 0, 1.0, 0.0))
    assert candidates.stored_bytes(layer) == 4 * 64 * 64 // 8 + 64 * 64 // 8
    assert candidates.stored_bytes(tt.Linear(3, 3)) == 4 * 12 and candidates.stored_bytes(len) is None
    tied = tt.Sequential(layer, layer)
    assert candidates.stored_bytes(tied) == candidates.stored_bytes(layer)


def test_lists_of_models_get_names() -> None:
    found = quick().compare_models([mlp(), mlp(), Fixed(), tt.compile(Fixed())], ["parameters"])
    assert [r.name for r in found.results] == ["Sequential 1", "Sequential 2", "Fixed 1", "Fixed 2"]


def test_energy_is_never_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy.joules_per_call, "__defaults__", (tmp_path, 1e-3))
    found = quick().compare_models([Fixed()], ["energy"])
    assert found["Fixed"].figures["energy"] is None and "none was measured" in str(found)


def test_reports_hold_tables_and_pictures(tmp_path: Path) -> None:
    bench = quick(confidence=0.9)
    hostile = 'a|b <script>"&$x$'
    bench.compare_models({"plain": mlp(), hostile: tt.compile(mlp(), freeze=True)}, ["accuracy", "latency", "size"])
    text = bench.generate_report(tmp_path / "new" / "report", title="<Nets>")
    folder = tmp_path / "new" / "report"
    assert sorted(p.name for p in folder.iterdir()) == [
        "latency-accuracy.svg", "report.html", "report.md", "size-accuracy.svg",
    ]  # fmt: skip
    assert (folder / "report.md").read_text() == text and "(size-accuracy.svg)" in text
    assert "their 90 % intervals" in text
    table = [line for line in text.split("\n") if line.startswith("|")]
    assert len(table) == 4 and len({line.replace("\\|", "").count("|") for line in table}) == 1
    page = (folder / "report.html").read_text()
    assert "<script" not in page and page.count("<svg") == 2 and "&lt;Nets&gt;" in page and "http" not in _links(page)
    for file in folder.glob("*.svg"):
        assert ET.fromstring(file.read_text()).tag.endswith("svg")
    assert bench.generate_report() == bench.generate_report() and ".svg" not in bench.generate_report()


def _links(page: str) -> str:
    """What a browser would fetch."""
    return " ".join(part.split('"')[0] for mark in ('src="', ' href="') for part in page.split(mark)[1:])


def test_pictures_are_of_pairs_or_of_one_metric(tmp_path: Path) -> None:
    bench = quick()
    bench.compare_models([mlp(), Fixed()], ["accuracy", "latency", "memory", "throughput", "size"])
    pairs = ["size-accuracy", "latency-accuracy", "memory-accuracy", "memory-throughput"]
    assert list(bench.plot_results(tmp_path)) == pairs
    assert sorted(p.stem for p in tmp_path.iterdir()) == sorted(pairs)
    bench.compare_models([mlp(), len_of], ["parameters"])
    assert list(bench.plot_results()) == ["parameters"]
    (tmp_path / "file").write_text("")
    for write in (bench.plot_results, bench.generate_report):
        with pytest.raises(tt.TinyTorchError, match=r"cannot write .*file[\s\S]*test_benchmark.py"):
            write(tmp_path / "file")


def len_of(x: tt.Tensor) -> tt.Tensor:
    return x.sum()


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        ([], {}, "at least one model"),
        ({}, {}, "at least one model"),
        (3, {}, "a mapping of names to models"),
        ([3], {}, "model 'int' is a function"),
        ({1: Fixed(), "1": Fixed()}, {}, "different names"),
        ([Fixed()], {"metrics": []}, "at least one of accuracy"),
        ([Fixed()], {"metrics": "latency"}, "a list of names"),
        ([Fixed()], {"metrics": ["latency", "speed"]}, 'of accuracy, .*"?speed'),
        ([Fixed()], {"metrics": [3]}, "got 3"),
        ([Fixed()], {"baseline": "other"}, "baseline is one of Fixed"),
    ],
)
def test_bad_comparisons(models: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=message):
        quick().compare_models(models, **options)


@pytest.mark.parametrize(
    "options",
    [{"rounds": 0}, {"seconds": 0}, {"confidence": 1}, {"margin": -1}, {"batch_size": 0}, {"hits": 3}, {"example": ()}],
)
def test_bad_settings(options: dict[str, Any]) -> None:
    with pytest.raises(tt.TinyTorchError, match="Benchmark: "):
        tt.Benchmark(data(), **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "nothing to call the models with"),
        (data()[0], "accuracy needs targets"),
        ([], "no batch"),
        ((data()[0][:0], data()[1][:0]), "no batch"),
        (3, "data is batches"),
        ({"x": 1}, "data is batches"),
        (iter([data()]), "gone through again"),
        ([(1, 2, 3)], "a batch is 3 things"),
        ([data()[0]], "pairs"),
        ((data()[0], data()[1][:3]), "10 inputs, but 3 targets"),
    ],
)
def test_bad_data(given: Any, message: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=message):
        tt.Benchmark(given, rounds=1).compare_models([Fixed()])


def test_a_model_that_raises_is_named() -> None:
    def broken(x: tt.Tensor) -> tt.Tensor:
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError) as caught:
        quick().compare_models({"fine": Fixed(), "bad": broken}, ["latency"])
    assert caught.value.__notes__ == ["this was the model 'bad' of compare_models"]
    other = tt.Linear(7, 3)
    with pytest.raises(tt.TinyTorchError) as shapes:
        quick().compare_models({"fine": Fixed(), "of other inputs": other})
    assert "'of other inputs'" in shapes.value.__notes__[0] and other.training


def test_nothing_is_shown_before_the_first_comparison() -> None:
    for call in (quick().plot_results, quick().generate_report):
        with pytest.raises(tt.TinyTorchError, match="call compare_models first"):
            call()
