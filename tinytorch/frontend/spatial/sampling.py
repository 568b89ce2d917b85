"""Values of images and volumes at points that a tensor names, and the points of an affine map (Jaderberg et al. 2015).

Points are measured as in torch.nn.functional: -1 and 1 are the first and the last pixel of an axis, their middles with
`align_corners`, else their outer edges; the last axis of a grid counts x (width), y (height), z (depth).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import stack, where
from tinytorch.frontend.functions.creation import ones
from tinytorch.frontend.spatial.arguments import Ints, error, in_front
from tinytorch.frontend.spatial.interpolation import cubic_weights
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir import ops
from tinytorch.ir.op import Array, apply
from tinytorch.ir.operators.positions import checked
from tinytorch.ir.types import f32, i64

Tap = tuple[Tensor, Tensor]  # places along one axis, which need not lie in it, and how much they count


@spelled(space="nn.functional")
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The values of input [batch, channels, height, width] at the points of grid [batch, rows, columns, 2], or of
    volumes [batch, channels, depth, height, width] at those of a grid [batch, ..., 3]: [batch, channels, rows,
    columns].

    `mode` is "bilinear" (of volumes trilinear), "nearest" or, for images, "bicubic". Points outside of the image read
    zeros, with `padding_mode` "border" its nearest pixel, with "reflection" that of the image mirrored at its edge. NaN
    in the grid is -1. Differentiable in both.
    """
    sizes = _checked(input, grid)
    arguments.choice("grid_sample", "mode", mode, "bilinear", "nearest", "bicubic")
    arguments.choice("grid_sample", "padding_mode", padding_mode, "zeros", "border", "reflection")
    corners = align_corners is not None and arguments.flag("grid_sample", "align_corners", align_corners)
    if mode == "bicubic" and len(sizes) == 3:
        raise error(f"grid_sample: mode bicubic is for images, got input {input.type}")
    wide = input.cast(f32) if input.dtype.bits == 16 else input
    grid = grid.cast(wide.dtype)
    grid = where(grid.isnan(), -1.0, grid)
    taps: list[list[Tap]] = []
    for i, size in enumerate(sizes):
        at = grid[..., len(sizes) - 1 - i]
        at = (at + 1) * ((size - 1) / 2) if corners else ((at + 1) * size - 1) / 2
        taps.append(_taps(at, size, mode, padding_mode, corners))
    total: Tensor | None = None
    pixels = wide.permute(0, *range(2, wide.ndim), 1).reshape(-1, wide.shape[1])
    for chosen in itertools.product(*taps):
        part = _weighted(pixels, [place for place, _ in chosen], [weight for _, weight in chosen], sizes)
        total = part if total is None else total + part
    assert total is not None
    return in_front(total, input).cast(input.dtype)


def _checked(input: Tensor, grid: Tensor) -> Ints:
    """The spatial size of the input."""
    x, points = require_tensor("grid_sample", input), require_tensor("grid_sample", grid)
    if x.ndim not in (4, 5) or points.ndim != x.ndim or points.shape[-1] != x.ndim - 2:
        raise error(
            "grid_sample: input is [batch, channels, height, width] and grid [batch, rows, columns, 2], or one axis "
            f"more and 3, got {x.type} and {points.type}"
        )
    if points.shape[0] != x.shape[0]:
        raise error(f"grid_sample: input and grid have one batch, got {x.type} and {points.type}")
    if not x.dtype.is_float or points.dtype != x.dtype:
        raise error(f"grid_sample: input and grid have one float dtype, got {x.type} and {points.type}")
    if 0 in x.shape[1:]:
        raise error(f"grid_sample: an axis of input {x.type} is empty")
    return x.shape[2:]


