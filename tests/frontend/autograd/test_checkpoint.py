"""`checkpoint`: the same numbers for less memory, eagerly and compiled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.functions.random import get_state
from tinytorch.ir.errors import TinyTorchError

RNG = np.random.default_rng(7)
RUNS = {
    "eager": lambda step: step,
    "interpreter": lambda step: tt.compile(step, backend="interpreter"),
    "llvm": tt.compile,
}
Checkpoint = Callable[..., Any]


def plainly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def deep_step(depth: int, every: int, width: int = 64) -> tuple[Callable[..., Any], list[tt.Tensor]]:
    """A training step of a deep MLP with a checkpoint for each `every` layers; 0: none."""
    tt.manual_seed(0)
    layers = [tt.Linear(width, width) for _ in range(depth)]
    parameters = [p for layer in layers for p in layer.parameters()]
    optimizer = tt.SGD(parameters, lr=0.01)

    def piece(layers: list[Any], h: tt.Tensor) -> tt.Tensor:
        for layer in layers:
            h = layer(h).tanh()
        return h

    def step(x: tt.Tensor) -> tt.Tensor:
        optimizer.zero_grad()
        h = x
        for i in range(0, depth, every or depth):
            h = (tt.checkpoint if every else plainly)(piece, layers[i : i + (every or depth)], h)
        loss = h.square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return step, parameters


def arena(compiled: Any) -> int:
    return compiled.executable.schedule.arena_bytes


# Memory.
def test_memory_grows_with_the_root_of_the_depth():
    activation = 128 * 64 * 4
    x = tt.randn(128, 64)
    for depth in (16, 64):
        found = []
        for every in (0, math.isqrt(depth)):
            step, parameters = deep_step(depth, every)
            compiled = tt.compile(step)
            losses = [compiled(x).item() for _ in range(2)]
            found.append((arena(compiled), losses, [p.numpy().tobytes() for p in parameters]))
        (plain, *numbers), (less, *same) = found
        assert same == numbers  # bit for bit
        assert plain >= depth * activation
        assert less <= (2 * math.isqrt(depth) + 7) * activation  # what is kept, then one piece and gradients


def test_a_forward_pass_alone_is_as_it_was():
    model = tt.Linear(8, 8)
    graphs = []
    for checkpoint in (plainly, tt.checkpoint):
        compiled = tt.compile(lambda x, checkpoint=checkpoint: checkpoint(lambda x: model(x).relu(), x))
        with tt.no_grad():
            compiled(tt.ones(4, 8))
        graphs.append(str(compiled.graph))
    assert graphs[0] == graphs[1]


# Values.
def outcome(checkpoint: Checkpoint, build: Callable[[], tuple[Callable[..., Any], list[tt.Tensor]]], run: str) -> Any:
    """Three calls of a step that takes the way of calling pieces: results, and all tensors of it then."""
    tt.manual_seed(3)
    step, tensors = build()
    compiled = RUNS[run](lambda x: step(checkpoint, x))
    results = [compiled(tt.tensor(x)).numpy() for x in np.linspace(-1, 1, 96, dtype=np.float32).reshape(3, 8, 4)]
    gradients = [t.grad.numpy() for t in tensors if t.grad is not None]
    return [*results, *(t.detach().numpy() for t in tensors), *gradients, get_state().numpy()]


def statistics_and_random_numbers():
    linear, norm = tt.Linear(4, 4), tt.BatchNorm1d(4)
    count, own = tt.tensor(0.0), tt.Generator(9)
    parameters = [*linear.parameters(), *norm.parameters()]

    def piece(h, *, scale=1.0):
        with tt.no_grad():
            count.add_(1.0)
        noise = tt.rand(8, 4, generator=own)
        return {"a": tt.dropout(norm(linear(h)).relu(), 0.3) * scale * count, "b": [(h * noise).sum()]}

    def step(checkpoint, x):
        for p in parameters:
            p.grad = None
        out = checkpoint(piece, linear(x), scale=2.0)
        loss = out["a"].square().sum() + out["b"][0]
        loss.backward()
        return loss.detach()

    return step, [*parameters, norm.running_mean, norm.running_var, count, own.state]


def nested():
    inner, outer = tt.Linear(4, 4), tt.Linear(4, 4)

    def step(checkpoint, x):
        def small(h):
            return tt.dropout(inner(h).tanh(), 0.2).exp()

        def large(h):
            return outer(checkpoint(small, h)).tanh() * checkpoint(small, h + 1)

        loss = checkpoint(large, checkpoint(large, x)).sum()
        inner.weight.grad = outer.weight.grad = inner.bias.grad = outer.bias.grad = None
        loss.backward()
        return loss.detach()

    return step, [*inner.parameters(), *outer.parameters()]


def second_derivatives():
    w = tt.randn(4, 4).requires_grad_()

    def step(checkpoint, x):
        def f(x):
            return checkpoint(lambda x: ((x @ w).tanh() * x, x.sin()), x)

        def penalty(x):
            return tt.grad(lambda x: (lambda a, b: (a * b).sum())(*f(x)))(x).square().sum()

        w.grad = None
        loss = penalty(x)
        loss.backward()
        return tt.grad(penalty)(x) + loss.detach()

    return step, [w]


def changed_in_place():
    w = tt.randn(4, 4).requires_grad_()

    def piece(x):
        h = x @ w
        h[0] = 2 * h[1]
        h.mul_(x + 1)
        return h.exp(), h

    def step(checkpoint, x):
        w.grad = None
        a, b = checkpoint(piece, x * 0.1)
        loss = (a + b).sum()
        loss.backward()
        return loss.detach()

    return step, [w]


def gradients_inside():
    w = tt.randn(4, 4).requires_grad_()

    def step(checkpoint, x):
        w.grad = None
        loss = checkpoint(lambda x: tt.grad(lambda x: (x @ w).sin().sum())(x).square().sum(), x)
        loss.backward()
        return loss.detach()

    return step, [w]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(
    "build", [statistics_and_random_numbers, nested, second_derivatives, changed_in_place, gradients_inside]
)
def test_values_are_those_without(build, run):
    expected = outcome(plainly, build, "eager")
    for a, b in zip(outcome(tt.checkpoint, build, run), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_a_result_that_is_differentiated_outside_takes_less_memory_too():
    layers = [tt.Linear(32, 32) for _ in range(16)]

    def forward(x, checkpoint):
        for i in range(0, 16, 4):

            def piece(h, i=i):
                for layer in layers[i : i + 4]:
                    h = layer(h).tanh()
                return h

            x = checkpoint(piece, x)
        return x.sum()

    found = []
    for checkpoint in (plainly, tt.checkpoint):
        compiled = tt.compile(lambda x, checkpoint=checkpoint: forward(x, checkpoint))
        x = tt.tensor(np.linspace(0, 1, 64 * 32, dtype=np.float32).reshape(64, 32), requires_grad=True)
        compiled(x).backward()
        (item,) = compiled._known[next(iter(compiled._known))]
        (vjp,) = item.gradients.values()
        (calls,) = vjp.all_calls()
        found.append((calls.executable.schedule.arena_bytes, x.grad.numpy()))
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert found[1][0] < 0.75 * found[0][0]


def test_the_names_of_torch_utils():
    model = tt.nn.Sequential(*(tt.nn.Linear(4, 4) for _ in range(5)))
    x = tt.tensor(RNG.standard_normal((3, 4)), dtype="f32", requires_grad=True)
    model(x).sum().backward()
    expected = x.grad.numpy().copy()
    from tinytorch.utils.checkpoint import checkpoint, checkpoint_sequential

    for run in (
        lambda: checkpoint(model, x, use_reentrant=False, preserve_rng_state=True),
        lambda: checkpoint(model, input=x, use_reentrant=True),
        lambda: checkpoint_sequential(model, 2, x, use_reentrant=False),
        lambda: checkpoint_sequential(list(model), 5, x),
    ):
        x.grad = None
        run().sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)
    with pytest.raises(TinyTorchError, match="segments is at most 5"):
        checkpoint_sequential(model, 6, x)


def test_what_returns_no_tensor_is_an_error():
    with pytest.raises(TinyTorchError, match="no Tensor in what the function returned"):
        tt.checkpoint(lambda x: 3, tt.ones(2, requires_grad=True))
