"""Gradients that stay between calls: a compiled function finds them in `grad` of their leaves, whatever tensor is
there, and does what the function does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt

BACKENDS = ["llvm", "interpreter"]


def compilations(compiled: Any) -> int:
    return sum(map(len, compiled._known.values()))


def both(make: Callable[[Callable[[Any], Any]], list[Any]]) -> None:
    """`make(compile)` gives the numbers of a program, which must be the same compiled and not."""
    eager = make(lambda f: f)
    for backend in BACKENDS:
        found = make(lambda f, backend=backend: tt.compile(f, backend=backend))
        for a, b in zip(eager, found, strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


def numbers(tensor: Any) -> Any:
    return np.nan if tensor is None else np.array(tensor.data)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("clear", ["optimizer", "by hand", "in a compiled step"])
def test_accumulation_compiles_twice(backend: str, clear: str) -> None:
    tt.manual_seed(0)
    model = tt.Sequential(tt.Linear(3, 8), tt.ReLU(), tt.Linear(8, 1))
    optimizer = tt.SGD(model.parameters(), lr=0.01)

    def loss(x: Any) -> Any:
        result = (model(x) ** 2).mean()
        result.backward()
        return result

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    micro = tt.compile(loss, backend=backend)
    step = tt.compile(update, backend=backend) if clear == "in a compiled step" else update

    def cycle(seed: int) -> None:
        rng = np.random.default_rng(seed)
        weights = [p.data.copy() for p in model.parameters()]
        batches = [tt.tensor(rng.normal(size=(4, 3)).astype(np.float32)) for _ in range(4)]
        for x in batches:
            micro(x)
        compiled = [p.grad.data.copy() for p in model.parameters()]
        for p in model.parameters():
            p.grad = None
        for x in batches:
            loss(x)
        for p, grad, weight in zip(model.parameters(), compiled, weights, strict=True):
            np.testing.assert_allclose(p.grad.data, grad, rtol=1e-4, atol=1e-6)
            np.testing.assert_array_equal(p.data, weight)
        if clear == "by hand":
            optimizer.step()
            for p in model.parameters():
                p.grad = None
        else:
            step()

    for seed in range(5):
        cycle(seed)
        assert compilations(micro) == 2  # without gradients, and with
    if clear == "in a compiled step":
        assert compilations(step) == 1


def test_what_was_found_is_not_kept_alive() -> None:
    import weakref

    w = tt.ones(3, requires_grad=True)
    micro = tt.compile(lambda x: (w * x).sum().backward())
    for _ in range(2):
        for _ in range(3):
            micro(tt.ones(3))
        gone = weakref.ref(w.grad)
        w.grad = None
        assert gone() is None


def test_held_under_another_name() -> None:
    """The tensor that the caller holds is the one that is added to, as long as it is in `grad`."""

    def run(compile: Any) -> list[Any]:
        w = tt.ones(3, requires_grad=True)
        micro = compile(lambda x: (w * x).sum().backward())
        out: list[Any] = []
        for i in range(3):
            micro(tt.full((3,), 1.0 + i))
            held = w.grad
            micro(tt.full((3,), 2.0))
            out += [held is w.grad, numbers(held)]
            w.grad = None
            micro(tt.full((3,), 3.0))
            out += [held is w.grad, numbers(held), numbers(w.grad)]
        return out

    both(run)


def test_read_by_two_names() -> None:
    """A function that reaches the gradient in another way too follows that one."""

    def run(compile: Any) -> list[Any]:
        w = tt.ones(3, requires_grad=True)
        w.grad = tt.full((3,), 5.0)
        other = w.grad

        def f(x: Any) -> Any:
            (w * x).sum().backward()
            return other * 2.0

        compiled = compile(f)
        out = [numbers(compiled(tt.ones(3))), numbers(other)]
        w.grad = tt.full((3,), 7.0)
        out += [numbers(compiled(tt.ones(3))), numbers(other), numbers(w.grad)]
        w.grad = other
        return [*out, numbers(compiled(tt.ones(3))), numbers(other), numbers(w.grad)]

    both(run)


def test_becomes_a_captured_tensor() -> None:
    """A gradient may later be a tensor that the function reads anyway, or the gradient of another leaf, or lie in its
    memory."""

    def run(compile: Any) -> list[Any]:
        a, b = tt.ones(4, requires_grad=True), tt.full((4,), 2.0).requires_grad_()
        scale = tt.full((4,), 3.0)

        def f(x: Any) -> Any:
            (a * x * scale + b * b).sum().backward()
            return scale + 1.0

        compiled = compile(f)
        out: list[Any] = []

        def call() -> None:
            out.extend([numbers(compiled(tt.ones(4))), numbers(a.grad), numbers(b.grad), numbers(scale)])

        call()
        call()
        a.grad = scale
        call()
        a.grad = b.grad = tt.zeros(4)
        call()
        call()
        flat = tt.zeros(8)
        a.grad, b.grad = flat[:4], flat[4:]
        call()
        a.grad, b.grad = flat[:4], flat[2:6]
        call()
        return [*out, numbers(flat)]

    both(run)


def test_other_layout_and_flags() -> None:
    def run(compile: Any) -> list[Any]:
        w = tt.ones(2, 3, requires_grad=True)
        compiled = compile(lambda x: (w * x).sum().backward())
        out: list[Any] = []
        x = tt.arange(6).float().reshape(2, 3)
        for grad in (None, tt.zeros(2, 3), tt.ones(3, 2).mT, tt.ones(2, 3, requires_grad=True), tt.ones(1, 3)):
            w.grad = grad.broadcast_to((2, 3)).clone() if grad is not None and grad.shape == (1, 3) else grad
            compiled(x)
            compiled(x)
            out += [numbers(w.grad), numbers(grad), w.grad is grad]
        return out

    both(run)


@pytest.mark.parametrize("backend", BACKENDS)
def test_grad_of_an_argument(backend: str) -> None:
    compiled = tt.compile(lambda x: (x * x).sum().backward(), backend=backend)
    for i in range(5):
        x = tt.full((3,), 1.0 + i).requires_grad_()
        compiled(x)
        first = x.grad
        compiled(x)
        assert x.grad is first
        np.testing.assert_allclose(first.data, np.full(3, 4.0 * (1 + i)))
    assert compilations(compiled) == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_grad_that_is_an_argument(backend: str) -> None:
    def f(w: Any, g: Any) -> Any:
        return w.grad + g

    compiled = tt.compile(f, backend=backend)
    w = tt.ones(3)
    for first, second in [(1.0, None), (2.0, None), (3.0, 4.0), (5.0, 6.0), (7.0, None)]:
        w.grad = tt.full((3,), first)
        g = w.grad if second is None else tt.full((3,), second)
        np.testing.assert_allclose(compiled(w, g).data, np.full(3, first + (second or first)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_returned(backend: str) -> None:
    """A gradient among the results is the tensor in `grad`."""
    w = tt.ones(3, requires_grad=True)

    def f(x: Any) -> Any:
        (w * x).sum().backward()
        return w.grad

    compiled = tt.compile(f, backend=backend)
    for i in range(4):
        assert compiled(tt.ones(3)) is w.grad
        assert compiled(tt.full((3,), 2.0)) is w.grad
        np.testing.assert_allclose(w.grad.data, np.full(3, 3.0))
        w.grad = tt.zeros(3) if i == 1 else None
    assert compilations(compiled) == 2


def test_assigned_anew() -> None:
    """What is assigned to `grad` is another tensor than the one that was there."""

    def run(compile: Any) -> list[Any]:
        w = tt.ones(3, requires_grad=True)
        optimizer = tt.SGD([w], lr=0.5)

        def f(x: Any) -> None:
            (w * x).sum().backward()
            w.grad = w.grad * 0.5
            optimizer.step()

        compiled = compile(f)
        out: list[Any] = []
        for i in range(4):
            held = w.grad = tt.full((3,), 1.0 + i)
            compiled(tt.ones(3))
            compiled(tt.ones(3))
            out += [held is w.grad, numbers(held), numbers(w.grad), numbers(w)]
        return out

    both(run)


def test_shared_parameters() -> None:
    def run(compile: Any) -> list[Any]:
        tt.manual_seed(1)
        first, second = tt.Linear(3, 3), tt.Linear(3, 3)
        second.weight = first.weight
        compiled = compile(lambda x: second(tt.relu(first(x))).sum().backward())
        out: list[Any] = []
        for i in range(3):
            for _ in range(3):
                compiled(tt.full((2, 3), 1.0 + i))
            out += [numbers(p.grad) for p in (first.weight, first.bias, second.bias)]
            for p in (first.weight, first.bias, second.bias):
                p.grad = None
        return out

    both(run)


def test_only_asked_for() -> None:
    """A gradient that the function only looks for."""
    w = tt.ones(3, requires_grad=True)

    def f(x: Any) -> Any:
        return x + 1.0 if w.grad is None else x * 10.0

    compiled = tt.compile(f)
    for i in range(4):
        w.grad = None
        assert compiled(tt.ones(1)).item() == 2.0
        w.grad = tt.full((3,), float(i))
        assert compiled(tt.ones(1)).item() == 10.0
    assert compilations(compiled) == 2


def test_verified() -> None:
    w = tt.ones(3, requires_grad=True)
    w.grad = tt.full((3,), 2.0)
    tt.verify(lambda x: (w * x).sum().backward(), tt.ones(3))
    np.testing.assert_array_equal(w.grad.data, np.full(3, 2.0))
