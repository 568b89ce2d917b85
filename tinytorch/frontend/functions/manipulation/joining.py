"""Tensors joined and taken apart along axes that their rank decides, and products of sets."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.frontend.arguments import integer
from tinytorch.frontend.functions.basic import cat, listed_tensors, stack, tensor_split
from tinytorch.frontend.functions.manipulation.shapes import atleast_1d, atleast_2d, atleast_3d, meshgrid
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import promote
from tinytorch.ir.types import TensorType


# Joined.
@spelled(method=False)
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side: along the second axis, vectors along their only one."""
    parts = [atleast_1d(t) for t in listed_tensors("hstack", tensors)]
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


@spelled("row_stack", method=False)
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors below each other: along the first axis, vectors as rows."""
    return cat([atleast_2d(t) for t in listed_tensors("vstack", tensors)], 0)


@spelled(method=False)
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors behind each other: along the third axis, of which those of fewer axes have one element."""
    return cat([atleast_3d(t) for t in listed_tensors("dstack", tensors)], 2)


@spelled(method=False)
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side along the second axis, vectors as columns."""
    parts = listed_tensors("column_stack", tensors)
    return cat([t.reshape((t.numel(), 1)) if t.ndim < 2 else t for t in parts], 1)


@spelled(method=False)
def block_diag(*tensors: Any) -> Tensor:
    """The matrices along the diagonal of a larger one, with zeros around; vectors are rows."""
    parts = [atleast_2d(t) for t in listed_tensors("block_diag", tensors)]
    if any(p.ndim > 2 for p in parts):
        raise ShapeError(f"block_diag: needs matrices, got {', '.join(str(p.type) for p in parts)}", user_loc())
    dtype = parts[0].dtype
    for part in parts[1:]:
        dtype = promote(TensorType(dtype, (1,)), TensorType(part.dtype, (1,)))
    width, before, rows = sum(p.shape[1] for p in parts), 0, list[Tensor]()
    for part in parts:
        rows.append(part.cast(dtype).pad([(0, 0), (before, width - before - part.shape[1])]))
        before += part.shape[1]
    return cat(rows, 0)


# Taken apart.
def _parted(what: str, x: Tensor, where_to: Any, axis: int, rank: int) -> tuple[Tensor, ...]:
    if x.ndim < rank:
        raise ShapeError(f"{what}: needs at least {rank} axes, got {x.type}", user_loc())
    if not isinstance(where_to, (list, tuple, Tensor)) and x.shape[axis] % integer(what, "sections", where_to, 1):
        raise ShapeError(f"{what}: axis {axis} of {x.type} does not divide into {where_to} equal parts", user_loc())
    return tensor_split(x, where_to, axis)


@spelled()
def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Views of parts along the second axis, of vectors along their only one: so many equal ones, or those that end
    before each index and the rest."""
    return _parted("hsplit", input, indices_or_sections, min(1, input.ndim - 1), 1)


@spelled()
def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Views of parts along the first axis, as `hsplit`."""
    return _parted("vsplit", input, indices_or_sections, 0, 2)


@spelled()
def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Views of parts along the third axis, as `hsplit`."""
    return _parted("dsplit", input, indices_or_sections, 2, 3)


# Sets.
@spelled(method=False)
def cartesian_prod(*tensors: Any) -> Tensor:
    """All choices of one element from each of the vectors, [count, vectors]; of one vector, itself."""
    vectors = listed_tensors("cartesian_prod", tensors)
    if any(v.ndim != 1 for v in vectors):
        raise ShapeError(f"cartesian_prod: needs vectors, got {', '.join(str(v.type) for v in vectors)}", user_loc())
    if len(vectors) == 1:
        return vectors[0]
    return stack([g.reshape((g.numel(),)) for g in meshgrid(*vectors)], 1)


@spelled()
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All ways to choose `r` elements of a vector, in their order, [count, r]; the same one may be chosen again
    `with_replacement`."""
    if input.ndim != 1:
        raise ShapeError(f"combinations: needs a vector, got {input.type}", user_loc())
    count = integer("combinations", "r", r, 0)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array(list(choose(range(input.numel()), count)), np.int64).reshape((-1, count) if count else 0)
    if count == 0:
        return ops.core.filled(input, 0, TensorType(input.dtype, (0,)))
    return input.index_select(0, input.constant(places.reshape(-1))).reshape(places.shape)
