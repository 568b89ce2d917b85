"""Batch norm's state against PyTorch's, and the layers `Bilinear`, `Unflatten` and `BatchNorm3d`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

F: Any = nn.functional
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(4, 3, 2, 2, 2)).astype(np.float32)
SETTINGS: list[dict[str, Any]] = [
    {}, {"momentum": None}, {"track_running_stats": False}, {"affine": False, "momentum": 0.3}, {"bias": False},
]  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "rank", "compiled"),
    [*((setting, rank, False) for setting in range(5) for rank in (1, 2, 3)), (0, 2, True), (1, 3, True), (2, 2, True)],
)
def test_batch_norm_and_its_state_are_those_of_pytorch(setting: int, rank: int, compiled: bool) -> None:
    torch, settings = pytest.importorskip("torch"), SETTINGS[setting]
    name = f"BatchNorm{rank}d"
    theirs, ours = getattr(torch.nn, name)(3, **settings), getattr(nn, name)(3, **settings)
    x = X.reshape((*X.shape[: rank + 1], -1))
    run: Any = tt.compile(ours) if compiled else ours
    for step in range(3):
        given = x * (step + 1)
        np.testing.assert_allclose(
            run(tt.tensor(given)).detach().numpy(), theirs(torch.tensor(given)).detach().numpy(), rtol=1e-4, atol=1e-5
        )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        found = ours.state_dict()[key]
        assert str(found.numpy().dtype) == str(value.numpy().dtype) and found.shape == tuple(value.shape)
        np.testing.assert_allclose(found.numpy(), value.numpy(), rtol=1e-5, atol=1e-6)
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})
    other = getattr(nn, name)(3, **settings)
    other.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    for module in (theirs, other):
        module.eval()
    np.testing.assert_allclose(
        other(tt.tensor(x)).detach().numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-5
    )


def test_statistics_by_hand_and_files_without_counts() -> None:
    norm = nn.Sequential(nn.BatchNorm3d(3, momentum=None))
    for scale in (1, 3):
        norm(tt.tensor(X * scale))
    state = {name: value.numpy() for name, value in norm.state_dict().items()}
    assert state["0.num_batches_tracked"] == 2 and state["0.num_batches_tracked"].dtype == np.int64
    np.testing.assert_allclose(state["0.running_mean"], X.mean((0, 2, 3, 4)) * 2, rtol=1e-4, atol=1e-6)
    del state["0.num_batches_tracked"]
    norm.load_state_dict(state)
    with pytest.raises(tt.TinyTorchError, match=r"missing: 0\.weight"):
        norm.load_state_dict({name: value for name, value in state.items() if name != "0.weight"})


def test_bilinear_and_unflatten() -> None:
    layer = nn.Bilinear(2, 3, 4)
    assert list(layer.state_dict()) == ["weight", "bias"] and abs(layer.weight.numpy()).max() <= 0.5**0.5
    a, b = X[:2, :, 0, 0], X[:2, :, 0].reshape(2, 3, 4)[..., :3]
    wanted = np.einsum("abi,oij,abj->abo", a, layer.weight.numpy(), b)
    assert layer.bias is not None
    np.testing.assert_allclose(
        layer(tt.tensor(a), tt.tensor(b)).detach().numpy(), wanted + layer.bias.numpy(), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(tt.ShapeError, match=r"weight is float32\[out, 2, 2\]|weight is f32\[out, 2, 2\]"):
        F.bilinear(tt.tensor(a), tt.tensor(a), layer.weight)
    assert nn.Unflatten(1, (2, -1))(tt.zeros(3, 8)).shape == (3, 2, 4)
    with pytest.raises(tt.TinyTorchError, match="unflattened_size is a tuple of sizes"):
        nn.Unflatten(1, 4)  # pyright: ignore[reportArgumentType]
