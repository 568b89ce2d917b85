"""Convolutions and batch normalisation as functions, under the names of torch.nn.functional.

Images are [batch, channels, height, width] or [batch, channels, length]; convolutions take a single image, without the
batch, too. Inside, channels come last: the permutations at both ends are views, which the compiler cancels between
layers.
"""

from __future__ import annotations

import math

from tinytorch.frontend import arguments
from tinytorch.frontend.binding import clear
from tinytorch.frontend.functions.creation import ones, zeros
from tinytorch.frontend.spatial import volumes
from tinytorch.frontend.spatial.arguments import (
    SPATIAL,
    Images,
    Ints,
    Size,
    Windows,
    count,
    error,
    in_front,
    pair,
    sizes,
)
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import low
from tinytorch.frontend.tensor.gradients import grad_mode, require_tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import apply
from tinytorch.ir.types import DType, dtype_of, f32

__all__ = [
    "batch_norm", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
]  # fmt: skip


# Convolution.
@clear
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    dtype: object = None,
) -> Tensor:
    """`conv2d` along one axis: input [batch, in, length], weight [out, in / groups, size], bias [out]."""
    return _convolution("conv1d", 1, input, weight, bias, stride, padding, dilation, groups, dtype)


@clear
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    dtype: object = None,
) -> Tensor:
    """Products of weights with a window at every place of an image, summed over the window and the channels.

    input is [batch, in, height, width], weight [out, in / groups, window height, window width], bias [out]. Each
    spatial axis of the result has (size + padding before and after - dilation (window - 1) - 1) // stride + 1 elements.
    `padding` is a number of zeros, one for each axis, "valid" for none, or "same" for as many as keep the size (stride
    1 only; of an odd number the larger part after the image). Group i of the output channels sees only group i of the
    input channels. input, weight and bias have one dtype; else, and for sizes that do not fit, ShapeError.

    With `dtype` the result, and bias, is what the sums are kept in, as in `input.matmul(other, dtype=...)`: i32 for
    bytes (i8 and u8, which may meet each other), f32 for 16-bit floats.
    """
    return _convolution("conv2d", 2, input, weight, bias, stride, padding, dilation, groups, dtype)


@clear
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    dtype: object = None,
) -> Tensor:
    """`conv2d` of volumes: input [batch, in, depth, height, width], weight [out, in / groups, window depth, window
    height, window width], bias [out]."""
    return _convolution("conv3d", 3, input, weight, bias, stride, padding, dilation, groups, dtype)


@clear
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """`conv_transpose2d` along one axis: input [batch, in, length], weight [in, out / groups, size], bias [out]."""
    return _transposed(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups=groups, dilation=dilation
    )


