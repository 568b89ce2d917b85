"""The kernel of sort: each row along the axis by itself, in the memory of the thread.

Where few of a long row's elements are wanted, those that are among the best so far are gathered; whenever there are
twice as many as wanted, the worse half goes. Most elements are only compared with the last of the best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.ir.graph import Node
from tinytorch.ir.types import DType, i32, i64
from tinytorch.runtime.llvm.index.loops import (
    Axis,
    Extent,
    Size,
    axes_of,
    byte_steps,
    coalesced,
    cut_evenly,
    enter,
    frame_pointers,
    nest,
    region_of,
    sizes_of,
)
from tinytorch.runtime.llvm.index.runs import over_lanes, raw_type
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.sorting.keys import Run, ordered
from tinytorch.runtime.llvm.sorting.run import FEW, sorter
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, vector

_COST = 64  # bytes of traffic that an element is worth
_GATHERED = FEW  # elements that are gathered before they are sorted, at least


def write_sort(
    fn: Function, node: Node, operands: Sequence[Buffer], results: Sequence[Buffer | None], target: Target
) -> Extent:
    """The first elements of each row along the axis, and their indices, unless they are None; x of any strides."""
    (x,) = operands
    axis: int = node.attrs["axis"]
    wanted = [result for result in results if result is not None]
    steps = [byte_steps(buffer) for buffer in (x, *wanted)]
    rows = [
        *coalesced(axes_of(x.shape[:axis], *(s[:axis] for s in steps))),
        *coalesced(axes_of(x.shape[axis + 1 :], *(s[axis + 1 :] for s in steps))),
        Axis(1, (0,) * len(steps)),  # a row stays whole
    ]
    size, count = x.shape[axis], node.attrs["count"]
    cut = cut_evenly(sizes_of(rows), size * _COST)
    gathered = max(2 * count, _GATHERED)
    run = Run(x.dtype, gathered if 2 * gathered <= size else size, size)
    pointers = frame_pointers(fn, 1 + len(steps))
    rest, at = enter(fn, rows, cut, region_of(fn, fn.params[1], cut), pointers[:-1])
    writer = _RowWriter(fn, target, run, node, x, tuple(s[axis] for s in steps), results[0] is not None, pointers[-1])
    nest(fn, rest, at, writer.row)
    return Extent(cut.chunks, run.bytes)


@dataclass(frozen=True)
class _RowWriter:
    fn: Function
    target: Target
    run: Run
    node: Node
    x: Buffer
    steps: tuple[int, ...]  # along the axis, of x and the results
    values: bool  # whether these are wanted; they are the first result then
    scratch: Register

    def row(self, x_at: Register, *results: Register) -> None:
        """One row; the pointers are to its first elements."""
        fn, run, count = self.fn, self.run, self.node.attrs["count"]
        first = self.scratch
        second = fn.at(first, run.half_bytes)

        def take(lanes: int, i: Size) -> None:
            self._store(first, self._keys(x_at, lanes, i), i, i)

        over_lanes(fn, self.target, self._wide, run.capacity, lambda e, i: take(e.lanes, i))
        half = self._sorted(first, second, fn.const(run.capacity))
        if run.capacity < run.size:
            half = self._best(x_at, half, self._other(half))
        fn.loop(count, [], lambda i: self._put(i, half, x_at, results))

    @property
    def _wide(self) -> DType:
        """As wide as the keys."""
        return i64 if self.run.key is I64 else i32

    def _keys(self, x_at: Register, lanes: int, i: Size) -> Register:
        """The keys of the elements from number i on."""
        fn, dtype = self.fn, self.x.dtype
        bits = fn.load_strided(x_at, raw_type(dtype, lanes), self.steps[0], i * self.steps[0])
        keys = ordered(fn, bits, dtype, self.node.attrs["descending"])
        return fn.convert("zext", keys, self.run.key.widen(lanes))

    def _store(self, half: Register, keys: Register, first: Size, place: Size) -> None:
        """Keys of the elements from number `first` on, to a place."""
        fn, run = self.fn, self.run
        fn.store(keys, half, place * run.key.bytes)
        type = run.number.widen(keys.type.lanes)
        start = fn.value(first)
        number = start if run.number is I64 else fn.convert("trunc", start, run.number)
        numbers = fn.splat(number, type.lanes) + fn.iota(type) if type.lanes > 1 else number
        fn.store(numbers, half, place * run.number.bytes + run.numbers_at)

    def _sorted(self, half: Register, other: Register, count: Register) -> Register:
        """The half in which so many keys are in order."""
        counters = self.fn.at(self.scratch, 2 * self.run.half_bytes)
        return self.fn.call(sorter(self.fn, self.run, self.target), [half, other, counters, count])

    def _other(self, half: Register) -> Register:
        second = self.fn.at(self.scratch, self.run.half_bytes)
        return self.fn.select(self.fn.compare("eq", half, second), self.scratch, second)

    def _put(self, i: Size, half: Register, x_at: Register, results: Sequence[Register]) -> None:
        """Element i of the results."""
        fn, run = self.fn, self.run
        found = fn.load(half, run.number, i * run.number.bytes + run.numbers_at)
        index = fn.convert("zext", found, I64)
        if self.values:
            value = fn.load(x_at, raw_type(self.x.dtype), index * self.steps[0])
            fn.store(value, results[0], i * self.steps[1])
        if len(results) > self.values:
            fn.store(index, results[-1], i * self.steps[-1])

    # A part of the row at a time.
    def _best(self, x_at: Register, half: Register, other: Register) -> Register:
        """The half with the best of the whole row, in order; so far it has those of the first elements."""
        fn, run = self.fn, self.run
        lanes = run.lanes(self.target)
        start = run.capacity
        whole = start + (run.size - start) // lanes * lanes
        state = [half, other, fn.const(self.node.attrs["count"]), self._last(half)]

        def step(lanes: int) -> Callable[..., list[Register]]:
            return lambda i, *state: self._gather(x_at, lanes, i, state)

        state = fn.loop(whole, state, step(lanes), start=start, step=lanes)
        half, other, count, _ = fn.loop(run.size, state, step(1), start=whole)
        return self._sorted(half, other, count)

    def _last(self, half: Register) -> Register:
        """The last of the best keys."""
        key = self.run.key
        return self.fn.load(half, key, (self.node.attrs["count"] - 1) * key.bytes)

    def _gather(self, x_at: Register, lanes: int, i: Register, state: Sequence[Register]) -> list[Register]:
        """Those of the elements from number i on that are better than the last of the best."""
        fn, last = self.fn, state[3]
        keys = self._keys(x_at, lanes, i)
        better = fn.compare("ult", keys, fn.splat(last, lanes))
        if lanes > 1:
            mask = fn.bitcast(better, vector(f"i{lanes}", 1))
            better = fn.compare("ne", mask, fn.const(0, mask.type))
        return fn.if_(better, lambda: self._appended(keys, lanes, i, state), lambda: state)

    def _appended(self, keys: Register, lanes: int, i: Register, state: Sequence[Register]) -> list[Register]:
        fn, (half, other, count, last) = self.fn, state
        for lane in range(lanes):
            key = fn.extract(keys, lane)
            self._store(half, key, i + lane, count)
            count = count + fn.convert("zext", fn.compare("ult", key, last), I64)
        full = fn.compare("sgt", count, fn.const(self.run.capacity - lanes))
        return fn.if_(full, lambda: self._pruned(half, other, count), lambda: [half, other, count, last])

    def _pruned(self, half: Register, other: Register, count: Register) -> list[Register]:
        """The best alone, in order."""
        found = self._sorted(half, other, count)
        return [found, self._other(found), self.fn.const(self.node.attrs["count"]), self._last(found)]
