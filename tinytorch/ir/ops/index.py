"""Indexing by tensors: gather, and scatter-add, its transpose. Indices come through `checked_index`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import Array, Attrs, Op, apply, define
from tinytorch.ir.ops.core import no_flops, normalize_axis, zeros_like
from tinytorch.ir.types import TensorType, i64


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


def _scatter_type(base: TensorType, indices: TensorType, updates: TensorType, *, axis: int) -> TensorType:
    expected = TensorType(base.dtype, _indexed("scatter_add", base, indices, axis))
    if updates != expected or base.dtype.kind == "bool":
        raise ShapeError(f"scatter_add: updates must be {expected} of numbers, got {updates}")
    return base


def _scatter_eval(base: Array, indices: Array, updates: Array, *, axis: int) -> Array:
    wide = base.astype(np.float32) if base.dtype.itemsize == 2 else base.copy()
    window: Any = (slice(None),) * axis + (indices,)
    np.add.at(wide, window, updates.astype(wide.dtype))
    return wide.astype(base.dtype)


def _scatter_flops(types: Any, out: TensorType, attrs: Attrs) -> int:
    return types[2].size


scatter_add = define(Op(
    name="scatter_add", kind="index", doc="`base` with `updates` added at `indices` along `axis`; repeats add up.",
    infer=_scatter_type, eval=_scatter_eval,
    vjp=(lambda g, n: g, None, lambda g, n: apply(gather, g, n.inputs[1], axis=n.attrs["axis"])), flops=_scatter_flops,
))  # fmt: skip
