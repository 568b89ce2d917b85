"""What the kernels share: the items that threads claim, and how the sums of an item become results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.epilogue import Epilogue, epilogue_function
from tinytorch.runtime.llvm.contract.grid import Grid
from tinytorch.runtime.llvm.contract.parts import least
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import PTR

_CHUNK_FLOPS = 256 << 10  # some 20 µs on one core, at the rate of sparse products
_CHUNK_BYTES = 128 << 10
_MOST_CHUNKS = 64  # more than threads, so that one that has claimed columns of many entries is not waited for


@dataclass(frozen=True)
class Items:
    """`count` parts of a result; a chunk computes `each` of them, the last one what is left."""

    count: int
    each: int

    @property
    def chunks(self) -> int:
        return -(-self.count // self.each)

    def loop(self, fn: Function, body: Callable[[Register], None]) -> None:
        """`body(item)` for those of the chunk that the function was called for."""
        first = fn.params[1] * self.each
        if self.each == 1:
            body(first)
        else:
            fn.loop(least(first + self.each, self.count), [], body, start=first)


def items_of(count: int, flops: int, read: int) -> Items:
    """Items in chunks that are worth claiming, for the operations and the bytes of all of them."""
    chunks = max(1, min(_MOST_CHUNKS, count, max(flops // _CHUNK_FLOPS, read // _CHUNK_BYTES)))
    return Items(count, -(-count // chunks))


@dataclass(frozen=True)
class Sums:
    """Sums of `tile` rows and `width` columns, and what becomes of them. They lie in rows of `pitch` elements, with
    room for a vector behind the last."""

    module: Module
    target: Target
    compute: DType
    epilogue: Epilogue
    results: tuple[Buffer, ...]
    tile: int
    width: int

    @property
    def lanes(self) -> int:
        """Of the epilogue's vectors: groups of columns end with whole ones, but for the last."""
        lanes = self.target.lanes(self.compute)
        while self.width % lanes and self.results[0].shape[1] > self.width:
            lanes //= 2
        return lanes

    @property
    def pitch(self) -> int:
        lanes = self.target.lanes(self.compute)
        return -(-self.width // lanes) * lanes

    @property
    def bytes(self) -> int:
        return self.tile * self.pitch * self.compute.size

    def finish(self, fn: Function, sums: Register, tile: Register, group: Register) -> None:
        """The results of the rows of a tile and the columns of a group."""
        rows, columns = self.results[0].shape
        row, column = tile * self.tile, group * self.width
        grid = Grid((), rows, columns, self.compute, self.results, self.epilogue.operands)
        finish = epilogue_function(self.module, grid, self.epilogue, self.lanes, self.pitch, self.target)
        size = [least(rows - row, self.tile), least(columns - column, self.width)]
        fn.call(finish, [fn.params[0], sums, *size, row, column, fn.const(0)])


def pointer(fn: Function, index: int) -> Register:
    """Of the frame."""
    return fn.load(fn.params[0], PTR, 8 * index)
