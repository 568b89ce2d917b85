"""Counts: which values there are, how often, and in which intervals; and random choices by weight.

What has as many elements as there are different values cannot be in a graph: these functions are for eager mode, and
raise a TraceError under tt.compile.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.random import Generator, rand
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, apply
from tinytorch.ir.operators.promotion import normalize_axis
from tinytorch.ir.types import f32, f64, i64


class Histogram(NamedTuple):
    """What `histogram` finds."""

    hist: Any
    bin_edges: Any


def _values(what: str, x: Tensor) -> Array:
    """The values, which must be known; bf16 as f32, which numpy can sort."""
    array = x._concrete(f"{what} (its result depends on values)")
    return array.astype(np.float32) if array.dtype.kind == "V" or x.dtype.name == "bf16" else array


def _tensor(array: Any, like: Tensor | None = None) -> Tensor:
    found = np.asarray(array, order="C")
    return Tensor.wrap(found.astype(np.int64 if like is None else like.dtype.numpy, copy=False))


# Different values.
@spelled()
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different values, ascending; along `dim` the different slices.

    With `return_inverse` also the index of each element's value, with `return_counts` how often each is there: a tuple
    then, in this order. Each NaN is different. Not under tt.compile.
    """
    x = _values("unique", input)
    axis = None if dim is None else _slices("unique", input, dim)
    if axis is not None and not x.shape[axis]:
        found, inverse, counts = x, np.zeros(0, np.int64), np.zeros(0, np.int64)
    else:
        found, inverse, counts = np.unique(x, return_inverse=True, return_counts=True, axis=axis, equal_nan=False)
    shape = input.shape if axis is None else (-1,)
    return _asked(_tensor(found, input), inverse.reshape(shape), counts, return_inverse, return_counts)


@spelled()
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The values of the flattened tensor, or the slices along `dim`, each of which differs from the one before; see
    `unique`. Not under tt.compile."""
    x = _values("unique_consecutive", input)
    axis = None if dim is None else _slices("unique_consecutive", input, dim)
    rows = x.reshape((-1, 1)) if axis is None else np.moveaxis(x, axis, 0).reshape((x.shape[axis], _size_but(x, axis)))
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:] != rows[:-1]).any(1)
    starts = np.flatnonzero(first)
    inverse, counts = np.cumsum(first) - 1, np.diff(np.append(starts, len(rows)))
    found = x.reshape(-1)[starts] if axis is None else np.take(x, starts, axis)
    shape = input.shape if axis is None else (-1,)
    return _asked(_tensor(found, input), inverse.reshape(shape), counts, return_inverse, return_counts)


def _size_but(x: Array, axis: int) -> int:
    """How many elements a slice along `axis` has."""
    return math.prod(d for i, d in enumerate(x.shape) if i != axis)


def _slices(what: str, x: Tensor, dim: int) -> int | None:
    axis = normalize_axis(what, dim, max(x.ndim, 1))
    if x.ndim and not x.numel() and x.shape[axis]:
        raise ShapeError(f"{what}: the slices of {x.type} along axis {axis} are empty", user_loc())
    return axis if x.ndim else None


def _asked(found: Tensor, inverse: Array, counts: Array, return_inverse: bool, return_counts: bool) -> Any:
    rest = [_tensor(array) for array, wanted in ((inverse, return_inverse), (counts, return_counts)) if wanted]
    return (found, *rest) if rest else found


# Counts.
@spelled()
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 on is in the vector `input`, as i64, for at least `minlength` of them; or the sums
    of their `weights`, as f32 where these are, else as f64. Not under tt.compile."""
    arguments.integer("bincount", "minlength", minlength, 0)
    x = _values("bincount", input)
    if input.ndim != 1 or input.dtype.kind not in ("int", "uint") or (x.size and x.min() < 0):
        raise ShapeError(f"bincount: needs a vector of integers that are not negative, got {input.type}", user_loc())
    if weights is None:
        return _tensor(np.bincount(x, minlength=minlength))
    if weights.shape != input.shape:
        raise ShapeError(f"bincount: weights are {weights.type}, the input {input.type}", user_loc())
    counts = np.bincount(x, _values("bincount", weights).astype(np.float64), minlength)
    return Tensor.wrap(counts.astype(np.float32 if weights.dtype == f32 else np.float64))


