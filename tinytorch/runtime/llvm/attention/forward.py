"""Attention itself.

An item is a block of queries of one head. It goes through the keys in blocks: for a few queries at a time, scores with
the keys of the block, then weights relative to the largest score so far, then the weighted sum of values added to
what was there, scaled down where the largest score has grown (Milakov & Gimelshein 2018). Keys that none of the few
queries sees are left out, unless values are infinite or NaN: 0 times those is NaN.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinytorch.ir import lanemath
from tinytorch.ir.lanes.emitter import Lane
from tinytorch.runtime.llvm.attention.dropout import Dropout, each_row, numbers_bytes
from tinytorch.runtime.llvm.attention.heads import Heads, Matrix, Products, Scratch, at_entry, between
from tinytorch.runtime.llvm.attention.scores import Row, Scores
from tinytorch.runtime.llvm.contract.parts import least
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.types import I1, I16, I64, PTR, memory_type

_KEYS = 256  # of a block
_QUERIES = 512  # of an item at most
_ITEMS = 16  # wanted
_CHUNK_FLOPS = 1 << 20
_FEW = 8  # queries that do not repay copies of keys and values


class Forward:
    """Writes `void name(ptr frame, i64 chunk)`; the frame is the operands, the results and scratch."""

    def __init__(self, module: Module, fn: Function, heads: Heads, out: Buffer | None, norms: Buffer | None) -> None:
        self.module, self.fn, self.heads, self.out, self.norms = module, fn, heads, out, norms
        step = heads.rows
        blocks = max(1, -(-_ITEMS // max(1, heads.batch * heads.count)), -(-heads.queries // _QUERIES))
        self.block = -(-heads.queries // blocks // step) * step
        self.blocks = -(-heads.queries // self.block) if self.block else 0
        self.items = heads.batch * heads.count * self.blocks
        flops = 4 * self.block * heads.keys * (heads.width + heads.depth)
        self.items_per_chunk = max(1, _CHUNK_FLOPS // max(1, flops))
        self.key_block = min(_KEYS, -(-max(1, heads.keys) // heads.panel) * heads.panel)
        # A few queries, as in decoding, read keys and values where they lie.
        inner = heads.k.strides[-1] == heads.v.strides[-1] == 1 and heads.q.dtype is heads.compute
        self.direct = 0 < heads.queries <= _FEW and inner and heads.depth % heads.lanes == 0
        self._lay_out()

    @property
    def chunks(self) -> int:
        return -(-self.items // self.items_per_chunk)

    def _lay_out(self) -> None:
        heads, scratch = self.heads, Scratch()
        self.pitch = self.key_block * heads.size
        self.q_at = scratch.area(self.block * heads.pitch(heads.width))
        self.k_at = scratch.area(0 if self.direct else self.pitch * heads.width)
        self.v_at = scratch.area(0 if self.direct else self.key_block * heads.pitch(heads.depth))
        self.s_at = scratch.area(heads.rows * self.pitch)
        self.o_at = scratch.area(self.block * heads.pitch(heads.depth))
        self.m_at = scratch.area(self.block * heads.size)
        self.l_at = scratch.area(self.block * heads.size)
        self.new_at = scratch.area(heads.rows * heads.size)  # a tile's largest scores, then what scales its sums
        self.numbers_at = scratch.area(numbers_bytes(heads, self.key_block))
        self.scratch_bytes = scratch.bytes

    def write(self) -> None:
        fn, heads = self.fn, self.heads
        frame, chunk = fn.params
        count = 3 + len(heads.extras)
        pointers = [
            fn.load(frame, PTR, 8 * i) for i in range(count + (self.out is not None) + (self.norms is not None) + 1)
        ]
        self.q, self.k, self.v = pointers[:3]
        self.extras = dict(zip(heads.extras, pointers[3:], strict=False))
        ends = pointers[count:]
        self.scratch = ends.pop()
        self.ends = ends
        self.scores = Scores(fn, heads)
        self.dropout = None
        if "state" in self.extras:
            at = fn.at(self.scratch, self.numbers_at)
            self.dropout = Dropout(self.module, fn, heads, self.extras["state"], at, self.key_block)
        self.products = Products(self.module, fn, heads)
        first = chunk * self.items_per_chunk
        fn.loop(least(first + self.items_per_chunk, self.items), [], self._item, start=first)

    def _item(self, number: Register) -> None:
        """Blocks of late queries, which see most keys, come first."""
        fn, heads = self.fn, self.heads
        start = (self.blocks - 1 - number % self.blocks) * self.block
        head, batch = number // self.blocks % heads.count, number // (self.blocks * heads.count)
        rows = least(heads.queries - start, self.block)
        group = head // heads.shared
        position = fn.const(0)
        keys = fn.const(heads.keys)
        if "positions" in self.extras:
            at = at_entry(fn, self.extras["positions"], heads.extras["positions"], batch)
            position = fn.load(at, I64)
            keys = between(fn, position + heads.queries, keys)
        v = at_entry(fn, self.v, heads.v, batch, group)
        item = self._reach(_Item(batch, head, start, rows, position, keys, keys, fn.const(0, I1)), v)
        k = at_entry(fn, self.k, heads.k, batch, group)
        q = at_entry(fn, self.q, heads.q, batch, head, start)
        self.products.pack_rows(q, heads.q, fn.at(self.scratch, self.q_at), rows)
        self._clear(rows)
        fn.loop(item.last, [], lambda first: self._key_block(item, first, k, v), step=self.key_block)
        fn.loop(rows, [], lambda i: self._finish(item, i))

    def _reach(self, item: _Item, v: Register) -> _Item:
        """Up to which key the item goes, and whether those that are not seen are left out."""
        fn, how = self.fn, self.heads.how
        if not self.scores.hides:
            return item
        first, last = fn.const(0), item.keys
        if how.causal:
            first = between(fn, item.position + item.start + 1, item.keys)
            last = between(fn, item.position + item.start + item.rows, item.keys)
        first = fn.const(0) if self.scores.masks else first
        finite = self.scores.is_finite(v, self.heads.v, first, item.keys)
        return replace(item, last=fn.select(finite, last, item.keys), skips=finite)

    def _clear(self, rows: Register) -> None:
        fn, heads = self.fn, self.heads
        fn.fill(fn.at(self.scratch, self.o_at), 0, rows * heads.pitch(heads.depth))
        fn.fill(fn.at(self.scratch, self.l_at), 0, rows * heads.size)
        lowest = fn.const(-math.inf, memory_type(heads.compute, 1))
        fn.loop(rows, [], lambda i: fn.store(lowest, fn.at(self.scratch, self.m_at), i * heads.size))

    def _key_block(self, item: _Item, first: Register, k: Register, v: Register) -> None:
        fn, heads, products = self.fn, self.heads, self.products
        count = least(item.last - first, self.key_block)
        k, v = fn.at(k, first * heads.k.row_bytes), fn.at(v, first * heads.v.row_bytes)
        keys = Matrix(k, heads.k.row_bytes, heads.size)
        values = Matrix(v, heads.v.row_bytes, heads.size)
        if not self.direct:
            keys = Matrix(fn.at(self.scratch, self.k_at), 0, 0)
            values = Matrix(fn.at(self.scratch, self.v_at), heads.pitch(heads.depth), heads.size)
            products.pack_panels(k, heads.k, keys.at, first, count)
            products.pack_rows(v, heads.v, values.at, count)
        block = _Block(first, count, keys, values)
        fn.loop(item.rows, [], lambda i: self._tile(item, block, i), step=heads.rows)

    def _tile(self, item: _Item, block: _Block, i: Register) -> None:
        """A few queries, from number i of the item on, and the block's keys."""
        fn, heads = self.fn, self.heads
        rows = least(item.rows - i, heads.rows)
        count = block.count
        if self.scores.hides:
            query, seen = item.start + i, count
            if heads.how.causal:
                seen = between(fn, item.position + query + rows - block.first, count)
            if self.scores.masks:
                mask = at_entry(
                    fn, self.extras["mask"], heads.extras["mask"], item.batch, item.head, query, block.first
                )
                seen = self.scores.reach(mask, rows, seen)
            count = fn.select(item.skips, seen, count)
        s = Matrix(fn.at(self.scratch, self.s_at), self.pitch, heads.size)
        q_row = heads.pitch(heads.width)
        q = Matrix(fn.at(fn.at(self.scratch, self.q_at), i * q_row), q_row, heads.size)
        if self.direct:
            self.products.dots(q, block.keys, s, heads.queries, count)
        else:
            self.products.scores(q, block.keys.at, heads.width, s, rows, block.first, count, heads.queries)
        # All rows' largest scores first: what is computed of one need not wait for that of the row before.
        row = functools.partial(self._row, item, block, count)
        fn.loop(rows, [], lambda r: self._largest(row(i + r, fn.at(s.at, r * s.row)), r))
        fn.loop(rows, [], lambda r: self._renew(i + r, r, rows), step=heads.lanes)

        def weights(r: Register, numbers: Register | None) -> None:
            self._weights(row(i + r, fn.at(s.at, r * s.row)), i + r, r, numbers)

        number = self.scores.number(item.batch, item.head, item.start + i) + block.first
        each_row(fn, self.dropout, rows, number, count, weights)
        o_row = heads.pitch(heads.depth)
        o = Matrix(fn.at(fn.at(self.scratch, self.o_at), i * o_row), o_row, heads.size)
        some = fn.compare("sgt", count, fn.const(0))
        fn.if_(some, lambda: self.products.add(s, block.values, o, rows, heads.depth, count, heads.queries))

    def _row(self, item: _Item, block: _Block, count: Register, i: Register, at: Register) -> Row:
        mask, query = self.extras.get("mask"), item.start + i
        return self.scores.row(mask, item.batch, item.head, query, item.position, block.first, count, at)

    def _largest(self, row: Row, r: Register) -> None:
        """The largest of the scores of row r of the tile."""
        fn, heads, scores = self.fn, self.heads, self.scores
        e = scores.e

        def largest(j: Register, tail: bool, top: Register) -> Sequence[Register]:
            if scores.plain:
                t = scores.load(row.at, j * heads.size)
                t = e.select(scores.below(j, row.seen), t, scores.const(-math.inf)) if tail else t
            else:
                t = scores.score(row, j, tail)
                scores.store(t, row.at, j * heads.size)
            x = e.value(t)
            return [fn.select(fn.compare("ogt", x, top), x, top)]

        lowest = e.value(scores.const(-math.inf))
        top = fn.reduce(scores.sweep(row, [lowest], largest)[0], lambda a, b: fn.select(fn.compare("ogt", a, b), a, b))
        fn.store(top, fn.at(self.scratch, self.new_at), r * heads.size)

    def _renew(self, i: Register, r: Register, rows: Register) -> None:
        """The largest scores so far of a vector of rows, and what their sums before are scaled by to be relative to
        them."""
        fn, heads, scores = self.fn, self.heads, self.scores
        e, there = scores.e, fn.lane_mask(heads.lanes, rows - r)
        tops, totals, new = (fn.at(self.scratch, at) for at in (self.m_at, self.l_at, self.new_at))
        top, before = scores.load(new, r * heads.size), scores.load(tops, i * heads.size)
        if scores.plain:
            top = top * scores.const(heads.how.scale)
        now = e.select(top > before, top, before)
        factor = lanemath.exp(e, before - self._shift(now))
        scores.store(factor, new, r * heads.size)
        e.store(now, tops, i * heads.size, mask=there)
        e.store(scores.load(totals, i * heads.size) * factor, totals, i * heads.size, mask=there)

    def _shift(self, top: Lane) -> Lane:
        """What weights are relative to: the largest score, unless there is none."""
        scores = self.scores
        return scores.e.select(top.eq(-math.inf), scores.const(0), top)

    def _weights(self, row: Row, i: Register, r: Register, numbers: Register | None) -> None:
        """Scores of row i, which is row r of the tile, become weights relative to the largest so far, as dropout leaves
        them before it scales; the sums before are scaled down."""
        fn, heads, scores, dropout = self.fn, self.heads, self.scores, self.dropout
        e, kind = scores.e, memory_type(heads.compute, 1)
        self._scale(i, scores.splat(fn.load(fn.at(self.scratch, self.new_at), kind, r * heads.size)))
        scale = scores.const(heads.how.scale)
        shift = self._shift(scores.splat(fn.load(fn.at(self.scratch, self.m_at), kind, i * heads.size)))

        def weight(j: Register, tail: bool, total: Register) -> Sequence[Register]:
            t = scores.load(row.at, j * heads.size)
            x = made = scores.exp(e.fma(t, scale, -shift) if scores.plain else t - shift)
            if tail and scores.plain:
                x = made = e.select(scores.below(j, row.seen), x, scores.const(0))
            if dropout is not None and numbers is not None:
                made = e.select(dropout.keeps(dropout.numbers(numbers, j)), x, scores.const(0))
            scores.store(made, row.at, j * heads.size)
            return [total + e.value(x)]

        total = fn.reduce(scores.sweep(row, [e.value(scores.const(0))], weight)[0], lambda a, b: a + b)
        totals = fn.at(self.scratch, self.l_at)
        fn.store(fn.load(totals, kind, i * heads.size) + total, totals, i * heads.size)

    def _scale(self, i: Register, factor: Lane) -> None:
        fn, heads, scores = self.fn, self.heads, self.scores
        o = fn.at(fn.at(self.scratch, self.o_at), i * heads.pitch(heads.depth))
        for j in range(0, heads.pitch(heads.depth), heads.lanes * heads.size):
            scores.store(scores.load(o, fn.const(j)) * factor, o, fn.const(j))

    def _by(self, item: _Item, i: Register, inverse: Register) -> Register:
        """What a row is multiplied by: weights of NaN that dropout has all dropped are 0 nevertheless."""
        fn, heads, dropout = self.fn, self.heads, self.dropout
        if dropout is None:
            return inverse
        p = heads.how.p
        scaled = inverse * (1 / (1 - p) if p < 1 else 1.0)
        nothing = fn.const(1.0, inverse.type)
        unknown = fn.compare("uno", inverse, inverse)
        return fn.if_(
            unknown, lambda: [fn.select(self._keeps_some(dropout, item, i), scaled, nothing)], lambda: [scaled]
        )[0]

    def _keeps_some(self, dropout: Dropout, item: _Item, i: Register) -> Register:
        """Whether dropout keeps a weight of row i."""
        fn, heads = self.fn, self.heads
        lanes, lowest = heads.lanes, fn.const(-(2**15), I16.widen(heads.lanes))
        number = self.scores.number(item.batch, item.head, item.start + i)

        def block(first: Register, *largest: Register) -> Sequence[Register]:
            count = least(heads.keys - first, self.key_block)
            dropout.draw(number + first, count)
            drawn = dropout.drawn(number + first, 0)

            def one(j: Register, so_far: Register) -> Sequence[Register]:
                there, x = fn.lane_mask(lanes, count - j), dropout.numbers(drawn, j)
                x = x if there is None else fn.select(there, x, lowest)
                return [fn.select(fn.compare("sgt", x, so_far), x, so_far)]

            return fn.loop(count, largest, one, step=lanes)

        largest = fn.loop(fn.const(heads.keys), [lowest], block, step=self.key_block)[0]
        most = fn.reduce(largest, lambda a, b: fn.select(fn.compare("sgt", a, b), a, b))
        return fn.compare("sge", most, fn.const(dropout.least, most.type))

    def _finish(self, item: _Item, i: Register) -> None:
        """Divide by the sum of weights, and write the row."""
        fn, heads, scores = self.fn, self.heads, self.scores
        kind = memory_type(heads.compute, 1)
        total = fn.load(fn.at(self.scratch, self.l_at), kind, i * heads.size)
        empty = fn.compare("oeq", total, fn.const(0.0, kind))
        nothing = fn.const(math.inf if heads.how.zeros or not heads.keys else math.nan, kind)
        total = fn.select(empty, nothing, total)
        inverse = fn.binary("fdiv", fn.const(1.0, kind), total)
        by = scores.splat(self._by(item, i, inverse))
        ends = list(self.ends)
        if self.out is not None:
            x = self.out
            to = at_entry(fn, ends.pop(0), x, item.batch, item.head, item.start + i)
            o = fn.at(fn.at(self.scratch, self.o_at), i * heads.pitch(heads.depth))
            for j in range(0, heads.depth, heads.lanes):
                made = (scores.load(o, fn.const(j * heads.size)) * by).cast(x.dtype)
                mask = fn.lane_mask(heads.lanes, heads.depth - j)
                scores.e.store_strided(made, to, x.strides[-1] or 1, j * x.column_bytes, mask=mask)
        if self.norms is not None:
            x = self.norms
            to = at_entry(fn, ends.pop(0), x, item.batch, item.head, item.start + i)
            top = fn.load(fn.at(self.scratch, self.m_at), kind, i * heads.size)
            if heads.how.zeros or not heads.keys:
                top = fn.select(fn.compare("oeq", top, fn.const(-math.inf, kind)), fn.const(0.0, kind), top)
            fn.store(top, to)
            fn.store(inverse, to, x.column_bytes)


@dataclass(frozen=True)
class _Item:
    """A block of queries: of which batch entry and head, from which query on and how many; which key query 0 stands
    at, how many keys there are, up to which it goes through them, and whether it leaves out those that are not seen."""

    batch: Register
    head: Register
    start: Register
    rows: Register
    position: Register
    keys: Register
    last: Register
    skips: Register


@dataclass(frozen=True)
class _Block:
    """Keys: the first, how many of them are gone through, where they are, in panels if they are packed, and values."""

    first: Register
    count: Register
    keys: Matrix
    values: Matrix
