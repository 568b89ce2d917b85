"""Statements about gradients and optimizers."""

from __future__ import annotations

from tests.programs.draft import Draft


def backward(d: Draft) -> None:
    """A loss of one or two variables, and its gradients. What the tape has been used up for is not used again."""
    if d.no_grad:
        return
    x = d.some(lambda v: v.grad and v.is_float)
    if x is None:
        return
    text = f"({x.name} * {x.name}).sum()" if d.maybe() else f"{x.name}.sum()"
    y = d.some(lambda v: v.grad and v.is_float) if d.maybe() else None
    d.line(f"({text if y is None else f'{text} + ({y.name} * 2.0).sum()'}).backward()")
    d.went_backward = True
    d.spent += [v for v in d.variables if v.grad and not v.leaf]
    d.variables = [v for v in d.variables if not v.grad or v.leaf]


def read_gradient(d: Draft) -> None:
    x = d.some(lambda v: v.leaf)
    if x is None:
        return
    choices = [
        "{x}.grad.mul_(0.5)",
        "{x}.grad = {x}.grad * 2.0",
        "{x}.grad = None",
        "{x}.grad.zero_()",
        "{x}.sub_({x}.grad * 0.5)",
        "tt.clip_grad_norm([{x}], 1.0)",
    ]
    with d.block(f"if {x.name}.grad is not None:"):
        if d.no_grad:
            d.line(d.one(choices).format(x=x.name))
        else:
            with d.without_gradients():
                d.line(d.one(choices).format(x=x.name))
    x.exact = False
    d.leaf_changed()


def step(d: Draft) -> None:
    d.line("opt.step()")
    d.leaf_changed()
    for v in d.variables:
        if v.name == "m.w":
            v.exact = False


def zero_grad(d: Draft) -> None:
    if d.rarely("zero_grad_false"):
        d.line("opt.zero_grad(set_to_none=False)")
    else:
        d.line("opt.zero_grad()")


def train(d: Draft) -> None:
    """A whole step, with the gradients dropped before or after it."""
    before = d.maybe()
    if before:
        zero_grad(d)
    backward(d)
    step(d)
    if not before:
        zero_grad(d)
