"""Batch normalisation, and dropout of channels, as modules."""

from __future__ import annotations

from collections.abc import Mapping

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.creation import ones, zeros
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.layers.channel_modules import channels_of
from tinytorch.frontend.layers.functions import dropout
from tinytorch.frontend.layers.resets import TrackedNorm
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.module.parameter_types import parameter_dtype
from tinytorch.frontend.spatial.arguments import Images, count, error
from tinytorch.frontend.spatial.functions import batch_norm
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.op import Array
from tinytorch.ir.types import f32, i64


class Dropout2d(Module):
    """Whole channels set to 0 with probability `p` in training, the others scaled by 1 / (1 - p): neighbouring elements
    of an image are too alike for `Dropout` to hide anything (Tompson et al. 2015)."""

    def __init__(self, p: float = 0.5, generator: Generator | None = None) -> None:
        super().__init__()
        self.p = arguments.probability("Dropout2d", "p", p)
        arguments.instance("Dropout2d", "generator", generator, Generator, optional=True)
        self.generator = generator

    def forward(self, input: Tensor) -> Tensor:
        images = Images("Dropout2d", input, 2)
        images.require_float()
        if not self.training or self.p == 0:
            return input
        kept = ones(*input.shape[:-2], 1, 1, dtype=input.dtype)
        return input * dropout(kept, self.p, True, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class _BatchNorm(TrackedNorm):
    """Normalisation by channel. In training with the mean and variance of the batch, towards which `running_mean` and
    `running_var` move by a fraction `momentum` (None: they are the means over all batches so far); in evaluation with
    the running ones, or with the batch's own if `track_running_stats` is False."""

    ranks: tuple[int, ...]
    axes: str
    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _younger = ("num_batches_tracked",)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: object = None,
        dtype: object = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        name, dtype = type(self).__name__, parameter_dtype(device, dtype)
        self.num_features = count(name, "num_features", num_features)
        if not dtype.is_float:
            raise error(f"{name}: needs a float dtype, got {dtype}")
        self.eps = arguments.not_negative(name, "eps", eps)
        self.momentum = None if momentum is None else arguments.fraction(name, "momentum", momentum)
        self.affine = arguments.flag(name, "affine", affine)
        self.track_running_stats = arguments.flag(name, "track_running_stats", track_running_stats)
        self.weight = Parameter(ones(num_features, dtype=dtype)) if affine else None
        shifted = arguments.flag(name, "bias", bias) and affine
        self.bias = Parameter(zeros(num_features, dtype=dtype)) if shifted else None
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, dtype=dtype) if tracked else None)
        self.register_buffer("running_var", ones(num_features, dtype=dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", Tensor(0, dtype=i64) if tracked else None)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.ranks or input.shape[1] != self.num_features:
            raise error(
                f"{type(self).__name__}: input is {self.axes} with {self.num_features} channels along axis 1, "
                f"got {input.type}"
            )
        out = batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or self.running_mean is None, self._fraction(), self.eps,
        )  # fmt: skip
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return out

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        self.num_features = channels_of(self, self.num_features)

    def _fraction(self) -> float | Tensor:
        """How far the running statistics move towards those of this batch."""
        if self.momentum is not None or self.num_batches_tracked is None:
            return self.momentum or 0.0
        return 1.0 / (self.num_batches_tracked + 1).cast(f32)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """(x - mean) / sqrt(variance + eps) * weight + bias by channel, of [batch, channels] or [batch, channels, length]
    (Ioffe & Szegedy 2015); `BatchNorm2d` describes the statistics."""

    ranks, axes = (2, 3), "[batch, channels] or [batch, channels, length]"


class BatchNorm2d(_BatchNorm):
    """(x - mean) / sqrt(variance + eps) * weight + bias by channel, of [batch, channels, height, width]
    (Ioffe & Szegedy 2015).

    In training, mean and variance are those of the batch, and `running_mean` and `running_var` move by a fraction
    `momentum` towards them (None: they are the means over all batches so far); in evaluation they are the running ones.
    Running statistics are state, not parameters; without them (`track_running_stats=False`) the batch's own serve in
    evaluation too. Parameters are 2 num_features, with `affine`; training keeps x, and takes two passes over it before
    the one that writes the result.
    """

    ranks, axes = (4,), "[batch, channels, height, width]"


class BatchNorm3d(_BatchNorm):
    """(x - mean) / sqrt(variance + eps) * weight + bias by channel, of [batch, channels, depth, height, width];
    `BatchNorm2d` describes the statistics."""

    ranks, axes = (5,), "[batch, channels, depth, height, width]"
