"""Layers whose products are of bytes: weights i8 with a scale for each output, activations u8.

The scale of activations is found on the fly (dynamic: one for each row, of convolutions for each image), or is given
(static: `input_scale` and, unless it is 0, `input_zero_point`). They hold no parameters and give no gradients: they are
for inference, and `prepare_qat` is for training. Other float dtypes than f32 are converted on the way in and out.

A NaN or an infinity among dynamic activations makes all results of its row NaN or infinite, as it does in floats.
Static ones are refused if they hold a NaN, which no integer stands for; an infinity is the end of the range.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.embeddings import Embedding
from tinytorch.frontend.functions.creation import ones, zeros
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.layers.functions import checked_rows
from tinytorch.frontend.module import Module
from tinytorch.frontend.quantization.affine import (
    Activations,
    QuantizedRows,
    affine_parameters,
    as_bytes,
    dequantize,
    quantize_on_the_fly,
    quantize_rows,
    symmetric_parameters,
)
from tinytorch.frontend.quantization.settings import Settings
from tinytorch.frontend.spatial import Conv2d
from tinytorch.frontend.spatial.arguments import Ints, Size, count, sizes
from tinytorch.frontend.spatial.functions import conv2d, paddings
from tinytorch.frontend.spatial.padding import pad
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.types import dtype_of, f32, i8, i32

Range = tuple[float, float]


class QuantizedWeights(Module):
    """`weight_int8` with `weight_scale` and the sums of its integers, for each row; `weight` is what they stand for."""

    weight_int8: Tensor
    weight_scale: Tensor
    weight_sums: Tensor
    weight_bits: int

    def _hold_weights(self, shape: tuple[int, ...], bits: int) -> None:
        self.weight_bits = bits
        self.register_buffer("weight_int8", zeros(shape, dtype=i8))
        self.register_buffer("weight_scale", ones(shape[0]))
        self.register_buffer("weight_sums", zeros(shape[0], dtype=i32))

    def _take_weights(self, rows: QuantizedRows) -> None:
        self.weight_int8 = Tensor(rows.integers)
        self.weight_scale = Tensor(rows.scales)
        self.weight_sums = Tensor(rows.sums)

    def share_weights(self, other: QuantizedWeights) -> None:
        """Have the very weights of another layer, of the same shape."""
        self.weight_int8, self.weight_scale, self.weight_sums = other.weight_int8, other.weight_scale, other.weight_sums

    @property
    def weight(self) -> Tensor:
        """What the integers stand for, f32."""
        scale = self.weight_scale.reshape(-1, *(1,) * (self.weight_int8.ndim - 1))
        return self.weight_int8.cast(f32) * scale


class QuantizedProducts(QuantizedWeights):
    """What layers of products share: the scale of their activations, and a bias."""

    bias: Tensor | None
    input_scale: Tensor | None
    input_zero_point: Tensor | None

    def _set_up(self, shape: tuple[int, ...], bias: bool, settings: Settings) -> None:
        self._hold_weights(shape, settings.weight_bits)
        self.activation_bits, self.scheme = settings.activation_bits, settings.scheme
        self.register_buffer("input_bits", Tensor(np.uint8(settings.activation_bits)))  # for `load_quantized`, as is
        self.register_buffer("input_symmetric", Tensor(np.bool_(settings.symmetric)))
        self.register_buffer("bias", zeros(shape[0]) if bias else None)
        self.register_buffer("input_scale", None)
        self.register_buffer("input_zero_point", None)

    def _take(self, layer: Any, settings: Settings, input_range: Range | None, rows: QuantizedRows | None) -> Self:
        """The weights and the bias of a layer of floats, and the range of its input, if that is known."""
        weight = as_array(layer.weight).astype(np.float32)
        self._take_weights(rows or quantize_rows(weight, settings.weight_bits, settings.method == "mse"))
        if layer.bias is not None:
            self.bias = Tensor(as_array(layer.bias).astype(np.float32))
        if input_range is not None:
            self.set_input_range(*input_range)
        return self.eval()

    def set_input_range(self, low: float, high: float) -> None:
        """Make the layer static: activations from `low` to `high`, and 0, are what its integers cover."""
        find = symmetric_parameters if self.scheme == "symmetric" else affine_parameters
        scale, zero_point = find(low, high, self.activation_bits)
        self.input_scale = Tensor(np.float32(scale))
        self.input_zero_point = Tensor(np.int32(zero_point)) if zero_point else None

    @property
    def is_static(self) -> bool:
        """Whether the scale of activations is given, and not found on the fly."""
        return self.input_scale is not None

    @property
    def form(self) -> str:
        """Of the layer, as tables name it."""
        form = f"int8, {'static' if self.is_static else 'dynamic'}"
        return form if self.precision == "W8A8" else f"{form}, {self.precision}"

    @property
    def precision(self) -> str:
        """The numbers of bits, as tables name them: "W7A8" is weights of 7 bits by activations of 8."""
        return f"W{self.weight_bits}A{self.activation_bits}"

    def _activations(self, x: Tensor, axes: tuple[int, ...]) -> Activations:
        """x as integers: by the scale that is given, or on the fly by one for each part along `axes`."""
        if self.input_scale is None:
            return quantize_on_the_fly(x, axes, self.activation_bits, self.scheme == "symmetric")
        point = self.input_zero_point
        x = apply(ops.elementwise.checked_number, x, what=type(self).__name__)
        shift, scale = None if point is None else point.cast(f32), self.input_scale.cast(f32)
        return Activations(as_bytes(x, 1.0 / scale, shift, self.activation_bits), scale, point)

    def _require_floats(self, x: Any) -> Tensor:
        if not require_tensor(type(self).__name__, x).dtype.is_float:
            raise ShapeError(f"{type(self).__name__}: needs a float dtype, got input {x.type}", user_loc())
        return x.detach()  # rounding has no gradient, and half of one would be wrong

    def _described(self) -> str:
        kind = "static" if self.is_static else "dynamic"
        return f"{kind}, weights of {self.weight_bits} bits, activations of {self.activation_bits}, {self.scheme}"


class QuantizedLinear(QuantizedProducts):
    """x @ weight.T + bias with products of bytes: x [..., in_features] to [..., out_features].

    Activations are quantized for each row of x, or by `input_scale`; sums of products are exact in i32, and turned
    into floats by the scales of row and column. `from_float` makes one of a `Linear`; without it, weights are zeros,
    for `load_state_dict`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_bits: int = 8,
        activation_bits: int = 8,
        scheme: str = "affine",
    ) -> None:
        super().__init__()
        self.in_features = arguments.integer("QuantizedLinear", "in_features", in_features, 1)
        self.out_features = arguments.integer("QuantizedLinear", "out_features", out_features, 1)
        arguments.flag("QuantizedLinear", "bias", bias)
        self._set_up((out_features, in_features), bias, Settings(weight_bits, activation_bits, scheme))

    @classmethod
    def from_float(
        cls,
        layer: Linear,
        settings: Settings | None = None,
        input_range: Range | None = None,
        rows: QuantizedRows | None = None,
    ) -> Self:
        """The same layer quantized; with an `input_range`, a static one. `rows` are its weights, if they are known."""
        arguments.instance(cls.__name__, "layer", layer, Linear)
        settings = settings or Settings()
        return cls.like(layer, settings, layer.bias is not None)._take(layer, settings, input_range, rows)

    @classmethod
    def like(cls, layer: Linear, settings: Settings, bias: bool) -> Self:
        """A layer of the same sizes, with weights of zeros."""
        return cls(
            layer.in_features, layer.out_features, bias, weight_bits=settings.weight_bits,
            activation_bits=settings.activation_bits, scheme=settings.scheme,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        x = self._require_floats(input)
        if not x.ndim or x.shape[-1] != self.in_features:
            raise ShapeError(f"QuantizedLinear: input is [..., {self.in_features}], got {x.type}", user_loc())
        rows = x.cast(f32).reshape(math.prod(x.shape[:-1]), self.in_features)
        found = self._activations(rows, (-1,))
        sums = found.integers.matmul(self.weight_int8.T, dtype=i32)
        out = dequantize(sums, found, self.weight_sums, self.weight_scale, self.bias)
        return out.cast(x.dtype).reshape(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}, {self._described()}"


class QuantizedConv2d(QuantizedProducts):
    """`Conv2d` with products of bytes: [batch, in_channels, height, width] to [batch, out_channels, …].

    Activations are quantized for each image, or by `input_scale`. Zeros around the image are the integer zero point.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        weight_bits: int = 8,
        activation_bits: int = 8,
        scheme: str = "affine",
    ) -> None:
        super().__init__()
        name = "QuantizedConv2d"
        self.in_channels, self.out_channels = (
            count(name, "in_channels", in_channels),
            count(name, "out_channels", out_channels),
        )
        self.groups = count(name, "groups", groups)
        self.kernel_size = sizes(name, "kernel_size", kernel_size, 2)
        self.stride, self.dilation = sizes(name, "stride", stride, 2), sizes(name, "dilation", dilation, 2)
        self.padding_mode = arguments.choice(
            name, "padding_mode", padding_mode, "zeros", "reflect", "replicate", "circular"
        )
        low, high = paddings(name, padding, self.kernel_size, self.stride, self.dilation)
        self.padding: Ints | str = padding if isinstance(padding, str) else low
        self._around = tuple(n for pair in zip(reversed(low), reversed(high), strict=True) for n in pair)
        settings = Settings(weight_bits, activation_bits, scheme)
        self._set_up((out_channels, in_channels // groups, *self.kernel_size), bias, settings)

    @classmethod
    def from_float(
        cls,
        layer: Conv2d,
        settings: Settings | None = None,
        input_range: Range | None = None,
        rows: QuantizedRows | None = None,
    ) -> Self:
        """The same layer quantized; with an `input_range`, a static one. `rows` are its weights, if they are known."""
        arguments.instance(cls.__name__, "layer", layer, Conv2d)
        settings = settings or Settings()
        return cls.like(layer, settings, layer.bias is not None)._take(layer, settings, input_range, rows)

    @classmethod
    def like(cls, layer: Conv2d, settings: Settings, bias: bool) -> Self:
        """A layer of the same sizes, with weights of zeros."""
        return cls(
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
            layer.groups, bias, layer.padding_mode, weight_bits=settings.weight_bits,
            activation_bits=settings.activation_bits, scheme=settings.scheme,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        given = self._require_floats(input)
        x, padding = self._padded(given.cast(f32))
        if x.ndim not in (3, 4) or x.shape[-3] != self.in_channels:
            raise ShapeError(
                f"QuantizedConv2d: input is [batch, {self.in_channels}, height, width], with or without the batch, got "
                f"{given.type}",
                user_loc(),
            )
        found = self._activations(x, (-3, -2, -1))
        sums = conv2d(
            found.integers, self.weight_int8, None, self.stride, padding, self.dilation, self.groups, dtype=i32
        )
        bias = None if self.bias is None else _along_channels(self.bias)
        out = dequantize(sums, found, _along_channels(self.weight_sums), _along_channels(self.weight_scale), bias)
        return out.cast(given.dtype)

    def _padded(self, x: Tensor) -> tuple[Tensor, Ints | str]:
        """x with what stands around it, and the zeros that are still to come, of which the integer is 0 too."""
        zeros = self.padding_mode == "zeros"
        if not any(self._around) or (zeros and self.is_static and self.input_zero_point is None):
            return x, self.padding
        return pad(x, self._around, "constant" if zeros else self.padding_mode), (0, 0)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        usual: dict[str, Any] = {"padding": (0, 0), "dilation": (1, 1), "groups": 1, "padding_mode": "zeros"}
        parts += [f"{k}={getattr(self, k)}" for k, v in usual.items() if getattr(self, k) != v]
        parts += [] if self.bias is not None else ["bias=False"]
        return ", ".join([*parts, self._described()])


def _along_channels(x: Tensor) -> Tensor:
    """[channels] as it broadcasts to images."""
    return x.reshape(x.shape[0], 1, 1)


class QuantizedEmbedding(QuantizedWeights):
    """A table of i8 with a scale for each row, a fourth of the memory: integers [...] to floats `dtype` [...,
    embed_dim].

    `project` is the layer of scores whose weights are the table, with products of bytes, activations quantized for each
    row.
    """

    form = "int8"

    def __init__(self, vocab_size: int, embed_dim: int, *, weight_bits: int = 8, dtype: object = f32) -> None:
        super().__init__()
        self.dtype = dtype_of(dtype)
        self.vocab_size = arguments.integer("QuantizedEmbedding", "vocab_size", vocab_size, 1)
        self.embed_dim = arguments.integer("QuantizedEmbedding", "embed_dim", embed_dim, 1)
        self._hold_weights((vocab_size, embed_dim), Settings(weight_bits).weight_bits)

    @classmethod
    def from_float(cls, layer: Embedding, settings: Settings | None = None, rows: QuantizedRows | None = None) -> Self:
        """The same table quantized. `rows` are its weights, if they are known."""
        arguments.instance(cls.__name__, "layer", layer, Embedding)
        settings = settings or Settings()
        made = cls.like(layer, settings)
        weight = as_array(layer.weight).astype(np.float32)
        made._take_weights(rows or quantize_rows(weight, settings.weight_bits, settings.method == "mse"))
        return made.eval()

    @classmethod
    def like(cls, layer: Embedding, settings: Settings) -> Self:
        """A table of the same sizes and dtype, of zeros."""
        return cls(layer.vocab_size, layer.embed_dim, weight_bits=settings.weight_bits, dtype=layer.weight.dtype)

    def forward(self, indices: Tensor) -> Tensor:
        rows = checked_rows("QuantizedEmbedding", indices, self.weight_int8)
        integers = apply(ops.index.gather, self.weight_int8, rows, axis=0)
        scale = apply(ops.index.gather, self.weight_scale.cast(f32), rows, axis=0).unsqueeze(-1)
        return (integers.cast(f32) * scale).cast(self.dtype)

    def project(self, x: Tensor) -> Tensor:
        """x [..., embed_dim] by each row of the table: [..., vocab_size]."""
        rows = x.detach().cast(f32).reshape(math.prod(x.shape[:-1]), self.embed_dim)
        found = quantize_on_the_fly(rows, (-1,), 8, symmetric=False)
        sums = found.integers.matmul(self.weight_int8.T, dtype=i32)
        out = dequantize(sums, found, self.weight_sums, self.weight_scale, None)
        return out.cast(x.dtype).reshape(*x.shape[:-1], self.vocab_size)

    def extra_repr(self) -> str:
        return f"{self.vocab_size}, {self.embed_dim}, weights of {self.weight_bits} bits"
