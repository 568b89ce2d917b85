"""The tape, its modes, gradients of functions and checkpoints."""

from __future__ import annotations

import gc
import operator
import threading
import weakref
from collections.abc import Callable

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.autograd import (
    checkpoint,
    enable_grad,
    grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
    value_and_grad,
)
from tinytorch.frontend.functions import random
from tinytorch.frontend.layers.layers import Dropout, Linear
from tinytorch.frontend.module.containers import Sequential
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError

RNG = np.random.default_rng(3)


def leaf(*shape: int) -> Tensor:
    return Tensor(RNG.normal(size=shape), requires_grad=True)


# The tape.
def test_a_network_matches_torch():
    torch = pytest.importorskip("torch")
    x, w, b, v = (RNG.normal(size=s) for s in ((5, 3), (3, 4), (4,), (4, 2)))

    def loss(x, w, b, v):
        h = (x @ w + b).tanh()
        return ((h @ v).softmax(-1) * h.sum() + (h * h).mean(0).sum()).sum()

    ours = [Tensor(a, requires_grad=True) for a in (x, w, b, v)]
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, w, b, v)]
    loss(*ours).backward()
    loss(*theirs).backward()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_a_value_used_twice_gets_both_contributions():
    x = Tensor(3.0, requires_grad=True)
    y = x * x
    (y * y + y).backward()
    assert x.grad.item() == 4 * 27 + 6


def test_gradients_accumulate_until_they_are_cleared():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for expected in ([2.0, 4.0], [4.0, 8.0]):
        (x * x).sum().backward()
        assert x.grad.tolist() == expected
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_broadcast_operands_get_summed_gradients():
    x, bias, scale = leaf(4, 3), leaf(3), Tensor(2.0, requires_grad=True, dtype="f64")
    ((x + bias) * scale).sum().backward()
    assert bias.grad.tolist() == [8.0] * 3
    np.testing.assert_allclose(scale.grad.item(), (x.numpy() + bias.numpy()).sum())


def test_backward_errors():
    x = leaf(3)
    with pytest.raises(ShapeError, match="more than one element"):
        (x * 2).backward()
    with pytest.raises(ShapeError, match="cotangent"):
        (x * 2).backward(F.ones(2))
    with pytest.raises(TinyTorchError, match="requires grad"):
        (F.ones(1) * 2).backward()
    y = (x * x).sum()
    y.backward()
    with pytest.raises(TinyTorchError, match="freed"):
        y.backward()
    with pytest.raises(ShapeError, match="float tensors"):
        Tensor([1, 2], requires_grad=True)


def test_retain_graph():
    x = Tensor(2.0, requires_grad=True)
    y = x**3
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 24.0


def test_changing_an_operand_in_place_is_noticed():
    x, y = leaf(2), F.ones(2, dtype="f64")
    z = (x * y).sum()
    y.add_(1)
    with pytest.raises(TinyTorchError, match="changed in place"):
        z.backward()
    with pytest.raises(TinyTorchError, match="no_grad"):
        x.add_(1)
    with no_grad():
        x.add_(1)


def test_the_tape_is_freed_by_backward_and_not_kept_without_gradients():
    x = leaf(10)
    middle = x * 2
    watched = weakref.ref(middle)
    y = (middle * middle).sum()
    del middle
    assert watched() is not None
    y.backward()
    gc.collect()
    assert watched() is None
    with no_grad():
        middle = x * 2
        watched = weakref.ref(middle)
        y = middle.sum()
        del middle
    assert watched() is None and not y.requires_grad


