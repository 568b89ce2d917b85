"""Hooks of the gradients of modules: what they see and make is torch's, eagerly and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

X = np.sin(np.arange(12, dtype=np.float32)).reshape(4, 3)
W = np.cos(np.arange(9, dtype=np.float32)).reshape(3, 3)


def layer_of(module: Any, inner: Any) -> Any:
    class Layer(module.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = module.nn.Parameter(module.tensor(W))

        def forward(self, *args: Any) -> Any:
            return inner(self, *args)

    return Layer()


INNER: dict[str, Any] = {
    "one": lambda m, x, y, n: x @ m.weight,
    "two results": lambda m, x, y, n: (x @ m.weight, y * n),
    "a result among others": lambda m, x, y, n: ((x * y).detach(), x * y @ m.weight, None),
}


def seen(module: Any, inner: Any, wrap: Any = lambda f: f, change: bool = False, grads: bool = True) -> list[Any]:
    """What hooks see, and the gradients that are left."""
    layer = layer_of(module, inner)
    x, y = (module.tensor(a, requires_grad=grads) for a in (X, X.copy() + 1))

    def step(x: Any, y: Any) -> Any:
        found: list[Any] = []

        def pre(m: Any, grad_output: Any) -> Any:
            return tuple(None if g is None else g * 2 for g in grad_output) if change else None

        def hook(m: Any, grad_input: Any, grad_output: Any) -> Any:
            found.extend(g if g is None else g.detach() for g in (*grad_input, *grad_output))
            return tuple(None if g is None else g + 1 for g in grad_input) if change and grads else None

        with layer.register_full_backward_hook(hook), layer.register_full_backward_pre_hook(pre):
            made = layer(x * 1, y * 1, 3.0)
            made = made if isinstance(made, tuple) else (made,)
            sum((r.sin().sum() for r in made if r is not None), module.tensor(0.0)).backward()
        assert len(found) > 3
        return [g for g in (x.grad, y.grad, layer.weight.grad, *found) if g is not None]

    return [np.asarray(g.detach().numpy()) for g in wrap(step)(x, y)]


def _eagerly(f: Any) -> Any:
    return f


@pytest.mark.parametrize("change", [False, True])
@pytest.mark.parametrize("grads", [True, False])
@pytest.mark.parametrize("name", INNER)
def test_what_they_see_and_change_is_torchs(name: str, grads: bool, change: bool) -> None:
    torch = pytest.importorskip("torch")
    wanted = seen(torch, INNER[name], change=change, grads=grads)
    for wrap in (_eagerly, tt.compile):
        found = seen(tt, INNER[name], wrap, change, grads)
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_they_are_called_in_order_and_removed() -> None:
    layer, order = nn.Linear(3, 2), list[int]()
    x = tt.tensor(X, requires_grad=True)
    handles = [layer.register_full_backward_hook(lambda *_, i=i: order.append(i)) for i in (1, 2)]
    handles.append(layer.register_full_backward_hook(lambda *_: order.append(0), prepend=True))
    assert layer.has_hooks
    layer(x).sum().backward()
    with tt.no_grad():
        layer(x)
    layer(x)
    for handle in handles:
        handle.remove()
    layer(x).sum().backward()
    assert order == [0, 1, 2] and not layer.has_hooks


def test_class_activation_maps_by_hooks() -> None:
    """A forward hook keeps the features, a backward hook their gradients: Grad-CAM."""
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3))
    kept: dict[str, Any] = {}
    net[1].register_forward_hook(lambda m, args, result: kept.update(features=result))
    net[1].register_full_backward_hook(lambda m, gi, go: kept.update(gradient=go[0]))
    image = tt.arange(36).float().reshape(1, 1, 6, 6) / 36
    net(image)[0, 1].backward()
    weight = net[3].weight[1].reshape(4, 4, 4)
    np.testing.assert_allclose(kept["gradient"][0], weight.detach(), rtol=1e-6)
    assert kept["features"].shape == (1, 4, 4, 4)


def test_what_they_may_not_do() -> None:
    def call(inner: Any, hook: Any, grads: bool = True) -> None:
        layer = layer_of(tt, inner)
        layer.register_full_backward_hook(hook)
        made = layer(tt.tensor(X, requires_grad=grads))
        made.sum().backward()

    product = INNER["one"]
    one: Any = lambda m, x: product(m, x, None, None)  # noqa: E731
    with pytest.raises(tt.TinyTorchError, match="returned 2 gradients, it got 1"):
        call(one, lambda m, gi, go: (*gi, *go))
    with pytest.raises(tt.ShapeError, match=r"returned f32\[3\]"):
        call(one, lambda m, gi, go: tt.ones(3))
    with pytest.raises(tt.TinyTorchError, match="the hook returns None"):
        call(one, lambda m, gi, go: go, grads=False)
    with pytest.raises(tt.TinyTorchError, match="the result is a tensor or a tuple"):
        call(lambda m, x: {"a": x @ m.weight}, lambda *_: None)
    with pytest.raises(tt.TinyTorchError, match="hook is a function"):
        nn.Linear(1, 1).register_full_backward_hook(None)  # pyright: ignore[reportArgumentType]
