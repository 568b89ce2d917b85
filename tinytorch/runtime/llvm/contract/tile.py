"""The microkernels of matrix products: one tile of sums, held in registers over a block of k.

A microkernel is an internal function `(a, b, to, row stride of to, k, accumulate)`, shared by all products in a
module whose tiles, dtypes and strides agree. It stores the sums; what becomes of them is the epilogue's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinytorch.ir.emitter import Lane
from tinytorch.ir.ops.contract import accumulator
from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.groups import GROUP_BYTES, Groups
from tinytorch.runtime.llvm.contract.plan import Streams, Tile
from tinytorch.runtime.llvm.contract.sums import (
    CHAIN,
    Loops,
    Summation,
    Totals,
    add_pair,
    steps_of,
    sum_chains,
    sum_walk,
    summation_of,
)
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I32, I64, PTR

VectorAddress = tuple[Register, int, "Register | None"]  # pointer, byte offset and mask of a vector of sums
_BODY = 64  # multiply-adds in the body of a loop: in longer ones LLVM hoists loads until registers spill


@dataclass(frozen=True)
class Source:
    """Where a microkernel finds an operand: dtype, and byte steps along the result's axis and along k."""

    dtype: DType
    step: int
    k_step: int


@dataclass(frozen=True)
class Walk:
    """A fixed way through operands that no single step describes, in bytes: where each row of the tile begins in a
    and in the sums, and the loops over k, outermost first, as (count, step in a, step in b)."""

    rows: tuple[int, ...]
    to: tuple[int, ...]
    loops: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class TileKey:
    """All that a microkernel depends on. `width` counts the columns that exist, `accumulates` whether it may add
    to what `to` holds: it does where its last argument is not 0. What that rounds off, the compensation, is stored
    `compensation_at` bytes after `to`, if not 0. With a `walk`, the stride and k are not read, and `summation` follows
    from it."""

    form: str
    tile: Tile
    width: int
    lanes: int
    a: Source
    b: Source
    accumulates: bool
    target: Target
    walk: Walk | None = None
    summation: Summation = "chain"
    compensation_at: int = 0
    groups: Groups | None = None  # what a step of k takes, where it is not an element
    streams: Streams | None = None  # of dot products; without, columns side by side are read together

    @property
    def sums(self) -> Summation:
        """How the products of an element are added up."""
        if self.walk is None:
            return self.summation
        return summation_of(steps_of(self.walk.loops, self.lanes if self.form == "dot" else 1), self.compute)

    @property
    def compute(self) -> DType:
        return accumulator(self.a.dtype)


def tile_function(module: Module, key: TileKey) -> Function:
    """The microkernel for `key`, written on the first request."""

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, PTR, I64, I64, I64], internal=True, noinline=True)
        if key.form == "dot":
            _write_dot(fn, key)
        else:
            _OuterTile(fn, key).write()
        fn.ret()
        return fn

    return module.shared(key, build)