def test_a_deep_graph_needs_no_deep_stack():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(5000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1.0


def test_detach_and_copies():
    x = Tensor([2.0], requires_grad=True)
    assert not x.detach().requires_grad and x.detach().numpy() is not None
    (x.detach() * x).sum().backward()
    assert x.grad.tolist() == [2.0]
    assert x.clone().requires_grad and not x.clone().is_leaf


# Modes.
def test_modes_nest_decorate_and_belong_to_a_thread():
    x = leaf(1)
    with no_grad():
        assert not is_grad_enabled() and not (x * 2).requires_grad
        with enable_grad():
            assert (x * 2).requires_grad
        with set_grad_enabled(False):
            assert not is_grad_enabled()
        seen: list[bool] = []
        thread = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
        thread.start()
        thread.join()
        assert seen == [True]
    assert is_grad_enabled()

    @no_grad()
    def doubled(x):
        return x * 2

    @set_grad_enabled(False)
    def tripled(x):
        return x * 3

    assert is_grad_enabled()
    assert not doubled(x).requires_grad and not tripled(x).requires_grad and is_grad_enabled()
    block = no_grad()
    with block, block:
        pass
    assert is_grad_enabled()
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert is_grad_enabled()
    set_grad_enabled(False)
    assert not is_grad_enabled()
    set_grad_enabled(True)
    assert is_grad_enabled()


# Gradients of functions.
def test_grad_of_several_arguments_and_containers():
    a, b = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    ga, gb = grad(lambda a, b: (a * a * b).sum(), argnums=(0, 1))(a, b)
    assert ga.tolist() == [6.0, 16.0] and gb.tolist() == [1.0, 4.0]
    params = {"w": a, "rest": [b, (Tensor(2.0),)]}
    value, gradient = value_and_grad(lambda p: (p["w"] * p["rest"][0]).sum() * p["rest"][1][0])(params)
    assert value.item() == 22.0 and not value.requires_grad
    assert gradient["w"].tolist() == [6.0, 8.0] and gradient["rest"][1][0].item() == 11.0
    assert a.grad is None and not a.requires_grad


def test_grad_of_numbers_keywords_and_unused_arguments():
    assert grad(lambda x, scale: x * x * scale)(3.0, scale=2.0).item() == 12.0
    assert grad(lambda x: x.sum())(np.ones(3, np.float32)).tolist() == [1.0] * 3
    unused = grad(lambda a, b: a.sum(), argnums=1)(F.ones(2), F.ones(3))
    assert unused.tolist() == [0.0] * 3


def test_grad_with_aux():
    gradient, aux = grad(lambda x: ((x * x).sum(), {"x2": x * 2}), has_aux=True)(Tensor([3.0]))
    assert gradient.tolist() == [6.0] and aux["x2"].tolist() == [6.0] and not aux["x2"].requires_grad
    (value, _), gradient = value_and_grad(lambda x: ((x * x).sum(), None), has_aux=True)(Tensor([3.0]))
    assert value.item() == 9.0


def test_nested_grad():
    def fourth_power(x):
        return x**4

    derivative = fourth_power
    for expected in (32.0, 48.0, 48.0, 24.0):
        derivative = grad(derivative)
        assert derivative(Tensor(2.0)).item() == expected
    # The inner variable is not the outer one, also where they are the same tensor.
    assert grad(lambda x: x * grad(lambda y: x + y)(x))(Tensor(3.0)).item() == 1.0
    x = Tensor(3.0)
    assert grad(lambda y: y * x)(x).item() == 3.0


def test_hessian_vector_product_matches_torch():
    torch = pytest.importorskip("torch")
    values, direction = RNG.normal(size=(2, 4))

    def f(x):
        return (x.tanh() * x.exp()).sum() + (x * x).sum() ** 2

    product = grad(lambda x: (grad(f)(x) * Tensor(direction)).sum())(Tensor(values))
    _, expected = torch.autograd.functional.hvp(f, torch.tensor(values), torch.tensor(direction))
    np.testing.assert_allclose(product.numpy(), expected.numpy(), rtol=1e-9)


def test_a_gradient_penalty_reaches_the_parameters():
    model, x = Linear(3, 1).double(), Tensor(RNG.normal(size=(2, 3)))
    norm = grad(lambda x: model(x).tanh().sum())(x).square().sum()
    norm.backward()
    step, weight = 1e-6, model.weight
    analytic = weight.grad.numpy()[0, 1]
    values = []
    for sign in (1, -1):
        weight.data[0, 1] += sign * step
        values.append(grad(lambda x: model(x).tanh().sum())(x).square().sum().item())
        weight.data[0, 1] -= sign * step
    np.testing.assert_allclose(analytic, (values[0] - values[1]) / (2 * step), rtol=1e-6)


def test_create_graph():
    x = Tensor(2.0, requires_grad=True)
    (x**3).backward(create_graph=True)
    first = x.grad
    x.grad = None
    first.backward()
    assert x.grad.item() == 12.0


def test_grad_works_within_no_grad_and_leaves_no_graph():
    with no_grad():
        gradient = grad(lambda x: (x * x).sum())(leaf(2))
    assert not gradient.requires_grad
    x = leaf(2)
    assert grad(lambda y: (y * y).sum())(x).requires_grad  # x is a variable here
    assert x.grad is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grad(lambda x: x * 2)(F.ones(2)), "float scalar"),
        (lambda: grad(lambda x: 1.0)(F.ones(2)), "expected a Tensor"),
        (lambda: grad(lambda x: x)(Tensor([1])), "float tensors"),
        (lambda: grad(lambda x: x, argnums=1)(F.ones(2)), "argnums"),
        (lambda: grad(lambda x: x)("text"), "no tensor"),
        (lambda: grad(lambda x: x.sum(), has_aux=True)(F.ones(2)), "pair"),
    ],
)
def test_grad_errors(call, message):
    with pytest.raises(TinyTorchError, match=message):
        call()


