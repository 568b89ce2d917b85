"""Weights of four bits with a scale for each group of them: for decoding, whose time is that of reading weights.

Of 32 weights in a group, 16 bytes and a scale of 2 are 4.5 bits a weight: 7.1 times less than f32. A group's scale is
that share of its largest magnitude for which the sum of squared errors is least.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.module import Module
from tinytorch.frontend.quantization.affine import LEAST_RANGE
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, apply
from tinytorch.ir.ops.int4 import PANEL, RUN, pack_int4, unpack_int4
from tinytorch.ir.types import f16, f32, i8, u8

_LARGEST = 7  # of four bits; -8 is its neighbour
_SHARES = np.linspace(1.0, 0.7, 16, dtype=np.float32)


def quantize_groups(weight: Array, group_size: int) -> tuple[Array, Array]:
    """`weight` f32[out, in] as integers from -7 to 7, i8[in, out], and scales f16[groups, out] of `group_size` of its
    elements along `in` each, which is filled up with zeros to whole groups."""
    out, size = weight.shape
    count = -(-size // group_size)
    groups = np.pad(weight, ((0, 0), (0, count * group_size - size))).reshape(out, count, group_size)
    bounds = np.abs(groups).max(axis=2)
    best, scales, least = None, np.ones((out, count), np.float16), np.full((out, count), np.inf, np.float32)
    for share in _SHARES:
        with np.errstate(over="ignore"):
            scale = (bounds * share / _LARGEST).astype(np.float16)
        scale = np.where(scale == 0, np.float16(1), scale)
        wide = scale.astype(np.float32)[:, :, None]
        integers = np.clip(np.rint(groups / wide), -_LARGEST, _LARGEST)
        error = np.square(integers * wide - groups).sum(axis=2)
        better = error < least
        best = integers if best is None else np.where(better[:, :, None], integers, best)
        scales, least = np.where(better, scale, scales), np.minimum(error, least)
    assert best is not None
    return best.reshape(out, count * group_size).T.astype(np.int8), scales.T


class Int4Linear(Module):
    """x @ weight.T + bias, with weights of four bits and activations i8, quantized for each row of x: x [...,
    in_features] to [..., out_features].

    `weight_int4` and `weight_scale` lie as `int4_matmul` reads them. Sums of a group are exact in i32. A NaN or an
    infinity in x makes all results of its row NaN or infinite.
    """

    weight_int4: Tensor
    weight_scale: Tensor
    bias: Tensor | None
    form = "int4, dynamic"

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, group_size: int = 32) -> None:
        super().__init__()
        self.in_features = arguments.integer("Int4Linear", "in_features", in_features, 1)
        self.out_features = arguments.integer("Int4Linear", "out_features", out_features, 1)
        self.group_size = checked_group_size("Int4Linear", group_size)
        arguments.flag("Int4Linear", "bias", bias)
        count, panels = -(-in_features // group_size), -(-out_features // PANEL)
        runs = count * group_size // RUN
        self.register_buffer("weight_int4", zeros(panels, runs, PANEL, RUN // 2, dtype=u8))
        self.register_buffer("weight_scale", zeros(panels, count, PANEL, dtype=f16))
        self.register_buffer("bias", zeros(out_features) if bias else None)

    @classmethod
    def from_float(cls, layer: Linear, group_size: int = 32) -> Self:
        """The same layer with weights of four bits."""
        arguments.instance(cls.__name__, "layer", layer, Linear)
        made = cls(layer.in_features, layer.out_features, layer.bias is not None, group_size=group_size)
        integers, scales = quantize_groups(as_array(layer.weight).astype(np.float32), group_size)
        made.weight_int4 = Tensor(pack_int4(integers))
        panels = made.weight_scale.shape[0]
        filled = np.pad(scales, ((0, 0), (0, panels * PANEL - layer.out_features)))
        made.weight_scale = Tensor(filled.reshape(-1, panels, PANEL).transpose(1, 0, 2).copy())
        if layer.bias is not None:
            made.bias = Tensor(as_array(layer.bias).astype(np.float32))
        return made.eval()

    def forward(self, input: Tensor) -> Tensor:
        x = require_tensor("Int4Linear", input)
        if not x.dtype.is_float or not x.ndim or x.shape[-1] != self.in_features:
            raise ShapeError(f"Int4Linear: input is floats [..., {self.in_features}], got {x.type}", user_loc())
        rows = x.detach().cast(f32).reshape(math.prod(x.shape[:-1]), self.in_features)
        bound = rows.abs().amax(-1, keepdim=True).maximum(LEAST_RANGE)
        integers = (rows * (127.0 / bound)).round().cast(i8)
        scale = self.weight_scale.cast(f16)  # `to` may have given the module another dtype
        out = apply(ops.int4.int4_matmul, integers, self.weight_int4, scale, columns=self.out_features)
        out = out * (bound / 127.0)
        out = out if self.bias is None else out + self.bias.cast(f32)
        return out.cast(x.dtype).reshape(*x.shape[:-1], self.out_features)

    @property
    def weight(self) -> Tensor:
        """What the integers stand for, f32 [out_features, in_features]."""
        integers = unpack_int4(as_array(self.weight_int4)).astype(np.float32)
        scales = as_array(self.weight_scale).transpose(1, 0, 2).reshape(self.weight_scale.shape[1], -1)
        wide = integers * np.repeat(scales.astype(np.float32), self.group_size, axis=0)
        return Tensor(np.ascontiguousarray(wide[: self.in_features, : self.out_features].T))

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}, "
            f"groups of {self.group_size}"
        )


def checked_group_size(what: str, size: int) -> int:
    """`size`, if groups can have it."""
    if arguments.integer(what, "group_size", size, 1) % RUN:
        raise arguments.wrong_value(what, "group_size", f"a multiple of {RUN}", size)
    return size
