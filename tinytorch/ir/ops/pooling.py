"""Max pooling of images with channels last: the largest element of each window, and where it was.

Images are [batch, height, width, channels]; spatial attributes are pairs (height, width). Outside of the image there
is nothing to choose. A place in the window is counted in row-major order: that of the first of equal ones, but of the
last of NaNs, which count as largest (PyTorch's choice). Average pooling needs no ops of its own: it is a mean or a
convolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.fast import pooling as fast
from tinytorch.ir.op import Array, Attrs, Bounds, Op, apply, define
from tinytorch.ir.ops.core import computed_in_f32, no_flops
from tinytorch.ir.types import DType, TensorType, i32, type_of, u8
from tinytorch.ir.windows import Pair, output_size, places

_SPATIAL = ("window", "stride", "low", "dilation")


def index_dtype(window: Pair) -> DType:
    """The dtype of places in the window."""
    return u8 if window[0] * window[1] <= 256 else i32


def lowest(dtype: DType) -> float:
    """What the largest of no elements is."""
    return -math.inf if dtype.is_float else dtype.limits[0]


def _outputs(
    name: str, x: TensorType, window: Pair, stride: Pair, low: Pair, high: Pair, dilation: Pair
) -> tuple[int, int, int, int]:
    if x.rank != 4 or x.dtype.kind == "bool":
        raise ShapeError(f"{name}: needs numbers with 4 axes, got {x}")
    if min(*window, *stride, *dilation) < 1 or min(*low, *high) < 0:
        raise ShapeError(f"{name}: window {window}, stride {stride}, dilation {dilation}, padding {low} and {high}")
    sizes: list[int] = []
    for i, axis in enumerate((1, 2)):
        size = output_size(x.shape[axis], window[i], stride[i], low[i], high[i], dilation[i])
        if size < 1:
            raise ShapeError(
                f"{name}: a window of {window[i]} does not fit axis {axis} of {x}, padded {low} and {high}"
            )
        sizes.append(size)
    return (x.shape[0], sizes[0], sizes[1], x.shape[3])


def _size(x: TensorType | Array) -> Pair:
    return x.shape[1], x.shape[2]


def _searched(x: Array, **attrs: Any) -> tuple[Array, Array]:
    """The largest element of each window, and its place."""
    kind = type_of(x.dtype, x.shape)
    out = TensorType(kind.dtype, _outputs("max_pool2d", kind, **attrs))
    best = np.full(out.shape, lowest(kind.dtype), x.dtype)
    index = np.full(out.shape, -1, np.int32)
    for place, outer, inner in places(_size(x), _size(out), **{key: attrs[key] for key in _SPATIAL}):
        found, old, at = x[inner], best[outer], index[outer]
        better = (at < 0) | (found > old) | (found != found)
        old[better], at[better] = found[better], place
    return best, np.maximum(index, 0)


def _pool_flops(types: Any, out: Any, attrs: Attrs) -> int:
    return out[0].size * (attrs["window"][0] * attrs["window"][1] - 1)


def _max_pool_type(x: TensorType, **attrs: Any) -> tuple[TensorType, TensorType]:
    shape = _outputs("max_pool2d", x, **attrs)
    return TensorType(x.dtype, shape), TensorType(index_dtype(attrs["window"]), shape)


def _max_pool(x: Array, **attrs: Any) -> tuple[Array, Array]:
    best, index = _searched(x, **attrs)
    return best, index.astype(index_dtype(attrs["window"]).numpy, copy=False)


def _max_pool_rule(cts: Any, n: Any) -> Any:
    return _unpooled(cts[0], n.outputs[1], n.inputs[0].type, n.attrs)


def _unpooled(g: Any, index: Any, x: TensorType, attrs: Attrs) -> Any:
    return apply(max_unpool2d, g, index, size=(x.shape[1], x.shape[2]), **{key: attrs[key] for key in _SPATIAL})


def _max_pool_bounds(bounds: Sequence[Bounds], types: Sequence[TensorType], attrs: Attrs) -> Bounds:
    """A window that lies in the padding alone has the least value of the dtype."""
    low, high = bounds[0]
    return types[0].dtype.limits[0] if any((*attrs["low"], *attrs["high"])) else low, high


max_pool2d = define(Op(
    name="max_pool2d", kind="index", doc="The largest element of each window, and its place there.", results=2,
    infer=_max_pool_type, eval=_max_pool, fast=(fast.largest(_max_pool), fast.place_of_largest(_max_pool)),
    vjp=(_max_pool_rule,), flops=_pool_flops, bounds=_max_pool_bounds,
    axes=lambda types, attrs: "b . . c -> b . . c, b . . c",
))  # fmt: skip


def _check_chosen(name: str, outputs: TensorType, index: TensorType, size: Pair, attrs: Attrs) -> None:
    """Check that `index` can hold the places of these outputs, in images of `size`."""
    if outputs.rank != 4 or outputs.shape != index.shape or index.dtype != index_dtype(attrs["window"]):
        raise ShapeError(f"{name}: {outputs} has no places {index}")
    for i, axis in enumerate((1, 2)):
        if size[i] < 1 or (outputs.shape[axis] - 1) * attrs["stride"][i] - attrs["low"][i] >= size[i]:
            raise ShapeError(f"{name}: axis {axis} of {outputs} has more windows than fit {size[i]} elements")


def _unpool_type(g: TensorType, index: TensorType, *, size: Pair, **attrs: Any) -> TensorType:
    _check_chosen("max_unpool2d", g, index, size, attrs)
    return TensorType(g.dtype, (g.shape[0], *size, g.shape[3]))


def _unpool(g: Array, index: Array, *, size: Pair, **attrs: Any) -> Array:
    out = np.zeros((g.shape[0], *size, g.shape[3]), g.dtype)
    for place, outer, inner in places(size, _size(g), **attrs):
        out[inner] += np.where(index[outer] == place, g[outer], np.zeros((), g.dtype))
    return out


def _added(types: Any, out: TensorType, attrs: Attrs) -> int:
    return types[0].size


max_unpool2d = define(Op(
    name="max_unpool2d", kind="index", doc="Elements put back to where their windows' largest were; 0 elsewhere.",
    infer=_unpool_type, eval=computed_in_f32(_unpool), fast=computed_in_f32(fast.max_unpool2d), flops=_added,
    vjp=(lambda ct, n: _taken(ct, n.inputs[1], n.attrs), None),
))  # fmt: skip


def _taken(x: Any, index: Any, attrs: Attrs) -> Any:
    return apply(max_pool2d_take, x, index, **{key: attrs[key] for key in _SPATIAL})


def _take_type(x: TensorType, index: TensorType, **attrs: Any) -> TensorType:
    if x.rank != 4 or index.rank != 4:
        raise ShapeError(f"max_pool2d_take: needs images and places with 4 axes, got {x} and {index}")
    out = TensorType(x.dtype, (x.shape[0], *index.shape[1:3], x.shape[3]))
    _check_chosen("max_pool2d_take", out, index, (x.shape[1], x.shape[2]), attrs)
    return out


def _take(x: Array, index: Array, **attrs: Any) -> Array:
    out = np.zeros(index.shape, x.dtype)
    for place, outer, inner in places(_size(x), _size(out), **attrs):
        np.copyto(out[outer], x[inner], where=index[outer] == place)
    return out


max_pool2d_take = define(Op(
    name="max_pool2d_take", kind="index", doc="The element of each window at a given place; 0 outside of the image.",
    infer=_take_type, eval=_take, flops=no_flops,
    vjp=(lambda ct, n: _unpooled(ct, n.inputs[1], n.inputs[0].type, n.attrs), None),
))  # fmt: skip
