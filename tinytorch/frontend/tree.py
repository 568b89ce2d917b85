"""Nested containers: taken apart into leaves, and put together again.

Containers are lists, tuples, named tuples, dicts and their subclasses, and dataclasses.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Slot:
    """The place of leaf number `index` in a nested container."""

    index: int


def rebuild(tree: Any, change: Callable[[Any], Any]) -> Any:
    """`tree` with each of its items changed; anything that is no container as it is."""
    if isinstance(tree, dict):
        items = {key: change(item) for key, item in tree.items()}
        if type(tree) is dict:
            return items
        if isinstance(tree, defaultdict):
            return type(tree)(tree.default_factory, items)
        if type(tree) is OrderedDict:
            return OrderedDict(items)
        made = copy.copy(tree)  # a subclass may keep more than its items
        made.update(items)
        return made
    if isinstance(tree, tuple):
        items = [change(item) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if isinstance(tree, list):
        if type(tree) is list:
            return [change(item) for item in tree]
        made = copy.copy(tree)
        made[:] = [change(item) for item in tree]
        return made
    if dataclasses.is_dataclass(tree) and not isinstance(tree, (type, Slot)):
        made = copy.copy(tree)
        for field in dataclasses.fields(tree):
            object.__setattr__(made, field.name, change(getattr(tree, field.name)))
        return made
    return tree


def flatten(tree: Any, leaves: list[Any], is_leaf: Callable[[Any], bool]) -> Any:
    """`tree` with every leaf replaced by its Slot; the leaves are appended to `leaves`."""
    if is_leaf(tree):
        leaves.append(tree)
        return Slot(len(leaves) - 1)
    return rebuild(tree, lambda item: flatten(item, leaves, is_leaf))


def unflatten(spec: Any, leaves: Sequence[Any]) -> Any:
    """The inverse of `flatten`."""
    if isinstance(spec, Slot):
        return leaves[spec.index]
    return rebuild(spec, lambda item: unflatten(item, leaves))
