"""The same elements in other shapes: views, which share memory with their tensor as in PyTorch, and copies where
elements are repeated or change their order."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch.frontend.arguments import wrong_value
from tinytorch.frontend.functions.basic import cat
from tinytorch.frontend.functions.creation import counted
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir import ops
from tinytorch.ir.errors import RangeError, ShapeError, TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.operators.indexing import basic_index
from tinytorch.ir.operators.positions import is_number
from tinytorch.ir.operators.promotion import broadcast_shapes as broadcast_two
from tinytorch.ir.operators.promotion import integer, integers, normalize_axis
from tinytorch.ir.types import Shape, i64

Ints = int | Sequence[int]


def listed(what: str, name: str, value: Any) -> tuple[int, ...]:
    """An integer, or several."""
    items = value if isinstance(value, (tuple, list)) else (value,)
    return tuple(integer(what, name, item) for item in items)


def axis_of(what: str, dim: Any, rank: int) -> int:
    """An axis counted from the front; of a tensor without axes 0 and -1 may be named."""
    return normalize_axis(what, dim, max(rank, 1))


def distinct_axes(what: str, dims: Any, rank: int) -> tuple[int, ...]:
    axes = tuple(normalize_axis(what, d, max(rank, 1)) for d in (dims if isinstance(dims, (tuple, list)) else (dims,)))
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{what}: {dims} names an axis twice", user_loc())
    return axes


# Parts.
@spelled()
def select(input: Tensor, dim: int, index: Any) -> Tensor:
    """The slice at `index` along `dim`, without that axis: a view. IndexError for an index out of range."""
    axis = normalize_axis("select", dim, input.ndim)
    if not is_number(index):
        index = integer("select", "index", index)
        if not -input.shape[axis] <= index < input.shape[axis]:
            raise RangeError(f"select: index {index} is out of range for axis {axis} of {input.type}", user_loc())
    return basic_index(input, (*(slice(None),) * axis, index))


@spelled(standard="unstack")
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, without that axis: views."""
    axis = normalize_axis("unbind", dim, input.ndim)
    return tuple(select(input, axis, i) for i in range(input.shape[axis]))


