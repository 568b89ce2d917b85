"""Quantization-aware training: layers of floats that compute with the numbers which integers will stand for.

The rounding has the derivative 0 almost everywhere; on the way back it is taken for the identity within the range of
the integers, and 0 beyond it (the straight-through estimator: Bengio, Léonard & Courville 2013; Jacob et al. 2018).
"""

from __future__ import annotations

from typing import Self

from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.layers.functions import linear
from tinytorch.frontend.module import Module
from tinytorch.frontend.quantization.affine import LEAST_RANGE, largest_activation, largest_weight
from tinytorch.frontend.quantization.settings import Settings
from tinytorch.frontend.spatial import Conv2d
from tinytorch.frontend.spatial.functions import conv2d
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import f32, i64

_MOMENTUM = 0.05  # of the running range


def fake_quantize_rows(weight: Tensor, bits: int) -> Tensor:
    """What the integers of `quantize_rows` stand for; its gradient is that of `weight`."""
    top = largest_weight(bits)
    plain = weight.detach()
    bound = plain.abs().amax(tuple(range(1, weight.ndim)), keepdim=True)
    scale = (bound.maximum(LEAST_RANGE)) / top
    return (plain / scale).round() * scale + (weight - plain)


def fake_quantize(x: Tensor, low: Tensor, high: Tensor, bits: int, symmetric: bool) -> Tensor:
    """What the integers of activations from `low` to `high` stand for; its gradient is that of x within this range."""
    if symmetric:
        scale = (high.maximum(-low)).maximum(LEAST_RANGE) / largest_weight(bits)
        zero_point = float(largest_weight(bits) + 1)
    else:
        scale = (high - low).maximum(LEAST_RANGE) / largest_activation(bits)
        zero_point = (-low / scale).round()
    q = ((x.detach() / scale).round() + zero_point).clamp(0.0, float(largest_activation(bits)))
    within = x.clamp(low, high)
    return (q - zero_point) * scale + (within - within.detach())


class QuantizationAware(Module):
    """What both layers share: the running range of their inputs, and their settings."""

    input_low: Tensor
    input_high: Tensor
    batches: Tensor
    settings: Settings

    @classmethod
    def from_float(cls, layer: Module, settings: Settings) -> Self:
        """The same layer, with its very parameters and hooks."""
        made = cls.__new__(cls)
        made.__setstate__(layer.__getstate__())
        made._watch(settings)
        return made

    def _watch(self, settings: Settings) -> None:
        self.settings = settings
        self.register_buffer("input_low", zeros((), dtype=f32))
        self.register_buffer("input_high", zeros((), dtype=f32))
        self.register_buffer("batches", zeros((), dtype=i64))

    def _fake_input(self, x: Tensor) -> Tensor:
        if self.training:
            self._move_range(x.detach())
        s = self.settings
        return fake_quantize(x, self.input_low, self.input_high, s.activation_bits, s.symmetric).cast(x.dtype)

    def _fake_weight(self, weight: Tensor) -> Tensor:
        return fake_quantize_rows(weight, self.settings.weight_bits)

    def _move_range(self, x: Tensor) -> None:
        """Towards that of x: the first batch gives the range, later ones move it by a twentieth at least."""
        with grad_mode(False):
            self.batches.add_(1)
            share = (1.0 / self.batches.cast(f32)).maximum(_MOMENTUM)
            for known, seen in ((self.input_low, x.amin().minimum(0.0)), (self.input_high, x.amax().maximum(0.0))):
                known.copy_(known + (seen - known) * share)

    @property
    def input_range(self) -> tuple[float, float]:
        """The range that training has seen. TinyTorchError if it has seen none."""
        if not self.batches.item():
            raise TinyTorchError(
                "quantize: the model was prepared for quantization-aware training, but has not run in training mode, "
                "which shows the ranges of activations",
                user_loc(),
            )
        return float(self.input_low.item()), float(self.input_high.item())


class QuantizationAwareLinear(QuantizationAware, Linear):
    """`Linear` that computes with numbers which integers will stand for. `prepare_qat` makes them."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(self._fake_input(input), self._fake_weight(self.weight), self.bias)


class QuantizationAwareConv2d(QuantizationAware, Conv2d):
    """`Conv2d` that computes with numbers which integers will stand for. `prepare_qat` makes them."""

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._padded(self._fake_input(input))
        weight = self._fake_weight(self.weight)
        return conv2d(x, weight, self.bias, self.stride, padding, self.dilation, self.groups)
