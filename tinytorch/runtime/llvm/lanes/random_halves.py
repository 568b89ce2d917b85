"""Random numbers of 16 bits in vectors, in the order of `random_bits` without a word."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.emitter import Lane
from tinytorch.ir.ops.random import HALVES, philox_block
from tinytorch.ir.types import i64
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Register
from tinytorch.runtime.llvm.text.types import I16, I64


def random_halves(wide: LaneEmitter, counter: Register, keys: Sequence[tuple[Lane, Lane]]) -> list[Register]:
    """The numbers of as many blocks as `wide` has lanes, from that at `counter` on (an i64), as two vectors of i16."""
    fn, count = wide.fn, wide.lanes
    # In this order, words of neighbours come together within 128 bits.
    order = [k // 2 + k % 2 * (count // 2) for k in range(count)]
    counters = wide.lane(counter, i64) + Lane(wide, i64, fn.constants(order, I64.widen(count)))
    a, b, c, d = philox_block(wide, counters, keys)
    low, high = (wide.value(x | (y << 32)) for x, y in ((a, b), (c, d)))
    pairs = [[lane for k in range(first, count, 2) for lane in (k, k + count)] for first in (0, 1)]
    return [fn.bitcast(fn.shuffle(low, high, lanes), I16.widen(count * HALVES // 2)) for lanes in pairs]
