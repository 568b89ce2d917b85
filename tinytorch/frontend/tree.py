"""Nested containers: taken apart into leaves, and put together again.

Containers are lists, tuples, named tuples, dicts and their subclasses, and objects of dataclasses; dtypes
and types are single values.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch.ir.types import DType, TensorType


@dataclass(frozen=True)
class Slot:
    """The place of leaf number `index` in a nested container."""

    index: int


@dataclass(frozen=True)
class Fields:
    """An object of a dataclass, by its attributes."""

    kind: type
    attributes: tuple[tuple[str, Any], ...]


def _is_object(tree: Any) -> bool:
    return dataclasses.is_dataclass(tree) and not isinstance(tree, (type, Slot, Fields, DType, TensorType))


def _fields(tree: Any) -> Fields:
    names = dict.fromkeys([*getattr(tree, "__dict__", ()), *(field.name for field in dataclasses.fields(tree))])
    return Fields(type(tree), tuple((name, getattr(tree, name)) for name in names if hasattr(tree, name)))


def is_container(tree: Any) -> bool:
    return isinstance(tree, (dict, list, tuple, Fields)) or _is_object(tree)


def parts(tree: Any) -> Iterable[Any]:
    """The items of a container; nothing of anything else."""
    if isinstance(tree, dict):
        return tree.values()
    if isinstance(tree, (list, tuple)):
        return tree
    fields = tree if isinstance(tree, Fields) else _fields(tree) if _is_object(tree) else None
    return () if fields is None else [item for _, item in fields.attributes]


def _changed(tree: Any, change: Callable[[Any], Any]) -> Any:
    """A container of the same kind with each item changed; anything else as it is."""
    if isinstance(tree, dict):
        items = {key: change(item) for key, item in tree.items()}
        if type(tree) is dict:
            return items
        if isinstance(tree, defaultdict):
            return type(tree)(tree.default_factory, items)
        made = copy.copy(tree)  # a subclass may keep more than its items
        made.update(items)
        return made
    if isinstance(tree, tuple):
        items = [change(item) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if isinstance(tree, list):
        made = copy.copy(tree)
        made[:] = [change(item) for item in tree]
        return made
    if isinstance(tree, Fields):
        return Fields(tree.kind, tuple((name, change(item)) for name, item in tree.attributes))
    return tree


def flatten(tree: Any, leaves: list[Any], is_leaf: Callable[[Any], bool]) -> Any:
    """`tree` with every leaf replaced by its Slot; the leaves are appended to `leaves`."""
    if is_leaf(tree):
        leaves.append(tree)
        return Slot(len(leaves) - 1)
    return _changed(_fields(tree) if _is_object(tree) else tree, lambda item: flatten(item, leaves, is_leaf))


def unflatten(spec: Any, leaves: Sequence[Any]) -> Any:
    """The inverse of `flatten`: new containers, with the leaves themselves."""
    if isinstance(spec, Slot):
        return leaves[spec.index]
    made = _changed(spec, lambda item: unflatten(item, leaves))
    if not isinstance(made, Fields):
        return made
    thing = object.__new__(made.kind)
    for name, item in made.attributes:
        object.__setattr__(thing, name, item)
    return thing
