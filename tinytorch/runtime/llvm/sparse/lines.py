"""Rows of x, brought into tiles in which the elements of one k lie side by side: the first phase of every kernel."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.contract.parts import least
from tinytorch.runtime.llvm.kernel import Buffer, Phase
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.lanes.transpose import square_transpose
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR


@dataclass(frozen=True)
class Lines:
    """x [rows, depth] as [tiles, blocks, pitch, tile]: `tile` rows of x, and blocks of k of `each` lines, behind which
    zeros fill `pitch` lines. What overhangs the rows of x is unspecified."""

    x: Buffer
    tile: int
    blocks: int
    each: int
    pitch: int
    target: Target

    @property
    def tiles(self) -> int:
        return -(-self.x.shape[0] // self.tile)

    @property
    def line_bytes(self) -> int:
        return self.tile * self.x.dtype.size

    @property
    def block_bytes(self) -> int:
        return self.pitch * self.line_bytes

    @property
    def tile_bytes(self) -> int:
        return self.blocks * self.block_bytes

    @property
    def bytes(self) -> int:
        return aligned(self.tiles * self.tile_bytes)

    def write(self, module: Module, name: str, scratch: int) -> Phase:
        """The phase that fills them; x is the first pointer of the frame, and they lie where pointer `scratch` says."""
        fn = module.function(name, [PTR, I64])
        item = fn.params[1]
        tile, block = item // self.blocks, item % self.blocks
        rows = least(self.x.shape[0] - tile * self.tile, self.tile)
        depth = least(self.x.shape[1] - block * self.each, self.each)
        size = self.x.row_bytes, self.x.column_bytes
        source = fn.load(fn.params[0], PTR)
        source = fn.at(source, tile * (self.tile * size[0]) + block * (self.each * size[1]))
        to = fn.at(fn.load(fn.params[0], PTR, 8 * scratch), item * self.block_bytes)
        if self.pitch > self.each or self.blocks * self.each > self.x.shape[1]:
            fn.fill(to, 0, self.block_bytes)
        self._copy(fn, source, to, rows, depth)
        fn.ret()
        return Phase(name, self.tiles * self.blocks)

    def _copy(self, fn: Function, source: Register, to: Register, rows: Register, depth: Register) -> None:
        dtype, lanes = self.x.dtype, self.target.lanes(self.x.dtype)
        along = self.x.strides[1] == 1 or self.x.shape[1] == 1
        if self.tile == 1 and along:
            fn.copy(to, source, depth * dtype.size)
        elif along and self.tile % lanes == 0 and lanes > 1:
            self._transpose(fn, source, to, rows, depth, lanes)
        else:
            self._one_by_one(fn, source, to, rows, depth, fn.const(0))

    def _transpose(
        self, fn: Function, source: Register, to: Register, rows: Register, depth: Register, lanes: int
    ) -> None:
        """Squares; then the columns that are left."""
        dtype = self.x.dtype
        square = square_transpose(fn.module, self.target, dtype, dtype, lanes, partial=True)
        whole = depth // lanes * lanes

        def rows_of(i: Register) -> None:
            def columns_of(k: Register) -> None:
                start = fn.at(source, i * self.x.row_bytes + k * dtype.size)
                place = fn.at(to, k * self.line_bytes + i * dtype.size)
                steps = [fn.const(self.x.row_bytes), place, fn.const(self.line_bytes)]
                fn.call(square, [start, *steps, least(rows - i, lanes)])

            fn.loop(whole, [], columns_of, step=lanes)

        fn.loop(rows, [], rows_of, step=lanes)
        self._one_by_one(fn, source, to, rows, depth, whole)

    def _one_by_one(
        self, fn: Function, source: Register, to: Register, rows: Register, depth: Register, first: Register
    ) -> None:
        scalar = LaneEmitter(fn, self.target, 1)

        def row(i: Register) -> None:
            def column(k: Register) -> None:
                start = fn.at(source, i * self.x.row_bytes + k * self.x.column_bytes)
                place = fn.at(to, k * self.line_bytes + i * self.x.dtype.size)
                scalar.store(scalar.load(start, self.x.dtype), place)

            fn.loop(depth, [], column, start=first)

        fn.loop(rows, [], row)
