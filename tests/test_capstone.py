"""Milestone 5 on small models and parts of the data: what it reads, trains, compares, and how it judges."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from milestones import capstone, capstone_models, cnn, tinygpt
from milestones.capstone_decoding import decode_step
from milestones.capstone_models import Scale, Subject
from milestones.capstone_variants import Recipe, variants_of
from tinytorch.frontend.benchmarking.candidates import stored_bytes
from tinytorch.frontend.benchmarking.comparison import Comparison, Result
from tinytorch.frontend.benchmarking.intervals import Interval
from tinytorch.frontend.benchmarking.metrics import METRICS

ZEROS = ("2:4 zeros", lambda model: tt.prune_n_of_m(model, 2, 4))
needs_data = pytest.mark.skipif(not os.environ.get("TINYTORCH_DATA"), reason="needs data: set TINYTORCH_DATA")
SMALL = tinygpt.Size(1e9, layers=1, heads=2, dim=16, dropout=0.1, rate=0.02, nats=9.0, aim=8.0)


@pytest.mark.parametrize("position", [0, 3, 100])
def test_a_step_makes_the_token_behind_those_in_the_cache(position: int) -> None:
    """Every call gives what the whole text would, and leaves the cache at its place."""
    tt.manual_seed(0)
    model = tt.GPT(11, 16, 2, 2, context_length=8, positions="rotary", value_residual=True).eval()
    position = min(position, 7)
    tokens = tt.tensor(np.random.default_rng(0).integers(0, 11, (1, position + 1)))
    step, arguments = decode_step(model, position)
    token, positions, _, *rows = arguments
    token.copy_(tokens[:, -1:])
    cache = tt.KVCache(1, 8, 2, 16, 2)
    with tt.no_grad():
        expected = model(tokens)[:, -1].numpy()
        if position:
            model(tokens[:, :position], cache=cache)
        for row, filled in zip(rows, [*cache.keys, *cache.values], strict=True):
            row.copy_(filled)
        compiled = tt.compile(step, freeze=True)
        for _ in range(3):
            np.testing.assert_allclose(compiled(*arguments).numpy(), expected, rtol=1e-4, atol=1e-5)
    assert positions.tolist() == [position]


def comparison(*models: tuple[str, float, float | None]) -> Comparison:
    results = [
        Result(name, {"accuracy": accuracy}, (1.0,), None, None if gain is None else Interval(gain, gain, gain))
        for name, accuracy, gain in models
    ]
    return Comparison(tuple(results), (METRICS["accuracy"],), "fp32", 1, 1)


def test_the_fastest_form_that_loses_little_counts() -> None:
    found = capstone.judge("CNN", comparison(("fp32", 0.9, None), ("a", 0.86, 3.0), ("b", 0.8, 9.0), ("c", 0.9, 1.5)))
    speed, lost, aim = found
    assert "(a)" in speed.what and speed.figure == 3.0 and speed.met and lost.figure == pytest.approx(0.04)
    assert lost.met and aim.aim and not aim.met
    speed, lost, _ = capstone.judge("GPT", comparison(("fp32", 0.9, None), ("a", 0.5, 3.0)))
    assert not speed.met and not lost.met


def test_weights_of_other_models_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.safetensors"
    tt.save_safetensors(tt.Linear(3, 4).state_dict(), file)
    with pytest.raises(capstone_models.WeightsError, match="--cnn takes cnn"):
        capstone_models._cnn_of(file)
    with pytest.raises(capstone_models.WeightsError, match="fits none of the sizes"):
        capstone_models._gpt_of(file, 65)


def test_widths_are_those_of_the_weights(tmp_path: Path) -> None:
    model = cnn.make_cnn((8, 4, 12))
    tt.save_safetensors(model.state_dict(), tmp_path / "cnn.safetensors")
    found = capstone_models._cnn_of(tmp_path / "cnn.safetensors")
    assert all(np.array_equal(a.numpy(), found.state_dict()[n].numpy()) for n, a in model.state_dict().items())


def test_without_data_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    def missing(**options: Any) -> None:
        raise capstone.DataError("CIFAR10: nothing found; set TINYTORCH_DATA")

    monkeypatch.setattr(capstone_models.tt, "CIFAR10", missing)
    assert capstone.main(["--out", str(tmp_path)]) == 2
    assert "set TINYTORCH_DATA" in capsys.readouterr().err


@needs_data
def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert capstone.main(["--out", str(tmp_path), "--gpt", str(tmp_path / "none")]) == 2
    assert "No weights" in capsys.readouterr().err


def test_forms_are_made_of_the_model_which_stays_as_it_is() -> None:
    tt.manual_seed(0)
    model = tt.Sequential(tt.Linear(8, 32), tt.ReLU(), tt.Linear(32, 4))
    before = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    tuned: list[Any] = []
    subject = Subject("MLP", model, [], tt.randn(16, 8), tuned.append)
    made = variants_of(subject, Recipe({"calibration_data": subject.calibration}, (0.5, 0.75), 4, ZEROS))
    assert list(made) == [
        "fp32", "int8", "50% narrower", "50% narrower, int8", "75% narrower", "75% narrower, int8", "2:4 zeros",
    ]  # fmt: skip
    assert made["fp32"] is model and all(np.array_equal(t.numpy(), before[n]) for n, t in model.state_dict().items())
    assert [made[f"{share}% narrower"][0].out_features for share in (50, 75)] == [16, 8]
    assert stored_bytes(made["int8"]) < stored_bytes(model) and not made["75% narrower"].training
    assert tt.measure_sparsity(made["2:4 zeros"]) == 0.5
    assert len(tuned) == 3 and tuned[-1] is made["2:4 zeros"]


@needs_data
def test_small_models_from_training_to_report(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    class Images(tt.CIFAR10):
        """The first images of a set."""

        def __init__(self, train: bool, **options: Any) -> None:
            super().__init__(train=train, **options)
            self.images, self.labels = self.arrays = tuple(a[: 128 if train else 80] for a in self.arrays)

    class Text(tt.TinyShakespeare):
        """The first characters of each part."""

        def __init__(self) -> None:
            super().__init__()
            self.text = self.text[:4000]
            self.train, self.validation = self.text[:3500], self.text[3500:]

    def two_forms(subject: Any, recipe: Recipe) -> dict[str, Any]:
        narrow = tt.prune_channels(subject.model, subject.calibration[:2], 0.5)
        subject.tune(narrow.train())
        return {"fp32": subject.model, "narrower": narrow.eval()}

    monkeypatch.setattr(capstone_models.tt, "CIFAR10", Images)
    monkeypatch.setattr(capstone_models.tt, "TinyShakespeare", Text)
    monkeypatch.setattr(tinygpt, "CONTEXT", 32)
    monkeypatch.setitem(tinygpt.SIZES, "small", SMALL)
    monkeypatch.setattr(cnn, "BATCH", 32)
    monkeypatch.setattr(capstone, "QUICK", Scale((8, 8, 16), 1, 2e8, 1, 2, 80, 8, 3))
    monkeypatch.setattr(capstone, "variants_of", two_forms)
    status = capstone.main(["--quick", "--out", str(tmp_path)])
    report = json.loads((tmp_path / "capstone.json").read_text())
    assert status == (0 if all(c["met"] for c in report["criteria"] if not c["aim"]) else 1)
    assert len(report["criteria"]) == 6 and report["figures"]["quick"]
    names = {name: {m["name"] for m in report["figures"][name]["comparison"]["models"]} for name in ("CNN", "GPT")}
    assert names == {"CNN": {"fp32", "narrower"}, "GPT": {"fp32", "narrower"}}
    for name in names:
        whole, narrow = (model["figures"] for model in report["figures"][name]["comparison"]["models"])
        assert all(narrow[metric] < whole[metric] for metric in ("size", "flops", "memory"))
    gpt = report["figures"]["GPT"]
    assert all(1 < nats < 6 for nats in gpt["nats"].values()) and gpt["comparison"]["samples"] == 1
    assert report["figures"]["CNN"]["batches"]["samples"] == 32
    for name in ("cnn", "gpt"):
        files = {p.name for p in (tmp_path / name).iterdir()}
        assert files >= {
            "report.md",
            "report.html",
            "size-accuracy.svg",
            "latency-accuracy.svg",
            "memory-throughput.svg",
        }
    shown = " ".join(capsys.readouterr().out.split())  # in lines of any width
    assert "what it costs" in shown and "criterion: ≥ 2.00×" in shown and "nats a character" in shown
