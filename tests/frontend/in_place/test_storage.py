"""Programs that change tensors in place, eager, compiled and in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import tinytorch as tt
from tests.worlds import World

Row = list[float]
X: Row = [1, 2, 3, 4]
W: Row = [0.5, 0.25, 2, 1]


@dataclass(frozen=True)
class Case:
    """A program of `x` and `w`, what it returns, and what is in them afterwards."""

    program: Callable[..., Any]
    result: Any
    x: Row
    w: Row
    grads: tuple[Row | None, Row | None] | None  # None: neither requires grad


CASES: list[Case] = []


def case(result: Any, *, x: Row = X, w: Row = W, grads: tuple[Row | None, Row | None] | None = None) -> Any:
    """Note a program, called with `t` (the library), `x` and `w`."""

    def note(program: Callable[..., Any]) -> Callable[..., Any]:
        CASES.append(Case(program, result, x, w, grads))
        return program

    return note


def loss(y: Any) -> Any:
    """`y`, after the backward pass of its sum."""
    y.sum().backward()
    return y.detach()


# Values.
@case([2, 2, 3, 4], x=[2, 2, 3, 4])
def a_view_is_changed(t, x, w):
    x[0].add_(1)
    return x * 1


@case([1, 12, 3, 14], x=[1, 12, 3, 14])
def a_row_of_columns(t, x, w):
    x.view(2, 2)[:, 1] += 10
    return x * 1


@case([-7, -2, 12, 8])
def overlapping_views(t, x, w):
    y = x * 2
    a, b = y[0:2], y[1:3]
    a.add_(1)
    b.mul_(2)
    a -= b.clone()
    return y


@case([2, 2, 0, 0], x=[2, 2, 0, 0])
def a_view_of_a_transpose(t, x, w):
    y = x.view(2, 2).t()
    y[0] = w[2:]
    y.t()[1].zero_()
    return x * 1


@case([13, 16, 16, 19], x=[11, 12, 13, 14])
def a_reshape_that_has_to_copy(t, x, w):
    y = x.view(2, 2).t()
    z = y.reshape(4)
    z.add_(1)
    y.add_(10)
    return x * 1 + z


@case([0.25, 16])
def the_base_after_its_view(t, x, w):
    y = t.zeros(4)
    v = y[1:3]
    y[:] = w * 2
    return v * v


@case([0.25, 2, 1, 4], x=[0.25, 2, 1, 4])
def a_step_of_two(t, x, w):
    x[::2] = w[1::2]
    x[3:1] = 7
    return x * 1


@case([0.0625, 0.0625, 9, 4], x=[0.0625, 0.0625, 9, 4])
def operators(t, x, w):
    y = x
    y += 1
    y *= w
    y -= w
    y /= 2
    y **= 2
    return y * 1


@case([3, 4, 2, 1], x=[1, 2, 0, 0], w=[2, 2, 2, 1])
def the_elements_of_a_mask(t, x, w):
    x[x > 2] = 0
    w[w < 1] = x[0] + 1
    return x + w


@case([0.25, 1, 0.5, 3], x=[0.25, 1, 0.5, 3])
def an_index_array(t, x, w):
    x[t.tensor([2, 0])] = w[:2]
    x[[1, 3]] -= 1
    return x * 1


@case([1, 3, 3, 5], x=[1, 3, 3, 5])
def repeated_indices(t, x, w):
    x[t.tensor([1, 1, 3])] += 1
    return x * 1


@case([2, 5.5, 7.75, 5], x=[2, 5.5, 7.75, 5])
def a_new_axis(t, x, w):
    x[None, 1:3].mul_(w[1:3, None].sum())
    x.unsqueeze(1)[..., 0].add_(1)
    return x * 1


@case([1, 0, 0, 0], x=[2, 4, 6, 8], w=[0.5, 0, 0, 0])
def a_detached_argument(t, x, w):
    x.detach().mul_(2)
    w.detach()[1:].zero_()
    return x * w


@case([1, 2, 3, 4])
def a_copy_is_not_the_original(t, x, w):
    y = x.clone()
    y.zero_()
    return x + y


@case([1, 4, 3, 2])
def a_flip_is_a_copy(t, x, w):
    y = x.flip(0)
    y[0] = 1
    x.flip(0).zero_()
    return t.cat([x[:1], y[:1] * 0 + 4, y[1:3]])


# Gradients.
@case([2, 1.5, 6, 4], grads=([0.5, 0.25, 2.5, 1.25], [4, 6, 3, 4]))
def a_part_added_to_another(t, x, w):
    y = x * 1
    y[:2] += y[2:]
    return loss(y * w)


@case([1, 0.25, 36, 25], grads=([12, 0.25, 24, 10], [24, 2, 36, 40]))
def elements_added_to_each_other(t, x, w):
    y = x * w
    a, d = y[0], y[3]
    a.mul_(2)
    d.add_(a)
    return loss(y * y)


@case([25, 4, 9, 16], grads=([0, 4, 6, 8], None))
def item_assignment(t, x, w):
    y = x * 1
    y[0] = 5.0
    return loss(y * y)


@case([1, 1, 0.25, 16], grads=([2, 0, 0, 8], [4, 2, 0, 0]))
def a_slice_of_another(t, x, w):
    y = x * 1
    y[1:3] = w[0:2] * 2
    return loss(y * y)


@case([0.75, 27, 27, 75], grads=([1.5, 9, 18, 30], [39, 0, 18, 30]))
def nested_views(t, x, w):
    y = x * 1
    v = y.view(2, 2)
    v[0].mul_(w[0])
    v[:, 1] += w[2:]
    return loss(y * y * 3)


@case([0.25, 16], grads=(None, [0, 2, 16, 0]))
def a_view_of_a_constant_that_gets_a_history(t, x, w):
    y = t.zeros(4)
    v = y[1:3]
    y[:] = w * 2
    return loss(v * v)


@case([1, 1, 12, 8], grads=([0.5, 0.25, 2, 1], [2, 4, 6, 8]))
def a_detached_alias(t, x, w):
    y = x * 1
    y.detach().mul_(2)
    return loss(y * w)


@case([2, 2, 13, 9], grads=([0.5, 0.25, 2, 1], [1, 2, 3, 4]))
def no_grad_keeps_the_history(t, x, w):
    y = x * w
    with t.no_grad():
        y.mul_(2)
    return loss(y + 1)


@case([3, 4, 16, 13], grads=([2, 1.5, 5, 3], [2, 4, 6, 8]))
def what_an_addition_has_read(t, x, w):
    y = x * w
    z = y + 1
    y.add_(x)
    return loss(z + y)


@case([0.5, 0.25, 2, 1], grads=([0, 0, 0, 0], [1, 1, 1, 1]))
def zeros_end_the_history(t, x, w):
    y = x * w
    y.zero_()
    return loss(y + w)


@case([[0.5, 0.5], [0.25, 0]], grads=([0, 0.25, 0, 0], [1, 3, 0, 0]))
def a_mask_of_a_view(t, x, w):
    y = (x * w).reshape(2, 2)
    y.t()[0] = w[:2]
    y[y > 2] = 0
    return loss(y)


@case([0.0625, 0.25, 4, 16], grads=([0, 0.25, 0, 8], [0, 2.5, 4, 32]))
def an_index_array_of_another(t, x, w):
    y = x * w
    y[t.tensor([0, 2])] = w[1:3]
    return loss(y * y)


@case([1.25, 2.125, 15, 8], grads=([1, 1, 1, 1], [0.5, 0.5, 6, 4]))
def a_leaf_before_and_after(t, x, w):
    a = x * w
    with t.no_grad():
        w.detach()[0] = 0.5
        x.sub_(1).add_(1)
    return loss(a.detach() * w + x)


@case([3.5, 4.5, 22, 17], x=[3, 6, 9, 12], grads=([1.5, 1.25, 3, 2], [3, 6, 9, 12]))
def a_leaf_under_no_grad(t, x, w):
    a = x + 1
    with t.no_grad():
        x.mul_(3)
    b = x * w
    return loss(a + b)


@case([1, 0.5, 4, 2], grads=([1, 0.5, 4, 2], [2, 4, 6, 8]))
def gradients_accumulate(t, x, w):
    (x * w).sum().backward()
    gradient = x.grad
    (x * w).sum().backward()
    return gradient * 1


@case([0.5, 1.75, 1, 3], x=[0.5, 1.75, 1, 3], grads=([0, 0, 0, 0], [1.75, 3.875, 5, 7.5]))
def steps_by_hand(t, x, w):
    for _ in range(2):
        (x * w).sum().backward()
        with t.no_grad():
            x -= 0.5 * x.grad
            x.grad.zero_()
    return x.detach() * 1


@case([1, 1, 1, 1], grads=([2, 2, 2, 2], [1, 1, 1, 1]))
def gradients_are_apart(t, x, w):
    (x + w).sum().backward()
    x.grad.mul_(2)
    return w.grad * 1


@case([1.5, 9.25, 18, 17], x=[1, 3, 4, 4], grads=([2, 6, 8, 8], [1, 1, 1, 1]))
def a_view_of_a_leaf(t, x, w):
    v = x[1:3]
    with t.no_grad():
        v += 1
    return loss(x * x + w)


def tensors(library: Any, known: Case) -> list[Any]:
    made = [library.tensor([float(v) for v in values]) for values in (X, W)]
    return [tensor.requires_grad_(known.grads is not None) for tensor in made]


def check(known: Case, found: Any, x: Any, w: Any) -> None:
    assert found.tolist() == known.result
    assert (x.tolist(), w.tolist()) == (known.x, known.w)
    grads = tuple(None if tensor.grad is None else tensor.grad.tolist() for tensor in (x, w))
    assert grads == (known.grads or (None, None))


@pytest.mark.parametrize("known", CASES, ids=lambda known: known.program.__name__)
def test_programs(world: World, known: Case) -> None:
    function = world(lambda x, w: known.program(tt, x, w))
    for _ in range(2):
        x, w = tensors(tt, known)
        check(known, function(x, w), x, w)


@pytest.mark.parametrize("known", CASES, ids=lambda known: known.program.__name__)
def test_programs_in_torch(known: Case) -> None:
    torch = pytest.importorskip("torch")
    x, w = tensors(torch, known)
    check(known, known.program(torch, x, w), x, w)