@spelled()
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` elements along `dimension`, `step` apart, as a new last axis: a view."""
    axis, step = axis_of("unfold", dimension, input.ndim), integer("unfold", "step", step)
    x = input if input.ndim else input.reshape((1,))
    if not 0 <= size <= x.shape[axis] or step < 1:
        raise ShapeError(f"unfold: windows of {size} in steps of {step} do not fit axis {axis} of {x.type}", user_loc())
    strides = [[step * s for s in unit(x.ndim, axis)] if a == axis else unit(x.ndim, a) for a in range(x.ndim)]
    shape = (*x.shape[:axis], (x.shape[axis] - size) // step + 1, *x.shape[axis + 1 :], size)
    out = affine(x, shape, (0,) * x.ndim, [*strides, unit(x.ndim, axis)])
    return out if input.ndim else out.reshape((size,))


def unit(rank: int, axis: int) -> list[int]:
    return [int(a == axis) for a in range(rank)]


def affine(x: Tensor, shape: Shape, starts: Sequence[int], strides: Sequence[Sequence[int]]) -> Tensor:
    attrs = {"shape": shape, "starts": tuple(starts), "strides": tuple(map(tuple, strides))}
    return apply(ops.view.affine_view, x, **attrs)


# Axes.
@spelled("moveaxis", standard="moveaxis")
def movedim(input: Tensor, source: Ints, destination: Ints) -> Tensor:
    """Axes `source` moved to `destination`, the others in their order: a view."""
    a, b = (distinct_axes("movedim", dims, input.ndim) for dims in (source, destination))
    if len(a) != len(b):
        raise ShapeError(f"movedim: {source} and {destination} are not equally many axes", user_loc())
    if not input.ndim:
        return input.reshape(())
    rest = iter([axis for axis in range(input.ndim) if axis not in a])
    moved = dict(zip(b, a, strict=True))
    return input.permute([moved[axis] if axis in moved else next(rest) for axis in range(input.ndim)])


@spelled()
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Axis `dim` as several, of `sizes`, one of which may be -1: a view."""
    axis, size = normalize_axis("unflatten", dim, input.ndim), listed("unflatten", "sizes", sizes)
    known = math.prod(s for s in size if s != -1)
    length = input.shape[axis]
    if not size or size.count(-1) > 1 or min(size) < -1 or (-1 in size and not known):
        raise ShapeError(f"unflatten: {list(size)} are no sizes of axis {axis} of {input.type}", user_loc())
    if known != length and not (-1 in size and length % known == 0):
        raise ShapeError(f"unflatten: {list(size)} do not multiply to axis {axis} of {input.type}", user_loc())
    whole = tuple(length // known if s == -1 else s for s in size)
    return input.reshape((*input.shape[:axis], *whole, *input.shape[axis + 1 :]))


@spelled()
def ravel(input: Tensor) -> Tensor:
    """The elements as a vector, a view where strides can express that."""
    return input.reshape((input.numel(),))


@spelled()
def adjoint(input: Tensor) -> Tensor:
    """The last two axes exchanged: a view. Numbers are real, so there is nothing to conjugate."""
    if input.ndim < 2:
        raise ShapeError(f"adjoint: needs two axes, got {input.type}", user_loc())
    return input.transpose(-2, -1)


@spelled()
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """A view broadcast to the shape of `other`."""
    return input.expand(other.shape)


@spelled()
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """A view in the shape of `other`."""
    _same_count("view_as", input, other)
    return input.view(other.shape)


@spelled()
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """`reshape` to the shape of `other`."""
    _same_count("reshape_as", input, other)
    return input.reshape(other.shape)


def _same_count(what: str, input: Tensor, other: Tensor) -> None:
    if input.numel() != other.numel():
        raise ShapeError(
            f"{what}: input {input.type} has {input.numel()} elements, other {other.type} {other.numel()}", user_loc()
        )


def _at_least(rank: int, x: Tensor) -> Tensor:
    while x.ndim < rank:
        x = x.unsqueeze(2 if x.ndim == 2 else 0)
    return x


def _each(tensors: tuple[Any, ...], function: Callable[[Tensor], Tensor]) -> Any:
    """Of one tensor the result, of several, or a list of them, a tuple of results."""
    several = len(tensors) != 1 or isinstance(tensors[0], (tuple, list))
    items = tensors[0] if len(tensors) == 1 and several else tensors
    made = tuple(function(_tensor("atleast", t)) for t in items)
    return made if several else made[0]


def _tensor(what: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TinyTorchError(f"{what}: needs tensors, got {type(value).__name__}", user_loc())
    return value


@spelled()
def atleast_1d(*tensors: Any) -> Any:
    """Tensors without axes as vectors, others as they are. Of one tensor a tensor, of several a tuple."""
    return _each(tensors, lambda x: _at_least(1, x))


@spelled()
def atleast_2d(*tensors: Any) -> Any:
    """Tensors of fewer than two axes with new ones in front. Of one tensor a tensor, of several a tuple."""
    return _each(tensors, lambda x: _at_least(2, _at_least(1, x)))


@spelled()
def atleast_3d(*tensors: Any) -> Any:
    """Vectors as [1, n, 1], matrices as [m, n, 1]. Of one tensor a tensor, of several a tuple."""
    return _each(tensors, lambda x: _at_least(3, x))


@spelled(method=False, standard="broadcast_arrays")
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Views of the tensors in their common shape."""
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    parts = [_tensor("broadcast_tensors", t) for t in items]
    shape = broadcast_shapes(*(p.shape for p in parts))
    return tuple(p.expand(shape) for p in parts)


@spelled(method=False)
def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that tensors of these shapes broadcast to."""
    found: Shape = ()
    for shape in shapes:
        sizes = listed("broadcast_shapes", "a size", shape)
        if min(sizes, default=0) < 0:
            raise ShapeError(f"broadcast_shapes: sizes are not negative, got {list(sizes)}", user_loc())
        found = broadcast_two("broadcast_shapes", found, sizes)
    return found


@spelled(method=False)
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Vectors broadcast against each other, tensor i along axis i: views. With `indexing="xy"` the first two axes
    change places."""
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    vectors = [_tensor("meshgrid", t) for t in items]
    if indexing not in ("ij", "xy"):
        raise wrong_value("meshgrid", "indexing", '"ij" or "xy"', indexing)
    if not vectors or any(v.ndim > 1 for v in vectors) or len({v.dtype for v in vectors}) > 1:
        raise ShapeError(
            f"meshgrid: needs vectors of one dtype, got {', '.join(str(v.type) for v in vectors) or 'none'}", user_loc()
        )
    swaps = indexing == "xy" and len(vectors) > 1
    if swaps:
        vectors[:2] = vectors[1::-1]
    shape = tuple(v.numel() for v in vectors)
    grids = [
        v.reshape((*(1,) * i, v.numel(), *(1,) * (len(vectors) - 1 - i))).expand(shape) for i, v in enumerate(vectors)
    ]
    if swaps:
        grids[:2] = grids[1::-1]
    return tuple(grids)


# Order.
@spelled(standard="roll")
def roll(input: Tensor, shifts: Ints, dims: Ints | None = None) -> Tensor:
    """The elements moved by `shifts` along `dims`, those behind the end coming in at the front; without `dims`, of the
    flattened tensor."""
    by = listed("roll", "shifts", shifts)
    if dims is None or dims == ():
        if len(by) != 1:
            raise ShapeError(f"roll: without dims there is one shift, got {list(by)}", user_loc())
        return _rolled(input.reshape((input.numel(),)), by[0], 0).reshape(input.shape)
    axes = tuple(normalize_axis("roll", d, input.ndim) for d in (dims if isinstance(dims, (tuple, list)) else (dims,)))
    if len(axes) != len(by):
        raise ShapeError(f"roll: needs a shift for each of the dims {dims}, got {shifts}", user_loc())
    out = input
    for shift, axis in zip(by, axes, strict=True):
        out = _rolled(out, shift, axis)
    return out


def _rolled(x: Tensor, shift: int, axis: int) -> Tensor:
    size = x.shape[axis]
    at = -shift % size if size else 0
    return cat([x.narrow(axis, at, size - at), x.narrow(axis, 0, at)], axis) if at else x.clone()


@spelled()
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """The plane of the two axes `dims` turned by `k` quarter turns, from the first axis towards the second."""
    if input.ndim < 2 or len(listed("rot90", "dims", dims)) != 2:
        raise ShapeError(f"rot90: needs two axes, got dims {dims} and {input.type}", user_loc())
    a, b = distinct_axes("rot90", dims, input.ndim)
    turns = integer("rot90", "k", k) % 4
    if turns == 2:
        return input.flip(a, b)
    if not turns:
        return input.clone()
    return (input.flip(b) if turns == 1 else input.flip(a)).transpose(a, b).clone()


@spelled()
def fliplr(input: Tensor) -> Tensor:
    """The columns in reversed order."""
    if input.ndim < 2:
        raise ShapeError(f"fliplr: needs two axes, got {input.type}", user_loc())
    return input.flip(1)


@spelled()
def flipud(input: Tensor) -> Tensor:
    """The rows in reversed order."""
    if not input.ndim:
        raise ShapeError(f"flipud: needs an axis, got {input.type}", user_loc())
    return input.flip(0)


# Repeats.
@spelled()
def repeat(input: Tensor, *sizes: Any, repeats: Sequence[int] | None = None) -> Tensor:
    """The tensor `repeats` times along each axis, of which there may be more in front."""
    return _tiled("repeat", input, integers(sizes if repeats is None else (repeats,)))


@spelled(standard="tile")
def tile(input: Tensor, *sizes: Any, dims: Sequence[int] | None = None) -> Tensor:
    """`repeat`, with ones in front where there are fewer numbers than axes."""
    times = integers(sizes if dims is None else (dims,))
    return _tiled("tile", input, (*(1,) * (input.ndim - len(times)), *times))


def _tiled(what: str, x: Tensor, times: tuple[int, ...]) -> Tensor:
    if len(times) < x.ndim or min(times, default=0) < 0:
        raise ShapeError(
            f"{what}: needs numbers that are not negative for the {x.ndim} axes of {x.type}, got {list(times)}",
            user_loc(),
        )
    shape = (*(1,) * (len(times) - x.ndim), *x.shape)
    pairs = list(zip(times, shape, strict=True))
    wide = x.reshape([n for _, d in pairs for n in (1, d)]).expand([n for pair in pairs for n in pair])
    return wide.clone().reshape([t * d for t, d in pairs])


@spelled(standard="repeat")
def repeat_interleave(
    input: Tensor, repeats: int | Tensor | None = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element along `dim` `repeats` times: a number, or one for each. Without `dim`, of the flattened tensor. Of
    a vector of repeats alone, the indices that it repeats. Under tt.compile, where values are not known, `output_size`
    says how many elements there are in the end."""
    if repeats is None:
        return repeat_interleave(counted(input.numel()), input, 0, output_size=output_size)
    x = input.reshape((input.numel(),)) if dim is None or not input.ndim else input
    axis = axis_of("repeat_interleave", 0 if dim is None else dim, input.ndim)
    if isinstance(repeats, Tensor) and repeats.numel() != 1:
        return x.index_select(axis, _repeated_indices(x.shape[axis], repeats, output_size))
    count = int(repeats)
    if count < 0:
        raise wrong_value("repeat_interleave", "repeats", "a number that is not negative", count)
    shape = (*x.shape[: axis + 1], count, *x.shape[axis + 1 :])
    merged = (*x.shape[:axis], x.shape[axis] * count, *x.shape[axis + 1 :])
    return x.unsqueeze(axis + 1).expand(shape).clone().reshape(merged)


def _repeated_indices(size: int, repeats: Tensor, output_size: int | None) -> Tensor:
    """Each index below `size` as often as `repeats` says."""
    if repeats.shape != (size,) or repeats.dtype.kind not in ("int", "uint"):
        raise ShapeError(
            f"repeat_interleave: repeats is an integer for each of {size} elements, got {repeats.type}",
            user_loc(),
        )
    if output_size is None:
        if repeats._expr is not None or (mode.trace is not None and mode.trace.holds(repeats)):
            raise TraceError(
                "repeat_interleave: how many elements there are depends on values, and shapes of a compiled function "
                "do not; give output_size, or call it eagerly, outside of the compiled function",
                user_loc(),
            )
        times = repeats._data
        if times.min(initial=0) < 0:
            raise wrong_value("repeat_interleave", "repeats", "numbers that are not negative", times.tolist())
        return Tensor(np.repeat(np.arange(size), times))
    ends = repeats.cast(i64).cumsum(0)
    return (ends.unsqueeze(0) <= counted(output_size).unsqueeze(1)).cast(i64).sum(1)


# Memory.
@spelled()
def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """The elements `storage_offset + i * stride[0] + j * stride[1] + …` of the memory of a tensor that is in row-major
    order: a view. Elements that do not lie in the tensor are a ShapeError."""
    shape, steps = listed("as_strided", "size", size), listed("as_strided", "stride", stride)
    given = 0 if storage_offset is None else integer("as_strided", "storage_offset", storage_offset)
    if len(shape) != len(steps) or min((*shape, *steps, given), default=0) < 0:
        raise ShapeError(
            f"as_strided: needs sizes, a stride for each and an offset that are not negative, got {list(shape)}, "
            f"{list(steps)} and {given}",
            user_loc(),
        )
    if not input.is_contiguous():
        raise TinyTorchError(
            "as_strided: needs a tensor in row-major order, whose elements it counts; call contiguous() first",
            user_loc(),
        )
    start = 0 if storage_offset is None else given - input.storage_offset()
    last = start + sum((d - 1) * s for d, s in zip(shape, steps, strict=True))
    if 0 in shape:
        start = 0
    elif start < 0 or last >= input.numel():
        raise ShapeError(f"as_strided: elements {start} to {last} do not lie in {input.type}", user_loc())
    return affine(input.reshape((input.numel(),)), shape, (start,), [(s,) for s in steps])
