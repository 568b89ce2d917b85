"""Layers as functions, under the names of torch.nn.functional: what they compute from given weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions import creation
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.random import Generator, stream
from tinytorch.frontend.layers.norms import length
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import high, low
from tinytorch.frontend.tensor.gradients import grad_mode, require_tensor
from tinytorch.frontend.tensor.inplace import changed
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.operators.promotion import broadcast_shapes, integer
from tinytorch.ir.types import DType, Shape, TensorType, dtype_of, f32, i64

__all__ = [
    "bilinear",
    "dropout",
    "embedding",
    "layer_norm",
    "linear",
    "one_hot",
    "rms_norm",
]


@spelled(space="nn.functional")
@low
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias, with x [..., in], weight [out, in], bias [out]; or of a vector of weights [in], without a
    bias or with one that is a number, [...]."""
    x = input
    fits = weight.ndim in (1, 2) and x.ndim > 0 and x.shape[-1] == weight.shape[-1]
    if not fits or (weight.ndim == 1 and bias is not None and bias.ndim):
        raise ShapeError(
            f"linear: x {x.type} does not fit weights {weight.type}, which are [out_features, in_features]"
            f"{_unflattened(x, weight)}",
            user_loc(),
        )
    shape = (*x.shape[:-1], *weight.shape[:-1])
    if bias is not None and broadcast_shapes("linear", shape, bias.shape) != shape:
        raise ShapeError(f"linear: bias is [{weight.shape[0]}], one for each feature, got {bias.type}", user_loc())
    return affine(x, weight, bias)


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x @ weight.T + bias: x [..., in] to [..., out], of weights [out, in] and a bias [out] or none."""
    out = x @ weight.T
    return out if bias is None else out + bias


@spelled("bilinear", space="nn.functional")
@low
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """sum over i and j of x1[…, i] weight[o, i, j] x2[…, j], plus bias[o]: of x1 [..., in1] and x2 [..., in2], with
    weight [out, in1, in2], [..., out]."""
    types = f"x1 {input1.type}, x2 {input2.type} and weight {weight.type}"
    if not input1.ndim or input1.shape[:-1] != input2.shape[:-1] or not input2.ndim or weight.ndim != 3:
        raise ShapeError(
            f"bilinear: needs x1 [..., in1], x2 [..., in2], weight [out, in1, in2]; got {types}", user_loc()
        )
    size = (input1.shape[-1], input2.shape[-1])
    if weight.shape[1:] != size or not input1.dtype == input2.dtype == weight.dtype:
        raise ShapeError(f"bilinear: weight is {input1.dtype}[out, {size[0]}, {size[1]}]; got {types}", user_loc())
    if bias is not None and bias.shape not in (weight.shape[:1], (1,)):
        raise ShapeError(f"bilinear: bias is [{weight.shape[0]}], one for each result, got {bias.type}", user_loc())
    dtype, count, results = input1.dtype, math.prod(input1.shape[:-1]), weight.shape[0]
    if dtype.is_float and dtype.bits == 16:  # rounded once, at the end
        input1, input2, weight = (x.cast(f32) for x in (input1, input2, weight))
    joined = weight.permute(1, 0, 2).reshape(size[0], results * size[1])
    between = input1.reshape(count, size[0]).matmul(joined).reshape(count, results, size[1])
    others = input2.reshape(count, 1, size[1])
    out = (between * others).sum(-1).reshape(*input1.shape[:-1], results)
    return (out if bias is None else out + bias.cast(out.dtype)).cast(dtype)


def _unflattened(x: Tensor, weight: Tensor) -> str:
    """What to do, where the axes behind the first would fit as one."""
    if x.ndim > 2 and weight.ndim == 2 and math.prod(x.shape[1:]) == weight.shape[1]:
        return "; flatten it first, by x.flatten(1) or nn.Flatten()"
    return ""


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


@spelled(space="nn.functional")
@high
def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) over the last axes, of shape `normalized_shape`; then scaled and shifted by
    `weight` and `bias` of that shape. All are of one dtype, but those two may be f32 where x has 16 bits."""
    x = require_tensor("layer_norm", input)
    axes, shape = _last_axes("layer_norm", x, normalized_shape)
    _check_affine("layer_norm", x, shape, weight=weight, bias=bias)
    attrs = {"axes": axes, "eps": arguments.not_negative("layer_norm", "eps", eps)}
    if weight is not None and bias is not None and weight.dtype == bias.dtype == x.dtype:
        return apply(ops.normalization.layernorm_affine, x, weight, bias, **attrs)
    out = apply(ops.composite.layernorm, x, **attrs)
    out = out if weight is None else out * weight
    return (out if bias is None else out + bias).cast(x.dtype)


