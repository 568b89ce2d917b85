"""What functions take from outside of their variables: modules that they import, the environment, views of objects."""

from __future__ import annotations

import gc
import importlib.util
import os
import types
import weakref
from collections.abc import Iterator
from typing import Any

from tinytorch.frontend.guards.code import imports_in, names_in

_VIEWS = (types.MappingProxyType, type({}.keys()), type({}.values()), type({}.items()))
_ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb"})


def modules_of(function: types.FunctionType) -> list[str]:
    """The names in `sys.modules` of what a function imports when it runs, packages before what is in them."""
    package = function.__globals__.get("__package__") or ""
    found: list[str] = []
    for dots, name in sorted(imports_in(function.__code__)):
        full = importlib.util.resolve_name("." * dots + name, package) if dots and package else name
        parts = full.split(".")
        found += [".".join(parts[: i + 1]) for i in range(len(parts))]
    return found


def environment_of(function: types.FunctionType) -> Iterator[Any]:
    """The variables of the environment, if the function's code names them."""
    names = names_in(function.__code__)
    if not _ENVIRONMENT.isdisjoint(names.variables | names.attributes):
        yield vars(os.environ)["_data"]


def underlying(item: Any) -> Any:
    """The dict that a read-only view shows, the object of a weak reference; None for anything else."""
    if isinstance(item, weakref.ref):
        return item()
    if not isinstance(item, _VIEWS):
        return None
    found = gc.get_referents(item)
    return found[0] if len(found) == 1 else None
