"""Pruning under the names of torch.nn.utils.prune.

A mask belongs to the parameter, which keeps its name: `weight` is pruned itself, and there is no `weight_orig`. The
masks are PyTorch's; an `amount` is a share, or a number, of what earlier calls have left.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.random import Generator, rand
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.masks import mask_of, set_mask
from tinytorch.frontend.module.parameter_functions import own_parameter
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.operators.promotion import normalize_axis

__all__ = [
    "L1Unstructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]

AnyModule = TypeVar("AnyModule", bound=Module)


class L1Unstructured:
    """For `global_unstructured`: elements of smallest magnitude go."""


class RandomUnstructured:
    """For `global_unstructured`: elements go at random."""


def l1_unstructured(module: AnyModule, name: str, amount: float, importance_scores: Any = None) -> AnyModule:
    """Prune the elements of smallest magnitude (or importance) of a parameter of the module itself."""
    return _unstructured("l1_unstructured", module, name, amount, importance_scores)


def random_unstructured(module: AnyModule, name: str, amount: float, generator: Generator | None = None) -> AnyModule:
    """Prune elements of a parameter at random."""
    parameter = own_parameter("random_unstructured", module, name)
    return _unstructured("random_unstructured", module, name, amount, rand(*parameter.shape, generator=generator))


def _unstructured(what: str, module: AnyModule, name: str, amount: float, scores: Any) -> AnyModule:
    parameter = own_parameter(what, module, name)
    kept = _kept(what, [_scores(what, parameter, scores)], [_mask(parameter)], amount)
    set_mask(parameter, kept[0])
    return module


def ln_structured(
    module: AnyModule, name: str, amount: float, n: float, dim: int, importance_scores: Any = None
) -> AnyModule:
    """Prune whole slices along `dim`, those of smallest `n`-norm: of what is pruned the shape stays. `prune_channels`
    makes the model smaller."""
    what = "ln_structured"
    parameter = own_parameter(what, module, name)
    arguments.number(what, "n", n, lambda x: x == x, "the order of a norm")
    axis = normalize_axis(what, dim, parameter.ndim)
    rows = np.moveaxis(_scores(what, parameter, importance_scores), axis, 0).reshape(parameter.shape[axis], -1)
    return _slices(what, module, parameter, axis, np.linalg.norm(rows, n, axis=1), amount)


def random_structured(
    module: AnyModule, name: str, amount: float, dim: int, generator: Generator | None = None
) -> AnyModule:
    """Prune whole slices along `dim` at random."""
    what = "random_structured"
    parameter = own_parameter(what, module, name)
    axis = normalize_axis(what, dim, parameter.ndim)
    scores = rand(parameter.shape[axis], generator=generator).numpy().astype(np.float64)
    return _slices(what, module, parameter, axis, scores, amount)


def _slices(what: str, module: AnyModule, parameter: Tensor, axis: int, scores: Array, amount: float) -> AnyModule:
    mask = _mask(parameter)
    left: Array = np.moveaxis(mask, axis, 0).reshape(len(scores), -1).max(axis=1, initial=False)
    (kept,) = _kept(what, [scores], [left], amount)
    along = [-1 if i == axis else 1 for i in range(parameter.ndim)]
    set_mask(parameter, mask & kept.reshape(along))
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: Any,
    importance_scores: Any = None,
    *,
    amount: float,
) -> None:
    """Prune a share, or a number, of the elements of several parameters together, pairs of a module and a name.
    `pruning_method` is `L1Unstructured` or `RandomUnstructured`; `importance_scores` are by pair."""
    what = "global_unstructured"
    if pruning_method not in (L1Unstructured, RandomUnstructured):
        raise arguments.wrong_value(what, "pruning_method", "L1Unstructured or RandomUnstructured", pruning_method)
    pairs = list(parameters)
    found = [own_parameter(what, module, name) for module, name in pairs]
    if not found:
        raise TinyTorchError(f"{what}: there are no parameters to prune", user_loc())
    given = importance_scores or {}
    if pruning_method is RandomUnstructured:
        scores = [rand(*p.shape).numpy().astype(np.float64) for p in found]
    else:
        scores = [_scores(what, p, given.get(pair)) for p, pair in zip(found, pairs, strict=True)]
    for parameter, kept in zip(found, _kept(what, scores, list(map(_mask, found)), amount), strict=True):
        set_mask(parameter, kept)


def custom_from_mask(module: AnyModule, name: str, mask: Any) -> AnyModule:
    """Prune where `mask` is 0 or False."""
    parameter = own_parameter("custom_from_mask", module, name)
    array = as_array(mask)
    if array.shape != parameter.shape:
        raise ShapeError(
            f"custom_from_mask: the mask is {list(parameter.shape)}, as {name}, got {list(array.shape)}", user_loc()
        )
    set_mask(parameter, _mask(parameter) & (array != 0))
    return module


def identity(module: AnyModule, name: str) -> AnyModule:
    """Give a parameter a mask that keeps all of it."""
    parameter = own_parameter("identity", module, name)
    set_mask(parameter, _mask(parameter))
    return module


def remove(module: AnyModule, name: str) -> AnyModule:
    """Make the pruning of a parameter permanent: its zeros stay, the mask goes."""
    parameter = own_parameter("remove", module, name)
    if mask_of(parameter) is None:
        raise arguments.ArgumentValueError(f"remove: {name} of {type(module).__name__} is not pruned", user_loc())
    set_mask(parameter, None)
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one below it, has a mask."""
    arguments.instance("is_pruned", "module", module, Module)
    return any(mask_of(p) is not None for p in module.parameters())


def _mask(parameter: Tensor) -> Array:
    """The mask of a parameter, or one of True."""
    mask = mask_of(parameter)
    return np.ones(parameter.shape, np.bool_) if mask is None else mask.numpy().copy()


def _scores(what: str, parameter: Tensor, given: Any) -> Array:
    """Magnitudes, or those of what is given instead."""
    array = np.abs(as_array(parameter if given is None else given).astype(np.float64))
    if array.shape != parameter.shape:
        raise ShapeError(
            f"{what}: importance_scores are {list(parameter.shape)}, as the parameter, got {list(array.shape)}",
            user_loc(),
        )
    if np.isnan(array).any():
        raise TinyTorchError(f"{what}: there are NaN among the weights, or their scores", user_loc())
    return array


def _kept(what: str, scores: list[Array], masks: list[Array], amount: Any) -> list[Array]:
    """Masks that leave out those of smallest score among what masks have left, of all together."""
    flat, left = (np.concatenate([x.reshape(-1) for x in parts]) for parts in (scores, masks))
    order = np.flatnonzero(left)
    order = order[np.argsort(flat[order], kind="stable")]
    left[order[: _number(what, amount, len(order))]] = False
    parts = np.split(left, np.cumsum([x.size for x in scores])[:-1])
    return [part.reshape(x.shape) for part, x in zip(parts, scores, strict=True)]


def _number(what: str, amount: Any, count: int) -> int:
    """How many of `count` an amount is."""
    if isinstance(amount, float):
        return round(arguments.fraction(what, "amount", amount) * count)
    if arguments.integer(what, "amount", amount, 0) > count:
        raise arguments.wrong_value(what, "amount", f"at most the {count} that are left, or a share", amount)
    return amount
