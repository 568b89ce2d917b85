"""Products of bytes whose right operand lies as kernels read it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import NONDIFF, Array, Attrs, Op, define
from tinytorch.ir.ops.contract import byte_products
from tinytorch.ir.types import TensorType, i8, i32, u8


def _type(a: TensorType, panels: TensorType, *, columns: int, moved: int = 0, in_16_bits: int = 0) -> TensorType:
    if not {a.dtype, panels.dtype} <= {i8, u8}:
        raise ShapeError(f"byte_panel_matmul: needs i8 or u8, got {a} and {panels}")
    if a.rank != 2 or panels.rank != 4 or panels.shape[1] != -(-a.shape[1] // max(1, panels.shape[3])):
        raise ShapeError(
            f"byte_panel_matmul: needs [rows, k] and panels [count, k / size, width, size], got {a} and {panels}"
        )
    count, _, width, size = panels.shape
    if size not in (1, 2, 4) or not width or -(-columns // width) != count:
        raise ShapeError(f"byte_panel_matmul: {columns} columns do not take the panels {panels}")
    if moved not in (-128, 0, 128):
        raise ShapeError(f"byte_panel_matmul: bytes are moved by 128 or -128, not by {moved}")
    return TensorType(i32, (a.shape[0], columns))


def _matmul(a: Array, panels: Array, *, columns: int, moved: int = 0, in_16_bits: int = 0) -> Array:
    count, steps, width, size = panels.shape
    b = panels.transpose(1, 3, 0, 2).reshape(steps * size, count * width)[: a.shape[1], :columns]
    return byte_products(a, b.astype(np.int16) - np.int16(moved))


def _flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    return 2 * out.size * types[0].shape[-1]


byte_panel_matmul = define(Op(
    name="byte_panel_matmul", kind="contract",
    doc="a @ b of bytes, its sums in i32, given b in panels of columns [count, k / size, width, size]: groups of k lie "
        "together. What overhangs is not read. The panels hold b + `moved`. As many products as `in_16_bits` says (0, "
        "2 or 4) have sums of 16 bits: whoever lays b out knows that of the numbers.",
    infer=_type, eval=_matmul, vjp=NONDIFF, flops=_flops,
))  # fmt: skip
