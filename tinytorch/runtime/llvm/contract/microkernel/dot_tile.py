"""The microkernels of dot products: vectors run along k."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.lanes.emitter import Lane
from tinytorch.runtime.llvm.contract.microkernel.key import Source, TileKey
from tinytorch.runtime.llvm.contract.operands.float_pairs import dot
from tinytorch.runtime.llvm.contract.sums import CHAIN, Totals, sum_chains, sum_walk
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.types import I8


def write_dot(fn: Function, key: TileKey) -> None:
    """All columns, as many at a time as the tile has: neighbours, or, as streams, evenly spread over the width."""
    _, b, to, _, _, _ = fn.params
    wide = key.tile.vectors
    turns, rest = divmod(key.width, wide)
    apart = turns if key.streams else 1

    def columns(first: Register, count: int, apart: int) -> None:
        tile = _DotTile(fn, key, count, apart)
        tile.write(fn.at(b, first * key.b.step), fn.at(to, first * key.compute.size))

    fn.loop(turns, [], lambda turn: columns(turn if key.streams else turn * wide, wide, apart))
    if rest:
        columns(fn.const(turns * wide), rest, 1)


class _DotTile:
    """Inner products: vectors along k of rows of a and columns of b, added up lane by lane, then across lanes. There
    are `columns` columns, `apart` from one another."""

    def __init__(self, fn: Function, key: TileKey, columns: int, apart: int) -> None:
        self.fn = fn
        self.key = key
        self.columns = columns
        self.apart = apart
        self.vectors = LaneEmitter(fn, key.target, key.lanes)
        self.taken = key.lanes * (key.groups.size if key.groups else 1)  # elements of k in a vector

    def write(self, b: Register, to: Register) -> None:
        a, _, _, stride, depth, _ = self.fn.params
        rows, columns, walk = self.key.tile.rows, self.columns, self.key.walk
        zero = self.vectors.value(self.vectors.const(0, self.key.compute))
        zeros = [zero] * (rows * columns)
        sums = self._sums(a, b, depth, zeros)
        for i in range(rows):
            row = self.fn.at(to, walk.to[i] if walk else stride * i)
            for j in range(columns):
                total = self.fn.reduce(sums[i * columns + j], lambda x, y: x + y)
                self.fn.store(total, row, j * self.apart * self.key.compute.size)

    def _sums(self, a: Register, b: Register, depth: Register, zeros: Sequence[Register]) -> Sequence[Register]:
        fn, key, walk = self.fn, self.key, self.key.walk
        if key.sums == "chain":
            return self._walk(walk.loops, a, b, zeros) if walk else self._along(depth, a, b, zeros)
        totals = Totals(fn, zeros[0].type, len(zeros), key.sums)
        if walk:
            return sum_walk(
                fn, walk.loops, a, b, key.lanes, zeros, totals, lambda part, a, b: self._walk(part, a, b, zeros)
            )

        def along(start: Register, count: Register) -> Sequence[Register]:
            return self._along(count, fn.at(a, start * key.a.k_step), fn.at(b, start * key.b.k_step), zeros)

        return sum_chains(fn, depth, CHAIN * key.lanes, zeros, totals, along)

    def _walk(
        self, loops: Sequence[tuple[int, int, int]], a: Register, b: Register, sums: Sequence[Register]
    ) -> list[Register]:
        """The sums after these loops, the innermost of which has the vectors."""
        (count, a_step, b_step), *inner = loops
        if not inner:
            return self._along(self.fn.const(count), a, b, sums)

        def body(_: Register, a: Register, b: Register, *sums: Register) -> Sequence[Register]:
            return [self.fn.at(a, a_step), self.fn.at(b, b_step), *self._walk(inner, a, b, sums)]

        return self.fn.loop(count, [a, b, *sums], body)[2:]

    def _along(self, depth: Register, a: Register, b: Register, sums: Sequence[Register]) -> list[Register]:
        """The sums after `depth` elements of every row and column."""
        lanes, count = self.taken, len(sums)
        unroll = self.key.streams.unroll if self.key.streams else 1

        def steps(i: Register, *sums: Register) -> Sequence[Register]:
            parts = [sums[n * count : (n + 1) * count] for n in range(len(sums) // count)]
            return [x for n, part in enumerate(parts) for x in self._step(a, b, i, part, None, n * lanes)]

        start = self.fn.const(0)
        if unroll > 1:
            start = depth // (lanes * unroll) * (lanes * unroll)
            zeros = [self.fn.zero(sums[0].type)] * (count * (unroll - 1))
            apart = self.fn.loop(start, [*sums, *zeros], steps, step=lanes * unroll)
            sums = [_total(apart[i::count]) for i in range(count)]
        whole = depth // lanes * lanes
        sums = self.fn.loop(whole, sums, steps, start=start, step=lanes)
        rest = depth - whole
        if isinstance(rest.literal, int):
            mask = self.fn.lane_mask(lanes, rest.literal)
            return self._step(a, b, whole, sums, mask) if rest.literal else sums
        mask = self.fn.lane_mask(lanes, rest)
        some = self.fn.compare("ne", rest, self.fn.const(0))
        return self.fn.if_(some, lambda: self._step(a, b, whole, sums, mask), lambda: sums)

    def _step(
        self, a: Register, b: Register, index: Register, sums: Sequence[Register], mask: Register | None, ahead: int = 0
    ) -> list[Register]:
        """Vectors of every row by vectors of every column, `ahead` elements behind `index`: the fewer are held, the
        others stream past them."""
        key, rows, columns = self.key, self.key.tile.rows, self.columns
        starts = key.walk.rows if key.walk else [i * key.a.step for i in range(rows)]

        def row(i: int) -> Lane:
            return self._vector(a, key.a, index, starts[i] + ahead * key.a.k_step, mask)

        def column(j: int) -> Lane:
            return self._vector(b, key.b, index, j * self.apart * key.b.step + ahead * key.b.k_step, mask)

        following = list(sums)
        hold_columns = columns < rows
        held = [column(j) for j in range(columns)] if hold_columns else [row(i) for i in range(rows)]
        for n in range(rows if hold_columns else columns):
            passing = row(n) if hold_columns else column(n)
            for m, other in enumerate(held):
                place = n * columns + m if hold_columns else m * columns + n
                x, y = (passing, other) if hold_columns else (other, passing)
                following[place] = self._add(x, y, following[place])
        return following

    def _add(self, x: Lane, y: Lane, total: Register) -> Register:
        """total + x · y, of vectors of a row and of a column."""
        if self.key.groups:
            return self.key.groups.dot(self.fn, self.key.target, total, self.vectors.value(x), self.vectors.value(y))
        if self.key.pairs == "dot":
            return dot(self.fn, total, self.vectors.value(x), self.vectors.value(y))
        return self.vectors.value(self.vectors.fma(x, y, self.vectors.lane(total, self.key.compute)))

    def _vector(self, pointer: Register, source: Source, index: Register, start: int, mask: Register | None) -> Lane:
        at, groups = self.fn.at(pointer, index * source.k_step), self.key.groups
        if groups:
            loaded = self.fn.load(at, I8.widen(self.taken), start, mask=mask)
            return self.vectors.lane(groups.widened(self.fn, loaded, source.dtype), self.key.compute)
        return self.vectors.load(at, source.dtype, start, mask=mask).cast(self.key.compute)


def _total(parts: Sequence[Register]) -> Register:
    """The sum of registers, in pairs."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return _total(parts[:half]) + _total(parts[half:])
