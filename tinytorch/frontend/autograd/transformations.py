"""Functions made of functions: their gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch.frontend import arguments as checks
from tinytorch.frontend.binding import clear
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
from tinytorch.frontend.tree import Slot, flatten, unflatten
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc


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
        arguments, variables, specs = with_variables(args, positions)
        with grad_mode(True):
            made = function(*arguments, **kwargs)
            value, aux = _split(made, has_aux)
            seed = ones_for(value, "grad")
        connected = mode.grad and (mode.trace is not None or is_connected(value, variables))
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


def with_variables(args: tuple[Any, ...], positions: Sequence[int]) -> tuple[list[Any], list[Tensor], list[Any]]:
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


def is_connected(value: Tensor, variables: Sequence[Tensor]) -> bool:
    """Whether something beside the variables themselves can be differentiated: closures, or an outer `grad`."""
    return any(not v.is_leaf for v in variables) or bool(outside_leaves(value, variables))


def _detached(tree: Any) -> Any:
    leaves: list[Any] = []
    spec = flatten(tree, leaves, lambda x: isinstance(x, Tensor))
    return unflatten(spec, [x.detach() for x in leaves])
