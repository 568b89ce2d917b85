"""The networks of the suite `vision`: that all contestants compute the same, on small shapes. No times are tested."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks import harness, peak_memory, report, workloads
from benchmarks.registry import LIMIT, OURS, WORKLOADS, Case, Targets, Workload
from benchmarks.worker import digest
from benchmarks.workloads.networks import adversarial, inference, rows, training
from benchmarks.workloads.networks.adversarial import Adversarial
from benchmarks.workloads.networks.definitions import mobilenet, resnet18, resnet50, unet
from benchmarks.workloads.networks.inference import Inference
from benchmarks.workloads.networks.rows import ADVERSARIAL, INFERENCE, TRAINING, inference_builders
from benchmarks.workloads.networks.training import CHECKED, Training

workloads.load()
SMALL = {
    "resnet18": Inference(functools.partial(resnet18, width=4), (3, 12, 12), 2),
    "resnet50": Inference(functools.partial(resnet50, width=4, blocks=(1, 2), classes=7), (3, 32, 32), 1),
    "mobilenet": Inference(
        functools.partial(mobilenet, stages=((1, 8, 1, 1), (6, 8, 2, 2)), last=16, classes=5), (3, 24, 20), 2
    ),
}
RESNET = Training(functools.partial(resnet18, width=4), (3, 12, 12), 4, "classes")
UNET = Training(functools.partial(unet, widths=(4, 8)), (1, 12, 12), 2, "pixels")
DCGAN = Adversarial(3, 4, latent=6, sizes=2)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CI", "true")  # keeps OpenVINO from sending out that it is imported
    for module in (inference, training, adversarial):
        monkeypatch.setattr(module, "keep_freed_memory", lambda: None)


def assert_alike(ours: Case, theirs: Case, tolerance: float) -> None:
    expected, found = theirs.read(), ours.read()
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert array.shape == expected[name].shape
        np.testing.assert_allclose(array, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


def test_the_suite_has_the_rows_that_are_asked_for() -> None:
    names = {name for name, entry in WORKLOADS.items() if entry.suites == ("vision",)}
    assert names >= INFERENCE.keys() | TRAINING.keys() | ADVERSARIAL.keys()
    assert {"onnxruntime", "openvino"} <= WORKLOADS["mobilenet_infer_b1"].builders.keys()


@pytest.mark.parametrize(
    ("name", "parameters", "multiplications"),  # as published; for images of 32 × 32 counted by hand
    [
        ("resnet50_infer_b1", 25_557_032, 4.09e9),
        ("mobilenet_infer_b1", 3_504_872, 3.0e8),
        ("resnet18_infer_b1", 11_173_962, 5.56e8),
    ],
)  # fmt: skip
def test_networks_have_the_sizes_that_are_known(name: str, parameters: int, multiplications: float) -> None:
    what = INFERENCE[name]
    assert sum(int(np.prod(shape)) for shape in what.shapes.shapes) == parameters
    assert what.flops == pytest.approx(2 * multiplications, rel=0.01)


def test_flops_of_training_steps() -> None:
    """Forward and both gradients, but none of the images."""
    counts = RESNET.shapes.multiplications
    assert counts[0] == 12 * 12 * 4 * 3 * 9
    assert RESNET.flops == 2 * 4 * (3 * sum(counts) - counts[0])
    makes, judges = (shapes.multiplications for shapes in DCGAN.shapes)
    assert makes == [6 * 8 * 16, 16 * 8 * 4 * 16, 64 * 4 * 3 * 16]  # inputs × outputs × window
    assert judges == [8 * 8 * 4 * 3 * 16, 4 * 4 * 8 * 4 * 16, 8 * 16]
    assert DCGAN.flops == 2 * 3 * (8 * sum(judges) - 2 * judges[0] + 3 * sum(makes) - makes[0])


@pytest.mark.parametrize("name", SMALL)
def test_inference_is_alike(name: str) -> None:
    pytest.importorskip("torch")
    what = SMALL[name]
    ours, expected = inference.tinytorch_infer(what), inference.torch_infer(what)
    assert np.std(expected.read()["logits"]) > 0.05
    assert_alike(ours, expected, 2e-5)
    assert_alike(inference.torch_infer(what, last=True), expected, 2e-5)
    assert ours.done is not None and 0.4 * what.flops < ours.done() <= what.flops


@pytest.mark.parametrize("peer", ["onnxruntime", "openvino", "jax"])
def test_inference_of_other_frameworks_is_alike(peer: str) -> None:
    pytest.importorskip(peer)
    for name in ["mobilenet"] if peer == "jax" else SMALL:  # jax takes seconds to compile
        assert_alike(inference.tinytorch_infer(SMALL[name]), inference_builders(SMALL[name])[peer](), 2e-5)


def _stepped(case: Case) -> Case:
    for _ in range(CHECKED):
        case.step()
    return case


@pytest.mark.parametrize("peer", ["torch", "jax"])
@pytest.mark.parametrize(
    ("what", "module"), [(RESNET, training), (UNET, training), (DCGAN, adversarial)], ids=["resnet", "unet", "dcgan"]
)
def test_training_is_alike(what: Any, module: Any, peer: str) -> None:
    pytest.importorskip(peer)
    if peer == "jax" and what is RESNET:
        pytest.skip("jax takes long to compile it")
    theirs: Callable[[Any], Case] = getattr(module, f"{peer}_train")
    ours, expected = _stepped(module.tinytorch_train(what)), _stepped(theirs(what))
    assert_alike(ours, expected, 2e-3)
    changed = dict(expected.read())
    changed["lengths"] = changed["lengths"] + 0.2
    tampered = Workload("sample", {}, rtol=rows.RTOL, atol=rows.ATOL)
    digests = [{k: digest(v) for k, v in numbers.items()} for numbers in (ours.read(), changed)]
    assert not harness.agree(*digests, tampered)


def test_a_share_of_the_limit_is_enough_in_the_place_of_a_ratio() -> None:
    """By the operations really done, here half of those by definition."""
    row = harness.Row(Workload("sample", {}, flops=100.0, targets=Targets(best=1.5, done=0.85)), 1, done=50.0)
    row.timings = {n: harness.Timing(n, [t]) for n, t in {OURS: 1.0, "torch": 1.2, LIMIT: 1.8}.items()}
    assert report.ratios(row)["done"] == pytest.approx(0.9)
    assert report.verdicts(row) == {"best": True}
    assert report.verdicts(dataclasses.replace(row, done=40.0)) == {"best": False}
    assert "by ops done" in [column.header for column in report.table([row], [OURS, "torch"], 1).columns]


@pytest.mark.skipif(not peak_memory._CLEAR.exists(), reason="asks Linux")
def test_the_peak_of_a_step_is_seen_though_it_is_given_back() -> None:
    def case() -> Case:
        kept = np.ones(4 << 20, np.uint8)

        def step() -> Any:
            return kept, np.ones(48 << 20, np.uint8)  # freed when the step has returned

        return Case(step, dict)

    assert 40 << 20 < peak_memory.peak_of(case) < 72 << 20
