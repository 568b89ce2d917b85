"""The operands of an attention kernel, and what its products are cut into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.ir.graph import Node
from tinytorch.ir.ops.attention import Attention
from tinytorch.ir.types import DType, f32
from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.contract.microkernel.tile import Source, TileKey, tile_function
from tinytorch.runtime.llvm.contract.operands.pack import pack_columns, pack_transposed
from tinytorch.runtime.llvm.contract.parts import least, where_differ
from tinytorch.runtime.llvm.contract.plan.cut import Tile
from tinytorch.runtime.llvm.contract.plan.tiles import accumulators
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target

TILES = 4  # of rows, whose scores for a panel of keys are computed while that is in L1


@dataclass(frozen=True)
class Heads:
    """Sizes, layouts, and the microkernels' tile: `tall` rows by `panel` columns."""

    how: Attention
    q: Buffer
    k: Buffer
    v: Buffer
    extras: dict[str, Buffer]
    target: Target

    @staticmethod
    def of(node: Node, operands: Sequence[Buffer], target: Target) -> Heads:
        how = Attention(**node.attrs)
        q, k, v = operands[:3]
        return Heads(how, q, k, v, dict(zip(how.extras, operands[3:], strict=False)), target)

    @property
    def batch(self) -> int:
        return self.q.shape[0]

    @property
    def count(self) -> int:
        """Of heads."""
        return self.q.shape[1]

    @property
    def shared(self) -> int:
        """Heads that read the same keys."""
        return self.count // max(1, self.k.shape[1])

    @property
    def queries(self) -> int:
        return self.q.shape[2]

    @property
    def keys(self) -> int:
        return self.k.shape[2]

    @property
    def width(self) -> int:
        """Of q and k."""
        return self.q.shape[3]

    @property
    def depth(self) -> int:
        """Of v and the result."""
        return self.v.shape[3]

    @property
    def compute(self) -> DType:
        return self.q.dtype if self.q.dtype.bits > 16 else f32

    @property
    def size(self) -> int:
        return self.compute.size

    @property
    def lanes(self) -> int:
        return self.target.lanes(self.compute)

    @property
    def wide(self) -> int:
        """Vectors of a panel."""
        return 4 if self._registers >= 24 else 2

    @property
    def tall(self) -> int:
        return self._registers // self.wide

    @property
    def _registers(self) -> int:
        return accumulators(self.compute, self.target)

    @property
    def panel(self) -> int:
        return self.wide * self.lanes

    @property
    def rows(self) -> int:
        """Of queries that are computed together."""
        return self.tall * TILES

    def pitch(self, columns: int) -> int:
        """Bytes from row to row of a packed matrix: whole vectors."""
        return -(-columns // self.lanes) * self.lanes * self.size


@dataclass(frozen=True)
class Matrix:
    """Rows in memory: where they begin, and the bytes from row to row and from column to column."""

    at: Register
    row: int
    column: int


class Products:
    """Calls of microkernels and of what packs their operands, in one function. Packed rows, and those of sums, are
    whole vectors."""

    def __init__(self, module: Module, fn: Function, heads: Heads) -> None:
        self.module, self.fn, self.heads = module, fn, heads

    def add(self, a: Matrix, b: Matrix, to: Matrix, rows: Register, columns: int, depth: Register, most: int) -> None:
        """to += a b, of `rows` rows, of which there are `most` in all, by `columns` columns: whole tiles, and what is
        left of `most`."""
        self._tiles(a, b, to, rows, columns, depth, most, accumulates=True)

    def store(self, a: Matrix, b: Matrix, to: Matrix, rows: Register, columns: int, depth: Register, most: int) -> None:
        """to = a b."""
        self._tiles(a, b, to, rows, columns, depth, most, accumulates=False)

    def add_any(self, a: Matrix, b: Matrix, to: Matrix, rows: Register, columns: int, depth: Register) -> None:
        """to += a b, of any number of rows; a and to have whole tiles of them, of zeros behind the last."""
        self._tiles(a, b, to, rows + (self.heads.tall - 1), columns, depth, 0, accumulates=True)

    def dots(self, a: Matrix, b: Matrix, to: Matrix, rows: int, count: Register) -> None:
        """to = a bᵀ, of `rows` rows by `count` rows of b where they lie, both contiguous along the last axis."""
        fn, heads = self.fn, self.heads
        most = accumulators(heads.compute, heads.target) // rows
        wide = 1 << (min(8, max(1, most)).bit_length() - 1)

        def columns(j: Register, number: int) -> None:
            key = TileKey(
                form="dot",
                tile=Tile(rows, wide),
                width=number,
                lanes=heads.lanes,
                a=Source(heads.compute, a.row, a.column),
                b=Source(heads.compute, b.row, b.column),
                accumulates=False,
                target=heads.target,
            )
            args = [a.at, fn.at(b.at, j * b.row), fn.at(to.at, j * heads.size), fn.const(to.row)]
            fn.call(tile_function(self.module, key), [*args, fn.const(heads.width), fn.const(0)])

        whole = count // wide * wide
        fn.loop(whole, [], lambda j: columns(j, wide), step=wide)
        fn.loop(count, [], lambda j: columns(j, 1), start=whole)

    def scores(
        self,
        a: Matrix,
        panels: Register,
        depth: int,
        to: Matrix,
        rows: Register,
        first: Register,
        count: Register,
        most: int,
    ) -> None:
        """to = a times panels of `count` keys from key `first` on; the last panel of all keys may be a smaller one. Of
        one that `count` ends in the first half of, which is usual where keys are not seen, that half."""
        fn, heads = self.fn, self.heads
        panel_bytes = heads.panel * depth * heads.size

        def part(j: Register, columns: int, pitch: int) -> None:
            b = Matrix(fn.at(panels, j // heads.panel * panel_bytes), pitch, heads.size)
            there = Matrix(fn.at(to.at, j * heads.size), to.row, to.column)
            self.store(a, b, there, rows, columns, fn.const(depth), most)

        def panel(j: Register, columns: int) -> None:
            pitch, half = heads.pitch(columns), heads.panel // 2
            if columns == heads.panel and heads.how.causal:
                few = fn.compare("sle", count - j, fn.const(half))
                fn.if_(few, lambda: part(j, half, pitch), lambda: part(j, columns, pitch))
            else:
                part(j, columns, pitch)

        fn.loop(count, [], lambda j: self._either(first + j, lambda columns: panel(j, columns)), step=heads.panel)

    def _either(self, key: Register, panel: Callable[[int], None]) -> None:
        """`panel(columns)` for the panel that begins with a key: all panels are whole, but the last one of all keys."""
        fn, heads = self.fn, self.heads
        rest = heads.keys % heads.panel
        if rest and heads.keys > heads.panel:
            ends = fn.compare("sgt", key, fn.const(heads.keys - heads.panel))
            fn.if_(ends, lambda: panel(rest), lambda: panel(heads.panel))
        else:
            panel(rest or heads.panel)

    def _tiles(
        self,
        a: Matrix,
        b: Matrix,
        to: Matrix,
        rows: Register,
        columns: int,
        depth: Register,
        most: int,
        *,
        accumulates: bool,
    ) -> None:
        fn, heads = self.fn, self.heads
        tall, size = heads.tall, heads.size

        def tile(i: Register, count: int, first: int) -> None:
            vectors = -(-min(heads.panel, columns - first) // heads.lanes)
            key = TileKey(
                form="outer",
                tile=Tile(count, vectors),
                width=vectors * heads.lanes,
                lanes=heads.lanes,
                a=Source(heads.compute, a.row, a.column),
                b=Source(heads.compute, b.column, b.row),
                accumulates=accumulates,
                target=heads.target,
            )
            to_at = fn.at(to.at, i * to.row + first * size)
            args = [fn.at(a.at, i * a.row), fn.at(b.at, first * b.column), to_at, fn.const(to.row), depth]
            fn.call(tile_function(self.module, key), [*args, fn.const(int(accumulates))])

        whole, rest = rows // tall * tall, most % tall
        for first in range(0, columns, heads.panel):
            fn.loop(whole, [], lambda i, first=first: tile(i, tall, first), step=tall)
            if rest:
                where_differ(fn, rows, whole, lambda first=first: tile(whole, rest, first))

    def pack_rows(self, source: Register, x: Buffer, to: Register, rows: Register) -> None:
        """Rows of x side by side, in the dtype of the sums, with `Heads.pitch`."""
        pack = pack_columns(self.module, _matrix(x), x.shape[-1], self.heads.lanes, self.heads.target)
        self.fn.call(pack, [source, to, rows])

    def pack_panels(self, source: Register, x: Buffer, to: Register, first: Register, count: Register) -> None:
        """Rows of x as columns, in panels of `Heads.panel` of them: `count` rows of those from `source`, number `first`
        of all; the last panel of all may have fewer."""
        fn, heads = self.fn, self.heads
        width = x.shape[-1]
        turned = _matrix(x).transposed()
        quick = turned.strides[0] == 1 and width >= heads.lanes
        bytes_ = width * heads.panel * heads.size

        def panel(j: Register, columns: int) -> None:
            emit = pack_transposed if quick else pack_columns
            function = emit(self.module, turned, columns, heads.lanes, heads.target)
            to_at = fn.at(to, j // heads.panel * bytes_)
            fn.call(function, [fn.at(source, j * turned.column_bytes), to_at, fn.const(width)])

        fn.loop(count, [], lambda j: self._either(first + j, lambda columns: panel(j, columns)), step=heads.panel)


def _matrix(x: Buffer) -> Buffer:
    """The last two axes."""
    return Buffer(x.dtype, x.shape[-2:], x.strides[-2:])


class Scratch:
    """Areas of a thread's memory, one behind the other."""

    def __init__(self) -> None:
        self.bytes = 0

    def area(self, size: int) -> int:
        """Where a new area of `size` bytes begins; vectors may overhang its end."""
        at, self.bytes = self.bytes, self.bytes + aligned(size) + 128
        return at


def at_entry(fn: Function, pointer: Register, x: Buffer, *indices: Register) -> Register:
    """The pointer of a buffer at the first axes' indices."""
    for index, step in zip(indices, x.strides_bytes, strict=False):
        pointer = fn.at(pointer, index * step)
    return pointer


def between(fn: Function, x: Register, most: Register) -> Register:
    """x, but at least 0 and at most `most`."""
    x = least(x, most)
    return fn.select(fn.compare("sgt", x, fn.const(0)), x, fn.const(0))
