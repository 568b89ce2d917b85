"""Convolution with 3×3 windows in fewer multiplications: F(m×m, 3×3) of Winograd (Lavin & Gray 2016), m = 2 or 4.

A pass puts these in the place of `conv2d` once derivatives have been taken: m×m outputs, a tile, are
Aᵀ[(G w Gᵀ) ⊙ (Bᵀ d B)]A, where d is the (m+2)×(m+2) elements of the image that they meet. The gradient of the weights
is that of this form: Gᵀ[Σ (Bᵀ d B) ⊙ (A g Aᵀ)]G, summed over all tiles g of gradients. The matrices follow from
the points at which polynomials are evaluated (Cook and Toom's method): 0, 1, -1 and infinity for 2×2 outputs;
0, ±3/4, ±3/2 and infinity for 4×4, which round off a third of what 0, ±1, ±2 do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import NONDIFF, Array, Attrs, Op, define
from tinytorch.ir.ops.convolution import conv2d, conv2d_weight_grad
from tinytorch.ir.ops.core import computed_in_f32
from tinytorch.ir.types import TensorType

NEAR, FAR = 0.75, 1.5  # the points of F(4×4, 3×3) beside 0 and infinity, with both signs

_NEAR_SCALE = 1 / (2 * NEAR**2 * (NEAR**2 - FAR**2))
_FAR_SCALE = 1 / (2 * FAR**2 * (FAR**2 - NEAR**2))
G = {  # by the side of a tile: what weights are multiplied with
    2: np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
    4: np.array(
        [
            [1 / (NEAR * FAR) ** 2, 0, 0],
            [_NEAR_SCALE, _NEAR_SCALE * NEAR, _NEAR_SCALE * NEAR**2],
            [_NEAR_SCALE, -_NEAR_SCALE * NEAR, _NEAR_SCALE * NEAR**2],
            [_FAR_SCALE, _FAR_SCALE * FAR, _FAR_SCALE * FAR**2],
            [_FAR_SCALE, -_FAR_SCALE * FAR, _FAR_SCALE * FAR**2],
            [0, 0, 1],
        ]
    ),
}
SIDES = tuple(G)
# Operations of one vector's product with each matrix, by the side of a tile: what results share is computed once.
_IMAGE, _SUMS = {2: 4, 4: 24}, {2: 4, 4: 16}  # by Bᵀ, by Aᵀ
_WEIGHTS, _GRADIENTS, _WEIGHT_SUMS = {2: 5, 4: 15}, {2: 3, 4: 16}, {2: 6, 4: 16}  # by G, by A, by Gᵀ


def products_of(side: int) -> int:
    """How many products of matrices take the place of the nine of the definition."""
    return (side + 2) ** 2


def side_of(u: TensorType) -> int:
    """The side of the tiles that transformed weights are for."""
    return next(side for side in SIDES if products_of(side) == u.shape[0])


def _transform_flops(of_vector: dict[int, int], side: int, before: int, after: int) -> int:
    """Of a matrix [before, before] to one [after, after]: each column is transformed, and then each row."""
    return of_vector[side] * (before + after)


def _weights_type(w: TensorType, *, side: int, panel: int) -> TensorType:
    if w.rank != 4 or w.shape[:2] != (3, 3) or not w.dtype.is_float:
        raise ShapeError(f"winograd_weights: needs floats in windows of 3 × 3, got {w}")
    if side not in SIDES or panel < 1:
        raise ShapeError(f"winograd_weights: tiles have sides of 2 or 4 and panels columns, got {side} and {panel}")
    return TensorType(w.dtype, (products_of(side), -(-w.shape[3] // panel), w.shape[2], panel))


def _weights_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    side, (*_, channels, columns) = attrs["side"], types[0].shape
    return _transform_flops(_WEIGHTS, side, 3, side + 2) * channels * columns


def _transformed(w: Array, *, side: int, panel: int) -> Array:
    g = G[side].astype(w.dtype)
    channels, columns = w.shape[2:]
    rows = np.tensordot(g, w, 1)
    flat = np.tensordot(g, rows, (1, 1)).swapaxes(0, 1).reshape(-1, channels, columns)
    panels = -(-columns // panel)
    whole = np.pad(flat, ((0, 0), (0, 0), (0, panels * panel - columns)))
    return whole.reshape(-1, channels, panels, panel).transpose(0, 2, 1, 3)


winograd_weights = define(Op(
    name="winograd_weights", kind="index", infer=_weights_type, eval=computed_in_f32(_transformed), vjp=NONDIFF,
    doc="G w Gᵀ of weights [3, 3, in, out], for tiles of `side`²: matrices [in, out] in panels of columns, then zeros.",
    flops=_weights_flops,
))  # fmt: skip


def _winograd_type(x: TensorType, w: TensorType, u: TensorType, **attrs: Any) -> TensorType:
    known = {products_of(side): side for side in SIDES}
    fits = u.rank == 4 and u.shape[0] in known and u.shape[3] > 0
    if not fits or u != _weights_type(w, side=known[u.shape[0]], panel=u.shape[3]):
        raise ShapeError(f"conv2d_winograd: {u} is not what weights {w} are transformed to")
    plain = attrs["stride"] == attrs["dilation"] == (1, 1) and attrs["groups"] == 1
    if not plain:
        raise ShapeError("conv2d_winograd: needs stride 1, dilation 1 and one group")
    return conv2d.infer(x, w, **attrs)


def _winograd_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    """Of the products of matrices and of the transforms of images and sums."""
    side, (batch, height, width, columns) = side_of(types[2]), out.shape
    channels = types[0].shape[3]
    tiles = batch * -(-height // side) * -(-width // side)
    image = _transform_flops(_IMAGE, side, side + 2, side + 2)
    sums = _transform_flops(_SUMS, side, side + 2, side)
    return tiles * (2 * products_of(side) * channels * columns + image * channels + sums * columns)


conv2d_winograd = define(Op(
    name="conv2d_winograd", kind="contract", doc="conv2d(x, w), given w transformed as well.",
    infer=_winograd_type, eval=lambda x, w, u, **attrs: conv2d.eval(x, w, **attrs), flops=_winograd_flops,
    vjp=(
        lambda g, n: conv2d.cotangent((g,), n, 0),
        lambda g, n: conv2d.cotangent((g,), n, 1),
        None,
    ),
))  # fmt: skip


def _weight_grad_type(x: TensorType, g: TensorType, *, side: int, **attrs: Any) -> TensorType:
    plain = attrs["window"] == (3, 3) and attrs["stride"] == attrs["dilation"] == (1, 1) and attrs["groups"] == 1
    if not plain or side not in SIDES or not x.dtype.is_float:
        raise ShapeError("winograd_weight_grad: needs floats, windows of 3 × 3, stride 1, one group, tiles of 2 or 4")
    return conv2d_weight_grad.infer(x, g, **attrs)


def _weight_grad_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    """Of the products of matrices and of the transforms, each of which is done once."""
    (x, g), side = types, attrs["side"]
    batch, height, width, columns = g.shape
    tiles = batch * -(-height // side) * -(-width // side)
    image = _transform_flops(_IMAGE, side, side + 2, side + 2)
    gradients = _transform_flops(_GRADIENTS, side, side, side + 2)
    products = 2 * products_of(side) * x.shape[3] * columns
    last = _transform_flops(_WEIGHT_SUMS, side, side + 2, 3) * x.shape[3] * columns
    return tiles * (products + image * x.shape[3] + gradients * columns) + last


winograd_weight_grad = define(Op(
    name="winograd_weight_grad", kind="contract", doc="conv2d_weight_grad(x, g) by tiles of `side`² gradients.",
    infer=_weight_grad_type, eval=lambda x, g, *, side, **attrs: conv2d_weight_grad.eval(x, g, **attrs),
    flops=_weight_grad_flops, vjp=NONDIFF,
))  # fmt: skip
