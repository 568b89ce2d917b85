"""Elements read, replaced and joined at places that indices and masks name.

Indices count from the front and lie in range, else an IndexError names the function and the user's line, also when the
function is compiled; where PyTorch counts negative ones from the end, so does this. A result is in memory of its own,
except where a slice is one.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.frontend.arguments import choice, flag, wrong_type
from tinytorch.frontend.functions.basic import positions, where
from tinytorch.frontend.functions.creation import counted
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.operators.indexing import basic_index
from tinytorch.ir.operators.promotion import broadcast_shapes, integers, normalize_axis
from tinytorch.ir.ops.core import filled
from tinytorch.ir.ops.index import gather as gather_op
from tinytorch.ir.ops.index import scatter as scatter_op
from tinytorch.ir.ops.index import scatter_add as scatter_add_op
from tinytorch.ir.ops.index import scatter_reduce as scatter_reduce_op
from tinytorch.ir.types import Shape, TensorType, bool_, contiguous_strides, i64

_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


# Places.
def _indices(what: str, index: Tensor, size: int, wrap: bool = False) -> Tensor:
    """Indices into an axis of `size` as i64, in range."""
    if index.dtype.kind not in ("int", "uint"):
        raise wrong_type(what, "index", "a tensor of integers", index.type)
    if not index.numel():
        return index.cast(i64)
    attrs = {"size": size, "wrap": wrap, "what": f"{what}: index"}
    return index.apply_op(ops.elementwise.checked_index, (index.cast(i64),), attrs)


def _vector(what: str, index: Tensor, size: int, wrap: bool = False) -> Tensor:
    """The same for a vector, or a single index."""
    if index.ndim > 1:
        raise ShapeError(f"{what}: index is a vector, got {index.type}", user_loc())
    return _indices(what, index.reshape((index.numel(),)), size, wrap)


def _along(what: str, shape: Shape, axis: int, index: Tensor, wrap: bool = False) -> Tensor:
    """Where the elements that `index` names along `axis` lie in a tensor of `shape`, flattened; their other coordinates
    are those that they have in `index`."""
    places = _indices(what, index, shape[axis], wrap)
    if len(shape) == 1 or not index.numel():
        return places
    steps = contiguous_strides(shape)
    places = places * steps[axis]
    for a, size in enumerate(index.shape):
        if a != axis and size > 1:
            places = places + (counted(size) * steps[a]).reshape((size, *(1,) * (index.ndim - a - 1)))
    return places


def _with_axes(*tensors: Tensor) -> list[Tensor]:
    """Tensors without axes as vectors of one element."""
    return [t if t.ndim else t.reshape((1,)) for t in tensors]


def _check_index(what: str, x: Tensor, axis: int, index: Tensor, src: Tensor | None = None) -> None:
    """ShapeError unless an index of full rank fits: no longer than `x` except along `axis`, nor than `src` at all."""
    if index.numel() == 0:
        return
    others = [(x, tuple(a for a in range(x.ndim) if a != axis))]
    others += [] if src is None else [(src, tuple(range(src.ndim)))]
    for tensor, axes in others:
        if tensor.ndim != index.ndim or any(index.shape[a] > tensor.shape[a] for a in axes):
            beside = f" apart from axis {axis}" if tensor is x else ""
            raise ShapeError(
                f"{what}: an index of {list(index.shape)} has the rank of {tensor.type} and no more elements along "
                f"any axis{beside}",
                user_loc(),
            )


# Reading.
@spelled()
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """The elements at `index` along `dim`: out[i, j] = input[index[i, j], j] for `dim` 0. `index` has the rank of
    `input`, the result its shape. Gradients are dense: `sparse_grad` is False."""
    if sparse_grad:
        raise TinyTorchError("gather: there are no sparse gradients; leave sparse_grad out", user_loc())
    return _gathered("gather", input, normalize_axis("gather", dim, max(input.ndim, 1)), index)


def _gathered(what: str, input: Tensor, axis: int, index: Tensor, wrap: bool = False) -> Tensor:
    x, places = _with_axes(input, index)
    _check_index(what, x, axis, places)
    flat = _along(what, x.shape, axis, places, wrap)
    return apply(gather_op, x.reshape((x.numel(),)), flat, axis=0).reshape(index.shape)


@spelled()
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` where `input` and `indices` broadcast apart from `dim`; without `dim`, of the flattened `input`.
    Negative indices count from the end."""
    what = "take_along_dim"
    if dim is None:
        return _gathered(what, input.reshape((input.numel(),)), 0, indices.reshape((indices.numel(),)), wrap=True)
    if input.ndim != indices.ndim:
        raise ShapeError(f"{what}: needs tensors of one rank, got {input.type} and {indices.type}", user_loc())
    axis = normalize_axis(what, dim, input.ndim)

    def without(shape: Shape) -> Shape:
        return (*shape[:axis], 1, *shape[axis + 1 :])

    shape = broadcast_shapes(what, without(input.shape), without(indices.shape))
    x, places = (t.broadcast_to((*shape[:axis], t.shape[axis], *shape[axis + 1 :])) for t in (input, indices))
    return _gathered(what, x, axis, places, wrap=True)


