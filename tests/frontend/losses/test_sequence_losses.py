"""The loss of sequences against all of their paths, and against PyTorch's with gradients."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

LOGITS = np.random.default_rng(0).normal(size=(6, 3, 4)).astype(np.float32)
TARGETS = np.array([[1, 2, 2], [3, 1, 0], [1, 1, 1]])


def by_all_paths(log_probs: Any, target: list[int], blank: int) -> float:
    """-log of the sum over all sequences of steps that spell the target."""
    total = 0.0
    for path in itertools.product(range(log_probs.shape[1]), repeat=log_probs.shape[0]):
        merged = [label for label, _ in itertools.groupby(path)]
        if [label for label in merged if label != blank] == target:
            total += math.exp(sum(log_probs[t, label] for t, label in enumerate(path)))
    return -math.log(total) if total else math.inf


@pytest.mark.parametrize("compiled", [False, True])
def test_losses_are_those_of_all_paths(compiled: bool) -> None:
    rows = tt.tensor(LOGITS[:5]).log_softmax(2)
    inputs, lengths, blank = [5, 4, 4], [2, 0, 3], 3
    layer: Any = nn.CTCLoss(blank, "none")
    run = tt.compile(layer) if compiled else layer
    found = run(rows, tt.tensor([[1, 1, -1], [9, 9, 9], [0, 0, 0]]), tt.tensor(inputs), tt.tensor(lengths)).numpy()
    targets = [[1, 1], [], [0, 0, 0]]
    wanted = [by_all_paths(rows.numpy()[:n, i], targets[i], blank) for i, n in enumerate(inputs)]
    assert math.isinf(wanted[2])
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("inputs", [[6, 5, 6], [6, 6, 2]])
def test_values_and_gradients_are_those_of_pytorch(joined: bool, reduction: str, inputs: list[int]) -> None:
    torch = pytest.importorskip("torch")
    lengths = [3, 2, 3]
    targets = np.concatenate([row[:n] for row, n in zip(TARGETS, lengths, strict=True)]) if joined else TARGETS
    theirs, ours = torch.tensor(LOGITS, requires_grad=True), tt.tensor(LOGITS).requires_grad_()
    layer = torch.nn.CTCLoss(reduction=reduction, zero_infinity=True)
    expected = layer(theirs.log_softmax(2), torch.tensor(targets), torch.tensor(inputs), torch.tensor(lengths))
    found = nn.CTCLoss(0, reduction, True)(ours.log_softmax(2), tt.tensor(targets), inputs, tt.tensor(lengths))
    expected.sum().backward()
    found.sum().backward()
    assert ours.grad is not None
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((TARGETS, [7, 1, 1], [1, 1, 1]), "input_lengths is at most 6"),
        ((TARGETS, [6, 6, 6], [4, 1, 1]), "target_lengths is at most 3"),
        ((TARGETS, [6, 6], [1, 1, 1]), "input_lengths are 3 integers"),
        ((TARGETS[:2], [6, 6, 6], [1, 1, 1]), r"targets are \[3, longest\]"),
        ((TARGETS[0], [6, 6, 6], [2, 1, 1]), "target_lengths is 3 in sum"),
        ((TARGETS, [6, 6, 6], [1, 1, 1], 4), "blank is one of 4 classes"),
        ((TARGETS + 4, [6, 6, 6], [1, 1, 1]), "index|out of"),
    ],
)
def test_what_fits_no_sequences_is_refused(given: Any, says: str) -> None:
    with pytest.raises((tt.TinyTorchError, IndexError), match=says):
        tt.nn.functional.ctc_loss(tt.tensor(LOGITS), tt.tensor(given[0]), *given[1:])  # pyright: ignore
