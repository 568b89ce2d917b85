"""Convolutions of bytes by weights in the layout that kernels read: what one instruction multiplies lies together.

A pass puts `conv2d_packed` in the place of `conv2d`. A group is `size` bytes, 4, or 2 that are widened to 16 bits, of
neighbouring input channels, in an i32, the first in its lowest bits; panels have `width` neighbouring output channels.
Weights are [groups of channels * panels, window height, taps, steps, width] of such groups: `steps` groups for the
channels of each of `taps` places of a window's row. Or, where that takes fewer groups and the row has no gaps, they are
for the channels of all its places, one after the other, and there is one tap. What overhangs is 0.

Around the images there may be another number than 0: the one that stands for zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import NONDIFF, Array, Attrs, Bounds, Op, apply, define
from tinytorch.ir.ops.convolution import conv2d, fast_conv2d, sum_bounds
from tinytorch.ir.ops.core import cast
from tinytorch.ir.ops.elementwise import and_
from tinytorch.ir.ops.view import pad, permute, reshape, slice_
from tinytorch.ir.types import DType, TensorType, i8, i32, u8
from tinytorch.ir.windows import Pair, padded


def taps_and_steps(width: int, channels: int, dilation: int, size: int) -> tuple[int, int]:
    """For windows `width` places wide, of so many channels: the taps of a row, and the groups for each of them."""
    apart = width, -(-channels // size)
    together = 1, -(-width * channels // size)
    return together if dilation == 1 and together[1] < apart[0] * apart[1] else apart


def packed_weights(w: Any, *, groups: int, dilation: int, size: int, width: int) -> Any:
    """Weights [window height, window width, channels / groups, out channels] of bytes in that layout."""
    height, across, channels, out = w.type.shape
    taps, steps = taps_and_steps(across, channels, dilation, size)
    depth, columns = across * channels // taps, out // groups
    panels = -(-columns // width)
    rows = apply(reshape, apply(cast, w, dtype=i32), shape=(height, taps, depth, groups, columns))
    high = (0, 0, steps * size - depth, 0, panels * width - columns)
    whole = apply(pad, rows, low=(0,) * 5, high=high, interior=(0,) * 5, value=0)
    apart = apply(reshape, whole, shape=(height, taps, steps, size, groups, panels, width))
    bits = 32 // size

    def element(i: int) -> Any:
        starts, limits = (0, 0, 0, i, 0, 0, 0), (height, taps, steps, i + 1, groups, panels, width)
        one = apply(slice_, apart, starts=starts, limits=limits, steps=(1,) * 7)
        ordered = apply(permute, one, axes=(4, 5, 0, 1, 2, 3, 6))
        found = apply(reshape, ordered, shape=(groups * panels, height, taps, steps, width))
        mask = found.constant(np.array((1 << bits) - 1, np.int32)).broadcast_to(found.type.shape)
        return apply(and_, found, mask) * (1 << bits * i)

    return reduce(add, (element(i) for i in range(size)))


def _unpacked(packed: Array, channels: int, attrs: Attrs) -> Array:
    """The weights as `conv2d` takes them, in i32."""
    across, columns, groups = attrs["window"][1], attrs["columns"], attrs["groups"]
    size, weights = attrs["size"], attrs["weights"]
    pieces, height, taps, steps, width = packed.shape
    bits = 32 // size
    lowest = np.arange(size, dtype=np.int32) * bits
    elements = (packed[..., None] >> lowest) & ((1 << bits) - 1)
    elements = elements.astype(np.uint16).astype(weights.numpy).astype(np.int32)
    panels = pieces // groups
    apart = elements.reshape(groups, panels, height, taps, steps, width, size)
    rows = apart.transpose(2, 3, 4, 6, 0, 1, 5).reshape(height, taps, steps * size, groups, panels * width)
    own = rows[:, :, : across * channels // taps, :, : columns // groups]
    return own.reshape(height, across, channels, columns)


def _packed_type(
    x: TensorType,
    w: TensorType,
    *,
    window: Pair,
    columns: int,
    size: int,
    weights: DType,
    most: Pair,
    around: int,
    **attrs: Any,
) -> TensorType:
    groups = attrs["groups"]
    if not {x.dtype, weights} <= {i8, u8} or w.dtype != i32 or size not in (2, 4) or min(most) < 0:
        raise ShapeError(f"conv2d_packed: needs bytes, and weights in groups of 2 or 4 in i32, got {x} and {w}")
    if not x.dtype.limits[0] <= around <= x.dtype.limits[1] or abs(around) > most[0]:
        raise ShapeError(f"conv2d_packed: {around} cannot be around images {x} of magnitudes up to {most[0]}")
    if x.rank != 4 or w.rank != 5 or groups < 1 or x.shape[3] % groups or columns % groups:
        raise ShapeError(f"conv2d_packed: images {x} and weights {w} do not fit {columns} columns in {groups} groups")
    channels = x.shape[3] // groups
    taps, steps = taps_and_steps(window[1], channels, attrs["dilation"][1], size)
    width = w.shape[4]
    panels = -(-(columns // groups) // width) if width else 0
    if w.shape != (groups * panels, window[0], taps, steps, width):
        raise ShapeError(f"conv2d_packed: {w} is not what weights of {channels} channels in windows {window} become")
    return conv2d.infer(x, TensorType(weights, (*window, channels, columns)), dtype=i32, **attrs)


def _evaluate(convolve: Callable[..., Array], x: Array, packed: Array, attrs: Attrs) -> Array:
    w = _unpacked(packed, x.shape[3] // attrs["groups"], attrs).astype(attrs["weights"].numpy)
    own = {key: attrs[key] for key in ("stride", "dilation", "groups")}
    image = padded(x, attrs["low"], attrs["high"], attrs["around"])
    return convolve(image, w, dtype=i32, low=(0, 0), high=(0, 0), **own)


def _flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    window, channels = attrs["window"], types[0].shape[3] // attrs["groups"]
    return 2 * out.size * window[0] * window[1] * channels


def _bounds(bounds: Sequence[Bounds], types: Sequence[TensorType], attrs: Attrs) -> Bounds:
    around = attrs["around"]
    image = min(bounds[0][0], around), max(bounds[0][1], around)
    weight = attrs["most"][1]
    window, channels = attrs["window"], types[0].shape[3] // attrs["groups"]
    return sum_bounds((image, (-weight, weight)), window[0] * window[1] * channels)


conv2d_packed = define(Op(
    name="conv2d_packed", kind="contract",
    doc="conv2d(x, w, dtype=i32) of bytes, given w, of the dtype `weights`, in groups of `size` in panels of columns. "
        "`most` are bounds of the magnitudes of x and w; x has the number `around` around it.",
    infer=_packed_type, vjp=NONDIFF, flops=_flops, bounds=_bounds,
    eval=lambda x, w, **attrs: _evaluate(conv2d.eval, x, w, attrs),
    fast=lambda x, w, **attrs: _evaluate(fast_conv2d, x, w, attrs),
))  # fmt: skip
