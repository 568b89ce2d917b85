"""The kernel of max_unpool2d, as a gather: every element of the result adds up the windows whose places point to it.

The result is cut into blocks of one stride by one stride. Element r of block q is place k of window q - d, for each d
where k*dilation = r + d*stride: the same few windows for all blocks, none but window q where windows do not overlap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tinytorch.ir.graph import Node
from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.types import DType, bool_
from tinytorch.runtime.llvm.index.loops import Extent, Size, byte_steps, frame_pointers, moved, settled
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.pooling.windows import (
    WindowAxis,
    compared_dtype,
    image_rows,
    load_places,
    over_overlapping_lanes,
    place_lanes,
)
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64

_UNROLLED = 16  # elements of a block, and places of a window, in straight-line code, at most

_STREAMED_BYTES = 32 << 20  # where no cache holds what is read and written, results are written past the caches

_CHANNELS = 3


def write_max_unpool(fn: Function, node: Node, operands: Sequence[Buffer], result: Buffer, target: Target) -> Extent:
    """Each element of g, of any strides, at the place of its window that `index` holds; 0 elsewhere. Whatever the
    index holds, nothing outside of the result is written. The sums are formed in the order of the places."""
    g, index = operands
    window, stride, low, dilation = (node.attrs[key] for key in ("window", "stride", "low", "dilation"))
    rows, columns = (
        _Blocks(WindowAxis(result.shape[1 + i], g.shape[1 + i], window[i], stride[i], low[i], dilation[i]))
        for i in range(2)
    )
    writer = _UnpoolWriter(fn, target, g, index, result, rows, columns)
    pointers = frame_pointers(fn, 3)
    read = g.shape[2] * g.shape[3] * (g.dtype.size + index.dtype.size)
    written = stride[0] * byte_steps(result)[1]

    def chunk(writer: _UnpoolWriter) -> Extent:
        def row(image: Size, number: Size) -> None:
            writer.row(number + rows.begin, moved(fn, pointers, image, [step[0] for step in writer.steps]))

        return image_rows(fn, result.shape[0], rows.count, read + written, row)

    if not _may_stream(operands, result, target):
        return chunk(writer)
    extents: list[Extent] = []

    def streamed() -> None:
        extents.append(chunk(replace(writer, streaming=True)))
        fn.fence()

    aligned = fn.compare("eq", fn.convert("ptrtoint", pointers[2], I64) & 63, fn.const(0))
    fn.if_(aligned, streamed, lambda: extents.append(chunk(writer)))
    return extents[0]


def _may_stream(operands: Sequence[Buffer], result: Buffer, target: Target) -> bool:
    """Whether no cache holds all this, and the result's vectors lie at whole multiples of their size."""
    lanes = target.lanes(compared_dtype(result.dtype))
    whole = result.shape[_CHANNELS] % lanes == 0 and lanes * result.dtype.size >= 16
    return whole and sum(math.prod(o.shape) * o.dtype.size for o in (*operands, result)) >= _STREAMED_BYTES


