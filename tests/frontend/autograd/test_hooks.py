"""Hooks of gradients: of any tensor, on their way, and of leaves, once they are there."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError, TraceError


def test_hooks_see_and_change_gradients_on_their_way():
    x = Tensor([1.0, 2.0], requires_grad=True)
    h = x * 2
    h.retain_grad()
    seen = []
    handle = h.register_hook(lambda g: g * 10)
    x.register_hook(seen.append)
    (h * h).sum().backward()
    np.testing.assert_array_equal(h.grad.numpy(), [40, 80])  # as all hooks leave it
    np.testing.assert_array_equal(x.grad.numpy(), [80, 160])
    np.testing.assert_array_equal(seen[0].numpy(), [80, 160])
    h = x * 2
    with h.register_hook(lambda g: g * 0):
        pass
    handle.remove()
    x.grad = None
    h.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2])
    with pytest.raises(TinyTorchError, match="does not require grad"):
        Tensor([1.0]).register_hook(print)


def test_hooks_are_refused_where_they_would_not_run():
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TraceError, match="eager mode only"):
        tt.compile(lambda x: (x * 2).register_hook(print) and x)(x)
    x.register_hook(lambda g: g * 2)
    w = tt.Linear(2, 1)
    w.weight.register_hook(lambda g: g * 2)
    with pytest.raises(TraceError, match="hooks of its gradient"):
        tt.compile(lambda v: w(v).sum().backward())(Tensor([[1.0, 2.0]]))


@pytest.mark.parametrize("wrap", [lambda f: f, tt.compile])
def test_hooks_of_leaves_are_called_when_their_gradient_is_there(wrap):
    """An optimizer that steps in backward(), hooks that come and go, and one that changes the leaf itself."""
    p, q = (Tensor([value], requires_grad=True) for value in (1.0, 2.0))
    steps = {leaf: tt.optim.SGD([leaf], lr=0.1) for leaf in (p, q)}

    def at_once(leaf):
        steps[leaf].step()
        steps[leaf].zero_grad()

    @wrap
    def step(x):
        (p * q * x).sum().backward()

    def values():
        return [np.round(float(t), 4) if t is not None else None for t in (p, q, p.grad, q.grad)]

    handles = [leaf.register_post_accumulate_grad_hook(at_once) for leaf in (p, q)]
    step(Tensor([1.0]))
    assert values() == [0.8, 1.9, None, None]  # both gradients are of the values before
    handles[0].remove()
    step(Tensor([1.0]))
    assert values() == [0.8, 1.82, 1.9, None]
    p.register_post_accumulate_grad_hook(lambda leaf: leaf.add_(leaf.grad))  # no gradients are recorded
    step(Tensor([1.0]))
    assert values() == [4.52, 1.74, 3.72, None]
    (p * 2).sum().register_hook(print)  # no leaf
    other = Tensor([1.0], requires_grad=True)
    step(other)
    if wrap is tt.compile:
        assert len(step._compilations.kept) == 4  # for each change of hooks, and for an argument with a gradient
        other.register_post_accumulate_grad_hook(print)
        with pytest.raises(TraceError, match="an argument that has hooks"):
            step(other)
    with pytest.raises(TinyTorchError, match="was computed"):
        (p * 2).register_post_accumulate_grad_hook(print)
    with pytest.raises(TinyTorchError, match="is none"):
        Tensor([1.0]).register_post_accumulate_grad_hook(print)
