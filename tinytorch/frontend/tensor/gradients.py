"""Gradients of values by identity: from the tape when eager, from the graph under a trace."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tinytorch.frontend.tensor.autocasting import autocast_mode
from tinytorch.frontend.tensor.backward import at_once, key_of, leaf_of, tape_of
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.tensor.tape import Record, hooked
from tinytorch.frontend.tensor.tensor import Tensor
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
    own = set(map(key_of, variables))
    found: dict[Hashable, Tensor] = {}
    for record in tape_of(output):
        for x in record.inputs:
            if x.requires_grad and x.is_leaf and key_of(x) not in own:
                found[key_of(x)] = leaf_of(x)
    return list(found.values())


def gradients(output: Tensor, wrt: Sequence[Tensor], seed: Tensor, create_graph: bool) -> list[Tensor | None]:
    """The cotangents of `wrt` for the cotangent `seed` of `output`; None where `output` does not depend on one.

    Each of `wrt` counts as a variable of its own: its gradient does not flow on to what it was computed from. With
    `create_graph` the gradients can be differentiated again. Nothing is added to any `grad`.
    """
    if seed.type != output.type:
        raise ShapeError(f"the cotangent of {output.type} is {seed.type}", user_loc())
    if mode.trace is not None:
        return mode.trace.gradients(output, wrt, seed, create_graph)
    keys = [key_of(x) for x in wrt]
    wanted = set(keys)
    tape = [r if wanted.isdisjoint(r.names) else _without(r, wanted) for r in tape_of(output)]
    active = set(wanted)
    for record in tape:
        if any(key_of(x) in active for x in record.inputs):
            active.update(name for name in record.names if name is not None)
    cotangents: dict[Hashable, Any] = {key_of(output): seed}
    with grad_mode(create_graph), autocast_mode(None):
        pullback(
            tape,
            cotangents,
            active=lambda x: key_of(x) in active,
            key=key_of,
            wanted=wanted,
            enter=hooked(tape, cotangents),
            at_once=at_once,
        )
    return [cotangents.get(key) for key in keys]


def as_rows(gradient: Tensor) -> Tensor:
    """A gradient as users get it: that of images, whose channels kernels keep last in memory, is laid out anew, so that
    `view` flattens it. One that is expanded stays so."""
    if gradient._expr is not None or 0 in gradient._data.strides or gradient._data.flags.c_contiguous:
        return gradient
    with grad_mode(gradient.requires_grad):
        return gradient.clone()


def _without(record: Record, wanted: Collection[Hashable]) -> Record:
    """A record in which results that are `wanted` have no name, so that their cotangents go no further."""
    return replace(record, names=[None if name in wanted else name for name in record.names])


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
