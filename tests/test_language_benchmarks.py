"""The suite `language`: that all contestants compute the same, on small shapes. No times are tested."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from benchmarks import workloads
from benchmarks.registry import WORKLOADS, Case, random
from benchmarks.workloads import attention, gpt, gpt_char, gpt_inference
from benchmarks.workloads.gpt_shapes import BASE, Shape, batches
from benchmarks.workloads.onnx_models import openvino_of, session_of

workloads.load()
SMALL = Shape(vocab=11, context=9, layers=2, heads=2, width=8, batch=2)
LONG = Shape(vocab=11, context=gpt_inference.LENGTH, layers=2, heads=2, width=8, batch=1)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CI", "true")  # keeps OpenVINO from sending out that it is imported
    monkeypatch.setattr(gpt, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(gpt_char, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(gpt_inference, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(attention, "keep_freed_memory", lambda: None)


def assert_alike(ours: Case, theirs: Case, steps: int = 1, tolerance: float = 1e-4) -> None:
    for case in (ours, theirs):
        for _ in range(steps):
            case.step()
    expected, found = theirs.read(), ours.read()
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert array.shape == expected[name].shape
        np.testing.assert_allclose(array, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


def test_the_suite_has_the_rows_that_are_asked_for() -> None:
    names = {name for name, entry in WORKLOADS.items() if entry.suites == ("language",)}
    assert names >= {
        "gpt_small_train", "gpt_base_train", "gpt_base_train_dropout", "gpt_char_train", "gpt_base_prefill",
        "gpt_base_decode", "attention_b8_h6_t256_d64_forward", "attention_b1_h8_t2048_d64_both",
    }  # fmt: skip
    assert {"onnxruntime", "openvino"} <= WORKLOADS["gpt_base_decode"].builders.keys()


def test_flops_are_those_of_the_definition() -> None:
    """GPT of 10.6 million weights in matrices: 6 for each and token, and half of the squares of attention."""
    assert BASE.matrices == 6 * (4 * 384**2 + 8 * 384**2) + 65 * 384
    tokens = 8 * 256
    assert BASE.training_flops == 6.0 * tokens * BASE.matrices + 6 * 6.0 * tokens * 256 * 384
    assert WORKLOADS["attention_b8_h6_t256_d64_forward"].flops == 2 * (8 * 6) * 2 * (256 * 256 / 2) * 64
    assert gpt_char.muon_flops(gpt_char.CHAR) == pytest.approx(7.4e9, rel=0.01)


def test_text_is_learned_from() -> None:
    text = batches(gpt_char.CHAR)[0][0]
    counts = np.bincount(text.reshape(-1), minlength=65)
    assert counts.size == 65 and counts[0] > 10 * counts[20] > 0


# Training.
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("peer", [gpt.torch_train, gpt.jax_train])
def test_trained_weights_are_alike(peer: Callable[[Shape], Case], compiled: bool) -> None:
    pytest.importorskip(peer.__name__.partition("_")[0])
    assert_alike(gpt.tinytorch_train(SMALL, compiled), peer(SMALL), gpt.CHECKED, 2e-4)


@pytest.mark.parametrize("peer", [gpt.torch_train, gpt.jax_train])
def test_losses_with_dropout_are_alike(peer: Callable[[Shape], Case]) -> None:
    pytest.importorskip(peer.__name__.partition("_")[0])
    shape = dataclasses.replace(SMALL, batch=16, dropout=0.2)
    ours = gpt.tinytorch_train(shape)
    assert_alike(ours, peer(shape), gpt.CHECKED, 1e-2)
    assert ours.read()["evaluated"] < 0.999 * ours.read()["trained"]


@pytest.mark.parametrize("peer", ["torch", "jax"])
def test_the_character_model_is_the_same(peer: str) -> None:
    """Logits of weights that are all random, and matrices behind a step of Muon."""
    pytest.importorskip(peer)
    shape = dataclasses.replace(SMALL, dropout=0.0)
    start = gpt_char.parameters(shape)
    w = {name: random(*a.shape, seed=i, scale=0.5) for i, (name, a) in enumerate(start.items())}
    tokens = batches(shape)[0][0]
    with tt.no_grad():
        ours = gpt_char.tinytorch_model(shape, w)(tt.Tensor(tokens)).numpy()
    expected: Any
    if peer == "torch":
        import torch

        turn = tuple(map(torch.from_numpy, gpt_char.rotation(shape)))
        tensors = {n: torch.tensor(a) for n, a in w.items()}
        expected = gpt_char.torch_logits(tensors, torch.from_numpy(tokens), turn, shape, 0.0).numpy()
    else:
        expected = np.asarray(gpt_char.jax_logits(w, tokens, shape, 0.0, None))
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
    train = {"torch": gpt_char.torch_train, "jax": gpt_char.jax_train}[peer]
    cases = [gpt_char.tinytorch_train(shape), train(shape)]
    for case in cases:
        case.step()
    found, wanted = (case.read() for case in cases)
    moved = [name for name in start if gpt_char.is_matrix(name) and (found[name] != start[name]).any()]
    assert {"0.projection", "1.down", "0.q"} <= set(moved)
    for name in moved:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-3, atol=1e-4, err_msg=name)


# Inference.
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("peer", ["torch", "jax", "onnxruntime", "openvino"])
def test_prefill_is_alike(peer: str, compiled: bool) -> None:
    pytest.importorskip(peer)
    builders: dict[str, Callable[[], Case]] = {
        "torch": lambda: gpt_inference.torch_prefill(SMALL),
        "jax": lambda: gpt_inference.jax_prefill(SMALL),
        "onnxruntime": lambda: gpt_inference.onnx_prefill(SMALL, session_of),
        "openvino": lambda: gpt_inference.onnx_prefill(SMALL, openvino_of),
    }
    assert_alike(gpt_inference.tinytorch_prefill(SMALL, compiled), builders[peer]())


@pytest.mark.parametrize("peer", ["torch", "jax", "onnxruntime", "openvino"])
def test_decoding_is_alike_and_begins_anew(peer: str) -> None:
    pytest.importorskip(peer)
    ours = gpt_inference.tinytorch_decode(LONG)
    assert_alike(ours, getattr(gpt_inference, f"{peer}_decode")(LONG), steps=2)
    assert len(ours.read()["text"]) == gpt_inference.PRODUCED


def test_decoding_is_what_whole_sequences_give() -> None:
    case = gpt_inference.tinytorch_decode(LONG)
    case.step()
    text = case.read()["text"]
    model = gpt.tinytorch_model(LONG, gpt_inference.weights_of(LONG)).eval()
    known = gpt_inference.sequence(LONG)[0, : gpt_inference.PROMPT]
    with tt.no_grad():
        first = model(tt.Tensor(known[None])).numpy()[0, -1].argmax()
        whole = np.concatenate([known, [first], text])[: gpt_inference.LENGTH]
        logits = model(tt.Tensor(whole[None])).numpy()[0]
    assert logits.argmax(1)[gpt_inference.PROMPT :].tolist() == text.tolist()
    assert len(set(text.tolist())) > 2


# Attention.
ATTENTION = attention.Shape(2, 3, 7, 4)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("peer", [attention.torch_both, attention.jax_both])
def test_attention_and_its_gradients_are_alike(peer: Callable[[attention.Shape], Case], compiled: bool) -> None:
    pytest.importorskip(peer.__name__.partition("_")[0])
    assert_alike(attention.tinytorch_both(ATTENTION, compiled), peer(ATTENTION))


@pytest.mark.parametrize(("peer", "run_of"), [("onnxruntime", session_of), ("openvino", openvino_of)])
def test_attention_of_onnx_models_is_alike(peer: str, run_of: Callable[..., Any]) -> None:
    pytest.importorskip(peer)
    assert_alike(attention.tinytorch_forward(ATTENTION), attention.onnx_forward(ATTENTION, run_of))
