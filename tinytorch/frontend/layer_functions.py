"""Layers as functions, under the names of torch.nn.functional: what they compute from given weights."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.frontend import arguments
from tinytorch.frontend.gradients import require_tensor
from tinytorch.frontend.random import Generator, default_generator
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.promotion import broadcast_shapes, integer
from tinytorch.ir.types import TensorType, dtype_of, f32, i64

__all__ = [
    "dropout",
    "embedding",
    "layer_norm",
    "linear",
    "one_hot",
]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias, with x [..., in], weight [out, in], bias [out]."""
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear: x {x.type} does not fit weights {weight.type}, which are [out_features, in_features]", user_loc()
        )
    out = x.matmul(weight.T)
    if bias is None:
        return out
    if broadcast_shapes("linear", out.shape, bias.shape) != out.shape:
        raise ShapeError(f"linear: bias is [{weight.shape[0]}], one for each feature, got {bias.type}", user_loc())
    return out + bias


def layer_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) over the last axes, of shape `normalized_shape`; then scaled and shifted by
    `weight` and `bias` of that shape. All are of one dtype, but those two may be f32 where x has 16 bits."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ShapeError(f"layer_norm: the last axes of {x.type} are not {list(shape)}", user_loc())
    dtypes = (x.dtype, f32) if x.dtype.bits == 16 else (x.dtype,)
    for name, given in (("weight", weight), ("bias", bias)):
        if given is not None and (given.shape != shape or given.dtype not in dtypes):
            raise ShapeError(f"layer_norm: {name} is {TensorType(x.dtype, shape)}, got {given.type}", user_loc())
    eps = arguments.not_negative("layer_norm", "eps", eps)
    attrs = {"axes": tuple(range(x.ndim - len(shape), x.ndim)), "eps": eps}
    if weight is not None and bias is not None and weight.dtype == bias.dtype == x.dtype:
        return apply(ops.normalization.layernorm_affine, x, weight, bias, **attrs)
    out = apply(ops.composite.layernorm, x, **attrs)
    out = out if weight is None else out * weight
    return (out if bias is None else out + bias).cast(x.dtype)


def dropout(x: Tensor, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Tensor:
    """0 with probability `p`, else x / (1 - p), so that the expectation is x; x itself unless `training`."""
    if isinstance(p, bool) or not 0 <= p <= 1:
        raise TinyTorchError(f"dropout: p is a probability, got {p}", user_loc())
    if not training or p == 0:
        return x
    state = (generator or default_generator).take(x.numel())
    return apply(ops.composite.dropout, x, state, p=float(p))


def one_hot(indices: Tensor, num_classes: int = -1, dtype: object = i64) -> Tensor:
    """1 at each index along a new last axis of `num_classes`, by default one more than the largest index."""
    if require_tensor("one_hot", indices).dtype.kind not in ("int", "uint"):
        raise ShapeError(f"one_hot: indices must be integers, got {indices.type}", user_loc())
    size = integer("one_hot", "num_classes", num_classes)
    if size == -1:
        if not indices.numel():
            raise ShapeError(f"one_hot: {indices.type} has no largest index; give num_classes", user_loc())
        size = int(indices.numpy().max()) + 1
    return apply(ops.composite.one_hot, indices.cast(i64), size=size, dtype=dtype_of(dtype))


def embedding(indices: Tensor, weight: Tensor) -> Tensor:
    """The rows of `weight` [count, features] at `indices` [...], as [..., features]."""
    if weight.ndim != 2 or indices.dtype.kind not in ("int", "uint"):
        raise ShapeError(f"embedding: needs integers and a matrix, got {indices.type} and {weight.type}", user_loc())
    return weight[indices]
