"""Convolutions and their gradients: direct, of packed bytes, and by Winograd."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.op_samples.operands import random_array, rng_of
from tests.op_samples.sample import Sample
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.op import OPS, Array
from tinytorch.ir.ops.packed_convolution import packed_weights
from tinytorch.ir.types import DTYPES

PLAIN = {"stride": (1, 1), "low": (0, 0), "high": (0, 0), "dilation": (1, 1)}
WINDOWS: list[dict[str, Any]] = [
    {**PLAIN, "low": (1, 1), "high": (1, 1)},
    {"stride": (2, 1), "low": (1, 0), "high": (0, 2), "dilation": (1, 2)},
    {"stride": (3, 2), "low": (0, 1), "high": (2, 1), "dilation": (2, 1)},
]


def without(attrs: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in attrs.items() if key not in names}


def _convolution_samples(
    x: Array, w: Array, attrs: Mapping[str, Any], tolerance: float, rng: np.random.Generator, smooth: bool = False
) -> list[Sample]:
    """A convolution and its two transposes, on gradients of its shape."""
    forward = Sample(OPS["conv2d"], (x, w), attrs, tolerance, False, smooth)
    (out,) = forward.op.result_types(forward.types, attrs)
    g = random_array(out.dtype, out.shape, rng)
    shared, image, window = without(attrs, "high"), (x.shape[1], x.shape[2]), (w.shape[0], w.shape[1])
    return [
        forward,
        Sample(OPS["conv2d_weight_grad"], (x, g), {**shared, "window": window}, tolerance, False, smooth),
        Sample(OPS["conv2d_input_grad"], (g, w), {**shared, "size": image}, tolerance, False, smooth),
    ]


def _convolutions() -> list[Sample]:
    rng = rng_of("conv2d")
    samples: list[Sample] = []
    for attrs, groups in zip(WINDOWS, (1, 2, 4), strict=True):
        x, w = rng.normal(size=(2, 6, 5, 4)), rng.normal(size=(2, 3, 4 // groups, 4))
        samples += _convolution_samples(x, w, {**attrs, "groups": groups}, 32, rng, smooth=True)
    shapes = [
        ((2, 9, 7, 3), (3, 3, 3, 5), 1), ((1, 8, 8, 16), (3, 3, 16, 33), 1), ((3, 4, 4, 8), (1, 1, 8, 17), 1),
        ((2, 7, 9, 12), (3, 3, 1, 12), 12), ((2, 6, 6, 6), (3, 2, 2, 9), 3), ((1, 1, 30, 4), (1, 5, 4, 6), 1),
    ]  # fmt: skip
    for (shape, window, groups), attrs in itertools.product(shapes, WINDOWS[:2]):
        x, w = (rng.normal(size=s).astype(np.float32) for s in (shape, window))
        samples += _convolution_samples(x, w, {**attrs, "groups": groups}, 64, rng)
    for dtype in ("bf16", "f16", "i8", "i32"):
        x, w = (random_array(DTYPES[dtype], s, rng) for s in ((2, 5, 6, 4), (3, 3, 2, 6)))
        tolerance = 2 if DTYPES[dtype].is_float else 0
        samples += _convolution_samples(x, w, {**WINDOWS[0], "groups": 2}, tolerance, rng)
    pairs = [("u8", "i8", "i32"), ("i8", "i8", "i32"), ("u8", "u8", "i32"), ("i8", "u8", "i32"), ("bf16", "f16", "f32")]
    for (image, weight, wide), attrs in zip(pairs, WINDOWS + WINDOWS, strict=False):
        x, w = random_array(DTYPES[image], (2, 5, 6, 6), rng), random_array(DTYPES[weight], (3, 2, 3, 8), rng)
        sums = {**attrs, "groups": 2, "dtype": DTYPES[wide]}
        samples.append(Sample(OPS["conv2d"], (x, w), sums, 64 if wide == "f32" else 0, False))
    return samples


def _packed_convolutions() -> list[Sample]:
    """Convolutions of bytes by weights in groups, that share the places of a window's row or do not."""
    rng = rng_of("conv2d_packed")
    samples: list[Sample] = []
    cases = [("u8", "i8", 3, 2, 4, 16), ("i8", "i8", 4, 1, 4, 8), ("u8", "u8", 5, 1, 2, 5), ("i8", "u8", 8, 2, 2, 16)]
    for (image, weight, channels, groups, size, width), attrs in zip(cases, WINDOWS + WINDOWS, strict=False):
        x = random_array(DTYPES[image], (2, 6, 7, channels * groups), rng)
        w = Tensor(random_array(DTYPES[weight], (3, 3, channels, 9 * groups), rng))
        packed = packed_weights(w, groups=groups, dilation=attrs["dilation"][1], size=size, width=width).numpy()
        packing = {"window": (3, 3), "columns": 9 * groups, "size": size, "weights": w.dtype, "most": (255, 255)}
        own = {**attrs, **packing, "groups": groups, "around": channels}
        samples.append(Sample(OPS["conv2d_packed"], (x, packed), own, 0, False))
    return samples


def _winograd() -> list[Sample]:
    rng = rng_of("conv2d_winograd")
    attrs = {"stride": (1, 1), "low": (1, 1), "high": (1, 0), "dilation": (1, 1), "groups": 1}
    samples: list[Sample] = []
    cases = [
        ((2, 7, 9, 20), 33, "f32", 2, 48), ((1, 4, 6, 3), 5, "f64", 2, 8), ((1, 6, 5, 16), 16, "bf16", 2, 16),
        ((2, 7, 9, 20), 33, "f32", 4, 16), ((1, 5, 6, 3), 5, "f64", 4, 8),
    ]  # fmt: skip
    for shape, columns, dtype, side, panel in cases:
        x, w = (random_array(DTYPES[dtype], s, rng) for s in (shape, (3, 3, shape[3], columns)))
        samples += _winograd_of(x, w, attrs, {"side": side, "panel": panel}, smooth=dtype == "f64")
    over_phases = [
        ((4, 4), (2, 2), 4, "f32"), ((3, 4), (2, 2), 3, "f64"), ((2, 3), (1, 2), 3, "f32"), ((5, 3), (2, 1), 4, "f64"),
    ]  # fmt: skip
    for window, stride, side, dtype in over_phases:
        x, w = (random_array(DTYPES[dtype], s, rng) for s in ((1, 8, 7, 3), (*window, 3, 5)))
        cut = {"side": side, "panel": 16 if dtype == "f32" else 8, "stride": stride}
        samples += _winograd_of(x, w, {**attrs, "stride": stride, "high": (1, 1)}, cut, smooth=dtype == "f64")
    return samples


def _winograd_of(x: Array, w: Array, attrs: Mapping[str, Any], cut: Mapping[str, Any], smooth: bool) -> list[Sample]:
    """The transformed weights, the convolution by them, and the gradient of the weights."""
    weights = Sample(OPS["winograd_weights"], (w,), cut, tolerance=4, relative=False)
    operands = x, w, weights.expected
    whole = Sample(OPS["conv2d_winograd"], operands, attrs, tolerance=64, relative=False, smooth=smooth)
    of_weights = {**without(attrs, "high"), "window": w.shape[:2], "side": cut["side"]}
    back = Sample(OPS["winograd_weight_grad"], (x, whole.expected), of_weights, tolerance=64, relative=False)
    return [weights, whole, back]


def samples() -> list[Sample]:
    return [*_convolutions(), *_packed_convolutions(), *_winograd()]