@spelled()
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at `index` of the flattened `input`, counted from the end where negative."""
    flat = _indices("take", index, input.numel(), wrap=True)
    return apply(gather_op, input.reshape((input.numel(),)), flat, axis=0)


# Replacing.
@spelled(in_place=True)
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: float | None = None, reduce: str | None = None
) -> Tensor:
    """`input` with `src`, a tensor or a number, at `index` along `dim`: out[index[i, j], j] = src[i, j] for `dim` 0.
    Of repeated indices the last one counts. `reduce` joins instead: "add" or "multiply"."""
    if (src is None) == (value is None):
        raise TinyTorchError("scatter: needs either src or value", user_loc())
    given = value if src is None else src
    op, attrs = scatter_op, {}
    if reduce is not None:
        adds = choice("scatter", "reduce", reduce, "add", "multiply") == "add"
        op, attrs = (scatter_add_op, {}) if adds else (scatter_reduce_op, {"reduce": "mul"})
    return _scattered("scatter", op, input, dim, index, given, attrs)


@spelled(in_place=True)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`input` with `src` added at `index` along `dim`: out[index[i, j], j] += src[i, j] for `dim` 0."""
    return _scattered("scatter_add", scatter_add_op, input, dim, index, src, {})


@spelled(in_place=True)
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`input` with `src` joined at `index` along `dim`: `reduce` is "sum", "prod", "mean", "amax" or "amin". What was
    there counts unless `include_self` is False. The gradient of the extremes is shared by equals."""
    what = "scatter_reduce"
    x, places, updates, _ = _operands(what, input, dim, index, src)
    return _reduced(what, x, places, updates, 0, reduce, include_self).reshape(input.shape)


def _operands(what: str, input: Tensor, dim: int, index: Tensor, src: Any) -> tuple[Tensor, Tensor, Tensor, int]:
    """`input` flattened, places in it, what belongs there, all vectors; and the axis."""
    axis = normalize_axis(what, dim, max(input.ndim, 1))
    x, chosen = _with_axes(input, index)
    if isinstance(src, Tensor):
        (src,) = _with_axes(src)
        if src.dtype != x.dtype:
            raise ShapeError(f"{what}: src has the dtype of the tensor, {x.dtype}, got {src.dtype}", user_loc())
    _check_index(what, x, axis, chosen, src if isinstance(src, Tensor) else None)
    flat = _along(what, x.shape, axis, chosen)
    count = index.numel()
    if isinstance(src, Tensor):
        part = basic_index(src, tuple(map(slice, chosen.shape))) if count else src.reshape((-1,))[:0]
    else:
        part = x._held(src).cast(x.dtype).broadcast_to(chosen.shape)
    return x.reshape((x.numel(),)), flat.reshape((count,)), part.reshape((count,)), axis


def _scattered(what: str, op: Any, input: Tensor, dim: int, index: Tensor, src: Any, attrs: dict[str, Any]) -> Tensor:
    x, places, updates, _ = _operands(what, input, dim, index, src)
    return _update(op, x, places, updates, 0, **attrs).reshape(input.shape)


def _update(op: Any, x: Tensor, places: Tensor, updates: Tensor, axis: int, **attrs: Any) -> Tensor:
    """An update of `x`; sums and products of bools are those of bytes."""
    if x.dtype == bool_ and op is not scatter_op:
        return _update(op, x.cast("u8"), places, updates.cast("u8"), axis, **attrs).cast(bool_)
    return apply(op, x, places, updates, axis=axis, **attrs)


def _reduced(
    what: str, x: Tensor, places: Tensor, updates: Tensor, axis: int, reduce: str, include_self: bool
) -> Tensor:
    """`x` with `updates` joined at `places` along `axis`."""
    choice(what, "reduce", reduce, *_REDUCTIONS)
    if not flag(what, "include_self", include_self):
        x = _update(scatter_op, x, places, filled(updates, _neutral(x, reduce), updates.type), axis)
    if reduce in ("prod", "amax", "amin"):
        join = {"prod": "mul", "amax": "max", "amin": "min"}[reduce]
        return _update(scatter_reduce_op, x, places, updates, axis, reduce=join)
    total = _update(scatter_add_op, x, places, updates, axis)
    if reduce == "sum":
        return total
    ones = filled(updates, 1, updates.type)
    count = _update(scatter_add_op, filled(x, int(include_self), x.type), places, ones, axis).clamp(min=1)
    return total / count if x.dtype.is_float else total // count


def _neutral(x: Tensor, reduce: str) -> float:
    """What leaves every number as it is under the reduction."""
    if reduce in ("sum", "mean", "prod"):
        return float(reduce == "prod")
    sign = -1 if reduce == "amax" else 1
    if x.dtype.is_float:
        return sign * np.inf
    low, high = (0, 1) if x.dtype == bool_ else x.dtype.limits
    return low if sign < 0 else high


# Along one axis.
def _slices(what: str, input: Tensor, dim: int, index: Tensor, source: Tensor) -> tuple[Tensor, int, Tensor, Tensor]:
    """`input`, the axis, places along it, and the slices of `source` for them, which are of its type."""
    axis = normalize_axis(what, dim, max(input.ndim, 1))
    x, new = _with_axes(input, source)
    shape = (*x.shape[:axis], index.numel(), *x.shape[axis + 1 :])
    if new.dtype != x.dtype or new.shape != shape:
        raise ShapeError(
            f"{what}: for {input.type} and an index of {index.type} along axis {axis} the source is "
            f"{input.dtype}{list(shape)}, got {source.type}",
            user_loc(),
        )
    return x, axis, _vector(what, index, x.shape[axis]), new


@spelled(in_place=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """`input` with `alpha` times the slices of `source` added at the places in `dim` that the vector `index` names."""
    x, axis, places, new = _slices("index_add", input, dim, index, source)
    new = new if alpha == 1 else (new * alpha).cast(x.dtype)
    return _update(scatter_add_op, x, places, new, axis).reshape(input.shape)


@spelled()
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`input` with the slices of `source` at the places in `dim` that the vector `index` names."""
    x, axis, places, new = _slices("index_copy", input, dim, index, source)
    return _update(scatter_op, x, places, new, axis).reshape(input.shape)


