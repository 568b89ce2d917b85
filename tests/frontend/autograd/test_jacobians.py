"""`tt.func` and `tt.autograd.functional`: values and structures are torch's, eagerly and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.against_torch import check, check_compiled, leaves
from tinytorch.autograd import functional
from tinytorch.frontend.tree import flatten

A = np.sin(np.arange(6, dtype=np.float32)).reshape(2, 3)
B = np.cos(np.arange(3, dtype=np.float32))
V = np.arange(6, dtype=np.float32).reshape(2, 3) / 5


def several(x: Any, y: Any) -> Any:
    return x.sin() @ y, {"sum": (x * x * y).sum(0)}


def scalar(x: Any, y: Any) -> Any:
    return (x.exp() @ y).sin().sum()


def parts(tree: Any) -> list[Any]:
    """All tensors of a nested container, in order."""
    if isinstance(tree, dict):
        return [leaf for item in tree.values() for leaf in parts(item)]
    return [leaf for item in tree for leaf in parts(item)] if isinstance(tree, (tuple, list)) else [tree]


CASES: dict[str, Any] = {
    "jacrev": lambda m, x, y: parts(m.func.jacrev(several, (0, 1))(x, y)),
    "jacrev of one": lambda m, x, y: m.func.jacrev(lambda x: x[0] * x[1])(x),
    "jacfwd": lambda m, x, y: parts(m.func.jacfwd(several, (1, 0))(x, y)),
    "jacfwd with aux": lambda m, x, y: parts(m.func.jacfwd(lambda x: (x.exp(), x * 2), has_aux=True)(x)),
    "a jacobian of nothing": lambda m, x, y: m.func.jacrev(lambda x, y: y * 2)(x, y),
    "jacfwd of nothing": lambda m, x, y: m.func.jacfwd(lambda x, y: y * 2)(x, y),
    "hessian": lambda m, x, y: parts(m.func.hessian(scalar, (0, 1))(x, y)),
    "grad_and_value": lambda m, x, y: m.func.grad_and_value(scalar)(x, y),
    "grad with aux": lambda m, x, y: m.func.grad(lambda x: (x.sum() * x[0, 0], x * 2), has_aux=True)(x),
    "vjp": lambda m, x, y: m.func.vjp(lambda x, y: x.sin() @ y, x, y)[1](x[:, 0]),
    "vjp of a dict": lambda m, x, y: m.func.vjp(lambda d: {"a": d["x"] * d["y"]}, {"x": x, "y": y})[1]({"a": x})[0][
        "y"
    ],
    "jvp": lambda m, x, y: parts(m.func.jvp(several, (x, y), (x * 2, y + 1))),
    "autograd.functional.jacobian": lambda m, x, y: parts(
        m.autograd.functional.jacobian(lambda x, y: (x @ y, x * y), (x, y), create_graph=True)
    ),
    "jacobian of one": lambda m, x, y: m.autograd.functional.jacobian(lambda x: x.exp(), x),
    "jacobian by columns": lambda m, x, y: m.autograd.functional.jacobian(
        lambda x: x.exp().sum(0), x.detach(), strategy="forward-mode", vectorize=True
    ),
    "autograd.functional.hessian": lambda m, x, y: parts(
        m.autograd.functional.hessian(scalar, (x, y), create_graph=True)
    ),
    "hessian of one": lambda m, x, y: m.autograd.functional.hessian(lambda x: (x**3).sum(), x),
    "vjp and jvp": lambda m, x, y: parts(
        [
            m.autograd.functional.vjp(lambda x: x.sin(), x, x * 2),
            m.autograd.functional.jvp(lambda x, y: (x @ y, y.exp()), (x, y), (x, y), create_graph=True),
        ]
    ),
    "hvp and vhp": lambda m, x, y: parts(
        [
            m.autograd.functional.hvp(scalar, (x, y), (x, y)),
            m.autograd.functional.vhp(lambda x: (x**3).sum(), x, x, create_graph=True),
        ]
    ),
}


@pytest.mark.filterwarnings("ignore:.*forward")
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_torch(name: str) -> None:
    check(CASES[name], [A, B])


def test_compiled_they_give_the_same() -> None:
    check_compiled(CASES, [A, B])


def test_derivatives_within_a_compiled_step_reach_what_is_outside() -> None:
    """A gradient penalty by a Jacobian, through a parameter."""
    w = tt.tensor(A, requires_grad=True)

    def loss(y: Any) -> Any:
        return (tt.func.jacrev(lambda y: (w @ y).tanh())(y) ** 2).sum()

    found: list[Any] = []
    for run in (loss, tt.compile(loss)):
        w.grad = None
        run(tt.tensor(B)).backward()
        found.append(w.grad.numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    assert np.abs(found[0]).min() > 1e-4


def test_nothing_is_recorded_that_nobody_asked_for() -> None:
    x = tt.tensor(A, requires_grad=True)
    value, gradient = functional.vjp(lambda x: x.sum(), x)
    assert not value.requires_grad and not gradient.requires_grad
    value, pull = tt.func.vjp(lambda x: x.sin(), tt.tensor(A))
    assert not value.requires_grad and not pull(tt.ones(2, 3))[0].requires_grad
    with tt.no_grad():
        np.testing.assert_allclose(tt.func.jacrev(lambda x: x * x)(tt.tensor(B)), np.diag(2 * B), rtol=1e-6)


def test_containers_are_those_of_the_arguments_and_results() -> None:
    made = tt.func.jacrev(lambda p: (p["w"].sum(), [p["b"] * 2]))({"w": tt.ones(2), "b": tt.ones(3)})
    assert isinstance(made, tuple) and isinstance(made[1], list) and set(made[0]) == {"w", "b"}
    assert made[1][0]["b"].shape == (3, 3) and made[1][0]["w"].shape == (3, 2)
    found: list[Any] = []
    flatten(made, found, lambda x: isinstance(x, tt.Tensor))
    assert len(found) == 4 and not leaves(())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: tt.func.vjp(lambda x: x * 2, x)[1](tt.ones(4)), r"shapes \[\[2, 3\]\], got \[\[4\]\]"),
        (lambda x: tt.func.jvp(lambda x: x, x, (x,)), "primals is a tuple"),
        (lambda x: tt.func.jvp(lambda x: x, (x,), (tt.ones(4),)), "tangents has tensors"),
        (lambda x: tt.func.jvp(lambda x: tt.ones(2), (x,), (x,), strict=True), "does not depend"),
        (lambda x: tt.func.jacrev(lambda x: x, has_aux=True)(x), "returns a pair"),
        (lambda x: tt.func.jacrev(lambda x: 3)(x), "returns float tensors"),
        (lambda x: tt.func.jacrev(lambda x: x, chunk_size=0), "chunk_size is a positive integer"),
        (lambda x: functional.jacobian(lambda x: tt.ones(2), x, strict=True), "does not depend"),
        (lambda x: functional.jacobian(lambda x: x, x, strategy="both"), '"reverse-mode" or "forward-mode"'),
        (lambda x: functional.jacobian(lambda x: x, [1.0]), "an input is a Tensor"),
        (lambda x: functional.hessian(lambda x: x, x), "a tensor of one element"),
        (lambda x: functional.vjp(lambda x: x, x), "v may be left out"),
        (lambda x: functional.hvp(lambda x: tt.ones(()), x, x, strict=True), "does not depend"),
    ],
)
def test_what_makes_no_sense_is_refused(call: Any, message: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=message):
        call(tt.tensor(A))