def _taps(at: Tensor, size: int, mode: str, padding_mode: str, corners: bool) -> list[Tap]:
    """The places along one axis that points at these coordinates read."""
    if mode == "bicubic":
        whole = at.detach().floor()
        weights = cubic_weights(at - whole)
        places = [_inside(whole + k, size, padding_mode, corners) for k in (-1, 0, 1, 2)]
        return list(zip(places, weights, strict=True))
    at = _inside(at, size, padding_mode, corners)
    if mode == "nearest":
        place = at.round()
        return [(place, where(place.isnan(), place, 1.0))]  # 1, of which the gradient is 0, not None
    whole = at.detach().floor()
    part = at - whole
    return [(whole, 1 - part), (whole + 1, part)]


def _inside(at: Tensor, size: int, padding_mode: str, corners: bool) -> Tensor:
    """Coordinates of pixels that the image has, unless the padding is zeros. The derivative is 0 at both ends."""
    if padding_mode == "zeros":
        return at
    if padding_mode == "reflection":
        at = _reflected(at, 0 if corners else -1, 2 * (size - 1) if corners else 2 * size - 1)
    return where(at <= 0, 0.0, where(at >= size - 1, float(size - 1), at))


def _reflected(at: Tensor, low: int, high: int) -> Tensor:
    """Coordinates mirrored at low / 2 and high / 2 until they lie between them."""
    if low == high:
        return at * 0
    start, span = low / 2, (high - low) / 2
    moved = at - start
    far = abs(moved)
    turns = (far.detach() / span).floor()
    rest = far - turns * span
    odd = (turns - (turns / 2).floor() * 2) > 0
    return where(odd, span - rest, rest) + start


def _weighted(pixels: Tensor, places: list[Tensor], weights: list[Tensor], sizes: Ints) -> Tensor:
    """The pixels at these places, zeros where they are outside of the image, times the weights of all axes."""
    batch = places[0].shape[0]
    behind = (1,) * (places[0].ndim - 1)
    index = places[0].constant(np.arange(batch).reshape(-1, *behind))
    known: Tensor | None = None
    for place, size in zip(places, sizes, strict=True):
        fits = (place >= 0) & (place <= size - 1)
        known = fits if known is None else known & fits
        index = index * size + where(fits, place, 0.0).detach().cast(i64)
    assert known is not None
    found = apply(ops.index.gather, pixels, checked(index, pixels.shape[0]), axis=0)
    weight = math.prod(weights[1:], start=weights[0])
    return where(known.unsqueeze(-1), found, 0.0) * weight.unsqueeze(-1)


def _points(size: int, corners: bool, dtype: Any) -> Array:
    """Where the pixels of an axis lie."""
    if size == 1:
        return np.zeros(1, dtype)
    points = np.linspace(-1, 1, size)
    return (points if corners else points * ((size - 1) / size)).astype(dtype)


@spelled(space="nn.functional")
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid for `grid_sample` that maps points (x, y, 1) by theta [batch, 2, 3], for images of `size` (batch,
    channels, height, width): [batch, height, width, 2]; or (x, y, z, 1) by theta [batch, 3, 4] for volumes."""
    name = "affine_grid"
    require_tensor(name, theta)
    wanted = [arguments.integer(name, "size", n, 1) for n in cast("Sequence[int]", tuple(size))]
    rank = len(wanted) - 2
    if rank not in (2, 3):
        raise error(f"{name}: size is (batch, channels, height, width), or with a depth, got {tuple(wanted)}")
    if not theta.dtype.is_float or theta.shape != (wanted[0], rank, rank + 1):
        raise error(f"{name}: theta is [{wanted[0]}, {rank}, {rank + 1}] of a float dtype, got {theta.type}")
    corners = align_corners is not None and arguments.flag(name, "align_corners", align_corners)
    spatial = wanted[2:]
    axes = [
        theta.constant(_points(n, corners, theta.dtype.numpy).reshape((-1,) + (1,) * (rank - 1 - i))).broadcast_to(
            spatial
        )
        for i, n in enumerate(spatial)
    ]
    base = stack([*reversed(axes), ones(*spatial, dtype=theta.dtype)], dim=-1).reshape(1, math.prod(spatial), rank + 1)
    out = base.broadcast_to((wanted[0], math.prod(spatial), rank + 1)) @ theta.mT
    return out.reshape(wanted[0], *spatial, rank)