@spelled()
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` intervals of equal size from `min` to `max`, the last one closed; of the
    smallest and the largest element where both are equal. Others and NaN are left out. Not under tt.compile."""
    count = arguments.integer("histc", "bins", bins, 1)
    if not input.dtype.is_float:
        raise ShapeError(f"histc: needs floats, got {input.type}", user_loc())
    x = _values("histc", input).reshape(-1)
    low, high = _ends("histc", x, float(min), float(max), 1.0)
    x = x[(x >= low) & (x <= high)].astype(np.float64)
    places = np.minimum(((x - low) * (count / (high - low))).astype(np.int64), count - 1)
    return _tensor(np.bincount(places, minlength=count), input)


def _ends(what: str, x: Array, low: float, high: float, around: float) -> tuple[float, float]:
    """Where intervals begin and end: at the extremes of x where both are equal, and so far `around` a single value."""
    if low == high:
        low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 1.0)
    if low == high:
        low, high = low - around, high + around
    if not (math.isfinite(low) and math.isfinite(high)):
        raise arguments.wrong_value(what, "the range", "finite", (low, high))
    if low > high:
        raise arguments.wrong_value(what, "min", f"at most max, {high}", low)
    return low, high


@spelled()
def histogram(
    input: Tensor, bins: Any = 100, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> Histogram:
    """How many elements, or how much of their `weight`, lies in each interval between edges, the last one closed;
    divided by the total and by the sizes of the intervals if `density`. Not under tt.compile.

    `bins` is a number of intervals of equal size, in `range` (low, high) or between the extremes, or an ascending
    tensor of edges.
    """
    if isinstance(bins, (tuple, list)):
        raise arguments.wrong_type("histogram", "bins", "a number or a tensor of edges", bins)
    spans = None if range is None else tuple(range)
    flat = input.reshape((-1, 1))
    found, (edges,) = _histogram("histogram", flat, (bins,), spans, weight, density)
    return Histogram(found, edges)


@spelled(method=False)
def histogramdd(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> Histogram:
    """As `histogram`, of points in D dimensions, which lie along the last axis: bins are a number for all dimensions,
    or a number or edges for each, and `range` has two numbers for each. The edges are D tensors."""
    if input.ndim < 2:
        raise ShapeError(f"histogramdd: needs at least two axes, got {input.type}", user_loc())
    points = input.reshape((math.prod(input.shape[:-1]), input.shape[-1]))
    each = tuple(bins) if isinstance(bins, (tuple, list)) else (bins,) * points.shape[1]
    if len(each) != points.shape[1]:
        raise ShapeError(f"histogramdd: {len(each)} bins for points in {points.shape[1]} dimensions", user_loc())
    found, edges = _histogram("histogramdd", points, each, None if range is None else tuple(range), weight, density)
    return Histogram(found, tuple(edges))


def _histogram(
    what: str, points: Tensor, bins: Sequence[Any], spans: Any, weight: Tensor | None, density: bool
) -> tuple[Tensor, list[Tensor]]:
    if not points.dtype.is_float:
        raise ShapeError(f"{what}: needs floats, got {points.type}", user_loc())
    if spans is not None and len(spans) != 2 * len(bins):
        raise ShapeError(f"{what}: range has two numbers for each dimension, got {list(spans)}", user_loc())
    x = _values(what, points)
    edges = [_edges(what, x[:, d], b, None if spans is None else spans[2 * d : 2 * d + 2]) for d, b in enumerate(bins)]
    shape = tuple(len(e) - 1 for e in edges)
    inside, flat = np.ones(len(x), bool), np.zeros(len(x), np.int64)
    for d, ends in enumerate(edges):
        place = np.searchsorted(ends, x[:, d], "right") - 1
        place[x[:, d] == ends[-1]] = shape[d] - 1
        inside &= (place >= 0) & (place < shape[d]) & (x[:, d] <= ends[-1])
        flat = flat * shape[d] + np.clip(place, 0, max(shape[d] - 1, 0))
    weights = np.ones(len(x)) if weight is None else _values(what, weight).reshape(-1).astype(np.float64)
    if len(weights) != len(x):
        raise ShapeError(f"{what}: a weight for each of {len(x)} points, got {len(weights)}", user_loc())
    counts = np.bincount(flat[inside], weights[inside], math.prod(shape)).reshape(shape)
    if density:
        counts = counts / counts.sum()
        for d, ends in enumerate(edges):
            sizes = np.diff(ends.astype(np.float64))
            counts = counts / sizes.reshape([-1 if a == d else 1 for a in range(len(shape))])
    return _tensor(counts, points), [_tensor(e, points) for e in edges]


def _edges(what: str, x: Array, bins: Any, span: Any) -> Array:
    if isinstance(bins, Tensor):
        edges = _values(what, bins)
        if edges.ndim != 1 or len(edges) < 2:
            raise ShapeError(f"{what}: edges are a vector of at least two, got {bins.type}", user_loc())
        return edges.astype(x.dtype)
    count = arguments.integer(what, "bins", bins, 1)
    low, high = (0.0, 0.0) if span is None else map(float, span)
    low, high = _ends(what, x, low, high, 0.5)
    return np.linspace(low, high, count + 1).astype(x.dtype)


# Choices.
@spelled()
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices, i64, drawn for each row of weights: with `replacement` each index anew, else every index at most once,
    one after the other by the weights of those that are left.

    `input` [n] or [rows, n] are numbers that are not negative, not all 0. Without replacement, those with the largest
    weight / exponential noise come first (Efraimidis & Spirakis, "Weighted random sampling with a reservoir", 2006).
    """
    count = arguments.integer("multinomial", "num_samples", num_samples, 1)
    if input.ndim not in (1, 2) or not input.dtype.is_float or not input.numel():
        raise ShapeError(f"multinomial: needs floats with one or two axes, got {input.type}", user_loc())
    if not replacement and count > input.shape[-1]:
        raise ShapeError(f"multinomial: {input.type} has no {count} indices; replacement=True draws anew", user_loc())
    if mode.trace is None:
        _check_weights(input, count, bool(replacement))
    with grad_mode(False):
        weights = input.detach().cast(f64)
        if replacement:
            return _drawn_anew(weights, count, generator)
        noise = -(1.0 - rand(*weights.shape, dtype=f64, generator=generator)).log()
        last = weights.ndim - 1
        keys = weights / noise.clamp(min=1e-300)
        return apply(ops.sorting.sort, keys, axis=last, descending=True, count=count)[1]


def _drawn_anew(weights: Tensor, count: int, generator: Generator | None) -> Tensor:
    """By the running sums of the weights: the first that is larger than a random share of the total."""
    sums = weights.cumsum(-1)
    size = weights.shape[-1]
    total = sums.narrow(-1, size - 1, 1)
    drawn = rand(*weights.shape[:-1], count, dtype=f64, generator=generator) * total
    found = apply(ops.sorting.searchsorted, sums, drawn, right=True)
    possible = apply(ops.sorting.searchsorted, sums, total, right=False)  # the last with a weight
    return found._with(ops.elementwise.minimum, possible.cast(i64).broadcast_to(found.shape))


def _check_weights(x: Tensor, count: int, replacement: bool) -> None:
    values = _values("multinomial", x).astype(np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        raise TinyTorchError("multinomial: weights are finite and not negative", user_loc())
    left = (values > 0).sum(-1).min()
    if left < (1 if replacement else count):
        raise TinyTorchError(
            f"multinomial: a row has {left} weights that are not 0, {count} are to be drawn", user_loc()
        )
