"""Module 05: switching gradients off and on, functions with a derivative of their own, gradients of functions.

The tape keeps every operand of every op until `backward()` has used it, so memory grows with depth. `checkpoint`
keeps only the operands of whole pieces and computes the rest again: for n layers in pieces of sqrt(n), memory
O(sqrt(n)) for one more forward pass (Chen et al. 2016).
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import ContextDecorator, contextmanager
from copy import copy
from functools import reduce
from operator import add
from typing import Any, Self

import numpy as np

from tinytorch.frontend import arguments as checks
from tinytorch.frontend.binding import clear
from tinytorch.frontend.constructors import clearly_made
from tinytorch.frontend.functions.basic import cat
from tinytorch.frontend.functions.random import default_generator
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import (
    grad_mode,
    gradients,
    ones_for,
    outside_leaves,
    require_tensor,
    variable,
    zeros_like,
)
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.tensor.storage import storage_of, version_of
from tinytorch.frontend.tree import Slot, flatten, unflatten
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.types import TensorType


# Switches.
class set_grad_enabled(ContextDecorator):
    """Record for gradients or not: at once, and until the end of the block where it is used with `with`.

    The switch belongs to the thread. Also a decorator of functions.
    """

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._before = mode.grad
        mode.grad = enabled

    def _recreate_cm(self) -> Self:
        return type(self)(self._enabled)

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        mode.grad = self._before
        return super().__call__(func)

    def __enter__(self) -> Self:
        mode.grad = self._enabled
        return self

    def __exit__(self, *error: object) -> None:
        mode.grad = self._before


@clearly_made
class _Switch(ContextDecorator):
    """Sets the mode inside a block; blocks of one object may be nested."""

    enabled: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def _recreate_cm(self) -> Self:
        return type(self)()

    def __enter__(self) -> Self:
        self._before.append(mode.grad)
        mode.grad = self.enabled
        return self

    def __exit__(self, *error: object) -> None:
        mode.grad = self._before.pop()


class no_grad(_Switch):
    """Results inside the block (or the decorated function) do not require grad, and no tape is kept."""

    enabled = False


class inference_mode(no_grad):
    """`no_grad` under PyTorch's other name; tensors that were made in it may be used outside."""


class enable_grad(_Switch):
    """Gradients are recorded inside the block, also within `no_grad`."""

    enabled = True


def is_grad_enabled() -> bool:
    return mode.grad


