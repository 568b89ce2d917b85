"""Square transposes in registers, and the shared function that applies one to memory."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.builder import Function, Module, Value
from tinytorch.runtime.llvm.emit import LaneEmitter
from tinytorch.runtime.llvm.lltypes import I64, PTR
from tinytorch.runtime.llvm.target import Target


def transpose_registers(fn: Function, rows: Sequence[Value]) -> list[Value]:
    """`n` vectors of `n` lanes, transposed: n·log2(n) two-input shuffles.

    First the square blocks inside each 128-bit part, by interleaving; then the 128-bit parts among the vectors.
    """
    lanes = rows[0].type.lanes
    per_part = min(lanes, max(1, 128 // rows[0].type.bits))
    blocks = [
        _transpose_parts(fn, rows[first : first + per_part], per_part, lanes) for first in range(0, lanes, per_part)
    ]
    columns: list[Value | None] = [None] * lanes
    for inner in range(per_part):
        for part, column in enumerate(_exchange_parts(fn, [block[inner] for block in blocks], per_part)):
            columns[part * per_part + inner] = column
    return [column for column in columns if column is not None]


def _transpose_parts(fn: Function, rows: Sequence[Value], per_part: int, lanes: int) -> list[Value]:
    """Transpose the per_part × per_part block in every 128-bit part: log2 rounds of a perfect shuffle."""
    current = list(rows)
    half = len(current) // 2
    for _ in range(per_part.bit_length() - 1):
        pairs = zip(current[:half], current[half:], strict=True)
        current = [mixed for a, b in pairs for mixed in _interleave(fn, a, b, per_part, lanes)]
    return current


def _interleave(fn: Function, a: Value, b: Value, per_part: int, lanes: int) -> list[Value]:
    """a and b alternating: the lower half of each 128-bit part, then the upper half."""
    order = [i // 2 + (lanes if i % 2 else 0) for i in range(per_part)]
    return [
        fn.shuffle(a, b, [base + start + lane for base in range(0, lanes, per_part) for lane in order])
        for start in (0, per_part // 2)
    ]


def _exchange_parts(fn: Function, rows: Sequence[Value], per_part: int) -> list[Value]:
    """rows[q] holds parts 0 … L-1; result[l] holds part l of rows 0 … L-1."""
    count = len(rows)
    if count == 1:
        return list(rows)
    lanes = rows[0].type.lanes
    even = [_pick_parts(fn, rows[i], rows[i + 1], 0, per_part, lanes) for i in range(0, count, 2)]
    odd = [_pick_parts(fn, rows[i], rows[i + 1], 1, per_part, lanes) for i in range(0, count, 2)]
    result: list[Value] = []
    for a, b in zip(_exchange_parts(fn, even, per_part), _exchange_parts(fn, odd, per_part), strict=True):
        result += [a, b]
    return result


def _pick_parts(fn: Function, a: Value, b: Value, parity: int, per_part: int, lanes: int) -> Value:
    """The even (or odd) parts of a, then those of b."""
    parts = range(parity, lanes // per_part, 2)
    picked = [base + part * per_part + i for base in (0, lanes) for part in parts for i in range(per_part)]
    return fn.shuffle(a, b, picked)


def block_transpose(
    module: Module, target: Target, source: DType, result: DType, lanes: int, *, masked: bool
) -> Function:
    """The shared function `(from, row stride, to, column stride[, rows, columns])` for one square of `lanes`.

    Reads `lanes` rows of `lanes` consecutive elements, converts them to `result`, and writes the columns as rows.
    Strides are in bytes. The masked one reads `rows` rows of `columns` elements, takes zero for the others, and
    still writes all columns of the square.
    """

    def build(name: str) -> Function:
        params = [PTR, I64, PTR, I64, *([I64, I64] if masked else [])]
        fn = module.function(name, params, internal=True, noinline=True)
        emitter = LaneEmitter(fn, target, lanes)
        pointer, row_stride, to, column_stride = fn.params[:4]
        mask = fn.lane_mask(lanes, fn.params[5]) if masked else None
        rows: list[Value] = []
        for row in range(lanes):
            at = fn.at(pointer, row_stride * row)
            live = mask
            if mask is not None and row:
                exists = fn.compare("sgt", fn.params[4], fn.const(row))
                live = fn.binary("and", mask, fn.splat(exists, lanes))
            rows.append(emitter.value(emitter.load(at, source, mask=live).cast(result)))
        for column, value in enumerate(transpose_registers(fn, rows)):
            fn.store(value, to, column_stride * column)
        fn.ret()
        return fn

    return module.shared(("transpose", source, result, lanes, masked, target), build)
