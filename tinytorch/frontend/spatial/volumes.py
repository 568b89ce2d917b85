"""Convolutions of volumes [batch, depth, height, width, channels], written as convolutions of images: the planes that a
window reads along the depth count as so many more channels of one image."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from tinytorch.frontend.functions.basic import cat
from tinytorch.frontend.spatial.arguments import Ints, Windows
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir import ops
from tinytorch.ir.op import apply
from tinytorch.ir.types import DType


def _weights_of_planes(weight: Tensor) -> Tensor:
    """[a, b, depth, height, width] as [height, width, depth * b, a]."""
    a, b, depth, height, width = weight.shape
    return weight.permute(3, 4, 2, 1, 0).reshape(height, width, depth * b, a)


def convolved(
    x: Tensor, weight: Tensor, windows: Windows, outputs: Ints, groups: int, sums: Mapping[str, DType]
) -> Tensor:
    """x [batch, depth, height, width, in] with weight [out, in / groups, *window]: [batch, *outputs, out]; `sums` may
    say in what `dtype`."""
    channels = x.shape[-1]
    padded = x.pad([(0, 0), (windows.low[0], windows.high[0]), (0, 0), (0, 0), (0, 0)])
    count, height, width = x.shape[0] * outputs[0], x.shape[2], x.shape[3]
    taps: list[Tensor] = []
    for k in range(windows.kernel[0]):
        first = k * windows.dilation[0]
        planes = padded[:, first : first + (outputs[0] - 1) * windows.stride[0] + 1 : windows.stride[0]]
        taps.append(planes.reshape(count, height, width, groups, 1, channels // groups))
    images = cat(taps, 4).reshape(count, height, width, windows.kernel[0] * channels)
    attrs = windows.of_axes(1, 3).attrs()
    out = apply(ops.convolution.conv2d, images, _weights_of_planes(weight), groups=groups, **attrs, **sums)
    return out.reshape(x.shape[0], *outputs, out.shape[-1])


def transposed(x: Tensor, weight: Tensor, windows: Windows, outputs: Ints, groups: int) -> Tensor:
    """x [batch, depth, height, width, in] with weight [in, out / groups, *window]: [batch, *outputs, out]."""
    batch, depth, height, width, channels = x.shape
    attrs = windows.of_axes(1, 3).attrs()
    del attrs["high"]
    images = apply(
        ops.convolution.conv2d_input_grad, x.reshape(batch * depth, height, width, channels),
        _weights_of_planes(weight), size=outputs[1:], groups=groups, **attrs,
    )  # fmt: skip
    out = weight.shape[1]
    apart = images.reshape(batch, depth, *outputs[1:], groups, windows.kernel[0], out)
    stride, low = windows.stride[0], windows.low[0]
    whole = max((depth - 1) * stride + windows.spans[0], low + outputs[0])
    parts: list[Tensor] = []
    for k in range(windows.kernel[0]):
        planes = apart[..., k, :].reshape(batch, depth, *outputs[1:], groups * out)
        first = k * windows.dilation[0]
        last = whole - first - ((depth - 1) * stride + 1)
        around = {"low": (0, first, 0, 0, 0), "high": (0, last, 0, 0, 0), "interior": (0, stride - 1, 0, 0, 0)}
        parts.append(apply(ops.view.pad, planes, **around, value=0.0))
    return reduce(lambda a, b: a + b, parts)[:, low : low + outputs[0]]
