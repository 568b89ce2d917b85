"""Elements of images put in other places: windows written out (`unfold`) and added up again (`fold`), channels turned
into pixels and back, channels in another order."""

from __future__ import annotations

import math

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.spatial.arguments import SPATIAL, Images, Ints, Size, Windows, error, sizes
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.tensor.views import own
from tinytorch.ir import ops
from tinytorch.ir.op import Array, apply
from tinytorch.ir.types import TensorType

Pairs = tuple[int, int]


# Windows written out.
def _windows(name: str, kernel_size: Size, dilation: Size, padding: Size, stride: Size) -> Windows:
    padded = sizes(name, "padding", padding, 2, 0)
    return Windows(
        sizes(name, "kernel_size", kernel_size, 2), sizes(name, "stride", stride, 2), padded, padded,
        sizes(name, "dilation", dilation, 2),
    )  # fmt: skip


def _side_by_side(windows: Windows, axis: int, size: int, outputs: int) -> bool:
    """Whether the windows along an axis hold each of its elements once."""
    kernel = windows.kernel[axis]
    return windows.stride[axis] == kernel and windows.dilation[axis] == 1 and kernel * outputs == size


def _places(windows: Windows, axis: int, outputs: int) -> Array:
    """Where each element of the window lies in the padded image: [element, output]."""
    first = np.arange(outputs) * windows.stride[axis]
    return np.arange(windows.kernel[axis])[:, None] * windows.dilation[axis] + first