@spelled(in_place=True)
def index_fill(input: Tensor, dim: int, index: Tensor, value: float | Tensor) -> Tensor:
    """`input` with `value`, a number or a tensor without axes, at the places in `dim` that the vector `index` names."""
    axis = normalize_axis("index_fill", dim, max(input.ndim, 1))
    (x,) = _with_axes(input)
    places = _vector("index_fill", index, x.shape[axis], wrap=True)
    new = _number("index_fill", x, value)
    none = filled(x, 0, TensorType(bool_, (x.shape[axis],)))
    chosen = _update(scatter_op, none, places, filled(x, 1, TensorType(bool_, places.shape)), 0)
    return where(chosen.reshape((-1, *(1,) * (x.ndim - axis - 1))), new, x).reshape(input.shape)


@spelled(in_place=True)
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`input` with the slices of `source` joined at the places in `dim` that the vector `index` names; `reduce` is
    "prod", "mean", "amax" or "amin", and `include_self` is as for `scatter_reduce`."""
    choice("index_reduce", "reduce", reduce, *_REDUCTIONS[1:])
    x, axis, places, new = _slices("index_reduce", input, dim, index, source)
    return _reduced("index_reduce", x, places, new, axis, reduce, include_self).reshape(input.shape)


def _number(what: str, x: Tensor, value: Any) -> Tensor:
    """A number, or a tensor without axes, in the dtype of `x`, whose kind it has."""
    new = x._like(value)
    if new.ndim:
        raise ShapeError(f"{what}: value is a number or a tensor without axes, got {new.type}", user_loc())
    if new.dtype.is_float and not x.dtype.is_float:
        raise ShapeError(f"{what}: a tensor of {x.dtype} does not hold a value of {new.dtype}", user_loc())
    return new.cast(x.dtype)


# Anywhere.
@spelled(in_place=True)
def index_put(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """`input` with `values` at `input[indices]`, tensors of integers or bools for the first axes; with `accumulate`
    they are added, those of repeated indices too."""
    if not isinstance(indices, (tuple, list)):
        raise wrong_type("index_put", "indices", "a tuple of tensors", indices)
    items = tuple(slice(None) if item is None else item for item in indices)
    if values.dtype != input.dtype:
        raise ShapeError(
            f"index_put: values have the dtype of the tensor, {input.dtype}, got {values.dtype}", user_loc()
        )
    return input._assigned(items, values, flag("index_put", "accumulate", accumulate))


@spelled(in_place=True)
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`input` with the elements of `source` at the places `index` of its flattened form, counted from the end where
    negative; with `accumulate` they are added."""
    if index.numel() != source.numel() or source.dtype != input.dtype:
        raise ShapeError(
            f"put: source is {input.dtype} with an element for each of the {index.numel()} indices, got {source.type}",
            user_loc(),
        )
    places = _indices("put", index.reshape((index.numel(),)), input.numel(), wrap=True)
    op = scatter_add_op if flag("put", "accumulate", accumulate) else scatter_op
    flat = _update(op, input.reshape((input.numel(),)), places, source.reshape((source.numel(),)), 0)
    return flat.reshape(input.shape)


