"""The kernels of scatter, scatter_add and scatter_reduce: base with updates put, or joined to what is there, at
indices along an axis, in the order of the indices.

A chunk owns a part of the result: whole entries of the axes before the indexed one, or of a single entry some rows
(indices along the axis) and some columns (elements behind it). It copies that part of base, walks through all
indices, and puts or joins the updates that fall into its rows. So no two threads write one element, and each element's
sum is formed, or its last update found, in the order of the indices, however many threads there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tinytorch.ir.graph import Node
from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.types import DType, contiguous_strides, f32
from tinytorch.runtime.llvm.index.loops import (
    Axis,
    Extent,
    Size,
    axes_of,
    byte_steps,
    chunks_worth,
    coalesced,
    cut_evenly,
    enter,
    frame_pointers,
    least,
    moved,
    nest,
    region_of,
    sizes_of,
)
from tinytorch.runtime.llvm.index.runs import copy_block, over_lanes, unrolled
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter, is_narrow
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR

_ENOUGH_CHUNKS = 16  # to keep every thread busy; cutting rows into columns gains nothing beyond it
_COLUMN_BYTES = 256  # of each row in a column block, at least
_SCAN_SHARE = 32  # elements to move, at least, for every index that a chunk looks at


def write_scatter(
    fn: Function, node: Node, operands: Sequence[Buffer], result: Buffer, target: Target, in_place: bool
) -> Extent:
    """result = base [outer…, size, inner…] with updates [outer…, indices…, inner…] in place of the rows at the
    indices, i64 in [0, size).

    Any strides of the operands. `in_place`: the result is the buffer of base, of which only those rows are written.
    """
    return _write(fn, _problem_of(node.attrs["axis"], operands, result, join=None, in_place=in_place), target)


def write_scatter_add(
    fn: Function, node: Node, operands: Sequence[Buffer], result: Buffer, target: Target, in_place: bool
) -> Extent:
    """The same with updates added to what is there. 16-bit floats are summed in f32, in scratch, and rounded at the
    end."""
    return _write(fn, _problem_of(node.attrs["axis"], operands, result, join=_add, in_place=in_place), target)


def write_scatter_reduce(
    fn: Function, node: Node, operands: Sequence[Buffer], result: Buffer, target: Target, in_place: bool
) -> Extent:
    """The same with updates multiplied, or the larger or smaller kept."""
    join = _JOINS[node.attrs["reduce"]]
    return _write(fn, _problem_of(node.attrs["axis"], operands, result, join=join, in_place=in_place), target)


def _add(a: Lane, b: Lane) -> Lane:
    return a + b


_JOINS: dict[str, Callable[[Lane, Lane], Lane]] = {
    "mul": lambda a, b: a * b,
    "max": lambda a, b: a.max(b),
    "min": lambda a, b: a.min(b),
}


def _write(fn: Function, problem: _Problem, target: Target) -> Extent:
    cut = cut_evenly(sizes_of(problem.outer), problem.entry_elements * problem.dtype.size)
    split = _split(problem) if cut.axis == len(problem.outer) else _Split(problem.size, 1, 1)
    chunk = fn.params[1]
    piece = chunk % split.pieces if split.pieces > 1 else fn.const(0)
    base, indices, updates, to = frame_pointers(fn, 4)
    axes, pointers = enter(fn, problem.outer, cut, region_of(fn, chunk // split.pieces, cut), (to, base, updates))
    part, pointers = _part_of(fn, problem, split.parts, piece % split.parts if split.parts > 1 else 0, pointers)
    first: Size = piece // split.parts * split.block
    count = least(fn, split.block, problem.size - first) if problem.size % split.block else split.block
    pointers = moved(fn, pointers, first, problem.rows)
    writer = _ScatterWriter(fn, target, part, split, indices, first, count)
    nest(fn, axes, pointers, writer.entry)
    return Extent(cut.chunks * split.pieces, writer.scratch_bytes)


@dataclass(frozen=True)
class _Problem:
    """Axes with the steps of (result, base, updates), those of `index` with the steps of (indices, updates). The
    indexed axis has `size` rows, `rows` apart. `join` makes one of what is there and an update, which else replaces
    it."""

    dtype: DType
    outer: Sequence[Axis]
    index: Sequence[Axis]
    size: int
    rows: tuple[int, ...]
    inner: Sequence[Axis]
    join: Callable[[Lane, Lane], Lane] | None
    in_place: bool

    @property
    def indices(self) -> int:
        return math.prod(sizes_of(self.index))

    @property
    def columns(self) -> int:
        return math.prod(sizes_of(self.inner))

    @property
    def entry_elements(self) -> int:
        """To be moved for one index of the outer axes: updates, and results where base is copied or converted."""
        rows = self.indices if self.in_place and not self.is_widened else self.size + self.indices
        return rows * self.columns

    @property
    def is_widened(self) -> bool:
        """Whether sums are formed in another dtype than the result's."""
        return self.join is not None and is_narrow(self.dtype)

    @property
    def accumulator(self) -> DType:
        return f32 if self.is_widened else self.dtype