# Checkpointing.
def blocks() -> Sequential:
    random.manual_seed(5)
    return Sequential(*(Sequential(Linear(8, 8), Dropout(0.3)) for _ in range(4)))


def test_checkpoint_gives_the_same_gradients():
    found = []
    for keep in (True, False):
        model = blocks()
        x = h = random.randn(4, 8).requires_grad_()
        for block in model:
            h = block(h).tanh() if keep else checkpoint(lambda h, block=block: block(h).tanh(), h)
        h.square().sum().backward()
        found.append([x.grad, *(p.grad for p in model.parameters()), random.get_state()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6, atol=1e-7)


def test_checkpoint_keeps_no_intermediate_results():
    x, made = leaf(4), []

    def piece(x):
        middle = x * 2
        made.append(weakref.ref(middle))
        return (middle * middle).exp()

    y = checkpoint(piece, x)
    gc.collect()
    assert len(made) == 1 and made[0]() is None and y.requires_grad
    y.sum().backward()
    assert len(made) == 2
    expected = grad(lambda x: piece(x).sum())(x.detach())
    np.testing.assert_allclose(x.grad.numpy(), expected.numpy())


def test_checkpoint_with_several_results_and_second_derivatives():
    def piece(x, y):
        return x * y, x.exp()

    def through(x, y):
        a, b = checkpoint(piece, x, y)
        return (a * b).sum()

    def plain(x, y):
        a, b = piece(x, y)
        return (a * b).sum()

    x, y = Tensor(RNG.normal(size=3)), Tensor(RNG.normal(size=3))
    for f in (lambda f: grad(f, (0, 1)), lambda f: grad(lambda x, y: grad(f)(x, y).square().sum(), (0, 1))):
        for a, b in zip(f(through)(x, y), f(plain)(x, y), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10)
    with no_grad():
        assert not checkpoint(piece, x, y)[0].requires_grad


# PyTorch's forms.
def test_autograd_grad_is_pytorchs():
    x, y = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0], requires_grad=True)
    (g,) = tt.autograd.grad((x**3).sum(), x, create_graph=True)
    np.testing.assert_array_equal(tt.autograd.grad(g.sum(), [x])[0].numpy(), [6, 12])
    unused = Tensor([1.0], requires_grad=True)
    assert tt.autograd.grad(x.sum(), [unused], materialize_grads=True)[0].tolist() == [0.0]
    with pytest.raises(tt.TinyTorchError, match="only_inputs"):
        tt.autograd.grad(x.sum(), [x], only_inputs=False)
    a, b = tt.autograd.grad([(x * y).sum(), x * 2], [x, y], [None, Tensor([1.0, 1.0])], allow_unused=True)
    np.testing.assert_array_equal(a.numpy(), [5, 5])
    np.testing.assert_array_equal(b.numpy(), [3])
    assert x.grad is None
    with pytest.raises(TinyTorchError, match="allow_unused=True"):
        tt.autograd.grad(x.sum(), [x, y])
    with pytest.raises(TinyTorchError, match="more than one element; pass grad_outputs"):
        tt.autograd.grad(x * 2, x)


