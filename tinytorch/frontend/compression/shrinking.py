"""A model without some of its channels: smaller parameters, and attributes that say so."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from tinytorch.frontend.compression.channels import Place, Ties, named_tensors
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.masks import mask_of, set_mask
from tinytorch.frontend.module.tracked import attributes_of
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.op import Array

AnyModule = TypeVar("AnyModule", bound=Module)
Unit = Mapping[Place, Array]


def zeroed(model: AnyModule, units: Sequence[Unit]) -> AnyModule:
    """A copy of a model in which the parameters of these units are 0."""
    made, taken = copy.deepcopy(model), _taken(units)
    for name, tensor in made.named_parameters():
        for axis, index in taken[name].items():
            tensor.numpy()[(slice(None),) * axis + (index,)] = 0
        tensor.touch()
    return made


def without(model: AnyModule, units: Sequence[Unit], ties: Ties) -> AnyModule:
    """A copy of a model without these units: parameters, buffers and masks have no indices of theirs, and attributes
    that say sizes follow. A parameter that several modules share stays one.

    Modules of the package know such attributes. Those of users are told by `resized`, or else an integer attribute
    follows where all axes of its length among what the module computes have become shorter alike.
    """
    made, taken = copy.deepcopy(model), _taken(units)
    kept: dict[int, tuple[Array, ...]] = {}
    for name, tensor in named_tensors(made).items():
        if name in taken:
            gone = taken[name]
            kept[id(tensor)] = tuple(np.delete(np.arange(n), gone.get(axis, [])) for axis, n in enumerate(tensor.shape))
            _shrink(tensor, kept[id(tensor)])
    lengths = _lengths(units, ties)
    for path, module in made.named_modules():
        module.resized({name: kept[id(t)] for name, t in _own(module).items() if id(t) in kept})
        if not type(module).__module__.startswith("tinytorch."):
            _follow(module, ".".join(filter(None, (type(made).__name__, path))), lengths)
    return made


def _taken(units: Sequence[Unit]) -> dict[str, dict[int, Array]]:
    """By name of a parameter or buffer and axis, the indices that belong to units."""
    parts: dict[Place, list[Array]] = defaultdict(list)
    for unit in units:
        for place, index in unit.items():
            parts[place].append(index)
    found: dict[str, dict[int, Array]] = defaultdict(dict)
    for (name, axis), indices in parts.items():
        found[name][axis] = np.concatenate(indices)
    return found


def _shrink(tensor: Tensor, kept: tuple[Array, ...]) -> None:
    """Leave the given indices of each axis, of a tensor and its mask."""
    mask = mask_of(tensor)
    block = np.ix_(*kept)
    set_mask(tensor, None)
    tensor.grad = None
    tensor.replace_storage(np.ascontiguousarray(tensor.numpy()[block]))
    if mask is not None:
        set_mask(tensor, mask.numpy()[block])


def _own(module: Module) -> dict[str, Tensor]:
    """Parameters and buffers of a module itself."""
    parameters = module.named_parameters(recurse=False, remove_duplicate=False)
    return {**dict(parameters), **dict(module.named_buffers(recurse=False, remove_duplicate=False))}


def _lengths(units: Sequence[Unit], ties: Ties) -> list[tuple[str, int, int]]:
    """What modules compute: the path of the module, the length of an axis, and what becomes of it."""
    gone = [int(ties.classes[place][index[0]]) for unit in units for place, index in unit.items()]
    lost = np.zeros(1 + max((int(x.max(initial=0)) for _, axes in ties.computed for x in axes), default=0), np.bool_)
    lost[[label for label in gone if label < len(lost)]] = True
    return [
        (path, len(classes), int((~lost[classes] | (classes < 0)).sum()))
        for path, axes in ties.computed
        for classes in axes
    ]


def _follow(module: Module, path: str, lengths: Sequence[tuple[str, int, int]]) -> None:
    """Bring integer attributes of a user's module up to date, where it is clear what they are lengths of."""
    found: dict[int, set[int]] = defaultdict(set)
    for where, before, after in lengths:
        if f"{where}.".startswith(f"{path}."):
            found[before].add(after)
    for name, value in list(attributes_of(module).items()):
        new = found.get(value) if type(value) is int else None
        if new is not None and len(new) == 1 and value not in new and not name.startswith("_"):
            setattr(module, name, new.pop())
