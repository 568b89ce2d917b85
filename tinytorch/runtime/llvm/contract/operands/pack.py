"""Packing: operands of a matrix product copied into scratch memory in the order in which tiles read them.

Packing converts to the dtype of the sums. Packed layouts, in elements of that dtype:

- a, `rows`: row after row, each `row_pitch` long, which is no multiple of a page;
- a, `panels`: for each tile of rows, for each k, the tile's rows side by side; `panel_pitch` from tile to tile;
- b: for each k, the panel's columns side by side, absent ones as zeros up to a whole vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinytorch.ir.ops.contract import accumulator
from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.operands.float_pairs import load_lanes
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.lanes.transpose import square_transpose
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR

_AHEAD = 8  # rows of k to prefetch: each lies on another page, out of the hardware prefetcher's sight


def row_pitch(k: int, lanes: int) -> int:
    """Elements from row to row: whole vectors, and one more so that rows do not collide in the cache."""
    return (-(-k // lanes) + 1) * lanes


def panel_pitch(k: int, tile_rows: int, lanes: int) -> int:
    """Elements from panel to panel; the last vector may overhang, and panels must not collide in the cache."""
    return k * tile_rows + 2 * lanes


@dataclass(frozen=True)
class _Key:
    """What a packing function depends on."""

    kind: str
    dtype: DType
    strides: tuple[int, int]
    size: tuple[int, int]
    lanes: int
    target: Target
    pairs: bool = False


def pack_rows(module: Module, a: Buffer, pitch: int, lanes: int, target: Target, pairs: bool = False) -> Function:
    """`(from, to, rows, count)`: `count` steps of k of that many rows of a, `pitch` elements from row to row."""
    key = _Key("rows", a.dtype, (a.row_bytes, a.column_bytes), (pitch, 0), lanes, target, pairs)

    def write(fn: Function) -> None:
        source, to, rows, count = fn.params
        emitter = LaneEmitter(fn, target, lanes)
        compute = accumulator(a.dtype)

        def row(i: Register) -> None:
            start, end = fn.at(source, i * a.row_bytes), fn.at(to, i * (pitch * compute.size))

            def vector(j: Register, mask: Register | None = None) -> None:
                at, k_bytes = j * a.column_bytes, a.column_bytes
                loaded = load_lanes(emitter, start, a.dtype, a.strides[-1], at, k_bytes, pairs, mask)
                emitter.store(loaded.cast(compute), end, j * compute.size)

            whole = count // lanes * lanes
            fn.loop(whole, [], vector, step=lanes)
            mask = fn.lane_mask(lanes, count - whole)
            fn.if_(fn.compare("ne", count, whole), lambda: vector(whole, mask))

        fn.loop(rows, [], row)

    return _shared(module, key, write, counts=2)


def pack_panels(
    module: Module, a: Buffer, k: int, tile_rows: int, group: int, lanes: int, target: Target, pairs: bool = False
) -> Function:
    """`(from, to, rows, count)`: `count` of up to k steps of k of that many rows of a, mostly `group`, as `panels`; of
    the last tile only what exists."""
    m = a.shape[-2]
    cut = (k * 64 + tile_rows, group * 64 + m % tile_rows)
    key = _Key("panels", a.dtype, (a.row_bytes, a.column_bytes), cut, lanes, target, pairs)
    wide = 1 << (tile_rows - 1).bit_length()

    def write(fn: Function) -> None:
        source, to, rows, count = fn.params
        emitter = LaneEmitter(fn, target, wide)
        compute = accumulator(a.dtype)
        pitch = panel_pitch(k, tile_rows, lanes) * compute.size
        tiles = rows // tile_rows

        def one(j: Register, tile: Register, live: int) -> None:
            start = fn.at(fn.at(source, j * a.column_bytes), tile * (tile_rows * a.row_bytes))
            end = fn.at(fn.at(to, j * (tile_rows * compute.size)), tile * pitch)
            fn.prefetch(start, _AHEAD * a.column_bytes)
            loaded = load_lanes(
                emitter, start, a.dtype, a.strides[-2], 0, a.column_bytes, pairs, mask=fn.lane_mask(wide, live)
            )
            # The overhang of a vector wider than the tile is overwritten by the next k.
            emitter.store(loaded.cast(compute), end)

        def whole(j: Register) -> None:
            for tile in range(group // tile_rows):
                one(j, fn.const(tile), tile_rows)

        def some(j: Register) -> None:
            fn.loop(tiles, [], lambda tile: one(j, tile, tile_rows))
            if m % tile_rows:
                rest = fn.compare("ne", rows % tile_rows, fn.const(0))
                fn.if_(rest, lambda: one(j, tiles, m % tile_rows))

        is_whole = fn.compare("eq", rows, fn.const(group // tile_rows * tile_rows))
        fn.if_(is_whole, lambda: fn.loop(count, [], whole), lambda: fn.loop(count, [], some))

    return _shared(module, key, write, counts=2)


def pack_columns(module: Module, b: Buffer, width: int, lanes: int, target: Target, pairs: bool = False) -> Function:
    """`(from, to, k)`: `width` columns of b, contiguous or at any stride, for that many k."""
    key = _Key("columns", b.dtype, (b.row_bytes, b.column_bytes), (width, 0), lanes, target, pairs)
    compute = accumulator(b.dtype)
    pitch = -(-width // lanes) * lanes * compute.size

    def write(fn: Function) -> None:
        source, to, depth = fn.params
        emitter = LaneEmitter(fn, target, lanes)

        def step(i: Register) -> None:
            start, end = fn.at(source, i * b.row_bytes), fn.at(to, i * pitch)
            for j in range(0, width, lanes):
                mask = fn.lane_mask(lanes, width - j)
                fn.prefetch(start, j * b.column_bytes + _AHEAD * b.row_bytes)
                at = j * b.column_bytes
                loaded = load_lanes(emitter, start, b.dtype, b.strides[-1], at, b.row_bytes, pairs, mask)
                emitter.store(loaded.cast(compute), end, j * compute.size)

        fn.loop(depth, [], step)

    return _shared(module, key, write)


def pack_transposed(module: Module, b: Buffer, width: int, lanes: int, target: Target) -> Function:
    """`(from, to, k)`: `width` columns of b, each contiguous along k, square by square; k is at least `lanes`."""
    compute = accumulator(b.dtype)
    pitch = -(-width // lanes) * lanes * compute.size
    key = _Key("transposed", b.dtype, (b.row_bytes, b.column_bytes), (width, 0), lanes, target)

    def write(fn: Function) -> None:
        source, to, depth = fn.params

        def squares(i: Register) -> None:
            start, end = fn.at(source, i * b.row_bytes), fn.at(to, i * pitch)
            for j in range(0, width, lanes):
                columns = min(lanes, width - j)
                square = square_transpose(module, target, b.dtype, compute, lanes, partial=columns < lanes)
                args = [fn.at(start, j * b.column_bytes), fn.const(b.column_bytes), fn.at(end, j * compute.size)]
                fn.call(square, [*args, fn.const(pitch), *([fn.const(columns)] if columns < lanes else [])])

        whole = depth // lanes * lanes
        fn.loop(whole, [], squares, step=lanes)
        # What is left of k is less than a square: the last square overlaps the one before it.
        fn.if_(fn.compare("ne", whole, depth), lambda: squares(depth - lanes))

    return _shared(module, key, write)


def _shared(module: Module, key: _Key, write: Callable[[Function], None], counts: int = 1) -> Function:
    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, *[I64] * counts], internal=True, noinline=True)
        write(fn)
        fn.ret()
        return fn

    return module.shared(key, build)
