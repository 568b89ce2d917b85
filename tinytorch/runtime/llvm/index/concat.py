"""The kernel of concat: operands one after the other along an axis.

Neighbours that lie alike are a run, written by one loop over their pointers, so that a thousand operands take no more
code than a few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

from tinytorch.ir.graph import Node
from tinytorch.runtime.llvm.index.loops import (
    Axis,
    Cut,
    Extent,
    Region,
    Size,
    axes_of,
    byte_steps,
    coalesced,
    cut_evenly,
    enter,
    least,
    most,
    moved,
    region_of,
    sizes_of,
)
from tinytorch.runtime.llvm.index.runs import copy_block
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR

_SHORT = 8  # fewer operands in a run are written one by one
_PART = 32  # runs that one function writes; LLVM's time grows faster than a function
_WORD = 8  # bytes, in the table of a run whose operands differ in size


@dataclass(frozen=True)
class _Run:
    """Operands `first`, `first` + 1, …, which differ at most in their sizes along the joined axis, where those of the
    first begin at `start`, and in their steps along the axes before that, `outer`."""

    first: int
    start: int
    sizes: tuple[int, ...]
    outer: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int | None:
        """The size of all of them; None where they differ."""
        alike = len(set(self.sizes)) == len(set(self.outer)) == 1
        return self.sizes[0] if alike else None


def write_concat(fn: Function, node: Node, operands: Sequence[Buffer], result: Buffer, target: Target) -> Extent:
    """Operands of any strides, alike but for their sizes along node.attrs["axis"].

    The result is written front to back, whichever axis is joined.
    """
    axis = node.attrs["axis"]
    axes = axes_of(result.shape, *map(byte_steps, (result, *operands)))
    outer, joined, inner = coalesced(axes[:axis]), axes[axis], coalesced(axes[axis + 1 :])
    axes = [*outer, joined, *inner]
    cut = cut_evenly(sizes_of(axes), result.dtype.size)
    runs = _runs(outer, [joined, *inner], [operand.shape[axis] for operand in operands])

    def write(part: Function, runs: Sequence[_Run]) -> None:
        region = region_of(part, part.params[1], cut)
        _ConcatWriter(part, result, target, outer, [joined, *inner], cut, region, runs, len(operands)).write()

    if len(runs) <= _PART:
        write(fn, runs)
        return Extent(cut.chunks)
    for first in range(0, len(runs), _PART):
        part = fn.module.function(f"{fn.name}_part{first}", [PTR, I64], internal=True, noinline=True)
        write(part, runs[first : first + _PART])
        part.ret()
        fn.call(part, fn.params)
    return Extent(cut.chunks)


def _runs(outer: Sequence[Axis], rest: Sequence[Axis], sizes: Sequence[int]) -> list[_Run]:
    """The runs of operands with elements, in order. Steps of pointer 0 are the result's."""
    starts = [0, *accumulate(sizes)]

    def steps(number: int, axes: Sequence[Axis]) -> tuple[int, ...]:
        return tuple(axis.steps[number + 1] for axis in axes)

    runs: list[_Run] = []
    # Operands without elements end a run: its pointers lie side by side.
    for _, alike in groupby(range(len(sizes)), key=lambda k: (sizes[k] > 0, steps(k, rest))):
        numbers = [k for k in alike if sizes[k]]
        if len(numbers) < _SHORT:
            runs += [_Run(k, starts[k], (sizes[k],), (steps(k, outer),)) for k in numbers]
        else:
            each = tuple(sizes[k] for k in numbers), tuple(steps(k, outer) for k in numbers)
            runs.append(_Run(numbers[0], starts[numbers[0]], *each))
    return runs