@clear
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The linear map whose matrix is the transpose of the one of `conv2d` with this weight, stride and padding.

    input is [batch, in, height, width], weight [in, out / groups, window height, window width], bias [out]. Each
    spatial axis of the result has (size - 1) stride - 2 padding + dilation (window - 1) + output_padding + 1 elements;
    `output_padding`, less than the stride or the dilation, chooses among the sizes that `conv2d` maps to one.
    """
    return _transposed(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups=groups, dilation=dilation
    )


@clear
def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """`conv_transpose2d` of volumes: input [batch, in, depth, height, width], weight [in, out / groups, window depth,
    window height, window width], bias [out]."""
    return _transposed(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups=groups, dilation=dilation
    )


@low
def _convolution(
    name: str,
    rank: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size | str,
    dilation: Size,
    groups: int,
    dtype: object,
) -> Tensor:
    images = Images(name, x, rank)
    sums: dict[str, DType] = {} if dtype is None else {"dtype": dtype_of(dtype)}
    _check_weight(images, weight, "[out_channels, in_channels / groups, ", sums.get("dtype"))
    groups = count(name, "groups", groups)
    _check_groups(images, weight, groups, weight.shape[1] * groups, weight.shape[0])
    steps, spread = sizes(name, "stride", stride, rank), sizes(name, "dilation", dilation, rank)
    kernel = weight.shape[2:]
    windows = Windows(kernel, steps, *paddings(name, padding, kernel, steps, spread), spread)
    outputs = windows.outputs(images)
    windows = windows.within(images)
    last = images.channels_last()
    if rank == 3:
        out = volumes.convolved(last, weight, windows, outputs, groups, sums)
    else:
        out = apply(ops.convolution.conv2d, last, _window_first(weight), groups=groups, **windows.attrs(), **sums)
    return images.channels_first(_with_bias(images, out, bias))


def paddings(name: str, padding: Size | str, kernel: Ints, stride: Ints, dilation: Ints) -> tuple[Ints, Ints]:
    """Zeros before and after each spatial axis."""
    if not isinstance(padding, str):
        amounts = sizes(name, "padding", padding, len(kernel), 0)
        return amounts, amounts
    if padding == "valid":
        return (0,) * len(kernel), (0,) * len(kernel)
    if padding != "same":
        raise error(f'{name}: padding is "same", "valid" or a number of zeros, got {padding!r}')
    if max(stride) > 1:
        raise error(f'{name}: padding "same" needs stride 1, got {stride}')
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)


@low
def _transposed(
    name: str,
    rank: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size,
    output_padding: Size,
    *,
    groups: int,
    dilation: Size,
) -> Tensor:
    images = Images(name, x, rank)
    _check_weight(images, weight, "[in_channels, out_channels / groups, ")
    groups = count(name, "groups", groups)
    _check_groups(images, weight, groups, weight.shape[0], weight.shape[1] * groups)
    steps, spread = sizes(name, "stride", stride, rank), sizes(name, "dilation", dilation, rank)
    low, extra = sizes(name, "padding", padding, rank, 0), sizes(name, "output_padding", output_padding, rank, 0)
    windows = Windows(weight.shape[2:], steps, low, low, spread)
    outputs = _transposed_outputs(images, windows, extra)
    last = images.channels_last()
    if rank == 3:
        out = volumes.transposed(last, weight, windows, outputs, groups)
    else:
        attrs = windows.attrs()
        del attrs["high"]
        out = apply(
            ops.convolution.conv2d_input_grad, last, _window_first(weight), size=pair(outputs, 1), groups=groups,
            **attrs,
        )  # fmt: skip
    return images.channels_first(_with_bias(images, out, bias))


def _transposed_outputs(images: Images, windows: Windows, extra: Ints) -> Ints:
    found: list[int] = []
    for i, (size, span) in enumerate(zip(images.spatial, windows.spans, strict=True)):
        stride, dilation, padding = windows.stride[i], windows.dilation[i], windows.low[i]
        if extra[i] >= max(stride, dilation):
            raise error(
                f"{images.name}: output_padding is less than the stride or the dilation, got {extra[i]} with stride "
                f"{stride} and dilation {dilation} for {images.spatial_axis(i)}"
            )
        found.append((size - 1) * stride - 2 * padding + span + extra[i])
        if found[-1] < 1:
            raise error(
                f"{images.name}: padding {padding} leaves {found[-1]} elements of {images.spatial_axis(i)}, whose "
                f"{size} windows span {(size - 1) * stride + span}"
            )
    return tuple(found)


def _check_weight(images: Images, weight: Tensor, axes: str, sums: DType | None = None) -> None:
    name, x = images.name, images.x
    require_tensor(name, weight)
    if weight.ndim != images.rank + 2 or 0 in weight.shape:
        raise error(f"{name}: weight is {axes}{', '.join(SPATIAL[images.rank])}] with no axis empty, got {weight.type}")
    if sums is not None:
        try:
            ops.contract.check_dtypes(name, x.type, weight.type, sums)
        except ShapeError as wrong:
            raise error(str(wrong)) from None
    elif x.dtype != weight.dtype or x.dtype.kind == "bool":
        raise error(
            f"{name}: input and weight have one numeric dtype, got input {x.type} and weight {weight.type}; convert "
            f"one of them, as in input.to(tt.{weight.dtype})"
        )


def _check_groups(images: Images, weight: Tensor, groups: int, channels: int, out: int) -> None:
    name = images.name
    if images.channels % groups:
        raise error(f"{name}: {images.channel_axis} is {images.channels}, which {groups} groups do not divide")
    if channels != images.channels:
        raise error(
            f"{name}: {images.channel_axis} is {images.channels}, but weight {weight.type} takes {channels} "
            f"channels (groups={groups})"
        )
    if out % groups:
        raise error(
            f"{name}: axis 0 (out channels) of weight {weight.type} is {out}, which {groups} groups do not divide"
        )


def _window_first(weight: Tensor) -> Tensor:
    """[a, b, height, width] as [height, width, b, a]; without a height, as [1, length, b, a]."""
    if weight.ndim == 4:
        return weight.permute(2, 3, 1, 0)
    a, b, length = weight.shape
    return weight.permute(2, 1, 0).reshape(1, length, b, a)


def _with_bias(images: Images, out: Tensor, bias: Tensor | None) -> Tensor:
    """`out` with channels last plus `bias`."""
    if bias is None:
        return out
    require_tensor(images.name, bias)
    if bias.shape != out.shape[-1:] or bias.dtype != out.dtype:
        raise error(f"{images.name}: bias is {out.dtype}[{out.shape[-1]}], one for each channel, got {bias.type}")
    return out + bias


# Normalisation.
@clear
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(input - mean) / sqrt(variance + eps) times weight plus bias, by channel, of input [batch, channels, ...] (Ioffe
    & Szegedy 2015).

    In training, mean and variance are those of input over all other axes, the variance divided by their number n; and
    the running ones, if given, move a fraction `momentum` towards them in place, with the variance divided by n - 1.
    Else they are the running ones. Everything else is [channels]. A batch of none has no statistics: the running ones
    stay.
    """
    if arguments.flag("batch_norm", "training", training):
        arguments.positive("batch_norm", "eps", eps)
    arguments.not_negative("batch_norm", "eps", eps)
    if not isinstance(momentum, Tensor):
        arguments.finite("batch_norm", "momentum", momentum)
    if mode.autocast is not None and input.dtype.bits == 16:
        held = next((x for x in (weight, running_mean) if x is not None), None)
        input = input.cast(f32 if held is None else held.dtype)
    _check_norm(input, {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias})
    last = input if input.ndim == 2 else input.permute(0, *range(2, input.ndim), 1)
    if training:
        out = _normalized(last, weight, bias, eps)
        if running_mean is not None and running_var is not None and input.numel():
            update_statistics(last.detach(), running_mean, running_var, momentum)
    elif running_mean is None or running_var is None:
        raise error("batch_norm: needs running_mean and running_var unless training")
    else:
        scale = (running_var + eps).rsqrt()
        scale = scale if weight is None else weight * scale
        shift = running_mean * -scale
        out = last * scale + (shift if bias is None else bias + shift)
    return out if input.ndim == 2 else in_front(out, input)


