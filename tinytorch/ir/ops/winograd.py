"""Convolution with 3×3 windows in fewer multiplications: F(2×2, 3×3) of Winograd (Lavin & Gray 2016).

A pass puts these in the place of `conv2d` once derivatives have been taken: 2×2 outputs are Aᵀ[(G w Gᵀ) ⊙ (Bᵀ d B)]A,
where d is the 4×4 elements of the image that they meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import NONDIFF, Array, Attrs, Op, define
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.ops.core import computed_in_f32
from tinytorch.ir.types import TensorType

_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


def _weights_type(w: TensorType) -> TensorType:
    if w.rank != 4 or w.shape[:2] != (3, 3) or not w.dtype.is_float:
        raise ShapeError(f"winograd_weights: needs floats in windows of 3 × 3, got {w}")
    return TensorType(w.dtype, (16, *w.shape[2:]))


def _transformed(w: Array) -> Array:
    g = _G.astype(w.dtype)
    return np.einsum("iy,yxco,jx->ijco", g, w, g).reshape(16, *w.shape[2:])


winograd_weights = define(Op(
    name="winograd_weights", kind="index", doc="G w Gᵀ of weights [3, 3, in, out], as 16 matrices [in, out].",
    infer=_weights_type, eval=computed_in_f32(_transformed), vjp=NONDIFF,
    flops=lambda types, out, attrs: 28 * types[0].shape[2] * types[0].shape[3],
))  # fmt: skip


def _winograd_type(x: TensorType, w: TensorType, u: TensorType, **attrs: Any) -> TensorType:
    if u != _weights_type(w):
        raise ShapeError(f"conv2d_winograd: {u} is not what weights {w} are transformed to")
    plain = attrs["stride"] == attrs["dilation"] == (1, 1) and attrs["groups"] == 1
    if not plain:
        raise ShapeError("conv2d_winograd: needs stride 1, dilation 1 and one group")
    return conv2d.infer(x, w, **attrs)


def _winograd_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    """Of the products of matrices and of the transforms of images (32 each of 16) and sums (24)."""
    batch, height, width, columns = out.shape
    channels = types[0].shape[3]
    tiles = batch * -(-height // 2) * -(-width // 2)
    return tiles * (32 * channels * columns + 32 * channels + 24 * columns)


conv2d_winograd = define(Op(
    name="conv2d_winograd", kind="contract", doc="conv2d(x, w), given w transformed as well.",
    infer=_winograd_type, eval=lambda x, w, u, **attrs: conv2d.eval(x, w, **attrs), flops=_winograd_flops,
    vjp=(
        lambda g, n: conv2d.cotangent((g,), n, 0),
        lambda g, n: conv2d.cotangent((g,), n, 1),
        None,
    ),
))  # fmt: skip
