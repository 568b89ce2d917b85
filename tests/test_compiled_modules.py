"""Modules 02 to 06 under tt.compile: eager, interpreter and machine code give the same numbers and the same state."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.functions import random
from tinytorch.frontend.losses import BCEWithLogitsLoss, CrossEntropyLoss
from tinytorch.frontend.module.scopes import scope
from tinytorch.frontend.optimizers import SGD, Adam, AdamW, Optimizer
from tinytorch.frontend.tensor import Tensor

Case = tuple[Callable[[], Any], list[Tensor]]  # a step, and the tensors that it changes


def training(kind: type[Optimizer], dropout: float = 0.0, frozen: bool = False, **options: Any) -> Case:
    hidden = tt.Sequential(tt.Linear(6, 8), tt.LayerNorm(8), tt.GELU(), tt.Dropout(dropout))
    model = tt.Sequential(hidden, tt.Linear(8, 3))
    if frozen:
        model[0].requires_grad_(False)
    optimizer, loss = kind(model.parameters(), **options), CrossEntropyLoss(label_smoothing=0.1)
    x, y = random.randn(5, 6), random.randint(3, (5,))

    def step() -> Tensor:
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value

    moments = [t for state in optimizer.state for t in state.values()]
    return step, [*model.parameters(), *moments, random.default_generator.state]


def nested_gradients() -> Case:
    x, w = random.randn(4, 3), random.randn(2, 3)

    def f(w: Tensor) -> Tensor:
        return (F.linear(x, w).tanh() ** 2).sum()

    return lambda: (*tt.value_and_grad(f)(w), tt.grad(lambda w: tt.grad(f)(w).square().sum())(w)), [w]


def gradient_penalty() -> Case:
    model, x = tt.Linear(3, 1), random.randn(4, 3)
    optimizer = SGD(model.parameters(), lr=0.1)

    def step() -> Tensor:
        optimizer.zero_grad()
        norm = tt.grad(lambda x: model(x).tanh().sum())(x).square().sum()
        norm.backward()
        optimizer.step()
        return norm

    return step, model.parameters()


class Scaled(tt.Function):
    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        z = x.exp()
        self.save_for_backward(x, y, z)
        return x * y, z + y

    def backward(self, g1: Tensor, g2: Tensor) -> tuple[Tensor, Tensor]:
        x, y, z = self.saved_tensors
        return 0.5 * (g1 * y + g2 * z), g1 * x + g2


def user_function() -> Case:
    p, q = (random.randn(3).requires_grad_() for _ in range(2))
    optimizer = SGD([p, q])

    def step() -> Tensor:
        optimizer.zero_grad()
        a, b = Scaled()(p, q)
        loss = (a * b).sum()
        loss.backward()
        optimizer.step()
        return loss

    return step, [p, q]


def draws() -> Case:
    def step() -> Any:
        return random.rand(3, 4), random.randn(5), random.randint(3, 9, (7,)), F.dropout(F.ones(10), 0.5)

    return step, [random.default_generator.state]


def checkpoints() -> Case:
    layer = tt.Linear(4, 4)
    optimizer = SGD(layer.parameters())

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = tt.checkpoint(layer, F.ones(2, 4)).square().sum()
        loss.backward()
        optimizer.step()
        return loss

    return step, layer.parameters()


def functions() -> Case:
    a, b, t = random.randn(4, 5, 6), random.randn(4, 6, 3), random.randint(5, (4, 6))

    def step() -> Any:
        return (
            F.einsum("bij,bjk->bik", a, b), F.tril(a), F.triu(a, 1), F.cat([a, a * 2], 1), F.cat([a, a], 0),
            F.stack([a, a], 1), F.where(a > 0, a, 0.0), F.eye(3), F.arange(2, 9, 2), tt.cumsum(a, 1),
            F.cross_entropy(a, t), F.one_hot(t, 5), F.softplus(a), F.normalize(a), F.zeros(3), F.full((2,), 3),
            F.binary_cross_entropy_with_logits(a, F.ones_like(a)), F.embedding(t, a[0]), F.chunk(a, 2, dim=2)[1],
        )  # fmt: skip

    return step, []


def hand_written_backward() -> Case:
    logits, classes, weight = random.randn(4, 5), random.randint(5, (4,)), random.rand(5)
    relu = tt.GELU()

    def step() -> Any:
        loss, binary = CrossEntropyLoss(weight=weight, ignore_index=2), BCEWithLogitsLoss()
        value, other = loss(relu(logits), classes), binary(logits, F.ones_like(logits))
        return value, other, relu.backward(loss.backward()), binary.backward()

    return step, []


CASES: dict[str, Callable[[], Case]] = {
    "sgd": lambda: training(SGD, lr=0.1),
    "nesterov": lambda: training(SGD, lr=0.1, nesterov=True, weight_decay=0.1),
    "dampening": lambda: training(SGD, dampening=0.5),
    "adam": lambda: training(Adam, weight_decay=0.1),
    "adamw": lambda: training(AdamW, lr=0.01),
    "dropout": lambda: training(AdamW, dropout=0.5),
    "frozen": lambda: training(AdamW, frozen=True),
    "nested gradients": nested_gradients,
    "gradient penalty": gradient_penalty,
    "function": user_function,
    "random": draws,
    "checkpoint": checkpoints,
    "functions": functions,
    "hand-written backward": hand_written_backward,
}


def run(name: str, backend: Any, calls: int = 3) -> tuple[list[list[np.ndarray]], list[np.ndarray]]:
    """Results of each call, and the state at the end."""
    random.manual_seed(0)
    step, state = CASES[name]()
    called = step if backend is None else tt.compile(step, backend=backend)
    results: list[list[np.ndarray]] = []
    for _ in range(calls):
        made = called()
        results.append([t.numpy().copy() for t in (made if isinstance(made, tuple) else (made,))])
    return results, [t.numpy() for t in state]


@pytest.mark.parametrize("backend", ["interpreter", "llvm"])
@pytest.mark.parametrize("name", CASES)
def test_compiled_is_eager(name, backend):
    expected, found = run(name, None), run(name, backend)
    for a, b in zip([*expected[0], expected[1]], [*found[0], found[1]], strict=True):
        for x, y in zip(a, b, strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_allclose(y, x, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_a_new_learning_rate_is_no_new_compilation(kind):
    def losses(compiled: bool) -> list[float]:
        random.manual_seed(1)
        layer, x = tt.Linear(3, 2), random.randn(4, 3)
        optimizer = kind(layer.parameters(), lr=0.01)

        def step() -> Tensor:
            optimizer.zero_grad()
            loss = layer(x).square().sum()
            loss.backward()
            optimizer.step()
            return loss

        called: Any = tt.compile(step) if compiled else step
        found, graphs = [called().item()], {id(called.graph) if compiled else 0}
        for rate in (0.1, 0.0, 0.05, 0.05):
            optimizer.lr = rate
            found.append(called().item())
            graphs.add(id(called.graph) if compiled else 0)
        assert len(graphs) == 1
        return found

    expected = losses(False)
    np.testing.assert_allclose(losses(True), expected, rtol=1e-5)
    assert expected[1] != expected[2] == expected[3] != expected[4]


def test_parameters_that_get_gradients_in_some_steps_only():
    def trained(compiled: bool) -> list[np.ndarray]:
        random.manual_seed(2)
        layers, x = [tt.Linear(2, 2) for _ in range(2)], random.randn(4, 2)
        parameters = [p for layer in layers for p in layer.parameters()]
        optimizer = AdamW(parameters, lr=0.1)

        def step(x: Tensor, both: bool) -> Tensor:
            optimizer.zero_grad()
            loss = (layers[0](x) + (layers[1](x) if both else 0)).square().sum()
            loss.backward()
            optimizer.step()
            return loss

        called: Any = tt.compile(step) if compiled else step
        for both in (True, False, True, False, False, True, True):
            called(x, both)
        assert [int(s["step"]) for s in optimizer.state] == [7, 7, 4, 4]
        return [p.numpy() for p in parameters]

    for ours, expected in zip(trained(True), trained(False), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_modules_in_default_arguments_are_watched():
    layer = tt.Linear(2, 2)

    def positional(x: Tensor, layer: tt.Module = layer) -> Tensor:
        return layer(x) * (2.0 if layer.training else 1.0)

    def keyword(x: Tensor, *, layer: tt.Module = layer) -> Tensor:
        return positional(x, layer)

    for function in (positional, keyword):
        compiled = tt.compile(function, backend="interpreter")
        for training in (True, False, True):
            layer.train(training)
            assert compiled(F.ones(1, 2)).tolist() == function(F.ones(1, 2)).tolist()


def test_a_traced_value_that_was_kept_is_refused():
    activation = tt.ReLU()
    tt.compile(lambda x: activation(x), backend="interpreter")(F.ones(2))
    with pytest.raises(tt.TraceError, match="after it"):
        activation.backward(F.ones(2))


def test_scopes_name_the_module_that_ran():
    class Double(tt.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2

    class Net(tt.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [tt.Sequential(Double(), Double()), Double()]

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x)
            return Double()(x) + 1

    model = tt.compile(Net(), backend="interpreter")
    assert model(F.ones(2)).tolist() == [17.0, 17.0]
    scopes = [node.loc.scope for node in model.traced_graph.nodes if node.op.name in ("mul", "add")]
    assert scopes == ["Net.blocks.0.0", "Net.blocks.0.1", "Net.blocks.1", "Net.Double", "Net"]
    assert scope() == ""


def test_a_compiled_container_is_one():
    layers = [tt.Linear(2, 3), tt.ReLU(), tt.Linear(3, 1)]
    model: Any = tt.compile(tt.Sequential(*layers), backend="interpreter")
    assert len(model) == 3 and model[-1] is layers[2] and list(model) == layers and layers[1] in model
    assert model(tt.ones(1, 2)).shape == (1, 1)
    model[2] = tt.Linear(3, 4)
    assert model(tt.ones(1, 2)).shape == (1, 4)
    assert len(copy.deepcopy(model)) == len(pickle.loads(pickle.dumps(model))) == 3
    named: Any = tt.compile(tt.nn.ModuleDict({"a": layers[0]}))
    assert "a" in named and list(named) == ["a"] and named["a"] is layers[0]
    with pytest.raises(TypeError, match="has no len"):
        len(tt.compile(layers[0]))  # type: ignore[arg-type]


def test_methods_of_a_compiled_module_are_those_of_its_class():
    class Frozen(tt.Linear):
        modes: tuple[bool, ...] = ()

        def train(self, mode: bool = True) -> Self:
            self.modes = (*self.modes, mode)
            return super().train(False)

    module = Frozen(2, 2)
    compiled: Any = tt.compile(module)
    assert compiled.train() is compiled and compiled.eval() is compiled and module.modes == (True, False)
    assert not module.training and compiled.extra_repr() == module.extra_repr() and "modes" in dir(compiled)
