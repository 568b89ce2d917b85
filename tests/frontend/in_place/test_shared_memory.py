"""Changes in place as the documentation promises them, what cannot be written, and memory that tensors share."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.worlds import World
from tinytorch.ir.errors import ShapeError, TinyTorchError

Row = list[float]
X: Row = [1, 2, 3, 4]
W: Row = [0.5, 0.25, 2, 1]


def loss(y: Any) -> Any:
    """`y`, after the backward pass of its sum."""
    y.sum().backward()
    return y.detach()


# What the documentation promises, literally.
def test_a_view_of_an_argument(world: World) -> None:
    def f(x):
        x[0].add_(1)
        return x * 1

    assert world(f)(tt.tensor([1.0, 2.0])).tolist() == [2, 2]


def test_a_detached_weight(world: World) -> None:
    w = tt.tensor([4.0])
    world(lambda x: (w.detach().mul_(0.5), w * x)[1])(tt.ones(1))
    assert w.tolist() == [2]


def test_values_that_backward_needs_are_changed_under_no_grad(world: World) -> None:
    """An error, or the gradient of what was computed; a trace has kept the old values."""

    def f(x):
        a = x * 1
        y = (a * a).sum()
        with tt.no_grad():
            a[0:2].zero_()
        y.backward()

    x = tt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    try:
        world(f)(x)
    except TinyTorchError as error:
        assert "changed in place" in str(error) and "test_shared_memory.py:" in str(error)
        assert x.grad is None
    else:
        assert x.grad is not None and x.grad.tolist() == [2, 4, 6]


def stale_output(t, x, w):
    y = x.exp()
    with t.no_grad():
        y.mul_(2)
    return loss(y + 1)


def stale_factor(t, x, w):
    y = x * 1
    z = y * y
    y.add_(1)
    return loss(z)


def stale_view(t, x, w):
    y = x * 1
    z = y[1:] * w[1:]
    y[2] = 0
    return loss(z)


@pytest.mark.parametrize(
    ("program", "wanted"),
    [(stale_output, np.exp(X)), (stale_factor, [2, 4, 6, 8]), (stale_view, [0, 0.25, 2, 1])],
    ids=["output", "factor", "view"],
)
def test_what_was_computed_before_a_change(world: World, program: Any, wanted: Any) -> None:
    """Eager, as torch, refuses; a trace has the old values still."""
    x, w = (tt.tensor([float(v) for v in values], requires_grad=True) for values in (X, W))
    try:
        world(lambda x, w: program(tt, x, w))(x, w)
    except TinyTorchError as error:
        assert "changed in place" in str(error) and "test_shared_memory.py:" in str(error)
    else:
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-6)


def test_an_augmented_assignment_trains(world: World) -> None:
    p, lr = tt.tensor([1.0, 2.0], requires_grad=True), 0.25

    def step():
        p.grad = None
        (p * p).sum().backward()
        with tt.no_grad():
            q = p
            q -= lr * p.grad
            assert q is p

    step = world(step)
    step(), step()
    assert p.tolist() == [0.25, 0.5]


class Counter(tt.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", tt.zeros(2))
        self.total = tt.zeros(())

    def forward(self, x):
        self.count += 1
        self.count[0] += x.sum()
        self.total *= 2
        self.total += 1
        return self.count * x


def test_augmented_assignment_to_attributes(world: World) -> None:
    module = Counter()
    count, total = module.count, module.total
    called = world(module)
    found = [called(tt.ones(2)).tolist() for _ in range(3)]
    assert found == [[3, 1], [6, 2], [9, 3]]
    assert module.count is count and module.total is total and total.item() == 7


def test_copies_of_tensors_are_leaves_of_their_own(world: World) -> None:
    x, w = tt.tensor([1.0, 2.0]), tt.tensor([3.0, 4.0], requires_grad=True)

    def step(x):
        y, z = copy.deepcopy(x), copy.deepcopy(w)
        y.mul_(3)
        (z * y).sum().backward()
        return x, y, z.grad

    assert [t.tolist() for t in world(step)(x)] == [[1, 2], [3, 6], [3, 6]] and w.grad is None


def test_averages_of_parameters(world: World) -> None:
    model = tt.Linear(2, 1)
    average = copy.deepcopy(model)
    with tt.no_grad():
        for tensor, value in ((model.weight, 1), (model.bias, 2), (average.weight, 0), (average.bias, 0)):
            tensor.fill_(value)

    def step():
        with tt.no_grad():
            for mean, p in zip(average.parameters(), model.parameters(), strict=True):
                mean.mul_(0.5).add_(p, alpha=0.5)
            model.weight += 1
            model.bias[0] *= 2

    step = world(step)
    step(), step()
    assert average.weight.tolist() == [[1.25, 1.25]] and average.bias.tolist() == [2.5]
    assert model.weight.tolist() == [[3, 3]] and model.bias.tolist() == [8]


# What cannot be written.
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.add_(1.5), lambda x: x.__iadd__(0.5), lambda x: x.div_(2), lambda x: x.__itruediv__(2),
        lambda x: x[1:].mul_(0.5), lambda x: x.__imul__(tt.tensor(2.0)), lambda x: x.pow_(0.5),
        lambda x: (x > 1).add_(1), lambda x: x.view(2, 1).sub_(0.5), lambda x: x.__isub__(np.float32(1)),
    ],
)  # fmt: skip
def test_integers_do_not_hold_fractions(world: World, change: Any) -> None:
    x = tt.tensor([1, 2])
    with pytest.raises(ShapeError, match=r"cannot hold the result(?s:.*)test_shared_memory\.py:"):
        world(change)(x)
    assert x.tolist() == [1, 2]


def test_a_change_keeps_the_dtype(world: World) -> None:
    def f(i, h, d):
        i += 3
        i //= 2
        h += 1
        h *= d.sum()
        d -= h
        i[0] = 2.75  # as in numpy and torch, an assignment converts
        return h

    i, h, d = tt.tensor([1, 2], dtype=tt.i32), tt.ones(2, dtype=tt.bf16), tt.ones(2, dtype=tt.f64)
    assert world(f)(i, h, d).dtype == tt.bf16
    assert (i.dtype, h.dtype, d.dtype) == (tt.i32, tt.bf16, tt.f64)
    assert (i.tolist(), h.float().tolist(), d.tolist()) == ([2, 2], [4, 4], [-3, -3])


def test_a_change_keeps_the_shape(world: World) -> None:
    with pytest.raises(ShapeError, match=r"\+=: the result has shape \[3, 2\], not \[2\]"):
        world(lambda x: x.__iadd__(tt.ones(3, 2)))(tt.ones(2))


def test_a_leaf_needs_no_grad(world: World) -> None:
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    for change in (lambda x: x.__iadd__(1), lambda x: x[0].add_(1), lambda x: x.__setitem__(0, 1.0)):
        with pytest.raises(TinyTorchError, match=r"leaf that requires grad(?s:.*)test_shared_memory\.py:"):
            world(change)(x)
    assert x.tolist() == [1, 2]


# Memory that tensors share partly.
def test_arguments_that_overlap(world: World) -> None:
    """Right, or refused with the user's line."""

    def f(a, b):
        a.add_(1)
        return b * 1

    called = world(f)
    called(tt.ones(2), tt.ones(2))
    x = tt.tensor([1.0, 2.0, 3.0, 4.0])
    try:
        assert called(x[0:2], x[1:3]).tolist() == [3, 3]
    except tt.TraceError as error:
        assert "shares memory" in str(error) and "test_shared_memory.py:" in str(error)
        assert x.tolist() == [1, 2, 3, 4]
    else:
        assert x.tolist() == [2, 3, 3, 4]