@spelled(space="nn.functional")
@high
def rms_norm(
    input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean of x² + eps) over the last axes, of shape `normalized_shape`; then scaled by `weight` of that shape
    (Zhang & Sennrich 2019). `eps` is by default that of f64 where x is f64, else of f32, as in PyTorch. All are of one
    dtype, but `weight` may be f32 where x has 16 bits."""
    x = input
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


@spelled(space="nn.functional")
def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """0 with probability `p`, else x / (1 - p), so that the expectation is x; x itself unless `training`."""
    if isinstance(p, bool) or not 0 <= p <= 1:
        raise TinyTorchError(f"dropout: p is a probability, got {p}", user_loc())
    if not training or p == 0:
        return input
    arguments.flag("dropout", "inplace", inplace)
    state = stream("dropout", generator).take(input.numel())
    return changed("dropout", input, inplace, lambda x: apply(ops.composite.dropout, x, state, p=float(p)))


@spelled(space="nn.functional")
def one_hot(tensor: Tensor, num_classes: int = -1, dtype: object = i64) -> Tensor:
    """1 at each index along a new last axis of `num_classes`, by default one more than the largest index."""
    indices = tensor
    if require_tensor("one_hot", indices).dtype.kind not in ("int", "uint"):
        raise ShapeError(f"one_hot: indices must be integers, got {indices.type}", user_loc())
    size = integer("one_hot", "num_classes", num_classes)
    if size == -1:
        if not indices.numel():
            raise ShapeError(f"one_hot: {indices.type} has no largest index; give num_classes", user_loc())
        size = int(indices.numpy().max()) + 1
    return apply(ops.composite.one_hot, indices.cast(i64), size=size, dtype=dtype_of(dtype))


@spelled(space="nn.functional")
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` [count, features] at the indices `input` [...], as [..., features].

    Indices are integers from 0 to count - 1; any other is an IndexError that names it. The gradient adds up the
    cotangents of each row in the order of the indices, the same bits for any number of threads. The row `padding_idx`
    gets none; a negative one counts from the end.

    `max_norm`: rows that are read and whose `norm_type`-norm is larger are scaled to it first, in place and without a
    gradient. `scale_grad_by_freq`: each row's gradient is divided by how often it is read. `sparse` gradients do not
    exist here.
    """
    indices = checked_rows("embedding", input, weight, sparse)
    if max_norm is not None:
        limit_rows("embedding", indices, weight, max_norm, norm_type)
    rows = apply(ops.index.gather, weight, indices, axis=0)
    if arguments.flag("embedding", "scale_grad_by_freq", scale_grad_by_freq):
        share = 1 / read_counts(indices, weight)[indices].unsqueeze(-1)
        rows = rows.detach() + (rows - rows.detach()) * share
    if padding_idx is None:
        return rows
    padding = padding_row("embedding", padding_idx, weight.shape[0])
    return where((indices == padding).unsqueeze(-1), rows.detach(), rows)


def checked_rows(what: str, indices: Tensor, weight: Tensor, sparse: bool = False) -> Tensor:
    """Indices of rows of a matrix, as i64, that are an IndexError where they name none."""
    require_tensor(what, indices)
    require_tensor(what, weight)
    if weight.ndim != 2 or indices.dtype.kind not in ("int", "uint"):
        raise ShapeError(f"{what}: needs integers and a matrix, got {indices.type} and {weight.type}", user_loc())
    if arguments.flag(what, "sparse", sparse):
        raise arguments.wrong_value(what, "sparse", "False: gradients are dense here", sparse)
    return apply(ops.elementwise.checked_index, indices.cast(i64), size=weight.shape[0], wrap=False)


def read_counts(indices: Tensor, weight: Tensor) -> Tensor:
    """How often each row of `weight` is among the indices, as [count] in its dtype."""
    flat = indices.reshape(-1)
    zeros, ones = creation.zeros(weight.shape[0], dtype=weight.dtype), creation.ones(flat.shape, dtype=weight.dtype)
    return apply(ops.index.scatter_add, zeros, flat, ones, axis=0)


def limit_rows(what: str, indices: Tensor, weight: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are read and longer than `max_norm` to that length, in place."""
    limit = arguments.positive(what, "max_norm", max_norm)
    order = arguments.number(what, "norm_type", norm_type, lambda p: not math.isnan(p), "a number")
    with grad_mode(False):
        rows = weight.detach()
        norm = length(rows, float(order), 1, keepdim=True)
        long = (norm > limit) & (read_counts(indices, rows) > 0).unsqueeze(1)
        weight.copy_(where(long, rows * (limit / (norm + 1e-7)), rows))


def padding_row(what: str, padding_idx: int, count: int) -> int:
    """`padding_idx` counted from the start, if it is one of `count` rows."""
    row = arguments.integer(what, "padding_idx", padding_idx)
    if not -count <= row < count:
        raise arguments.wrong_value(what, "padding_idx", f"one of {count} rows", padding_idx)
    return row % count
