"""The slabs of a group of columns, one block of k after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.ir.ops.sparse import BLOCK_ROWS, SparseLayout
from tinytorch.runtime.llvm.contract.parts import least
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.types import I8, I32, I64

Step = Callable[[Register, Register, Sequence[Register]], "Sequence[Register]"]  # (values, rows, sums) -> sums


@dataclass(frozen=True)
class Slab:
    """A slab: its block of k, and its steps, from `first` on up to `last`. `order` is where the numbers of its columns
    lie."""

    block: Register
    first: Register
    last: Register
    order: Register


@dataclass(frozen=True)
class Slabs:
    """The arrays of a weight, in a function."""

    fn: Function
    layout: SparseLayout
    values: Register
    rows: Register
    order: Register
    ends: Register

    def loop(self, group: Register, body: Callable[[Slab], None]) -> None:
        """`body` for each slab of a group, in order."""
        fn, layout = self.fn, self.layout
        start = group * (layout.blocks * layout.slabs)
        before = fn.select(fn.compare("sgt", start, fn.const(0)), start - 1, fn.const(0))
        first = fn.select(fn.compare("sgt", start, fn.const(0)), self._end(before), fn.const(0))

        def block(at: Register, first: Register) -> Sequence[Register]:
            def slab(number: Register, first: Register) -> Sequence[Register]:
                index = start + at * layout.slabs + number
                last = self._end(index)
                body(Slab(at, first, last, fn.at(self.order, index * layout.places)))
                return [last]

            return fn.loop(layout.slabs, [first], slab)

        fn.loop(layout.blocks, [first], block)

    def _end(self, index: Register) -> Register:
        """Where a slab's steps end; never behind the last step."""
        fn = self.fn
        end = fn.convert("sext", fn.load(self.ends, I32, index * 4), I64)
        return least(fn.select(fn.compare("slt", end, fn.const(0)), fn.const(0), end), self.layout.steps)

    def steps(self, slab: Slab, chains: int, zeros: Sequence[Register], step: Step) -> list[Register]:
        """The sums of a slab's steps, in `chains` that are added up at last."""
        fn, layout, count = self.fn, self.layout, len(zeros)

        def at(index: Register, ahead: int) -> tuple[Register, Register]:
            value_bytes = layout.lanes * layout.dtype.size
            values = fn.at(fn.at(self.values, index * value_bytes), ahead * value_bytes)
            return values, fn.at(fn.at(self.rows, index * layout.places), ahead * layout.places)

        def several(index: Register, *sums: Register) -> Sequence[Register]:
            parts = [sums[i * count : (i + 1) * count] for i in range(chains)]
            return [x for i, part in enumerate(parts) for x in step(*at(index, i), part)]

        def one(index: Register, *sums: Register) -> Sequence[Register]:
            return step(*at(index, 0), sums)

        sums, start = list(zeros), slab.first
        if chains > 1:
            whole = slab.first + (slab.last - slab.first) // chains * chains
            parts = fn.loop(whole, list(zeros) * chains, several, start=slab.first, step=chains)
            sums = [_total(parts[i::count]) for i in range(count)]
            start = fn.select(fn.compare("slt", slab.first, whole), whole, slab.first)
        return fn.loop(slab.last, sums, one, start=start)

    def column(self, slab: Slab, place: int) -> Register:
        """The first of the columns of a place, counted within the group."""
        fn, layout = self.fn, self.layout
        strip = fn.convert("zext", fn.load(slab.order, I8, place), I64)
        if layout.slabs * layout.places < BLOCK_ROWS:
            strip = least(strip, layout.slabs * layout.places - 1)
        return strip * layout.side_by_side


def _total(parts: Sequence[Register]) -> Register:
    """The sum of registers, in pairs."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return _total(parts[:half]) + _total(parts[half:])
