"""Pooling by a given number of windows: window i of n along an axis begins at element floor(i size / n) and ends before
ceil((i + 1) size / n). Where n divides the size, these are windows of one size side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, cast, overload

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.binding import clear
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.spatial.arguments import SPATIAL, Images, Ints, Windows, count, error
from tinytorch.frontend.spatial.pooling import largest, tiled_mean
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.views import own
from tinytorch.ir import ops
from tinytorch.ir.op import Array, apply
from tinytorch.ir.types import i64

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]  # fmt: skip

Outputs = int | Sequence[int | None] | None


# The mean of each window.
@clear
def adaptive_avg_pool1d(input: Tensor, output_size: Outputs) -> Tensor:
    """`adaptive_avg_pool2d` along one axis: input [batch, channels, length]."""
    return _mean(Images("adaptive_avg_pool1d", input, 1), output_size)


@clear
def adaptive_avg_pool2d(input: Tensor, output_size: Outputs) -> Tensor:
    """Means of input [batch, channels, height, width] over `output_size` windows along each spatial axis (None: as many
    as it has elements): window i of n begins at element floor(i size / n) and ends before ceil((i + 1) size / n)."""
    return _mean(Images("adaptive_avg_pool2d", input, 2), output_size)


@clear
def adaptive_avg_pool3d(input: Tensor, output_size: Outputs) -> Tensor:
    """`adaptive_avg_pool2d` of volumes: input [batch, channels, depth, height, width]."""
    return _mean(Images("adaptive_avg_pool3d", input, 3), output_size)


def _wanted(images: Images, output_size: Outputs) -> Ints:
    """How many windows there are along each axis."""
    name, rank = images.name, images.rank
    given = list(output_size) if isinstance(output_size, (tuple, list)) else [cast("int | None", output_size)]
    given = given * rank if len(given) == 1 else given
    if len(given) != rank:
        raise error(f"{name}: output_size is one integer or one for each of {', '.join(SPATIAL[rank])}, got {given}")
    return tuple(d if n is None else count(name, "output_size", n) for n, d in zip(given, images.spatial, strict=True))


def _mean(images: Images, output_size: Outputs) -> Tensor:
    images.require_float()
    return adaptive_mean(images, _wanted(images, output_size))


def adaptive_mean(images: Images, wanted: Ints) -> Tensor:
    """Means over `wanted` windows along each axis."""
    x = images.x
    tiled = tuple(n if d % n == 0 else d for n, d in zip(wanted, images.spatial, strict=True))
    if tiled != images.spatial:
        window = tuple(d // n for n, d in zip(tiled, images.spatial, strict=True))
        x = images.channels_first(tiled_mean(images.channels_last(), window, tiled))
    for i, n in enumerate(wanted):
        if n != tiled[i]:
            x = _averaged(x, x.ndim - images.rank + i, n)
    return own(x, images.x)


def _bounds(size: int, outputs: int) -> tuple[Array, Array]:
    """Where each window begins, and before which element it ends."""
    return np.arange(outputs) * size // outputs, -(-(np.arange(1, outputs + 1) * size) // outputs)


def _averaged(x: Tensor, axis: int, outputs: int) -> Tensor:
    """Means over overlapping windows along `axis`. Each window is gathered by itself, with zeros behind the shorter
    ones, so that an infinity or a NaN reaches only the windows that hold it."""
    size = x.shape[axis]
    first, end = _bounds(size, outputs)
    length = end - first
    step = np.arange(length.max())
    inside, place = step < length[:, None], np.minimum(first[:, None] + step, size - 1)
    windows = x[(*(slice(None),) * axis, place)]
    behind = (1,) * (x.ndim - axis - 1)
    if not inside.all():
        windows = where(x.constant(inside.reshape(*inside.shape, *behind)), windows, 0.0)
    return windows.sum(axis + 1) * x.constant((1 / length).astype(x.dtype.numpy).reshape(-1, *behind))


# The largest of each window.
@overload
def adaptive_max_pool1d(input: Tensor, output_size: Outputs, return_indices: Literal[False] = False) -> Tensor: ...
@overload
def adaptive_max_pool1d(
    input: Tensor, output_size: Outputs, return_indices: bool
) -> Tensor | tuple[Tensor, Tensor]: ...
@clear
def adaptive_max_pool1d(
    input: Tensor, output_size: Outputs, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """`adaptive_max_pool2d` along one axis: input [batch, channels, length]."""
    return _largest(Images("adaptive_max_pool1d", input, 1), output_size, return_indices)


@overload
def adaptive_max_pool2d(input: Tensor, output_size: Outputs, return_indices: Literal[False] = False) -> Tensor: ...
@overload
def adaptive_max_pool2d(
    input: Tensor, output_size: Outputs, return_indices: bool
) -> Tensor | tuple[Tensor, Tensor]: ...
@clear
def adaptive_max_pool2d(
    input: Tensor, output_size: Outputs, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest elements of input [batch, channels, height, width] in the windows of `adaptive_avg_pool2d`. With
    `return_indices`, also their row-major positions in their images (i64), as `max_pool2d` has them."""
    return _largest(Images("adaptive_max_pool2d", input, 2), output_size, return_indices)


