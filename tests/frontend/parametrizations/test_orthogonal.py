"""Orthogonal weights: values, gradients and state are torch's; what is compiled; and parameters that are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.nn.utils import parametrizations, parametrize

SHAPES = [(4, 4), (5, 3), (3, 5)]
X = np.sin(np.arange(20, dtype=np.float32)).reshape(4, 5)


def layer_of(module: Any, shape: tuple[int, int]) -> Any:
    layer = module.nn.Linear(shape[1], shape[0], bias=False)
    values = np.cos(np.arange(shape[0] * shape[1], dtype=np.float32) ** 2).reshape(shape)
    layer.load_state_dict({"weight": module.tensor(values)})
    return layer


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", [None, "matrix_exp", "cayley", "householder"])
def test_values_and_steps_are_those_of_torch(name: str | None, shape: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = layer_of(tt, shape), layer_of(torch, shape)
    parametrizations.orthogonal(ours, orthogonal_map=name)
    torch.nn.utils.parametrizations.orthogonal(theirs, orthogonal_map=name)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    first = np.array(theirs.weight.detach())
    np.testing.assert_allclose(ours.weight.detach(), first, atol=2e-6)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    x = X[:, : shape[1]]
    for layer, module in ((ours, tt), (theirs, torch)):
        optimizer = module.optim.SGD(layer.parameters(), lr=0.3)
        for _ in range(2):
            optimizer.zero_grad()
            (layer(module.tensor(x)) ** 3).sum().backward()
            optimizer.step()
    weight = ours.weight.detach().numpy()
    np.testing.assert_allclose(weight, theirs.weight.detach(), atol=2e-5)
    assert np.abs(weight - first).max() > 0.05
    gram = weight.T @ weight if shape[0] >= shape[1] else weight @ weight.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-5)


def test_without_a_base_reflections_are_found() -> None:
    torch = pytest.importorskip("torch")
    for shape in SHAPES:
        ours, theirs = layer_of(tt, shape), layer_of(torch, shape)
        parametrizations.orthogonal(ours, orthogonal_map="householder", use_trivialization=False)
        torch.nn.utils.parametrizations.orthogonal(theirs, orthogonal_map="householder", use_trivialization=False)
        np.testing.assert_allclose(ours.weight.detach(), theirs.weight.detach(), atol=2e-6)
        assert list(ours.state_dict()) == list(theirs.state_dict())
    with pytest.raises(tt.TinyTorchError, match="is not known"):
        parametrizations.orthogonal(layer_of(tt, (4, 4)), use_trivialization=False)


def test_reflections_are_compiled() -> None:
    layer = parametrizations.orthogonal(layer_of(tt, (5, 3)))
    x = tt.tensor(X[:, :3])
    np.testing.assert_allclose(tt.compile(layer)(x), layer(x).detach(), rtol=1e-5, atol=1e-6)
    with pytest.raises(tt.TraceError):
        tt.compile(parametrizations.orthogonal(layer_of(tt, (4, 4))))(tt.tensor(X[:, :4]))


def test_assigning_sets_the_base() -> None:
    layer = parametrizations.orthogonal(layer_of(tt, (4, 4)))
    wanted = np.linalg.qr(np.sin(np.arange(16.0).reshape(4, 4)))[0].astype(np.float32)
    layer.weight = tt.tensor(wanted)
    np.testing.assert_allclose(layer.weight.detach(), wanted, atol=1e-6)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(tt.TinyTorchError, match='"matrix_exp", "cayley" or "householder"'):
        parametrizations.orthogonal(nn.Linear(3, 3), orthogonal_map="qr")
    with pytest.raises(tt.ShapeError, match="needs a matrix"):
        parametrizations.orthogonal(nn.Linear(3, 3), "bias")


class Doubled(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2

    def right_inverse(self, x: Any) -> Any:
        return x / 2


class Counted(Doubled):
    calls = 0

    def forward(self, x: Any) -> Any:
        Counted.calls += 1
        return super().forward(x)


def test_parameters_are_computed_once_where_they_are_cached() -> None:
    layer = layer_of(tt, (3, 5))
    parametrize.register_parametrization(layer, "weight", Counted())
    Counted.calls = 0
    with parametrize.cached():
        with parametrize.cached():
            kept = layer.weight
        assert layer.weight is kept and Counted.calls == 1
        with tt.no_grad():
            assert not layer.weight.requires_grad
        layer.weight = tt.ones(3, 5)
        assert layer.weight is not kept and layer.weight.detach().tolist() == np.ones((3, 5)).tolist()
        (layer.weight.sum() + layer.weight.sum()).backward()
    assert layer.weight is not layer.weight
    np.testing.assert_array_equal(layer.parametrizations.weight.original.grad, np.full((3, 5), 4))
    layer = layer_of(tt, (3, 5))
    layer.weight.data[:] = 0.5
    parametrize.register_parametrization(layer, "weight", Doubled())
    call = tt.compile(_cached_twice)
    np.testing.assert_allclose(call(layer, tt.ones(2, 5)), 5 * np.ones((2, 3)))
    with parametrize.cached():
        np.testing.assert_allclose(call(layer, tt.ones(4, 5)), 5 * np.ones((4, 3)))


def _cached_twice(layer: Any, x: Any) -> Any:
    with parametrize.cached():
        return layer(x) + layer(x)