def _problem_of(
    axis: int, operands: Sequence[Buffer], result: Buffer, *, join: Callable[[Lane, Lane], Lane] | None, in_place: bool
) -> _Problem:
    base, indices, updates = operands
    to, from_, added = byte_steps(result), byte_steps(base), byte_steps(updates)
    behind = axis + len(indices.shape)
    return _Problem(
        result.dtype,
        coalesced(axes_of(result.shape[:axis], to[:axis], from_[:axis], added[:axis])),
        coalesced(axes_of(indices.shape, byte_steps(indices), added[axis:behind])),
        result.shape[axis],
        (to[axis], from_[axis], 0),
        coalesced(axes_of(result.shape[axis + 1 :], to[axis + 1 :], from_[axis + 1 :], added[behind:])),
        join,
        in_place,
    )


@dataclass(frozen=True)
class _Split:
    """An entry of the outer axes in pieces: `blocks` blocks of `block` rows, times `parts` of the first inner axis."""

    block: int
    blocks: int
    parts: int

    @property
    def pieces(self) -> int:
        return self.blocks * self.parts


def _split(problem: _Problem) -> _Split:
    """Blocks of rows as long as their walks through all indices cost little; parts where few rows leave too few."""
    elements = problem.entry_elements
    wanted = chunks_worth(elements * problem.dtype.size)
    affordable = max(1, elements // (_SCAN_SHARE * max(1, problem.indices)))
    block = -(-problem.size // min(wanted, affordable, problem.size))
    blocks = -(-problem.size // block)
    parts = 1
    if problem.inner:
        fitting = problem.columns * problem.dtype.size // _COLUMN_BYTES
        most = min(-(-min(wanted, _ENOUGH_CHUNKS) // blocks), max(1, fitting))
        first = sizes_of(problem.inner)[0]
        parts = max(q for q in range(1, most + 1) if first % q == 0)
    return _Split(block, blocks, parts)


def _part_of(
    fn: Function, problem: _Problem, parts: int, index: Size, pointers: Sequence[Register]
) -> tuple[_Problem, list[Register]]:
    """Part number `index` of the first inner axis, and the pointers to its first elements."""
    if parts == 1:
        return problem, list(pointers)
    first, *rest = problem.inner
    size = sizes_of(problem.inner)[0] // parts
    part = replace(problem, inner=[Axis(size, first.steps), *rest])
    return part, moved(fn, pointers, index * size, first.steps)


@dataclass(frozen=True)
class _ScatterWriter:
    """Writes what a chunk does with one entry: `count` rows from `first` on."""

    fn: Function
    target: Target
    problem: _Problem
    split: _Split
    indices: Register
    first: Size
    count: Size

    @property
    def scratch_bytes(self) -> int:
        problem = self.problem
        return self.split.block * problem.columns * f32.size if problem.is_widened else 0

    def entry(self, to: Register, base: Register, updates: Register) -> None:
        """Pointers to the chunk's first result, base element and update of the entry."""
        problem = self.problem
        if problem.is_widened:
            self._through_scratch(to, base, updates)
            return
        if not problem.in_place:
            axes = [Axis(self.count, problem.rows[:2]), *(Axis(a.size, a.steps[:2]) for a in problem.inner)]
            copy_block(self.fn, axes, to, base, problem.dtype, self.target)
        self._walk(to, [problem.rows[0], *(a.steps[0] for a in problem.inner)], updates)

    def _through_scratch(self, to: Register, base: Register, updates: Register) -> None:
        fn, problem, wide = self.fn, self.problem, self.problem.accumulator
        sums = fn.load(fn.params[0], PTR, 4 * 8)
        shape = (self.split.block, *sizes_of(problem.inner))
        steps = [wide.size * stride for stride in contiguous_strides(shape)]
        sizes = (self.count, *shape[1:])
        to_steps, base_steps = ([problem.rows[i], *(a.steps[i] for a in problem.inner)] for i in (0, 1))
        self._convert(axes_of(sizes, steps, base_steps), (sums, wide), (base, problem.dtype))
        self._walk(sums, steps, updates)
        self._convert(axes_of(sizes, to_steps, steps), (to, problem.dtype), (sums, wide))

    def _convert(self, axes: Sequence[Axis], to: tuple[Register, DType], source: tuple[Register, DType]) -> None:
        fn, (into, dtype), (from_, source_dtype) = self.fn, to, source
        *outer, run = coalesced(axes) or [Axis(1, (dtype.size, source_dtype.size))]
        step = run.steps[1]

        def vector(emitter: LaneEmitter, i: Size, to: Register, source: Register) -> None:
            loaded = emitter.load_strided(source, source_dtype, step // source_dtype.size, i * step)
            emitter.store(loaded.cast(dtype), to, i * dtype.size)

        nest(
            fn,
            outer,
            (into, from_),
            lambda t, s: over_lanes(fn, self.target, f32, run.size, lambda e, i: vector(e, i, t, s)),
        )

    def _walk(self, rows: Register, steps: Sequence[int], updates: Register) -> None:
        """Walk through the indices; `steps` are those from row to row and along the inner axes."""
        fn, problem = self.fn, self.problem
        added = [a.steps[2] for a in problem.inner]
        axes = coalesced(axes_of(sizes_of(problem.inner), steps[1:], added))

        def one(index: Register, update: Register) -> None:
            row = fn.value(fn.load(index, I64) - self.first)

            def write() -> None:
                to = fn.at(rows, row * steps[0])
                if problem.join is not None:
                    self._join_row(problem.join, axes, to, update)
                else:
                    copy_block(fn, axes, to, update, problem.dtype, self.target)

            if self.split.blocks > 1:
                fn.if_(fn.compare("ult", row, fn.value(self.count)), write)
            else:
                write()

        if axes or not problem.index:
            nest(fn, problem.index, (self.indices, updates), one)
            return
        *outer, last = problem.index  # single elements, several per turn
        nest(
            fn,
            outer,
            (self.indices, updates),
            lambda *at: unrolled(fn, last.size, lambda i: one(*moved(fn, at, i, last.steps))),
        )

    def _join_row(
        self, join: Callable[[Lane, Lane], Lane], axes: Sequence[Axis], sums: Register, updates: Register
    ) -> None:
        fn, dtype, wide = self.fn, self.problem.dtype, self.problem.accumulator
        *outer, run = axes or [Axis(1, (wide.size, dtype.size))]
        step = run.steps[1]

        def vector(emitter: LaneEmitter, i: Size, sums: Register, updates: Register) -> None:
            update = emitter.load_strided(updates, dtype, step // dtype.size, i * step)
            total = join(emitter.load(sums, wide, i * wide.size), update.cast(wide))
            emitter.store(total, sums, i * wide.size)

        nest(
            fn,
            outer,
            (sums, updates),
            lambda s, u: over_lanes(fn, self.target, wide, run.size, lambda e, i: vector(e, i, s, u)),
        )
