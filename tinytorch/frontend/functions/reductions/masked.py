"""Reductions, scans and shares of the elements that a mask leaves, under the names of torch.masked.

`mask` is a bool tensor that broadcasts to the input: elements where it is false count as what changes nothing, 0 in a
sum. What has no elements left is that, too, or NaN where there is no such thing, as of a mean. `dim=()` means all axes.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.reductions import scans, sorting
from tinytorch.frontend.functions.reductions.reducing import prod as _prod
from tinytorch.frontend.functions.reductions.reducing import vector_norm
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import ones_like
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import DType, bool_, dtype_of


def _left(what: str, x: Tensor, mask: Tensor | None, other: float) -> Tensor:
    """x, with `other` where it is masked."""
    return x if mask is None else where(_whole(what, x, mask), x, x._like(other).broadcast_to(x.shape))


def _whole(what: str, x: Tensor, mask: Tensor | None) -> Tensor:
    """The mask in the shape of x."""
    if mask is None:
        return ones_like(x).cast(bool_)
    if mask.dtype != bool_:
        raise ShapeError(f"masked.{what}: mask is bool, got {mask.type}", user_loc())
    return mask.broadcast_to(x.shape)


def _lowest(dtype: DType, largest: bool) -> float:
    """What every value is at least as large as, or if `largest` at most."""
    if dtype.is_float:
        return math.inf if largest else -math.inf
    return (0, 1)[largest] if dtype == bool_ else dtype.limits[largest]


def _in(x: Tensor, dtype: Any) -> Tensor:
    return x if dtype is None else x.cast(dtype_of(dtype))


# Reductions.
@spelled(space="masked")
def sum(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The sum of the elements that are left; of none, 0."""
    return _left("sum", input, mask, 0).sum(dim, bool(keepdim), dtype=dtype)


@spelled(space="masked")
def prod(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The product of the elements that are left; of none, 1."""
    return _prod(_left("prod", input, mask, 1), dim, bool(keepdim), dtype=dtype)


@spelled(space="masked")
def amax(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The largest of the elements that are left; of none, what no element is below."""
    return _in(_left("amax", input, mask, _lowest(input.dtype, False)).amax(dim, bool(keepdim)), dtype)


@spelled(space="masked")
def amin(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The smallest of the elements that are left; of none, what no element is above."""
    return _in(_left("amin", input, mask, _lowest(input.dtype, True)).amin(dim, bool(keepdim)), dtype)


@spelled(space="masked")
def argmax(
    input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The index of the first of the largest elements that are left, in the input's dtype, as in PyTorch."""
    return _index(input, dtype, _left("argmax", input, mask, _lowest(input.dtype, False)).argmax(dim, bool(keepdim)))


@spelled(space="masked")
def argmin(
    input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The index of the first of the smallest elements that are left, in the input's dtype, as in PyTorch."""
    return _index(input, dtype, _left("argmin", input, mask, _lowest(input.dtype, True)).argmin(dim, bool(keepdim)))


def _index(x: Tensor, dtype: Any, found: Tensor) -> Tensor:
    return found.cast(x.dtype if dtype is None else dtype_of(dtype))


@spelled(space="masked")
def mean(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The mean of the elements that are left; of none, NaN."""
    x = _in(input, dtype)._float()
    return _left("mean", x, mask, 0).sum(dim, bool(keepdim)) / _count("mean", x, mask, dim, keepdim)


def _count(what: str, x: Tensor, mask: Tensor | None, dim: Any, keepdim: bool) -> Tensor:
    return _whole(what, x, mask).cast(x.dtype).sum(dim, bool(keepdim))


@spelled(space="masked")
def median(input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The median of the elements that are left and no NaN; of none, NaN."""
    x = _left("median", input._float(), mask, math.nan)
    found = sorting.nanmedian(x, dim, bool(keepdim)).values
    return found.cast(input.dtype if dtype is None else dtype_of(dtype))


@spelled(space="masked")
def norm(
    input: Tensor, ord: Any = 2.0, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The vector norm of order `ord` of the elements that are left; of none, 0, or inf where `ord` is -inf."""
    order = 2.0 if ord is None else arguments.number("masked.norm", "ord", ord, lambda p: p == p, "a number")
    x = _left("norm", _in(input, dtype)._float(), mask, math.inf if order == -math.inf else 0.0)
    axes = x._reduced_axes("norm", dim)
    return vector_norm(x, float(order), axes)._dropping(axes, bool(keepdim))


@spelled(space="masked")
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = None,
    *,
    correction: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The variance of the elements that are left (see `Tensor.var`)."""
    x = _in(input, dtype)._float()
    if unbiased is not None and correction is not None:
        raise ShapeError("masked.var: takes `unbiased`, a bool, or `correction`, a number", user_loc())
    less = correction if correction is not None else 1 if unbiased is None or unbiased else 0
    counts = _count("var", x, mask, dim, True)
    centred = _left("var", x - sum(x, dim, keepdim=True, mask=mask) / counts, mask, 0)
    out = centred.square().sum(dim, True) / (counts - less).clamp(min=0)
    return out._dropping(out._reduced_axes("var", dim), bool(keepdim))


@spelled(space="masked")
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = None,
    *,
    correction: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The square root of the variance of the elements that are left."""
    found = var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask)
    return found._apply(ops.composite.root)


@spelled(space="masked")
def logsumexp(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """log(sum(exp(x))) of the elements that are left; of none, -inf."""
    return _in(_left("logsumexp", input._float(), mask, -math.inf).logsumexp(dim, bool(keepdim)), dtype)


# Scans.
@spelled(space="masked")
def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Sums of all elements up to each that are left."""
    return _left("cumsum", input, mask, 0).cumsum(dim, dtype=dtype or input.dtype)


@spelled(space="masked")
def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Products of all elements up to each that are left."""
    return scans.cumprod(_left("cumprod", input, mask, 1), dim, dtype=dtype or input.dtype)


# Shares.
@spelled(space="masked")
def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) of the elements that are left; 0 for the others, NaN where there are only such."""
    return _left("softmax", _in(input, dtype)._float(), mask, -math.inf).softmax(dim)


@spelled(space="masked")
def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The logarithm of the softmax of the elements that are left; -inf for the others."""
    return _left("log_softmax", _in(input, dtype)._float(), mask, -math.inf).log_softmax(dim)


@spelled(space="masked")
def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The softmax of the negative elements that are left."""
    return (-_left("softmin", _in(input, dtype)._float(), mask, math.inf)).softmax(dim)


@spelled(space="masked")
def normalize(input: Tensor, ord: Any, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None) -> Tensor:
    """The elements that are left over their norm of order `ord`, or over `eps` where that is larger; 0 for others."""
    size = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _left("normalize", _in(input, dtype)._float(), mask, 0) / size.clamp(min=eps)


@spelled(space="masked")
def logaddexp(
    input: Tensor, other: Tensor, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None
) -> Tensor:
    """log(exp(a) + exp(b)) of the elements that are left of both."""
    a = _left("logaddexp", _in(input, dtype)._float(), input_mask, -math.inf)
    b = _left("logaddexp", _in(other, dtype)._float(), other_mask, -math.inf)
    largest = a.maximum(b)
    return where(largest == -math.inf, largest, largest + (-(a - b).abs()).exp().log1p())
