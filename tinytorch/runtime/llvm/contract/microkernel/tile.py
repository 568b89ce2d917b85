"""The microkernels of matrix products: one tile of sums, held in registers over a block of k.

A microkernel is an internal function `(a, b, to, row stride of to, k, accumulate)`, shared by all products in a
module whose tiles, dtypes and strides agree. It stores the sums; what becomes of them is the epilogue's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinytorch.ir.lanes.emitter import Lane
from tinytorch.runtime.llvm.contract.bytes.groups import GROUP_BYTES
from tinytorch.runtime.llvm.contract.microkernel.dot_tile import write_dot
from tinytorch.runtime.llvm.contract.microkernel.key import Ahead, Source, TileKey, Walk
from tinytorch.runtime.llvm.contract.operands.float_pairs import dot, load_lanes, widened
from tinytorch.runtime.llvm.contract.parts import LINE
from tinytorch.runtime.llvm.contract.sums import CHAIN, Loops, Totals, add_pair, sum_chains, sum_walk
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.types import I32, I64, PTR

__all__ = ["Ahead", "Source", "TileKey", "Walk", "share_of_panel", "tile_function"]

VectorAddress = tuple[Register, int, "Register | None"]  # pointer, byte offset and mask of a vector of sums
_UNROLLED = 48  # multiply-adds of steps of k that are unrolled
_BODY = 64  # multiply-adds in the body of a loop: in longer ones LLVM hoists loads until registers spill


def share_of_panel(step_bytes: int, parts: int) -> Ahead:
    """What each of so many tiles fetches into L2 of a panel that has `step_bytes` for each step of k."""
    share = -(-step_bytes // parts)
    lines = -(-share // LINE)
    return Ahead(lines, LINE, share if lines == 1 else lines * LINE, locality=2)


def tile_function(module: Module, key: TileKey) -> Function:
    """The microkernel for `key`, written on the first request."""

    def build(name: str) -> Function:
        further = [PTR] * ((key.packs > 0) + len(key.ahead))
        fn = module.function(name, [PTR, PTR, PTR, I64, I64, I64, *further], internal=True, noinline=True)
        if key.form == "dot":
            write_dot(fn, key)
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
        a, b, to, stride, depth, accumulate = self.fn.params[:6]
        zero = self.vectors.value(self.vectors.const(0, self.key.compute))
        zeros = [zero] * (self.key.tile.rows * self.key.tile.vectors)
        if self.key.touches:
            self._touch(to, stride)
        walk, summation = self.key.walk, self.key.sums

        def along(start: Register, count: Register) -> Sequence[Register]:
            from_a = self.fn.at(a, start * self.key.a.k_step)
            return self._along(start, count, from_a, self.fn.at(b, start * self.key.b.k_step), zeros)

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
        if not key.groups or not key.groups.moved:
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
        if self.key.pools > 1:
            sums = self._largest(sums)

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

    def _largest(self, sums: Sequence[Register]) -> list[Register]:
        """The largest integers of each run of rows that are pooled."""
        fn, wide, pools = self.fn, self.key.tile.vectors, self.key.pools

        def best(first: int) -> Register:
            found = sums[first]
            for i in range(1, pools):
                found = fn.select(fn.compare("sgt", sums[first + i * wide], found), sums[first + i * wide], found)
            return found

        return [best(first + j) for first in range(0, len(sums), pools * wide) for j in range(wide)]

    def _touch(self, to: Register, stride: Register) -> None:
        """Fetch the lines that the sums are stored to, which may begin within one."""
        row_bytes = self.key.width * self.key.compute.size
        for i in range(self.key.tile.rows):
            row = self.fn.at(to, stride * i)
            for offset in (*range(0, row_bytes, LINE), row_bytes - 1):
                self.fn.prefetch(row, offset, write=True)

    def _along(
        self, start: Register, depth: Register, a: Register, b: Register, sums: Sequence[Register]
    ) -> list[Register]:
        """The sums after `depth` steps of k from `start` on, some of them unrolled where a step is short."""
        fn, key = self.fn, self.key
        unroll = max(1, min(4, _UNROLLED // (key.tile.rows * key.tile.vectors)))
        if key.groups and key.groups.form != "quad":
            unroll = 2  # four lose up to two fifths of the rate with AVX2
        packed = [fn.at(fn.params[6], start * self._pitch)] if key.packs else []

        def steps(count: int) -> Callable[..., Sequence[Register]]:
            def body(at: Register, a: Register, b: Register, *carried: Register) -> Sequence[Register]:
                to, following = carried[: len(packed)], carried[len(packed) :]
                self._fetch(start + at, count)
                if key.groups and key.groups.form == "eight" and count == 2:
                    following = self._two_steps(a, b, following)
                    return [fn.at(a, count * key.a.k_step), fn.at(b, count * key.b.k_step), *following]
                for i in range(count):
                    at_b = fn.at(b, i * key.b.k_step)
                    self._pack(at_b, *[fn.at(p, i * self._pitch) for p in to])
                    following = self._step(fn.at(a, i * key.a.k_step), at_b, following)
                to = [fn.at(p, count * self._pitch) for p in to]
                return [fn.at(a, count * key.a.k_step), fn.at(b, count * key.b.k_step), *to, *following]

            return body

        carried = [a, b, *packed, *sums]
        whole = depth // unroll * unroll
        if unroll > 1:
            carried = fn.loop(whole, carried, steps(unroll), step=unroll)
        return fn.loop(depth, carried, steps(1), start=whole if unroll > 1 else 0)[2 + len(packed) :]

    @property
    def _pitch(self) -> int:
        """From step to step of a packed panel, in bytes."""
        return self.key.tile.vectors * self.key.lanes * self.key.compute.size

    def _fetch(self, at: Register, count: int) -> None:
        """What the next microkernels read, as far as it belongs to `count` steps of k."""
        aheads = self.key.ahead
        for ahead, pointer in zip(aheads, self.fn.params[-len(aheads) :], strict=False):
            for step in range(0, count, max(1, LINE // abs(ahead.step or LINE))):
                for row in range(ahead.rows):
                    offset = (at + step) * ahead.step + row * ahead.apart
                    self.fn.prefetch(pointer, offset, locality=ahead.locality)

    def _pack(self, b: Register, *to: Register) -> None:
        """Store the vectors of one step of k where a panel is packed; absent columns are 0."""
        for at in to:
            for j in range(self.key.tile.vectors):
                self.fn.prefetch(b, j * self.key.lanes * self.key.b.step + self.key.packs * self.key.b.k_step)
                value = self.vectors.value(self._b_vector(b, j))
                self.fn.store(value, at, j * self.key.lanes * self.key.compute.size)

    def _walk(
        self, loops: Sequence[tuple[int, int, int]], a: Register, b: Register, sums: Sequence[Register]
    ) -> list[Register]:
        """The sums after these loops; the innermost one is unrolled as far as the decoder likes it."""
        if not loops:
            return self._step(a, b, sums)
        (count, a_step, b_step), *inner = loops
        dot = self.key.dot
        if dot and dot.form == "sixteen" and not inner:
            return self._walk_chains(dot.chain, *loops[0], a, b, sums)
        work = self.key.tile.rows * self.key.tile.vectors
        unrolls = [1] if inner else [u for u in range(2, count + 1) if count % u == 0 and u * work <= _BODY]
        if dot and not dot.in_place:  # LLVM would add products first, which takes registers that there are not
            unrolls = [1]
        unroll = max(unrolls, default=1)

        def body(_: Register, a: Register, b: Register, *sums: Register) -> Sequence[Register]:
            following: Sequence[Register] = sums
            for i in range(unroll):
                following = self._walk(inner, self.fn.at(a, i * a_step), self.fn.at(b, i * b_step), following)
            return [self.fn.at(a, unroll * a_step), self.fn.at(b, unroll * b_step), *following]

        return self.fn.loop(count, [a, b, *sums], body, step=unroll)[2:]

    def _walk_chains(
        self, chain: int, count: int, a_step: int, b_step: int, a: Register, b: Register, sums: Sequence[Register]
    ) -> list[Register]:
        """The sums after `count` steps, the products of `chain` of which are added up before."""
        fn = self.fn

        def steps(size: int, a: Register, b: Register, sums: Sequence[Register]) -> list[Register]:
            places = [(fn.at(a, i * a_step), fn.at(b, i * b_step)) for i in range(size)]
            return [fn.at(a, size * a_step), fn.at(b, size * b_step), *self._chain(places, sums)]

        whole = count // chain * chain
        a, b, *sums = fn.loop(whole, [a, b, *sums], lambda _, a, b, *s: steps(chain, a, b, s), step=chain)
        return steps(count - whole, a, b, sums)[2:] if count - whole else list(sums)

    def _chain(self, places: Sequence[tuple[Register, Register]], sums: Sequence[Register]) -> list[Register]:
        """Several k, whose places in a and b these are, at once."""
        key, fn, vectors = self.key, self.fn, self.vectors
        assert key.dot is not None, "bytes have chains"
        held = [[vectors.value(self._b_vector(b, j)) for j in range(key.tile.vectors)] for _, b in places]
        following: list[Register] = []
        for i in range(key.tile.rows):
            xs = [vectors.value(self._a_element(a, i)) for a, _ in places]
            for j in range(key.tile.vectors):
                groups = [(x, y[j]) for x, y in zip(xs, held, strict=True)]
                following.append(key.dot.add(fn, sums[i * key.tile.vectors + j], groups))
        return following

    def _addresses(self, to: Register, stride: Register) -> list[VectorAddress]:
        step, walk = self.key.lanes * self.key.compute.size, self.key.walk
        places = range(self.key.tile.rows // self.key.pools)
        rows = [self.fn.at(to, walk.to[i] if walk else stride * i) for i in places]
        offsets = [j * step for j in range(len(self.masks))]
        if self.key.panels and self.key.panel_sums:
            vectors = self.key.panels[0]
            offsets = [j // vectors * self.key.panel_sums + j % vectors * step for j in range(len(self.masks))]
        return [(row, offset, mask) for row in rows for offset, mask in zip(offsets, self.masks, strict=True)]

    def _step(self, a: Register, b: Register, sums: Sequence[Register]) -> list[Register]:
        """One k: the side with fewer registers is held, the other streams past it."""
        rows, width = self.key.tile.rows, self.key.tile.vectors
        following = list(sums)
        if self.key.pairs == "widen":
            return self._widening_step(a, b, following)
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

    def _two_steps(self, a: Register, b: Register, sums: Sequence[Register]) -> list[Register]:
        """Two groups of k, whose products are added up in 16 bits, a vector of columns at a time."""
        key, groups, rows, width = self.key, self.key.groups, self.key.tile.rows, self.key.tile.vectors
        assert groups is not None
        following = list(sums)
        for j in range(width):
            first, second = (self.vectors.value(self._b_vector(self.fn.at(b, i * key.b.k_step), j)) for i in (0, 1))
            for i in range(rows):
                x, y = (self.vectors.value(self._a_element(self.fn.at(a, n * key.a.k_step), i)) for n in (0, 1))
                at = i * width + j
                following[at] = groups.dot_two(self.fn, following[at], (x, y), (first, second))
        return following

    def _widening_step(self, a: Register, b: Register, following: list[Register]) -> list[Register]:
        """Two of k: each vector of pairs is loaded once."""
        rows, width = self.key.tile.rows, self.key.tile.vectors
        second = self.fn.at(a, self.key.a.k_step // 2)
        held = [[self._a_element(at, i) for i in range(rows)] for at in (a, second)]
        for j in range(width):
            for y, elements in zip(widened(self.fn, self.vectors.value(self._b_vector(b, j))), held, strict=True):
                for i, x in enumerate(elements):
                    at = i * width + j
                    following[at] = self._add(x, self.vectors.lane(y, self.key.compute), following[at])
        return following

    def _add(self, x: Lane, y: Lane, total: Register) -> Register:
        if self.key.dot:
            return self.key.dot.add(self.fn, total, [(self.vectors.value(x), self.vectors.value(y))])
        if self.key.groups:
            pair = self.vectors.value(x), self.vectors.value(y)
            return self.key.groups.dot(self.fn, self.key.target, total, *pair)
        if self.key.pairs == "dot":
            return dot(self.fn, total, self.vectors.value(x), self.vectors.value(y))
        return self.vectors.value(self.vectors.fma(x, y, self.vectors.lane(total, self.key.compute)))

    def _a_element(self, a: Register, row: int) -> Lane:
        source = self.key.a
        element = self._load(self.scalars, a, source, 1, self._row(row)).cast(self.key.compute)
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
        if self.key.panels:
            vectors, apart = self.key.panels
            offset = column // vectors * apart + column % vectors * self.key.lanes * source.step
        if self.key.groups:  # absent columns are there, as zeros
            loaded = self.key.groups.load_b(self.fn, b, offset, self.key.lanes)
            return self.vectors.lane(loaded, self.key.compute)
        return self._load(self.vectors, b, source, stride, offset, self.masks[column]).cast(self.key.compute)

    def _load(
        self, emitter: LaneEmitter, at: Register, source: Source, stride: int, offset: int, mask: Register | None = None
    ) -> Lane:
        """Elements of an operand, or pairs of them."""
        return load_lanes(emitter, at, source.dtype, stride, offset, source.k_step, self.key.pairs == "dot", mask)
