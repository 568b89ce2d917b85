"""Which tile of sums a microkernel holds in registers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.operands.layout import Product
from tinytorch.runtime.llvm.contract.plan.cut import TALLEST, Streams, Tile
from tinytorch.runtime.llvm.contract.plan.items import wanted_chunks
from tinytorch.runtime.llvm.contract.shares import makespan, share
from tinytorch.runtime.llvm.text.target import Target

STREAMED_VECTOR = 0.4  # of a multiply-add: what a vector of b costs that comes from L2


def accumulators(compute: DType, target: Target) -> int:
    """Registers that may hold sums: a quarter is left for operands, more where fma needs a temporary."""
    most = target.vector_registers * 3 // 4
    return most if target.has_fma and compute.is_float else most - 2


def choose_tile(
    m: int, n: int, lanes: int, most: int, unit: int = 1, streamed: float = 0.0, tallest: int = TALLEST, wide: int = 0
) -> Tile:
    """The tile with the least estimated time over the whole result, its rows a multiple of `unit`, its width that of
    `wide` vectors if not 0.

    A step of k costs one issue slot per accumulator, a fraction of one per operand loaded, and never less than the
    latency of a multiply-add; each further tile shape in use costs compile time. `streamed` is what a vector of b
    costs beyond that where it does not come from L1.
    """
    vectors = -(-n // lanes)
    if unit * wide > most:
        return Tile(unit, wide)  # whose sums are not all in registers
    tiles = _candidates(m, [wide] if wide else range(1, min(vectors, 16) + 1), most, unit, tallest)
    return min(tiles, key=lambda tile: _estimate(m, vectors, tile, streamed))


def _candidates(m: int, widths: Sequence[int], most: int, unit: int, tallest: int) -> Iterator[Tile]:
    for wide in widths:
        tall_most = min(m, most // wide, tallest) // unit
        for tall in range(max(1, tall_most // 2), tall_most + 1):
            yield Tile(tall * unit, wide)


def _estimate(m: int, vectors: int, tile: Tile, streamed: float) -> float:
    rows = [(tile.rows, m // tile.rows), (m % tile.rows, 1)]
    columns = [(tile.vectors, vectors // tile.vectors), (vectors % tile.vectors, 1)]
    shapes = [(h, w, p * q) for h, p in rows for w, q in columns if h and w and p and q]
    steps = sum(count * max(h * w + 0.125 * (h + w) + streamed * w + 0.5, 6.0) for h, w, count in shapes)
    return steps * (1 + 0.015 * len(shapes))


def lanes_of(product: Product, target: Target) -> int:
    """Of a vector; panels hold whole ones."""
    return math.gcd(product.panels, target.lanes(product.compute))


def tile_of_panel(product: Product, lanes: int, most: int, tallest: int) -> Tile:
    """The best tile as wide as the panels that b lies in."""
    wide = product.panels // lanes
    if product.pairs == "widen":  # two elements of each row of a are held as well
        tallest = max(1, min(tallest, (most + most // 3 - 2) // (wide + 2)))
    tiles = [Tile(tall, wide) for tall in range(1, min(product.m, max(1, most // wide), tallest) + 1)]
    return min(tiles, key=lambda tile: _estimate(product.m, -(-product.n // lanes), tile, STREAMED_VECTOR))


def dot_tile(product: Product, lanes: int, most: int) -> Tile:
    """Up to four rows of a, and columns, a power of two of them, that are read together."""
    rows = min(product.m, 4)
    columns = min(8, lanes, most // rows)
    return Tile(rows, 1 << (columns.bit_length() - 1))


def streamed_tile(product: Product, most: int) -> tuple[Tile, Streams]:
    """Four columns at a time, so that four multiply-adds follow each load of a.

    Side by side they would be streams of the length of a column, of which the hardware prefetches too little: from
    memory that reads at a third of the rate of long ones.
    """
    rows = min(product.m, 4)
    columns = 4 if rows * 4 <= most else 2
    return Tile(rows, columns), Streams(max(1, min(8 // columns, most // (rows * columns))))


def streamed_panel(product: Product, tile: Tile, target: Target) -> int:
    """Columns of a panel: some 64 for each stream, but fewer where they would not share well among two threads, or
    where further tiles of rows would not find them in L2."""
    most = product.n if product.m <= tile.rows else target.l2_bytes // 2 // (product.k * product.compute.size)
    wanted = wanted_chunks(product)
    panels = [tile.vectors * long for long in range(64, 0, -8) if tile.vectors * long <= most] or [tile.vectors * 4]

    def uneven(panel: int) -> float:
        return round(20 * makespan(product.n, share(product.n, wanted, 1, panel), 2))

    return min(panels, key=uneven)