class _OuterTile:
    """Rank-1 updates: for each k, one element of each row of a times vectors of b's row. In the form `lanes`, rows of
    a have an element for each column, and column meets column."""

    def __init__(self, fn: Function, key: TileKey) -> None:
        self.fn = fn
        self.key = key
        self.vectors = LaneEmitter(fn, key.target, key.lanes)
        self.scalars = LaneEmitter(fn, key.target, 1)
        counts = [min(key.lanes, key.width - j * key.lanes) for j in range(key.tile.vectors)]
        self.masks = [fn.lane_mask(key.lanes, count) for count in counts]

    def write(self) -> None:
        a, b, to, stride, depth, accumulate = self.fn.params
        zero = self.vectors.value(self.vectors.const(0, self.key.compute))
        zeros = [zero] * (self.key.tile.rows * self.key.tile.vectors)
        walk, summation = self.key.walk, self.key.sums

        def along(start: Register, count: Register) -> Sequence[Register]:
            from_a = self.fn.at(a, start * self.key.a.k_step)
            return self._along(count, from_a, self.fn.at(b, start * self.key.b.k_step), zeros)

        if summation == "chain":
            zeros = self._begin(a, accumulate, zeros)
            sums = self._walk(walk.loops, a, b, zeros) if walk else along(self.fn.const(0), depth)
        else:
            totals = Totals(self.fn, zero.type, len(zeros), summation)
            if walk:

                def part(loops: Loops, a: Register, b: Register) -> Sequence[Register]:
                    return self._walk(loops, a, b, zeros)

                sums = sum_walk(self.fn, walk.loops, a, b, 1, zeros, totals, part)
            else:
                sums = sum_chains(self.fn, depth, CHAIN, zeros, totals, along)
        self._store(sums, self._addresses(to, stride), accumulate)

    def _begin(self, a: Register, accumulate: Register, zeros: list[Register]) -> list[Register]:
        """What sums begin with: behind packed rows of moved groups, once for all of k."""
        fn, key = self.fn, self.key
        if not key.groups or not key.groups.moves:
            return zeros

        def load() -> list[Register]:
            behind = key.a.step - GROUP_BYTES
            rows = [fn.load(a, I32, behind + i * key.a.step) for i in range(key.tile.rows)]
            return [fn.splat(row, key.lanes) for row in rows for _ in range(key.tile.vectors)]

        return fn.if_(fn.compare("eq", accumulate, fn.const(0)), load, lambda: zeros)

    def _store(self, sums: Sequence[Register], addresses: Sequence[VectorAddress], accumulate: Register) -> None:
        """The sums, added to what is there where `accumulate` says so."""
        fn, compensation_at = self.fn, self.key.compensation_at
        type = sums[0].type

        def add() -> list[Register]:
            held = [fn.load(p, type, offset, mask=mask) for p, offset, mask in addresses]
            if not compensation_at:
                return [total + term for total, term in zip(held, sums, strict=True)]
            compensations = [fn.load(p, type, offset + compensation_at, mask=mask) for p, offset, mask in addresses]
            pairs = [add_pair(*three) for three in zip(held, compensations, sums, strict=True)]
            return [total for total, _ in pairs] + [compensation for _, compensation in pairs]

        def first() -> list[Register]:
            return [*sums, *([fn.zero(type)] * len(sums) if compensation_at else [])]

        if self.key.accumulates:
            sums = fn.if_(fn.compare("ne", accumulate, fn.const(0)), add, first)
        for i, value in enumerate(sums):
            pointer, offset, mask = addresses[i % len(addresses)]
            fn.store(value, pointer, offset + i // len(addresses) * compensation_at, mask=mask)

    def _along(self, depth: Register, a: Register, b: Register, sums: Sequence[Register]) -> list[Register]:
        """The sums after `depth` steps of k."""

        def step(_: Register, a: Register, b: Register, *sums: Register) -> Sequence[Register]:
            following = self._step(a, b, sums)
            return [self.fn.at(a, self.key.a.k_step), self.fn.at(b, self.key.b.k_step), *following]

        return self.fn.loop(depth, [a, b, *sums], step)[2:]

    def _walk(
        self, loops: Sequence[tuple[int, int, int]], a: Register, b: Register, sums: Sequence[Register]
    ) -> list[Register]:
        """The sums after these loops; the innermost one is unrolled as far as the decoder likes it."""
        if not loops:
            return self._step(a, b, sums)
        (count, a_step, b_step), *inner = loops
        work = self.key.tile.rows * self.key.tile.vectors
        unrolls = [1] if inner else [u for u in range(2, count + 1) if count % u == 0 and u * work <= _BODY]
        unroll = max(unrolls, default=1)

        def body(_: Register, a: Register, b: Register, *sums: Register) -> Sequence[Register]:
            following: Sequence[Register] = sums
            for i in range(unroll):
                following = self._walk(inner, self.fn.at(a, i * a_step), self.fn.at(b, i * b_step), following)
            return [self.fn.at(a, unroll * a_step), self.fn.at(b, unroll * b_step), *following]

        return self.fn.loop(count, [a, b, *sums], body, step=unroll)[2:]

    def _addresses(self, to: Register, stride: Register) -> list[VectorAddress]:
        step, walk = self.key.lanes * self.key.compute.size, self.key.walk
        rows = [self.fn.at(to, walk.to[i] if walk else stride * i) for i in range(self.key.tile.rows)]
        return [(row, j * step, mask) for row in rows for j, mask in enumerate(self.masks)]

    def _step(self, a: Register, b: Register, sums: Sequence[Register]) -> list[Register]:
        """One k: the side with fewer registers is held, the other streams past it."""
        rows, width = self.key.tile.rows, self.key.tile.vectors
        following = list(sums)
        if self.key.form == "lanes":
            for j in range(width):
                y = self._b_vector(b, j)
                for i in range(rows):
                    following[i * width + j] = self._add(self._a_vector(a, i, j), y, following[i * width + j])
        elif width <= rows:
            held = [self._b_vector(b, j) for j in range(width)]
            for i in range(rows):
                x = self._a_element(a, i)
                for j in range(width):
                    following[i * width + j] = self._add(x, held[j], following[i * width + j])
        else:
            held = [self._a_element(a, i) for i in range(rows)]
            for j in range(width):
                y = self._b_vector(b, j)
                for i in range(rows):
                    following[i * width + j] = self._add(held[i], y, following[i * width + j])
        return following

    def _add(self, x: Lane, y: Lane, total: Register) -> Register:
        if self.key.groups:
            return self.key.groups.dot(self.fn, total, self.vectors.value(x), self.vectors.value(y))
        return self.vectors.value(self.vectors.fma(x, y, self.vectors.lane(total, self.key.compute)))

    def _a_element(self, a: Register, row: int) -> Lane:
        source = self.key.a
        element = self.scalars.load(a, source.dtype, self._row(row)).cast(self.key.compute)
        return self.vectors.lane(self.scalars.value(element), self.key.compute)

    def _a_vector(self, a: Register, row: int, column: int) -> Lane:
        source = self.key.a
        offset = self._row(row) + column * self.key.lanes * source.dtype.size
        return self.vectors.load(a, source.dtype, offset, mask=self.masks[column]).cast(self.key.compute)

    def _row(self, row: int) -> int:
        """Where a row of the tile begins in a."""
        return self.key.walk.rows[row] if self.key.walk else row * self.key.a.step

    def _b_vector(self, b: Register, column: int) -> Lane:
        source = self.key.b
        stride = source.step // source.dtype.size
        offset = column * self.key.lanes * source.step
        loaded = self.vectors.load_strided(b, source.dtype, stride, offset, mask=self.masks[column])
        return loaded.cast(self.key.compute)


def _write_dot(fn: Function, key: TileKey) -> None:
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
        lanes, count = self.key.lanes, len(sums)
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
                total = self.vectors.lane(following[place], key.compute)
                following[place] = self.vectors.value(self.vectors.fma(passing, other, total))
        return following

    def _vector(self, pointer: Register, source: Source, index: Register, start: int, mask: Register | None) -> Lane:
        at = self.fn.at(pointer, index * source.k_step)
        return self.vectors.load(at, source.dtype, start, mask=mask).cast(self.key.compute)


def _total(parts: Sequence[Register]) -> Register:
    """The sum of registers, in pairs."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return _total(parts[:half]) + _total(parts[half:])
