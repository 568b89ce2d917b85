"""The kernels that look through windows: max_pool2d, of which either result may not be wanted, and max_pool2d_take.

Lanes lie along the channels, or along the width where only that is contiguous in x. Windows inside of the image are
straight-line code; those that reach over its border walk through the places that they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tinytorch.ir.graph import Node
from tinytorch.ir.ops.pooling import lowest
from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.index.loops import Extent, Size, byte_steps, frame_pointers, moved
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter, is_narrow, register_type
from tinytorch.runtime.llvm.pooling.windows import (
    LaneBody,
    Range,
    WindowAxis,
    compared_dtype,
    image_rows,
    load_places,
    over_overlapping_lanes,
    place_lanes,
    place_type,
)
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import vector

_UNROLLED = 16  # places in straight-line code, at most
_SHUFFLED = 4  # elements from lane to lane that shuffles bring together, at most

_WIDTH, _CHANNELS = 2, 3


def write_max_pool(
    fn: Function, node: Node, operands: Sequence[Buffer], results: Sequence[Buffer | None], target: Target
) -> Extent:
    """For each window of x, of any strides, its largest element, and the place of that, unless they are None."""
    (x,) = operands
    value, index = results
    wanted = [result for result in (value, index) if result is not None]
    search = _Search(x.dtype, wanted, 0 if value else None, len(wanted) - 1 if index else None)
    return _write(fn, node, x, wanted, wanted[0], search, target)


def write_max_pool_take(fn: Function, node: Node, operands: Sequence[Buffer], result: Buffer, target: Target) -> Extent:
    """The element of x in each window whose place `index` holds, and 0 where there is none. Any strides."""
    x, index = operands
    return _write(fn, node, x, (index, result), result, _Take(x.dtype, index, result), target)


class _Reduction(Protocol):
    """What is made of a window's elements. `state` is what it carries from one place to the next; `others` point to
    its operand and results for the window."""

    def empty(self, emitter: LaneEmitter, others: Sequence[Register], axis: int) -> list[Register]:
        """The state before any element."""
        ...

    def first(
        self, emitter: LaneEmitter, found: Register, place: Size, others: Sequence[Register], axis: int
    ) -> list[Register]: ...

    def following(
        self, emitter: LaneEmitter, state: Sequence[Register], found: Register, place: Size
    ) -> list[Register]: ...

    def store(self, emitter: LaneEmitter, state: Sequence[Register], others: Sequence[Register], axis: int) -> None: ...


@dataclass(frozen=True)
class _Search:
    """The largest element, and its place where `index` is the number of a result. The state is the element, as what
    it is compared as where that differs, and the place."""

    dtype: DType
    results: Sequence[Buffer]
    value: int | None
    index: int | None

    def empty(self, emitter: LaneEmitter, others: Sequence[Register], axis: int) -> list[Register]:
        found = emitter.value(emitter.const(lowest(self.dtype), self.dtype))
        return self.first(emitter, found, 0, others, axis)

    def first(
        self, emitter: LaneEmitter, found: Register, place: Size, others: Sequence[Register], axis: int
    ) -> list[Register]:
        return self._state(emitter, found, place)

    def following(
        self, emitter: LaneEmitter, state: Sequence[Register], found: Register, place: Size
    ) -> list[Register]:
        fn = emitter.fn
        new = self._state(emitter, found, place)
        key = 1 if is_narrow(self.dtype) else 0
        better = self._is_better(fn, new[key], state[key])
        return [fn.select(better, a, b) for a, b in zip(new, state, strict=True)]

    def store(self, emitter: LaneEmitter, state: Sequence[Register], others: Sequence[Register], axis: int) -> None:
        fn = emitter.fn
        if self.value is not None:
            step = self.results[self.value].strides[axis] * self.dtype.size
            fn.store_strided(state[0], others[self.value], step)
        if self.index is not None:
            result = self.results[self.index]
            narrowed = vector(f"i{result.dtype.bits}", emitter.lanes)
            place = fn.convert("trunc", state[-1], narrowed)
            fn.store_strided(place, others[self.index], result.strides[axis] * result.dtype.size)

    def _state(self, emitter: LaneEmitter, found: Register, place: Size) -> list[Register]:
        state = [found]
        if is_narrow(self.dtype):  # the bits are kept beside the f32, which would quieten a NaN
            state.append(emitter.value(emitter.lane(found, self.dtype).cast(compared_dtype(self.dtype))))
        if self.index is not None:
            type = place_type(self.dtype, self.results[self.index].dtype, emitter.lanes)
            state.append(place_lanes(emitter.fn, place, type))
        return state

    def _is_better(self, fn: Function, new: Register, old: Register) -> Register:
        if not self.dtype.is_float:
            return fn.compare("sgt" if self.dtype.kind == "int" else "ugt", new, old)
        # Every NaN comes in, and no number replaces it.
        return fn.compare("ogt", new, old) | fn.compare("uno", new, new)


@dataclass(frozen=True)
class _Take:
    """The element at the place that `index` holds. The state is the element, and that place."""

    dtype: DType
    index: Buffer
    result: Buffer

    def empty(self, emitter: LaneEmitter, others: Sequence[Register], axis: int) -> list[Register]:
        place = load_places(emitter, others[0], self.index, axis, self.dtype)
        return [emitter.fn.zero(register_type(self.dtype, emitter.lanes)), place]

    def first(
        self, emitter: LaneEmitter, found: Register, place: Size, others: Sequence[Register], axis: int
    ) -> list[Register]:
        return self.following(emitter, self.empty(emitter, others, axis), found, place)

    def following(
        self, emitter: LaneEmitter, state: Sequence[Register], found: Register, place: Size
    ) -> list[Register]:
        fn, (taken, wanted) = emitter.fn, state
        here = fn.compare("eq", wanted, place_lanes(fn, place, wanted.type))
        return [fn.select(here, found, taken), wanted]

    def store(self, emitter: LaneEmitter, state: Sequence[Register], others: Sequence[Register], axis: int) -> None:
        emitter.fn.store_strided(state[0], others[1], self.result.strides[axis] * self.dtype.size)


def _write(
    fn: Function,
    node: Node,
    x: Buffer,
    others: Sequence[Buffer],
    out: Buffer,
    reduction: _Reduction,
    target: Target,
) -> Extent:
    """Reduce every window of x; `others` follow x in the frame, and `out` has the shape of the results."""
    window, stride, low, dilation = (node.attrs[key] for key in ("window", "stride", "low", "dilation"))
    rows, columns = (
        WindowAxis(x.shape[1 + i], out.shape[1 + i], window[i], stride[i], low[i], dilation[i]) for i in range(2)
    )
    along = _lane_axis(x, out)
    writer = _PoolingWriter(fn, target, x, [byte_steps(o) for o in others], out, rows, columns, reduction, along)
    x_at, *pointers = frame_pointers(fn, 1 + len(others))

    def row(image: Size, y: Size) -> None:
        writer.row(y, fn.at(x_at, image * byte_steps(x)[0]), writer.moved(pointers, image, 0))

    read = stride[0] * x.shape[2] * x.shape[3] * x.dtype.size
    written = out.shape[2] * out.shape[3] * sum(o.dtype.size for o in others)
    return image_rows(fn, out.shape[0], out.shape[1], read + written, row)


def _lane_axis(x: Buffer, out: Buffer) -> int:
    """The axis whose neighbours share a vector: the channels, unless only the width is contiguous."""
    contiguous_channels = x.strides[_CHANNELS] == 1 and x.shape[_CHANNELS] > 1
    return _WIDTH if x.strides[_WIDTH] == 1 and not contiguous_channels and out.shape[_WIDTH] > 1 else _CHANNELS


@dataclass(frozen=True)
class _PoolingWriter:
    fn: Function
    target: Target
    x: Buffer
    steps: Sequence[tuple[int, ...]]  # of the reduction's operand and results
    out: Buffer
    rows: WindowAxis
    columns: WindowAxis
    reduction: _Reduction
    axis: int  # that lanes lie along

    def moved(self, pointers: Sequence[Register], index: Size, axis: int) -> list[Register]:
        return moved(self.fn, pointers, index, [step[axis] for step in self.steps])

    def row(self, y: Size, x_at: Register, others: Sequence[Register]) -> None:
        """A row of windows; the pointers are those of its image."""
        fn, rows = self.fn, self.rows
        first, last = rows.whole
        x_at = fn.at(x_at, (y * rows.stride - rows.low) * byte_steps(self.x)[1])
        others = self.moved(others, y, 1)

        def whole() -> None:
            self._row_within((0, rows.window), x_at, others)

        def border() -> None:
            self._row_within(rows.places(fn, y), x_at, others)

        if rows.is_whole:
            whole()
        elif first == last:
            border()
        else:
            fn.if_(fn.compare("ult", fn.value(y - first), fn.const(last - first)), whole, border)

    def _row_within(self, places: Range, x_at: Register, others: Sequence[Register]) -> None:
        """`places` of each window are rows of the image; the pointers are those of the first window's place 0."""
        fn, columns = self.fn, self.columns
        first, last = columns.whole
        every = (0, columns.window)
        channels = self.out.shape[_CHANNELS]

        def whole_columns(emitter: LaneEmitter, i: Size, c: Size) -> None:
            self._window(emitter, i + first, c, places, every, x_at, others)

        def whole_channels(i: Size) -> None:
            self._over(channels, lambda emitter, c: self._window(emitter, i, c, places, every, x_at, others))

        def border(number: Size) -> None:
            i = columns.border(fn, number)
            inside = columns.places(fn, i)
            if self.axis == _CHANNELS:
                self._over(channels, lambda emitter, c: self._window(emitter, i, c, places, inside, x_at, others))
            else:
                one = LaneEmitter(fn, self.target, 1)
                fn.loop(channels, [], lambda c: self._window(one, i, c, places, inside, x_at, others))

        if self.axis == _CHANNELS:
            fn.loop(last, [], whole_channels, start=first)
        elif last > first:
            fn.loop(channels, [], lambda c: self._over(last - first, lambda e, i: whole_columns(e, i, c)))
        fn.loop(columns.windows - (last - first), [], border)

    def _over(self, size: int, body: LaneBody) -> None:
        over_overlapping_lanes(self.fn, self.target, self.x.dtype, size, body)

    def _window(
        self,
        emitter: LaneEmitter,
        i: Size,
        c: Size,
        rows: Range,
        columns: Range,
        x_at: Register,
        others: Sequence[Register],
    ) -> None:
        """Window number i of the row, or as many as there are lanes, reduced over those of its places."""
        fn, reduction = self.fn, self.reduction
        x_at = fn.at(
            x_at, (i * self.columns.stride - self.columns.low) * byte_steps(self.x)[2] + c * byte_steps(self.x)[3]
        )
        others = self.moved(self.moved(others, i, 2), c, 3)

        def places() -> list[Register]:
            return self._walk(emitter, rows, columns, x_at, others)

        exist = [
            fn.compare("slt", fn.value(a), fn.value(b))
            for axis, (a, b) in ((self.rows, rows), (self.columns, columns))
            if (a, b) != (0, axis.window) and axis.may_miss
        ]
        if exist:
            both = exist[0] if len(exist) == 1 else exist[0] & exist[1]
            state = fn.if_(both, places, lambda: reduction.empty(emitter, others, self.axis))
        else:
            state = places()
        reduction.store(emitter, state, others, self.axis)
        if (rows, columns) == ((0, self.rows.window), (0, self.columns.window)):
            self._prefetch(emitter, x_at)

    def _prefetch(self, emitter: LaneEmitter, x_at: Register) -> None:
        """Ask for what the windows one row further down read and these did not. Few processors see by themselves that
        several rows of an image are read at a time."""
        fn, (_, row, column, channel) = self.fn, byte_steps(self.x)
        lane = column if self.axis == _WIDTH else channel
        if lane != self.x.dtype.size or self.rows.stride * self.columns.stride > _UNROLLED:
            return
        apart = lane * emitter.lanes if self.axis == _WIDTH else column
        for y in range(self.rows.stride):
            for x in range(self.columns.stride):
                fn.prefetch(x_at, (self.rows.reach + 1 + y) * row + x * apart, locality=2)

    def _walk(
        self, emitter: LaneEmitter, rows: Range, columns: Range, x_at: Register, others: Sequence[Register]
    ) -> list[Register]:
        """The state after those places, of which there is at least one."""
        fn, width = self.fn, self.columns.window
        start = self._load(emitter, x_at, rows[0], columns[0])
        state = self.reduction.first(emitter, start, rows[0] * width + columns[0], others, self.axis)

        def step(ky: Size, kx: Size, state: Sequence[Register]) -> list[Register]:
            return self.reduction.following(emitter, state, self._load(emitter, x_at, ky, kx), ky * width + kx)

        def row(ky: Size, state: Sequence[Register]) -> list[Register]:
            if columns != (0, width) or width > _UNROLLED:
                return fn.loop(columns[1], state, lambda kx, *s: step(ky, kx, s), start=columns[0])
            for kx in range(width):
                state = step(ky, kx, state)
            return list(state)

        if (rows, columns) != ((0, self.rows.window), (0, width)) or self.rows.window * width > _UNROLLED:
            # The first place once more: nothing is better than itself, and code without an exception is shorter.
            return fn.loop(rows[1], state, lambda ky, *s: row(ky, s), start=rows[0])
        for place in range(1, self.rows.window * width):
            state = step(*divmod(place, width), state)
        return state

    def _load(self, emitter: LaneEmitter, x_at: Register, ky: Size, kx: Size) -> Register:
        fn, x, steps = self.fn, self.x, byte_steps(self.x)
        pointer = fn.at(x_at, ky * (self.rows.dilation * steps[1]) + kx * (self.columns.dilation * steps[2]))
        step = self.columns.stride if self.axis == _WIDTH else x.strides[_CHANNELS]
        if emitter.lanes > 1 and 1 < step <= _SHUFFLED:
            return _load_apart(emitter, pointer, x.dtype, step)
        return emitter.value(emitter.load_strided(pointer, x.dtype, step))


def _load_apart(emitter: LaneEmitter, pointer: Register, dtype: DType, step: int) -> Register:
    """Elements `step` apart, from whole vectors that end with the last of them."""
    fn, lanes = emitter.fn, emitter.lanes
    wanted = [lane * step for lane in range(lanes)]
    result: Register | None = None
    for number in range(step):
        begin = min(number * lanes, wanted[-1] + 1 - lanes)
        loaded = emitter.value(emitter.load(pointer, dtype, begin * dtype.size))
        inside = [w - begin if 0 <= w - begin < lanes else -1 for w in wanted]
        if result is None:
            result = fn.shuffle(loaded, None, inside)
        else:
            picked = [lanes + k if k >= 0 else lane for lane, k in enumerate(inside)]
            result = fn.shuffle(result, loaded, picked)
    assert result is not None, "a step is at least 1"
    return result
