"""Where the indices of an operand's axes go in the result of a node that only moves elements: a view, or a move."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.ir.graph import Node
from tinytorch.ir.op import Array
from tinytorch.ir.types import contiguous_strides

_OTHER = -1.0  # an element of another operand, or none
_FIRST = float(1 << 40)  # that of index 0: larger than what a move may fill in


@dataclass(frozen=True)
class Path:
    """Axis `axis` of an operand goes along the axes `targets` of the result: at `places` of each of its axes stand
    elements of the operand, and those with the index `indices` (an array over the targets)."""

    axis: int
    targets: tuple[int, ...]
    places: tuple[Array, ...]
    indices: Array


def path(node: Node, position: int, axis: int) -> Path | None:
    """How axis `axis` of operand `position` goes, found by running the node on indices; None where elements of the
    operand are no block of the result."""
    found = _run(node, position, axis)
    here = found >= 0
    ranks = range(found.ndim)
    places = tuple(np.flatnonzero(here.any(axis=tuple(other for other in ranks if other != b))) for b in ranks)
    block = found if here.all() else found[np.ix_(*places)]
    if (block < 0).any() or not block.size:
        return None
    targets = tuple(b for b in ranks if block.shape[b] > 1 and (block != np.take(block, [0], b)).any())
    corner = tuple(slice(None) if b in targets else 0 for b in ranks)
    return Path(axis, targets, places, block[corner].astype(np.int64))


def _run(node: Node, position: int, axis: int) -> Array:
    """The node's result where every element of the operand is its index along the axis, or negative."""
    arrays: list[Any] = []
    for i, value in enumerate(node.inputs):
        shape = value.type.shape
        if i == position:
            along = [-1 if a == axis else 1 for a in range(len(shape))]
            arrays.append(np.broadcast_to((_FIRST + np.arange(shape[axis])).reshape(along), shape))
        else:
            arrays.append(np.broadcast_to(_OTHER, shape))
    found = np.asarray(node.op.eval(*arrays, **node.attrs))
    return np.where(found >= _FIRST, found - _FIRST, _OTHER)


def joined(paths: list[Path]) -> list[list[Path]]:
    """Paths in groups that share targets."""
    groups: list[list[Path]] = []
    for each in paths:
        near = [g for g in groups if any(set(each.targets) & set(other.targets) for other in g)]
        groups = [g for g in groups if g not in near]
        groups.append([each, *(other for g in near for other in g)])
    return groups


def in_order(group: list[Path], targets: list[int], sizes: list[int]) -> bool:
    """Whether the elements of the axes of a group, of the given sizes, stand along the targets in row-major order."""
    lengths = [len(group[0].places[axis]) for axis in targets]
    flat = np.zeros(lengths, np.int64)
    for each, stride in zip(group, contiguous_strides(tuple(sizes)), strict=True):
        shape = [n if axis in each.targets else 1 for axis, n in zip(targets, lengths, strict=True)]
        flat = flat + stride * each.indices.reshape(shape)
    return flat.size == math.prod(sizes) and np.array_equal(flat.reshape(-1), np.arange(flat.size))


def common_factors(first: list[int], second: list[int]) -> list[int] | None:
    """The sizes of axes of which both are products in the same order, as [6, 4] and [2, 12] are of [2, 3, 4]; None
    where there are none."""
    if math.prod(first) != math.prod(second):
        return None
    a, b, found = [*first], [*second], list[int]()
    while a and b:
        size = min(a[0], b[0])
        if a[0] % size or b[0] % size:
            return None
        found.append(size)
        a[0], b[0] = a[0] // size, b[0] // size
        a, b = ([*rest[rest[0] == 1 :]] for rest in (a, b))
    return found
