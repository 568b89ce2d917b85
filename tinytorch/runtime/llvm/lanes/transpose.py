"""Transposing squares of a matrix from memory to memory, a vector's width on each side."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter, register_type
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR


def square_transpose(
    module: Module,
    target: Target,
    source: DType,
    result: DType,
    lanes: int,
    *,
    partial: bool = False,
    listed: bool = False,
) -> Function:
    """The shared function `(from, row stride, to, column stride[, rows])` for one square of `lanes` × `lanes`.

    Reads rows of consecutive elements, converts them to `result`, and writes the columns as rows. Strides are in
    bytes. The partial one reads only `rows` rows; what it writes for the others is unspecified. The one with `listed`
    rows finds `lanes` i64 where they begin in the place of the row stride: a pointer to them.
    """

    def build(name: str) -> Function:
        params = [PTR, PTR if listed else I64, PTR, I64, *([I64] if partial else [])]
        fn = module.function(name, params, internal=True, noinline=True)
        _write_square(fn, LaneEmitter(fn, target, lanes), source, result, listed)
        fn.ret()
        return fn

    return module.shared(("transpose", source, result, lanes, partial, listed, target), build)


def _write_square(fn: Function, emitter: LaneEmitter, source: DType, result: DType, listed: bool) -> None:
    """Columns in groups that fill 128 bits: wherever a vector's 128-bit part lies, it can be loaded by itself, so
    only the small squares inside the parts are left to be transposed by shuffles."""
    start, row_stride, to, column_stride, *live = fn.params
    lanes = emitter.lanes
    part = min(lanes, 16 // result.size)

    def row(i: int) -> Register:
        offset = row_stride * i
        if live and i:
            offset = fn.select(fn.compare("sgt", live[0], fn.const(i)), offset, fn.const(0))
        return offset

    rows = [row(i) for i in range(lanes)] if live else []
    if listed:
        rows = [fn.load(row_stride, I64, 8 * i) for i in range(lanes)]
    bases = [] if rows else [fn.at(start, row_stride * first) for first in range(0, lanes, part)]
    type = register_type(source, part)

    def load(i: int, column: Register) -> Register:
        if rows:
            return fn.load(fn.at(fn.at(start, rows[i]), column * source.size), type)
        return fn.load(fn.at(fn.at(bases[i // part], column * source.size), row_stride * (i % part)), type)

    def group(column: Register) -> None:
        parts = [[load(first + j, column) for first in range(0, lanes, part)] for j in range(part)]
        vectors = [emitter.lane(_concatenated(fn, each), source).cast(result) for each in parts]
        columns = transpose_parts(fn, [emitter.value(v) for v in vectors], part)
        at = fn.at(to, column * column_stride)
        for j, value in enumerate(columns):
            fn.store(value, at, column_stride * j)

    fn.loop(lanes, [], group, step=part)


def _concatenated(fn: Function, parts: Sequence[Register]) -> Register:
    """The lanes of all parts, a power of two of them, in order."""
    current = list(parts)
    while len(current) > 1:
        both = range(2 * current[0].type.lanes)
        current = [fn.shuffle(a, b, both) for a, b in zip(current[::2], current[1::2], strict=True)]
    return current[0]


def transpose_parts(fn: Function, rows: Sequence[Register], part: int) -> list[Register]:
    """`part` vectors, cut into runs of `part` lanes: in each run, transpose. log2(part) rounds of a perfect shuffle."""
    current = list(rows)
    half = part // 2
    for _ in range(part.bit_length() - 1):
        pairs = zip(current[:half], current[half:], strict=True)
        current = [mixed for a, b in pairs for mixed in _interleave(fn, a, b, part)]
    return current


def _interleave(fn: Function, a: Register, b: Register, part: int) -> list[Register]:
    """a and b alternating, within runs of `part` lanes: the lower half of each run, then the upper half."""
    lanes = a.type.lanes
    order = [i // 2 + (lanes if i % 2 else 0) for i in range(part)]
    return [
        fn.shuffle(a, b, [base + start + lane for base in range(0, lanes, part) for lane in order])
        for start in (0, part // 2)
    ]
