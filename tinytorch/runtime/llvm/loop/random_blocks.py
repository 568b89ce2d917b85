"""Random blocks that the vectors of a group share: 64 elements in a row take all four words of 16 blocks."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.emitter import Lane
from tinytorch.ir.graph import Node
from tinytorch.ir.ops.random import LANES, philox_block
from tinytorch.ir.types import i32, i64
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Register
from tinytorch.runtime.llvm.text.types import I64


class RandomBlocks:
    """The blocks of one group of vectors, whose first element's index is a multiple of 64."""

    def __init__(self) -> None:
        self._words: dict[tuple[Node, int], list[Register]] = {}

    def bits(self, e: LaneEmitter, node: Node, start: Register, shift: int, state: Sequence[Lane]) -> Lane:
        """The bits of the vector `shift` elements behind the group's first, whose index is `start`."""
        fn, first = e.fn, shift // LANES
        parts = [self._word(e, node, start, k, state) for k in range(first, first + max(1, e.lanes // LANES))]
        while len(parts) > 1:
            both = range(2 * (parts[0].type.lanes))
            parts = [fn.shuffle(a, b, both) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        if e.lanes < LANES:
            return Lane(e, i32, fn.shuffle(parts[0], None, range(shift % LANES, shift % LANES + e.lanes)))
        return Lane(e, i32, parts[0])

    def _word(self, e: LaneEmitter, node: Node, start: Register, number: int, state: Sequence[Lane]) -> Register:
        """The `number`-th 16 elements."""
        group, word = divmod(number, 4)
        if (node, group) not in self._words:
            wide = LaneEmitter(e.fn, e.target, LANES)
            seed, offset = (wide.lane(e.fn.extract(e.value(x), 0), i64) for x in state)
            lanes = Lane(wide, i64, e.fn.constants(list(range(LANES)), I64.widen(LANES)))
            counter = offset + wide.lane((start >> 2) + group * LANES, i64) + lanes
            self._words[node, group] = [wide.value(w.cast(i32)) for w in philox_block(wide, counter, seed)]
        return self._words[node, group][word]
