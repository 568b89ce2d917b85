"""Copies and fills: contiguous runs by whole vectors, transposes by squares, anything else element by element."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tinytorch.ir.types import DType, bool_, u8
from tinytorch.runtime.llvm.index.loops import Axis, Size, coalesced, least, nest, settled
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.lanes.transpose import square_transpose
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import LLType, vector

_UNROLL = 4

Piece = Callable[[Size, int], None]  # (offset, width), both in bytes


def raw_type(dtype: DType, lanes: int = 1) -> LLType:
    """Elements of `dtype` as plain bits."""
    return vector(f"i{8 * dtype.size}", lanes)


def copy_block(
    fn: Function, axes: Iterable[Axis], to: Register, source: Register, dtype: DType, target: Target
) -> None:
    """Copy elements; `axes` has the steps of (to, source), and only the first size, which is not negative, may be
    unknown here.

    Source and destination may be the very same memory, but must not overlap otherwise.
    """
    *outer, inner = coalesced(axes) or [Axis(1, (dtype.size, dtype.size))]

    def runs() -> None:
        nest(fn, outer, (to, source), lambda t, s: _copy_run(fn, inner, t, s, dtype, target))

    lanes = target.lanes(dtype)
    columns = _columns(outer, inner, dtype, lanes)
    if columns is None:
        runs()
        return
    rest = [axis for axis in outer if axis is not columns]
    write = _Squares(fn, target, dtype, lanes, columns, inner).write
    if isinstance(columns.size, int):
        nest(fn, rest, (to, source), write)
    else:
        enough = fn.compare("sge", columns.size, fn.const(lanes))
        fn.if_(enough, lambda: nest(fn, rest, (to, source), write), runs)


def _columns(outer: Sequence[Axis], inner: Axis, dtype: DType, lanes: int) -> Axis | None:
    """The axis along which the source is contiguous, where that makes the copy a transpose of whole squares."""
    size = dtype.size
    if not isinstance(inner.size, int) or inner.size < lanes:
        return None
    if lanes == 1 or inner.steps[0] != size or abs(inner.steps[1]) in (0, size):
        return None
    fitting = (a for a in outer if a.steps[1] == size and not (isinstance(a.size, int) and a.size < lanes))
    return next(fitting, None)


@dataclass(frozen=True)
class _Squares:
    """A transpose by squares of `lanes` × `lanes`; the last ones overlap the ones before."""

    fn: Function
    target: Target
    dtype: DType
    lanes: int
    columns: Axis  # contiguous in the source
    rows: Axis  # contiguous in the destination

    def write(self, to: Register, source: Register) -> None:
        fn, lanes, size = self.fn, self.lanes, self.dtype.size
        bits = u8 if self.dtype is bool_ else self.dtype
        square = square_transpose(fn.module, self.target, bits, bits, lanes, partial=False)
        pitch, row = fn.const(self.columns.steps[0]), fn.const(self.rows.steps[1])

        def one(column: Size, i: Size) -> None:
            i = least(fn, i, self.rows.size - lanes)
            from_ = fn.at(fn.at(source, column * size), i * self.rows.steps[1])
            into = fn.at(fn.at(to, column * self.columns.steps[0]), i * size)
            fn.call(square, [from_, row, into, pitch])

        def band(i: Size) -> None:
            column = least(fn, i, self.columns.size - lanes)
            fn.loop(self.rows.size, [], lambda j: one(column, j), step=lanes)

        fn.loop(self.columns.size, [], band, step=lanes)


def fill(fn: Function, to: Register, bytes: Size, pattern: Register, target: Target) -> None:
    """Fill `bytes` bytes with `pattern`, an element's bits."""
    element = pattern.type.bytes
    widest = fn.splat(pattern, target.vector_bytes // element)  # once, outside of the loops

    def piece(offset: Size, width: int) -> None:
        value = widest if width == target.vector_bytes else fn.splat(pattern, width // element)
        fn.store(value, to, offset, align=element)

    _over_run(fn, bytes, element, target.vector_bytes, piece)


def _copy_run(fn: Function, axis: Axis, to: Register, source: Register, dtype: DType, target: Target) -> None:
    size = dtype.size
    if axis.steps == (size, size):
        _over_run(
            fn, axis.size * size, size, target.vector_bytes, lambda *piece: _copy_piece(fn, to, source, size, *piece)
        )
    elif axis.steps == (size, 0):
        fill(fn, to, axis.size * size, fn.load(source, raw_type(dtype)), target)
    elif axis.steps == (size, -size):
        _over_run(
            fn,
            axis.size * size,
            size,
            target.vector_bytes,
            lambda *piece: _copy_mirrored(fn, to, source, dtype, *piece),
        )
    else:
        _copy_elements(fn, axis, to, source, dtype)


def _copy_piece(fn: Function, to: Register, source: Register, align: int, offset: Size, width: int) -> None:
    type = vector(f"i{8 * width}", 1) if width <= 8 else vector("i64", width // 8)
    fn.store(fn.load(source, type, offset, align=align), to, offset, align=align)


def _copy_mirrored(fn: Function, to: Register, source: Register, dtype: DType, offset: Size, width: int) -> None:
    lanes = width // dtype.size
    loaded = fn.load(source, raw_type(dtype, lanes), (dtype.size - width) - offset)
    fn.store(fn.shuffle(loaded, None, range(lanes)[::-1]) if lanes > 1 else loaded, to, offset)


def _copy_elements(fn: Function, axis: Axis, to: Register, source: Register, dtype: DType) -> None:
    to_step, source_step = axis.steps

    def one(i: Size) -> None:
        fn.store(fn.load(source, raw_type(dtype), i * source_step), to, i * to_step)

    unrolled(fn, axis.size, one)


def unrolled(fn: Function, size: Size, body: Callable[[Size], None]) -> None:
    """`body(i)` for i below `size`, in order, several per turn."""
    size = settled(size)
    whole = size // _UNROLL * _UNROLL

    def turn(i: Register) -> None:
        for k in range(_UNROLL):
            body(i + k)

    fn.loop(whole, [], turn, step=_UNROLL)
    fn.loop(size, [], body, start=whole)


def over_lanes(
    fn: Function, target: Target, dtype: DType, size: Size, body: Callable[[LaneEmitter, Size], None]
) -> None:
    """`body(emitter, i)` for consecutive elements from i on, as many as the emitter has lanes: whole vectors of
    `dtype`, then the rest in narrower ones or, where `size` is known at run time only, one by one."""
    size, lanes = settled(size), target.lanes(dtype)
    whole = size // lanes * lanes
    vector = LaneEmitter(fn, target, lanes)
    fn.loop(whole, [], lambda i: body(vector, i), step=lanes)
    if not isinstance(size, int):
        fn.loop(size, [], lambda i: body(LaneEmitter(fn, target, 1), i), start=whole)
        return
    while size % lanes:
        lanes //= 2
        if size & lanes:
            body(LaneEmitter(fn, target, lanes), size // (2 * lanes) * (2 * lanes))


def _over_run(fn: Function, bytes: Size, element: int, widest: int, piece: Piece) -> None:
    """Cover `bytes` bytes, whole elements, with pieces whose widths are powers of two up to `widest`; they overlap
    where that saves narrower ones."""
    bytes = settled(bytes)
    if isinstance(bytes, int):
        _over_known_run(fn, bytes, widest, piece)
        return
    length = bytes

    def vectors() -> None:
        whole = length & -(_UNROLL * widest)
        fn.loop(whole, [], lambda i: _turn(i, widest, piece), step=_UNROLL * widest)
        fn.loop(length, [], lambda i: piece(least(fn, i, length - widest), widest), start=whole, step=widest)

    def elements() -> None:
        fn.loop(length, [], lambda i: piece(i, element), step=element)

    fn.if_(fn.compare("sge", length, fn.const(widest)), vectors, elements)


def _over_known_run(fn: Function, bytes: int, widest: int, piece: Piece) -> None:
    if bytes <= 0:
        return
    width = min(widest, 1 << (bytes.bit_length() - 1))
    whole = bytes // (_UNROLL * width) * (_UNROLL * width)
    fn.loop(whole, [], lambda i: _turn(i, width, piece), step=_UNROLL * width)
    for offset in range(whole, bytes - width + 1, width):
        piece(offset, width)
    if bytes % width:
        piece(bytes - width, width)


def _turn(i: Register, width: int, piece: Piece) -> None:
    for k in range(_UNROLL):
        piece(i + k * width, width)