class _ConcatWriter:
    """Writes one chunk: `outer` axes, then `rest`, the joined one and those after it."""

    def __init__(
        self,
        fn: Function,
        result: Buffer,
        target: Target,
        outer: Sequence[Axis],
        rest: Sequence[Axis],
        cut: Cut,
        region: Region,
        runs: Sequence[_Run],
        operands: int,
    ) -> None:
        self.fn, self.result, self.target = fn, result, target
        self.outer, self.rest, self.cut, self.region, self.runs = outer, rest, cut, region, runs
        self.frame = fn.params[0]
        self.to = fn.load(self.frame, PTR, 8 * operands)
        self.alone = {run.first: self._source(run, 0) for run in runs if len(run.sizes) == 1}
        self.tables = {run.first: self._table(run) for run in runs if run.size is None}

    def write(self) -> None:
        """Loops over what is left of the outer axes, around all runs."""
        cut, region, place = self.cut, self.region, len(self.outer)
        own = [replace(axis, steps=axis.steps[:1]) for axis in (*self.outer, *self.rest)]
        # The result counts the joined axis from its start: where we are along it is only known for each operand.
        own[place] = replace(own[place], steps=(0,))
        inside, (to,) = enter(self.fn, own, cut, region, (self.to,))
        if cut.axis >= place:
            self._runs_at(to, region.index[:place])
            return

        def at(to: Register, *index: Register) -> None:
            self._runs_at(to, (*region.index, region.first + index[0], *index[1:]))

        self._nest(inside[: place - cut.axis], to, (), at)

    def _nest(self, axes: Sequence[Axis], to: Register, index: tuple[Register, ...], body: Callable[..., None]) -> None:
        if not axes:
            body(to, *index)
            return

        def inside(i: Register) -> None:
            (here,) = moved(self.fn, (to,), i, axes[0].steps)
            self._nest(axes[1:], here, (*index, i), body)

        self.fn.loop(axes[0].size, [], inside)

    def _joined(self) -> tuple[Size, Size | None]:
        """The indices [first, last) of the joined axis that belong to the chunk, last None for a single one."""
        cut, region, place = self.cut, self.region, len(self.outer)
        if cut.axis > place:
            return region.index[place], None
        if cut.axis == place:
            return region.first, region.first + region.count
        size = self.rest[0].size
        return 0, size

    def _runs_at(self, to: Register, index: Sequence[Size]) -> None:
        for run in self.runs:
            if len(run.sizes) == 1:
                self._operand(run, 0, to, index)
            else:
                first, stop = self._touched(run)
                self.fn.loop(stop, [], lambda k, run=run: self._operand(run, k, to, index), start=first)

    def _touched(self, run: _Run) -> tuple[Size, Size]:
        """Which operands of a run the chunk may touch."""
        fn, (first, last) = self.fn, self._joined()
        count, size = len(run.sizes), run.size
        if size is None or self.cut.axis < len(self.outer):
            return 0, count
        last = first + 1 if last is None else last
        begin = least(fn, most(fn, first - run.start, 0), count * size) // size
        return begin, (least(fn, most(fn, last - run.start, 0), count * size) + (size - 1)) // size

    # One operand.
    def _operand(self, run: _Run, k: Size, to: Register, index: Sequence[Size]) -> None:
        """Copy what the chunk takes of operand `k` of a run."""
        fn = self.fn
        start, size, steps = self._row(run, k)
        source = self.alone[run.first] if len(run.sizes) == 1 else self._source(run, k)
        for i, step in zip(index, steps, strict=True):
            source = fn.at(source, i * step)
        first, last = self._joined()
        if self.cut.axis < len(self.outer):
            self._copy(run, start, 0, size, to, source)
        elif last is None:
            at = first - start
            here = fn.compare("ult", fn.value(at), fn.value(size))
            fn.if_(here, lambda: self._copy(run, start, at, 1, to, source))
        else:
            begin = most(fn, first - start, 0)
            end = least(fn, last - start, size)
            self._copy(run, start, begin, most(fn, end - begin, 0), to, source)

    def _copy(self, run: _Run, start: Size, begin: Size, count: Size, to: Register, source: Register) -> None:
        """`count` indices of an operand, from `begin` on."""
        fn, cut, region, place = self.fn, self.cut, self.region, len(self.outer)
        joined, *inner = [Axis(a.size, (a.steps[0], a.steps[run.first + 1])) for a in self.rest]
        (to,) = moved(fn, (to,), start + begin, joined.steps[:1])
        (source,) = moved(fn, (source,), begin, joined.steps[1:])
        if cut.axis > place:  # where the chunk lies along the axes behind
            for axis, index in zip(inner, region.index[place + 1 :], strict=False):
                (source,) = moved(fn, (source,), index, axis.steps[1:])
            inner = inner[cut.axis - place - 1 :]
            if inner:
                (source,) = moved(fn, (source,), region.first, inner[0].steps[1:])
                inner[0] = replace(inner[0], size=region.count)
        copy_block(fn, [replace(joined, size=count), *inner], to, source, self.result.dtype, self.target)

    def _source(self, run: _Run, k: Size) -> Register:
        return self.fn.load(self.fn.at(self.frame, (k + run.first) * 8), PTR)

    def _row(self, run: _Run, k: Size) -> tuple[Size, Size, Sequence[Size]]:
        """Where operand `k` of a run begins, its size along the joined axis, and its steps along the axes before."""
        if len(run.sizes) == 1:
            return run.start, run.sizes[0], run.outer[0]
        if run.size is not None:
            return k * run.size + run.start, run.size, run.outer[0]
        words = 2 + len(self.outer)
        row = self.fn.at(self.tables[run.first], k * (words * _WORD))
        start, size, *steps = [self.fn.load(row, I64, i * _WORD) for i in range(words)]
        return start, size, steps

    def _table(self, run: _Run) -> Register:
        """The rows of a run whose operands differ in size, as a constant."""
        words: list[int] = []
        start = run.start
        for size, steps in zip(run.sizes, run.outer, strict=True):
            words += [start, size, *steps]
            start += size
        name = f"{self.fn.name}_run{run.first}"
        self.fn.module.constant(name, f"[{len(words)} x i64] [{', '.join(f'i64 {word}' for word in words)}]")
        return self.fn.address(name)
