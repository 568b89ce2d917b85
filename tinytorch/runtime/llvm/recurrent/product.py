"""Products of a few rows with weights that all steps share: these are packed once, in panels of columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.contract.microkernel.tile import Source, TileKey, tile_function
from tinytorch.runtime.llvm.contract.operands.pack import pack_columns, pack_transposed
from tinytorch.runtime.llvm.contract.parts import least, where_differ
from tinytorch.runtime.llvm.contract.plan.cut import Tile
from tinytorch.runtime.llvm.contract.plan.tiles import accumulators, choose_tile
from tinytorch.runtime.llvm.contract.sums import summation_of
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target

_ROWS = 16  # of the batch, for one chunk: enough for a product that does not wait for the weights
_CHUNK_FLOPS = 1 << 17  # of a step; rows are cut in two from twice as much on, so that two threads share them
_PACKED_BYTES = 64 << 10  # that a chunk packs, at least


@dataclass(frozen=True)
class Product:
    """`rows` of the batch times weights `b` [k, n], of any strides; a chunk takes `chunk_rows`, whole tiles of them
    unless it takes all."""

    b: Buffer
    rows: int
    tile: Tile
    chunk_rows: int
    target: Target

    @property
    def k(self) -> int:
        return self.b.shape[0]

    @property
    def n(self) -> int:
        return self.b.shape[1]

    @property
    def chunks(self) -> int:
        return -(-self.rows // self.chunk_rows)

    @property
    def lanes(self) -> int:
        return self.target.lanes(self.b.dtype)

    @property
    def panel(self) -> int:
        return self.tile.vectors * self.lanes

    @property
    def panels(self) -> int:
        return -(-self.n // self.panel)

    @property
    def panel_bytes(self) -> int:
        return aligned(self.k * self.panel * self.b.dtype.size)

    @property
    def packed_bytes(self) -> int:
        return self.panels * self.panel_bytes

    @property
    def _panels_per_chunk(self) -> int:
        return -(-_PACKED_BYTES // self.panel_bytes)

    @property
    def pack_chunks(self) -> int:
        return -(-self.panels // self._panels_per_chunk)

    def with_weights(self, b: Buffer) -> Product:
        """The same rows, in the same tiles of rows, times other weights."""
        return replace(self, b=b, tile=Tile(self.tile.rows, min(self.tile.vectors, -(-b.shape[1] // self.lanes))))

    def write_packing(self, fn: Function, source: Register, to: Register) -> None:
        """The packing of the weights: `fn` is a phase, whose second argument is the chunk."""
        first = fn.params[1] * self._panels_per_chunk
        last = least(first + self._panels_per_chunk, self.panels)

        def pack(number: Register) -> None:
            def panel(width: int) -> None:
                start = fn.at(source, number * (self.panel * self.b.column_bytes))
                end = fn.at(to, number * self.panel_bytes)
                fn.call(self._packer(fn.module, width), [start, end, fn.const(self.k)])

            rest = self.n % self.panel
            if not rest:
                panel(self.panel)
            else:
                whole = fn.compare("slt", number, fn.const(self.n // self.panel))
                fn.if_(whole, lambda: panel(self.panel), lambda: panel(rest))

        fn.loop(last, [], pack, start=first)

    def _packer(self, module: Module, width: int) -> Function:
        along = self.b.strides[0] == 1 and self.b.strides[1] != 1 and self.k >= self.lanes
        return (pack_transposed if along else pack_columns)(module, self.b, width, self.lanes, self.target)

    def write(
        self,
        fn: Function,
        rows: Register,
        a: tuple[Register, int],
        packed: Register,
        to: tuple[Register, int],
        add: bool = False,
    ) -> None:
        """to = a @ b for `rows` rows, or to + a @ b where it shall `add`; a and `to` are pointers, and the bytes from
        one row to the next."""
        size, tall, whole = self.b.dtype.size, self.tile.rows, rows // self.tile.rows * self.tile.rows

        def panel(number: Register, width: int) -> None:
            b = fn.at(packed, number * self.panel_bytes)
            end = fn.at(to[0], number * (self.panel * size))

            def tile(row: Register, count: int) -> None:
                key = self._key(count, width, a[1], add)
                start, result = fn.at(a[0], row * a[1]), fn.at(end, row * to[1])
                flag = fn.const(int(add))
                fn.call(tile_function(fn.module, key), [start, b, result, fn.const(to[1]), fn.const(self.k), flag])

            fn.loop(whole, [], lambda row: tile(row, tall), step=tall)
            if self.rows % tall:
                where_differ(fn, rows, whole, lambda: tile(whole, self.rows % tall))

        full, rest = divmod(self.n, self.panel)
        fn.loop(full, [], lambda number: panel(number, self.panel))
        if rest:
            panel(fn.const(full), rest)

    def _key(self, rows: int, width: int, a_step: int, add: bool) -> TileKey:
        dtype, vectors = self.b.dtype, -(-width // self.lanes)
        a = Source(dtype, a_step, dtype.size)
        b = Source(dtype, dtype.size, vectors * self.lanes * dtype.size)
        sums = summation_of(self.k, dtype)
        return TileKey(
            "outer", Tile(rows, vectors), width, self.lanes, a, b, accumulates=add, target=self.target, summation=sums
        )


def plan_product(b: Buffer, rows: int, target: Target) -> Product:
    """The cut of `rows` rows; it depends on shapes alone."""
    flops = 2 * rows * b.shape[0] * b.shape[1]
    parts = min(rows, max(-(-rows // _ROWS), min(2, flops // _CHUNK_FLOPS)))
    share = -(-rows // parts)
    tile = choose_tile(share, b.shape[1], target.lanes(b.dtype), accumulators(b.dtype, target))
    return Product(b, rows, tile, min(rows, -(-share // tile.rows) * tile.rows), target)
