"""Reading and replacing parts: gather, the scatters, update_slice and dynamic_slice. Indices come through
`checked_index`, or are checked before a kernel runs (`index_ranges`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.fast import sums
from tinytorch.ir.op import Array, Attrs, Op, apply, define
from tinytorch.ir.ops.core import cast, filled, no_flops, normalize_axis, where, zeros_like
from tinytorch.ir.ops.elementwise import eq
from tinytorch.ir.ops.view import slice_
from tinytorch.ir.types import Shape, TensorType, bool_, i64

Ints = tuple[int, ...]


def _indexed(name: str, x: TensorType, indices: TensorType, axis: int) -> tuple[int, ...]:
    """The shape of `x` with `axis` replaced by the axes of `indices`."""
    normalize_axis(name, axis, x.rank)
    if indices.dtype != i64:
        raise ShapeError(f"{name}: indices must be i64, got {indices.dtype}")
    return (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _gather_type(x: TensorType, indices: TensorType, *, axis: int) -> TensorType:
    return TensorType(x.dtype, _indexed("gather", x, indices, axis))


def _gather_axes(types: Sequence[TensorType], attrs: Attrs) -> str:
    axes = [f"x{i}" for i in range(types[0].rank)]
    places, axis = " ".join(f"i{i}" for i in range(types[1].rank)), attrs["axis"]
    before, behind = " ".join(axes[:axis]), " ".join(axes[axis + 1 :])
    return f"{before} . {behind}, {places} -> {before} {places} {behind}"


gather = define(Op(
    name="gather", kind="index", doc="The slices of `x` at `indices` along `axis`, which they replace.",
    infer=_gather_type, eval=lambda x, indices, *, axis: np.take(x, indices, axis=axis),
    vjp=(lambda g, n: apply(scatter_add, zeros_like(n.inputs[0]), n.inputs[1], g, axis=n.attrs["axis"]), None),
    flops=no_flops, bounds=lambda bounds, types, attrs: bounds[0], axes=_gather_axes,
))  # fmt: skip


def _scattered(name: str, base: TensorType, indices: TensorType, updates: TensorType, axis: int) -> TensorType:
    expected = TensorType(base.dtype, _indexed(name, base, indices, axis))
    if updates != expected:
        raise ShapeError(f"{name}: updates must be {expected}, got {updates}")
    return base


def _scatter_add_type(base: TensorType, indices: TensorType, updates: TensorType, *, axis: int) -> TensorType:
    if base.dtype is bool_:
        raise ShapeError(f"scatter_add: adds numbers, got {base}")
    return _scattered("scatter_add", base, indices, updates, axis)


def _scatter_add_eval(base: Array, indices: Array, updates: Array, *, axis: int) -> Array:
    wide = base.astype(np.float32) if base.dtype.itemsize == 2 else base.copy()
    window: Any = (slice(None),) * axis + (indices,)
    np.add.at(wide, window, updates.astype(wide.dtype))
    return wide.astype(base.dtype)


def _scatter_add_flops(types: Any, out: TensorType, attrs: Attrs) -> int:
    return types[2].size


scatter_add = define(Op(
    name="scatter_add", kind="update", doc="`base` with `updates` added at `indices` along `axis`; repeats add up.",
    infer=_scatter_add_type, eval=_scatter_add_eval, fast=sums.scatter_add,
    vjp=(lambda g, n: g, None, lambda g, n: apply(gather, g, n.inputs[1], axis=n.attrs["axis"])),
    flops=_scatter_add_flops,
))  # fmt: skip


def _scatter_type(base: TensorType, indices: TensorType, updates: TensorType, *, axis: int) -> TensorType:
    return _scattered("scatter", base, indices, updates, axis)


def _scatter_eval(base: Array, indices: Array, updates: Array, *, axis: int) -> Array:
    """Only the last of repeated indices is assigned: numpy does not say in which order it would assign them all."""
    flat = indices.reshape(-1)
    rows, behind = np.unique(flat[::-1], return_index=True)
    lead: Any = (slice(None),) * axis
    each = updates.reshape((*base.shape[:axis], flat.size, *base.shape[axis + 1 :]))
    out = np.array(base)
    out[(*lead, rows)] = each[(*lead, flat.size - 1 - behind)]
    return out


scatter = define(Op(
    name="scatter", kind="update",
    doc="`base` with `updates` in place of what is at `indices` along `axis`; of repeated indices the last one counts.",
    infer=_scatter_type, eval=_scatter_eval,
    vjp=(
        lambda g, n: apply(scatter, g, n.inputs[1], zeros_like(n.inputs[2]), axis=n.attrs["axis"]),
        None,
        lambda g, n: apply(gather, g, n.inputs[1], axis=n.attrs["axis"]),  # of repeats as well, as in PyTorch
    ),
    flops=no_flops,
))  # fmt: skip


_REDUCTIONS: dict[str, Any] = {"mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _scatter_reduce_type(
    base: TensorType, indices: TensorType, updates: TensorType, *, axis: int, reduce: str
) -> TensorType:
    if base.dtype is bool_ or reduce not in _REDUCTIONS:
        raise ShapeError(f"scatter_reduce: reduces numbers by {', '.join(_REDUCTIONS)}, got {base} and {reduce!r}")
    return _scattered("scatter_reduce", base, indices, updates, axis)


def _scatter_reduce_eval(base: Array, indices: Array, updates: Array, *, axis: int, reduce: str) -> Array:
    wide = base.astype(np.float32) if base.dtype.itemsize == 2 else base.copy()
    window: Any = (slice(None),) * axis + (indices,)
    _REDUCTIONS[reduce].at(wide, window, updates.astype(wide.dtype))
    return wide.astype(base.dtype)


def _scatter_reduce_rule(g: Any, n: Any, index: int) -> Any:
    if index == 1:
        return None
    return (_product_rule if n.attrs["reduce"] == "mul" else _extremum_rule)(g, n, index)


def _product_rule(g: Any, n: Any, index: int) -> Any:
    """The derivative by one factor is the product of all others, also where some are 0. One of these is a factor of
    its own, for the second derivative."""
    base, indices, updates = n.inputs
    axis = n.attrs["axis"]

    def product(factors: Any) -> Any:
        return apply(scatter_reduce, filled(base, 1, base.type), indices, factors, axis=axis, reduce="mul")

    if index == 0:
        return g * product(updates)
    is_zero = apply(eq, updates, zeros_like(updates))
    counted = apply(cast, is_zero, dtype=updates.type.dtype)
    zeros = apply(gather, apply(scatter_add, zeros_like(base), indices, counted, axis=axis), indices, axis=axis)
    others = zeros - counted  # factors that are 0, beside the one itself
    factors = apply(where, is_zero, filled(updates, 1, updates.type), updates)
    product_of_others = apply(gather, g * base * product(factors), indices, axis=axis) / factors
    absent = apply(where, is_zero, updates, zeros_like(updates))
    other = apply(gather, apply(scatter_add, zeros_like(base), indices, absent, axis=axis), indices, axis=axis) - absent
    none, one = (apply(eq, others, filled(others, count, others.type)) for count in (0, 1))
    of_one = apply(where, one, product_of_others * other, zeros_like(updates))
    return apply(where, none, product_of_others, of_one)


def _extremum_rule(g: Any, n: Any, index: int) -> Any:
    """The cotangent is shared by all that are equal to the result."""
    base, indices, updates = n.inputs
    axis = n.attrs["axis"]
    hit, own = apply(eq, updates, apply(gather, n.output, indices, axis=axis)), apply(eq, base, n.output)
    ones = apply(cast, hit, dtype=g.type.dtype)
    share = g / apply(scatter_add, apply(cast, own, dtype=g.type.dtype), indices, ones, axis=axis)
    if index == 0:
        return apply(where, own, share, zeros_like(share))
    return apply(where, hit, apply(gather, share, indices, axis=axis), zeros_like(updates))


scatter_reduce = define(Op(
    name="scatter_reduce", kind="update",
    doc="`base` with `updates` joined to what is at `indices` along `axis`: multiplied (`reduce` is mul), or the "
    "larger or smaller kept (max, min; NaN if either is).",
    infer=_scatter_reduce_type, eval=_scatter_reduce_eval, vjp=_scatter_reduce_rule, flops=_scatter_add_flops,
))  # fmt: skip


def region(shape: Shape, starts: Ints, steps: Ints) -> tuple[range, ...]:
    """The indices along each axis of `shape` elements that begin at `starts` and are `steps` apart."""
    return tuple(range(a, a + d * s, s) for d, a, s in zip(shape, starts, steps, strict=True))


def _window(part: Shape, starts: Ints, steps: Ints) -> dict[str, Ints]:
    """The region as attributes of slice."""
    ranges = region(part, starts, steps)
    return {"starts": starts, "limits": tuple(r[-1] + 1 if r else r.start for r in ranges), "steps": steps}


# Regions that positions move: what begins at `starts` begins `position` elements later, for each of `axes` the position
# that is known when the graph runs.
def rooms(whole: Shape, part: Shape, starts: Ints, steps: Ints, axes: Ints) -> Ints:
    """How far the region of `part` may move along each of `axes` and still lie in `whole`."""
    ends = [a + (d - 1) * s + 1 if d else a for d, a, s in zip(part, starts, steps, strict=True)]
    return tuple(whole[axis] - ends[axis] for axis in axes)


def _check_positions(name: str, positions: Sequence[TensorType], rank: int, axes: Ints) -> None:
    if len(set(axes)) != len(axes) or any(not 0 <= axis < rank for axis in axes):
        raise ShapeError(f"{name}: axes must be distinct and in [0, {rank}), got {axes}")
    if len(positions) != len(axes) or any(p != TensorType(i64, ()) for p in positions):
        found = ", ".join(map(str, positions)) or "none"
        raise ShapeError(f"{name}: needs a position of i64[] for each of the axes {axes}, got {found}")


def _moved(name: str, whole: Shape, part: Shape, starts: Ints, steps: Ints, axes: Ints, at: Sequence[Array]) -> Ints:
    """Where the region begins; IndexError if that does not lie in `whole`."""
    begin = list(starts)
    for axis, room, position in zip(axes, rooms(whole, part, starts, steps, axes), map(int, at), strict=True):
        begin[axis] += position
        if not 0 <= position <= room:
            raise IndexError(
                f"{name}: {part[axis]} elements from {begin[axis]} on in steps of {steps[axis]} do not fit axis {axis} "
                f"of size {whole[axis]}"
            )
    return tuple(begin)


def _slices(window: dict[str, Ints]) -> tuple[slice, ...]:
    return tuple(map(slice, window["starts"], window["limits"], window["steps"]))


def _update_slice_type(
    base: TensorType, update: TensorType, *positions: TensorType, starts: Ints, steps: Ints, axes: Ints = ()
) -> TensorType:
    if update.rank != base.rank or update.dtype != base.dtype:
        raise ShapeError(f"update_slice: the update must have the rank and dtype of {base}, got {update}")
    if not len(starts) == len(steps) == base.rank:
        raise ShapeError(f"update_slice: needs starts and steps for the {base.rank} axes of {base}")
    for axis, (count, start, step, size) in enumerate(zip(update.shape, starts, steps, base.shape, strict=True)):
        if not (step > 0 and start >= 0 and start + ((count - 1) * step + 1 if count else 0) <= size):
            raise ShapeError(
                f"update_slice: {count} elements from {start} on in steps of {step} do not fit axis {axis} of {base}"
            )
    _check_positions("update_slice", positions, base.rank, axes)
    return base


def _update_slice_eval(
    base: Array, update: Array, *positions: Array, starts: Ints, steps: Ints, axes: Ints = ()
) -> Array:
    begin = _moved("update_slice", base.shape, update.shape, starts, steps, axes, positions)
    out = np.array(base)
    out[_slices(_window(update.shape, begin, steps))] = update
    return out


def _update_slice_rule(g: Any, n: Any, index: int) -> Any:
    part, positions = n.inputs[1], n.inputs[2:]
    if index == 0:
        return apply(update_slice, g, zeros_like(part), *positions, **n.attrs)
    window = _window(part.type.shape, n.attrs["starts"], n.attrs["steps"])
    if index > 1:
        return None
    return (
        apply(dynamic_slice, g, *positions, **window, axes=n.attrs["axes"]) if positions else apply(slice_, g, **window)
    )


update_slice = define(Op(
    name="update_slice", kind="update",
    doc="`base` with `update` in place of the region that begins at `starts` and goes on in `steps`; the positions "
    "move it along `axes`.",
    infer=_update_slice_type, eval=_update_slice_eval, vjp=_update_slice_rule, flops=no_flops,
))  # fmt: skip


def _dynamic_slice_type(
    x: TensorType, *positions: TensorType, starts: Ints, limits: Ints, steps: Ints, axes: Ints
) -> TensorType:
    _check_positions("dynamic_slice", positions, x.rank, axes)
    found = slice_.infer(x, starts=starts, limits=limits, steps=steps)
    assert isinstance(found, TensorType)
    return found


def _dynamic_slice_eval(x: Array, *positions: Array, starts: Ints, limits: Ints, steps: Ints, axes: Ints) -> Array:
    part = tuple(len(range(*window)) for window in zip(starts, limits, steps, strict=True))
    begin = _moved("dynamic_slice", x.shape, part, starts, steps, axes, positions)
    return np.array(x[_slices(_window(part, begin, steps))])


def _dynamic_slice_rule(g: Any, n: Any, index: int) -> Any:
    attrs = {name: n.attrs[name] for name in ("starts", "steps", "axes")}
    return apply(update_slice, zeros_like(n.inputs[0]), g, *n.inputs[1:], **attrs) if index == 0 else None


def _dynamic_slice_put(
    base: Any, new: Any, *positions: Any, starts: Ints, limits: Ints, steps: Ints, axes: Ints
) -> Any:
    return apply(update_slice, base, new, *positions, starts=starts, steps=steps, axes=axes)


dynamic_slice = define(Op(
    name="dynamic_slice", kind="index",
    doc="The slice of `x` that begins at `starts` and goes on in `steps` below `limits`; the positions move it along "
    "`axes`.",
    infer=_dynamic_slice_type, eval=_dynamic_slice_eval, vjp=_dynamic_slice_rule, flops=no_flops,
    put=_dynamic_slice_put, bounds=lambda bounds, types, attrs: bounds[0],
))  # fmt: skip


def indices_of(
    op: Op, types: Sequence[TensorType], results: Sequence[TensorType], attrs: Attrs
) -> tuple[tuple[int, int, bool], ...]:
    """(operand, size, wrap) for each operand that says where an op reads or writes: its elements lie in [0, size), and
    count from the end where they are negative if `wrap`."""
    if op in (gather, scatter, scatter_add, scatter_reduce):
        return ((1, types[0].shape[attrs["axis"]], True),)
    if op not in (dynamic_slice, update_slice):
        return ()
    first, part = (1, results[0]) if op is dynamic_slice else (2, types[1])
    axes = attrs.get("axes", ())
    found = rooms(types[0].shape, part.shape, attrs["starts"], attrs["steps"], axes)
    return tuple((first + i, room + 1, False) for i, room in enumerate(found))
