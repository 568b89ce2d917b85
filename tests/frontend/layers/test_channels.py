"""Norms of groups and instances, dropout of channels, and arguments of layers: PyTorch's, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
import tinytorch.nn.functional as F
from tinytorch import nn

X = np.random.default_rng(0).normal(size=(2, 4, 3, 5)).astype(np.float32)


def normal(x: Any, axes: Any) -> Any:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_norms_of_groups_and_instances(compiled: bool) -> None:
    x, w = tt.tensor(X), np.arange(1, 5, dtype=np.float32)
    groups = normal(X.reshape(2, 2, 2, 3, 5), (2, 3, 4)).reshape(X.shape) * w[:, None, None] + 1
    cases: list[tuple[Any, Any]] = [
        (lambda x: F.group_norm(x, 2, tt.tensor(w), tt.ones(4)), groups),
        (F.instance_norm, normal(X, (2, 3))),
        (lambda x: F.local_response_norm(x, 2, alpha=2.0, beta=0.5),
         X / np.sqrt(1 + X**2 + np.concatenate([np.zeros_like(X[:, :1]), X[:, :-1]], 1) ** 2)),
    ]  # fmt: skip
    for function, expected in cases:
        run = tt.compile(function) if compiled else function
        np.testing.assert_allclose(run(x).numpy(), expected, rtol=2e-5, atol=2e-6)


def test_instance_norm_tracks_statistics_only_if_asked() -> None:
    layer = nn.InstanceNorm2d(4, momentum=0.5, track_running_stats=True)
    layer(tt.tensor(X))
    assert layer.running_mean is not None
    np.testing.assert_allclose(layer.running_mean.numpy(), X.mean((0, 2, 3)) / 2, rtol=1e-5)
    assert list(nn.InstanceNorm2d(4).state_dict()) == []


def test_dropout_of_channels_drops_whole_ones() -> None:
    tt.manual_seed(0)
    out = F.dropout2d(tt.ones(50, 8, 2, 2), 0.5).numpy().reshape(400, 4)
    assert set(map(tuple, out.tolist())) == {(0.0,) * 4, (2.0,) * 4}
    x = tt.randn(200, 200)
    kept = F.alpha_dropout(x, 0.3, training=True).numpy()
    assert abs(kept.mean()) < 0.02 and abs(kept.std() - 1) < 0.02
    assert F.alpha_dropout(x, 0.3).tolist() == x.tolist() and nn.Dropout1d().eval()(x).tolist() == x.tolist()


def test_an_embedding_limits_rows_and_scales_gradients() -> None:
    weight = tt.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]], requires_grad=True)
    out = F.embedding(tt.tensor([0, 0, 1]), weight, max_norm=1.0, scale_grad_by_freq=True)
    np.testing.assert_allclose(out.numpy(), [[0.6, 0.8], [0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    np.testing.assert_allclose(weight[2].tolist(), [6, 8])
    out.sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [[1, 1], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: F.group_norm(tt.zeros(2, 4), 3), "not a multiple of num_groups 3"),
        (lambda: nn.GroupNorm(3, 4), "num_channels is a multiple of num_groups 3"),
        (lambda: F.instance_norm(tt.zeros(2, 4, 1)), "more than one value for each channel"),
        (lambda: F.dropout2d(tt.zeros(2)), "x has 3 or 4 axes"),
        (lambda: nn.Linear(12, 3)(tt.zeros(2, 3, 4)), r"x.flatten\(1\) or nn.Flatten\(\)"),
        (lambda: nn.Linear(2, 3, device="cuda"), "CPU only"),
        (lambda: F.embedding(tt.tensor([0]), tt.zeros(2, 2), sparse=True), "sparse is False"),
    ],
)
def test_what_is_refused(call: Any, says: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=says):
        call()
