"""Contractions: matrix products in all transpositions (a transposed operand is a permute in front)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import NONDIFF, Array, Attrs, Op, apply, define
from tinytorch.ir.ops.core import cast, cast_array, computed_in_f32
from tinytorch.ir.ops.view import permute
from tinytorch.ir.types import DType, TensorType, bf16, f32, i32


def accumulator(dtype: DType) -> DType:
    """What products of `dtype` are summed in: f32 for 16-bit floats, i32 for bytes (sums wrap alike)."""
    if dtype.is_float:
        return dtype if dtype.bits >= 32 else f32
    return dtype if dtype.bits >= 32 else i32


def check_dtypes(name: str, a: TensorType, b: TensorType, dtype: DType | None) -> None:
    """ShapeError if a contraction cannot have these operands: they have one numeric dtype, or sums in `dtype`."""
    if "bool" in (a.dtype.kind, b.dtype.kind) or (dtype is None and a.dtype != b.dtype):
        raise ShapeError(f"{name}: operands must have one numeric dtype, got {a} and {b}")
    if dtype is not None and (accumulator(a.dtype), accumulator(b.dtype)) != (dtype, dtype):
        raise ShapeError(
            f"{name}: sums of {a.dtype} by {b.dtype} are not kept in {dtype}; those of bytes are in i32, those of "
            "16-bit floats in f32, others in the dtype of the operands"
        )


def _matmul_type(a: TensorType, b: TensorType, *, dtype: DType | None = None) -> TensorType:
    check_dtypes("matmul", a, b, dtype)
    if a.rank < 2 or a.rank != b.rank or a.shape[:-2] != b.shape[:-2]:
        raise ShapeError(f"matmul: needs two matrices with the same batch axes, got {a} and {b}")
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(f"matmul: lhs axis {a.rank - 1} is {a.shape[-1]}, rhs axis {b.rank - 2} is {b.shape[-2]}")
    return TensorType(dtype or a.dtype, (*a.shape[:-1], b.shape[-1]))


_BLOCK = 1024  # products that numpy may add in f32: BLAS has long chains of additions for some layouts


def products(a: Array, b: Array) -> Array:
    """numpy's `matmul`, long sums of f32 cut into blocks that are added up in f64."""
    depth = a.shape[-1]
    if a.dtype != np.float32 or depth <= _BLOCK:
        return np.matmul(a, b)
    total = np.zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]))
    for k in range(0, depth, _BLOCK):
        total += np.matmul(a[..., k : k + _BLOCK], b[..., k : k + _BLOCK, :])
    with np.errstate(over="ignore"):
        return total.astype(np.float32)


def transposed(x: Any) -> Any:
    """The last two axes exchanged."""
    rank = x.type.rank
    return apply(permute, x, axes=(*range(rank - 2), rank - 1, rank - 2))


def _matmul_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    return 2 * out.size * types[0].shape[-1]


def _matmul_axes(types: Sequence[TensorType], attrs: Attrs) -> str:
    batch = " ".join(f"b{i}" for i in range(types[0].rank - 2))
    return f"{batch} m k, {batch} k n -> {batch} m n"


def _matmul(a: Array, b: Array, *, dtype: DType | None = None) -> Array:
    if dtype is None:
        return computed_in_f32(products)(a, b)
    return products(cast_array(a, dtype), cast_array(b, dtype))


def are_bytes(*arrays: Array) -> bool:
    """Whether all of them are signed or unsigned bytes."""
    return all(x.dtype.kind in "iu" and x.dtype.itemsize == 1 for x in arrays)


def _fast_matmul(a: Array, b: Array, *, dtype: DType | None = None) -> Array:
    """Products of bytes by BLAS in f64, which holds their sums exactly: numpy multiplies integers one by one."""
    if not are_bytes(a, b):
        return _matmul(a, b, dtype=dtype)
    return byte_products(a, b).astype(a.dtype if dtype is None else dtype.numpy)


def byte_products(a: Array, b: Array) -> Array:
    """Sums of products in i32, which wrap, by BLAS in f64."""
    exact = np.matmul(a.astype(np.float64), b.astype(np.float64))
    return exact.astype(np.int64).astype(np.int32)


def _matmul_rule(g: Any, n: Any, side: int, a: Any, b: Any) -> Any:
    """The cotangent a @ b of operand `side`, in its dtype."""
    if n.attrs.get("dtype") is None:
        return apply(matmul, a, b)
    return apply(cast, apply(matmul, a, b, dtype=g.type.dtype), dtype=n.inputs[side].type.dtype)


matmul = define(Op(
    name="matmul", kind="contract",
    doc="Products of the matrices in the last two axes; integers wrap. With `dtype` the sums are the result: i32 of "
        "bytes, signed or not, and f32 of 16-bit floats, as if the operands were cast first.",
    infer=_matmul_type, eval=_matmul,
    vjp=(
        lambda g, n: _matmul_rule(g, n, 0, g, transposed(n.inputs[1])),
        lambda g, n: _matmul_rule(g, n, 1, transposed(n.inputs[0]), g),
    ),
    flops=_matmul_flops, fast=_fast_matmul, axes=_matmul_axes,
))  # fmt: skip


def _panel_matmul_type(a: TensorType, panels: TensorType, *, columns: int, dtype: DType | None = None) -> TensorType:
    floats = a.dtype.is_float and panels.dtype.is_float
    if not floats or (dtype is None and a.dtype != panels.dtype):
        raise ShapeError(f"panel_matmul: needs operands of one float dtype, got {a} and {panels}")
    if dtype is not None and (accumulator(a.dtype), accumulator(panels.dtype)) != (dtype, dtype):
        raise ShapeError(f"panel_matmul: sums of {a.dtype} by {panels.dtype} are not kept in {dtype}")
    pairs = panels.rank == 4
    if pairs and (panels.dtype != bf16 or panels.shape[3] != 2):
        raise ShapeError(f"panel_matmul: panels of pairs are bf16[count, k / 2, width, 2], got {panels}")
    if a.rank != 2 or panels.rank not in (3, 4) or a.shape[1] != panels.shape[1] * (1 + pairs):
        raise ShapeError(f"panel_matmul: needs [rows, k] and panels [count, k, width], got {a} and {panels}")
    count, width = panels.shape[0], panels.shape[2]
    if not width or -(-columns // width) != count:
        raise ShapeError(f"panel_matmul: {columns} columns do not take the panels {panels}")
    return TensorType(dtype or a.dtype, (a.shape[0], columns))


def _panel_matmul(a: Array, panels: Array, *, columns: int, dtype: DType | None = None) -> Array:
    k_first = panels.transpose((1, 0, 2) if panels.ndim == 3 else (1, 3, 0, 2))
    return _matmul(a, k_first.reshape(a.shape[1], -1)[:, :columns], dtype=dtype)


panel_matmul = define(Op(
    name="panel_matmul", kind="contract",
    doc="a @ b, given b's columns in panels [count, k, width], in which kernels read them; the last may overhang. In "
        "bf16, k may lie in pairs, [count, k / 2, width, 2]. `dtype` is that of matmul. A pass puts it in the place of "
        "`matmul` behind all derivatives.",
    infer=_panel_matmul_type, eval=_panel_matmul, vjp=NONDIFF, flops=_matmul_flops,
))  # fmt: skip
