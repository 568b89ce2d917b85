"""Scans: each element of the result is a reduction of all elements up to its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import Array, Op, apply, define
from tinytorch.ir.ops.core import normalize_axis
from tinytorch.ir.types import DType, TensorType, dtype_of, f32, f64


def accumulator(dtype: DType) -> DType:
    """What running sums of `dtype` are kept in: f32 for 16-bit floats, f64 for wider ones, integers as they are."""
    if not dtype.is_float:
        return dtype
    return f32 if dtype.bits == 16 else f64


def _cumsum_type(x: TensorType, *, axis: int, reverse: bool) -> TensorType:
    normalize_axis("cumsum", axis, x.rank)
    if x.dtype.kind == "bool":
        raise ShapeError(f"cumsum: needs numbers, got {x}")
    return x


def _cumsum(x: Array, *, axis: int, reverse: bool) -> Array:
    wide = accumulator(dtype_of(x.dtype)).numpy
    forward = np.flip(x, axis) if reverse else x
    sums: Any = np.cumsum(forward.astype(wide, copy=False), axis=axis, dtype=wide)
    sums = np.add(sums, wide.type(0), out=sums)  # 0.0 + -0.0, where numpy begins with the first element itself
    return np.flip(sums, axis).astype(x.dtype) if reverse else sums.astype(x.dtype, copy=False)


cumsum = define(Op(
    name="cumsum", kind="index",
    doc="Sums of the elements up to each along `axis`, or from each on if `reverse`, added one after the other.",
    infer=_cumsum_type, eval=_cumsum,
    vjp=(lambda g, n: apply(cumsum, g, axis=n.attrs["axis"], reverse=not n.attrs["reverse"]),),
    flops=lambda types, out, attrs: out.size,
))  # fmt: skip