def test_arguments_that_overlap_read_before_the_change(world: World) -> None:
    def f(a, b):
        c = b * 1
        a.add_(1)
        return c

    called = world(f)
    x = tt.tensor([1.0, 2.0, 3.0, 4.0])
    called(tt.ones(2), tt.ones(2))
    for wanted in ([2, 3], [3, 3]):
        assert called(x[0:2], x[1:3]).tolist() == wanted
    assert x.tolist() == [3, 4, 3, 4]


def test_an_argument_and_a_view_of_it(world: World) -> None:
    def f(a, b):
        a.add_(1)
        return b * 1

    x = tt.tensor([1.0, 2.0])
    try:
        assert world(f)(x, x[1:]).tolist() == [3]
    except tt.TraceError as error:
        assert "shares memory" in str(error) and x.tolist() == [1, 2]


def test_a_captured_view(world: World) -> None:
    whole = tt.zeros(4)
    part = whole[1:3]

    def f(x):
        part.add_(x)
        return whole * 1

    called = world(f)
    assert called(tt.tensor([1.0, 2.0])).tolist() == [0, 1, 2, 0]
    assert called(tt.tensor([1.0, 2.0])).tolist() == [0, 2, 4, 0] == whole.tolist()


# Frozen graphs.
@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
def test_frozen_graphs_notice_changes_through_aliases(backend: Any) -> None:
    w = tt.tensor([1.0, 2.0])
    called = tt.compile(lambda x: x * w, backend=backend, freeze=True)
    one = tt.ones(2)
    assert called(one).tolist() == [1, 2]
    changes: list[tuple[Callable[[], Any], Row]] = [
        (lambda: w.detach().mul_(2), [2, 4]),
        (lambda: w.view(2, 1).mul_(2), [4, 8]),
        (lambda: tt.from_numpy(w.numpy()).mul_(2), [8, 16]),
        (lambda: w[0:1].zero_(), [0, 16]),
        (lambda: w[1:].detach().view(1, 1)[0].fill_(3), [0, 3]),
        (lambda: setattr(w, "data", np.array([7, 7], np.float32)), [7, 7]),
        (lambda: tt.compile(lambda: w[:1].add_(1))(), [8, 7]),
        (lambda: tt.compile(lambda v: v.add_(1))(w.detach()), [9, 8]),
    ]
    for change, wanted in changes:
        change()
        assert called(one).tolist() == wanted


def test_view_never_copies(world: World) -> None:
    def columns(x: tt.Tensor) -> tt.Tensor:
        x[:, 1:].view(2, 2, 1).zero_()
        return x.t().view(3, 2, 1) * 1

    assert world(columns)(tt.ones(2, 3)).tolist() == [[[1.0], [1.0]], [[0.0], [0.0]], [[0.0], [0.0]]]
    with pytest.raises(ShapeError, match=r"view: the elements of f32\[3,2\](.|\n)*test_shared_memory\.py"):
        world(lambda x: x.t().view(6) * 1)(tt.ones(2, 3))