# Functions with a derivative of their own.
class Function:
    """A function whose derivative is written by hand, called as `MyFunction()(x)` or `MyFunction.apply(x)`.

    `forward(*inputs)` computes the result, a tensor or a tuple of them, without recording; it keeps what the
    derivative needs with `save_for_backward` or in attributes. `backward(grad_output)` takes the cotangent of each
    result and returns that of each input, None where there is none. Each call has its own copy of what `forward` kept.

    As in PyTorch, they may be static methods: their first parameter, `ctx`, is then this object. With a static
    `setup_context(ctx, inputs, output)`, which keeps what the derivative needs, `forward` has none.
    """

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self._saved: tuple[Any, ...] = ()

    def forward(self, *inputs: Any) -> Any:
        raise TinyTorchError(f"{type(self).__name__} has no forward()", user_loc())

    def backward(self, *grad_outputs: Any) -> Any:
        raise TinyTorchError(f"{type(self).__name__} has no backward()", user_loc())

    def setup_context(self, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what `backward` needs, where a static `forward` has no context."""

    def mark_non_differentiable(self, *results: Any) -> None:
        """Nothing: results that are no floats have no gradients, others of None are none."""

    def set_materialize_grads(self, value: bool) -> None:
        """Nothing: cotangents of results that nothing depends on are zeros."""

    def _called(self, name: str, *given: Any) -> Any:
        """A method of this name, also if it is a static one, which takes the context first."""
        method = getattr(self, name)
        is_static = isinstance(inspect.getattr_static(type(self), name), staticmethod)
        return method(self, *given) if is_static else method(*given)

    def _forward(self, inputs: tuple[Any, ...]) -> Any:
        if type(self).setup_context is Function.setup_context:
            return self._called("forward", *inputs)
        made = self.forward(*inputs)
        self._called("setup_context", inputs, made)
        return made

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs or results for `backward`, where they are `self.saved_tensors`."""
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        return self._saved

    @classmethod
    def apply(cls, *inputs: Any) -> Any:
        return cls()(*inputs)

    def __call__(self, *inputs: Any) -> Any:
        self._saved = ()
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        with grad_mode(False):
            self.needs_input_grad = tuple(isinstance(x, Tensor) and x.requires_grad for x in inputs)
            made = self._forward(inputs)
        results = made if isinstance(made, tuple) else (made,)
        for result in results:
            require_tensor(f"{type(self).__name__}.forward", result)
        if not (mode.grad and any(x.requires_grad for x in tensors)):
            return made

        call = copy(self)

        def pull(cotangents: list[Tensor]) -> list[Tensor | None]:
            found = call._called("backward", *cotangents)
            return call._checked(found if isinstance(found, (tuple, list)) else (found,), inputs)

        final = with_gradient(results, tensors, pull)
        # A saved result is replaced by the one on the tape, so that second derivatives pass through it.
        places = {id(result): new for result, new in zip(results, final, strict=True)}
        call._saved = tuple(places.get(id(x), x) for x in self._saved)
        return tuple(final) if isinstance(made, tuple) else final[0]

    def _checked(self, found: Sequence[Any], inputs: Sequence[Any]) -> list[Tensor | None]:
        """The cotangents of the inputs that are tensors."""
        name = f"{type(self).__name__}.backward"
        if len(found) != len(inputs):
            raise TinyTorchError(f"{name}: returned {len(found)} gradients for {len(inputs)} inputs", user_loc())
        kept: list[Tensor | None] = []
        for i, (gradient, x) in enumerate(zip(found, inputs, strict=True)):
            if gradient is not None and isinstance(x, Tensor):
                gradient = require_tensor(name, gradient)
                if gradient.shape != x.shape:
                    raise ShapeError(f"{name}: gradient {i} is {gradient.type}, the input {x.type}", user_loc())
                gradient = gradient.cast(x.dtype)
            if isinstance(x, Tensor):
                kept.append(gradient if x.dtype.is_float else None)
        return kept


Pull = Callable[[list[Tensor]], Sequence[Tensor | None]]


def with_gradient(results: Sequence[Tensor], inputs: Sequence[Tensor], pull: Pull) -> list[Tensor]:
    """`results` as functions of `inputs` whose cotangents `pull` computes from those of all results.

    Several float results pass through one op side by side in a vector, so that `pull` sees all cotangents at once.
    Results that are no floats have cotangents of zeros.
    """
    floats = [r.detach() for r in results if r.dtype.is_float]
    types = [r.type for r in results]
    if not floats:
        return [r.detach() for r in results]
    packed = floats[0] if len(floats) == 1 else cat([r.reshape((r.numel(),)) for r in floats])

    def backward(ct: Any) -> list[Any]:
        """Called by the op's rule with a tensor, or with an expression of the graph under a trace."""
        traced = not isinstance(ct, Tensor)
        if traced and mode.trace is None:
            raise TraceError(
                "a derivative written in Python (tt.Function) is traced with what calls it: call backward() inside of "
                "the compiled function, not on its result",
                user_loc(),
            )
        vector = Tensor.wrap(None, ct) if traced else ct  # pyright: ignore[reportArgumentType]
        found = pull(_unpacked(vector, types, zeros))
        return [_as_expression(g) for g in found] if traced else list(found)

    def zeros(vector: Tensor, type: TensorType) -> Tensor:
        return ops.core.filled(vector, 0, type)

    rule = _Once(backward, sum(x.requires_grad for x in inputs))
    out = apply(ops.core.custom_grad, packed, *inputs, backward=rule)
    rest = iter([r.detach() for r in results if not r.dtype.is_float])
    return _unpacked(out, types, lambda vector, type: next(rest))


def _unpacked(
    vector: Tensor, types: Sequence[TensorType], other: Callable[[Tensor, TensorType], Tensor]
) -> list[Tensor]:
    """Tensors of `types` that stand in `vector` one after the other; `other` makes those that are no floats. A single
    one is the vector itself."""
    if sum(t.dtype.is_float for t in types) == 1:
        return [vector if t.dtype.is_float else other(vector, t) for t in types]
    parts: list[Tensor] = []
    at = 0
    for t in types:
        if t.dtype.is_float:
            parts.append(vector[at : at + t.size].reshape(t.shape).cast(t.dtype))
            at += t.size
        else:
            parts.append(other(vector, t))
    return parts


class _Once:
    """A rule that is asked for each of `operands` operands with one cotangent, and computes once."""

    def __init__(self, rule: Callable[[Any], list[Any]], operands: int) -> None:
        self.rule, self.operands = rule, operands
        self._last: tuple[Any, list[Any]] | None = None
        self._asked = 0

    def __call__(self, ct: Any) -> list[Any]:
        if self._last is None or self._last[0] is not ct:
            self._last, self._asked = (ct, self.rule(ct)), 0
        found = self._last[1]
        self._asked += 1
        if self._asked == self.operands:
            self._last = None  # frees the cotangents before the rest of the backward pass
        return found


def _as_expression(gradient: Tensor | None) -> Any:
    """What the graph under construction knows a tensor by; one with values becomes a part of it."""
    return None if gradient is None or mode.trace is None else mode.trace.lift(gradient)


# Gradients of functions.
@clear
def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A function that returns (value, gradient) of a scalar function with respect to the arguments `argnums`.

    Arguments may be tensors, numbers, or nested lists, tuples and dicts of them; the gradient has the same structure
    (a tuple of them where `argnums` is a sequence). With `has_aux` the function returns (value, anything) and so does
    the value here. It can be nested for higher derivatives. No tensor's `grad` is touched.
    """
    checks.function("value_and_grad", "function", function)
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def run(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        arguments, variables, specs = _with_variables(args, positions)
        with grad_mode(True):
            made = function(*arguments, **kwargs)
            value, aux = _split(made, has_aux)
            seed = ones_for(value, "grad")
        connected = mode.grad and (mode.trace is not None or _is_connected(value, variables))
        found = gradients(value, variables, seed, create_graph=connected)
        kept = [(zeros_like(x) if g is None else g).clone() for g, x in zip(found, variables, strict=True)]
        trees = [unflatten(spec, kept) for spec in specs]
        gradient = trees[0] if isinstance(argnums, int) else tuple(trees)
        result = (value, aux) if has_aux else value
        return (result if connected else _detached(result)), gradient

    return run


@clear
def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of a scalar function, as `value_and_grad`; with `has_aux`, (gradient,
    anything)."""
    checks.function("grad", "function", function)
    both = value_and_grad(function, argnums, has_aux)

    def run(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return run


def _split(made: Any, has_aux: bool) -> tuple[Tensor, Any]:
    if not has_aux:
        return require_tensor("grad: the function's result", made), None
    if not isinstance(made, tuple) or len(made) != 2:
        raise TinyTorchError("grad: with has_aux the function returns a pair (value, anything)", user_loc())
    return require_tensor("grad: the function's result", made[0]), made[1]


def _is_number(x: Any) -> bool:
    return isinstance(x, (float, np.ndarray, Tensor))


def _with_variables(args: tuple[Any, ...], positions: Sequence[int]) -> tuple[list[Any], list[Tensor], list[Any]]:
    """The arguments with those at `positions` made of variables; the variables; the structure of each position."""
    arguments, variables, specs = list(args), list[Tensor](), list[Any]()
    for position in positions:
        if not -len(args) <= position < len(args):
            raise TinyTorchError(f"grad: argnums has {position}, the call {len(args)} arguments", user_loc())
        leaves: list[Any] = []
        first = len(variables)
        spec = flatten(args[position], leaves, _is_number)
        variables += [variable(x if isinstance(x, Tensor) else Tensor(x)) for x in leaves]
        arguments[position] = unflatten(spec, variables[first:])
        specs.append(unflatten(spec, [Slot(first + i) for i in range(len(leaves))]))
    if not variables:
        raise TinyTorchError("grad: there is no tensor in the arguments to differentiate", user_loc())
    return arguments, variables, specs


def _is_connected(value: Tensor, variables: Sequence[Tensor]) -> bool:
    """Whether something beside the variables themselves can be differentiated: closures, or an outer `grad`."""
    return any(not v.is_leaf for v in variables) or bool(outside_leaves(value, variables))


def _detached(tree: Any) -> Any:
    leaves: list[Any] = []
    spec = flatten(tree, leaves, lambda x: isinstance(x, Tensor))
    return unflatten(spec, [x.detach() for x in leaves])


# Memory for time.
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
    captured = {id(x): x for r in results for x in outside_leaves(r, leaves)}
    inputs = [*(x for x in given if x.requires_grad), *captured.values()]
    results = [r.detach() for r in results]  # without the first run's tape, which told what the function captures
    outside = [(ref, before) for ref, before in changed if ref() is not None]

    def pull(cotangents: list[Tensor]) -> Sequence[Tensor | None]:
        with _as_before(outside):
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
