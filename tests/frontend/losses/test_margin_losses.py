"""Losses of distributions and with margins, and distances: values, modules, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
import tinytorch.nn.functional as F
from tinytorch import nn

A = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
B = np.array([[0.25, 1.0, 1.0], [-1.5, 0.5, 2.0]])
C = np.array([[0.0, 0.5, 3.0], [1.0, -0.25, 0.5]])
P = np.exp(B) / np.exp(B).sum(-1, keepdims=True)
SIGN, ONE = np.array([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]]), np.array([1.0, -1.0])
D = abs(A - B)


def far(a: Any, b: Any) -> Any:
    return np.sqrt(((a - b + 1e-6) ** 2).sum(-1))


COSINE = (A * B).sum(-1) / np.sqrt((A * A).sum(-1) * (B * B).sum(-1))
HINGE = np.maximum(0, 1 - A[[0, 1], [2, 0]][:, None] + A) * (1 - np.eye(3)[[2, 0]])
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = [
    ("huber_loss", (A, B), {"delta": 0.8}, np.where(D <= 0.8, D * D / 2, 0.8 * (D - 0.4))),
    ("smooth_l1_loss", (A, B), {"beta": 0.8}, np.where(D < 0.8, D * D / 1.6, D - 0.4)),
    ("kl_div", (A, P), {}, P * (np.log(P) - A)),
    ("kl_div", (A, np.log(P)), {"log_target": True}, P * (np.log(P) - A)),
    ("poisson_nll_loss", (A, P), {}, np.exp(A) - P * A),
    ("poisson_nll_loss", (P, B), {"log_input": False}, P - B * np.log(P + 1e-8)),
    ("gaussian_nll_loss", (A, B, P), {"full": True}, (np.log(P) + D * D / P + math.log(2 * math.pi)) / 2),
    ("hinge_embedding_loss", (A, SIGN), {"margin": 2.0}, np.where(SIGN > 0, A, np.maximum(0, 2 - A))),
    ("soft_margin_loss", (A, SIGN), {}, np.log1p(np.exp(-A * SIGN))),
    ("margin_ranking_loss", (A, B, SIGN), {"margin": 0.5}, np.maximum(0, SIGN * (B - A) + 0.5)),
    ("cosine_embedding_loss", (A, B, ONE), {}, np.where(ONE > 0, 1 - COSINE, np.maximum(0, COSINE))),
    ("multi_margin_loss", (A, np.array([2, 0])), {"p": 2}, (HINGE**2).sum(-1) / 3),
    ("triplet_margin_loss", (A, B, C), {}, np.maximum(0, far(A, B) - far(A, C) + 1)),
    ("triplet_margin_with_distance_loss", (A, B, C), {"margin": 4.0}, np.maximum(0, far(A, B) - far(A, C) + 4)),
    (
        "multilabel_soft_margin_loss", (A, SIGN > 0), {},
        (np.log1p(np.exp(-A)) * (SIGN > 0) + np.log1p(np.exp(A)) * (SIGN < 0)).mean(-1),
    ),
    ("mse_loss", (A, B), {"weight": tt.tensor(P)}, D * D * P),
]  # fmt: skip


@pytest.mark.parametrize(("name", "tensors", "options", "expected"), CASES, ids=[case[0] for case in CASES])
def test_values_and_reductions(name: str, tensors: tuple[Any, ...], options: dict[str, Any], expected: Any) -> None:
    function, given = getattr(F, name), [tt.tensor(x) for x in tensors]
    for run in (function, tt.compile(function)):
        np.testing.assert_allclose(run(*given, **options, reduction="none").numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose(function(*given, **options, reduction="sum").item(), expected.sum(), rtol=1e-10)
    total = expected.sum() / P.sum() if name == "mse_loss" else expected.mean()
    np.testing.assert_allclose(function(*given, **options).item(), total, rtol=1e-10)


def test_labels_listed_up_to_minus_one() -> None:
    x, y = tt.tensor([0.1, 0.2, 0.4, 0.8]), tt.tensor([3, 0, -1, 1])
    expected = 0.25 * ((1 - (0.1 - 0.2)) + (1 - (0.1 - 0.4)) + (1 - (0.8 - 0.2)) + (1 - (0.8 - 0.4)))
    for run in (F.multilabel_margin_loss, tt.compile(F.multilabel_margin_loss)):
        assert run(x, y).item() == pytest.approx(expected, rel=1e-6)


def test_distances() -> None:
    a, b = tt.tensor(A), tt.tensor(B)
    np.testing.assert_allclose(F.cosine_similarity(a, b).numpy(), COSINE, rtol=1e-12)
    np.testing.assert_allclose(F.pairwise_distance(a, b).numpy(), far(A, B), rtol=1e-12)
    np.testing.assert_allclose(F.pairwise_distance(a, b, p=1, eps=0, keepdim=True).numpy(), D.sum(-1, keepdims=True))
    rows = np.stack([*A, *B])
    expected = [math.dist(rows[i], rows[j]) for i in range(4) for j in range(i + 1, 4)]
    x = tt.tensor(rows, requires_grad=True)
    np.testing.assert_allclose(F.pdist(x).numpy(), expected, rtol=1e-12)
    zero = tt.tensor(np.zeros((2, 3)), requires_grad=True)
    F.pdist(zero).sum().backward()
    assert zero.grad is not None and zero.grad.tolist() == np.zeros((2, 3)).tolist()


def test_modules_have_pytorchs_arguments_and_state() -> None:
    a, b = tt.tensor(A), tt.tensor(B)
    assert nn.SmoothL1Loss(beta=0.8)(a, b).item() == F.smooth_l1_loss(a, b, beta=0.8).item()
    assert nn.KLDivLoss(reduction="batchmean")(a, b.softmax()).item() == pytest.approx(
        F.kl_div(a, b.softmax(), reduction="sum").item() / 2
    )
    assert nn.TripletMarginLoss(2.0, swap=True)(a, b, tt.tensor(C)).item() == pytest.approx(
        F.triplet_margin_loss(a, b, tt.tensor(C), 2.0, swap=True).item()
    )
    assert nn.GaussianNLLLoss(full=True)(a, b, 0.5).item() == pytest.approx(
        F.gaussian_nll_loss(a, b, tt.full((2, 3), 0.5, dtype="f64"), full=True).item()
    )
    weighted = nn.CrossEntropyLoss(tt.tensor([1.0, 2.0, 3.0]))
    assert list(weighted.state_dict()) == ["weight"] and list(nn.MultiMarginLoss().state_dict()) == []


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: F.huber_loss(tt.zeros(2), tt.zeros(2), delta=0), "delta is a positive number"),
        (lambda: F.kl_div(tt.zeros(2), tt.zeros(2), reduction="batch"), 'reduction is "mean"'),
        (lambda: F.multi_margin_loss(tt.zeros(2, 3), tt.zeros(2)), "integer for each row"),
        (lambda: F.multi_margin_loss(tt.zeros(2, 3), tt.tensor([0, 1]), p=3), "p is 1 or 2"),
        (lambda: F.cosine_embedding_loss(tt.zeros(2, 3), tt.zeros(2, 3), tt.zeros(2, 1)), "with a target"),
        (lambda: F.gaussian_nll_loss(tt.zeros(2, 3), tt.zeros(2, 3), tt.zeros(3)), "does not fit the input"),
        (lambda: F.gaussian_nll_loss(tt.zeros(2), tt.zeros(2), tt.full((2,), -1.0)), "not negative anywhere"),
        (lambda: F.triplet_margin_loss(tt.zeros(2, 3), tt.zeros(2, 3), tt.zeros(3)), "equally many axes"),
        (lambda: F.pdist(tt.zeros(3)), "is a matrix"),
        (lambda: nn.HuberLoss(delta=-1.0), "delta is a positive number"),
        (lambda: nn.SmoothL1Loss("sum"), "size_average is an old argument"),
    ],
)
def test_what_is_refused(call: Any, says: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=says):
        call()
