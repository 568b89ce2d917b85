"""Composites over ops, under the names of torch and torch.nn.functional."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.frontend import arguments
from tinytorch.frontend.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)  # fmt: skip
from tinytorch.frontend.einsum import einsum
from tinytorch.frontend.gradients import require_tensor
from tinytorch.frontend.loss_functions import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)  # fmt: skip
from tinytorch.frontend.norms import normalize
from tinytorch.frontend.random import Generator, default_generator
from tinytorch.frontend.spatial.functions import batch_norm, conv1d, conv2d, conv_transpose1d, conv_transpose2d
from tinytorch.frontend.spatial.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)  # fmt: skip
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor_functions import (
    allclose,
    cat,
    chunk,
    clamp,
    concat,
    concatenate,
    cumsum,
    dot,
    equal,
    exp,
    log,
    matmul,
    maximum,
    minimum,
    outer,
    split,
    sqrt,
    stack,
    tril,
    triu,
    where,
)  # fmt: skip
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.promotion import broadcast_shapes, integer, integers
from tinytorch.ir.types import TensorType, dtype_of, f32, i64

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "allclose", "arange", "as_tensor", "avg_pool1d", "avg_pool2d",
    "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "cat", "chunk", "clamp", "concat",
    "concatenate", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "cross_entropy", "cumsum", "dot",
    "dropout", "einsum", "elu", "embedding", "empty", "empty_like", "equal", "exp", "eye", "full", "full_like", "gelu",
    "l1_loss", "layer_norm", "leaky_relu", "linear", "linspace", "log", "log_softmax", "logsigmoid", "logsumexp",
    "matmul", "max_pool1d", "max_pool2d", "maximum", "minimum", "mse_loss", "nll_loss", "normalize", "one_hot", "ones",
    "ones_like", "outer", "pad", "relu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "split", "sqrt",
    "stack", "tanh", "tensor", "tril", "triu", "where", "zeros", "zeros_like",
]  # fmt: skip


# Activations.
def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return x.relu()


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return x.sigmoid()


def tanh(x: Tensor) -> Tensor:
    return x.tanh()


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x)."""
    return x.silu()


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x * Phi(x), by erf ("none") or "tanh"."""
    return x.gelu(approximate)


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where it is positive, else negative_slope * x."""
    return where(x > 0, x, x * negative_slope)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where it is positive, else alpha * (exp(x) - 1) (Clevert et al. 2015), whose slope at 0 is alpha."""
    return where(x <= 0, x.clamp(max=0).expm1() * alpha, x)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), which does not overflow: max(x, 0) + log(1 + exp(-|x|))."""
    return x.maximum(0) + (-abs(x)).exp().log1p()


def logsigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)), which does not overflow: min(x, 0) - log(1 + exp(-|x|))."""
    return x.minimum(0) - (-abs(x)).exp().log1p()


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""
    return x.softmax(dim)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, shifted by the maximum so that nothing overflows."""
    return x.log_softmax(dim)


def logsumexp(x: Tensor, dim: int = -1, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) along `dim`, shifted by the maximum."""
    return x.logsumexp(dim, keepdim)


# Layers.
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
    out = apply(ops.composite.layernorm, x, axes=tuple(range(x.ndim - len(shape), x.ndim)), eps=eps)
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


def pad(x: Tensor, amounts: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """`value` around the last axes; `amounts` are (before, after) of the last axis, then of the one before it, …

    The only `mode` is "constant".
    """
    if mode != "constant":
        raise TinyTorchError(f'pad: the only mode is "constant", got {mode!r}; a number is `value=`', user_loc())
    amounts = integers((tuple(amounts),))
    pairs = list(zip(amounts[::2], amounts[1::2], strict=False))
    if len(amounts) % 2 or len(pairs) > x.ndim:
        raise ShapeError(f"pad: needs pairs for at most the {x.ndim} axes of {x.type}, got {list(amounts)}", user_loc())
    return x.pad([(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1], value)
