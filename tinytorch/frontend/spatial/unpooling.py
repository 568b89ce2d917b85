"""Elements put back to where `max_pool` took them from, and pooling by norms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.spatial.arguments import SPATIAL, Images, Ints, Size, error, sizes
from tinytorch.frontend.spatial.pooling import avg_pool1d, avg_pool2d, avg_pool3d
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir import ops
from tinytorch.ir.op import apply
from tinytorch.ir.operators.positions import checked
from tinytorch.ir.ops.core import filled
from tinytorch.ir.types import TensorType, i64


@spelled(space="nn.functional")
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """`max_unpool2d` along one axis: input [batch, channels, length]."""
    return _unpooled(Images("max_unpool1d", input, 1), indices, kernel_size, stride, padding, output_size)


@spelled(space="nn.functional")
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Images in which the elements of input [batch, channels, height, width] lie at `indices` (i64, of the same shape),
    as `max_pool2d` gives them, and zeros elsewhere.

    The images are of `output_size`, if given, or of (size - 1) stride - 2 padding + kernel_size along each spatial
    axis. Of repeated indices the last one counts. IndexError for those that lie outside of the image.
    """
    return _unpooled(Images("max_unpool2d", input, 2), indices, kernel_size, stride, padding, output_size)


@spelled(space="nn.functional")
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """`max_unpool2d` of volumes: input [batch, channels, depth, height, width]."""
    return _unpooled(Images("max_unpool3d", input, 3), indices, kernel_size, stride, padding, output_size)


def _unpooled(
    images: Images,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    output_size: Sequence[int] | None,
) -> Tensor:
    x, name = images.x, images.name
    if require_tensor(name, indices).shape != x.shape or indices.dtype != i64:
        raise error(f"{name}: indices is {TensorType(i64, x.shape)}, as the input {x.type}, got {indices.type}")
    target = _target(images, kernel_size, stride, padding, output_size)
    lead = x.shape[: x.ndim - images.rank]
    size, count = math.prod(target), math.prod(lead)
    first = x.constant((np.arange(count) * size).reshape(-1, 1))
    places = checked(indices.reshape(count, math.prod(images.spatial)), size) + first
    base = filled(x, 0, TensorType(x.dtype, (count * size,)))
    return apply(ops.index.scatter, base, places, x.reshape(places.shape), axis=0).reshape(*lead, *target)


def _target(
    images: Images, kernel_size: Size, stride: Size | None, padding: Size, output_size: Sequence[int] | None
) -> Ints:
    """The size of the images that were pooled: of several possible ones, the one that is asked for."""
    name, rank = images.name, images.rank
    kernel = sizes(name, "kernel_size", kernel_size, rank)
    steps = kernel if stride is None or stride == () else sizes(name, "stride", stride, rank)
    pads = sizes(name, "padding", padding, rank, 0)
    usual = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(images.spatial, steps, pads, kernel, strict=True))
    if output_size is None:
        return usual
    wanted = [arguments.integer(name, "output_size", n) for n in output_size]
    if len(wanted) not in (rank, rank + 2):
        raise error(f"{name}: output_size is one number for each of {', '.join(SPATIAL[rank])}, got {wanted}")
    for i, (n, d, s) in enumerate(zip(wanted[-rank:], usual, steps, strict=True)):
        if not d - s < n < d + s:
            raise error(f"{name}: output_size is between {d - s} and {d + s} along the {SPATIAL[rank][i]}, got {n}")
    return tuple(wanted[-rank:])


@spelled(space="nn.functional")
def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """`lp_pool2d` along one axis: input [batch, channels, length]."""
    p, count = _order("lp_pool1d", norm_type), math.prod(sizes("lp_pool1d", "kernel_size", kernel_size, 1))
    return _norm(avg_pool1d(input**p, kernel_size, stride, 0, ceil_mode), p, count)


@spelled(space="nn.functional")
def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window of input [batch, channels, height, width], p being `norm_type`, in the sizes of
    `avg_pool2d`: the sum of p-th powers to the power of 1 / p. Where that sum is 0, the derivative is not defined."""
    p, count = _order("lp_pool2d", norm_type), math.prod(sizes("lp_pool2d", "kernel_size", kernel_size, 2))
    return _norm(avg_pool2d(input**p, kernel_size, stride, 0, ceil_mode), p, count)


@spelled(space="nn.functional")
def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """`lp_pool2d` of volumes: input [batch, channels, depth, height, width]."""
    p, count = _order("lp_pool3d", norm_type), math.prod(sizes("lp_pool3d", "kernel_size", kernel_size, 3))
    return _norm(avg_pool3d(input**p, kernel_size, stride, 0, ceil_mode), p, count)


def _order(name: str, norm_type: float) -> float:
    return float(arguments.number(name, "norm_type", norm_type, lambda p: p != 0, "a number other than 0"))


def _norm(mean: Tensor, p: float, count: int) -> Tensor:
    return (mean.sign() * abs(mean).relu() * count) ** (1 / p)
