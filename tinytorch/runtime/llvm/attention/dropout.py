"""What dropout keeps of a row of weights: a number of 16 bits for each, drawn into scratch memory first."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.ops.random import NUMBERS, ROUNDS, least_kept, philox, round_keys
from tinytorch.ir.types import bool_, i64
from tinytorch.runtime.llvm.attention.heads import Heads
from tinytorch.runtime.llvm.contract.parts import least
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.lanes.random_numbers import random_numbers
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.types import I16, I64, PTR

_SIZE = 2  # bytes of a number
_WORD = 8  # bytes of a key word
_ROWS = 2  # drawn together, since each step of a block waits for the one before


def _blocks(heads: Heads) -> int:
    """How many are drawn of each row at a time: vectors of them, as many as the registers hold."""
    return heads.target.lanes(i64) * (2 if heads.target.vector_registers >= 32 else 1)


def _row_bytes(heads: Heads, keys: int) -> int:
    """Of the numbers of `keys` weights, which may begin within a block and end anywhere."""
    return (keys + 2 * _blocks(heads) * NUMBERS) * _SIZE


def numbers_bytes(heads: Heads, keys: int) -> int:
    """Scratch memory for the numbers of rows of `keys` weights."""
    return _ROWS * _row_bytes(heads, keys) if heads.how.p else 0


class Dropout:
    """Draws numbers of rows of `keys` weights and reads them, in one function; they lie `at`. A number of at least
    `least` keeps its weight."""

    def __init__(self, module: Module, fn: Function, heads: Heads, state: Register, at: Register, keys: int) -> None:
        self.module, self.fn, self.heads, self.at = module, fn, heads, at
        self.row_bytes = _row_bytes(heads, keys)
        self.e = LaneEmitter(fn, heads.target, heads.lanes)
        stride = heads.extras["state"].strides_bytes[0]
        self.seed, self.offset = (fn.load(state, I64, i * stride) for i in range(2))
        least = least_kept(heads.how.p)
        self.least = 0 if least is None else least
        self.keys = None if least is None else self._key_words()

    def _key_words(self) -> Register:
        """Those of all rounds in memory: as vectors they would fill the registers."""
        fn, one = self.fn, LaneEmitter(self.fn, self.heads.target, 1)
        words = [word for pair in round_keys(one.lane(self.seed, i64)) for word in pair]
        at = fn.alloca(len(words) * _WORD)
        for i, word in enumerate(words):
            fn.store(one.value(word), at, i * _WORD)
        return at

    def draw(self, number: Register, count: Register) -> None:
        """Draw the numbers of `count` weights from one that is `number` of all on, and of those below them in the next
        row."""
        fn, keys = self.fn, self.heads.keys
        if self.keys is None:
            for row in range(_ROWS):
                at = fn.at(self.at, row * self.row_bytes)
                first = number + row * keys
                fn.loop(count, [], lambda j, at=at, first=first: self._draw_each(first, j, at), step=self.heads.lanes)
            return
        firsts = number, number + keys
        counters = [self.offset + first // NUMBERS for first in firsts]
        before, other = (first % NUMBERS for first in firsts)
        before = fn.select(fn.compare("sgt", before, other), before, other)
        blocks = (before + count + (NUMBERS - 1)) // NUMBERS
        function = self.module.shared(("numbers of dropout", self.heads.target, self.row_bytes), self._draw_function)
        fn.call(function, [self.at, *counters, blocks, self.keys])

    def _draw_each(self, number: Register, j: Register, at: Register) -> None:
        """Where 16 bits are too few, a block for each weight; the number is 0 where that is kept, else -1."""
        fn, e, p = self.fn, self.e, self.heads.how.p
        steps = Lane(e, i64, fn.iota(I64.widen(e.lanes)))
        seed, offset = (e.lane(x, i64) for x in (self.seed, self.offset))
        bits = philox(e, e.lane(number + j, i64) + steps, seed, offset, shape=(), word=0)
        drops = (bits >> 8) < math.ceil(float(np.float32(p)) * 2.0**24)
        fn.store(fn.convert("sext", e.value(drops), I16.widen(e.lanes)), fn.at(at, j * _SIZE))

    def _draw_function(self, name: str) -> Function:
        """Writes the numbers of `count` blocks of two rows, and some behind them, from a counter on for each."""
        fn = self.module.function(name, [PTR, I64, I64, I64, PTR], internal=True, noinline=True)
        to, one, two, count, keys = fn.params
        step = _blocks(self.heads)
        wide = LaneEmitter(fn, self.heads.target, _ROWS * step)

        def group(block: Register) -> None:
            words = [wide.lane(fn.load(keys, I64, i * _WORD), i64) for i in range(2 * ROUNDS)]
            pairs = list(zip(words[::2], words[1::2], strict=True))
            for row, numbers in enumerate(random_numbers(wide, (one + block, two + block), pairs)):
                fn.store(numbers, fn.at(to, block * (NUMBERS * _SIZE)), row * self.row_bytes)

        fn.loop(count, [], group, step=step)
        fn.ret()
        return fn

    def drawn(self, number: Register, row: Register | int) -> Register:
        """Where the numbers of a row that was drawn begin; `number` is that of its first weight."""
        behind = 0 if self.keys is None else number % NUMBERS * _SIZE
        return self.fn.at(self.fn.at(self.at, row * self.row_bytes), behind)

    def numbers(self, row: Register, j: Register) -> Register:
        """Those of a vector at key j of the row whose numbers begin there."""
        return self.fn.load(row, I16.widen(self.heads.lanes), j * _SIZE)

    def keeps(self, numbers: Register) -> Lane:
        fn = self.fn
        return Lane(self.e, bool_, fn.compare("sge", numbers, fn.const(self.least, numbers.type)))


def each_row(
    fn: Function,
    dropout: Dropout | None,
    rows: Register,
    number: Register,
    count: Register,
    visit: Callable[[Register, Register | None], None],
) -> None:
    """`visit(row, numbers)` for rows of `count` weights, whose numbers are drawn if there is dropout; the first weight
    is `number` of all."""
    if dropout is None:
        fn.loop(rows, [], lambda r: visit(r, None))
        return
    keys = dropout.heads.keys

    def together(r: Register) -> None:
        first = number + r * keys
        dropout.draw(first, count)
        fn.loop(least(rows - r, _ROWS), [], lambda n: visit(r + n, dropout.drawn(first + n * keys, n)))

    fn.loop(rows, [], together, step=_ROWS)
