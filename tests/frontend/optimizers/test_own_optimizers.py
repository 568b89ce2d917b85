"""Optimizers that are written as for PyTorch, with a `step` and a `state[p]` of their own, train as they do there."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.optim.optimizer import Optimizer

X = np.sin(np.arange(12, dtype=np.float32)).reshape(4, 3)


def adam_of(torch: Any) -> Any:
    """Adam as it stands in many programs, with a count of steps that is a number."""

    class Adam(torch.optim.Optimizer):
        def __init__(self, params: Any, lr: float = 0.1, betas: Any = (0.9, 0.99), weight_decay: float = 0.01) -> None:
            defaults = {"lr": lr, "betas": betas, "eps": 1e-8, "weight_decay": weight_decay, "amsgrad": False}
            super().__init__(params, defaults)

        def __setstate__(self, state: Any) -> None:
            super().__setstate__(state)
            for group in self.param_groups:
                group.setdefault("amsgrad", False)

        def step(self, closure: Any = None) -> Any:
            loss = None
            if closure is not None:
                loss = closure()
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    grad = p.grad.data
                    if p.grad.is_sparse:
                        raise RuntimeError("no sparse gradients")
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"] = 0
                        state["exp_avg"] = torch.zeros_like(p.data, memory_format=torch.preserve_format)
                        state["exp_avg_sq"] = torch.zeros_like(p.data)
                    exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
                    state["step"] += 1
                    exp_avg.mul_(beta1).add_(grad, alpha=1 - beta1)
                    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
                    denom = (exp_avg_sq / (1 - beta2 ** state["step"])).sqrt().add_(group["eps"])
                    p.data.mul_(1 - group["lr"] * group["weight_decay"])
                    p.data.addcdiv_(exp_avg, denom, value=-group["lr"] / (1 - beta1 ** state["step"]))
            return loss

    return Adam


def lion_of(torch: Any) -> Any:
    """Lion, all of whose state are tensors: it can be compiled."""

    class Lion(torch.optim.Optimizer):
        def __init__(self, params: Any, lr: float = 0.02, betas: Any = (0.9, 0.99)) -> None:
            super().__init__(params, {"lr": lr, "betas": betas})
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p] = {"exp_avg": torch.zeros_like(p)}

        @torch.no_grad()
        def step(self, closure: Any = None) -> Any:
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                for p in group["params"]:
                    m = self.state[p]["exp_avg"]
                    p.add_((m * beta1 + p.grad * (1 - beta1)).sign(), alpha=-group["lr"])
                    m.lerp_(p.grad, 1 - beta2)
            return loss

    return Lion


def mean_of(torch: Any) -> Any:
    """State that begins with the parameter, and entries whose place others take in each step."""

    class Mean(torch.optim.Optimizer):
        def __init__(self, params: Any, lr: float = 0.1) -> None:
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    if not self.state[p]:
                        self.state[p] = {"count": 0, "slow": p.clone()}
                    state = self.state[p]
                    before = state.setdefault("exp_avg", torch.zeros(p.shape))
                    state["count"] = state["count"] + 1
                    state["exp_avg"] = 0.9 * before + p.grad
                    p.sub_(group["lr"] * (2 * state["exp_avg"] - before) / state["count"])
                    state["slow"].lerp_(p, 0.5)
                    p.copy_(state["slow"])

    return Mean


def model_of(torch: Any, weights: dict[str, Any]) -> Any:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    return model


def weights() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    shapes = {"0.weight": (4, 3), "0.bias": (4,), "2.weight": (1, 4), "2.bias": (1,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def stepper(torch: Any, model: Any, optimizer: Any) -> Any:
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.mark.parametrize("kind", [adam_of, lion_of, mean_of])
def test_they_train_as_in_torch(kind: Any) -> None:
    """Compiled, too: state that a step makes is made when it is traced."""
    torch = pytest.importorskip("torch")
    found: list[list[float]] = []
    for module, wrap in ((tt, lambda f: f), (tt, tt.compile), (torch, lambda f: f)):
        model = model_of(module, weights())
        optimizer = kind(module)(model.parameters())
        step = wrap(stepper(module, model, optimizer))
        found.append([float(step(module.tensor(X)).detach()) for _ in range(3)])
        optimizer.param_groups[0]["lr"] = 0.05
        found[-1] += [float(step(module.tensor(X)).detach()) for _ in range(3)]
        assert len(optimizer.state) == 4 and all(p in optimizer.state for p in model.parameters())
        assert {len(state) for state in optimizer.state.values()} == {1 if kind is lion_of else 3}
    for ours in found[:2]:
        np.testing.assert_allclose(ours, found[2], rtol=1e-4)


def test_compiled_they_read_the_learning_rate_anew() -> None:
    found: list[Any] = []
    for wrap in (lambda f: f, tt.compile):
        model = model_of(tt, weights())
        optimizer = lion_of(tt)(model.parameters())
        step = wrap(stepper(tt, model, optimizer))
        for lr in (0.02, 0.02, 0.1):
            optimizer.param_groups[0]["lr"] = lr
            loss = step(tt.tensor(X))
        found.append([loss.item(), *(p.detach().numpy() for p in model.parameters())])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def counted(begins: str) -> type[Optimizer]:
    """Steps by 1 / number of the step, which is counted in one of several ways."""

    class Counted(Optimizer):
        @tt.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                if begins == "group":
                    group["step"] = group.get("step", 0) + 1
                for p in group["params"]:
                    state: Any = self.state[p]
                    if begins == "get":
                        state["step"] = state.get("step", 0) + 1
                    elif begins == "length":
                        state["step"] = state["step"] + 1 if len(state) else 1
                    elif begins == "apart":
                        state.setdefault("step", 0)
                        state["step"] += 1
                    state["before"] = p.clone()  # which nobody looks for
                    decay = group["weight_decay"] if group["weight_decay"] != 0 else 0.0
                    p.mul_(1 - decay).sub_(p.grad / (state if begins != "group" else group)["step"])

    return Counted


@pytest.mark.parametrize("begins", ["apart", "get", "length", "group"])
def test_counts_of_steps_are_right_or_refused(begins: str) -> None:
    """A count that begins at 1 cannot be told from one that has been counted up."""
    found: list[Any] = []
    for wrap in (lambda f: f, lambda f: tt.compile(f, backend="interpreter")):
        p = tt.tensor([1.0, 2.0], requires_grad=True)
        optimizer = counted(begins)([p], {"weight_decay": 0.0})

        def step(p: tt.Tensor = p, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad()
            (p * p).sum().backward()
            optimizer.step()

        step = wrap(step)
        if found and begins != "apart":
            with pytest.raises(tt.TraceError, match="changes Python state" if begins == "group" else "begin it apart"):
                step()
            return
        for decay in (0.0, 0.0, 0.1, 0.1):
            optimizer.param_groups[0]["weight_decay"] = decay
            step()
        found.append([p.tolist(), optimizer.state[p]["before"].tolist()])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


def test_state_that_begins_with_a_gradient_is_refused_in_a_compiled_step() -> None:
    """Its first value is none that is there before the call."""

    class First(Optimizer):
        def step(self, closure: Any = None) -> None:
            for p in self.param_groups[0]["params"]:
                self.state[p].setdefault("first", p.grad.clone())

    model = model_of(tt, weights())
    with pytest.raises(tt.TraceError, match="changes Python state"):
        tt.compile(stepper(tt, model, First(model.parameters(), {})))(tt.tensor(X))


def test_state_that_becomes_a_view_of_a_parameter_is_refused_in_a_compiled_step() -> None:
    class Last(Optimizer):
        def step(self, closure: Any = None) -> None:
            for p in self.param_groups[0]["params"]:
                self.state[p].setdefault("last", tt.zeros_like(p))
                self.state[p]["last"] = p.detach()

    model = model_of(tt, weights())
    optimizer = Last(model.parameters(), {})
    with pytest.raises(tt.TraceError, match="'last' in the state of an optimizer"):
        tt.compile(stepper(tt, model, optimizer))(tt.tensor(X))
    assert not optimizer.state[0]["last"].numpy().any()


def test_their_state_is_saved_loaded_and_copied() -> None:
    torch = pytest.importorskip("torch")
    model, twin = model_of(tt, weights()), model_of(torch, weights())
    optimizer, theirs = adam_of(tt)(model.parameters()), adam_of(torch)(twin.parameters())
    for module, m, o in ((tt, model, optimizer), (torch, twin, theirs)):
        stepper(module, m, o)(module.tensor(X))
    saved = optimizer.state_dict()
    assert saved["state"][0]["step"] == 1 and saved["state"].keys() == theirs.state_dict()["state"].keys()
    other = model_of(tt, {k: v.numpy() for k, v in model.state_dict().items()})
    again = adam_of(tt)(other.parameters())
    again.load_state_dict(saved)
    assert again.state[other[0].weight]["step"] == 1
    losses = [stepper(tt, m, o)(tt.tensor(X)).item() for m, o in ((model, optimizer), (other, again))]
    assert losses[0] == losses[1] and optimizer.state[0]["exp_avg"] is not again.state[0]["exp_avg"]
    both = copy.deepcopy((other, again))
    assert both[1].state[both[0][0].weight]["step"] == 2


def test_a_tensor_that_is_no_parameter_has_no_state() -> None:
    model = model_of(tt, weights())
    optimizer = tt.optim.Adam(model.parameters())
    assert optimizer.state[model[0].weight] is optimizer.state[0]
    assert [p for p, _ in optimizer.state.items()] == model.parameters() and tt.ones(2) not in optimizer.state
    with pytest.raises(KeyError, match="no parameter of this optimizer"):
        optimizer.state[tt.ones(2)]
    assert Optimizer is tt.optim.Optimizer
    restored = pickle.loads(pickle.dumps(optimizer))
    assert restored.state[restored.param_groups[0]["params"][1]] is restored.state[1]
