"""Random blocks that the vectors of a group share: 64 elements in a row take all numbers of 4 blocks."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.graph import Node
from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.ops.random import NUMBERS, round_keys
from tinytorch.ir.types import i32, i64
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.lanes.random_numbers import random_numbers
from tinytorch.runtime.llvm.text.builder import Register
from tinytorch.runtime.llvm.text.types import I32

_BLOCKS = 4
BLOCK_ELEMENTS = _BLOCKS * NUMBERS  # elements that take all of them


class RandomBlocks:
    """The blocks of one group of vectors, whose first element's index is a multiple of 64."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Node, int], tuple[Register, Register]] = {}

    def bits(self, e: LaneEmitter, node: Node, start: Register, shift: int, state: Sequence[Lane]) -> Lane:
        """The bits of the vector `shift` elements behind the group's first, whose index is `start`."""
        fn, size = e.fn, min(e.lanes, BLOCK_ELEMENTS // 2)
        parts = [self._part(e, node, start, at, size, state) for at in range(shift, shift + e.lanes, size)]
        while len(parts) > 1:
            both = range(2 * parts[0].type.lanes)
            parts = [fn.shuffle(a, b, both) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        return Lane(e, i32, fn.convert("sext", parts[0], I32.widen(e.lanes)))

    def _part(
        self, e: LaneEmitter, node: Node, start: Register, shift: int, size: int, state: Sequence[Lane]
    ) -> Register:
        """The numbers of `size` elements, which lie in one vector of them."""
        group, at = divmod(shift, BLOCK_ELEMENTS)
        if (node, group) not in self._numbers:
            wide = LaneEmitter(e.fn, e.target, _BLOCKS)
            seed, offset = (e.fn.extract(e.value(x), 0) for x in state)
            counter = offset + (start >> NUMBERS.bit_length() - 1) + group * _BLOCKS
            starts = counter, counter + _BLOCKS // 2
            self._numbers[node, group] = random_numbers(wide, starts, round_keys(wide.lane(seed, i64)))
        vector, first = divmod(at, BLOCK_ELEMENTS // 2)
        return e.fn.shuffle(self._numbers[node, group][vector], None, range(first, first + size))
