"""Counter-based random bits: a pure function of (seed, offset) and the element's index.

Philox4x32 of Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), with the seven
rounds from which on it passes all tests of BigCrush there. The 64-bit seed is the key, the counter an offset and what
follows of the element's index; a block is four 32-bit words.

Dropout takes numbers of 16 bits. A block has eight, and gives sixteen: two of the same bytes in another order are
both uniform, and what they decide is all but independent (`least_kept`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.lanes.numpy_emitter import NumpyEmitter
from tinytorch.ir.op import NONDIFF, Array, Attrs, Op, define
from tinytorch.ir.types import Shape, TensorType, i32, i64

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF
ROUNDS = 7
NUMBERS = 16  # of 16 bits that a block gives: its halves, then those with their bytes swapped


def _bits_type(state: TensorType, *, shape: Shape, word: int | None = None) -> TensorType:
    if state != TensorType(i64, (2,)) or (word is not None and not 0 <= word < 4):
        raise ShapeError(f"random_bits: needs a state of i64[2] and a word below 4, got {state} and {word}")
    return TensorType(i32, shape)


def philox(e: Emitter, index: Lane, seed: Lane, offset: Lane, *, shape: Shape, word: int | None = None) -> Lane:
    """The bits of element `index` of the flattened shape, as the op describes them; lanes are i64."""
    if word is not None:
        return philox_block(e, offset + index, round_keys(seed))[word].cast(i32)
    words = philox_block(e, offset + (index >> 4), round_keys(seed))
    which = (index >> 1) & 3
    low, high = (e.select((which & 1) < 1, words[i], words[i + 1]) for i in (0, 2))
    half = e.select(which < 2, low, high) >> ((index & 1) << 4)
    number = e.select((index & 8) < 1, half, (half << 8) | ((half >> 8) & 0xFF))
    return (number.cast(i32) << 16).ashr(16)


def round_keys(seed: Lane) -> list[tuple[Lane, Lane]]:
    """The two key words of each round."""
    keys = [(seed & _LOW, seed >> 32)]
    for _ in range(ROUNDS - 1):
        low, high = keys[-1]
        keys.append(((low + _WEYL[0]) & _LOW, (high + _WEYL[1]) & _LOW))
    return keys


def philox_block(e: Emitter, counter: Lane, keys: Sequence[tuple[Lane, Lane]]) -> list[Lane]:
    """The four words of a block; lanes are i64, 32-bit words stand in their low halves."""
    c = [counter, counter >> 32, e.const(0, i64), e.const(0, i64)]
    for low, high in keys:  # upper halves are cut off where they would count: x86 multiplies low halves anyway
        p0, p1 = (c[0] & _LOW) * _MULTIPLIERS[0], (c[2] & _LOW) * _MULTIPLIERS[1]
        c = [(p1 >> 32) ^ c[1] ^ low, p1, (p0 >> 32) ^ c[3] ^ high, p0]
    return [word & _LOW for word in c]


def least_kept(p: float) -> int | None:
    """The least of the 16-bit numbers of `random_bits` that a dropout with probability p keeps; None where those are
    not good enough: where a multiple of 2**-16 is not close to p or 1 - p, to one part in a thousand, or p is nearer to
    0 or 1 than a hundredth. Between, what two numbers of the same bytes decide correlates by less than 0.01."""
    dropped = round(p * 2**16)
    rarer = min(p, 1 - p)
    return dropped - 2**15 if abs(dropped - p * 2**16) <= 2**6 * rarer and rarer >= 0.01 else None


def _bits_eval(state: Array, *, shape: Shape, word: int | None = None) -> Array:
    e = NumpyEmitter()
    index = Lane(e, i64, np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.int64))
    seed, offset = (Lane(e, i64, state[i : i + 1]) for i in range(2))
    with np.errstate(over="ignore"):
        result: Any = philox(e, index, seed, offset, shape=shape, word=word).ref
    return np.asarray(result).reshape(shape)


def _bits_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    return out.size * ROUNDS * 8


random_bits = define(Op(
    name="random_bits", kind="random",
    doc="A random i32 per element, from state i64[2] = (seed, offset): `word` of the block at counter offset + index. "
        "Without a word, a number from -2**15 to 2**15 - 1: elements 16 n to 16 n + 7 are the halves of block n, the "
        "lower one of each word first, and the eight behind them those with their bytes swapped.",
    infer=_bits_type, eval=_bits_eval, vjp=NONDIFF, flops=_bits_flops, scalar=philox,
))  # fmt: skip
