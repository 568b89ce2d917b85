"""Elementwise kernels with inputs that lie across the vectors: squares of them are transposed into a copy first."""

from __future__ import annotations

from dataclasses import replace

from tinytorch.ir.types import bool_, u8
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.lanes.transpose import square_transpose
from tinytorch.runtime.llvm.loop.columns import ColumnsWriter
from tinytorch.runtime.llvm.loop.point import Cursor
from tinytorch.runtime.llvm.text.builder import Register
from tinytorch.runtime.llvm.text.types import I64


class CrossWriter(ColumnsWriter):
    """An item is a block of the vector axis by as many indices of the crossing axis as a vector has lanes, so that the
    cache lines of the inputs that lie across serve all of them. Whole squares are read by `square_transpose`; at the
    edges lanes are read one by one. Folded inputs are always read through the copy."""

    def _item(self, item: Register) -> None:
        cross, vector = self.values.cross, self.values.vector
        assert cross is not None and vector is not None
        fn, lanes, size = self.fn, self.values.lanes, self.values.sizes[cross]
        rows, squares = self.plan.division.items // self.plan.division.blocks, -(-size // lanes)
        row, block = item % rows, item // rows  # the squares of a block, one after the other, share pages and lines
        outer, first = self._cursor(row // squares), row % squares * lanes
        buffers = {
            o: fn.alloca(lanes * lanes * self.plan.operands[o].dtype.size) for o in self.values.transposed(cross)
        }

        folded = {o: buffers[o] for o in self.values.domain.folded}
        lists = {o: fn.alloca(lanes * 8) for o in folded}

        def tile(i: Register, e: LaneEmitter, count: int, mask: Register | None) -> None:
            corner = outer.bind(vector, i)
            stop = self._least(first + lanes, size)
            for o, buffer in folded.items():
                self._unfold(o, corner, first, stop, i, buffer, lists[o])
            if mask is not None or e is not self.many:
                self._rows(corner, first, stop, i, e, mask, folded)
            elif size % lanes == 0:
                self._square(corner, first, i, buffers)
            else:
                whole = fn.compare("eq", stop - first, fn.const(lanes))
                fn.if_(
                    whole,
                    lambda: self._square(corner, first, i, buffers),
                    lambda: self._rows(corner, first, stop, i, e, mask, folded),
                )

        self._sweep(self._line(block), tile)

    def _square(self, corner: Cursor, first: Register, i: Register, buffers: dict[int, Register]) -> None:
        """Transpose the inputs' squares into `buffers`, then run the rows on those."""
        cross, vector, fn, lanes = self.values.cross, self.values.vector, self.fn, self.values.lanes
        assert cross is not None and vector is not None
        start = corner.bind(cross, first)
        for o, buffer in buffers.items():
            if o in self.values.domain.folded:
                continue
            operand = self.plan.operands[o]
            stored = u8 if operand.dtype is bool_ else operand.dtype
            transpose = square_transpose(fn.module, self.plan.target, stored, stored, lanes)
            step = fn.const(operand.walk[vector] * stored.size)
            fn.call(transpose, [start.pointers[o], step, buffer, fn.const(lanes * stored.size)])
        self._rows(corner, first, first + lanes, i, self.many, None, buffers)

    def _unfold(
        self, o: int, corner: Cursor, first: Register, stop: Register, i: Register, buffer: Register, rows: Register
    ) -> None:
        """Transpose the square of a folded input at column i into `buffer`, through a list of where its `rows` lie;
        what lies past the end of the vector axis repeats the last column."""
        cross, vector, fn, lanes = self.values.cross, self.values.vector, self.fn, self.values.lanes
        assert cross is not None and vector is not None
        (_, far), (short, near) = self.values.domain.folded[o]
        dtype = self.plan.operands[o].dtype
        stored = u8 if dtype is bool_ else dtype
        start, last = corner.bind(cross, first).pointers[o], self.values.sizes[vector] - 1

        def place(r: Register) -> Register:
            column = self._least(i + r, last)
            return (column // short * far + column % short * near) * stored.size

        fn.loop(lanes, [], lambda r: fn.store(place(r), fn.at(rows, r * 8)))

        def whole() -> None:
            transpose = square_transpose(fn.module, self.plan.target, stored, stored, lanes, listed=True)
            fn.call(transpose, [start, rows, buffer, fn.const(lanes * stored.size)])

        def one(k: Register, r: Register) -> None:
            at = fn.at(start, fn.load(fn.at(rows, r * 8), I64))
            value = self.one.load(fn.at(at, k * stored.size), stored)
            self.one.store(value, fn.at(buffer, (k * lanes + r) * stored.size))

        def partial() -> None:
            fn.loop(stop - first, [], lambda k: fn.loop(lanes, [], lambda r: one(k, r)))

        if self.values.sizes[cross] % lanes == 0:
            whole()
        else:
            fn.if_(fn.compare("eq", stop - first, fn.const(lanes)), whole, partial)

    def _rows(
        self,
        corner: Cursor,
        first: Register,
        stop: Register,
        i: Register,
        e: LaneEmitter,
        mask: Register | None,
        buffers: dict[int, Register],
    ) -> None:
        """One vector at each index of the crossing axis from `first` to `stop`."""
        cross = self.values.cross
        assert cross is not None

        def row(k: Register) -> None:
            size = self.values.lanes
            transposed = {
                o: self.fn.at(buffer, (k - first) * (size * self.plan.operands[o].dtype.size))
                for o, buffer in buffers.items()
            }
            item = self._item_point(replace(corner.bind(cross, k), transposed=transposed))
            front = self._front(item, self._borrowed_by_tiles()) if e is self.many else item
            self._tile(item, front, k, i, e, 1, mask)

        self.fn.loop(stop, [], row, start=first)
