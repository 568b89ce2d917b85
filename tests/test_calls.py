"""Calls of compiled functions: tensors in two places, gradients, results, what stays alive."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.worlds import World, param, tensor
from tinytorch.ir.errors import TinyTorchError


def grads(*leaves: tt.Tensor) -> list[Any]:
    """The gradients, which are dropped."""
    found = [None if leaf.grad is None else leaf.grad.tolist() for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    return found


# The same tensor in two places.
def test_one_tensor_as_two_arguments(world: World) -> None:
    def f(a, b):
        loss = (a * b).sum()
        loss.backward()
        return loss

    called = world(f)
    u, v = param(1, 2), param(3, 4)
    assert called(u, v).item() == 11 and grads(u, v) == [[3, 4], [1, 2]]
    assert called(u, u).item() == 5 and grads(u) == [[2, 4]]
    assert called(v, u).item() == 11 and grads(u, v) == [[3, 4], [1, 2]]
    assert called(v, v).item() == 25 and grads(v) == [[6, 8]]


def test_one_tensor_as_two_arguments_that_change(world: World) -> None:
    def f(a, b):
        a += 1
        b *= 2
        return a + b

    called = world(f)
    x, y = tensor(1), tensor(2)
    assert called(x, y).tolist() == [6] and (x.tolist(), y.tolist()) == ([2], [4])
    assert called(x, x).tolist() == [12] and x.tolist() == [6]
    assert called(y, y).tolist() == [20] and y.tolist() == [10]


def test_an_argument_that_is_captured_too(world: World) -> None:
    w = param(3, 4)

    def f(a):
        loss = (a * w).sum()
        loss.backward()
        return loss

    called = world(f)
    u = param(1, 2)
    for _ in range(2):
        assert called(u).item() == 11 and grads(u, w) == [[3, 4], [1, 2]]
        assert called(w).item() == 25 and grads(w) == [[6, 8]]


def test_an_argument_that_is_an_attribute_too(world: World) -> None:
    layer = tt.Linear(2, 2, bias=False)

    def f(w):
        with tt.no_grad():
            w += 1
            return layer(tt.ones(1, 2)) * 1

    called = world(f)
    other = tt.zeros(2, 2)
    for w in (other, layer.weight, other, layer.weight):
        before = layer.weight.numpy().copy()
        expected = (before + (w is layer.weight)).sum(1)
        np.testing.assert_allclose(called(w).numpy()[0], expected, rtol=1e-6)


def test_whether_a_reshape_is_a_view_depends_on_the_argument(world: World) -> None:
    def f(x):
        y = x.reshape(4)
        y += 1
        return y * 1

    called = world(f)
    x = tensor(1, 2, 3, 4).reshape(2, 2)
    for view, found, after in (
        (x, [2, 3, 4, 5], [[2, 3], [4, 5]]),
        (x.T, [3, 5, 4, 6], [[2, 3], [4, 5]]),
        (x, [3, 4, 5, 6], [[3, 4], [5, 6]]),
        (x[:, ::-1], [5, 4, 7, 6], [[3, 4], [5, 6]]),
        (x.T, [4, 6, 5, 7], [[3, 4], [5, 6]]),
    ):
        assert (called(view).tolist(), x.tolist()) == (found, after)


def test_memory_that_is_read_only(world: World) -> None:
    called = world(lambda x: x.add_(1) * 1)
    array = np.array([1, 2], np.float32)
    x = tt.from_numpy(array)
    assert called(x).tolist() == [2, 3]
    array.flags.writeable = False
    with pytest.raises(TinyTorchError, match="read-only"):
        called(x)
    assert array.tolist() == [2, 3]


# Gradients have memory of their own.
def test_gradients_share_no_memory(world: World) -> None:
    a, b, seed = param(1, 2), param(3, 4), tensor(1, 1)

    def f():
        a.grad = b.grad = None
        (a + b).backward(seed)

    world(f)()
    assert a.grad is not None and b.grad is not None and a.grad is not b.grad
    assert not np.shares_memory(a.grad.numpy(), b.grad.numpy())
    a.grad.mul_(5)
    assert (a.grad.tolist(), b.grad.tolist(), seed.tolist()) == ([5, 5], [1, 1], [1, 1])


def test_clipping_scales_once(world: World) -> None:
    a, b = param(1, 2), param(3, 4)

    def f():
        a.grad = b.grad = None
        (a + b).sum().backward()
        for p in (a, b):
            p.grad.mul_(0.5)

    called = world(f)
    for _ in range(3):
        called()
        assert a.grad.tolist() == b.grad.tolist() == [0.5, 0.5]


def test_gradients_of_the_caller_accumulate(world: World) -> None:
    a = param(1, 2)

    def f(x):
        (a * x).sum().backward()

    called = world(f)
    called(tensor(1, 2))
    first = a.grad
    for _ in range(3):
        called(tensor(1, 2))
    assert a.grad is first and first is not None and first.tolist() == [4, 8]


def test_zero_grad_to_zeros(world: World) -> None:
    """After a step, which used the gradients up, and inside of one."""

    def trained(world: World, inside: bool) -> np.ndarray:
        tt.manual_seed(0)
        model, x = tt.Linear(2, 1), tt.ones(3, 2)
        optimizer = tt.SGD(model.parameters(), lr=0.125)

        def step():
            if inside:
                optimizer.zero_grad(set_to_none=False)
            loss = model(x).square().sum()
            loss.backward()
            optimizer.step()
            return loss

        called = world(step)
        for _ in range(4):
            if not inside:
                optimizer.zero_grad(set_to_none=False)
            called()
        return model.weight.numpy()

    for inside in (False, True):
        np.testing.assert_allclose(trained(world, inside), trained(lambda f: f, inside), rtol=1e-6)


# Results that were there before.
ORDERS: list[tuple[Callable[..., Any], list[Any], list[float]]] = [
    (lambda x, y: (y, x * 2, (x * 3).detach()), ["y", [2, 4], [3, 6]], [2, 2]),
    (lambda x, y: ((x * 3).detach(), y, x, x * 2, x[0] * 5), [[3, 6], "y", "x", [2, 4], 5], [7, 2]),
    (lambda x, y: (x * 2, y, x[1:] * 3, y), [[2, 4], "y", [6], "y"], [2, 5]),
    (lambda x, y: [x, x, {"k": x * 2}["k"], y * 1], ["x", "x", [2, 4], [3, 4]], [2, 2]),
    (lambda x, y: (x.view(2, 1), y, x * 4), [[[1], [2]], "y", [4, 8]], [5, 5]),
]


@pytest.mark.parametrize("number", range(len(ORDERS)))
def test_results_that_are_arguments(world: World, number: int) -> None:
    function, expected, gradient = ORDERS[number]
    x, y = param(1, 2), tensor(3, 4)
    called = world(function)
    for _ in range(3):
        results = list(called(x, y))
        for result, wanted in zip(results, expected, strict=True):
            assert (result is {"x": x, "y": y}[wanted]) if isinstance(wanted, str) else result.tolist() == wanted
        total = tt.zeros(())
        for result in results:
            if result.requires_grad and result is not x:
                total = total + result.sum()
        total.backward()
        assert grads(x) == [gradient]


def test_the_second_result_is_differentiated(world: World) -> None:
    x, y = param(1, 2), tensor(3, 4)
    called = world(lambda x, y: (y, x * 2, (x * 3).detach()))
    for _ in range(2):
        called(x, y)[1].sum().backward()
        assert grads(x) == [[2, 2]]


# What stays alive.
@pytest.mark.parametrize("trains", [False, True])
def test_arguments_are_not_kept(world: World, trains: bool) -> None:
    def f(x):
        loss = (x * x).sum()
        if trains:
            loss.backward()
        return loss

    called = world(f)
    for _ in range(2):
        x = param(1, 2) if trains else tensor(1, 2)
        known = weakref.ref(x)
        called(x)
        del x
        gc.collect()
        assert known() is None


def test_results_keep_no_arguments(world: World) -> None:
    called = world(lambda x: ((x * 2)[0], x * 3))
    x = tensor(1, 2)
    known = weakref.ref(x)
    results = called(x)
    del x
    gc.collect()
    assert known() is None and results[0].item() == 2


def test_a_loss_keeps_nothing_after_backward(world: World) -> None:
    called = world(lambda x: (x * x).sum())
    x = param(1, 2) * 1
    known = weakref.ref(x)
    loss = called(x)
    loss.backward()
    del x
    gc.collect()
    assert known() is None and loss.item() == 5


def test_nothing_waits_for_the_garbage_collector(world: World) -> None:
    w = param(1, 2)

    def f(x):
        y = x * w
        v, d = y[1:], y.detach()
        v.add_(1)
        d[0] = 3
        y[0] = v[0]
        return y, v, d, y.sum() + v.sum()

    called = world(f)
    called(tensor(1, 2)), called(tensor(1, 2))
    gc.collect()
    gc.disable()
    try:
        x = tensor(1, 2)
        found = called(x)
        found[3].backward()
        known = [weakref.ref(t) for t in (x, *found)]
        del x, found
        assert [reference() for reference in known] == [None] * 5
    finally:
        gc.enable()


def test_detached_results_keep_no_history(world: World) -> None:
    called = world(lambda x: (x * x).sum())
    x = param(1, 2)
    known = weakref.ref(x)
    kept = called(x).detach()
    del x
    gc.collect()
    assert known() is None and kept.item() == 5


def test_compiled_functions_are_not_kept() -> None:
    def make() -> list[weakref.ref[Any]]:
        layer = tt.Linear(2, 1)
        called = tt.compile(lambda x: layer(x).sum())
        called(tt.ones(1, 2))
        return [weakref.ref(called), weakref.ref(layer.weight)]

    known = make()
    gc.collect()
    assert [reference() for reference in known] == [None, None]


def test_copies_of_what_a_call_gave(world: World) -> None:
    x = param(1, 2)
    result = world(lambda x: x[1:] * 2)(x)
    twin = copy.deepcopy(result.detach())
    twin.zero_()
    assert result.tolist() == [4] and twin.tolist() == [0]
