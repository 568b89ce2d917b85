"""Convolution in fewer multiplications: F(m×m, r×r) of Winograd (Lavin & Gray 2016), r = 3 or 2.

A pass puts these in the place of `conv2d` once derivatives have been taken: m×m outputs, a tile, are
Aᵀ[(G w Gᵀ) ⊙ (Bᵀ d B)]A, where d is the (m+r-1)×(m+r-1) elements of the image that they meet. The gradient of the
weights is that of this form: Gᵀ[Σ (Bᵀ d B) ⊙ (A g Aᵀ)]G, summed over all tiles g of gradients. The matrices follow from
the m+r-1 points at which polynomials are evaluated (Cook and Toom's method).

A convolution with a stride is a sum of such with stride 1 over the phases of its images, every other element of them
along an axis where the stride is 2. A window of k places has ceil(k / stride) of them in a phase, some of which may be
missing: 4×4 places with stride 2 are four times 2×2. The phases of the channels are the channels of the products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import NONDIFF, Array, Attrs, Op, define
from tinytorch.ir.ops.convolution import conv2d, conv2d_weight_grad
from tinytorch.ir.ops.core import computed_in_f32
from tinytorch.ir.types import TensorType
from tinytorch.ir.windows import Pair

SIDES = {3: (2, 4), 2: (3, 4)}  # of tiles, by the places of a window in a phase


@dataclass(frozen=True)
class Points:
    """Where polynomials are evaluated: at 0, at `both` p and -p, at those `alone`, and at infinity, in this order."""

    both: tuple[float, ...]
    alone: tuple[float, ...] = ()

    @property
    def finite(self) -> tuple[float, ...]:
        return (0.0, *(x for p in self.both for x in (p, -p)), *self.alone)

    @property
    def scales(self) -> tuple[float, ...]:
        """What G multiplies values at the finite points with. The sign of the first is Bᵀ's."""
        first, *others = (1 / float(np.prod([p - q for q in self.finite if q != p])) for p in self.finite)
        return (abs(first), *others)


# By their number. 3/4 and 3/2 round off a third of what the usual 1 and 2 do, for six points.
POINTS = {4: Points((1.0,)), 5: Points((0.75,), (1.5,)), 6: Points((0.75, 1.5))}


