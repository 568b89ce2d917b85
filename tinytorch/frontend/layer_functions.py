"""Layers as functions, under the names of torch.nn.functional: what they compute from given weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.gradients import require_tensor
from tinytorch.frontend.random import Generator, default_generator
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor_functions import where
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.promotion import broadcast_shapes, integer
from tinytorch.ir.types import DType, Shape, TensorType, dtype_of, f32, i64

__all__ = [
    "dropout",
    "embedding",
    "layer_norm",
    "linear",
    "one_hot",
    "rms_norm",
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


def _last_axes(what: str, x: Tensor, normalized_shape: int | Sequence[int]) -> tuple[tuple[int, ...], Shape]:
    """The last axes of x, which have that shape."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ShapeError(f"{what}: the last axes of {x.type} are not {list(shape)}", user_loc())
    return tuple(range(x.ndim - len(shape), x.ndim)), shape


def _check_affine(what: str, x: Tensor, shape: Shape, **given: Tensor | None) -> None:
    """Scale and shift have that shape, and x's dtype or, where x has 16 bits, f32."""
    dtypes = (x.dtype, f32) if x.dtype.bits == 16 else (x.dtype,)
    for name, tensor in given.items():
        if tensor is not None and (tensor.shape != shape or tensor.dtype not in dtypes):
            raise ShapeError(f"{what}: {name} is {TensorType(x.dtype, shape)}, got {tensor.type}", user_loc())


def layer_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) over the last axes, of shape `normalized_shape`; then scaled and shifted by
    `weight` and `bias` of that shape. All are of one dtype, but those two may be f32 where x has 16 bits."""
    axes, shape = _last_axes("layer_norm", x, normalized_shape)
    _check_affine("layer_norm", x, shape, weight=weight, bias=bias)
    attrs = {"axes": axes, "eps": arguments.not_negative("layer_norm", "eps", eps)}
    if weight is not None and bias is not None and weight.dtype == bias.dtype == x.dtype:
        return apply(ops.normalization.layernorm_affine, x, weight, bias, **attrs)
    out = apply(ops.composite.layernorm, x, **attrs)
    out = out if weight is None else out * weight
    return (out if bias is None else out + bias).cast(x.dtype)


def rms_norm(
    x: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean of x² + eps) over the last axes, of shape `normalized_shape`; then scaled by `weight` of that shape
    (Zhang & Sennrich 2019). `eps` is by default that of f64 where x is f64, else of f32, as in PyTorch. All are of one
    dtype, but `weight` may be f32 where x has 16 bits."""
    if not require_tensor("rms_norm", x).dtype.is_float:
        raise ShapeError(f"rms_norm: needs a float dtype, got {x.type}", user_loc())
    axes, shape = _last_axes("rms_norm", x, normalized_shape)
    _check_affine("rms_norm", x, shape, weight=weight)
    eps = _epsilon(x.dtype) if eps is None else arguments.not_negative("rms_norm", "eps", eps)
    if weight is not None and weight.dtype == x.dtype:
        return apply(ops.normalization.rmsnorm_affine, x, weight, axes=axes, eps=eps)
    out = apply(ops.normalization.rmsnorm, x, axes=axes, eps=eps)
    return out if weight is None else (out * weight).cast(x.dtype)


def _epsilon(dtype: DType) -> float:
    return float(np.finfo(np.float64 if dtype.bits == 64 else np.float32).eps)


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


def embedding(indices: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """The rows of `weight` [count, features] at `indices` [...], as [..., features].

    Indices are integers from 0 to count - 1; any other is an IndexError that names it. The gradient adds up the
    cotangents of each row in the order of `indices`, the same bits for any number of threads. The row `padding_idx`
    gets none; a negative one counts from the end.
    """
    require_tensor("embedding", indices)
    require_tensor("embedding", weight)
    if weight.ndim != 2 or indices.dtype.kind not in ("int", "uint"):
        raise ShapeError(f"embedding: needs integers and a matrix, got {indices.type} and {weight.type}", user_loc())
    checked = apply(ops.elementwise.checked_index, indices.cast(i64), size=weight.shape[0], wrap=False)
    rows = apply(ops.index.gather, weight, checked, axis=0)
    if padding_idx is None:
        return rows
    padding = padding_row("embedding", padding_idx, weight.shape[0])
    return where((checked == padding).unsqueeze(-1), rows.detach(), rows)


def padding_row(what: str, padding_idx: int, count: int) -> int:
    """`padding_idx` counted from the start, if it is one of `count` rows."""
    row = arguments.integer(what, "padding_idx", padding_idx)
    if not -count <= row < count:
        raise arguments.wrong_value(what, "padding_idx", f"one of {count} rows", padding_idx)
    return row % count
