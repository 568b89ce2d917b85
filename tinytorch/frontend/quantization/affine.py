"""Numbers as integers: x ≈ scale (q - zero_point), rounded to the nearest, halves to even (Jacob et al. 2018).

Within the range that the integers cover, the error is at most scale / 2; beyond it, numbers are the ends of the range.
Weights are i8 with zero point 0, those of `bits` bits within ±(2**(bits - 1) - 1), one scale for each row. Activations
are u8, from 0 to 2**bits - 1. Integers of 7 bits lose half of the precision; on machines whose fastest instruction adds
two products in 16 bits (AVX2), products of u8 by 7-bit weights fit there, and those of 8 by 8 bits do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import f32, i32, u8

# Below it, a range counts as this one: scales stay normal numbers, and so do their reciprocals.
LEAST_RANGE = 1e-30
MOST_PRODUCTS = 2**31 // (255 * 128)  # of bytes, whose sum fits into i32 whatever they are


def largest_weight(bits: int) -> int:
    """The largest integer of a weight; the least is its negative."""
    return 2 ** (bits - 1) - 1


def largest_activation(bits: int) -> int:
    """The largest integer of an activation; the least is 0."""
    return 2**bits - 1


class UnfitError(TinyTorchError):
    """Numbers that no integers stand for."""


def require_numbers(what: str, name: str, array: Array) -> None:
    """UnfitError if there are NaNs or infinities in `array`."""
    if not np.isfinite(array).all():
        kind = "NaN" if np.isnan(array).any() else "infinite numbers"
        raise UnfitError(f"{what}: {name} has {kind}, which no integers stand for", user_loc())


def quantize_int8(tensor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`tensor` as (q i8 of its shape, scale f32[], zero_point i32[]), with tensor ≈ scale (q - zero_point): affine, one
    scale for all elements, the range from the least to the largest of them and 0.

    0 stands for itself exactly, and no element is off by more than scale / 2 (and what f32 rounds off). Elements that
    are all equal to 0, or none, have the scale 1. TinyTorchError for integers, and for NaNs and infinities.
    """
    x = floats_of("quantize_int8", tensor)
    scale, zero_point = affine_parameters(float(x.min(initial=0.0)), float(x.max(initial=0.0)), 8)
    q = np.clip(np.rint(x / np.float32(scale)) + zero_point, 0, 255) - 128
    return Tensor(q.astype(np.int8)), Tensor(np.float32(scale)), Tensor(np.int32(zero_point - 128))


def floats_of(what: str, tensor: Tensor) -> Array:
    """The elements of a tensor in f32; TinyTorchError for integers, and for NaNs and infinities."""
    if not require_tensor(what, tensor).dtype.is_float:
        raise arguments.wrong_type(what, "tensor", "a tensor of floats", tensor)
    x = as_array(tensor).astype(np.float32)
    require_numbers(what, "tensor", x)
    return x


