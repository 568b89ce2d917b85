"""Modules called with other parameters: values and gradients are torch's, eagerly and compiled; the module stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.func import functional_call, grad, stack_module_state

X = np.sin(np.arange(12, dtype=np.float32)).reshape(4, 3)
W = np.cos(np.arange(15, dtype=np.float32)).reshape(5, 3)


class Listed(nn.Module):
    """Parameters in containers, and one under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = [nn.Parameter(tt.ones(3)), nn.Parameter(tt.ones(3))]
        self.shift = {"b": (nn.Parameter(tt.zeros(3)), 2)}
        self.again = self.weights[0]

    def forward(self, x: Any, scale: float = 1.0) -> Any:
        return x * self.weights[0] * self.weights[1] * scale + self.shift["b"][0] + self.again


def network(module: Any) -> Any:
    return module.nn.Sequential(module.nn.Linear(3, 5), module.nn.Tanh(), module.nn.Linear(5, 1))


def inner_step(module: Any, net: Any, x: Any) -> Any:
    """A step of MAML: gradients of the loss after a step, by the parameters before it."""
    params = dict(net.named_parameters())

    def loss(params: Any) -> Any:
        return (module.func.functional_call(net, params, (x,)) ** 2).mean()

    found = module.func.grad(loss)(params)
    return loss({name: p - 0.1 * found[name] for name, p in params.items()})


def test_a_step_through_a_step_gives_the_gradients_of_torch() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = network(tt), network(torch)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    wanted = inner_step(torch, theirs, torch.tensor(X))
    wanted.backward()
    for call in (inner_step, tt.compile(inner_step)):
        ours.zero_grad()
        loss = call(tt, ours, tt.tensor(X))
        loss.backward()
        np.testing.assert_allclose(loss.item(), wanted.item(), rtol=1e-5)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.grad, q.grad, rtol=1e-4, atol=1e-7)


def test_compiled_other_tensors_are_arguments() -> None:
    layer = nn.Linear(3, 5)
    weight = layer.weight
    call = tt.compile(lambda w, x: functional_call(layer, {"weight": w, "bias": w[:, 0]}, x))
    for factor in (1, 2):
        w = tt.tensor(W * factor)
        np.testing.assert_allclose(call(w, tt.tensor(X)), X @ W.T * factor + W[:, 0] * factor, rtol=1e-5)
    assert layer.weight is weight and "signatures=1" in repr(call)
    found = tt.compile(grad(lambda w: functional_call(layer, {"weight": w}, (tt.tensor(X),)).sum()))(tt.tensor(W))
    np.testing.assert_allclose(found, np.tile(X.sum(0), (5, 1)), rtol=1e-5)


def test_parameters_in_containers_and_under_several_names() -> None:
    module = Listed()
    before = dict(module.named_parameters(remove_duplicate=False))
    x, two = tt.ones(2, 3), tt.full((3,), 2.0)
    made = functional_call(module, {"weights.0": two, "shift.b.0": two * 5}, (x,), {"scale": 3.0})
    np.testing.assert_array_equal(made, 2 * 3 + 10 + 2 * np.ones((2, 3)))
    made = functional_call(module, {"weights.0": two}, x, tie_weights=False)
    np.testing.assert_array_equal(made, 2 + 1 * np.ones((2, 3)))
    after = dict(module.named_parameters(remove_duplicate=False))
    assert all(after[name] is tensor for name, tensor in before.items())
    with pytest.raises(RuntimeError, match="of the user"):
        functional_call(Failing(), {"weight": two}, (x,))


class Failing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(tt.ones(3))

    def forward(self, x: Any) -> Any:
        raise RuntimeError("of the user")


def test_buffers_that_are_given_are_those_that_change() -> None:
    norm = nn.BatchNorm1d(3)
    state = {name: tensor.clone() for name, tensor in norm.named_buffers()}
    functional_call(norm, state, (tt.tensor(X),))
    np.testing.assert_allclose(state["running_mean"], 0.1 * X.mean(0), rtol=1e-5)
    np.testing.assert_array_equal(norm.running_mean, np.zeros(3))


def test_computed_parameters_are_computed_of_the_tensors_given() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 5, bias=False))
    names = [name for name, _ in layer.named_parameters()]
    lengths, v = tt.full((5, 1), 2.0), tt.tensor(W)
    made = functional_call(layer, dict(zip(names, (lengths, v), strict=True)), tt.tensor(X))
    np.testing.assert_allclose(made, X @ (2 * W / np.linalg.norm(W, axis=1, keepdims=True)).T, rtol=1e-5)


def test_states_of_models_are_stacked() -> None:
    models = [nn.BatchNorm1d(3), nn.BatchNorm1d(3)]
    models[1].weight.data[:] = 2
    params, buffers = stack_module_state(models)
    np.testing.assert_array_equal(params["weight"], [[1, 1, 1], [2, 2, 2]])
    assert params["weight"].is_leaf and params["weight"].requires_grad and buffers["running_var"].shape == (2, 3)
    for wrong, message in (([], "at least one"), ([*models, nn.Linear(1, 1)], "of one class"), ([3], "a model is a")):
        with pytest.raises(tt.TinyTorchError, match=message):
            stack_module_state(wrong)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: functional_call(m, {"wait": tt.ones(5, 3)}, (tt.ones(3),)), "of a parameter or buffer of Linear"),
        (lambda m: functional_call(m, {"weight": tt.ones(5, 3)}, tt.ones(3), strict=True), "lack bias"),
        (lambda m: functional_call(m, ({"bias": tt.ones(5)}, {"bias": tt.ones(5)}), tt.ones(3)), "two of the dicts"),
        (lambda m: functional_call(m, {"bias": 3.0}, tt.ones(3)), "bias is a Tensor"),
        (lambda m: functional_call(3, {}, tt.ones(3)), "module is a Module"),
        (
            lambda m: functional_call(Listed(), {"weights.0": tt.ones(3), "again": tt.zeros(3)}, tt.ones(3)),
            "tie_weights=False",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(call: Any, message: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=message):
        call(nn.Linear(3, 5))