@dataclass(frozen=True)
class Tiles:
    """Tiles of side² outputs, where a phase of the window has taps² places."""

    side: int
    taps: int
    stride: Pair = (1, 1)

    @property
    def points(self) -> int:
        """Elements of an image along a side, and of what it is transformed to."""
        return self.side + self.taps - 1

    @property
    def products(self) -> int:
        """How many products of matrices take the place of those of the definition."""
        return self.points**2

    @property
    def phases(self) -> int:
        return self.stride[0] * self.stride[1]

    def count(self, outputs: Sequence[int]) -> int:
        """Tiles of an image."""
        height, width = outputs
        return -(-height // self.side) * -(-width // self.side)

    def places(self, window: Pair) -> Iterator[list[list[Pair | None]]]:
        """For each phase, the places of the window at its taps: by rows, None where one is missing."""
        for y in range(self.stride[0]):
            for x in range(self.stride[1]):
                rows = [y + i * self.stride[0] for i in range(self.taps)]
                columns = [x + i * self.stride[1] for i in range(self.taps)]
                yield [[(k, n) if k < window[0] and n < window[1] else None for n in columns] for k in rows]


def taps_of(window: Sequence[int], attrs: Attrs) -> int | None:
    """The places along a side of a phase, if there are tiles for such a convolution."""
    height, width = (-(-k // s) for k, s in zip(window, attrs["stride"], strict=True))
    plain = attrs["dilation"] == (1, 1) and attrs["groups"] == 1
    return height if plain and height == width and height in SIDES else None


def tiles_of(window: Sequence[int], attrs: Attrs, products: int) -> Tiles | None:
    """The tiles for which there are so many products."""
    taps = taps_of(window, attrs)
    found = (Tiles(side, taps, attrs["stride"]) for side in SIDES[taps]) if taps else ()
    return next((tiles for tiles in found if tiles.products == products), None)


def tiles_of_weights(window: Sequence[int], attrs: Attrs) -> Tiles:
    """Those that `winograd_weights` transforms for."""
    stride: Pair = attrs.get("stride", (1, 1))
    return Tiles(attrs["side"], -(-window[0] // stride[0]), stride)


def tiles_of_gradient(attrs: Attrs) -> Tiles:
    """Those of `winograd_weight_grad`."""
    return Tiles(attrs["side"], -(-attrs["window"][0] // attrs["stride"][0]), attrs["stride"])


@dataclass(frozen=True)
class _Operations:
    """Of one vector's product with each matrix: what results share is computed once."""

    image: int  # by Bᵀ
    sums: int  # by Aᵀ
    weights: int  # by G
    gradients: int  # by A
    weight_sums: int  # by Gᵀ


_OPERATIONS = {  # by points and taps
    (4, 3): _Operations(4, 4, 5, 2, 6),
    (6, 3): _Operations(24, 16, 15, 16, 16),
    (4, 2): _Operations(4, 4, 4, 3, 6),
    (5, 2): _Operations(22, 14, 10, 14, 13),
}


def _operations(tiles: Tiles) -> _Operations:
    return _OPERATIONS[tiles.points, tiles.taps]


def _transform_flops(of_vector: int, before: int, after: int) -> int:
    """Of a matrix [before, before] to one [after, after]: each column is transformed, and then each row."""
    return of_vector * (before + after)


def _weights_type(w: TensorType, *, side: int, panel: int, stride: Pair = (1, 1)) -> TensorType:
    taps = taps_of(w.shape[:2], {"stride": stride, "dilation": (1, 1), "groups": 1}) if w.rank == 4 else None
    if taps is None or not w.dtype.is_float:
        raise ShapeError(
            f"winograd_weights: needs floats, and 2 × 2 or 3 × 3 places of a window in a phase, got {w} and {stride=}"
        )
    if side not in SIDES[taps] or panel < 1:
        raise ShapeError(f"winograd_weights: tiles have sides of {SIDES[taps]}, panels columns; got {side} and {panel}")
    tiles, (_, _, channels, columns) = Tiles(side, taps, stride), w.shape
    return TensorType(w.dtype, (tiles.products, -(-columns // panel), tiles.phases * channels, panel))


def _weights_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    (*_, channels, columns), tiles = types[0].shape, tiles_of_weights(types[0].shape, attrs)
    each = _transform_flops(_operations(tiles).weights, tiles.taps, tiles.points)
    return each * tiles.phases * channels * columns


def weight_matrix(tiles: Tiles) -> Array:
    """G."""
    points = POINTS[tiles.points]
    finite = [[s * p**k for k in range(tiles.taps)] for s, p in zip(points.scales, points.finite, strict=True)]
    return np.array([*finite, [0.0] * (tiles.taps - 1) + [1.0]])


def _phases(w: Array, stride: Pair) -> Array:
    """[taps, taps, phases of the channels, columns], zeros where a place is missing."""
    (down, across), (height, width, channels, columns) = stride, w.shape
    whole = np.pad(w, ((0, -height % down), (0, -width % across), (0, 0), (0, 0)))
    apart = whole.reshape(whole.shape[0] // down, down, whole.shape[1] // across, across, channels, columns)
    return apart.transpose(0, 2, 1, 3, 4, 5).reshape(apart.shape[0], apart.shape[2], down * across * channels, columns)


def _transformed(w: Array, *, side: int, panel: int, stride: Pair = (1, 1)) -> Array:
    w = _phases(w, stride)
    tiles = Tiles(side, w.shape[0])
    g = weight_matrix(tiles).astype(w.dtype)
    channels, columns = w.shape[2:]
    rows = np.tensordot(g, w, 1)
    flat = np.tensordot(g, rows, (1, 1)).swapaxes(0, 1).reshape(tiles.products, channels, columns)
    panels = -(-columns // panel)
    whole = np.pad(flat, ((0, 0), (0, 0), (0, panels * panel - columns)))
    return whole.reshape(tiles.products, channels, panels, panel).transpose(0, 2, 1, 3)


winograd_weights = define(Op(
    name="winograd_weights", kind="index", infer=_weights_type, eval=computed_in_f32(_transformed), vjp=NONDIFF,
    doc="G w Gᵀ of the phases of weights [height, width, in, out], for tiles of `side`²: matrices [in, out] in panels "
        "of columns, then zeros.",
    flops=_weights_flops,
))  # fmt: skip


def _winograd_type(x: TensorType, w: TensorType, u: TensorType, **attrs: Any) -> TensorType:
    tiles = tiles_of(w.shape[:2], attrs, u.shape[0]) if w.rank == u.rank == 4 else None
    if tiles is None or u.shape[3] < 1:
        raise ShapeError(
            f"conv2d_winograd: {u} is not what weights {w} are transformed to; dilation is 1, and there is one group"
        )
    if u != _weights_type(w, side=tiles.side, panel=u.shape[3], stride=tiles.stride):
        raise ShapeError(f"conv2d_winograd: {u} is not what weights {w} are transformed to")
    return conv2d.infer(x, w, **attrs)


def _winograd_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    """Of the products of matrices and of the transforms of images and sums."""
    tiles = tiles_of(types[1].shape[:2], attrs, types[2].shape[0])
    assert tiles is not None, "the types have been checked"
    (batch, *outputs, columns), channels = out.shape, tiles.phases * types[0].shape[3]
    image = _transform_flops(_operations(tiles).image, tiles.points, tiles.points)
    sums = _transform_flops(_operations(tiles).sums, tiles.points, tiles.side)
    each = 2 * tiles.products * channels * columns + image * channels + sums * columns
    return batch * tiles.count(outputs) * each


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
    taps = taps_of(attrs["window"], attrs)
    if taps is None or side not in SIDES[taps] or not x.dtype.is_float:
        raise ShapeError(
            "winograd_weight_grad: needs floats, dilation 1, one group, 2 × 2 or 3 × 3 places of a window in a phase, "
            f"and tiles of a side in {SIDES}; got {x}, {side=} and {attrs}"
        )
    return conv2d_weight_grad.infer(x, g, **attrs)


def _weight_grad_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    """Of the products of matrices and of the transforms, each of which is done once."""
    (x, g), tiles = types, tiles_of_gradient(attrs)
    (batch, *outputs, columns), channels, operations = g.shape, tiles.phases * x.shape[3], _operations(tiles)
    image = _transform_flops(operations.image, tiles.points, tiles.points)
    gradients = _transform_flops(operations.gradients, tiles.side, tiles.points)
    products = 2 * tiles.products * channels * columns
    last = _transform_flops(operations.weight_sums, tiles.points, tiles.taps) * channels * columns
    return batch * tiles.count(outputs) * (products + image * channels + gradients * columns) + last


winograd_weight_grad = define(Op(
    name="winograd_weight_grad", kind="contract", doc="conv2d_weight_grad(x, g) by tiles of `side`² gradients.",
    infer=_weight_grad_type, eval=lambda x, g, *, side, **attrs: conv2d_weight_grad.eval(x, g, **attrs),
    flops=_weight_grad_flops, vjp=NONDIFF,
))  # fmt: skip
