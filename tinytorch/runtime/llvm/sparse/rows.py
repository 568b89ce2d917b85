"""Many rows: vectors run along the rows of x, of which an entry meets all with one weight.

x is transposed, and so are the sums, which are turned back, block by block in L1, for what follows them.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.ops.sparse import SparseLayout
from tinytorch.ir.types import DType
from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.contract.plan.tiles import accumulators
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter, register_type
from tinytorch.runtime.llvm.lanes.transpose import square_transpose
from tinytorch.runtime.llvm.sparse.items import Sums
from tinytorch.runtime.llvm.sparse.lines import Lines
from tinytorch.runtime.llvm.sparse.slabs import Slab, Slabs
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I8, I64

_MOST_VECTORS = 4  # of a tile
_MOST_BYTES = 128  # of a line, so that those of a block stay in L1
_CHAINS = 4  # sums that are added up side by side, at least


def tile_of(rows: int, side_by_side: int, dtype: DType, target: Target) -> int:
    """The rows of a tile: whole vectors, whose sums for columns side by side leave registers for operands."""
    lanes = target.lanes(dtype)
    most = max(1, min(_MOST_VECTORS, _MOST_BYTES // target.vector_bytes, accumulators(dtype, target) // side_by_side))
    vectors = -(-rows // lanes)
    return -(-vectors // -(-vectors // most)) * lanes


def scratch_bytes(sums: Sums) -> int:
    """Of a thread, for the sums of a tile as they are found, and turned."""
    return aligned(sums.bytes) + sums.bytes + sums.target.vector_bytes


def write_group(
    fn: Function, slabs: Slabs, lines: Lines, sums: Sums, x: Register, own: Register, tile: Register, group: Register
) -> None:
    """The results of a tile of rows and a group of columns. The lines of the tile begin at `x`; `own` is scratch memory
    of the thread."""
    turned = fn.at(own, aligned(sums.bytes))
    fn.fill(own, 0, sums.bytes)
    slabs.loop(group, _Rows(fn, slabs, lines, sums, x, own).slab)
    _turn(fn, sums, own, turned)
    sums.finish(fn, turned, tile, group)


def _turn(fn: Function, sums: Sums, found: Register, turned: Register) -> None:
    """From [pitch, tile] to [tile, pitch]."""
    dtype, lanes, size = sums.compute, sums.target.lanes(sums.compute), sums.compute.size
    square = square_transpose(sums.module, sums.target, dtype, dtype, lanes)
    line, row = sums.tile * size, sums.pitch * size

    def columns(j: Register) -> None:
        for i in range(0, sums.tile, lanes):
            start, to = fn.at(found, j * line + i * size), fn.at(turned, j * size + i * row)
            fn.call(square, [start, fn.const(line), to, fn.const(row)])

    fn.loop(sums.pitch, [], columns, step=lanes)


class _Rows:
    def __init__(self, fn: Function, slabs: Slabs, lines: Lines, sums: Sums, x: Register, own: Register) -> None:
        self.fn, self.slabs, self.lines, self.x, self.own = fn, slabs, lines, x, own
        self.layout: SparseLayout = slabs.layout
        self.target = sums.target
        self.lanes = sums.target.lanes(sums.compute)
        self.vectors = LaneEmitter(fn, sums.target, self.lanes)
        self.count = lines.tile // self.lanes

    def slab(self, slab: Slab) -> None:
        fn, dtype, size = self.fn, self.layout.dtype, self.layout.dtype.size
        block = fn.at(self.x, slab.block * self.lines.block_bytes)
        zero = fn.zero(register_type(dtype, self.lanes))
        scalar = register_type(dtype, 1)
        vector = self.lanes * size

        def step(values: Register, rows: Register, sums: Sequence[Register]) -> Sequence[Register]:
            row = fn.convert("zext", fn.load(rows, I8), I64)
            line = fn.at(block, row * self.lines.line_bytes)
            x = [self.vectors.load(line, dtype, i * vector) for i in range(self.count)]
            following = list(sums)
            for column in range(self.layout.lanes):
                w = self.vectors.lane(fn.load(values, scalar, column * size), dtype)
                for i, a in enumerate(x):
                    n = column * self.count + i
                    following[n] = self.vectors.value(self.vectors.fma(a, w, self.vectors.lane(sums[n], dtype)))
            return following

        held = self.layout.lanes * self.count
        found = self.slabs.steps(slab, max(1, _CHAINS // held), [zero] * held, step)
        to = fn.at(self.own, self.slabs.column(slab, 0) * self.lines.line_bytes)
        for n, total in enumerate(found):
            at = fn.at(to, n // self.count * self.lines.line_bytes + n % self.count * vector)
            fn.store(fn.load(at, total.type) + total, at)
