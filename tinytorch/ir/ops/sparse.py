"""Products by matrices most of whose elements are 0, which are neither stored nor multiplied.

A pass puts these in the place of `matmul` once derivatives have been taken. What is absent is not multiplied: where x
is infinite or NaN, an absent weight adds nothing, whereas 0 · NaN is NaN in `matmul`. Zeros that are stored, beside
other elements of a block, are multiplied.

The layouts are made so that nothing that an index array could hold leads outside: indices are bytes into blocks that
have 256 rows, bounds end at the number of entries. `SparseLayout` describes the one of `sparse_matmul`, which has any
pattern; `semi_structured_matmul` keeps two of four neighbours along k.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import NONDIFF, Array, Attrs, Op, define
from tinytorch.ir.types import DType, TensorType, i32, type_of, u8

BLOCK_ROWS = 256  # of a block of k, as many as a byte tells apart; the last of them is always one of zeros
_EVAL_PRODUCTS = 1 << 21  # that the reference holds at a time


@dataclass(frozen=True)
class SparseLayout:
    """How the entries of a weight [depth, columns] lie.

    The rows are cut into `blocks` of at most 255, the columns into `groups` of `width`. For each group and block, the
    columns are taken in an order of their own, by the number of their entries, and `lanes` neighbours in it are a slab.
    A step of a slab is an entry for each of its columns: `lanes` values, and for each of its `places`, which are
    lanes / places columns side by side that have their rows in common, the number of a row in the block. Rows behind
    the last of a block are zeros, so that columns with fewer entries than their slab has steps point there.
    """

    dtype: DType
    depth: int
    columns: int
    steps: int
    lanes: int
    places: int
    groups: int
    blocks: int
    slabs: int

    @property
    def width(self) -> int:
        """Columns of a group."""
        return self.slabs * self.lanes

    @property
    def side_by_side(self) -> int:
        """Columns that have their rows in common."""
        return self.lanes // self.places

    @property
    def block_depth(self) -> int:
        """Rows of the weight in a block; the last may have fewer."""
        return -(-self.depth // self.blocks)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the values, the rows, the order of the columns, and the ends of the slabs among the steps."""
        ends = (self.groups, self.blocks, self.slabs)
        return (self.steps, self.lanes), (self.steps, self.places), (*ends, self.places), ends


