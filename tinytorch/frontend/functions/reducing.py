"""Reductions beyond sums and extremes: products, counts, what leaves NaNs out, moments in pairs, norms of slices."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from typing import Any, NamedTuple

from tinytorch.frontend import arguments
from tinytorch.frontend.gradients import zeros_like
from tinytorch.frontend.mode import mode as thread
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor_functions import where
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.promotion import integers, normalize_axis
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
    x = input._float() if dtype is None else input.cast(dtype_of(dtype))
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
    return input.sum(axes).reshape(target) if axes else input


# Between variables.
@spelled()
def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariances of the variables that are the rows of `input`, each column one observation; a vector is one
    variable.

    `fweights` (integers) say how often each observation counts, `aweights` how much. The products of distances from
    the mean are divided by the sum of weights, less `correction`.
    """
    if input.ndim > 2:
        raise ShapeError(f"cov: needs at most two axes, got {input.type}", user_loc())
    x = input._float().reshape((1, -1)) if input.ndim < 2 else input._float()
    weights = _weights(x, fweights, aweights)
    count = x.shape[1]
    if weights is None:
        mean, total, scaled = x.mean(1, True), None, None
        normed: Any = max(count - correction, 0)
    else:
        total = weights.sum()
        mean = (x * weights).sum(1, True) / total
        scaled = weights
        if aweights is None or correction == 0:
            normed = total - correction
        else:
            normed = total - correction * (weights * aweights).sum() / total
        normed = normed.clamp(min=0)
    centred = x - mean
    out = centred.matmul((centred if scaled is None else centred * scaled).mT) / normed
    return out.reshape(()) if x.shape[0] == 1 else out


def _weights(x: Tensor, fweights: Tensor | None, aweights: Tensor | None) -> Tensor | None:
    found: Tensor | None = None
    for name, weights in (("fweights", fweights), ("aweights", aweights)):
        if weights is None:
            continue
        whole = weights.dtype.kind in ("int", "uint")
        if weights.shape != (x.shape[1],) or whole != (name == "fweights"):
            wanted = "integers" if name == "fweights" else "floats"
            raise ShapeError(f"cov: {name} are {x.shape[1]} {wanted}, got {weights.type}", user_loc())
        if thread.trace is None and weights.numel() and bool((weights < 0).any()):
            raise arguments.wrong_value("cov", name, "not negative", weights)
        cast = weights.cast(x.dtype)
        found = cast if found is None else found * cast
    return found


@spelled()
def corrcoef(input: Tensor) -> Tensor:
    """The correlations of the variables that are the rows of `input`: their covariances over both deviations."""
    if input.ndim > 2:
        raise ShapeError(f"corrcoef: needs at most two axes, got {input.type}", user_loc())
    c = cov(input)
    if not c.ndim:
        return c / c
    rows = ops.core.iota
    same = c.apply_op(rows, (), {"shape": c.shape, "axis": 0}) == c.apply_op(rows, (), {"shape": c.shape, "axis": 1})
    deviations = where(same, c, zeros_like(c)).sum(1).sqrt()
    return (c / deviations.unsqueeze(1) / deviations.unsqueeze(0)).clamp(-1, 1)
