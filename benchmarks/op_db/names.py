"""The entries of the database, and the function or method here that each names."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable, Sequence
from typing import Any

import tinytorch as tt
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.types import DType

Function = Callable[..., Any]

# Entries whose samples do not stand in the order of the function's arguments.
_REORDERED: dict[str, Callable[[Function], Function]] = {
    "einsum": lambda f: lambda tensors, equation: f(equation, tensors),
    "linalg.lstsq.grad_oriented": lambda f: lambda a, b, driver: f(a, b, driver=driver)[:2],
    "linalg.pinv.singular": lambda f: lambda a, b: f(a @ b.mT),
    "nn.functional.embedding": lambda f: lambda weight, index, **options: f(index, weight, **options),
    "nn.functional.embedding_bag": lambda f: lambda weight, index, **options: f(index, weight, **options),
    "normal.number_mean": lambda f: lambda std, mean, *args, **options: f(mean, std, *args, **options),
    "pca_lowrank": lambda f: lambda a, b, **options: f(a @ b.mT, **options),
    "svd_lowrank": lambda f: lambda a, b, **options: f(a @ b.mT, **options),
    "where": lambda f: lambda input, condition, other: f(condition, input, other),
} | {
    f"{space}polygamma.{space.replace('.', '_')}polygamma_n_{order}": lambda f: lambda input, n: f(n, input)
    for space in ("", "special.")
    for order in range(5)
}
_OTHER_NAMES = {"__rdiv__": "__rtruediv__"}  # Python's own name of the operator
_IN_PLACE = ("cauchy", "exponential", "geometric", "log_normal", "normal.in_place", "uniform")


def full_name(op: Any) -> str:
    """The entry's name, with that of its variant."""
    return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name


def chosen(database: Sequence[Any], patterns: Sequence[str]) -> list[Any]:
    """The entries whose name, with or without that of the variant, matches one of the patterns; without any, all."""
    if not patterns:
        return list(database)
    return [op for op in database if any(fnmatch.fnmatch(n, p) for n in (op.name, full_name(op)) for p in patterns)]


def chosen_modules(database: Sequence[Any], patterns: Sequence[str]) -> list[Any]:
    """The entries of the database of modules whose name, with or without `nn.`, matches one of the patterns; without
    any, all."""
    return [
        m
        for m in database
        if not patterns or any(fnmatch.fnmatch(m.name.removeprefix("nn."), p.removeprefix("nn.")) for p in patterns)
    ]


def module_here(info: Any) -> type | None:
    """The class here that an entry of the database of modules names; None if it is not found."""
    return getattr(tt.nn, info.module_cls.__name__, None)


def ours(op: Any) -> Function | None:
    """What is called for an entry: the function of that name, else the method or property of tensors; None if it is not
    found here."""
    name = full_name(op)
    in_place = _method(f"{op.name}_") if name in _IN_PLACE else None
    found = in_place or _function(op.name) or _method(op.name)
    reordered = _REORDERED.get(name, lambda f: f)
    return None if found is None else reordered(found)


def _function(name: str) -> Function | None:
    """`tinytorch.NAME`, where dots lead through namespaces."""
    found: Any = tt
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if callable(found) and not isinstance(found, (DType, type)) else None


def _method(name: str) -> Function | None:
    name = _OTHER_NAMES.get(name, name)
    own = getattr(Tensor, name, None)
    if own is None:
        return None
    if isinstance(own, property):
        return lambda input: getattr(input, name)
    if name.endswith("_") and not name.startswith("__"):  # on a tensor of its own: leaves cannot be changed
        return lambda input, *args, **options: getattr(input.clone(), name)(*args, **options)

    @functools.wraps(own)
    def call(input: Any, *args: Any, **options: Any) -> Any:
        return getattr(input, name)(*args, **options)

    return call