def layout_of(types: Sequence[TensorType], columns: int) -> SparseLayout:
    """The layout that operands of `sparse_matmul` have; ShapeError where they do not fit."""
    x, values, rows, order, ends = types
    if x.dtype != values.dtype or not x.dtype.is_float or x.dtype.bits < 32:
        raise ShapeError(f"sparse_matmul: needs f32 or f64, got {x} and {values}")
    if (rows.dtype, order.dtype, ends.dtype) != (u8, u8, i32):
        raise ShapeError(f"sparse_matmul: rows and order are u8, ends are i32, got {rows}, {order} and {ends}")
    if (x.rank, values.rank, rows.rank, order.rank, ends.rank) != (2, 2, 2, 4, 3):
        raise ShapeError(f"sparse_matmul: takes matrices, an order and ends, got {', '.join(map(str, types))}")
    (steps, lanes), places, (groups, blocks, slabs) = values.shape, rows.shape[1], ends.shape
    layout = SparseLayout(x.dtype, x.shape[1], columns, steps, lanes, places, groups, blocks, slabs)
    if layout.shapes != tuple(t.shape for t in types[1:]):
        raise ShapeError(f"sparse_matmul: operands do not fit together: {', '.join(map(str, types[1:]))}")
    if not places or not slabs or lanes % places or slabs * places > BLOCK_ROWS:
        raise ShapeError(f"sparse_matmul: {slabs} slabs of {lanes} lanes and {places} places are no group")
    if blocks != blocks_of(x.shape[1]) or groups != -(-columns // layout.width):
        raise ShapeError(f"sparse_matmul: a weight [{x.shape[1]}, {columns}] has not {groups} × {blocks} blocks")
    return layout


def blocks_of(depth: int) -> int:
    """The blocks that so many rows are cut into."""
    return max(1, -(-depth // (BLOCK_ROWS - 1)))


# From weights to layouts and back.
def pack(w: Array, lanes: int, side_by_side: int, width: int) -> tuple[Array, ...]:
    """The operands of `sparse_matmul` behind x for a weight: values, rows, order and ends.

    Slabs have `lanes` columns of which `side_by_side` have their rows in common; a group has `width` columns, whole
    slabs of them. Where one of those side by side is not 0, all are kept.
    """
    depth, columns = w.shape
    groups, blocks, places = -(-columns // width), blocks_of(depth), lanes // side_by_side
    each, strips = -(-depth // blocks), width // side_by_side
    whole = np.zeros((blocks * each, groups * width), w.dtype)
    whole[:depth, :columns] = w
    some = (whole != 0).reshape(blocks, each, groups, strips, side_by_side).any(4).transpose(2, 0, 3, 1)
    counts = some.sum(3)
    order = np.argsort(counts, axis=2, kind="stable")
    slabs = np.take_along_axis(counts, order, 2).reshape(groups, blocks, -1, places).max(3, initial=0)
    ends = np.cumsum(slabs).reshape(slabs.shape)
    steps = _rounded(int(ends[-1, -1, -1]) if ends.size else 0)
    found = np.flatnonzero(np.ascontiguousarray(some))
    strip, row = np.divmod(found, max(each, 1))  # strip by strip of each block of each group, then down the rows
    rank = np.arange(len(found)) - (np.cumsum(counts) - counts.reshape(-1))[strip]
    place = np.argsort(order, axis=2).reshape(-1)[strip]  # in the order of its block
    block, group = strip // strips % blocks, strip // (strips * blocks)
    slab = (group * blocks + block) * (strips // places) + place // places
    step = (ends - slabs).reshape(-1)[slab] + rank
    values = np.zeros((steps, places, side_by_side), w.dtype)
    rows = np.full((steps, places), BLOCK_ROWS - 1, np.uint8)
    strips_of = whole.reshape(blocks * each, groups * strips, side_by_side)
    values[step, place % places] = strips_of[block * each + row, group * strips + strip % strips]
    rows[step, place % places] = row
    shape = (groups, blocks, strips // places, places)
    return values.reshape(steps, lanes), rows, order.astype(np.uint8).reshape(shape), ends.astype(np.int32)


def _rounded(steps: int) -> int:
    """A number of steps that weights with about as many share, and so the code for them."""
    unit = 1 << max(0, steps.bit_length() - 6)
    return -(-steps // unit) * unit


def _entries(layout: SparseLayout, arrays: Sequence[Array]) -> tuple[Array, Array, Array]:
    """(row, column, value) of all entries; rows are counted with 256 for each block."""
    values, rows, order, ends = arrays
    stops = np.clip(ends.reshape(-1).astype(np.int64), 0, layout.steps)
    starts = np.concatenate([np.zeros(1, np.int64), stops])[:-1]
    counts = np.maximum(stops - starts, 0)
    slab = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(len(slab)) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
    group, block = slab // (layout.slabs * layout.blocks), slab // layout.slabs % layout.blocks
    last = layout.slabs * layout.places - 1
    strip = np.minimum(order.reshape(-1, layout.places)[slab].astype(np.int64), last)
    column = (group * layout.width)[:, None, None] + strip[:, :, None] * layout.side_by_side
    column = column + np.arange(layout.side_by_side)
    row = np.broadcast_to((block[:, None] * BLOCK_ROWS + rows[step])[:, :, None], column.shape)
    return row.reshape(-1), column.reshape(-1), values[step].reshape(-1)


def unpack(layout: SparseLayout, arrays: Sequence[Array]) -> Array:
    """The weight [depth, columns] that values, rows, order and ends stand for."""
    row, column, value = _entries(layout, arrays)
    w = np.zeros((layout.blocks, BLOCK_ROWS, layout.groups * layout.width), layout.dtype.numpy)
    np.add.at(w.reshape(-1, w.shape[2]), (row, column), value)
    return w[:, : layout.block_depth].reshape(-1, w.shape[2])[: layout.depth, : layout.columns]


# sparse_matmul
def _sparse_type(
    x: TensorType, values: TensorType, rows: TensorType, order: TensorType, ends: TensorType, *, columns: int
) -> TensorType:
    layout_of((x, values, rows, order, ends), columns)
    return TensorType(x.dtype, (x.shape[0], columns))


def _sparse_matmul(x: Array, *arrays: Array, columns: int) -> Array:
    types = [type_of(a.dtype, a.shape) for a in (x, *arrays)]
    layout = layout_of(types, columns)
    row, column, value = _entries(layout, arrays)
    sorted_ = np.argsort(column, kind="stable")
    row, column, value = row[sorted_], column[sorted_], value[sorted_]
    padded = np.zeros((x.shape[0], layout.blocks, BLOCK_ROWS), x.dtype)
    each = layout.block_depth
    for block in range(layout.blocks):
        part = x[:, block * each : (block + 1) * each]
        padded[:, block, : part.shape[1]] = part
    flat = padded.reshape(x.shape[0], -1)
    total = np.zeros((x.shape[0], layout.groups * layout.width))
    for part in _pieces(len(row), x.shape[0]):
        firsts = np.flatnonzero(np.diff(column[part], prepend=-1))
        found = np.add.reduceat(flat[:, row[part]].astype(np.float64) * value[part], firsts, axis=1)
        total[:, column[part][firsts]] += found
    return _rounded_to(total[:, :columns], x.dtype)


def _pieces(count: int, rows: int) -> Iterator[slice]:
    """Runs of entries whose products with so many rows are held at once."""
    most = max(1, _EVAL_PRODUCTS // max(1, rows))
    return (slice(start, min(start + most, count)) for start in range(0, count, most))


def _rounded_to(total: Array, dtype: Any) -> Array:
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(total).astype(dtype)


def _sparse_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    """Of the entries that are stored, each with every row of x."""
    return 2 * types[0].shape[0] * types[1].size


sparse_matmul = define(Op(
    name="sparse_matmul", kind="contract",
    doc="x @ w for a weight whose elements other than 0 lie as `SparseLayout` says: values, rows, order, ends. Absent "
        "ones are not multiplied, whatever x is.",
    infer=_sparse_type, eval=_sparse_matmul, vjp=NONDIFF, flops=_sparse_flops,
))  # fmt: skip


# semi_structured_matmul
GROUP = 4  # neighbours along k
KEPT = 2  # of a group


def pack_semi_structured(w: Array, lanes: int) -> tuple[Array, Array]:
    """The values [panels, groups, 2, lanes] and positions [panels, groups, 2, lanes / 4] of a weight that has at most
    two elements other than 0 in each four along k. Where it has fewer, zeros are kept as well."""
    depth, columns = w.shape
    groups, panels = -(-depth // GROUP), -(-columns // lanes)
    whole = np.zeros((groups * GROUP, panels * lanes), w.dtype)
    whole[:depth, :columns] = w
    cut = whole.reshape(groups, GROUP, panels, lanes).transpose(2, 0, 1, 3)
    kept = np.sort(np.argsort(cut == 0, axis=2, kind="stable")[:, :, :KEPT], axis=2)
    places = kept.astype(np.uint8).reshape(panels, groups, KEPT, lanes // GROUP, GROUP)
    positions = np.bitwise_or.reduce(places << np.arange(0, 2 * GROUP, 2, dtype=np.uint8), axis=4)
    return np.ascontiguousarray(np.take_along_axis(cut, kept, 2)), positions


def _rows_of(positions: Array) -> Array:
    """The rows [panels, groups, 2, lanes] that positions say."""
    places = positions[..., None] >> np.arange(0, 2 * GROUP, 2, dtype=np.uint8) & (GROUP - 1)
    first = GROUP * np.arange(positions.shape[1])[:, None, None]
    return places.reshape(*positions.shape[:3], -1).astype(np.int64) + first


def unpack_semi_structured(values: Array, positions: Array, depth: int, columns: int) -> Array:
    """The weight [depth, columns]."""
    panels, groups, _, lanes = values.shape
    w = np.zeros((groups * GROUP, panels * lanes), values.dtype)
    column = np.arange(panels * lanes).reshape(panels, 1, 1, lanes)
    np.add.at(w, (_rows_of(positions), np.broadcast_to(column, values.shape)), values)
    return w[:depth, :columns]


def _semi_type(x: TensorType, values: TensorType, positions: TensorType, *, columns: int) -> TensorType:
    if (x.dtype.name, values.dtype.name, positions.dtype) != ("f32", "f32", u8):
        raise ShapeError(f"semi_structured_matmul: needs f32, f32 and u8, got {x}, {values} and {positions}")
    if x.rank != 2 or values.rank != 4 or positions.shape != (*values.shape[:3], values.shape[-1] // GROUP):
        raise ShapeError(f"semi_structured_matmul: operands do not fit together: {x}, {values}, {positions}")
    panels, groups, kept, lanes = values.shape
    if kept != KEPT or lanes not in (4, 8, 16):
        raise ShapeError(f"semi_structured_matmul: values are [panels, groups, 2, 4, 8 or 16 lanes], got {values}")
    if groups != -(-x.shape[1] // GROUP) or panels != -(-columns // lanes):
        raise ShapeError(f"semi_structured_matmul: {values} is no weight [{x.shape[1]}, {columns}]")
    return TensorType(x.dtype, (x.shape[0], columns))


def _semi_matmul(x: Array, values: Array, positions: Array, *, columns: int) -> Array:
    panels, groups, _, lanes = values.shape
    padded = np.zeros((x.shape[0], groups * GROUP), np.float64)
    padded[:, : x.shape[1]] = x
    total = np.zeros((x.shape[0], panels, lanes))
    rows = _rows_of(positions)
    for panel in range(panels):
        for m in range(x.shape[0]):
            total[m, panel] = (padded[m][rows[panel]] * values[panel]).sum((0, 1))
    return _rounded_to(total.reshape(x.shape[0], panels * lanes)[:, :columns], x.dtype)


semi_structured_matmul = define(Op(
    name="semi_structured_matmul", kind="contract",
    doc="x @ w for a weight that keeps two of each four neighbours along k: values [panels, k / 4, 2, lanes], and "
        "their positions among the four, two bits a lane, the first lane in the lowest. Others are not multiplied.",
    infer=_semi_type, eval=_semi_matmul, vjp=NONDIFF, flops=_sparse_flops,
))  # fmt: skip
