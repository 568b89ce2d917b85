"""Normalisations with scale and shift, whose derivatives are written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import Rule, apply
from tinytorch.ir.ops.composite import define_composite, layernorm, layernorm_grad, moments
from tinytorch.ir.ops.core import cast
from tinytorch.ir.ops.elementwise import sqrt
from tinytorch.ir.ops.reduce import mean_of, sum_
from tinytorch.ir.ops.view import broadcast, reshape
from tinytorch.ir.types import TensorType, f32

Axes = tuple[int, ...]


def _batchnorm_type(x: TensorType, weight: TensorType, bias: TensorType, *, eps: float) -> TensorType:
    if not x.dtype.is_float or x.rank < 2:
        raise ShapeError(f"batchnorm: needs a float dtype and at least two axes, got {x}")
    channels = TensorType(x.dtype, x.shape[-1:])
    if weight != channels or bias != channels:
        raise ShapeError(f"batchnorm: weight and bias of {x} are {channels}, got {weight} and {bias}")
    return x


def _axes(x: Any) -> Axes:
    return tuple(range(x.type.rank - 1))


def _row(x: Any, like: Any) -> Any:
    """[channels] as [1, …, channels]."""
    return apply(reshape, x, shape=(1,) * (like.type.rank - 1) + x.type.shape)


def _along(x: Any, like: Any) -> Any:
    return apply(broadcast, x, shape=like.type.shape)


def _parts(x: Any, eps: float) -> tuple[Any, Any]:
    """x less its mean, and 1 / sqrt(variance + eps), by channel."""
    mean, variance = moments(x, _axes(x))
    return x - _along(mean, x), 1.0 / apply(sqrt, variance + eps)


def _batchnorm(x: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    centred, scale = _parts(x, eps)
    return centred * _along(scale * _row(weight, x), x) + _along(_row(bias, x), x)


def _sum(x: Any) -> Any:
    return apply(sum_, x, axes=_axes(x))


# With s = 1 / sqrt(variance + eps), c = x - mean, n elements per channel and the sums b = Σ g and w = s Σ g c:
# d/d bias = b, d/d weight = w, d/dx = weight s (g - b / n - c s w / n)        (Ioffe & Szegedy 2015, section 3)
def _x_grad(g: Any, x: Any, weight: Any, eps: float) -> Any:
    centred, scale = _parts(x, eps)
    mean = mean_of(g, _axes(g))
    slope = mean_of(g * centred, _axes(g)) * scale * scale
    return (g - _along(mean, g) - centred * _along(slope, g)) * _along(scale * _row(weight, x), g)


def _weight_grad(g: Any, x: Any, weight: Any, eps: float) -> Any:
    centred, scale = _parts(x, eps)
    return apply(reshape, _sum(g * centred) * scale, shape=weight.type.shape)


def _bias_grad(g: Any, x: Any, weight: Any, eps: float) -> Any:
    return apply(reshape, _sum(g), shape=weight.type.shape)


def _rule(grad: Callable[..., Any]) -> Rule:
    """A rule that computes `grad` in f32 at least, as the definition does, so that they share what they can."""

    def run(g: Any, n: Any) -> Any:
        dtype = g.type.dtype
        if dtype.bits > 16:
            return grad(g, *n.inputs[:2], **n.attrs)
        wide = (apply(cast, x, dtype=f32) for x in (g, *n.inputs[:2]))
        return apply(cast, grad(*wide, **n.attrs), dtype=dtype)

    return run


batchnorm = define_composite(
    "batchnorm",
    "(x - mean) / sqrt(variance + eps) over all axes but the last, times weight plus bias (Ioffe & Szegedy 2015)",
    _batchnorm_type, _batchnorm, (_rule(_x_grad), _rule(_weight_grad), _rule(_bias_grad)), autocast="high",
)  # fmt: skip


def _affine_type(x: TensorType, weight: TensorType, bias: TensorType, *, axes: Axes, eps: float) -> TensorType:
    layernorm.infer(x, axes=axes, eps=eps)
    row = TensorType(x.dtype, tuple(x.shape[a] for a in axes))
    if axes != tuple(range(x.rank - len(axes), x.rank)):
        raise ShapeError(f"layernorm_affine: axes are the last ones of {x}, got {axes}")
    if weight != row or bias != row:
        raise ShapeError(f"layernorm_affine: weight and bias of {x} are {row}, got {weight} and {bias}")
    return x


def _affine(x: Any, weight: Any, bias: Any, *, axes: Axes, eps: float) -> Any:
    return apply(layernorm, x, axes=axes, eps=eps) * _along(weight, x) + _along(bias, x)


def _of_rows(x: Any, like: Any) -> Any:
    """The sum of all rows."""
    lead = tuple(range(x.type.rank - like.type.rank))
    return apply(reshape, apply(sum_, x, axes=lead), shape=like.type.shape) if lead else x


# With y = layernorm(x): d/d bias = Σ g, d/d weight = Σ g y, and d/dx is layernorm's for g weight.
def _affine_x_grad(g: Any, x: Any, weight: Any, **attrs: Any) -> Any:
    return layernorm_grad(g * _along(weight, g), x, apply(layernorm, x, **attrs), **attrs)


def _affine_weight_grad(g: Any, x: Any, weight: Any, **attrs: Any) -> Any:
    return _of_rows(g * apply(layernorm, x, **attrs), weight)


def _affine_bias_grad(g: Any, x: Any, weight: Any, **attrs: Any) -> Any:
    return _of_rows(g, weight)


layernorm_affine = define_composite(
    "layernorm_affine", "(x - mean) / sqrt(variance + eps) over the last `axes`, times weight plus bias",
    _affine_type, _affine, (_rule(_affine_x_grad), _rule(_affine_weight_grad), _rule(_affine_bias_grad)),
    autocast="high",
)  # fmt: skip


# With s = 1 / sqrt(mean(x²) + eps) and y = x s, the cotangent of x, given g of y, is s (g - y mean(g y)); given g of
# y weight, that of the weight is Σ g y, and g weight stands for g in that of x        (Zhang & Sennrich 2019).
def _inverse_rms(x: Any, axes: Axes, eps: float) -> Any:
    return 1.0 / apply(sqrt, mean_of(x * x, axes) + eps)


def _rmsnorm(x: Any, *, axes: Axes, eps: float) -> Any:
    return x * _along(_inverse_rms(x, axes, eps), x)


def _rmsnorm_grad(g: Any, x: Any, *, axes: Axes, eps: float) -> Any:
    scale = _inverse_rms(x, axes, eps)
    y = x * _along(scale, x)
    return (g - y * _along(mean_of(g * y, axes), x)) * _along(scale, x)


rmsnorm = define_composite(
    "rmsnorm", "x / sqrt(mean of x² + eps) over `axes` (Zhang & Sennrich 2019), without scale", layernorm.infer,
    _rmsnorm, (_rule(_rmsnorm_grad),), autocast="high",
)  # fmt: skip


def _rmsnorm_affine_type(x: TensorType, weight: TensorType, *, axes: Axes, eps: float) -> TensorType:
    rmsnorm.infer(x, axes=axes, eps=eps)
    row = TensorType(x.dtype, tuple(x.shape[a] for a in axes))
    if axes != tuple(range(x.rank - len(axes), x.rank)) or weight != row:
        raise ShapeError(f"rmsnorm_affine: weight is {row}, of the last axes {axes} of {x}; got {weight}")
    return x


def _rmsnorm_affine(x: Any, weight: Any, **attrs: Any) -> Any:
    return _rmsnorm(x, **attrs) * _along(weight, x)


def _rmsnorm_affine_x_grad(g: Any, x: Any, weight: Any, **attrs: Any) -> Any:
    return _rmsnorm_grad(g * _along(weight, g), x, **attrs)


def _rmsnorm_affine_weight_grad(g: Any, x: Any, weight: Any, **attrs: Any) -> Any:
    return _of_rows(g * _rmsnorm(x, **attrs), weight)


rmsnorm_affine = define_composite(
    "rmsnorm_affine", "x / sqrt(mean of x² + eps) over the last `axes`, times weight", _rmsnorm_affine_type,
    _rmsnorm_affine, (_rule(_rmsnorm_affine_x_grad), _rule(_rmsnorm_affine_weight_grad)), autocast="high",
)  # fmt: skip
