"""What dropout keeps of a row of weights: a number of 16 bits for each, drawn into scratch memory first."""

from __future__ import annotations

import math

import numpy as np

from tinytorch.ir.emitter import Lane
from tinytorch.ir.ops.random import HALVES, ROUNDS, least_kept, philox, round_keys
from tinytorch.ir.types import bool_, i64
from tinytorch.runtime.llvm.attention.heads import Heads
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.lanes.random_halves import random_halves
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.types import I16, I64, PTR

_SIZE = 2  # bytes of a number
_WORD = 8  # bytes of a key word
_CHAINS = 2  # vectors of blocks side by side, since each step of a block waits for the one before


def _blocks(heads: Heads) -> int:
    """How many are drawn at a time."""
    return _CHAINS * heads.target.lanes(i64)


def numbers_bytes(heads: Heads, keys: int) -> int:
    """Scratch memory for the numbers of a row of `keys` weights, which may begin within a block and end anywhere."""
    return (keys + 2 * _blocks(heads) * HALVES) * _SIZE if heads.how.p else 0


class Dropout:
    """Draws numbers and reads them, in one function; they lie `at`. A number of at least `least` keeps its weight."""

    def __init__(self, module: Module, fn: Function, heads: Heads, state: Register, at: Register) -> None:
        self.module, self.fn, self.heads, self.at = module, fn, heads, at
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

    def draw(self, number: Register, count: Register) -> Register:
        """Draw the numbers of `count` weights, the first of which is `number` of all; a pointer to the first."""
        fn = self.fn
        if self.keys is None:
            fn.loop(count, [], lambda j: self._draw_each(number, j), step=self.heads.lanes)
            return self.at
        block = number // HALVES
        before = number - block * HALVES
        function = self.module.shared(("numbers of dropout", self.heads.target), self._draw_function)
        fn.call(function, [self.at, self.offset + block, before + count, self.keys])
        return fn.at(self.at, before * _SIZE)

    def _draw_each(self, number: Register, j: Register) -> None:
        """Where 16 bits are too few, a block for each weight; the number is 0 where that is kept, else -1."""
        fn, e, p = self.fn, self.e, self.heads.how.p
        steps = Lane(e, i64, fn.iota(I64.widen(e.lanes)))
        seed, offset = (e.lane(x, i64) for x in (self.seed, self.offset))
        bits = philox(e, e.lane(number + j, i64) + steps, seed, offset, shape=(), word=0)
        drops = (bits >> 8) < math.ceil(float(np.float32(p)) * 2.0**24)
        fn.store(fn.convert("sext", e.value(drops), I16.widen(e.lanes)), fn.at(self.at, j * _SIZE))

    def _draw_function(self, name: str) -> Function:
        """Writes the numbers of `count` elements, and some behind them, from a counter on."""
        fn = self.module.function(name, [PTR, I64, I64, PTR], internal=True, noinline=True)
        to, counter, count, keys = fn.params
        wide = LaneEmitter(fn, self.heads.target, _blocks(self.heads))
        step = wide.lanes * HALVES

        def group(j: Register) -> None:
            words = [wide.lane(fn.load(keys, I64, i * _WORD), i64) for i in range(2 * ROUNDS)]
            pairs = list(zip(words[::2], words[1::2], strict=True))
            for i, numbers in enumerate(random_halves(wide, counter + j // HALVES, pairs)):
                fn.store(numbers, fn.at(to, j * _SIZE), i * step // 2 * _SIZE)

        fn.loop(count, [], group, step=step)
        fn.ret()
        return fn

    def numbers(self, row: Register, j: Register) -> Register:
        """Those of a vector at key j of the row whose numbers begin there."""
        return self.fn.load(row, I16.widen(self.heads.lanes), j * _SIZE)

    def keeps(self, numbers: Register) -> Lane:
        fn = self.fn
        return Lane(self.e, bool_, fn.compare("sge", numbers, fn.const(self.least, numbers.type)))
