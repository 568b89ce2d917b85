"""Memory for time: what a function computes is computed again for gradients, instead of kept.

The tape keeps every operand of every op until `backward()` has used it, so memory grows with depth. `checkpoint`
keeps only the operands of whole pieces and computes the rest again: for n layers in pieces of sqrt(n), memory
O(sqrt(n)) for one more forward pass (Chen et al. 2016).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from tinytorch.frontend import arguments as checks
from tinytorch.frontend.functions.custom_gradients import with_gradient
from tinytorch.frontend.functions.random import default_generator
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import autocast_mode
from tinytorch.frontend.tensor.gradients import (
    grad_mode,
    gradients,
    ones_for,
    outside_leaves,
    variable,
)
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.tensor.storage import storage_of, version_of
from tinytorch.frontend.tree import flatten, unflatten
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

Changed = list[tuple["weakref.ref[Tensor]", np.ndarray[Any, Any]]]  # tensors, and what they held before


def checkpoint(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)`, whose intermediate results are computed again during `backward` instead of kept.

    Arguments and results are tensors, or nested containers of tensors and plain values. Random numbers are drawn again
    as they were, and what the function changes in place outside of itself (running statistics, counters) changes once:
    the second run begins with what was there before the first, and leaves things as they are. What a second run of the
    Python code would change beside tensors is not undone.

    Under tt.compile the function runs once; the graph computes again what the backward pass reads of it. Gradients of
    gradients, and calls within each other, are possible in both.
    """
    checks.function("checkpoint", "function", function)
    if mode.trace is not None and mode.grad:
        with mode.trace.region():
            return function(*args, **kwargs)
    if not mode.grad:
        return function(*args, **kwargs)
    given: list[Tensor] = []
    arguments = flatten((args, kwargs), given, _is_tensor)
    cut, leaves = _cut(given, Tensor.detach)
    with _changes() as changed:
        results, tree = _run(function, arguments, cut)
    autocast = mode.autocast
    captured = {id(x): x for r in results for x in outside_leaves(r, leaves)}
    inputs = [*(x for x in given if x.requires_grad), *captured.values()]
    results = [r.detach() for r in results]  # without the first run's tape, which told what the function captures
    outside = [(ref, before) for ref, before in changed if ref() is not None]

    def pull(cotangents: list[Tensor]) -> Sequence[Tensor | None]:
        with _as_before(outside), autocast_mode(autocast):
            return _recomputed(function, arguments, given, list(captured.values()), cotangents)

    return unflatten(tree, with_gradient(results, inputs, pull) if inputs else results)


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


@contextmanager
def _changes() -> Generator[Changed, None, None]:
    """What is changed in place in the block, with the values before; and the state of random numbers."""
    outer, state = mode.written, default_generator.state
    mode.written = written = {id(state): (state, np.array(state.data))}
    changed: Changed = []
    try:
        yield changed
    finally:
        mode.written = outer
        changed += [(weakref.ref(tensor), before) for tensor, before in written.values()]
        if outer is not None:
            for key, entry in written.items():
                outer.setdefault(key, entry)


@contextmanager
def _as_before(changed: Changed) -> Generator[None, None, None]:
    """Give tensors the values that they had before, until the block ends."""
    alive = [(tensor, before) for ref, before in changed if (tensor := ref()) is not None]
    now = [(tensor, np.array(tensor.data), version_of(tensor)) for tensor, _ in alive]
    for tensor, before in alive:
        np.copyto(tensor.data, before)
    try:
        yield
    finally:
        for tensor, array, version in now:
            np.copyto(tensor.data, array)
            storage_of(tensor).version = version


def _run(function: Callable[..., Any], arguments: Any, tensors: Sequence[Tensor]) -> tuple[list[Tensor], Any]:
    """The tensors among what `function` returns, and the container that they stand in."""
    args, kwargs = unflatten(arguments, tensors)
    results: list[Tensor] = []
    tree = flatten(function(*args, **kwargs), results, _is_tensor)
    if not results:
        raise TinyTorchError("checkpoint: there is no Tensor in what the function returned", user_loc())
    return results, tree


def _cut(tensors: Sequence[Tensor], alias: Callable[[Tensor], Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors with aliases for those that are differentiated; the aliases."""
    replaced = [alias(x) if x.requires_grad else x for x in tensors]
    aliases = [new for new, old in zip(replaced, tensors, strict=True) if new is not old]
    for x in aliases:
        x.requires_grad = True
    return replaced, aliases


def _recomputed(
    function: Callable[..., Any],
    arguments: Any,
    given: Sequence[Tensor],
    captured: list[Tensor],
    cotangents: list[Tensor],
) -> Sequence[Tensor | None]:
    """The cotangents of the differentiated arguments and of `captured`, from a second run of the function."""
    recorded = mode.grad
    aliases, variables = _cut(given, variable)
    with grad_mode(True):
        results, _ = _run(function, arguments, aliases)
        weighted = [(r * ct).sum() for r, ct in zip(results, cotangents, strict=True) if r.requires_grad]
        total = reduce(add, weighted)
    return gradients(total, [*variables, *captured], ones_for(total, "checkpoint"), create_graph=recorded)
