"""Contractions: matrix products in all transpositions (a transposed operand is a permute in front)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import Array, Attrs, Op, apply, define
from tinytorch.ir.ops.core import computed_in_f32
from tinytorch.ir.ops.view import permute
from tinytorch.ir.types import TensorType


def _matmul_type(a: TensorType, b: TensorType) -> TensorType:
    if a.dtype != b.dtype or a.dtype.kind == "bool":
        raise ShapeError(f"matmul: operands must have one numeric dtype, got {a} and {b}")
    if a.rank < 2 or a.rank != b.rank or a.shape[:-2] != b.shape[:-2]:
        raise ShapeError(f"matmul: needs two matrices with the same batch axes, got {a} and {b}")
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(f"matmul: lhs axis {a.rank - 1} is {a.shape[-1]}, rhs axis {b.rank - 2} is {b.shape[-2]}")
    return TensorType(a.dtype, (*a.shape[:-1], b.shape[-1]))


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


matmul = define(Op(
    name="matmul", kind="contract", doc="Products of the matrices in the last two axes; integers wrap.",
    infer=_matmul_type, eval=computed_in_f32(products),
    vjp=(
        lambda g, n: apply(matmul, g, transposed(n.inputs[1])),
        lambda g, n: apply(matmul, transposed(n.inputs[0]), g),
    ),
    flops=_matmul_flops,
))  # fmt: skip
