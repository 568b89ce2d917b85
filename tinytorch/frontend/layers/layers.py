"""Module 03: layers with parameters, and what joins them.

Memory of `Linear(i, o)` in training, in elements: weights i o + o, as much again for their gradients (and for each
moment that the optimizer keeps), activations b o per batch of b.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import cat, split
from tinytorch.frontend.functions.creation import ones, zeros
from tinytorch.frontend.functions.manipulation.shapes import unflatten
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.layers.functions import dropout, layer_norm, linear, rms_norm
from tinytorch.frontend.layers.resets import Norm
from tinytorch.frontend.module import Module, Parameter, init
from tinytorch.frontend.module.parameter_types import parameter_dtype
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.op import Array

__all__ = [
    "Dropout",
    "Flatten",
    "Identity",
    "LayerNorm",
    "Linear",
    "RMSNorm",
    "Unflatten",
]


class Linear(Module):
    """x @ weight.T + bias: x [..., in_features] to [..., out_features]; weight is [out_features, in_features].

    `initialization` of the weight: "default" as in PyTorch, uniform with bound 1 / sqrt(in_features) (as the bias);
    "xavier" or "he", uniform with the variances given in `init`, with a bias of zeros.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: object = None,
        dtype: object = None,
        *,
        initialization: str = "default",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        dtype = parameter_dtype(device, dtype)
        self.in_features = arguments.integer("Linear", "in_features", in_features, 1)
        self.out_features = arguments.integer("Linear", "out_features", out_features, 1)
        arguments.flag("Linear", "bias", bias)
        self.weight = Parameter(zeros(out_features, in_features, dtype=dtype))
        self.bias = Parameter(zeros(out_features, dtype=dtype)) if bias else None
        self.initialization, self.generator = initialization, generator
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew, as they were drawn at first."""
        init.initialize_("Linear", self.weight, self.bias, self.initialization, self.generator)

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        self.out_features, self.in_features = self.weight.shape

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


_FEW_ROWS = 32  # a product of so few rows reads its weights at the speed of memory, and joining them reads them again


def side_by_side(x: Tensor, *layers: Module) -> list[Tensor]:
    """x by each layer: one product with the weights joined, as x is then packed once and tiles are full; that pays
    from some rows on. Each weight stays a parameter of its own, so that an optimizer of matrices sees one. Layers with
    hooks, and those of other kinds, are called."""
    plain = [layer for layer in layers if isinstance(layer, Linear) and not layer.has_hooks]
    if len(plain) < len(layers) or len(layers) == 1 or x.numel() < _FEW_ROWS * x.shape[-1]:
        return [layer(x) for layer in layers]
    biases = [layer.bias for layer in plain if layer.bias is not None]
    joined = linear(x, cat([layer.weight for layer in plain]), cat(biases) if biases else None)
    return list(split(joined, [layer.out_features for layer in plain], -1))


class Dropout(Module):
    """Elements set to 0 with probability `p` in training, the others scaled by 1 / (1 - p).

    Each step trains another thinned network; inference averages them all (Srivastava et al. 2014). `forward(x,
    training)` drops only where both `training` and the module's own mode say so.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.p = arguments.probability("Dropout", "p", p)
        self.inplace = arguments.flag("Dropout", "inplace", inplace)
        arguments.instance("Dropout", "generator", generator, Generator, optional=True)
        self.generator = generator

    def forward(self, input: Tensor, training: bool = True) -> Tensor:
        return dropout(input, self.p, training and self.training, self.inplace, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}{', inplace=True' if self.inplace else ''}"


def _sizes(what: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    given = normalized_shape if isinstance(normalized_shape, (list, tuple)) else [normalized_shape]
    shape = tuple(arguments.integer(what, "normalized_shape", size, 1) for size in given)
    if not shape:
        raise arguments.wrong_value(what, "normalized_shape", "one or more sizes", normalized_shape)
    return shape


class LayerNorm(Norm):
    """(x - mean) / sqrt(variance + eps) over the last axes, of shape `normalized_shape`, times weight plus bias
    (Ba, Kiros & Hinton 2016)."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__()
        dtype = parameter_dtype(device, dtype)
        self.normalized_shape = shape = _sizes("LayerNorm", normalized_shape)
        self.eps = arguments.not_negative("LayerNorm", "eps", eps)
        arguments.flag("LayerNorm", "elementwise_affine", elementwise_affine)
        arguments.flag("LayerNorm", "bias", bias)
        self.weight = Parameter(ones(shape, dtype=dtype)) if elementwise_affine else None
        self.bias = Parameter(zeros(shape, dtype=dtype)) if elementwise_affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"


class RMSNorm(Norm):
    """x / sqrt(mean of x² + eps) over the last axes, of shape `normalized_shape`, times weight (Zhang & Sennrich 2019):
    LayerNorm without mean and bias. `eps` is by default that of f32, or of f64 where x is f64, as in PyTorch."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__()
        dtype = parameter_dtype(device, dtype)
        self.normalized_shape = shape = _sizes("RMSNorm", normalized_shape)
        self.eps = None if eps is None else arguments.not_negative("RMSNorm", "eps", eps)
        arguments.flag("RMSNorm", "elementwise_affine", elementwise_affine)
        self.weight = Parameter(ones(shape, dtype=dtype)) if elementwise_affine else None

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"


class Flatten(Module):
    """Axes `start_dim` to `end_dim` as one; by default all but the batch."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = arguments.integer("Flatten", "start_dim", start_dim)
        self.end_dim = arguments.integer("Flatten", "end_dim", end_dim)

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Axis `dim` as several, of `unflattened_size`, one of which may be -1."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = arguments.integer("Unflatten", "dim", dim)
        if not isinstance(unflattened_size, (list, tuple)) or not unflattened_size:
            raise arguments.wrong_type("Unflatten", "unflattened_size", "a tuple of sizes", unflattened_size)
        self.unflattened_size = tuple(
            arguments.integer("Unflatten", "unflattened_size", size, -1) for size in unflattened_size
        )

    def forward(self, input: Tensor) -> Tensor:
        return unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Identity(Module):
    """The input, unchanged; arguments are accepted and not used."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input