# By masks.
def _mask(what: str, mask: Tensor) -> Tensor:
    if mask.dtype != bool_:
        raise ShapeError(f"{what}: the mask is a tensor of bool, got {mask.type}", user_loc())
    return mask


@spelled(in_place=True)
def masked_fill(input: Tensor, mask: Tensor, value: float | Tensor) -> Tensor:
    """`value`, a number or a tensor without axes, where `mask` is true, else `input`; both broadcast."""
    return where(_mask("masked_fill", mask), _number("masked_fill", input, value), input)


@spelled(in_place=True)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The elements of `source`, one after the other, where `mask` is true, else `input`; IndexError where they are
    too few. `input` and `mask` broadcast."""
    _mask("masked_scatter", mask)
    if source.dtype != input.dtype:
        raise ShapeError(f"masked_scatter: source is {input.dtype} as the tensor, got {source.type}", user_loc())
    shape = broadcast_shapes("masked_scatter", input.shape, mask.shape)
    x, chosen = input.broadcast_to(shape), mask.broadcast_to(shape)
    if not x.numel():
        return x.clone()
    flat = chosen.reshape((x.numel(),))
    known = source.reshape((source.numel(),)) if source.numel() else filled(x, 0, TensorType(x.dtype, (1,)))
    places = where(flat, flat.cumsum(0) - min(source.numel(), 1), 0)  # of nothing, the first one is out of range
    found = apply(gather_op, known, _indices("masked_scatter", places, known.numel()), axis=0)
    return where(chosen, found.reshape(shape), x)


@spelled()
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where `mask` is true, as a vector; both broadcast. Not under tt.compile."""
    shape = broadcast_shapes("masked_select", input.shape, _mask("masked_select", mask).shape)
    chosen = mask.broadcast_to(shape)
    (places,) = positions("masked_select", chosen.reshape((chosen.numel(),)))
    x = input.broadcast_to(shape)
    return apply(gather_op, x.reshape((x.numel(),)), from_numpy(places), axis=0)


@spelled(standard="nonzero")
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The coordinates of the elements that are not 0, i64[count, rank]; with `as_tuple` a vector for each axis. Not
    under tt.compile."""
    if flag("nonzero", "as_tuple", as_tuple):
        return tuple(map(from_numpy, positions("nonzero", input)))
    return _coordinates("nonzero", input)


@spelled()
def argwhere(input: Tensor) -> Tensor:
    """The coordinates of the elements that are not 0, i64[count, rank]. Not under tt.compile."""
    return _coordinates("argwhere", input)


def _coordinates(what: str, x: Tensor) -> Tensor:
    found = positions(what, x)
    return from_numpy(np.stack(found, 1) if x.ndim else np.zeros((len(found[0]), 0), np.int64))


@spelled(method=False)
def unravel_index(indices: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """The coordinates in a tensor of `shape`, by axis, of places in its flattened form."""
    sizes = integers((shape,))
    if indices.dtype.kind not in ("int", "uint"):
        raise wrong_type("unravel_index", "indices", "a tensor of integers", indices.type)
    if min(sizes, default=0) < 0:
        raise ShapeError(f"unravel_index: sizes are not negative, got {list(sizes)}", user_loc())
    steps = contiguous_strides(sizes)
    return tuple(indices.cast(i64) // max(s, 1) % max(d, 1) for s, d in zip(steps, sizes, strict=True))