@overload
def adaptive_max_pool3d(input: Tensor, output_size: Outputs, return_indices: Literal[False] = False) -> Tensor: ...
@overload
def adaptive_max_pool3d(
    input: Tensor, output_size: Outputs, return_indices: bool
) -> Tensor | tuple[Tensor, Tensor]: ...
@clear
def adaptive_max_pool3d(
    input: Tensor, output_size: Outputs, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """`adaptive_max_pool2d` of volumes: input [batch, channels, depth, height, width]."""
    return _largest(Images("adaptive_max_pool3d", input, 3), output_size, return_indices)


def _largest(images: Images, output_size: Outputs, return_indices: bool) -> Tensor | tuple[Tensor, Tensor]:
    images.require_float()
    arguments.flag(images.name, "return_indices", return_indices)
    wanted = _wanted(images, output_size)
    if not any(d % n for n, d in zip(wanted, images.spatial, strict=True)):
        window = tuple(d // n for n, d in zip(wanted, images.spatial, strict=True))
        none, one = (0,) * images.rank, (1,) * images.rank
        return largest(images, Windows(window, window, none, none, one), return_indices)
    values, index, behind = images.x, None, 1
    for i in reversed(range(images.rank)):
        axis = images.x.ndim - images.rank + i
        values, chosen, index = _largest_along(values, axis, wanted[i], index)
        index = chosen if index is None else chosen * behind + index
        behind *= images.spatial[i]
    return (values, index) if return_indices and index is not None else values


def _largest_along(x: Tensor, axis: int, outputs: int, carried: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The largest of each window along `axis`, where it is, and what `carried` has there.

    Each window is gathered by itself; the shorter ones end with repeats of their last element.
    """
    first, end = _bounds(x.shape[axis], outputs)
    longest = int((end - first).max())
    place = np.minimum(first[:, None] + np.arange(longest), end[:, None] - 1)
    rows = (math.prod(x.shape[:axis]), outputs * longest, 1, math.prod(x.shape[axis + 1 :]))

    def windows(tensor: Tensor) -> Tensor:
        return tensor[(*(slice(None),) * axis, place)].reshape(rows)

    shape = (*x.shape[:axis], outputs, *x.shape[axis + 1 :])
    attrs = {"window": (longest, 1), "stride": (longest, 1), "low": (0, 0), "dilation": (1, 1)}
    found = apply(ops.pooling.max_pool2d, windows(x), **attrs, high=(0, 0))
    behind = (1,) * (x.ndim - axis - 1)
    start, last = (x.constant(n.reshape(-1, *behind)) for n in (first, end - 1))
    chosen = (found[1].reshape(shape).cast(i64) + start).minimum(last)
    if carried is not None:
        carried = apply(ops.pooling.max_pool2d_take, windows(carried), found[1], **attrs).reshape(shape)
    return found[0].reshape(shape), chosen, carried
