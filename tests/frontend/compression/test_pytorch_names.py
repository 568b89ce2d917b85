"""The functions of torch.nn.utils.prune."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn, optim
from tinytorch.nn.utils import prune


def layer() -> nn.Linear:
    made = nn.Linear(3, 4)
    made.weight.data = np.array([[1, -2, 3], [-4, 5, -6], [7, 0.5, 0.25], [8, 9, -10]], np.float32)
    return made


def test_elements_of_what_is_left_go_step_by_step() -> None:
    linear = layer()
    assert prune.l1_unstructured(linear, "weight", 0.25) is linear and prune.is_pruned(linear)
    prune.l1_unstructured(linear, name="weight", amount=0.34)  # 3 of the 9 that are left
    assert linear.weight.numpy().tolist() == [[0, 0, 0], [0, 5, -6], [7, 0, 0], [8, 9, -10]]
    prune.l1_unstructured(linear, "weight", 2)
    assert (linear.weight.numpy() == 0).sum() == 8
    prune.remove(linear, "weight")
    assert not prune.is_pruned(linear) and (linear.weight.numpy() == 0).sum() == 8
    with pytest.raises(tt.TinyTorchError, match="weight of Linear is not pruned"):
        prune.remove(linear, "weight")


def test_slices_scores_masks_and_chance() -> None:
    linear = layer()
    prune.ln_structured(linear, "weight", amount=2, n=2, dim=0)  # norms √14, √77, √49.3125, √245
    assert (linear.weight.numpy() != 0).any(1).tolist() == [False, True, False, True]
    prune.ln_structured(linear, "weight", amount=0.5, n=1, dim=0)
    assert (linear.weight.numpy() != 0).any(1).tolist() == [False, False, False, True]
    scored = prune.l1_unstructured(layer(), "weight", 11, importance_scores=np.arange(12).reshape(4, 3) % 5)
    assert scored.weight.numpy().tolist() == [[0] * 3, [0] * 3, [0] * 3, [8, 0, 0]]
    masked = prune.custom_from_mask(layer(), "bias", [1, 0, 0, 1])
    assert (masked.bias.numpy() == 0).tolist() == [False, True, True, False]
    tt.manual_seed(0)
    drawn = prune.random_unstructured(prune.identity(layer(), "weight"), "weight", 0.5)
    assert (drawn.weight.numpy() == 0).sum() == 6
    prune.random_structured(drawn, "weight", 1, dim=1)
    assert (drawn.weight.numpy() == 0).all(0).sum() >= 1


def test_masks_hold_in_training() -> None:
    model = nn.Sequential(layer(), nn.Tanh(), nn.Linear(4, 2))
    prune.global_unstructured([(model[0], "weight"), (model[2], "weight")], prune.L1Unstructured, amount=0.5)
    zeros = model[0].weight.numpy() == 0
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    model(tt.ones(5, 3)).sum().backward()
    optimizer.step()
    assert np.array_equal(model[0].weight.numpy() == 0, zeros)
    prune.global_unstructured([(model[0], "weight")], prune.RandomUnstructured, amount=2)
    assert (model[0].weight.numpy() == 0).sum() == zeros.sum() + 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: prune.l1_unstructured(m, "wait", 0.5), "name is among weight, bias"),
        (lambda m: prune.l1_unstructured(m, "weight", 1.5), "amount is a number between 0 and 1"),
        (lambda m: prune.l1_unstructured(m, "weight", 13), "at most the 12"),
        (lambda m: prune.l1_unstructured(m, "weight", -1), "amount is an integer that is not negative"),
        (lambda m: prune.l1_unstructured(m, "weight", 1, np.ones(3)), "importance_scores are"),
        (lambda m: prune.custom_from_mask(m, "weight", np.ones(3)), "the mask is"),
        (lambda m: prune.ln_structured(m, "weight", 1, 2, 5), "axis 5 is out of range"),
        (lambda m: prune.global_unstructured([(m, "weight")], max, amount=1), "pruning_method is"),
        (lambda m: prune.global_unstructured([], prune.L1Unstructured, amount=1), "no parameters"),
        (lambda m: prune.l1_unstructured(m.weight, "weight", 1), "module is a Module"),
    ],
)
def test_what_makes_no_sense_is_refused(call: Callable[[Any], object], message: str) -> None:
    linear = layer()
    with pytest.raises(tt.TinyTorchError, match=message):
        call(linear)
    assert not prune.is_pruned(linear)


@pytest.mark.parametrize(
    "call",
    [
        lambda p, m: [p.l1_unstructured(m, "weight", a) for a in (0.3, 0.3, 2)],
        lambda p, m: [
            p.ln_structured(m, "weight", a, n, d) for a, n, d in ((0.3, 2, 0), (2, 1, 1), (1, float("inf"), 0))
        ],
        lambda p, m: [p.l1_unstructured(m, "weight", 0.5), p.ln_structured(m, "weight", 2, 2, 1)],
        lambda p, m: p.global_unstructured([(m, "weight"), (m, "bias")], p.L1Unstructured, amount=0.4),
    ],
)
def test_masks_are_those_of_pytorch(call: Callable[[Any, Any], object]) -> None:
    torch = pytest.importorskip("torch")
    import torch.nn.utils.prune as their_prune

    tt.manual_seed(3)
    ours, theirs = nn.Linear(7, 6), torch.nn.Linear(7, 6)
    theirs.load_state_dict({k: torch.tensor(v.numpy().copy()) for k, v in ours.state_dict().items()})
    call(prune, ours)
    call(their_prune, theirs)
    for name in ("weight", "bias"):
        assert np.array_equal(getattr(ours, name).numpy(), getattr(theirs, name).detach().numpy())
