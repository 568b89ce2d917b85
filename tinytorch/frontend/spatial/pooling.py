"""Pooling as functions, under the names of torch.nn.functional. Single images, without the batch, are taken too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, Protocol, cast, overload

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.binding import clear
from tinytorch.frontend.spatial.arguments import SPATIAL, Images, Ints, Size, Windows, error, pair, sizes
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir import ops
from tinytorch.ir.op import Array, apply
from tinytorch.ir.types import i64

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d"]


def _windows(
    images: Images, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size, ceil_mode: bool
) -> Windows:
    """Windows of a pooling; with `ceil_mode` the last ones may reach over the padding, but start before its end."""
    name, rank = images.name, images.rank
    kernel = sizes(name, "kernel_size", kernel_size, rank)
    steps = kernel if stride is None or stride == () else sizes(name, "stride", stride, rank)
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
class _MaxPooling(Protocol):
    """The signature of the functions below: two results only where `return_indices` may be True."""

    @overload
    def __call__(
        self, input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
        ceil_mode: bool = False, return_indices: Literal[False] = False,
    ) -> Tensor: ...  # fmt: skip
    @overload
    def __call__(
        self, input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
        ceil_mode: bool = False, *, return_indices: bool,
    ) -> Tensor | tuple[Tensor, Tensor]: ...  # fmt: skip


def _pooling(function: Callable[..., Any]) -> _MaxPooling:
    return cast(_MaxPooling, clear(function))


@_pooling
def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """`max_pool2d` along one axis: input [batch, channels, length]."""
    return _max_pool(Images("max_pool1d", input, 1), kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@_pooling
def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window of input [batch, channels, height, width], NaN if one is.

    `stride` is the window's size unless given; padding, at most half of the window, is never chosen. The
    result has (size + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1 elements along each spatial axis,
    rounded down, or up with `ceil_mode`. With `return_indices`, also where in its image of height * width elements each
    one was (i64); of equal ones, the first, and of NaNs, the last.
    """
    return _max_pool(Images("max_pool2d", input, 2), kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@_pooling
def max_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """`max_pool2d` of volumes: input [batch, channels, depth, height, width]."""
    return _max_pool(Images("max_pool3d", input, 3), kernel_size, stride, padding, dilation, ceil_mode, return_indices)


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
        raise error(f"{images.name}: needs numbers, got input {images.x.type}")
    arguments.flag(images.name, "return_indices", return_indices)
    windows = _windows(images, kernel_size, stride, padding, dilation, ceil_mode)
    return largest(images, windows, return_indices)


def largest(images: Images, windows: Windows, return_indices: bool) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window and, if asked for, its row-major position in its image."""
    windows.outputs(images)
    last = images.channels_last()
    values, index = (_of_volumes if images.rank == 3 else _of_images)(last, windows, return_indices)
    if index is None:
        return images.channels_first(values)
    _require_an_element(images, windows)
    return images.channels_first(values), images.channels_first(index)


def _of_images(last: Tensor, windows: Windows, return_indices: bool) -> tuple[Tensor, Tensor | None]:
    found = apply(ops.pooling.max_pool2d, last, window=pair(windows.kernel, 1), **windows.attrs())
    return found[0], _in_image(found[1], last, windows) if return_indices else None


def _of_volumes(last: Tensor, windows: Windows, return_indices: bool) -> tuple[Tensor, Tensor | None]:
    """The largest in each plane, then the largest of these along the depth. So the first of equal ones comes first in
    the volume, and the last of NaNs last."""
    batch, depth, height, width, channels = last.shape
    planes = last.reshape(batch * depth, height, width, channels)
    values, inside = _of_images(planes, windows.of_axes(1, 3), return_indices)
    rows, columns = values.shape[1:3]
    deep = windows.of_axes(0, 1).along_rows()
    attrs = {"window": pair(deep.kernel, 1), **deep.attrs()}
    stacked = values.reshape(batch, depth, rows * columns, channels)
    found = apply(ops.pooling.max_pool2d, stacked, **attrs)
    outputs = (batch, found[0].shape[1], rows, columns, channels)
    if inside is None:
        return found[0].reshape(outputs), None
    plane = _in_image(found[1], stacked, deep) // (rows * columns)
    del attrs["high"]
    inside = apply(ops.pooling.max_pool2d_take, inside.reshape(stacked.shape), found[1], **attrs)
    return found[0].reshape(outputs), (plane * (height * width) + inside).reshape(outputs)


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
@clear
def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """`avg_pool2d` along one axis: input [batch, channels, length]."""
    return _avg_pool(Images("avg_pool1d", input, 1), kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@clear
def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of input [batch, channels, height, width], in the sizes of `max_pool2d`.

    Zeros in the padding count as elements unless `count_include_pad` is False; with `divisor_override` the sum of every
    window is divided by that number instead.
    """
    images = Images("avg_pool2d", input, 2)
    return _avg_pool(images, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@clear
def avg_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """`avg_pool2d` of volumes: input [batch, channels, depth, height, width]."""
    images = Images("avg_pool3d", input, 3)
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
    divisor = None if divisor_override is None else check_divisor(images.name, divisor_override)
    whole = math.prod(windows.kernel)
    last = images.channels_last()
    if windows.kernel == windows.stride and not any(windows.low + windows.high):
        mean = tiled_mean(last, windows.kernel, outputs)
        return images.channels_first(mean if divisor is None else mean * (whole / divisor))
    counts = np.full(1, divisor) if divisor else _counts(images, windows, outputs, count_include_pad)
    uniform = bool((counts == counts.flat[0]).all())
    sums = _sums(last, windows, float(1 / counts.flat[0]) if uniform else 1.0)
    return images.channels_first(sums if uniform else sums * last.constant((1 / counts).astype(last.dtype.numpy)))


def check_divisor(name: str, divisor: int) -> int:
    """`divisor`, if it is an integer other than 0."""
    if not arguments.integer(name, "divisor_override", divisor):
        raise error(f"{name}: divisor_override is an integer other than 0, got {divisor!r}")
    return divisor


def _sums(x: Tensor, windows: Windows, scale: float) -> Tensor:
    """Sums over windows of x, whose channels are last, times `scale`: a convolution, in volumes of planes first."""
    if len(windows.kernel) < 3:
        channels = x.shape[-1]
        weight = np.full((*pair(windows.kernel, 1), 1, channels), scale, x.dtype.numpy)
        return apply(ops.convolution.conv2d, x, x.constant(weight), groups=channels, **windows.attrs())
    batch, depth, *_, channels = x.shape
    planes = _sums(x.reshape(batch * depth, *x.shape[2:]), windows.of_axes(1, 3), scale)
    rows, columns = planes.shape[1:3]
    stacked = planes.reshape(batch, depth, rows * columns, channels)
    found = _sums(stacked, windows.of_axes(0, 1).along_rows(), 1.0)
    return found.reshape(batch, found.shape[1], rows, columns, channels)


def tiled_mean(x: Tensor, window: Ints, outputs: Ints) -> Tensor:
    """Means of x, whose channels are last, over windows side by side; what does not fill one is left out."""
    window, outputs = (1,) * (x.ndim - 2 - len(window)) + window, (1,) * (x.ndim - 2 - len(outputs)) + outputs
    axes = tuple(range(1, x.ndim - 1))
    if window == x.shape[1:-1]:
        return x.mean(axes, keepdim=True)
    used = x[(slice(None), *(slice(n * w) for n, w in zip(outputs, window, strict=True)))]
    apart = (size for pair in zip(outputs, window, strict=True) for size in pair)
    return used.reshape(x.shape[0], *apart, x.shape[-1]).mean(tuple(2 * axis for axis in axes))


def _counts(images: Images, windows: Windows, outputs: Ints, padding_counts: bool) -> Array:
    """How many elements of the image, or of the padded image, each window has: [rows, columns, 1]."""
    found = np.ones((1,) * (2 - images.rank) if images.rank < 2 else ())
    for i, size in enumerate(images.spatial):
        pad = windows.low[i]
        first = np.arange(outputs[i]) * windows.stride[i] - pad
        low, high = (-pad, size + pad) if padding_counts else (0, size)
        number = np.minimum(first + windows.kernel[i], high) - np.maximum(first, low)
        found = np.multiply.outer(found, number)
    return found[..., None]
