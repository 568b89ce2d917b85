"""Long sums of a microkernel: chains of at most `CHAIN` additions, whose sums are added up in memory.

The error of a sum that adds n numbers one after the other grows with n (Higham, "The accuracy of floating point
summation", 1993), that of a sum in blocks with the length of a block and with their number. Where there are many
blocks as well, what each addition rounds off is added again, as a compensation (Ogita, Rump & Oishi, "Accurate sum and
dot product", 2005, algorithm Sum2), so that their number does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.parts import least
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.types import LLType

CHAIN = 512  # additions: 4 eps of rounding errors on average; adding up chains takes 1 % of the time of one
MANY = 64  # sums that are added up without a compensation

Summation = Literal["chain", "blocks", "compensated"]
Loops = Sequence[tuple[int, int, int]]


def summation_of(steps: int, compute: DType) -> Summation:
    """How to add up so many products; integers are exact in any order."""
    if steps <= CHAIN or not compute.is_float:
        return "chain"
    return "blocks" if steps <= CHAIN * MANY else "compensated"


def add_pair(total: Register, compensation: Register, term: Register) -> tuple[Register, Register]:
    """total + compensation + term as a rounded sum and what that rounds off, the new compensation; 0 where the sum is
    not finite."""
    fn = total.fn
    rounded = total + term
    moved = rounded - total
    off = (total - (rounded - moved)) + (term - moved) + compensation
    following = rounded + off
    difference = following - following
    finite = fn.compare("oeq", difference, difference)
    zero = fn.zero(total.type)
    return fn.select(finite, following, rounded), fn.select(finite, off - (following - rounded), zero)


class Totals:
    """Sums of chains in the stack frame of a microkernel, one for each of its accumulators."""

    def __init__(self, fn: Function, type: LLType, count: int, summation: Summation) -> None:
        self._fn = fn
        self._type = type
        self._compensation_at = type.bytes * count if summation == "compensated" else 0
        memory = fn.alloca(type.bytes * count + self._compensation_at)
        fn.fill(memory, 0, type.bytes * count + self._compensation_at)
        self._places = [fn.at(memory, i * type.bytes) for i in range(count)]

    def add(self, sums: Sequence[Register]) -> None:
        for at, following in zip(self._places, self._with(sums), strict=True):
            for value, offset in zip(following, (0, self._compensation_at), strict=False):
                self._fn.store(value, at, offset)

    def plus(self, sums: Sequence[Register]) -> list[Register]:
        """The totals with these sums added."""
        return [following[0] for following in self._with(sums)]

    def _with(self, sums: Sequence[Register]) -> list[tuple[Register, ...]]:
        found: list[tuple[Register, ...]] = []
        for at, term in zip(self._places, sums, strict=True):
            total = self._fn.load(at, self._type)
            if self._compensation_at:
                found.append(add_pair(total, self._fn.load(at, self._type, self._compensation_at), term))
            else:
                found.append((total + term,))
        return found


def sum_chains(
    fn: Function,
    depth: Register,
    chain: int,
    zeros: Sequence[Register],
    totals: Totals,
    run: Callable[[Register, Register], Sequence[Register]],
) -> list[Register]:
    """The sums of `run(start, count)` for pieces of `depth`: those of one wait in registers until the next begins."""

    def piece(start: Register, *sums: Register) -> Sequence[Register]:
        fn.if_(fn.compare("ne", start, fn.const(0)), lambda: totals.add(sums))
        return run(start, least(depth - start, chain))

    return totals.plus(fn.loop(depth, zeros, piece, step=chain))


def sum_walk(
    fn: Function,
    loops: Loops,
    a: Register,
    b: Register,
    lanes: int,
    zeros: Sequence[Register],
    totals: Totals,
    run: Callable[[Loops, Register, Register], Sequence[Register]],
) -> list[Register]:
    """The sums of `run(loops, a, b)` for parts of these loops, see `_add_walk`."""
    _add_walk(fn, loops, a, b, lanes, totals, run)
    return totals.plus(zeros)


def _add_walk(
    fn: Function,
    loops: Loops,
    a: Register,
    b: Register,
    lanes: int,
    totals: Totals,
    run: Callable[[Loops, Register, Register], Sequence[Register]],
) -> None:
    """Add `run(loops, a, b)` to the totals for parts of these loops that take at most `CHAIN` steps, or all of the
    innermost one's that cannot be fewer; the innermost one takes `lanes` at a time."""
    if steps_of(loops, lanes) <= CHAIN:
        totals.add(run(loops, a, b))
        return
    (count, a_step, b_step), *inner = loops
    inside = steps_of(inner, lanes) if inner else 1
    most = CHAIN // inside * (1 if inner else lanes)
    if most <= 1:
        fn.loop(
            count,
            [],
            lambda i: _add_walk(fn, inner, fn.at(a, i * a_step), fn.at(b, i * b_step), lanes, totals, run),
        )
        return
    part = next((p for p in range(most, most // 2, -1) if count % p == 0), most)

    def piece(i: Register, size: int) -> None:
        totals.add(run([(size, a_step, b_step), *inner], fn.at(a, i * a_step), fn.at(b, i * b_step)))

    whole = count // part * part
    fn.loop(whole, [], lambda i: piece(i, part), step=part)
    if count - whole:
        piece(fn.const(whole), count - whole)


def steps_of(loops: Loops, lanes: int) -> int:
    """How many additions these loops give to an accumulator."""
    *outer, (innermost, _, _) = loops or ((1, 0, 0),)
    return math.prod(count for count, _, _ in outer) * -(-innermost // lanes)