def affine_parameters(low: float, high: float, bits: int) -> tuple[float, int]:
    """(scale, zero point) of integers 0 to 2**bits - 1 that cover [low, high] and 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    top = largest_activation(bits)
    if high - low < LEAST_RANGE:
        return 1.0, 0
    scale = float(np.float32((high - low) / top))
    return scale, min(max(round(-low / scale), 0), top)


def symmetric_parameters(low: float, high: float, bits: int) -> tuple[float, int]:
    """(scale, zero point) of integers whose zero point is the middle, and that cover [low, high]."""
    half = largest_weight(bits)
    bound = max(-low, high, 0.0)
    return (float(np.float32(bound / half)) if bound >= LEAST_RANGE else 1.0), half + 1


@dataclass(frozen=True)
class QuantizedRows:
    """A matrix, or what has rows along its first axis, as integers: row i is scales[i] · integers[i]."""

    integers: Array
    scales: Array

    @property
    def values(self) -> Array:
        return self.integers * self.scales.reshape(-1, *(1,) * (self.integers.ndim - 1))

    @property
    def sums(self) -> Array:
        """Of the integers of each row, i32."""
        return self.integers.reshape(len(self.integers), -1).sum(1, dtype=np.int32)


def quantize_rows(weight: Array, bits: int, least_error: bool = False) -> QuantizedRows:
    """`weight` [rows, …] of f32 as i8 with a scale for each row: its largest magnitude is the largest integer, or with
    `least_error` the share of it, out of 40, for which the sum of squared errors is least. Rows of zeros have the scale
    1."""
    top = largest_weight(bits)
    flat = weight.reshape(len(weight), -1).astype(np.float32)
    bounds = np.abs(flat).max(axis=1, initial=0.0)
    bounds = np.where(bounds < LEAST_RANGE, np.float32(top), bounds)
    best = _rows_within(flat, bounds, top)
    if least_error:
        least = _squared_errors(flat, best)
        for share in np.linspace(0.975, 0.5, 39, dtype=np.float32):
            found = _rows_within(flat, bounds * share, top)
            errors = _squared_errors(flat, found)
            better = errors < least
            least = np.minimum(errors, least)
            best = QuantizedRows(
                np.where(better[:, None], found.integers, best.integers), np.where(better, found.scales, best.scales)
            )
    return QuantizedRows(best.integers.reshape(weight.shape), best.scales)


def _rows_within(flat: Array, bounds: Array, top: int) -> QuantizedRows:
    scales = (bounds / np.float32(top)).astype(np.float32)
    integers = np.clip(np.rint(flat / scales[:, None]), -top, top).astype(np.int8)
    return QuantizedRows(integers, scales)


def _squared_errors(flat: Array, rows: QuantizedRows) -> Array:
    return np.square(flat - rows.values).sum(1)


# Activations, in ops. All of it is exact or rounded once, so that machine code and numpy agree in every bit.
@dataclass(frozen=True)
class Activations:
    """x as integers u8, and what turns sums of their products back: x ≈ scale (integers - zero_point). Scale and zero
    point broadcast to x without its summed axes; a zero point of None is 0."""

    integers: Tensor
    scale: Tensor
    zero_point: Tensor | None


def as_bytes(x: Tensor, inverse: Any, zero_point: Any, bits: int) -> Tensor:
    """round(x · inverse) + zero_point as u8 of that many bits: beyond them its least and largest integer. NaN gives 0.
    The conversion to u8 saturates, so that 8 bits need no limits of their own."""
    q = (x * inverse).round()
    q = (q if zero_point is None else q + zero_point).cast(u8)
    return q if bits == 8 else q.minimum(Tensor(largest_activation(bits), dtype=u8))


def quantize_on_the_fly(x: Tensor, axes: tuple[int, ...], bits: int, symmetric: bool) -> Activations:
    """x of f32 with a scale, and a zero point unless symmetric, for each part along `axes`. A part that holds a NaN or
    an infinity has a scale which is no finite number, so that all results of it are none."""
    if symmetric:
        half = largest_weight(bits)
        bound = x.abs().amax(axes, keepdim=True).maximum(LEAST_RANGE)
        middle = Tensor(half + 1, dtype=i32)
        return Activations(as_bytes(x, half / bound, float(half + 1), bits), bound / half, middle)
    top = largest_activation(bits)
    low, high = x.amin(axes, keepdim=True).minimum(0.0), x.amax(axes, keepdim=True).maximum(0.0)
    width = (high - low).maximum(LEAST_RANGE)
    inverse = top / width
    zero_point = (-low * inverse).round()
    return Activations(as_bytes(x, inverse, zero_point, bits), width / top, zero_point.cast(i32))


def dequantize(sums: Tensor, x: Activations, weight_sums: Tensor, weight_scale: Tensor, bias: Tensor | None) -> Tensor:
    """f32 of `sums` i32 of products of `x` and weights; the sums and scales of weights, and the bias, broadcast to
    it."""
    if x.zero_point is not None:
        sums = sums - x.zero_point * weight_sums
    out, weight_scale = sums.cast(f32), weight_scale.cast(f32)  # `to` may have given the module another dtype
    # One scale for all of x goes into those of the weights, which are few; one for each row into the results.
    out = out * x.scale * weight_scale if x.scale.ndim else out * (x.scale * weight_scale)
    return out if bias is None else out + bias.cast(f32)
