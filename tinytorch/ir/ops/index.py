"""Reading and replacing parts: gather, the scatters and update_slice. Indices come through `checked_index`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.fast import sums
from tinytorch.ir.op import Array, Attrs, Op, apply, define
from tinytorch.ir.ops.core import no_flops, normalize_axis, zeros_like
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


gather = define(Op(
    name="gather", kind="index", doc="The slices of `x` at `indices` along `axis`, which they replace.",
    infer=_gather_type, eval=lambda x, indices, *, axis: np.take(x, indices, axis=axis),
    vjp=(lambda g, n: apply(scatter_add, zeros_like(n.inputs[0]), n.inputs[1], g, axis=n.attrs["axis"]), None),
    flops=no_flops,
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


def region(shape: Shape, starts: Ints, steps: Ints) -> tuple[range, ...]:
    """The indices along each axis of `shape` elements that begin at `starts` and are `steps` apart."""
    return tuple(range(a, a + d * s, s) for d, a, s in zip(shape, starts, steps, strict=True))


def _window(update: Shape, starts: Ints, steps: Ints) -> dict[str, Ints]:
    """The region as attributes of slice."""
    ranges = region(update, starts, steps)
    return {"starts": starts, "limits": tuple(r[-1] + 1 if r else r.start for r in ranges), "steps": steps}


def _update_slice_type(base: TensorType, update: TensorType, *, starts: Ints, steps: Ints) -> TensorType:
    if update.rank != base.rank or update.dtype != base.dtype:
        raise ShapeError(f"update_slice: the update must have the rank and dtype of {base}, got {update}")
    if not len(starts) == len(steps) == base.rank:
        raise ShapeError(f"update_slice: needs starts and steps for the {base.rank} axes of {base}")
    for axis, (count, start, step, size) in enumerate(zip(update.shape, starts, steps, base.shape, strict=True)):
        if not (step > 0 and start >= 0 and start + ((count - 1) * step + 1 if count else 0) <= size):
            raise ShapeError(
                f"update_slice: {count} elements from {start} on in steps of {step} do not fit axis {axis} of {base}"
            )
    return base


def _update_slice_eval(base: Array, update: Array, *, starts: Ints, steps: Ints) -> Array:
    window = _window(update.shape, starts, steps)
    out = np.array(base)
    out[tuple(map(slice, window["starts"], window["limits"], window["steps"]))] = update
    return out


update_slice = define(Op(
    name="update_slice", kind="update",
    doc="`base` with `update` in place of the region that begins at `starts` and goes on in `steps`.",
    infer=_update_slice_type, eval=_update_slice_eval,
    vjp=(
        lambda g, n: apply(update_slice, g, zeros_like(n.inputs[1]), **n.attrs),
        lambda g, n: apply(slice_, g, **_window(n.inputs[1].type.shape, **n.attrs)),
    ),
    flops=no_flops,
))  # fmt: skip
