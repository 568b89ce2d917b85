"""Storage: views, `detach()` and whatever else shares memory sees changes in place, in values and in gradients.

The programs run eagerly, by the interpreter, as machine code and, where it is installed, by torch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.ir.errors import ShapeError, TinyTorchError

World = Callable[[Any], Any]
Row = list[float]
X: Row = [1, 2, 3, 4]
W: Row = [0.5, 0.25, 2, 1]


@pytest.fixture(params=["eager", "llvm", "interpreter"])
def world(request: pytest.FixtureRequest) -> World:
    """Run a function eagerly, or compiled."""
    if request.param == "eager":
        return lambda function: function
    return lambda function: tt.compile(function, backend=request.param)


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
        assert "changed in place" in str(error) and "test_storage.py:" in str(error)
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
        assert "changed in place" in str(error) and "test_storage.py:" in str(error)
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
    with pytest.raises(ShapeError, match=r"cannot hold the result(?s:.*)test_storage\.py:"):
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
        with pytest.raises(TinyTorchError, match=r"leaf that requires grad(?s:.*)test_storage\.py:"):
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
        assert "shares memory" in str(error) and "test_storage.py:" in str(error)
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
    with pytest.raises(ShapeError, match=r"view: the elements of f32\[3,2\](.|\n)*test_storage\.py"):
        world(lambda x: x.t().view(6) * 1)(tt.ones(2, 3))