def test_data_is_an_array_with_the_methods_of_tensors():
    w = tt.Linear(2, 1).weight
    w.data.fill_(2.0)
    w.data[0, 0] += 1
    assert isinstance(w.data, np.ndarray) and w.tolist() == [[3, 2]] and w.requires_grad
    loss = (w * w).sum()
    w.data.mul_(2)
    with pytest.raises(TinyTorchError, match="changed in place since"):
        loss.backward()


@pytest.mark.parametrize(
    "written",
    [
        lambda x, w: tt.nn.functional.instance_norm(x).relu_(),
        lambda x, w: tt.layer_norm(x, (4, 4)).mul_(x),
        lambda x, w: (x / w).add_(w),
        lambda x, w: tt.silu(x).add_(x),
    ],
)
def test_results_changed_in_place_are_computed_again_for_gradients(written: Callable[[Tensor, Tensor], Tensor]):
    def step(x: Tensor, w: Tensor) -> Tensor:
        y = written(x, w)
        (g,) = tt.autograd.grad(y.square().sum(), x, create_graph=True)
        (g.square().sum() + y.sum()).backward()
        return y

    found = []
    for run in (step, tt.compile(step, backend="interpreter")):  # a graph never overwrites a value
        x, w = leaf(1, 2, 4, 4), Tensor(np.full(4, 1.5), requires_grad=True)
        x.data[:] = np.random.default_rng(1).normal(size=x.shape)
        found.append([run(x, w).numpy(), x.grad.numpy()])
    for eager, compiled in zip(*found, strict=True):
        np.testing.assert_allclose(eager, compiled, rtol=1e-6, atol=1e-6)


def test_gradients_of_images_can_be_viewed():
    x = tt.ones(2, 3, 4, 4, requires_grad=True)
    for create_graph in (False, True):
        (g,) = tt.autograd.grad(tt.nn.Conv2d(3, 4, 3)(x).square().sum(), x, create_graph=create_graph)
        flat = g.view(2, -1)
        flat.detach()[0, 0] = 7.0
        assert g[0, 0, 0, 0].item() == 7 and g.requires_grad is create_graph


STEPS = {
    **{name: operator.methodcaller(name) for name in ("floor", "ceil", "round", "trunc", "sign")},
    "//": lambda x: x // 2 + 3 // (x + 5),
    "div": lambda x: tt.div(x, 2.0, rounding_mode="floor"),
}


@pytest.mark.parametrize("name", STEPS)
def test_functions_in_steps_have_gradients_of_zero(name):
    """Not none: an optimizer decays and slows down such parameters, too, as PyTorch's do."""

    def gradient(x):
        x = x.detach().requires_grad_()
        STEPS[name](x).sum().backward()
        return x.grad

    x = tt.tensor([-1.5, 0.0, 2.25])
    assert gradient(x).tolist() == tt.compile(gradient)(x).tolist() == [0, 0, 0]


def test_detach_in_place_makes_a_leaf():
    def step(w, x):
        h = w * x
        h.detach_()
        (h * w).sum().backward()
        return h

    x, found = Tensor([2.0, 3.0]), []
    for call in (step, tt.compile(step)):
        w = Tensor([1.0, 4.0], requires_grad=True)
        h = call(w, x)
        assert not h.requires_grad and h.is_leaf
        found.append(w.grad.numpy())
    np.testing.assert_array_equal(found, [[2, 12], [2, 12]])
    w = Tensor([1.0, 4.0], requires_grad=True)
    assert x.detach_() is x
    with pytest.raises(TinyTorchError, match="a view has the history of its base"):
        (w * 2)[0].detach_()
