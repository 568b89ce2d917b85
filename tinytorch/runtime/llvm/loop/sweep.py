"""Loops over one axis: in vectors with a tail, and in blocks so that long sums stay accurate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.loop.reduce import Accumulators, Reduction, Slot
from tinytorch.runtime.llvm.text.builder import Function, Register

State = list[Register]
Visit = Callable[[Register, LaneEmitter, int, Register | None, Sequence[State]], Sequence[State]]


@dataclass(frozen=True)
class IndexRange:
    """Indices from `start` to `stop`, whose number is a multiple of `divisor`."""

    start: Register
    stop: Register
    divisor: int = 1

    @property
    def length(self) -> int | None:
        """The number of indices where it is known now."""
        a, b = self.start.literal, self.stop.literal
        return None if a is None or b is None else int(b) - int(a)

    def whole(self, step: int) -> Register:
        """Where the last whole `step` ends."""
        if self.divisor % step == 0:
            return self.stop
        return self.start + (self.stop - self.start) // step * step


class Sweep:
    """Runs through the vector axis: `unroll` vectors at a time, then single vectors, then what is less than one
    (masked on targets with masks, else element by element)."""

    def __init__(self, fn: Function, e: LaneEmitter, reductions: Sequence[Reduction], size: int) -> None:
        self._fn = fn
        self._e = e
        self._one = LaneEmitter(fn, e.target, 1)
        self._masked = e.target.vector_bytes >= 64
        self._tail = e.lanes > 1 and not self._masked and size % e.lanes != 0
        self._vectors = Accumulators([Slot(r, e) for r in reductions])
        self._singles = Accumulators([Slot(r, self._one) for r in reductions] if self._tail else [])
        self.accumulators = Accumulators([*self._vectors.slots, *self._singles.slots])

    def run(self, indices: IndexRange, unroll: int, visit: Visit) -> State:
        """`visit(i, emitter, count, mask, states)` for `count` vectors from index i on, which gives their states back;
        the state over all `indices`, laid out as `accumulators`."""
        width = len(self._vectors.identity())
        many = Accumulators(list(self._vectors.slots) * unroll)

        def group(i: Register, *carried: Register) -> State:
            states = [list(carried[u * width : (u + 1) * width]) for u in range(unroll)]
            return [v for state in visit(i, self._e, unroll, None, states) for v in state]

        step = self._e.lanes * unroll
        stop = indices.whole(step)
        carried = self._fn.loop(stop, many.identity(), group, start=indices.start, step=step)
        states = [carried[u * width : (u + 1) * width] for u in range(unroll)]
        while len(states) > 1:
            states = [self._vectors.combine(a, b) for a, b in zip(states[::2], states[1::2], strict=True)]
        state = states[0]
        if indices.divisor % step == 0:
            return [*state, *self._singles.identity()]
        return self._rest(IndexRange(stop, indices.stop, indices.divisor), state, visit)

    def _rest(self, indices: IndexRange, state: State, visit: Visit) -> State:
        lanes, fn = self._e.lanes, self._fn
        vectors_only = indices.divisor % lanes == 0
        masked = self._masked and not vectors_only

        def vector(i: Register, *carried: Register) -> State:
            mask = None
            if masked:
                left = indices.stop - i
                mask = fn.lane_mask(lanes, left if left.literal is None else int(left.literal))
            return list(visit(i, self._e, 1, mask, [list(carried)])[0])

        def single(i: Register, *carried: Register) -> State:
            return list(visit(i, self._one, 1, None, [list(carried)])[0])

        end = indices.stop if masked else indices.whole(lanes)
        state = fn.loop(end, state, vector, start=indices.start, step=lanes)
        if not self._tail:
            return [*state, *self._singles.identity()]
        return [*state, *fn.loop(indices.stop, self._singles.identity(), single, start=end)]


def in_blocks(
    fn: Function, indices: IndexRange, block: int, sums: Accumulators, run: Callable[[IndexRange], State]
) -> State:
    """`run` over blocks of `indices`, whose states are combined: an accumulator takes few additions before it is added
    to the next level's, so that rounding errors grow slowly."""
    if indices.length is not None and indices.length <= 2 * block:
        return run(indices)
    stop = indices.whole(block)

    def body(start: Register, *state: Register) -> State:
        return sums.combine(list(state), run(IndexRange(start, start + block, block)))

    total = fn.loop(stop, sums.identity(), body, start=indices.start, step=block)
    if indices.divisor % block == 0 or (indices.length is not None and indices.length % block == 0):
        return total
    return sums.combine(total, run(IndexRange(stop, indices.stop, indices.divisor)))
