"""The gradient of attention: cotangents of q, k and v.

An item is a group of heads that share their keys. For each block of keys, and a few queries at a time, scores and
weights are computed again; with p the weights and d what dropout makes of it, and c = p (drop(g vᵀ) - delta),

    dv += dᵀ g        dk += cᵀ q · scale        dq += c k · scale

Scales, dropout's too, are applied at the end. Sums are kept in scratch memory, of the group's keys and the head's
queries, and written then. Queries that see no key of a block are left out, unless q, k, v or g is infinite or NaN: 0
times those is NaN.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinytorch.ir.lanes.emitter import Lane
from tinytorch.runtime.llvm.attention.dropout import Dropout, each_row, numbers_bytes
from tinytorch.runtime.llvm.attention.heads import Heads, Matrix, Products, Scratch, at_entry, between
from tinytorch.runtime.llvm.attention.scores import Scores
from tinytorch.runtime.llvm.contract.parts import least
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.types import I1, I64, PTR, memory_type

_KEYS = 256  # of a block
_TILES = 2  # of rows, queries that are computed together: as many steps has the sum of each element of dk and dv


class Backward:
    """Writes `void name(ptr frame, i64 chunk)`; the frame is the operands, norms, delta, g, dq, dk, dv and scratch."""

    def __init__(
        self,
        module: Module,
        fn: Function,
        heads: Heads,
        further: Sequence[Buffer],
        results: Sequence[Buffer | None],
    ) -> None:
        self.module, self.fn, self.heads, self.results = module, fn, heads, results
        self.norms, self.delta, self.g = further
        self.groups = heads.k.shape[1]
        self.chunks = heads.batch * self.groups
        self.key_block = min(_KEYS, -(-max(1, heads.keys) // heads.panel) * heads.panel)
        self.rows = heads.tall * _TILES
        self._lay_out()

    def _lay_out(self) -> None:
        heads, scratch = self.heads, Scratch()
        # Tiles of keys are read whole: behind the last key come zeros for one of them.
        self.behind = -(-heads.tall // heads.lanes) * heads.lanes
        self.pitch = (self.key_block + self.behind) * heads.size
        self.wide, self.deep = heads.pitch(heads.width), heads.pitch(heads.depth)
        self.k_panels = scratch.area(self.key_block * heads.size * heads.width)
        self.v_panels = scratch.area(self.key_block * heads.size * heads.depth)
        self.k_rows = scratch.area(self.key_block * self.wide)
        self.q_rows = scratch.area(self.rows * self.wide)
        self.g_rows = scratch.area(self.rows * self.deep)
        self.p_at = scratch.area(self.rows * self.pitch)
        self.c_at = scratch.area(self.rows * self.pitch)
        self.dq_at = scratch.area(heads.queries * self.wide)
        self.dk_at = scratch.area((heads.keys + heads.tall) * self.wide)
        self.dv_at = scratch.area((heads.keys + heads.tall) * self.deep)
        self.numbers_at = scratch.area(numbers_bytes(heads, self.key_block))
        self.scratch_bytes = scratch.bytes

    def write(self) -> None:
        fn, heads = self.fn, self.heads
        frame, chunk = fn.params
        names = ["q", "k", "v", *heads.extras, "norms", "delta", "g"]
        names += [name for name, x in zip(("dq", "dk", "dv"), self.results, strict=True) if x is not None]
        self.pointers = {name: fn.load(frame, PTR, 8 * i) for i, name in enumerate(names)}
        self.scratch = fn.load(frame, PTR, 8 * len(names))
        self.scores = Scores(fn, heads)
        self.dropout = None
        if "state" in self.pointers:
            at = fn.at(self.scratch, self.numbers_at)
            self.dropout = Dropout(self.module, fn, heads, self.pointers["state"], at, self.key_block)
        self.kept_scale = 1 / (1 - heads.how.p) if heads.how.p < 1 else 1.0
        self.factors = {"dq": heads.how.scale, "dk": heads.how.scale, "dv": self.kept_scale}
        self.products = Products(self.module, fn, heads)
        self._group(chunk // self.groups, chunk % self.groups)

    def _area(self, at: int, rows: Register | int = 0, row: int = 0) -> Matrix:
        """A matrix in scratch memory, from one of its rows on."""
        return Matrix(self.fn.at(self.fn.at(self.scratch, at), rows * row), row, self.heads.size)

    def _group(self, batch: Register, group: Register) -> None:
        fn, heads = self.fn, self.heads
        position, keys = fn.const(0), fn.const(heads.keys)
        if "positions" in self.pointers:
            at = at_entry(fn, self.pointers["positions"], heads.extras["positions"], batch)
            position = fn.load(at, I64)
            keys = between(fn, position + heads.queries, keys)
        fn.fill(fn.at(self.scratch, self.dk_at), 0, heads.keys * self.wide)
        fn.fill(fn.at(self.scratch, self.dv_at), 0, heads.keys * self.deep)
        k = at_entry(fn, self.pointers["k"], heads.k, batch, group)
        v = at_entry(fn, self.pointers["v"], heads.v, batch, group)

        def one(n: Register) -> None:
            self._head(_Head(batch, group * heads.shared + n, k, v, position, keys, fn.const(0, I1)))

        fn.loop(heads.shared, [], one)
        for index, name, at, row in ((1, "dk", self.dk_at, self.wide), (2, "dv", self.dv_at, self.deep)):
            behind = fn.at(fn.at(self.scratch, at), keys * row)  # where tiles overhang, and 0 times NaN was added
            fn.fill(behind, 0, heads.tall * row)
            self._write(index, name, at, row, heads.keys, batch, group)

    def _head(self, head: _Head) -> None:
        fn, heads = self.fn, self.heads
        if self.scores.hides:
            head = replace(head, skips=self._are_finite(head))
        fn.fill(fn.at(self.scratch, self.dq_at), 0, heads.queries * self.wide)
        fn.loop(head.keys, [], lambda first: self._key_block(head, first), step=self.key_block)
        self._write(0, "dq", self.dq_at, self.wide, heads.queries, head.batch, head.number)

    def _are_finite(self, head: _Head) -> Register:
        """Whether no element of q, k, v, g and norms is infinite or NaN."""
        fn, heads = self.fn, self.heads
        q = at_entry(fn, self.pointers["q"], heads.q, head.batch, head.number)
        g = at_entry(fn, self.pointers["g"], self.g, head.batch, head.number)
        norms = at_entry(fn, self.pointers["norms"], self.norms, head.batch, head.number)
        queries = fn.const(heads.queries)
        sides = (
            (q, heads.q, queries),
            (head.k, heads.k, head.keys),
            (head.v, heads.v, head.keys),
            (g, self.g, queries),
            (norms, self.norms, queries),
        )
        found = [self.scores.is_finite(at, x, fn.const(0), rows) for at, x, rows in sides]
        return functools.reduce(Register.__and__, found)

    def _key_block(self, head: _Head, first: Register) -> None:
        fn, heads, products = self.fn, self.heads, self.products
        count = least(head.keys - first, self.key_block)
        k, v = fn.at(head.k, first * heads.k.row_bytes), fn.at(head.v, first * heads.v.row_bytes)
        products.pack_panels(k, heads.k, self._area(self.k_panels).at, first, count)
        products.pack_panels(v, heads.v, self._area(self.v_panels).at, first, count)
        products.pack_rows(k, heads.k, self._area(self.k_rows).at, count)
        start = fn.const(0)
        if heads.how.causal:  # the queries before see nothing of the block
            before = between(fn, first - head.position, fn.const(heads.queries)) // self.rows * self.rows
            start = fn.select(head.skips, before, start)
        fn.loop(heads.queries, [], lambda i: self._tile(head, first, count, i), start=start, step=self.rows)

    def _tile(self, head: _Head, first: Register, count: Register, start: Register) -> None:
        fn, heads = self.fn, self.heads
        rows, seen = least(heads.queries - start, self.rows), count
        if heads.how.causal:
            seen = between(fn, head.position + start + rows - first, count)
        if self.scores.hides:
            if self.scores.masks:
                x = heads.extras["mask"]
                mask = at_entry(fn, self.pointers["mask"], x, head.batch, head.number, start, first)
                seen = self.scores.reach(mask, rows, seen)
            count = fn.select(head.skips, seen, count)
        some = fn.compare("sgt", count, fn.const(0))
        fn.if_(some, lambda: self._add(head, first, count, start, rows))

    def _add(self, head: _Head, first: Register, count: Register, start: Register, rows: Register) -> None:
        """What some queries and the keys that they see add to the cotangents."""
        fn, heads, products = self.fn, self.heads, self.products
        q = at_entry(fn, self.pointers["q"], heads.q, head.batch, head.number, start)
        g = at_entry(fn, self.pointers["g"], self.g, head.batch, head.number, start)
        q_rows, g_rows = self._area(self.q_rows, 0, self.wide), self._area(self.g_rows, 0, self.deep)
        products.pack_rows(q, heads.q, q_rows.at, rows)
        products.pack_rows(g, self.g, g_rows.at, rows)
        p, c = self._area(self.p_at, 0, self.pitch), self._area(self.c_at, 0, self.pitch)
        most = heads.queries
        products.scores(q_rows, self._area(self.k_panels).at, heads.width, p, rows, first, count, most)
        products.scores(g_rows, self._area(self.v_panels).at, heads.depth, c, rows, first, count, most)

        def row(r: Register, numbers: Register | None) -> None:
            self._row(head, first, count, start + r, fn.at(p.at, r * p.row), fn.at(c.at, r * c.row), numbers)

        number = self.scores.number(head.batch, head.number, start) + first
        each_row(fn, self.dropout, rows, number, count, row)
        dv = self._area(self.dv_at, first, self.deep)
        dk = self._area(self.dk_at, first, self.wide)
        dq = self._area(self.dq_at, start, self.wide)
        turned = [Matrix(x.at, heads.size, self.pitch) for x in (p, c)]
        products.add_any(turned[0], g_rows, dv, count, heads.depth, rows)
        products.add_any(turned[1], q_rows, dk, count, heads.width, rows)
        k_rows = self._area(self.k_rows, 0, self.wide)
        products.add(c, k_rows, dq, rows, heads.width, count, most)

    def _row(
        self,
        head: _Head,
        first: Register,
        count: Register,
        query: Register,
        p: Register,
        c: Register,
        numbers: Register | None,
    ) -> None:
        """Products become weights, as dropout leaves them before it scales, and the cotangents of scores."""
        fn, heads, scores = self.fn, self.heads, self.scores
        e = scores.e
        row = scores.row(self.pointers.get("mask"), head.batch, head.number, query, head.position, first, count, p)
        kind = memory_type(heads.compute, 1)

        def of_row(name: str, x: Buffer, column: int = 0) -> Lane:
            at = at_entry(fn, self.pointers[name], x, head.batch, head.number, query)
            return scores.splat(fn.load(at, kind, column * x.column_bytes))

        top, inverse = (of_row("norms", self.norms, column) for column in range(2))
        delta = of_row("delta", self.delta)
        scale, kept_scale = scores.const(heads.how.scale), scores.const(self.kept_scale)
        dropout = self.dropout

        def visit(j: Register, tail: bool) -> Sequence[Register]:
            offset = j * heads.size
            if scores.plain and not tail:
                weight = scores.exp(e.fma(scores.load(p, offset), scale, -top)) * inverse
            else:
                weight = scores.exp(scores.score(row, j, tail) - top) * inverse
            kept, difference = weight, scores.load(c, offset)
            if dropout is not None and numbers is not None:
                keeps, nothing = dropout.keeps(dropout.numbers(numbers, j)), scores.const(0)
                kept = e.select(keeps, weight, nothing)
                difference = e.fma(e.select(keeps, difference, nothing), kept_scale, -delta)
            else:
                difference = difference - delta
            scores.store(kept, p, offset)
            scores.store(scores.visible(row, j, tail, weight * difference), c, offset)
            return []

        scores.sweep(row, [], visit)
        end = (count + (heads.lanes - 1)) // heads.lanes * (heads.lanes * heads.size)
        for x in (p, c):
            for j in range(0, self.behind, heads.lanes):
                scores.store(scores.const(0), x, end + j * heads.size)

    def _write(self, index: int, name: str, at: int, row: int, rows: int, batch: Register, head: Register) -> None:
        x = self.results[index]
        if x is None:
            return
        fn, heads, scores = self.fn, self.heads, self.scores
        to = at_entry(fn, self.pointers[name], x, batch, head)
        source, factor = fn.at(self.scratch, at), scores.const(self.factors[name])

        def one(i: Register) -> None:
            here, there = fn.at(source, i * row), fn.at(to, i * x.row_bytes)
            for j in range(0, x.shape[3], heads.lanes):
                mask = fn.lane_mask(heads.lanes, x.shape[3] - j)
                made = (scores.load(here, fn.const(j * heads.size)) * factor).cast(x.dtype)
                scores.e.store_strided(made, there, x.strides[-1] or 1, j * x.column_bytes, mask=mask)

        fn.loop(rows, [], one)


@dataclass(frozen=True)
class _Head:
    """A head: its batch entry and number, keys and values, which key query 0 stands at, how many keys there are, and
    whether it leaves out what is not seen."""

    batch: Register
    number: Register
    k: Register
    v: Register
    position: Register
    keys: Register
    skips: Register
