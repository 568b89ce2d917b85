"""How a matrix product is cut up: register tile, packing, blocks of K, and the chunks that threads claim.

All choices follow from the shape, the layouts and the Target by the small model below, never from the number of
threads: the sum behind an element is the same whoever computes it.

A chunk is a run of items; an item is a block of the result of one batch entry. Inside an item the loops are

    for each panel of columns (tile width):   b's panel, `k` rows of it, packed or in place, stays in L2
      for each block of k:                    one block, unless the panel would outgrow L2
        for each tile of rows:                accumulators in registers, over the whole block of k

or, where panels of a are packed and k is long, so that a's block stays in L2,

    for each block of k:                      the item's rows of a are packed
      for each panel of columns:
        for each tile of rows:                sums of all panels wait for the next block
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.layout import Product
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.target import Target

_PAGE = 4096
_CHUNK_FLOPS = 2 << 20  # some 20 µs on one core: far above what claiming a chunk costs
_CHUNK_BYTES = 512 << 10
_STREAM_BYTES = 256 << 10  # of products of few rows, which do little else than read: some 3 µs from a cache
_FEW_ROWS = 4
_MOST_CHUNKS = 48
_FEW_CHUNKS = 8
_PACKED_ROWS = 192  # rows per item that repay packing b's panel again for it
_PANEL_ROWS = 64  # rows that make reading a transposed a whole cache lines at a time
_PACKED_COLUMNS = 512  # columns per item that repay packing its rows of a again for it
TALLEST = 16  # rows of a tile
_STREAMED = 8  # vectors of k, at least, that repay adding up across lanes for fewer columns at a time
_DEPTH = 512  # steps of k, at most, for which panels of a are packed at once
_DOT_ROWS = 40  # with more rows than this, transposing b is always repaid


@dataclass(frozen=True)
class Tile:
    """What one microkernel call computes: `rows` × (`vectors` of lanes); for dot products `vectors` columns."""

    rows: int
    vectors: int


@dataclass(frozen=True)
class Streams:
    """Dot products whose tile has columns that are evenly spread over a panel: each is one of a few long streams
    through memory. `unroll` vectors of k are added up side by side."""

    unroll: int


@dataclass(frozen=True)
class ProductPlan:
    """The cut. `form` says along which axis vectors run: `outer` along n, `dot` along k.

    `pack_a`: `rows` copies (and converts) rows of a, `panels` interleaves the rows of each tile. `pack_b`: `copy`
    a row of the panel at a time, `transpose` squares where k is contiguous; `none` reads b in place.
    """

    form: Literal["outer", "dot"]
    lanes: int
    tile: Tile
    streams: Streams | None
    panel: int
    pack_a: Literal["none", "rows", "panels"]
    pack_b: Literal["none", "copy", "transpose"]
    k_block: int
    k_first: bool  # whether blocks of k are the outermost loop of an item
    item_rows: int
    item_columns: int
    items_per_chunk: int
    items: int

    @property
    def chunks(self) -> int:
        return -(-self.items // self.items_per_chunk)


def plan_product(product: Product, target: Target, grouped: bool = False) -> ProductPlan:
    """The cut for a product without empty axes (an empty k is fine); both operands are packed where `grouped`."""
    lanes = target.lanes(product.compute)
    form = "dot" if not grouped and _sums_along_k(product, lanes) else "outer"
    most = accumulators(product.compute, target)
    streams = None
    panel = lanes
    if form == "dot" and product.k >= _STREAMED * lanes:
        tile, streams = _streams(product, most)
        panel = _streamed_panel(product, tile, target)
    elif form == "dot":
        tile = _dot_tile(product, lanes, most)
    else:
        # One tile of rows: what b's columns are cut into is all that threads can share.
        parts = min(2, _wanted_chunks(product)) if product.m <= _FEW_ROWS else 1
        tile = choose_tile(product.m, -(-product.n // parts), lanes, most)
        panel = tile.vectors * lanes
    pack_b = _pack_b(product, target) if form == "outer" else "none"
    pack_a = _pack_a(product, panel) if form == "outer" else "none"
    if grouped:
        pack_a, pack_b = "rows", "copy"
    k_first = pack_a == "panels" and product.k > _DEPTH
    item_rows, item_columns = _item(product, tile, panel, pack_a, pack_b, k_first, target)
    if k_first:
        k_block = _even_blocks(product.k, _DEPTH, lanes)
    else:
        k_block = _k_block(product, panel, lanes, target) if pack_b != "none" else max(1, product.k)
    items = product.batches * -(-product.m // item_rows) * -(-product.n // item_columns)
    return ProductPlan(
        form=form,
        lanes=lanes,
        tile=tile,
        streams=streams,
        panel=panel,
        pack_a=pack_a,
        pack_b=pack_b,
        k_block=k_block,
        k_first=k_first,
        item_rows=item_rows,
        item_columns=item_columns,
        items_per_chunk=-(-items // _wanted_chunks(product)),
        items=items,
    )


def accumulators(compute: DType, target: Target) -> int:
    """Registers that may hold sums: a quarter is left for operands, more where fma needs a temporary."""
    most = target.vector_registers * 3 // 4
    return most if target.has_fma and compute.is_float else most - 2


def choose_tile(m: int, n: int, lanes: int, most: int, unit: int = 1) -> Tile:
    """The tile with the least estimated time over the whole result, its rows a multiple of `unit`.

    A step of k costs one issue slot per accumulator, a fraction of one per operand loaded, and never less than the
    latency of a multiply-add; each further tile shape in use costs compile time.
    """
    vectors = -(-n // lanes)
    return min(_candidates(m, vectors, most, unit), key=lambda tile: _estimate(m, vectors, tile))


def _candidates(m: int, vectors: int, most: int, unit: int) -> Iterator[Tile]:
    for wide in range(1, min(vectors, 16) + 1):
        tallest = min(m, most // wide, TALLEST) // unit
        for tall in range(max(1, tallest // 2), tallest + 1):
            yield Tile(tall * unit, wide)


def _estimate(m: int, vectors: int, tile: Tile) -> float:
    rows = [(tile.rows, m // tile.rows), (m % tile.rows, 1)]
    columns = [(tile.vectors, vectors // tile.vectors), (vectors % tile.vectors, 1)]
    shapes = [(h, w, p * q) for h, p in rows for w, q in columns if h and w and p and q]
    steps = sum(count * max(h * w + 0.125 * (h + w) + 0.5, 6.0) for h, w, count in shapes)
    return steps * (1 + 0.015 * len(shapes))


def _sums_along_k(product: Product, lanes: int) -> bool:
    """Whether both operands are contiguous along k and there is too little reuse to repay transposing b.

    Transposing costs about half a step per element of b; a dot product adds some eight steps across lanes to each
    sum, and a further row reads b again.
    """
    a, b = product.a, product.b
    contiguous = a.strides[-1] == 1 and b.strides[-2] == 1 and (b.strides[-1] != 1 or product.n == 1)
    return contiguous and product.k >= lanes and product.m <= max(4, min(_DOT_ROWS, product.k // 12))


def _dot_tile(product: Product, lanes: int, most: int) -> Tile:
    rows = min(product.m, 4)
    columns = min(8, lanes, most // rows)
    return Tile(rows, 1 << (columns.bit_length() - 1))


def _streams(product: Product, most: int) -> tuple[Tile, Streams]:
    """Four columns at a time, so that four multiply-adds follow each load of a.

    Side by side they would be streams of the length of a column, of which the hardware prefetches too little: from
    memory that reads at a third of the rate of long ones.
    """
    rows = min(product.m, 4)
    columns = 4 if rows * 4 <= most else 2
    return Tile(rows, columns), Streams(max(1, min(8 // columns, most // (rows * columns))))


def _streamed_panel(product: Product, tile: Tile, target: Target) -> int:
    """Columns of a panel: some 64 for each stream, but fewer where they would not share well among two threads, or
    where further tiles of rows would not find them in L2."""
    most = product.n if product.m <= tile.rows else target.l2_bytes // 2 // (product.k * product.compute.size)
    wanted = _wanted_chunks(product)
    panels = [tile.vectors * long for long in range(64, 0, -8) if tile.vectors * long <= most] or [tile.vectors * 4]

    def uneven(panel: int) -> float:
        return round(20 * _makespan(product.n, share(product.n, wanted, 1, panel), 2))

    return min(panels, key=uneven)


def _pack_b(product: Product, target: Target) -> Literal["none", "copy", "transpose"]:
    """Pack b where it cannot be read as vectors, or where its rows lie too far apart for the caches."""
    b = product.b
    if b.strides[-1] != 1:
        if product.m <= 4:
            return "none"
        return "transpose" if b.strides[-2] == 1 and product.k >= target.lanes(product.compute) else "copy"
    reused = product.m >= 48
    far = product.k * abs(b.row_bytes) > target.l2_bytes // 2
    colliding = b.row_bytes % _PAGE == 0 and product.k > 32
    convert = b.dtype is not product.compute
    return "copy" if reused and (far or colliding or convert) else "none"


def _pack_a(product: Product, panel: int) -> Literal["none", "rows", "panels"]:
    """Pack a where several panels read it and its elements lie apart, or must be converted."""
    a = product.a
    if product.n <= panel or product.m < 4:
        return "none"
    convert = a.dtype is not product.compute
    if abs(a.row_bytes) < abs(a.column_bytes):
        return "panels" if convert or product.k * abs(a.column_bytes) > 16 * _PAGE else "none"
    return "rows" if convert else "none"


def _k_block(product: Product, panel: int, lanes: int, target: Target) -> int:
    """All of k, or equal blocks of it such that b's panel takes at most half of L2."""
    return _even_blocks(product.k, max(lanes, target.l2_bytes // 2 // (panel * product.compute.size)), lanes)


def _even_blocks(k: int, most: int, lanes: int) -> int:
    """The length of equal blocks of k of about `most` steps at most."""
    blocks = max(1, -(-k // most))
    if blocks == 1:
        return max(1, k)
    block = -(-k // blocks // lanes) * lanes
    while 0 < k % block < lanes:  # a transposed panel needs a whole square
        block += lanes
    return block


def _wanted_chunks(product: Product) -> int:
    bytes_ = sum(_footprint(x) for x in (product.a, product.b, *product.results, *product.inputs))
    chunk = _STREAM_BYTES if product.m <= _FEW_ROWS else _CHUNK_BYTES
    return max(1, min(_MOST_CHUNKS, max(product.flops // _CHUNK_FLOPS, bytes_ // chunk)))


def _footprint(x: Buffer) -> int:
    return math.prod(size for size, stride in zip(x.shape, x.strides, strict=True) if stride) * x.dtype.size


def _item(
    product: Product, tile: Tile, panel: int, pack_a: str, pack_b: str, k_first: bool, target: Target
) -> tuple[int, int]:
    """(rows, columns) of an item: enough items for the wanted chunks, but as little packed twice as may be.

    Cuts that would pack more than a few percent again are made only where a few threads would be left idle.
    """
    wanted = -(-_wanted_chunks(product) // product.batches)
    rows_least = _PACKED_ROWS if pack_b != "none" else _PANEL_ROWS if pack_a == "panels" else 1
    columns_least = _PACKED_COLUMNS if pack_a != "none" else 1
    packed = product.m * min(product.k, _DEPTH if k_first else product.k) * product.compute.size
    packed = 2 * packed if k_first else packed if pack_a != "none" else 0
    rows = share(product.m, max(wanted, packed // target.l2_bytes), rows_least, tile.rows)
    columns = share(product.n, -(-wanted // -(-product.m // rows)), columns_least, panel)
    few = min(wanted, _FEW_CHUNKS)
    if -(-product.m // rows) * -(-product.n // columns) < few:
        rows = share(product.m, few, -(-rows_least // 2), tile.rows)
        columns = share(product.n, -(-few // -(-product.m // rows)), min(columns_least, panel), panel)
    return rows, columns


def share(size: int, parts: int, least: int, unit: int) -> int:
    """`size` cut into up to `parts` multiples of `unit`, each about `least` or more, so that few threads end together.

    Two threads come first, to within 5 %, then four and eight: the cut must not depend on how many there are.
    """
    counts = range(1, max(1, min(parts, size // least)) + 1)
    shares = {min(size, -(-size // count // unit) * unit) for count in counts}
    return min(sorted(shares, reverse=True), key=lambda s: (round(20 * _makespan(size, s, 2)), *_makespans(size, s)))


def _makespans(size: int, share: int) -> tuple[float, float]:
    return _makespan(size, share, 4), _makespan(size, share, 8)


def _makespan(size: int, share: int, threads: int) -> float:
    """How long `threads` take over pieces of `share`, the last one smaller, against an even split."""
    full, rest = divmod(size, share)
    rounds, last = divmod(full + (rest > 0), threads)
    time = rounds * share if last == 0 else rounds * share + (rest if last == 1 and rest else share)
    return time * threads / size
