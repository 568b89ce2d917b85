"""Histories of gradients across a compiled call: leaves made or switched inside, results that are detached or views,
derivatives of any order through results, and gradients that were there before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.worlds import World, param, tensor
from tinytorch.ir.errors import TinyTorchError


def listed(x: tt.Tensor | None) -> Any:
    return None if x is None else x.tolist()


# Leaves that are switched.
def test_arguments_that_become_leaves(world: World) -> None:
    def f(x):
        x.requires_grad_()
        (x * x).sum().backward()
        return x.grad

    called = world(f)
    for values in ((1, 2), (3, 4)):
        x = tensor(*values)
        found = called(x)
        assert x.requires_grad and found.tolist() == [2 * v for v in values] == listed(x.grad)


def test_arguments_that_become_leaves_are_differentiated_outside(world: World) -> None:
    def f(x):
        y = x * 5  # before, so no part of the gradient
        x.requires_grad = True
        return (x * x + y).sum()

    called = world(f)
    for values in ((1, 2), (3, 4)):
        x = tensor(*values)
        called(x).backward()
        assert listed(x.grad) == [2 * v for v in values]


def test_what_was_computed_before_a_switch_stays_as_it_was(world: World) -> None:
    w = param(1, 2)

    def f(x):
        a = w * x
        w.requires_grad_(False)
        b = w * x
        w.requires_grad_(True)
        c = w * x
        (a + b * 10 + c * 100).sum().backward()

    called = world(f)
    for times in (1, 2):
        called(tensor(1, 1))
        assert listed(w.grad) == [101 * times] * 2 and w.requires_grad


def test_a_value_becomes_a_leaf(world: World) -> None:
    def f(x):
        y = x * 1
        z = y * 2
        y.requires_grad_()
        d = x.detach()
        d.requires_grad = True
        (z * y + d * d).sum().backward()
        return y.grad, d.grad

    called = world(f)
    for _ in range(2):
        assert [g.tolist() for g in called(tensor(1, 2))] == [[2, 4], [2, 4]]


def test_a_module_that_is_frozen_for_a_while(world: World) -> None:
    model = tt.Linear(2, 1)

    def f(x):
        model.requires_grad_(False)
        y = (model(x) * x.sum()).sum()
        model.requires_grad_(True)
        y.backward()

    called = world(f)
    for _ in range(2):
        x = param(1, 1).detach().reshape(1, 2).requires_grad_()
        called(x)
        assert x.grad is not None and all(p.grad is None and p.requires_grad for p in model.parameters())


def test_a_captured_leaf_that_is_switched_between_calls(world: World) -> None:
    w = param(1, 2)
    called = world(lambda x: (w * x).sum())
    for flag in (True, False, True, False):
        w.requires_grad_(flag)
        found = called(tensor(1, 1))
        assert found.requires_grad is flag
        if flag:
            found.backward()
            assert listed(w.grad) == [1, 1]
            w.grad = None


def test_only_leaves_are_switched_off(world: World) -> None:
    with pytest.raises(TinyTorchError, match=r"only leaves(?s:.*)test_histories\.py:"):
        world(lambda x: (x * 2).requires_grad_(False))(param(1, 2))


def test_views_made_under_no_grad_have_no_history(world: World) -> None:
    def f(x):
        y = x * 3
        with tt.no_grad():
            v, u = x[None], y[1:]
            v.add_(1)
            u.mul_(2)
        return v, u, (y * y).sum()

    called = world(f)
    for outside in (True, False):
        x = param(1, 2)
        with tt.set_grad_enabled(outside):
            v, u, total = called(x)
        assert (v.tolist(), u.tolist(), total.item()) == ([[2, 3]], [12], 153)
        assert not v.requires_grad and not u.requires_grad and total.requires_grad is outside


def test_views_follow_no_switch_of_their_base(world: World) -> None:
    def f(x):
        y = x * 1
        before = y[:2]
        y.requires_grad_()
        after = y[1:]
        flags = before.requires_grad, after.requires_grad
        y.requires_grad_(False)
        with tt.no_grad():
            y += 1
        (before.sum() + (after * after.detach()).sum()).backward()
        return flags, after.requires_grad, y.grad

    called = world(f)
    for _ in range(2):
        flags, still, gradient = called(tensor(1, 2, 3))
        assert flags == (False, True) and still and gradient.tolist() == [0, 3, 4]


# Results.
def test_detached_results(world: World) -> None:
    def f(x):
        y = x * 2
        return y, y.detach(), y.detach(), x.detach(), x.view(2, 1).detach(), x[1:].detach()

    called = world(f)
    for _ in range(2):
        x = param(1, 2)
        y, a, b, c, d, e = called(x)
        assert len({id(t) for t in (x, y, a, b, c, d, e)}) == 7
        assert [t.requires_grad for t in (x, y, a, b, c, d, e)] == [True, True, *[False] * 5]
        a[0] = 7
        assert y.tolist() == b.tolist() == [7, 4]
        d.mul_(3)
        e += 1
        assert x.tolist() == c.tolist() == [3, 7]


def test_gradients_through_views_among_the_results(world: World) -> None:
    def f(x):
        y = x * 2
        return y, y[1:], y.reshape(3, 1)

    x = param(1, 2, 3)
    called = world(f)
    for _ in range(2):
        x.grad = None
        a, b, c = called(x)
        (a.sum() + (b * b).sum() + (c * 3).sum()).backward()
        assert listed(x.grad) == [8, 24, 32]


def test_results_that_are_changed_later(world: World) -> None:
    def f(x):
        y = x * 2
        return y, y[1:]

    called = world(f)
    x = param(1, 2, 3)
    a, b = called(x)
    b.mul_(10)
    (a * 1).sum().backward()
    assert a.tolist() == [2, 40, 60] and listed(x.grad) == [2, 20, 20]


def test_views_of_captured_tensors_as_results(world: World) -> None:
    w = param(1, 2)
    called = world(lambda x: (w, w[1:], x * w, w.detach()))
    for _ in range(2):
        w.grad = None
        a, b, c, d = called(tensor(3, 4))
        (b.sum() + c.sum()).backward()
        assert a is w and listed(w.grad) == [3, 5]
        assert not d.requires_grad and np.shares_memory(d.numpy(), w.numpy())


def test_gradients_recorded_inside_of_no_grad(world: World) -> None:
    w = param(1, 2)

    def f(x):
        with tt.enable_grad():
            return (w * x).sum(), w * 1

    called = world(f)
    for _ in range(2):
        with tt.no_grad():
            total, other = called(tensor(3, 4))
        assert total.requires_grad and other.requires_grad
        w.grad = None
        total.backward()
        assert listed(w.grad) == [3, 4]


def test_leaves_made_inside_are_results(world: World) -> None:
    def f(x):
        y = x * 2
        return tt.zeros(2, requires_grad=True), y.detach().requires_grad_(), y, x.detach().requires_grad_()

    called = world(f)
    for _ in range(2):
        x = param(1, 2)
        a, b, y, c = called(x)
        assert c.requires_grad and c.is_leaf and c is not x and np.shares_memory(c.numpy(), x.numpy())
        assert a.is_leaf and b.is_leaf and not y.is_leaf
        ((a + 1) * b * y).sum().backward()
        assert [listed(t.grad) for t in (a, b, x)] == [[4, 16], [2, 4], [4, 8]]
        with tt.no_grad():
            b[0] = 9
        assert y.tolist() == [9, 4]


# A tape is used once.
def spent(t, x):
    y = (x * x).sum()
    y.backward()
    y.backward()


def spent_in_part(t, x):
    y = x * x
    y.sum().backward()
    (y * 3).sum().backward()


@pytest.mark.parametrize("program", [spent, spent_in_part])
def test_a_tape_is_freed(world: World, program: Any) -> None:
    x = param(1, 2)
    with pytest.raises(TinyTorchError, match=r"freed by an earlier(?s:.*)test_histories\.py:"):
        world(lambda x: program(tt, x))(x)


def test_a_tape_is_kept(world: World) -> None:
    def f(x, w):
        y = x * w
        y.sum().backward(retain_graph=True)
        (y * 3).sum().backward()
        with tt.no_grad():
            x += 1
        z, u = x * 2, x * w  # the leaves are no part of a tape
        z.sum().backward()
        u.sum().backward()
        return x.grad * 1

    called = world(f)
    for _ in range(2):
        x, w = param(1, 2), param(3, 4)
        assert called(x, w).tolist() == [17, 22] and listed(w.grad) == [6, 11]


# Higher derivatives.
def test_gradients_of_gradients_inside(world: World) -> None:
    def f(x):
        y = x * x
        y[0] *= x[1]
        y.sum().backward(create_graph=True)
        first = x.grad * 1
        x.grad = None
        first.sum().backward()
        return x.grad

    called = world(f)
    for _ in range(2):
        assert called(param(2, 3)).tolist() == [10, 6]


def test_gradients_are_constants_without_create_graph(world: World) -> None:
    w = param(3, 4)

    def f(x):
        (x * x).sum().backward()
        first = x.grad
        x.grad = None
        (first * w).sum().backward()
        return first * 1

    called = world(f)
    x = param(1, 2)
    assert called(x).tolist() == [2, 4] and x.grad is None and listed(w.grad) == [2, 4]


def test_a_gradient_penalty_outside(world: World) -> None:
    w = param(1, 2)
    called = world(lambda x: (w * x**3).sum())
    for _ in range(2):
        w.grad = None
        x = tensor(2, 3)
        penalty = tt.grad(called)(x).square().sum()
        (penalty + called(x)).backward()
        assert listed(w.grad) == [296, 2943]


def test_two_results_in_a_second_derivative(world: World) -> None:
    w = param(1, 2)
    called = world(lambda x: ((w * x**3).sum(), w * w * x))

    def total(x):
        a, b = called(x)
        return a + (b * b).sum()

    tt.grad(total)(tensor(2, 3)).square().sum().backward()
    assert listed(w.grad) == [896, 65700]


def test_third_derivatives_outside(world: World) -> None:
    called, x = world(lambda x: (x**4).sum()), param(2, 3)
    y = called(x)
    for wanted in ([32, 108], [48, 108], [48, 72]):
        y.backward(create_graph=True)
        assert listed(x.grad) == wanted
        y, x.grad = x.grad.sum(), None


def test_changes_between_a_call_and_its_backward(world: World) -> None:
    w = param(1, 2)
    found = world(lambda x: (w * w * x).sum())(tensor(1, 1))
    with tt.no_grad():
        w.mul_(2)
    with pytest.raises(TinyTorchError, match="changed in place"):
        found.backward()


class StraightThrough(tt.Function):
    def forward(self, x):
        return (x > 0).float()

    def backward(self, g):
        return g


def test_derivatives_written_in_python(world: World) -> None:
    """Right inside of a compiled function; outside, right or refused with the line."""

    def f(x):
        StraightThrough.apply(x * 3).sum().backward()
        return x.grad * 1

    x = param(1, -2)
    assert world(f)(x).tolist() == [3, 3]
    x.grad = None
    y = world(lambda x: StraightThrough.apply(x * 3))(x)
    assert y.tolist() == [1, 0]
    try:
        y.sum().backward()
    except tt.TraceError as error:
        assert "inside of the compiled function" in str(error) and "test_histories.py:" in str(error)
        assert x.grad is None
    else:
        assert listed(x.grad) == [3, 3]


# Gradients that were there before.
def test_a_gradient_that_is_dropped_when_there_is_one(world: World) -> None:
    layer = tt.Linear(2, 1)
    optimizer = tt.SGD(layer.parameters(), lr=0.5)

    def f(x):
        optimizer.zero_grad()
        return x * 1

    called = world(f)
    for _ in range(2):
        called(tensor(1))
        assert layer.weight.grad is None
        layer(tt.ones(1, 2)).sum().backward()


def test_a_gradient_that_is_replaced(world: World) -> None:
    w = param(1, 2)

    def f(x):
        w.grad = None
        (w * x).sum().backward()
        first, w.grad = w.grad, x * 10
        return first

    called = world(f)
    for values in ((1, 2), (3, 4)):
        assert called(tensor(*values)).tolist() == list(values)
        assert listed(w.grad) == [10 * v for v in values]


def test_gradients_that_are_set_to_views_and_arguments(world: World) -> None:
    a, b, c, d = (param(1, 2) for _ in range(4))
    flat = tensor(0, 0, 0, 0)

    def f(x):
        y = x * 2
        a.grad, b.grad = y[:2], y[2:]
        c.grad = flat[1:3]
        d.grad = flat[:2].detach()
        return y

    called = world(f)
    for k in (1, 10):
        y = called(tensor(k, 2, 3, 4 * k))
        assert (listed(a.grad), listed(b.grad)) == ([2 * k, 4], [6, 8 * k])
        y.zero_()
        flat[1] = k
        assert [listed(t.grad) for t in (a, b, c, d)] == [[0, 0], [0, 0], [k, 0], [0, k]]


def test_a_gradient_that_is_an_argument(world: World) -> None:
    w = param(1, 2)

    def f(x):
        w.grad = x

    called = world(f)
    for _ in range(2):
        x = tensor(1, 1)
        called(x)
        assert w.grad is x


def test_gradients_in_one_flat_tensor(world: World) -> None:
    flat, a, b = tensor(0, 0, 0, 0), param(1, 2), param(3, 4)
    a.grad, b.grad = flat[:2], flat[2:]
    optimizer = tt.SGD([a, b], lr=0.5, momentum=0.0)

    def f():
        flat.zero_()
        (a * b).sum().backward()
        flat.mul_(2)
        optimizer.step()

    called = world(f)
    called()
    assert flat.tolist() == [6, 8, 2, 4] and (a.tolist(), b.tolist()) == ([-2, -2], [2, 2])
    called()
    assert flat.tolist() == [4, 4, -4, -4] and (a.tolist(), b.tolist()) == ([-4, -4], [4, 4])
