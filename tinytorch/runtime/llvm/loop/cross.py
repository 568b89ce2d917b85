"""Elementwise kernels with inputs that lie across the vectors: squares of them are transposed into a copy first."""

from __future__ import annotations

from dataclasses import replace

from tinytorch.ir.types import DType, bool_, u8
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.lanes.transpose import square_transpose
from tinytorch.runtime.llvm.loop.columns import ColumnsWriter
from tinytorch.runtime.llvm.loop.point import Cursor
from tinytorch.runtime.llvm.text.builder import Register
from tinytorch.runtime.llvm.text.types import I64


class CrossWriter(ColumnsWriter):
    """An item is a block of the vector axis by as many indices of the crossing axis as a vector has lanes, so that the
    cache lines of the inputs that lie across serve all of them. Whole squares, a few side by side, are read by
    `square_transpose`; at the edges lanes are read one by one. Folded inputs are always read through the copy."""

    def _item(self, item: Register) -> None:
        cross, vector = self.values.cross, self.values.vector
        assert cross is not None and vector is not None
        fn, lanes, size = self.fn, self.values.lanes, self.values.sizes[cross]
        rows, squares = self.plan.division.items // self.plan.division.blocks, -(-size // lanes)
        row, block = item % rows, item // rows  # the squares of a block, one after the other, share pages and lines
        outer, first = self._cursor(row // squares), row % squares * lanes
        buffers = {o: fn.alloca(lanes * self._pitch(o)) for o in self.values.transposed(cross)}
        folded = {o: buffers[o] for o in self.values.domain.folded}
        places = {o: fn.alloca(lanes * 8) for o in folded}

        def tile(i: Register, e: LaneEmitter, count: int, mask: Register | None) -> None:
            corner = outer.bind(vector, i)
            stop = self._least(first + lanes, size)
            for o, buffer in folded.items():
                self._unfold(o, corner.bind(cross, first), stop - first, i, count, buffer, places[o])

            def squares() -> None:
                self._squares(corner.bind(cross, first), count, buffers)
                self._rows(corner, first, stop, i, self.many, count, None, buffers)

            def edge() -> None:
                self._rows(corner, first, stop, i, e, count, mask, folded)

            if mask is not None or e is not self.many:
                edge()
            elif size % lanes == 0:
                squares()
            else:
                fn.if_(fn.compare("eq", stop - first, fn.const(lanes)), squares, edge)

        self._sweep(self._line(block), tile)

    def _stored(self, o: int) -> DType:
        """How an operand lies in memory."""
        dtype = self.plan.operands[o].dtype
        return u8 if dtype is bool_ else dtype

    def _pitch(self, o: int) -> int:
        """The bytes from row to row of an operand's copy."""
        return self.values.lanes * self.plan.unroll * self._stored(o).size

    def _squares(self, corner: Cursor, count: int, buffers: dict[int, Register]) -> None:
        """Transpose `count` squares of each input that steps evenly into its buffer."""
        vector, fn, lanes = self.values.vector, self.fn, self.values.lanes
        assert vector is not None
        for o in buffers.keys() - self.values.domain.folded.keys():
            stored = self._stored(o)
            transpose = square_transpose(fn.module, self.plan.target, stored, stored, lanes)
            step = self.plan.operands[o].walk[vector] * stored.size
            for u in range(count):
                start = fn.at(corner.pointers[o], u * lanes * step)
                to = fn.at(buffers[o], u * lanes * stored.size)
                fn.call(transpose, [start, fn.const(step), to, fn.const(self._pitch(o))])

    def _unfold(
        self, o: int, corner: Cursor, rows: Register, i: Register, count: int, buffer: Register, places: Register
    ) -> None:
        """Transpose `count` squares of a folded input, of which `rows` rows are there, from column i on into `buffer`;
        what lies past the end of the vector axis repeats the last column. `places` takes where columns lie."""
        cross, vector, fn, lanes = self.values.cross, self.values.vector, self.fn, self.values.lanes
        assert cross is not None and vector is not None
        (_, far), (short, near) = self.values.domain.folded[o]
        stored, start, last = self._stored(o), corner.pointers[o], self.values.sizes[vector] - 1

        def square(u: Register) -> None:
            def note(r: Register) -> None:
                column = self._least(i + u * lanes + r, last)
                place = (column // short * far + column % short * near) * stored.size
                fn.store(place, fn.at(places, r * 8))

            to = fn.at(buffer, u * (lanes * stored.size))

            def whole() -> None:
                transpose = square_transpose(fn.module, self.plan.target, stored, stored, lanes, listed=True)
                fn.call(transpose, [start, places, to, fn.const(self._pitch(o))])

            def one(k: Register, r: Register) -> None:
                column = fn.at(start, fn.load(fn.at(places, r * 8), I64))
                value = self.one.load(fn.at(column, k * stored.size), stored)
                self.one.store(value, fn.at(fn.at(to, k * self._pitch(o)), r * stored.size))

            def partial() -> None:
                fn.loop(rows, [], lambda k: fn.loop(lanes, [], lambda r: one(k, r)))

            fn.loop(lanes, [], note)
            if self.values.sizes[cross] % lanes == 0:
                whole()
            else:
                fn.if_(fn.compare("eq", rows, fn.const(lanes)), whole, partial)

        fn.loop(count, [], square)

    def _rows(
        self,
        corner: Cursor,
        first: Register,
        stop: Register,
        i: Register,
        e: LaneEmitter,
        count: int,
        mask: Register | None,
        buffers: dict[int, Register],
    ) -> None:
        """`count` vectors at each index of the crossing axis from `first` to `stop`."""
        cross = self.values.cross
        assert cross is not None

        def row(k: Register) -> None:
            transposed = {o: self.fn.at(buffer, (k - first) * self._pitch(o)) for o, buffer in buffers.items()}
            item = self._item_point(replace(corner.bind(cross, k), transposed=transposed))
            front = self._front(item, self._borrowed_by_tiles()) if e is self.many else item
            self._tile(item, front, k, i, e, count, mask)

        self.fn.loop(stop, [], row, start=first)
