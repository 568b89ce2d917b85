"""Gradients of values by identity: from the tape when eager, from the graph under a trace."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import contextmanager
from typing import Any

from tinytorch.frontend.tensor import Tensor, mode, tape_of
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.vjp import pullback


@contextmanager
def grad_mode(enabled: bool):
    """Record for gradients, or not, in this thread until the block ends."""
    before, mode.grad = mode.grad, enabled
    try:
        yield
    finally:
        mode.grad = before


def variable(x: Tensor) -> Tensor:
    """An alias of `x` to differentiate with respect to: the gradient of other uses of `x` stays apart from its own.

    It shares the memory of `x`, and is connected to it where `x` itself is being differentiated.
    """
    if not x.dtype.is_float:
        raise ShapeError(f"only float tensors have gradients, got {x.type}", user_loc())
    alias = apply(ops.view.reshape, x, shape=x.shape)
    alias.requires_grad = True
    return alias


def outside_leaves(output: Tensor, variables: Sequence[Tensor]) -> list[Tensor]:
    """The leaves that `output` depends on and that are not among `variables` (eager only)."""
    own = {id(v) for v in variables}
    found: dict[int, Tensor] = {}
    for record in tape_of(output):
        for x in record.inputs:
            if x.requires_grad and x.is_leaf and id(x) not in own:
                found[id(x)] = x
    return list(found.values())


def gradients(output: Tensor, wrt: Sequence[Tensor], seed: Tensor, create_graph: bool) -> list[Tensor | None]:
    """The cotangents of `wrt` for the cotangent `seed` of `output`; None where `output` does not depend on one.

    Each of `wrt` counts as a variable of its own: its gradient does not flow on to what it was computed from. With
    `create_graph` the gradients can be differentiated again. Nothing is added to any `grad`.
    """
    if seed.type != output.type:
        raise ShapeError(f"the cotangent of {output.type} is {seed.type}", user_loc())
    if mode.trace is not None:
        found = mode.trace.gradients(output, wrt, seed)
        for gradient in found:
            if gradient is not None:
                gradient.requires_grad = create_graph
        return found
    wanted = {id(x) for x in wrt}
    tape = [record for record in tape_of(output) if id(record.output) not in wanted]
    active = set(wanted)
    for record in tape:
        if any(id(x) in active for x in record.inputs):
            active.add(id(record.output))
    cotangents: dict[Hashable, Any] = {id(output): seed}
    with grad_mode(create_graph):
        pullback(tape, cotangents, active=lambda x: id(x) in active, key=id, wanted=wanted)
    return [cotangents.get(id(x)) for x in wrt]


def ones_for(output: Tensor, what: str) -> Tensor:
    """The cotangent 1 of a scalar; an error if `output` is none."""
    if output.shape != () or not output.dtype.is_float:
        raise ShapeError(f"{what}: needs a float scalar to differentiate, got {output.type}", user_loc())
    return ones_like(output)


def ones_like(x: Tensor) -> Tensor:
    return ops.core.filled(x, 1, x.type)


def zeros_like(x: Tensor) -> Tensor:
    return ops.core.zeros_like(x)


def require_tensor(what: str, value: Any) -> Tensor:
    """`value` if it is a Tensor, else an error that says so."""
    if not isinstance(value, Tensor):
        raise TinyTorchError(f"{what}: expected a Tensor, got {type(value).__name__}", user_loc())
    return value
