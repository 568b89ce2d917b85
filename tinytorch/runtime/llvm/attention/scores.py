"""What becomes of a row of products of a query with a block of keys: scale, mask and weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.types import bool_
from tinytorch.runtime.llvm.attention.decay import decay
from tinytorch.runtime.llvm.attention.heads import Heads, at_entry, between
from tinytorch.runtime.llvm.contract.parts import least
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.types import memory_type, vector


@dataclass(frozen=True)
class Row:
    """A query and a block of keys: its scores in memory, the block's first key, how many keys it has, how many of
    them the query can see, where the query's row of the mask begins, and the number of its first weight of all."""

    at: Register
    first: Register
    count: Register
    seen: Register
    mask: Register | None
    number: Register


Visit = Callable[..., Sequence[Register]]


class Scores:
    """Writes passes over rows of scores in one function."""

    def __init__(self, fn: Function, heads: Heads) -> None:
        self.fn, self.heads = fn, heads
        self.e = LaneEmitter(fn, heads.target, heads.lanes)
        self.one = LaneEmitter(fn, heads.target, 1)
        self.mask = heads.extras.get("mask")
        self.type = memory_type(heads.compute, heads.lanes)

    @property
    def plain(self) -> bool:
        """Whether scores are products times the scale, and those that a query does not see count for nothing."""
        return self.mask is None and self.heads.how.fill == -math.inf and self.heads.how.scale > 0

    @property
    def hides(self) -> bool:
        """Whether keys that a query does not see count for nothing, where values are finite."""
        return (self.heads.how.causal or self.masks) and self.heads.how.fill == -math.inf

    @property
    def masks(self) -> bool:
        """Whether a mask says which keys are seen."""
        return self.mask is not None and self.mask.dtype is bool_

    # Vectors.
    def load(self, at: Register, offset: Register) -> Lane:
        return Lane(self.e, self.heads.compute, self.fn.load(at, self.type, offset))

    def store(self, lane: Lane, at: Register, offset: Register) -> None:
        self.fn.store(self.e.value(lane), at, offset)

    def const(self, value: float) -> Lane:
        return self.e.const(value, self.heads.compute)

    def splat(self, x: Register) -> Lane:
        return self.e.lane(x, self.heads.compute)

    def sweep(self, row: Row, carried: Sequence[Register], visit: Visit) -> list[Register]:
        """`visit(j, tail, *carried)` for vectors at key j of the block, over all that it has: first those that are seen
        whole (`tail` is False), then the others."""
        fn, lanes = self.fn, self.heads.lanes
        whole = row.seen // lanes * lanes
        carried = fn.loop(whole, carried, lambda j, *state: visit(j, False, *state), step=lanes)
        return fn.loop(row.count, carried, lambda j, *state: visit(j, True, *state), start=whole, step=lanes)

    def below(self, j: Register, limit: Register) -> Lane:
        """Which lanes of a vector at j lie below `limit`."""
        return self.lanes_of(self.fn.lane_mask(self.heads.lanes, limit - j))

    def row(
        self,
        mask: Register | None,
        batch: Register,
        head: Register,
        query: Register,
        position: Register,
        first: Register,
        count: Register,
        at: Register,
    ) -> Row:
        """A query, and what it sees of `count` keys from key `first` on; its scores lie `at`, query 0 at `position`."""
        fn, heads = self.fn, self.heads
        seen = between(fn, position + query + 1 - first, count) if heads.how.causal else count
        if mask is not None:
            mask = at_entry(fn, mask, heads.extras["mask"], batch, head, query, first)
        return Row(at, first, count, seen, mask, self.number(batch, head, query))

    def number(self, batch: Register, head: Register, query: Register) -> Register:
        """Of the first weight of a query, of all weights."""
        heads = self.heads
        return ((batch * heads.count + head) * heads.queries + query) * heads.keys

    def reach(self, mask: Register, rows: Register, count: Register) -> Register:
        """How many of `count` keys to go through for `rows` queries, whose mask begins there: behind the last panel
        that any of them sees a key of, there is none."""
        fn, heads, x = self.fn, self.heads, self.mask
        assert x is not None
        lanes, size, step = heads.lanes, x.dtype.size, x.strides[-1]
        nothing = fn.zero(vector("i1", lanes))

        def row(i: Register, start: Register, found: Register) -> Register:
            for j in range(0, heads.panel, lanes):
                at = fn.at(mask, i * x.row_bytes + (start + j) * (step * size))
                live = fn.lane_mask(lanes, count - (start + j))
                found = found | self.e.value(self.e.load_strided(at, x.dtype, step, mask=live) & self.lanes_of(live))
            return found

        def panel(start: Register, last: Register) -> Sequence[Register]:
            found = fn.loop(rows, [nothing], lambda i, f: [row(i, start, f)])[0]
            bits = found if lanes == 1 else fn.bitcast(found, vector(f"i{lanes}", 1))
            seen = fn.compare("ne", bits, fn.const(0, bits.type))
            return [fn.select(seen, least(start + heads.panel, count), last)]

        return fn.loop(count, [fn.const(0)], panel, step=heads.panel)[0]

    def lanes_of(self, mask: Register | None) -> Lane:
        assert mask is not None
        return Lane(self.e, bool_, mask)

    def is_finite(self, at: Register, x: Buffer, first: Register, last: Register) -> Register:
        """Whether no element of these rows is infinite or NaN."""
        fn, e, zero = self.fn, self.e, self.const(0)

        def row(j: Register, *state: Register) -> Sequence[Register]:
            here, total = fn.at(at, j * x.row_bytes), Lane(e, self.heads.compute, state[0])
            for start in range(0, x.shape[-1], e.lanes):
                mask = fn.lane_mask(e.lanes, x.shape[-1] - start)
                part = e.load_strided(here, x.dtype, x.strides[-1], start * x.column_bytes, mask=mask)
                total = total + part.cast(self.heads.compute) * zero
            return [e.value(total)]

        total = fn.reduce(fn.loop(last, [e.value(zero)], row, start=first)[0], lambda a, b: a + b)
        return fn.compare("oeq", total, fn.const(0.0, total.type))

    # Scores.
    def score(self, row: Row, j: Register, tail: bool) -> Lane:
        """The scores of a vector; -inf where there are no keys."""
        how, mask = self.heads.how, self.mask
        t = self.load(row.at, j * self.heads.size) * self.const(how.scale)
        live = self.fn.lane_mask(self.heads.lanes, row.count - j) if tail else None
        fill = self.const(how.fill)
        if mask is not None:
            assert row.mask is not None
            stride = mask.strides[-1]
            there = self.e.load_strided(row.mask, mask.dtype, stride, j * (stride * mask.dtype.size), mask=live)
            if mask.dtype is bool_:
                t = self.e.select(there, t, fill)
            else:
                t = t + there.cast(self.heads.compute)
        if tail:
            t = self.e.select(self.below(j, row.seen), t, fill)
            if how.fill != -math.inf or self.mask is not None:
                t = self.e.select(self.below(j, row.count), t, self.const(-math.inf))
        return t

    def visible(self, row: Row, j: Register, tail: bool, x: Lane) -> Lane:
        """x where the query sees the keys, else 0."""
        mask = self.mask
        if mask is not None and mask.dtype is bool_:
            assert row.mask is not None
            live = self.fn.lane_mask(self.heads.lanes, row.count - j) if tail else None
            stride = mask.strides[-1]
            there = self.e.load_strided(row.mask, mask.dtype, stride, j * stride, mask=live)
            x = self.e.select(there, x, self.const(0))
        return self.e.select(self.below(j, row.seen), x, self.const(0)) if tail else x

    def exp(self, x: Lane) -> Lane:
        """e**x, for x that is at most 0 or NaN."""
        return decay(self.e, x)
