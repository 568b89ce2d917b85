"""Random numbers of 16 bits in vectors, in the order of `random_bits` without a word."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.ops.random import philox_block
from tinytorch.ir.types import i64
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.types import I8, I16, I64


def random_numbers(
    wide: LaneEmitter, starts: tuple[Register, Register], keys: Sequence[tuple[Lane, Lane]]
) -> tuple[Register, Register]:
    """Two vectors of i16: the numbers of the blocks from each of two counters on (i64), each of half as many blocks as
    `wide` has lanes."""
    fn, count = wide.fn, wide.lanes
    # The two take turns, so that words of neighbours come together within 128 bits.
    first, second = (fn.splat(x, count) for x in starts)
    start = fn.shuffle(first, second, [k % 2 * count for k in range(count)])
    steps = fn.constants([k // 2 for k in range(count)], I64.widen(count))
    counters = Lane(wide, i64, start) + Lane(wide, i64, steps)
    a, b, c, d = philox_block(wide, counters, keys)
    low, high = (wide.value(x | (y << 32)) for x, y in ((a, b), (c, d)))
    parts = [[lane for k in range(part, count, 2) for lane in (k, k + count)] for part in (0, 1)]
    one, two = (_with_swapped(fn, fn.shuffle(low, high, lanes)) for lanes in parts)
    return one, two


def _with_swapped(fn: Function, blocks: Register) -> Register:
    """Behind the halves of each block (two i64) those with their bytes swapped."""
    count = blocks.type.lanes
    bytes_ = fn.bitcast(blocks, I8.widen(8 * count))
    swapped = fn.bitcast(fn.shuffle(bytes_, None, [k ^ 1 for k in range(8 * count)]), I64.widen(count))
    order = [lane for k in range(0, count, 2) for lane in (k, k + 1, count + k, count + k + 1)]
    return fn.bitcast(fn.shuffle(blocks, swapped, order), I16.widen(8 * count))
