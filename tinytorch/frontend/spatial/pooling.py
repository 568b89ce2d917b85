"""Pooling as functions, under the names of torch.nn.functional. Single images, without the batch, are taken too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, cast, overload

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.spatial.arguments import SPATIAL, Images, Ints, Size, Windows, count, error, pair, sizes
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor_functions import where
from tinytorch.ir import ops
from tinytorch.ir.op import Array, apply
from tinytorch.ir.types import i64
from tinytorch.ir.windows import Pair

__all__ = ["adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool2d"]


def _windows(
    images: Images, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size, ceil_mode: bool
) -> Windows:
    """Windows of a pooling; with `ceil_mode` the last ones may reach over the padding, but start before its end."""
    name, rank = images.name, images.rank
    kernel = sizes(name, "kernel_size", kernel_size, rank)
    steps = kernel if stride is None else sizes(name, "stride", stride, rank)
    low, spread = sizes(name, "padding", padding, rank, 0), sizes(name, "dilation", dilation, rank)
    check_padding(name, low, kernel)
    windows = Windows(kernel, steps, low, low, spread)
    return _rounded_up(images, windows) if arguments.flag(name, "ceil_mode", ceil_mode) else windows


def check_padding(name: str, padding: Ints, kernel: Ints) -> None:
    """No window may lie in the padding alone."""
    for i, (amount, size) in enumerate(zip(padding, kernel, strict=True)):
        if amount > size // 2:
            axis = SPATIAL[len(kernel)][i]
            raise error(f"{name}: padding is at most half of the window, got {amount} for a window of {size} ({axis})")


def _rounded_up(images: Images, windows: Windows) -> Windows:
    high: list[int] = []
    for size, span, step, pad in zip(images.spatial, windows.spans, windows.stride, windows.low, strict=True):
        last = -(-(size + 2 * pad - span) // step)
        if last * step >= size + pad:
            last -= 1
        high.append(max(pad, last * step + span - size - pad))
    return Windows(windows.kernel, windows.stride, windows.low, tuple(high), windows.dilation)


# The largest of each window.
@overload
def max_pool1d(
    x: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False,
) -> Tensor: ...  # fmt: skip
@overload
def max_pool1d(
    x: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
    ceil_mode: bool = False, *, return_indices: bool,
) -> Tensor | tuple[Tensor, Tensor]: ...  # fmt: skip
def max_pool1d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """`max_pool2d` along one axis: x [batch, channels, length]."""
    return _max_pool(Images("max_pool1d", x, 1), kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@overload
def max_pool2d(
    x: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False,
) -> Tensor: ...  # fmt: skip
@overload
def max_pool2d(
    x: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
    ceil_mode: bool = False, *, return_indices: bool,
) -> Tensor | tuple[Tensor, Tensor]: ...  # fmt: skip
def max_pool2d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window of x [batch, channels, height, width], NaN if one is.

    `stride` is the window's size unless given; padding, at most half of the window, is never chosen. The
    result has (size + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1 elements along each spatial axis,
    rounded down, or up with `ceil_mode`. With `return_indices`, also where in its image of height * width elements each
    one was (i64); of equal ones, the first, and of NaNs, the last.
    """
    return _max_pool(Images("max_pool2d", x, 2), kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _max_pool(
    images: Images,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
    return_indices: bool,
) -> Tensor | tuple[Tensor, Tensor]:
    if images.x.dtype.kind == "bool":
        raise error(f"{images.name}: needs numbers, got x {images.x.type}")
    arguments.flag(images.name, "return_indices", return_indices)
    windows = _windows(images, kernel_size, stride, padding, dilation, ceil_mode)
    windows.outputs(images)
    last, attrs = images.channels_last(), {"window": pair(windows.kernel, 1), **windows.attrs()}
    found = apply(ops.pooling.max_pool2d, last, **attrs)
    largest = images.channels_first(found[0])
    if not return_indices:
        return largest
    _require_an_element(images, windows)
    return largest, images.channels_first(_in_image(found[1], last, windows))


def _require_an_element(images: Images, windows: Windows) -> None:
    """ShapeError where the elements of a window, far apart, all lie in the padding: the largest has no index."""
    for i, (size, outputs) in enumerate(zip(images.spatial, windows.outputs(images), strict=True)):
        first = np.arange(outputs)[:, None] * windows.stride[i] - windows.low[i]
        places = first + np.arange(windows.kernel[i]) * windows.dilation[i]
        if not ((places >= 0) & (places < size)).any(1).all():
            raise error(f"{images.name}: a window has no element of {images.spatial_axis(i)}, so no index")


def _in_image(places: Tensor, images: Tensor, windows: Windows) -> Tensor:
    """Row-major positions in the image of what has these places in its window; channels are last."""
    window, attrs = pair(windows.kernel, 1), windows.attrs()
    place = places.cast(i64)
    found: list[Tensor] = []
    for i, step in enumerate((place // window[1], place % window[1])):
        first = np.arange(places.shape[1 + i]) * attrs["stride"][i] - attrs["low"][i]
        found.append(step * attrs["dilation"][i] + place.constant(first.reshape((-1, 1, 1) if i == 0 else (-1, 1))))
    return found[0] * images.shape[2] + found[1]


# The mean of each window.
def avg_pool1d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """`avg_pool2d` along one axis: x [batch, channels, length]."""
    return _avg_pool(Images("avg_pool1d", x, 1), kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of x [batch, channels, height, width], in the sizes of `max_pool2d`.

    Zeros in the padding count as elements unless `count_include_pad` is False; with `divisor_override` the sum of every
    window is divided by that number instead.
    """
    images = Images("avg_pool2d", x, 2)
    return _avg_pool(images, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _avg_pool(
    images: Images,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    images.require_float()
    arguments.flag(images.name, "count_include_pad", count_include_pad)
    windows = _windows(images, kernel_size, stride, padding, 1, ceil_mode)
    outputs = windows.outputs(images)
    divisor = None if divisor_override is None else count(images.name, "divisor_override", divisor_override)
    whole = math.prod(windows.kernel)
    last = images.channels_last()
    if windows.kernel == windows.stride and not any(windows.low + windows.high):
        mean = _tiled_mean(last, pair(windows.kernel, 1), pair(outputs, 1))
        return images.channels_first(mean if divisor is None else mean * (whole / divisor))
    counts = np.full((1, 1, 1), divisor) if divisor else _counts(images, windows, outputs, count_include_pad)
    uniform = bool((counts == counts.flat[0]).all())
    weight = np.full((*pair(windows.kernel, 1), 1, images.channels), 1 / counts.flat[0] if uniform else 1)
    attrs = windows.attrs()
    sums = apply(
        ops.convolution.conv2d, last, last.constant(weight.astype(last.dtype.numpy)), groups=images.channels, **attrs
    )
    return images.channels_first(sums if uniform else sums * last.constant((1 / counts).astype(last.dtype.numpy)))


def _tiled_mean(x: Tensor, window: Pair, outputs: Pair) -> Tensor:
    """Means of x [batch, height, width, channels] over windows side by side; what does not fill one is left out."""
    batch, height, width, channels = x.shape
    if window == (height, width):
        return x.mean((1, 2), keepdim=True)
    used = x[:, : outputs[0] * window[0], : outputs[1] * window[1]]
    return used.reshape(batch, outputs[0], window[0], outputs[1], window[1], channels).mean((2, 4))


def _counts(images: Images, windows: Windows, outputs: Ints, padding_counts: bool) -> Array:
    """How many elements of the image, or of the padded image, each window has: [rows, columns, 1]."""
    found: list[Array] = []
    for i, size in enumerate(images.spatial):
        pad = windows.low[i]
        first = np.arange(outputs[i]) * windows.stride[i] - pad
        low, high = (-pad, size + pad) if padding_counts else (0, size)
        found.append(np.minimum(first + windows.kernel[i], high) - np.maximum(first, low))
    rows, columns = (np.ones(1), *found)[-2:]
    return np.outer(rows, columns)[:, :, None]


# Means over a given number of windows.
def adaptive_avg_pool1d(x: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """`adaptive_avg_pool2d` along one axis: x [batch, channels, length]."""
    return _adaptive(Images("adaptive_avg_pool1d", x, 1), output_size)


def adaptive_avg_pool2d(x: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """Means of x [batch, channels, height, width] over `output_size` windows along each spatial axis (None: as many as
    it has elements): window i of n begins at element floor(i size / n) and ends before ceil((i + 1) size / n)."""
    return _adaptive(Images("adaptive_avg_pool2d", x, 2), output_size)


def _adaptive(images: Images, output_size: int | Sequence[int | None] | None) -> Tensor:
    images.require_float()
    name, rank = images.name, images.rank
    given = list(output_size) if isinstance(output_size, (tuple, list)) else [cast("int | None", output_size)] * rank
    if len(given) != rank:
        raise error(f"{name}: output_size is one integer or one for each of {', '.join(SPATIAL[rank])}, got {given}")
    wanted = [d if n is None else count(name, "output_size", n) for n, d in zip(given, images.spatial, strict=True)]
    x = images.x
    tiled = tuple(n if d % n == 0 else d for n, d in zip(wanted, images.spatial, strict=True))
    if tiled != images.spatial:
        window = tuple(d // n for n, d in zip(tiled, images.spatial, strict=True))
        x = images.channels_first(_tiled_mean(images.channels_last(), pair(window, 1), pair(tiled, 1)))
    for i, n in enumerate(wanted):
        if n != tiled[i]:
            x = _averaged(x, x.ndim - rank + i, n)
    return x


def _averaged(x: Tensor, axis: int, outputs: int) -> Tensor:
    """Means over overlapping windows along `axis`. Each window is gathered by itself, with zeros behind the shorter
    ones, so that an infinity or a NaN reaches only the windows that hold it."""
    size = x.shape[axis]
    first = np.arange(outputs) * size // outputs
    length = -(-(np.arange(1, outputs + 1) * size) // outputs) - first
    step = np.arange(length.max())
    inside, place = step < length[:, None], np.minimum(first[:, None] + step, size - 1)
    windows = x[(*(slice(None),) * axis, place)]
    behind = (1,) * (x.ndim - axis - 1)
    if not inside.all():
        windows = where(x.constant(inside.reshape(*inside.shape, *behind)), windows, 0.0)
    return windows.sum(axis + 1) * x.constant((1 / length).astype(x.dtype.numpy).reshape(-1, *behind))
