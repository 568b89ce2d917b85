"""Positions, sorting, sets and indexing as the standard has them. Results whose shape depends on values need these, so
they are a TraceError in a trace."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from tinytorch.frontend.arguments import choice
from tinytorch.frontend.functions.basic import where as chosen
from tinytorch.frontend.functions.manipulation.indexed import gather
from tinytorch.frontend.functions.reductions.sorting import argsort as order_of
from tinytorch.frontend.functions.reductions.sorting import searchsorted as place_of
from tinytorch.frontend.functions.reductions.sorting import sort as sorted_along
from tinytorch.frontend.standard.shared import common, enter, flat
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.operators.promotion import broadcast_shapes, normalize_axis


# Positions.
@enter()
def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the first largest element is along `axis`, or in the flattened `x`, as i64."""
    return x.argmax(axis, keepdims)


@enter()
def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the first smallest element is along `axis`, or in the flattened `x`, as i64."""
    return x.argmin(axis, keepdims)


@enter()
def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """Where `x` is not 0: a vector of indices for each axis."""
    if not x.ndim:
        raise ShapeError("nonzero: needs at least one axis", user_loc())
    return tuple(from_numpy(index) for index in np.nonzero(x.numpy()))


@enter()
def searchsorted(
    x1: Tensor, x2: Tensor, /, *, side: Literal["left", "right"] = "left", sorter: Tensor | None = None
) -> Tensor:
    """Where elements of `x2` belong in the sorted vector `x1` (sorted by `sorter`): before or behind equal ones."""
    choice("searchsorted", "side", side, "left", "right")
    order = x1 if sorter is None else x1.index_select(0, sorter)
    known, wanted = common("searchsorted", order, x2)
    return place_of(known, wanted, right=side == "right")


@enter()
def where(condition: Tensor, x1: Any, x2: Any, /) -> Tensor:
    """`x1` where the condition is true, else `x2`; all three broadcast."""
    return chosen(condition, *common("where", x1, x2))


# Sorting.
@enter()
def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in ascending order along `axis`, or in descending order."""
    return sorted_along(x, dim=axis, descending=descending, stable=stable).values


@enter()
def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices by which `x` is sorted along `axis`, as i64."""
    return order_of(x, dim=axis, descending=descending, stable=stable)


# Indexing.
@enter()
def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """What the vector `indices` names along `axis`, which must be given for more than one axis."""
    if axis is None and x.ndim != 1:
        raise ShapeError(f"take: needs `axis` for a tensor of {x.ndim} axes", user_loc())
    return x.index_select(0 if axis is None else axis, indices)


@enter()
def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """What `indices` name along `axis`, each in its own row; the other axes broadcast."""
    at = normalize_axis("take_along_axis", axis, x.ndim)
    if indices.ndim != x.ndim:
        raise ShapeError(f"take_along_axis: {indices.type} has not as many axes as {x.type}", user_loc())
    own, its = list(x.shape), list(indices.shape)
    own[at] = its[at] = 1
    shape = broadcast_shapes("take_along_axis", tuple(own), tuple(its))
    lead, tail = shape[:at], shape[at + 1 :]
    wide = x.broadcast_to((*lead, x.shape[at], *tail))
    return gather(wide, at, indices.broadcast_to((*lead, indices.shape[at], *tail)))


# Sets.
class UniqueAll(NamedTuple):
    """The distinct elements, where each comes first, which of them each element is, and how often each occurs."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """The distinct elements, and how often each occurs."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """The distinct elements, and which of them each element is."""

    values: Tensor
    inverse_indices: Tensor


def _array(x: Tensor) -> Array:
    return flat(x).numpy()


@enter()
def unique_all(x: Tensor, /) -> UniqueAll:
    """The distinct elements in ascending order, NaNs being distinct, and where they are."""
    values, indices, inverse, counts = np.unique(
        _array(x), return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    return UniqueAll(from_numpy(values), from_numpy(indices), from_numpy(inverse.reshape(x.shape)), from_numpy(counts))


@enter()
def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The distinct elements in ascending order, and how often each occurs."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


@enter()
def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The distinct elements in ascending order, and which of them each element is."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


@enter()
def unique_values(x: Tensor, /) -> Tensor:
    """The distinct elements in ascending order."""
    return unique_all(x).values


@enter()
def isin(x1: Any, x2: Any, /, *, invert: bool = False) -> Tensor:
    """Whether each element of `x1` is one of `x2`; the contrary if `invert`."""
    a, b = common("isin", x1, x2)
    found = (a.unsqueeze(-1) == flat(b)).any(-1)
    return ~found if invert else found