@spelled(space="nn.functional")
def unfold(input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Tensor:
    """The windows of input [batch, channels, height, width], each as a column: [batch, channels * window, outputs].

    Rows are ordered by channel, then by row and column in the window; columns by row and column of the output. Outside
    of the image there are zeros. A convolution is a product of the weights with this matrix (im2col).
    """
    images = Images("unfold", input, 2)
    windows = _windows("unfold", kernel_size, dilation, padding, stride)
    outputs = windows.outputs(images)
    x = input if images.batched else input.reshape(1, *input.shape)
    x = x.pad([(0, 0), (0, 0), *((n, n) for n in windows.low)])
    for axis in (0, 1):  # [..., height, ...] becomes [..., window height, rows, ...]
        x = _gathered(x, 2 + 2 * axis, windows, axis, outputs[axis])
    columns = x.permute(0, 1, 2, 4, 3, 5).reshape(
        x.shape[0], x.shape[1] * math.prod(windows.kernel), math.prod(outputs)
    )
    return columns if images.batched else columns.reshape(columns.shape[1:])


def _gathered(x: Tensor, at: int, windows: Windows, axis: int, outputs: int) -> Tensor:
    if _side_by_side(windows, axis, x.shape[at], outputs):
        apart = x.reshape(*x.shape[:at], outputs, windows.kernel[axis], *x.shape[at + 1 :])
        return apart.transpose(at, at + 1)
    return x[(*(slice(None),) * at, _places(windows, axis, outputs))]


@spelled(space="nn.functional")
def fold(
    input: Tensor, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Tensor:
    """Images [batch, channels, *output_size] in which each element is the sum of what the columns of input [batch,
    channels * window, outputs] have for it: the transpose of `unfold` (col2im)."""
    windows, wanted = (
        _windows("fold", kernel_size, dilation, padding, stride),
        sizes("fold", "output_size", output_size, 2),
    )
    batched = require_tensor("fold", input).ndim == 3
    whole, outputs = (
        tuple(n + 2 * p for n, p in zip(wanted, windows.low, strict=True)),
        _check_columns(input, windows, wanted),
    )
    x = input if batched else input.reshape(1, *input.shape)
    channels = x.shape[1] // math.prod(windows.kernel)
    x = x.reshape(x.shape[0], channels, *windows.kernel, *outputs).permute(0, 1, 2, 4, 3, 5)
    for axis in (1, 0):
        x = _added(x, 2 + 2 * axis, windows, axis, whole[axis])
    x = x[(..., *(slice(p, p + n) for p, n in zip(windows.low, wanted, strict=True)))].contiguous()
    return own(x if batched else x.reshape(x.shape[1:]), input)


def _check_columns(x: Tensor, windows: Windows, wanted: Ints) -> Ints:
    """How many windows there are along each axis; ShapeError unless x has a column for each."""
    whole = math.prod(windows.kernel)
    if x.ndim not in (2, 3) or 0 in x.shape[x.ndim - 2 :]:
        raise error(f"fold: input is [batch, channels * window, outputs], with or without the batch, got {x.type}")
    if x.dtype.kind == "bool":
        raise error(f"fold: adds numbers, got input {x.type}")
    if x.shape[-2] % whole:
        raise error(f"fold: axis {x.ndim - 2} of input {x.type} is {x.shape[-2]}, no multiple of {whole} per window")
    outputs: list[int] = []
    for axis, (size, span) in enumerate(zip(wanted, windows.spans, strict=True)):
        outputs.append((size + 2 * windows.low[axis] - span) // windows.stride[axis] + 1)
        if outputs[-1] < 1:
            raise error(f"fold: a window spans {span}, but the {SPATIAL[2][axis]} of output_size is {size}")
    if math.prod(outputs) != x.shape[-1]:
        raise error(
            f"fold: axis {x.ndim - 1} of input {x.type} is {x.shape[-1]}, but output_size {wanted} has "
            f"{outputs[0]} * {outputs[1]} windows"
        )
    return tuple(outputs)


def _added(x: Tensor, at: int, windows: Windows, axis: int, size: int) -> Tensor:
    """Axes `at` (element of the window) and `at + 1` (output) added up to one of `size`."""
    outputs, (before, behind) = x.shape[at + 1], (x.shape[:at], x.shape[at + 2 :])
    if _side_by_side(windows, axis, size, outputs):
        return x.transpose(at, at + 1).reshape(*before, size, *behind)
    base = ops.core.filled(x, 0, TensorType(x.dtype, (*before, size, *behind)))
    return apply(ops.index.scatter_add, base, x.array_operand(_places(windows, axis, outputs)), x, axis=at)


# Channels and pixels.
def _split_images(name: str, input: Tensor) -> tuple[Ints, int, Pairs]:
    """Leading axes, channels, and height and width of an image."""
    if require_tensor(name, input).ndim < 3:
        raise error(f"{name}: input is [..., channels, height, width], got {input.type}")
    *lead, channels, height, width = input.shape
    return tuple(lead), channels, (height, width)


@spelled("pixel_shuffle", space="nn.functional", method=False)
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """[..., channels * r * r, height, width] as [..., channels, height * r, width * r], r being `upscale_factor`: the r
    * r channels that follow each other become a square of pixels (Shi et al. 2016)."""
    lead, channels, (height, width) = _split_images("pixel_shuffle", input)
    r = arguments.integer("pixel_shuffle", "upscale_factor", upscale_factor, 1)
    if channels % (r * r):
        raise error(f"pixel_shuffle: input {input.type} has {channels} channels, no multiple of {r} * {r}")
    n, c = math.prod(lead), channels // (r * r)
    apart = input.reshape(n, c, r, r, height, width).permute(0, 1, 4, 2, 5, 3)
    return own(apart.reshape(*lead, c, height * r, width * r), input)


@spelled("pixel_unshuffle", space="nn.functional", method=False)
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """What `pixel_shuffle` with this factor makes the input from."""
    lead, channels, (height, width) = _split_images("pixel_unshuffle", input)
    r = arguments.integer("pixel_unshuffle", "downscale_factor", downscale_factor, 1)
    if height % r or width % r:
        raise error(f"pixel_unshuffle: height and width of input {input.type} are no multiples of {r}")
    n, h, w = math.prod(lead), height // r, width // r
    apart = input.reshape(n, channels, h, r, w, r).permute(0, 1, 3, 5, 2, 4)
    return own(apart.reshape(*lead, channels * r * r, h, w), input)


@spelled("channel_shuffle", "native_channel_shuffle", space="nn.functional", method=False)
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """[batch, channels, ...] with the channels in another order: the first of each of `groups` groups, then the second
    of each, and so on (Zhang et al. 2018)."""
    if require_tensor("channel_shuffle", input).ndim < 3:
        raise error(f"channel_shuffle: input is [batch, channels, ...] with at least three axes, got {input.type}")
    batch, channels = input.shape[:2]
    groups = arguments.integer("channel_shuffle", "groups", groups, 1)
    if channels % groups:
        raise error(f"channel_shuffle: input {input.type} has {channels} channels, which {groups} groups do not divide")
    apart = input.reshape(batch, groups, channels // groups, math.prod(input.shape[2:]))
    return own(apart.transpose(1, 2).reshape(input.shape), input)
