"""Convolution of images with channels last, and its two transposes: the three close over each other's derivatives.

Images are [batch, height, width, channels], weights [window height, window width, channels / groups, out channels].
Output (y, x) of `conv2d` reads input (y * stride - low + k * dilation) for each k of the window; outside of the image
there are zeros. Spatial attributes are pairs (height, width).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.fast import convolution as fast
from tinytorch.ir.op import Array, Attrs, Bounds, Op, apply, define
from tinytorch.ir.ops.composite import define_composite
from tinytorch.ir.ops.contract import are_bytes, check_dtypes, products
from tinytorch.ir.ops.core import cast, cast_array, computed_in_f32, filled
from tinytorch.ir.ops.view import concat, flip, permute, reshape, slice_
from tinytorch.ir.types import DType, TensorType
from tinytorch.ir.windows import Pair, output_size, padded, taps

_AXES = (1, 2)  # height and width of an image


def _check(
    name: str,
    images: TensorType,
    other: TensorType,
    groups: int,
    stride: Pair,
    dilation: Pair,
    dtype: DType | None = None,
) -> None:
    check_dtypes(name, images, other, dtype)
    if images.rank != 4 or other.rank != 4:
        raise ShapeError(f"{name}: needs two operands with 4 axes, got {images} and {other}")
    if groups < 1 or min(*stride, *dilation) < 1:
        raise ShapeError(f"{name}: groups, stride and dilation are positive, got {groups}, {stride} and {dilation}")


def _conv2d_type(
    x: TensorType,
    w: TensorType,
    *,
    stride: Pair,
    low: Pair,
    high: Pair,
    dilation: Pair,
    groups: int,
    dtype: DType | None = None,
) -> TensorType:
    _check("conv2d", x, w, groups, stride, dilation, dtype)
    if x.shape[3] != w.shape[2] * groups or w.shape[3] % groups:
        raise ShapeError(f"conv2d: channels of {x} do not fit weights {w} in {groups} groups")
    sizes: list[int] = []
    for i, axis in enumerate(_AXES):
        size = output_size(x.shape[axis], w.shape[i], stride[i], low[i], high[i], dilation[i])
        if size < 1 or w.shape[i] < 1:
            raise ShapeError(
                f"conv2d: a window of {w.shape[i]} does not fit axis {axis} of {x}, padded {low} and {high}"
            )
        sizes.append(size)
    return TensorType(dtype or x.dtype, (x.shape[0], *sizes, w.shape[3]))


def _flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    w = types[1]
    return 2 * out.size * w.shape[0] * w.shape[1] * w.shape[2]


def _conv2d(x: Array, w: Array, *, stride: Pair, low: Pair, high: Pair, dilation: Pair, groups: int) -> Array:
    kernel = (w.shape[0], w.shape[1])
    sizes = [output_size(x.shape[1 + i], kernel[i], stride[i], low[i], high[i], dilation[i]) for i in (0, 1)]
    image = padded(x, low, high)
    total = np.zeros((x.shape[0], *sizes, groups, w.shape[3] // groups), x.dtype)
    split = (groups, x.shape[3] // groups)
    weights = w.reshape(*w.shape[:3], groups, w.shape[3] // groups)
    for ky, kx, window in taps(kernel, (sizes[0], sizes[1]), stride, dilation):
        part = image[window]
        if groups == 1:
            total += products(part, w[ky, kx])[:, :, :, None]
        else:
            total += np.einsum("nhwgc,cgo->nhwgo", part.reshape(*part.shape[:3], *split), weights[ky, kx])
    return total.reshape(*total.shape[:3], w.shape[3])


def _summed(x: Array, w: Array, *, dtype: DType | None = None, **attrs: Any) -> Array:
    """With `dtype`, as if the operands were cast first."""
    if dtype is None:
        return computed_in_f32(_conv2d)(x, w, **attrs)
    return _conv2d(cast_array(x, dtype), cast_array(w, dtype), **attrs)


_EXACT = {np.float32: 1 << 24, np.float64: 1 << 53}  # whole numbers up to here


def fast_conv2d(x: Array, w: Array, *, dtype: DType | None = None, **attrs: Any) -> Array:
    """By BLAS; bytes in floats that hold their sums exactly."""
    if are_bytes(x, w):
        largest = w.size // w.shape[3] << 16
        wide = next(float_ for float_, most in _EXACT.items() if largest <= most)
        exact = fast.conv2d(x.astype(wide), w.astype(wide), **attrs).astype(np.int64)
        return exact.astype(x.dtype if dtype is None else dtype.numpy)
    if dtype is None:
        return computed_in_f32(fast.conv2d)(x, w, **attrs)
    return fast.conv2d(cast_array(x, dtype), cast_array(w, dtype), **attrs)


def _in(dtype: DType, x: Any) -> Any:
    return x if x.type.dtype == dtype else apply(cast, x, dtype=dtype)


def _shared(attrs: Attrs) -> dict[str, Any]:
    """The attributes that a convolution has in common with its transposes."""
    return {key: attrs[key] for key in ("stride", "low", "dilation", "groups")}


def _input_grad(g: Any, w: Any, x: TensorType, attrs: Attrs) -> Any:
    return apply(conv2d_input_grad, g, w, size=(x.shape[1], x.shape[2]), **_shared(attrs))


def _weight_grad(x: Any, g: Any, w: TensorType, attrs: Attrs) -> Any:
    return apply(conv2d_weight_grad, x, g, window=(w.shape[0], w.shape[1]), **_shared(attrs))


def _forward(x: Any, w: Any, out: TensorType, attrs: Attrs) -> Any:
    """conv2d with outputs of just the size of `out`."""
    high: list[int] = []
    for i, axis in enumerate(_AXES):
        span = (out.shape[axis] - 1) * attrs["stride"][i] + attrs["dilation"][i] * (w.type.shape[i] - 1) + 1
        high.append(span - x.type.shape[axis] - attrs["low"][i])
    return apply(conv2d, x, w, high=tuple(high), **_shared(attrs))


def sum_bounds(bounds: Sequence[Bounds], depth: int) -> Bounds:
    """Of `depth` products of integers, any of which may be of a zero around the image."""
    (a, b), (c, d) = bounds
    found = [a * c, a * d, b * c, b * d, 0]
    return depth * min(found), depth * max(found)


def _bounds(bounds: Sequence[Bounds], types: Sequence[TensorType], attrs: Attrs) -> Bounds:
    return sum_bounds(bounds, types[1].size // max(1, types[1].shape[3]))


def _image_rule(g: Any, n: Any) -> Any:
    x, w = n.inputs[:2]
    return _in(x.type.dtype, _input_grad(g, _in(g.type.dtype, w), x.type, n.attrs))


def _weight_rule(g: Any, n: Any) -> Any:
    x, w = n.inputs[:2]
    return _in(w.type.dtype, _weight_grad(_in(g.type.dtype, x), g, w.type, n.attrs))


conv2d = define(Op(
    name="conv2d", kind="contract",
    doc="Products of a window at every place of an image with weights, added up; integers wrap. `dtype` is that of the "
        "sums, as of `matmul`.",
    infer=_conv2d_type, eval=_summed, fast=fast_conv2d, flops=_flops, bounds=_bounds,
    vjp=(_image_rule, _weight_rule),
    axes=lambda types, attrs: "b . . (g c), . . c (g o) -> b . . (g o)",
))  # fmt: skip


def _weight_grad_type(
    x: TensorType, g: TensorType, *, window: Pair, stride: Pair, low: Pair, dilation: Pair, groups: int
) -> TensorType:
    _check("conv2d_weight_grad", x, g, groups, stride, dilation)
    if x.shape[0] != g.shape[0] or x.shape[3] % groups or g.shape[3] % groups or min(g.shape[1:3]) < 1:
        raise ShapeError(f"conv2d_weight_grad: gradients {g} do not fit images {x} in {groups} groups")
    return TensorType(x.dtype, (*window, x.shape[3] // groups, g.shape[3]))


def _weight_grad_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    g = types[1]
    return 2 * out.size * g.shape[0] * g.shape[1] * g.shape[2]


def _conv2d_weight_grad(
    x: Array, g: Array, *, window: Pair, stride: Pair, low: Pair, dilation: Pair, groups: int
) -> Array:
    outputs = (g.shape[1], g.shape[2])
    spans = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(outputs, stride, dilation, window, strict=True)]
    image = padded(x, low, (spans[0] - x.shape[1] - low[0], spans[1] - x.shape[2] - low[1]))
    total = np.empty((*window, x.shape[3] // groups, g.shape[3]), x.dtype)
    apart, count = (groups, x.shape[3] // groups), x.shape[0] * outputs[0] * outputs[1]
    split = g.reshape(count, groups, g.shape[3] // groups).transpose(1, 0, 2)
    for ky, kx, places in taps(window, outputs, stride, dilation):
        part = image[places]
        if groups == 1:
            total[ky, kx] = products(part.reshape(count, x.shape[3]).T, split[0])
        else:
            found = products(part.reshape(count, *apart).transpose(1, 2, 0), split)
            total[ky, kx] = found.transpose(1, 0, 2).reshape(apart[1], g.shape[3])
    return total


conv2d_weight_grad = define(Op(
    name="conv2d_weight_grad", kind="contract", doc="The gradient of `conv2d` with respect to its weights.",
    infer=_weight_grad_type, eval=computed_in_f32(_conv2d_weight_grad), fast=computed_in_f32(fast.conv2d_weight_grad),
    flops=_weight_grad_flops,
    vjp=(
        lambda ct, n: _input_grad(n.inputs[1], ct, n.inputs[0].type, n.attrs),
        lambda ct, n: _forward(n.inputs[0], ct, n.inputs[1].type, n.attrs),
    ),
))  # fmt: skip


def _input_grad_type(
    g: TensorType, w: TensorType, *, size: Pair, stride: Pair, low: Pair, dilation: Pair, groups: int
) -> TensorType:
    _check("conv2d_input_grad", g, w, groups, stride, dilation)
    if g.shape[3] != w.shape[3] or w.shape[3] % groups:
        raise ShapeError(f"conv2d_input_grad: channels of {g} do not fit weights {w} in {groups} groups")
    return TensorType(g.dtype, (g.shape[0], *size, w.shape[2] * groups))


def _swapped(w: Any, groups: int) -> Any:
    """Weights with input and output channels exchanged, group by group."""
    height, width, channels, out = w.type.shape
    split = apply(reshape, w, shape=(height, width, channels, groups, out // groups))
    exchanged = apply(permute, split, axes=(0, 1, 4, 3, 2))
    return apply(reshape, exchanged, shape=(height, width, out // groups, groups * channels))


def _phase(phase: int, window: int, stride: int, low: int, dilation: int) -> tuple[int, int, int, int] | None:
    """Which places of the window reach inputs stride * i + phase: (first, step), and how far apart and how far before
    output i the outputs lie that they read, the last of the places first; None if no place does."""
    step = stride // gcd(stride, dilation)
    first = next((k for k in range(min(step, window)) if (phase + low - k * dilation) % stride == 0), None)
    if first is None:
        return None
    last = first + (window - 1 - first) // step * step
    return first, step, step * dilation // stride, -((phase + low - last * dilation) // stride)


def _conv2d_input_grad(g: Any, w: Any, *, size: Pair, stride: Pair, low: Pair, dilation: Pair, groups: int) -> Any:
    """A convolution with the swapped weights in reverse, one for each residue of the input's place by the stride."""
    swapped = _swapped(w, groups)
    window = w.type.shape[:2]
    counts = [-(-n // s) for n, s in zip(size, stride, strict=True)]
    batch, channels = g.type.shape[0], swapped.type.shape[3]
    one = TensorType(g.type.dtype, (batch, *counts, channels))

    def part(phases: Pair) -> Any:
        found = [_phase(p, *x) for p, *x in zip(phases, window, stride, low, dilation, strict=True)]
        if None in found or not one.size:
            return filled(g, 0, one)
        first, step, spread, before = zip(*(f for f in found if f is not None), strict=True)
        steps = (*step, 1, 1)
        taps = apply(slice_, swapped, starts=(*first, 0, 0), limits=swapped.type.shape, steps=steps)
        attrs = {"stride": (1, 1), "low": before, "dilation": spread, "groups": groups}
        return _forward(g, apply(flip, taps, axes=(0, 1)), one, attrs)

    parts = [part((y, x)) for y in range(stride[0]) for x in range(stride[1])]
    if len(parts) == 1:
        return parts[0]
    apart = [apply(reshape, p, shape=(batch, *counts, 1, channels)) for p in parts]
    together = apply(concat, *apart, axis=3)
    split = apply(reshape, together, shape=(batch, *counts, *stride, channels))
    rows = apply(permute, split, axes=(0, 1, 3, 2, 4, 5))
    whole = apply(reshape, rows, shape=(batch, counts[0] * stride[0], counts[1] * stride[1], channels))
    return apply(slice_, whole, starts=(0,) * 4, limits=(batch, *size, channels), steps=(1,) * 4)


def _input_grad_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    """As many as the convolution: each gradient meets the whole window."""
    g, w = types
    return 2 * g.size * w.shape[0] * w.shape[1] * w.shape[2]


conv2d_input_grad = define_composite(
    "conv2d_input_grad", "The gradient of `conv2d` with respect to its images; a transposed convolution.",
    _input_grad_type, _conv2d_input_grad,
    (
        lambda ct, n: _forward(ct, n.inputs[1], n.inputs[0].type, n.attrs),
        lambda ct, n: _weight_grad(ct, n.inputs[0], n.inputs[1].type, n.attrs),
    ),
    flops=_input_grad_flops,
)  # fmt: skip
