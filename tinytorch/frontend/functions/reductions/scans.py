"""Running sums, products and extremes along an axis; differences of neighbours, and integrals of samples."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import cat
from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Op, apply
from tinytorch.ir.operators.promotion import broadcast_shapes, normalize_axis, promote
from tinytorch.ir.operators.reductions import ValuesAndIndices
from tinytorch.ir.types import bool_, dtype_of, i64


def _along(op: Op, x: Tensor, dim: int, **attrs: Any) -> Tensor:
    """`op` along `dim`; a tensor without axes is one of a single element, as in PyTorch."""
    axis = normalize_axis(op.name, dim, max(x.ndim, 1))
    return x._apply(op, axis=axis, **attrs) if x.ndim else x.reshape((1,))._apply(op, axis=axis, **attrs).reshape(())


@spelled(in_place=True)
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Products of all elements up to each, along `dim`, of what they are in `dtype`; small integers and bools are
    multiplied as i64."""
    x = input if input.dtype.is_float else input.cast(i64)
    return _along(ops.scan.cumprod, x if dtype is None else input.cast(dtype_of(dtype)), dim, reverse=False)


@spelled()
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """Logarithms of the sums of exponentials of all elements up to each, along `dim`."""
    return _along(ops.scan.logcumsumexp, input._float(), dim, reverse=False)


@spelled()
def cummax(input: Tensor, dim: int) -> ValuesAndIndices:
    """The largest of all elements up to each, along `dim`, and its index, that of the last of equal ones; NaN from the
    first NaN on."""
    return _running(ops.scan.cummax, input, dim)


@spelled()
def cummin(input: Tensor, dim: int) -> ValuesAndIndices:
    """The smallest of all elements up to each, along `dim`, and its index; see `cummax`."""
    return _running(ops.scan.cummin, input, dim)


def _running(op: Op, input: Tensor, dim: int) -> ValuesAndIndices:
    axis = normalize_axis(op.name, dim, max(input.ndim, 1))
    x = input if input.ndim else input.reshape((1,))
    values, indices = apply(op, x, axis=axis)
    return ValuesAndIndices(values.reshape(input.shape), indices.reshape(input.shape))


# Differences.
@spelled(standard="diff")
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The `n`-th differences of neighbours along `dim`, with `prepend` in front of them and `append` behind; of bools,
    whether they differ."""
    if not input.ndim:
        raise ShapeError("diff: needs at least one axis", user_loc())
    times = arguments.integer("diff", "n", n, 0)
    axis = normalize_axis("diff", dim, input.ndim)
    if not times:
        return input.clone()
    parts = [part for part in (prepend, input, append) if part is not None]
    x = cat(parts, axis) if len(parts) > 1 else input
    for _ in range(min(times, x.shape[axis])):
        count = max(x.shape[axis] - 1, 0)
        before, behind = (x.narrow(axis, start, count) for start in (0, x.shape[axis] - count))
        x = behind != before if x.dtype == bool_ else behind - before
    return x


# Integrals.
@spelled("trapz", method=False)
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral along `dim` of what goes in straight lines from sample to sample of y, taken at the places x or at
    distances `dx` (1)."""
    if y.ndim and not y.shape[normalize_axis("trapezoid", dim, y.ndim)]:
        return y._float().sum(dim)
    areas, axis = _areas("trapezoid", y, x, dx, dim)
    return areas.sum(axis)


@spelled(method=False)
def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integrals from the first sample to each of the others; see `trapezoid`."""
    areas, axis = _areas("cumulative_trapezoid", y, x, dx, dim)
    return areas.cumsum(axis)


def _areas(what: str, y: Tensor, x: Tensor | None, dx: Any, dim: int) -> tuple[Tensor, int]:
    """The integrals between neighbours along the axis, which is counted from the end."""
    if x is not None and dx is not None:
        raise arguments.wrong_value(what, "dx", "None where there is x", dx)
    if not y.ndim:
        raise ShapeError(f"{what}: needs at least one axis, got {y.type}", user_loc())
    axis = normalize_axis(what, dim, y.ndim) - y.ndim
    count = max(y.shape[axis] - 1, 0)
    distances: Any = 1 if dx is None else dx
    if x is not None:
        if x.ndim == 1:
            shape = [1] * y.ndim
            shape[axis] = x.numel()
            places = x.reshape(tuple(shape))
        else:
            places = x
        if places.ndim < -axis or places.shape[axis] not in (1, y.shape[axis]):
            raise ShapeError(f"{what}: x {x.type} has no place for each sample of {y.type}", user_loc())
        if places.shape[axis] == 1 and y.shape[axis] != 1:
            distances = zeros(())  # all samples at one place
        else:
            distances = places.narrow(axis, 1, count) - places.narrow(axis, 0, count)
    elif not isinstance(dx, Tensor) and isinstance(dx, bool):
        raise arguments.wrong_type(what, "dx", "a number", dx)
    both = y.narrow(axis, 0, count) + y.narrow(axis, max(y.shape[axis] - count, 0), count)
    if isinstance(distances, Tensor):
        broadcast_shapes(what, both.shape, distances.shape)
        dtype = promote(both.type, distances.type)
        both, distances = both.cast(dtype), distances.cast(dtype)
    return both * distances / 2.0, axis
