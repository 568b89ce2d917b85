"""Reductions as the standard has them: `axis`, `keepdims`, and sums over no axes where `axis` is ()."""

from __future__ import annotations

from typing import Any

from tinytorch.frontend.arguments import flag
from tinytorch.frontend.functions.basic import cat
from tinytorch.frontend.functions.creation import as_tensor
from tinytorch.frontend.functions.random import shape_of
from tinytorch.frontend.functions.reductions.reducing import prod as multiplied
from tinytorch.frontend.functions.reductions.scans import cumprod
from tinytorch.frontend.standard.creation import zeros
from tinytorch.frontend.standard.shared import Axes, enter
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import integer, normalize_axis
from tinytorch.ir.types import i64


def _wide(x: Tensor, dtype: Any) -> Tensor:
    """What sums are made of: `dtype`, or i64 for integers and bools."""
    return x.cast(dtype) if dtype is not None else x if x.dtype.is_float else x.cast(i64)


@enter()
def sum(x: Tensor, /, *, axis: Axes = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis`, all by default; integers are summed as i64 where no `dtype` is given."""
    wide = _wide(x, dtype)
    return wide if axis == () else wide.sum(axis, keepdims).cast(dtype or wide.dtype)


@enter()
def prod(x: Tensor, /, *, axis: Axes = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The product over `axis`, all by default; integers are multiplied as i64 where no `dtype` is given."""
    wide = _wide(x, dtype)
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    for a in sorted((normalize_axis("prod", a, x.ndim) for a in axes), reverse=True):
        wide = multiplied(wide, a, keepdims)
    return wide.cast(dtype) if dtype is not None else wide


@enter()
def mean(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The mean over `axis`, all by default."""
    return x if axis == () else x.mean(axis, keepdims)


@enter()
def var(x: Tensor, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance over `axis`, all by default: the sum of squares divided by n - `correction`."""
    return x.var(axis, None, keepdims, correction=correction)


@enter()
def std(x: Tensor, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The square root of `var`."""
    return x.std(axis, None, keepdims, correction=correction)


@enter()
def max(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest element along `axis`, of all by default."""
    return x if axis == () else x.amax(axis, keepdims)


@enter()
def min(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The smallest element along `axis`, of all by default."""
    return x if axis == () else x.amin(axis, keepdims)


@enter()
def all(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether every element along `axis` is true; of all by default."""
    return x.all(axis, keepdims)


@enter()
def any(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether an element along `axis` is true; of all by default."""
    return x.any(axis, keepdims)


@enter()
def count_nonzero(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """How many elements along `axis` are not 0, as i64."""
    return sum((x != 0).cast(i64), axis=axis, keepdims=keepdims)


def _running(what: str, start: int, x: Tensor, axis: int | None, dtype: Any, include_initial: bool) -> Tensor:
    """Sums or products of all elements up to each; with `include_initial` that of none before them."""
    if axis is None and x.ndim != 1:
        raise ShapeError(f"{what}: needs `axis` for a tensor of {x.ndim} axes", user_loc())
    at = normalize_axis(what, 0 if axis is None else axis, x.ndim)
    wide = _wide(x, dtype)
    made = wide.cumsum(at) if start == 0 else cumprod(wide, at)
    if flag(what, "include_initial", include_initial):
        first = zeros((*x.shape[:at], 1, *x.shape[at + 1 :]), dtype=made.dtype) + start
        made = cat([first.cast(made.dtype), made], at)
    return made.cast(dtype or made.dtype)


@enter()
def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Sums of all elements up to each, along `axis`; with `include_initial` after a 0."""
    return _running("cumulative_sum", 0, x, axis, dtype, include_initial)


@enter()
def cumulative_prod(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Products of all elements up to each, along `axis`; with `include_initial` after a 1."""
    return _running("cumulative_prod", 1, x, axis, dtype, include_initial)


@enter()
def diff(
    x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours along `axis`, `n` times, after `prepend` and `append` have been put to the ends."""
    at = normalize_axis("diff", axis, x.ndim)
    parts = [as_tensor(p) for p in (prepend, x, append) if p is not None]
    out = cat(parts, at) if len(parts) > 1 else x
    (times,) = shape_of("diff", (integer("diff", "n", n),))
    for _ in range(times):
        lead, length = (slice(None),) * at, out.shape[at]
        later, earlier = out[(*lead, slice(1, None))], out[(*lead, slice(0, length - 1 if length else 0))]
        out = later ^ earlier if out.dtype.kind == "bool" else later - earlier
    return out
