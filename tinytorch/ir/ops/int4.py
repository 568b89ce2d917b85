"""Products with weights of four bits, two in a byte: for decoding, which does little else than read weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import NONDIFF, Array, Attrs, Op, define
from tinytorch.ir.ops.contract import products
from tinytorch.ir.types import TensorType, f16, f32, i8, u8

PANEL = 16  # columns that lie side by side
RUN = 8  # steps of k in four bytes of a column
ZERO = 8  # what a nibble of weight 0 holds


def pack_int4(weights: Array) -> Array:
    """Integers from -8 to 7, [k, n], as `int4_matmul` reads them: u8[n/16, k/8, 16, 4], both counts rounded up.

    Byte b of column j in run r of panel p has the weight of k = 8r + b and column 16p + j in its low four bits, that of
    k = 8r + 4 + b in its high ones, each plus 8. What is beyond k and n is 0, that is 8. ShapeError for other values.
    """
    if weights.ndim != 2 or (weights.size and (weights.min() < -ZERO or weights.max() >= ZERO)):
        raise ShapeError(f"pack_int4: needs a matrix of integers from -8 to 7, got shape {list(weights.shape)}")
    depth, columns = weights.shape
    runs, panels = -(-depth // RUN), -(-columns // PANEL)
    nibbles = np.full((runs * RUN, panels * PANEL), ZERO, np.uint8)
    nibbles[:depth, :columns] = weights.astype(np.int8) + ZERO
    split = nibbles.reshape(runs, 2, RUN // 2, panels, PANEL)
    return np.ascontiguousarray((split[:, 0] | split[:, 1] << 4).transpose(2, 0, 3, 1))


def unpack_int4(packed: Array) -> Array:
    """The integers, i8[k, n], of whole runs and panels."""
    panels, runs, _, _ = packed.shape
    both = np.stack([packed & 15, packed >> 4]).transpose(2, 0, 4, 1, 3)  # run, half, byte, panel, column
    return both.reshape(runs * RUN, panels * PANEL).astype(np.int8) - np.int8(ZERO)


def _int4_type(x: TensorType, packed: TensorType, scales: TensorType, *, columns: int) -> TensorType:
    if x.rank != 2 or x.dtype not in (f32, i8):
        raise ShapeError(f"int4_matmul: the lhs is f32 or i8 of [rows, k], got {x}")
    if packed.dtype is not u8 or packed.rank != 4 or packed.shape[2:] != (PANEL, RUN // 2):
        raise ShapeError(f"int4_matmul: weights are u8[n / {PANEL}, k / {RUN}, {PANEL}, {RUN // 2}], got {packed}")
    panels, runs, _, _ = packed.shape
    if scales.dtype is not f16 or scales.rank != 3 or (scales.shape[0], scales.shape[2]) != (panels, PANEL):
        raise ShapeError(f"int4_matmul: scales are f16[{panels}, groups, {PANEL}] for {packed}, got {scales}")
    if -(-columns // PANEL) != panels or columns < 0:
        raise ShapeError(f"int4_matmul: {columns} columns do not take {panels} panels of {PANEL}")
    groups = scales.shape[1]
    if (groups == 0) != (runs == 0) or (groups and runs % groups):
        raise ShapeError(f"int4_matmul: {groups} groups do not divide {runs} runs of {RUN} steps of k")
    if not runs * RUN - (runs // groups * RUN if groups else 1) < x.shape[1] <= runs * RUN:
        raise ShapeError(f"int4_matmul: lhs axis 1 is {x.shape[1]}, the weights have {runs * RUN} in {groups} groups")
    return TensorType(f32, (x.shape[0], columns))


def _int4_matmul(x: Array, packed: Array, scales: Array, *, columns: int) -> Array:
    panels, groups, _ = scales.shape
    weights, width = unpack_int4(packed), panels * PANEL
    depth = len(weights)
    x = np.pad(x, ((0, 0), (0, depth - x.shape[1])))
    scale = scales.transpose(1, 0, 2).reshape(groups, width).astype(np.float32)
    each = depth // max(groups, 1)
    if x.dtype == np.float32:
        return products(x, weights.astype(np.float32) * np.repeat(scale, each, axis=0))[:, :columns].copy()
    total = np.zeros((len(x), width), np.float32)
    lhs, rhs = x.astype(np.float64), weights.astype(np.float64)  # which hold the sums, and BLAS multiplies
    for group in range(groups):
        part = slice(group * each, (group + 1) * each)
        total = total + scale[group] * np.matmul(lhs[:, part], rhs[part]).astype(np.float32)
    return total[:, :columns].copy()


def _int4_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    return 2 * out.size * types[0].shape[-1]


int4_matmul = define(Op(
    name="int4_matmul", kind="contract",
    doc="x @ w of weights of four bits, as `pack_int4` lays them out, each times the f16 scale of its column and its "
        "group of k, f16[n/16, groups, 16]. x is f32, or i8: then the sums of a group are exact integers, which become "
        "f32, are scaled, and are added up in the order of the groups.",
    infer=_int4_type, eval=_int4_matmul, vjp=NONDIFF, flops=_int4_flops,
))  # fmt: skip
