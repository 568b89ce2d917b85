"""Reductions beyond sums and extremes: products, counts, what leaves NaNs out, moments in pairs, norms of slices."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from typing import Any, NamedTuple

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import zeros_like
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import integers, normalize_axis
from tinytorch.ir.types import dtype_of, i64


class MinAndMax(NamedTuple):
    """What `aminmax` finds."""

    min: Any
    max: Any


def _summed(x: Tensor, dtype: Any) -> Tensor:
    """x as it is summed or multiplied: in `dtype`, or integers and bools in i64."""
    if dtype is not None:
        return x.cast(dtype_of(dtype))
    return x if x.dtype.is_float else x.cast(i64)


# Products and counts.
@spelled(standard="prod")
def prod(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product of the elements along `dim`, or of all, of what they are in `dtype`; of none, 1. Small integers and
    bools are multiplied as i64."""
    return _summed(input, dtype)._reduce(ops.reduce.prod, dim, keepdim)


@spelled(standard="count_nonzero")
def count_nonzero(input: Tensor, dim: Any = None, *, keepdim: bool = False) -> Tensor:
    """How many elements along `dim`, one axis or several, or of all are not 0, as i64. NaN is not 0."""
    return (input != 0).cast(i64)._reduce(ops.reduce.sum_, dim, keepdim)


# Without NaNs.
@spelled()
def nansum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of the elements that are not NaN."""
    return _summed(_without_nan(input), dtype)._reduce(ops.reduce.sum_, dim, keepdim)


@spelled()
def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of the elements that are not NaN; NaN where there are none."""
    x = input._of_floats("nanmean") if dtype is None else input.cast(dtype_of(dtype))
    total = _without_nan(x)._reduce(ops.reduce.sum_, dim, keepdim)
    return total / (x == x).cast(x.dtype)._reduce(ops.reduce.sum_, dim, keepdim)


def _without_nan(x: Tensor) -> Tensor:
    return where(x == x, x, zeros_like(x)) if x.dtype.is_float else x


# Pairs.
@spelled()
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinAndMax:
    """The smallest and the largest element along `dim`, or of all, as a named tuple `min`, `max`. The gradient is
    shared among equal ones."""
    if dim is not None and input.ndim == 0:
        normalize_axis("aminmax", dim, 1)
    return MinAndMax(input.amin(dim, keepdim), input.amax(dim, keepdim))


@spelled()
def var_mean(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """Variance (see `Tensor.var`) and mean."""
    return input.var(dim, unbiased, keepdim, correction=correction), _mean_beside(input, dim, keepdim)


@spelled()
def std_mean(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """Standard deviation (see `Tensor.std`) and mean."""
    return input.std(dim, unbiased, keepdim, correction=correction), _mean_beside(input, dim, keepdim)


def _mean_beside(x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    """The mean; `dim` may be the flag of `var(False)`."""
    return x.mean(None if isinstance(dim, bool) else dim, keepdim)


# Slices.
@spelled(in_place=True)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each slice at an index of `dim` scaled down so that its `p`-norm is at most `maxnorm`; smaller ones stay."""
    arguments.positive("renorm", "p", p)
    arguments.not_negative("renorm", "maxnorm", maxnorm)
    if input.ndim < 2:
        raise ShapeError(f"renorm: needs at least two axes, got {input.type}", user_loc())
    axis = normalize_axis("renorm", dim, input.ndim)
    others = tuple(a for a in range(input.ndim) if a != axis)
    norms = vector_norm(input._float(), float(p), others)
    return input * where(norms > maxnorm, maxnorm / (norms + 1e-7), 1.0)


def vector_norm(x: Tensor, p: float, axes: tuple[int, ...]) -> Tensor:
    """The `p`-norm over axes, which stay with size 1; its derivative at 0 is 0."""
    if math.isinf(p):
        return x.abs().amax(axes, True) if p > 0 else x.abs().amin(axes, True)
    if p == 0:
        return (x != 0).cast(x.dtype).sum(axes, True)
    if p == 1:
        return x.abs().sum(axes, True)
    if p == 2:
        return x.square().sum(axes, True)._apply(ops.composite.root)
    total = (x.abs() ** p).sum(axes, True)
    zero = total == 0
    return where(zero, zeros_like(total), where(zero, 1.0, total) ** (1.0 / p))


@spelled()
def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """The sum over the axes that broadcasting a tensor of this size to the input's shape would repeat."""
    target = integers(size)
    extra = input.ndim - len(target)
    fits = extra >= 0 and all(t in (1, d) for t, d in zip(target, input.shape[max(extra, 0) :], strict=True))
    if not fits:
        raise ShapeError(f"sum_to_size: {list(target)} does not broadcast to {input.type}", user_loc())
    axes = [*range(extra), *(a + extra for a, t in enumerate(target) if t != input.shape[a + extra])]
    return input.sum(axes).reshape(target) if axes or not target else input
