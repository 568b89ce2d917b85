"""Norms of groups and instances, and dropout of channels, as modules, under PyTorch's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.creation import ones, zeros
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.layers import channel_functions as functions
from tinytorch.frontend.layers.distances import cosine_similarity, pairwise_distance
from tinytorch.frontend.layers.functions import bilinear
from tinytorch.frontend.layers.resets import Norm, TrackedNorm
from tinytorch.frontend.module import Module, Parameter, init
from tinytorch.frontend.module.calling import Calling
from tinytorch.frontend.module.parameter_types import parameter_dtype
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import i64

__all__ = [
    "AlphaDropout",
    "Bilinear",
    "CosineSimilarity",
    "Dropout1d",
    "Dropout3d",
    "FeatureAlphaDropout",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LocalResponseNorm",
    "PairwiseDistance",
]


def channels_of(norm: Any, otherwise: int) -> int:
    """How many channels a norm has, by its parameters or statistics; `otherwise` where it has none."""
    found = norm.weight if norm.weight is not None else getattr(norm, "running_mean", None)
    return otherwise if found is None else found.shape[0]


class GroupNorm(Norm):
    """(x - mean) / sqrt(variance + eps) of each of `num_groups` groups of channels, times weight plus bias."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: object = None,
        dtype: object = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        kind = parameter_dtype(device, dtype)
        self.num_groups = arguments.integer("GroupNorm", "num_groups", num_groups, 1)
        self.num_channels = arguments.integer("GroupNorm", "num_channels", num_channels, 1)
        if num_channels % num_groups:
            raise arguments.wrong_value(
                "GroupNorm", "num_channels", f"a multiple of num_groups {num_groups}", num_channels
            )
        self.eps, self.affine = eps, arguments.flag("GroupNorm", "affine", affine)
        arguments.flag("GroupNorm", "bias", bias)
        self.weight = Parameter(ones(num_channels, dtype=kind)) if affine else None
        self.bias = Parameter(zeros(num_channels, dtype=kind)) if affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        return functions.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        channels = channels_of(self, self.num_channels)  # whole groups go, since their statistics are their own
        self.num_groups = self.num_groups * channels // self.num_channels
        self.num_channels = channels

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class _InstanceNorm(TrackedNorm):
    _younger = ("num_batches_tracked",)
    ranks: ClassVar[tuple[int, int]]
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: object = None,
        dtype: object = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        name, kind = type(self).__name__, parameter_dtype(device, dtype)
        self.num_features = arguments.integer(name, "num_features", num_features, 1)
        self.eps, self.momentum = eps, arguments.fraction(name, "momentum", momentum)
        self.affine, tracked = affine, arguments.flag(name, "track_running_stats", track_running_stats)
        self.track_running_stats = tracked
        arguments.flag(name, "bias", bias)
        self.weight = Parameter(ones(num_features, dtype=kind)) if arguments.flag(name, "affine", affine) else None
        self.bias = Parameter(zeros(num_features, dtype=kind)) if affine and bias else None
        self.register_buffer("running_mean", zeros(num_features, dtype=kind) if tracked else None)
        self.register_buffer("running_var", ones(num_features, dtype=kind) if tracked else None)
        self.register_buffer("num_batches_tracked", Tensor(0, dtype=i64) if tracked else None)

    def forward(self, input: Tensor) -> Tensor:
        name = type(self).__name__
        if require_tensor(name, input).ndim not in self.ranks:
            raise ShapeError(f"{name}: x has {self.ranks[0]} or {self.ranks[1]} axes, got {input.type}", user_loc())
        x = input if input.ndim == self.ranks[1] else input.unsqueeze(0)
        if x.shape[1] != self.num_features:
            raise ShapeError(f"{name}: x has {self.num_features} channels, got {input.type}", user_loc())
        out = functions.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, self.momentum, self.eps,
        )  # fmt: skip
        return out if input.ndim == self.ranks[1] else out.squeeze(0)

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        self.num_features = channels_of(self, self.num_features)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class InstanceNorm1d(_InstanceNorm):
    """(x - mean) / sqrt(variance + eps) of each channel of each sequence [batch, channels, length]."""

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """(x - mean) / sqrt(variance + eps) of each channel of each image [batch, channels, height, width]."""

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """(x - mean) / sqrt(variance + eps) of each channel of each volume [batch, channels, depth, height, width]."""

    ranks = (4, 5)


class LocalResponseNorm(Calling):
    """x / (k + alpha · mean of x² over `size` neighbouring channels)**beta."""

    function = functions.local_response_norm

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self._keep(size=size, alpha=alpha, beta=beta, k=k)


class _Dropout(Module):
    function: ClassVar[Callable[..., Any]]

    def __init__(self, p: float = 0.5, inplace: bool = False, *, generator: Generator | None = None) -> None:
        super().__init__()
        name = type(self).__name__
        self.p = arguments.probability(name, "p", p)
        self.inplace = arguments.flag(name, "inplace", inplace)
        arguments.instance(name, "generator", generator, Generator, optional=True)
        self.generator = generator

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, self.p, self.training, self.inplace, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}{', inplace=True' if self.inplace else ''}"


class Dropout1d(_Dropout):
    """Whole channels of [batch, channels, length] set to 0 with probability `p`."""

    function = functions.dropout1d


class Dropout3d(_Dropout):
    """Whole channels of [batch, channels, depth, height, width] set to 0 with probability `p`."""

    function = functions.dropout3d


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1 of what SELU gives."""

    function = functions.alpha_dropout


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels."""

    function = functions.feature_alpha_dropout


class CosineSimilarity(Module):
    """x1 · x2 / (|x1| |x2|) along `dim`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = arguments.integer("CosineSimilarity", "dim", dim), eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps along the last axis."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps = p, eps
        self.keepdim = arguments.flag("PairwiseDistance", "keepdim", keepdim)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class Bilinear(Module):
    """`F.bilinear` of two inputs [..., in1_features] and [..., in2_features]: [..., out_features], with `weight`
    [out_features, in1_features, in2_features]. Weights and bias begin uniform with bound 1 / sqrt(in1_features)."""

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__()
        kind = parameter_dtype(device, dtype)
        self.in1_features = arguments.integer("Bilinear", "in1_features", in1_features, 1)
        self.in2_features = arguments.integer("Bilinear", "in2_features", in2_features, 1)
        self.out_features = arguments.integer("Bilinear", "out_features", out_features, 1)
        self.weight = Parameter(zeros(out_features, in1_features, in2_features, dtype=kind))
        self.bias = Parameter(zeros(out_features, dtype=kind)) if arguments.flag("Bilinear", "bias", bias) else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew, uniform with bound 1 / sqrt(in1_features)."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"