def _check_norm(x: Tensor, others: dict[str, Tensor | None]) -> None:
    require_tensor("batch_norm", x)
    if x.ndim < 2 or not x.dtype.is_float:
        raise error(f"batch_norm: input is [batch, channels, ...] of a float dtype, got {x.type}")
    if x.shape[1] == 0:
        raise error(f"batch_norm: axis 1 (channels) of input {x.type} is empty")
    if (others["running_mean"] is None) != (others["running_var"] is None):
        raise error("batch_norm: needs running_mean and running_var together")
    for what, tensor in others.items():
        if tensor is not None and (tensor.shape != x.shape[1:2] or tensor.dtype != x.dtype):
            raise error(
                f"batch_norm: axis 1 (channels) of input {x.type} is {x.shape[1]}, so {what} is "
                f"{x.dtype}[{x.shape[1]}], got {tensor.type}"
            )


def _normalized(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """By the statistics of x, whose channels come last; of nothing there are none, and the gradients are zeros."""
    if not x.numel():
        out = x * (1.0 if weight is None else weight)
        return out if bias is None else out + bias
    if x.shape[:-1].count(1) == x.ndim - 1:
        raise error(
            f"batch_norm: training needs more than one value per channel, got input with {x.shape[-1]} channels"
        )
    if weight is None and bias is None:
        return apply(ops.composite.layernorm, x, axes=tuple(range(x.ndim - 1)), eps=eps)
    weight = ones(x.shape[-1], dtype=x.dtype) if weight is None else weight
    bias = zeros(x.shape[-1], dtype=x.dtype) if bias is None else bias
    return apply(ops.normalization.batchnorm, x, weight, bias, eps=eps)


def update_statistics(x: Tensor, running_mean: Tensor, running_var: Tensor, momentum: float | Tensor) -> None:
    """Move the running statistics towards those of x, whose channels come last. In a compiled step these are the very
    sums that the normalisation takes."""
    size = math.prod(x.shape[:-1])
    axes = tuple(range(x.ndim - 1))
    with grad_mode(False):
        x = x.cast(f32) if x.dtype.bits == 16 else x
        mean, variance = (moment.reshape(x.shape[-1:]) for moment in ops.composite.moments(x, axes))
        running_mean.copy_(running_mean * (1 - momentum) + mean * momentum)
        running_var.copy_(running_var * (1 - momentum) + variance * (size / (size - 1)) * momentum)
