"""Batch normalisation, whose derivative is written by hand: two sums serve all three operands."""

from __future__ import annotations

from typing import Any

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import apply
from tinytorch.ir.ops.composite import define_composite
from tinytorch.ir.ops.elementwise import sqrt
from tinytorch.ir.ops.reduce import mean_of, sum_
from tinytorch.ir.ops.view import broadcast, reshape
from tinytorch.ir.types import TensorType


def _batchnorm_type(x: TensorType, weight: TensorType, bias: TensorType, *, eps: float) -> TensorType:
    if not x.dtype.is_float or x.rank < 2:
        raise ShapeError(f"batchnorm: needs a float dtype and at least two axes, got {x}")
    channels = TensorType(x.dtype, x.shape[-1:])
    if weight != channels or bias != channels:
        raise ShapeError(f"batchnorm: weight and bias of {x} are {channels}, got {weight} and {bias}")
    return x


def _axes(x: Any) -> tuple[int, ...]:
    return tuple(range(x.type.rank - 1))


def _row(x: Any, like: Any) -> Any:
    """[channels] as [1, …, channels]."""
    return apply(reshape, x, shape=(1,) * (like.type.rank - 1) + x.type.shape)


def _along(x: Any, like: Any) -> Any:
    return apply(broadcast, x, shape=like.type.shape)


def _parts(x: Any, eps: float) -> tuple[Any, Any]:
    """x less its mean, and 1 / sqrt(variance + eps), by channel."""
    centred = x - _along(mean_of(x, _axes(x)), x)
    return centred, 1.0 / apply(sqrt, mean_of(centred * centred, _axes(x)) + eps)


def _batchnorm(x: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    centred, scale = _parts(x, eps)
    return centred * _along(scale * _row(weight, x), x) + _along(_row(bias, x), x)


def _sum(x: Any) -> Any:
    return apply(sum_, x, axes=_axes(x))


# With s = 1 / sqrt(variance + eps), c = x - mean, n elements per channel and the sums b = Σ g and w = s Σ g c:
# d/d bias = b, d/d weight = w, d/dx = weight s (g - b / n - c s w / n)        (Ioffe & Szegedy 2015, section 3)
def _x_rule(g: Any, n: Any) -> Any:
    x, weight, _ = n.inputs
    centred, scale = _parts(x, n.attrs["eps"])
    mean = mean_of(g, _axes(g))
    slope = mean_of(g * centred, _axes(g)) * scale * scale
    return (g - _along(mean, g) - centred * _along(slope, g)) * _along(scale * _row(weight, x), g)


def _weight_rule(g: Any, n: Any) -> Any:
    centred, scale = _parts(n.inputs[0], n.attrs["eps"])
    return apply(reshape, _sum(g * centred) * scale, shape=n.inputs[1].type.shape)


def _bias_rule(g: Any, n: Any) -> Any:
    return apply(reshape, _sum(g), shape=n.inputs[2].type.shape)


batchnorm = define_composite(
    "batchnorm",
    "(x - mean) / sqrt(variance + eps) over all axes but the last, times weight plus bias (Ioffe & Szegedy 2015)",
    _batchnorm_type, _batchnorm, (_x_rule, _weight_rule, _bias_rule),
)  # fmt: skip