@dataclass(frozen=True)
class _Blocks:
    """The elements of an axis in blocks of a stride: block q holds the elements from q*stride - low on."""

    axis: WindowAxis

    @property
    def begin(self) -> int:
        return self.axis.low // self.axis.stride

    @property
    def end(self) -> int:
        return (self.axis.size - 1 + self.axis.low) // self.axis.stride + 1

    @property
    def count(self) -> int:
        return self.end - self.begin

    @property
    def depth(self) -> int:
        """How many windows may have a place in a block: q, q-1, …"""
        return self.axis.reach // self.axis.stride + 1

    @property
    def whole(self) -> tuple[int, int]:
        """The blocks inside of the axis that have all these windows."""
        axis = self.axis
        first = min(self.end, max(self.begin, self.depth - 1, -(-axis.low // axis.stride)))
        last = min(axis.windows, (axis.size + axis.low) // axis.stride)
        return first, max(first, last)

    def contains(self, q: Size, element: Size) -> Register | bool:
        """Whether an element of block q lies inside of the axis."""
        return _compare("ult", q * self.axis.stride + element - self.axis.low, self.axis.size)

    def place(self, element: Size, d: Size) -> tuple[Size, list[Register | bool]]:
        """Which place of window q - d is an element of block q, and the conditions that it is one."""
        distance = element + d * self.axis.stride
        place = distance // self.axis.dilation
        fits = [_compare("slt", place, self.axis.window)]
        if self.axis.dilation > 1:
            fits.append(_compare("eq", distance % self.axis.dilation, 0))
        return place, fits


def _compare(predicate: str, a: Size, b: int) -> Register | bool:
    """`a` signed or unsigned below b, or equal to it."""
    a = settled(a)
    if isinstance(a, Register):
        return a.fn.compare(predicate, a, a.fn.const(b, a.type))
    return a == b if predicate == "eq" else a < b if predicate == "slt" else 0 <= a < b


def _where(
    fn: Function, conditions: Sequence[Register | bool], then: Callable[[], list[Register]], state: list[Register]
) -> list[Register]:
    """`then()` where all conditions hold, else the state as it was."""
    if any(c is False for c in conditions):
        return state
    unknown = [c for c in conditions if isinstance(c, Register)]
    if not unknown:
        return then()
    all_hold = unknown[0]
    for condition in unknown[1:]:
        all_hold = all_hold & condition
    return fn.if_(all_hold, then, lambda: state)


@dataclass(frozen=True)
class _Block:
    """Where a block lies: its numbers, whether all of its elements and windows exist, and, at its channels, pointers
    to window (q, q) in g and in the index and to element (0, 0) of the block. `read` keeps what was loaded."""

    numbers: tuple[Size, Size]
    whole: bool
    pointers: Sequence[Register]
    read: dict[tuple[int, int], tuple[Lane, Register]] = field(
        default_factory=dict[tuple[int, int], tuple[Lane, Register]]
    )


@dataclass(frozen=True)
class _UnpoolWriter:
    fn: Function
    target: Target
    g: Buffer
    index: Buffer
    result: Buffer
    rows: _Blocks
    columns: _Blocks
    streaming: bool = False  # past the caches

    @property
    def steps(self) -> list[tuple[int, ...]]:
        return [byte_steps(o) for o in (self.g, self.index, self.result)]

    def row(self, q: Size, pointers: Sequence[Register]) -> None:
        """A row of blocks, each row of elements by itself, so that memory is written in order. The pointers are those
        of the image."""
        fn = self.fn
        first, last = self.rows.whole
        pointers = self._at_block(pointers, q, self.rows, 1)

        def elements(whole: bool) -> None:
            if self._is_short and whole:
                for y in range(self.rows.axis.stride):
                    self._elements(q, y, whole, pointers)
            else:
                fn.loop(self.rows.axis.stride, [], lambda y: self._elements(q, y, whole, pointers))

        if (first, last) == (self.rows.begin, self.rows.end):
            elements(True)
        elif first == last:
            elements(False)
        else:
            inside = fn.compare("ult", fn.value(q - first), fn.const(last - first))
            fn.if_(inside, lambda: elements(True), lambda: elements(False))

    @property
    def _is_short(self) -> bool:
        """Whether the elements of a whole block are written as straight-line code."""
        rows, columns = self.rows.axis, self.columns.axis
        return max(rows.stride * columns.stride, rows.window * columns.window) <= _UNROLLED

    def _elements(self, q: Size, y: Size, whole: bool, pointers: Sequence[Register]) -> None:
        """Row y of a row of blocks, where the image has it."""
        fn, columns = self.fn, self.columns

        def write() -> list[Register]:
            start, stop = columns.whole if whole else (columns.begin, columns.begin)
            fn.loop(stop, [], lambda p: self._channels((q, p), y, True, pointers), start=start)
            border = columns.count - (stop - start)
            fn.loop(border, [], lambda i: self._channels((q, self._border(i, start, stop)), y, False, pointers))
            return []

        _where(fn, [] if whole else [self.rows.contains(q, y)], write, [])

    def _at_block(self, pointers: Sequence[Register], q: Size, blocks: _Blocks, axis: int) -> list[Register]:
        windows, (g, index, to) = blocks.axis, (step[axis] for step in self.steps)
        return moved(self.fn, moved(self.fn, pointers, q, (g, index, to * windows.stride)), -windows.low, (0, 0, to))

    def _border(self, number: Size, first: int, last: int) -> Register:
        """The column of blocks that is number `number` of those before `first` and from `last` on."""
        fn = self.fn
        at = fn.value(number + self.columns.begin)
        return fn.select(fn.compare("slt", at, fn.const(first)), at, at + (last - first))

    def _channels(self, numbers: tuple[Size, Size], y: Size, whole: bool, pointers: Sequence[Register]) -> None:
        """Row y of a block; a whole one has all of its elements and windows."""
        fn, columns = self.fn, self.columns
        pointers = self._at_block(pointers, numbers[1], columns, 2)

        def lanes(emitter: LaneEmitter, c: Size) -> None:
            at = moved(fn, pointers, c, [step[_CHANNELS] for step in self.steps])
            block = _Block(numbers, whole, at)
            if self._is_short and whole:
                for x in range(columns.axis.stride):
                    self._element(emitter, block, (y, x))
            else:
                fn.loop(columns.axis.stride, [], lambda x: self._element(emitter, block, (y, x)))

        over_overlapping_lanes(fn, self.target, self.g.dtype, self.g.shape[_CHANNELS], lanes)

    def _element(self, emitter: LaneEmitter, block: _Block, element: tuple[Size, Size]) -> None:
        """Write an element of the block, where the row has it."""
        fn, (_, _, to_step) = self.fn, self.steps

        def write() -> list[Register]:
            total = self._sum(emitter, block, element)
            offset = element[0] * to_step[1] + element[1] * to_step[2]
            value = emitter.value(emitter.lane(total, self._sum_dtype).cast(self.g.dtype))
            align = value.type.bytes if self.streaming else 0
            fn.store(value, block.pointers[2], offset, align=align, streaming=self.streaming)
            return []

        _where(fn, [] if block.whole else [self.columns.contains(block.numbers[1], element[1])], write, [])

    @property
    def _sum_dtype(self) -> DType:
        return compared_dtype(self.g.dtype)

    def _sum(self, emitter: LaneEmitter, block: _Block, element: tuple[Size, Size]) -> Register:
        """What the windows of the block have for one of its elements, added up in the order of the places."""
        fn = self.fn
        state = [emitter.value(emitter.const(0, self._sum_dtype))]

        def add(dy: Size, dx: Size, state: list[Register]) -> list[Register]:
            place, conditions = self._window(block, element, (dy, dx))
            return _where(fn, conditions, lambda: [self._added(emitter, block, (dy, dx), place, state[0])], state)

        depths = self.rows.depth, self.columns.depth
        if all(isinstance(settled(r), int) for r in element):
            for dy in range(depths[0]):
                for dx in range(depths[1]):
                    state = add(dy, dx, state)
            return state[0]
        return fn.loop(depths[0], state, lambda dy, *s: fn.loop(depths[1], s, lambda dx, *t: add(dy, dx, list(t))))[0]

    def _window(
        self, block: _Block, element: tuple[Size, Size], d: tuple[Size, Size]
    ) -> tuple[Size, list[Register | bool]]:
        """The place of an element in window q - d, and the conditions that there are both."""
        places: list[Size] = []
        conditions: list[Register | bool] = []
        for q, r, back, blocks in zip(block.numbers, element, d, (self.rows, self.columns), strict=True):
            place, fits = blocks.place(r, back)
            places.append(place)
            conditions += fits
            if not block.whole:
                conditions.append(_compare("ult", q - back, blocks.axis.windows))
        return places[0] * self.columns.axis.window + places[1], conditions

    def _added(
        self, emitter: LaneEmitter, block: _Block, d: tuple[Size, Size], place: Size, total: Register
    ) -> Register:
        fn, zero = self.fn, emitter.const(0, self._sum_dtype)
        value, wanted = self._loaded(emitter, block, d)
        here = emitter.lane(fn.compare("eq", wanted, place_lanes(fn, place, wanted.type)), bool_)
        chosen = emitter.select(here, value, zero)
        if total.literal == 0:  # which a sum starts from, and `value` has been added to
            return emitter.value(chosen)
        return emitter.value(emitter.lane(total, self._sum_dtype) + chosen)

    def _loaded(self, emitter: LaneEmitter, block: _Block, d: tuple[Size, Size]) -> tuple[Lane, Register]:
        """Window q - d: its element of g, as it is added, and its place. Whole blocks load what exists only once."""
        dy, dx = (settled(back) for back in d)
        known = (dy, dx) if isinstance(dy, int) and isinstance(dx, int) and block.whole else None
        if known in block.read:
            return block.read[known]
        fn = self.fn
        g_at, index_at = (
            fn.at(pointer, 0 - (dy * step[1] + dx * step[2]))
            for pointer, step in zip(block.pointers[:2], self.steps, strict=False)
        )
        value = emitter.load_strided(g_at, self.g.dtype, self.g.strides[_CHANNELS]).cast(self._sum_dtype)
        if self.g.dtype.is_float:
            value = value + 0.0  # a sum that starts from 0 is never -0.0
        loaded = value, load_places(emitter, index_at, self.index, _CHANNELS, self.g.dtype)
        if known is not None:
            block.read[known] = loaded
        return loaded
