"""Manipulation as the standard has it: `axis`, tuples, and None for the flattened tensor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from tinytorch.frontend.functions.basic import cat
from tinytorch.frontend.functions.basic import stack as stacked
from tinytorch.frontend.functions.manipulation.shapes import repeat_interleave
from tinytorch.frontend.functions.manipulation.shapes import roll as rolled
from tinytorch.frontend.functions.manipulation.shapes import tile as tiled
from tinytorch.frontend.standard.shared import Axes, common, enter, flat, tensor_list
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import broadcast_shapes, integers, normalize_axis


@enter()
def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """The tensors broadcast against each other, each with its own dtype."""
    if not arrays:
        return []
    shape = reduce(lambda a, b: broadcast_shapes("broadcast_arrays", a, b), [a.shape for a in arrays])
    return [a.broadcast_to(shape) for a in arrays]


@enter("broadcast_shapes")
def shape_of_all(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all broadcast to."""
    return reduce(lambda a, b: broadcast_shapes("broadcast_shapes", tuple(a), tuple(b)), shapes, ())


@enter()
def broadcast_to(x: Tensor, /, shape: tuple[int, ...]) -> Tensor:
    """`x` repeated along axes of size 1, and along new ones in front."""
    return x.broadcast_to(integers((shape,)))


@enter()
def concat(arrays: Sequence[Tensor], /, *, axis: int | None = 0) -> Tensor:
    """The tensors one after the other along `axis`; flattened first where that is None."""
    parts = common("concat", *tensor_list("concat", arrays))
    return cat([flat(p) for p in parts], 0) if axis is None else cat(parts, axis)


@enter()
def stack(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis."""
    return stacked(common("stack", *tensor_list("stack", arrays)), axis)


@enter()
def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along `axis`."""
    at = normalize_axis("unstack", axis, x.ndim)
    return tuple(x[(slice(None),) * at + (i,)] for i in range(x.shape[at]))


@enter()
def expand_dims(x: Tensor, /, *, axis: int | tuple[int, ...] = 0) -> Tensor:
    """`x` with a new axis of size 1 at each place in `axis`, counted in the result."""
    given = integers((axis,))
    places = sorted(normalize_axis("expand_dims", a, x.ndim + len(given)) for a in given)
    if len(set(places)) < len(places):
        raise ShapeError(f"expand_dims: axis {axis} names one axis twice", user_loc())
    for at in places:
        x = x.unsqueeze(at)
    return x


@enter()
def squeeze(x: Tensor, /, axis: int | tuple[int, ...]) -> Tensor:
    """`x` without the axes in `axis`; ShapeError for one whose size is not 1."""
    axes = [normalize_axis("squeeze", a, x.ndim) for a in integers((axis,))]
    for a in axes:
        if x.shape[a] != 1:
            raise ShapeError(f"squeeze: axis {a} of {x.type} has not the size 1", user_loc())
    return x.squeeze(axes) if axes else x


@enter()
def flip(x: Tensor, /, *, axis: Axes = None) -> Tensor:
    """The order along the axes in `axis`, by default all, reversed."""
    return x.flip(tuple(range(x.ndim)) if axis is None else integers((axis,)))


@enter()
def moveaxis(x: Tensor, source: int | tuple[int, ...], destination: int | tuple[int, ...], /) -> Tensor:
    """`x` with the axes in `source` at the places in `destination`, and the others in their order."""
    froms = [normalize_axis("moveaxis", a, x.ndim) for a in integers((source,))]
    to = [normalize_axis("moveaxis", a, x.ndim) for a in integers((destination,))]
    if len(froms) != len(to) or len(set(froms)) < len(froms) or len(set(to)) < len(to):
        raise ShapeError(f"moveaxis: {source} and {destination} do not name as many axes once each", user_loc())
    rest = iter(a for a in range(x.ndim) if a not in froms)
    return x.permute(tuple(froms[to.index(i)] if i in to else next(rest) for i in range(x.ndim)))


@enter()
def permute_dims(x: Tensor, /, axes: tuple[int, ...]) -> Tensor:
    """`x` with its axes in the order of `axes`."""
    order = integers((axes,))
    if len(order) != x.ndim:
        raise ShapeError(f"permute_dims: {list(order)} does not name each axis of {x.type}", user_loc())
    return x.permute(order)


@enter()
def repeat(x: Tensor, repeats: int | Tensor, /, *, axis: int | None = None) -> Tensor:
    """Each element along `axis` (of the flattened `x` where that is None) `repeats` times; a vector of numbers tells
    how often each."""
    return repeat_interleave(flat(x) if axis is None else x, repeats, 0 if axis is None else axis)


@enter()
def reshape(x: Tensor, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Tensor:
    """The elements in row-major order under `shape`; one size may be -1. In other memory if `copy`."""
    out = x.view(shape) if copy is False else x.reshape(shape)
    return out.clone() if copy else out


@enter()
def roll(x: Tensor, /, shift: int | tuple[int, ...], *, axis: Axes = None) -> Tensor:
    """The elements moved by `shift` along `axis`, what leaves at the end coming in at the front; those of the flattened
    `x` where that is None."""
    return rolled(x, shift) if axis is None else rolled(x, shift, axis)


@enter()
def tile(x: Tensor, repetitions: tuple[int, ...], /) -> Tensor:
    """`x` as a whole, so often along each axis; axes are added in front of the shorter of both."""
    return tiled(x, integers((repetitions,)))
