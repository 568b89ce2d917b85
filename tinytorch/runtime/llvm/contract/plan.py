"""How a matrix product is cut up: register tile, packing, blocks of K, and the chunks that threads claim.

All choices follow from the shape, the layouts and the Target by the small model below, never from the number of
threads: the sum behind an element is the same whoever computes it.

A chunk is a run of items; an item is a block of the result of one batch entry. Which loops run inside of an item,
and why, is told in `rows_first` and in `columns_first`, which is for few rows and for dot products.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.layout import Product
from tinytorch.runtime.llvm.contract.shares import makespan, share, two_threads
from tinytorch.runtime.llvm.contract.sums import CHAIN, MANY
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.target import Target

_PAGE = 4096
_CHUNK_FLOPS = 2 << 20  # some 20 µs on one core: far above what claiming a chunk costs
_CHUNK_BYTES = 512 << 10
_STREAM_BYTES = 256 << 10  # of products of few rows, which do little else than read: some 3 µs from a cache
_FEW_ROWS = 4
_MOST_CHUNKS = 48
_FEW_CHUNKS = 8
_PACKED_ROWS = 512  # rows per item that repay packing b's panels again for it
_ITEM_COLUMNS = 128  # columns per item that repay reading its rows of a again for it
_PACKED_COLUMNS = 512  # columns per item that repay packing its rows of a again for it
_GROUP_ROWS = 48  # rows that make reading a transposed a whole cache lines at a time
_REUSED = 48  # rows that repay packing b
_UNEVEN = 1.1  # times an even split: what two threads may take
TALLEST = 16  # rows of a tile
_STREAMED_VECTOR = 0.4  # of a multiply-add: what a vector of b costs that comes from L2
_STREAMED = 8  # vectors of k, at least, that repay adding up across lanes for fewer columns at a time
_DEPTH = 512  # steps of k in a block, at most: a chain of sums, and a tile of rows that leaves L1 room for b
_FEW_PANEL_ROWS = 96  # whose part of a stays in L2 beside a panel of b
_FEW_STREAMED = 8
_SIDE_BY_SIDE = 8  # rows of b, at least; more where k is long, so that few sums are added up
_STREAMED_COLUMNS = 1024  # of an item, whose rows are streams long enough
_STREAMS = 4  # panels that are read side by side
_SUMS_AGAIN = 8  # elements of operands that repay storing a sum of a part and adding it up
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

    `pack_a`: `rows` copies (and converts) rows of a, `panels` interleaves the rows of each tile; of `group` rows at
    once. `pack_b`: `copy` a row of the panel at a time, `transpose` squares where k is contiguous; `none` reads b in
    place. `fetch_rows`: how many of the next tile's rows are fetched while a panel is computed.
    """

    form: Literal["outer", "dot"]
    order: Literal["rows", "columns"]  # what the outer one of an item's loops runs over
    lanes: int
    tile: Tile
    streams: Streams | None
    panel: int
    pack_a: Literal["none", "rows", "panels"]
    pack_b: Literal["none", "copy", "transpose"]
    k_block: int
    group: int
    fetch_rows: int
    item_rows: int
    item_columns: int
    items_per_chunk: int
    items: int
    apart: int = 1  # panels that a tile reads side by side: so many streams, evenly spread over the item
    k_part: int = 0  # steps of k of an item, whole blocks, where k is cut as well (`split_k`); else 0

    @property
    def chunks(self) -> int:
        return -(-self.items // self.items_per_chunk)

    @property
    def parts(self) -> int:
        """Of k."""
        return self.items if self.k_part else 1


def plan_product(product: Product, target: Target, grouped: bool = False) -> ProductPlan:
    """The cut for a product without empty axes (an empty k is fine); both operands are packed where `grouped`."""
    lanes = target.lanes(product.compute)
    if product.panels:
        return _few_rows_of_panels(product, target) if product.m <= _FEW_PANEL_ROWS else _rows_first(product, target)
    if grouped or sums_along_k(product, lanes):
        return _columns_first(product, target, grouped)
    if _streams_rows(product, target):
        return _rows_of_b(product, target)
    # All of k of packed rows would outgrow the caches.
    packs_long_rows = product.k > _DEPTH and _pack_a(product, lanes) == "panels"
    if product.m >= _REUSED or packs_long_rows:
        return _rows_first(product, target)
    return _columns_first(product, target, grouped)


def _rows_first(product: Product, target: Target) -> ProductPlan:
    """Tiles of rows outside."""
    lanes = _lanes(product, target)
    size = product.compute.size
    tallest = max(1, min(TALLEST, target.l1_bytes // 2 // (min(_DEPTH, max(1, product.k)) * size)))
    most = accumulators(product.compute, target)
    if product.panels:
        tile = _tile_of_panel(product, lanes, most, tallest)
    else:
        tile = choose_tile(product.m, product.n, lanes, most, 1, _STREAMED_VECTOR, tallest)
    panel = tile.vectors * lanes
    pack_b = "none" if product.panels else _pack_b(product, target)
    pack_a = _pack_a(product, panel)
    k_block = max(1, product.k) if pack_b == "none" and product.n <= panel else _even_blocks(product.k, _DEPTH, lanes)
    if pack_a == "none" and product.pairs != "widen" and _collides(product, panel):
        pack_a = "rows"
    columns = max(panel, 2 * target.l2_bytes // (k_block * size) // panel * panel)
    k_part = _k_part(product, k_block, target) if product.n <= columns else 0
    item_rows, item_columns = product.m, product.n
    if not k_part:
        item_rows, item_columns = _item(product, tile, panel, pack_a, pack_b, columns)
    panels = -(-item_columns // panel)
    along = abs(product.a.column_bytes) <= product.a.dtype.size and pack_a != "panels"
    return _plan(
        product,
        form="outer",
        order="rows",
        lanes=lanes,
        tile=tile,
        streams=None,
        panel=panel,
        pack_a=pack_a,
        pack_b=pack_b,
        k_block=k_block,
        group=min(item_rows, max(1, _GROUP_ROWS // tile.rows) * tile.rows) if pack_a == "panels" else tile.rows,
        fetch_rows=min(tile.rows, -(-tile.rows // panels)) if along else 0,
        item_rows=item_rows,
        item_columns=item_columns,
        k_part=k_part,
    )


def _streams_rows(product: Product, target: Target) -> bool:
    """Whether a few rows meet a matrix that is read from memory, with rows that vectors run along."""
    b = product.b
    outgrows = product.k * product.n * b.dtype.size > target.l2_bytes
    return product.m <= _FEW_STREAMED and b.strides[-1] == 1 and outgrows and product.k >= 4 * _SIDE_BY_SIDE


def _rows_of_b(product: Product, target: Target) -> ProductPlan:
    """Some rows of b side by side, each of which is one long stream through memory, for all of the item's columns:
    panels of it would be read a short piece of a row after the other, at a third of the rate. The sums of the columns
    wait in L1 or L2."""
    lanes = target.lanes(product.compute)
    tile = choose_tile(product.m, product.n, lanes, accumulators(product.compute, target))
    panel = tile.vectors * lanes
    columns = share(product.n, _wanted_chunks(product), _STREAMED_COLUMNS, panel)
    return _plan(
        product,
        form="outer",
        order="rows",
        lanes=lanes,
        tile=tile,
        streams=None,
        panel=panel,
        pack_a="none",
        pack_b="none",
        k_block=_even_blocks(product.k, max(_SIDE_BY_SIDE, -(-product.k * 5 // (CHAIN * 4))), 1),
        group=tile.rows,
        fetch_rows=0,
        item_rows=product.m,
        item_columns=columns,
    )


def _columns_first(product: Product, target: Target, grouped: bool) -> ProductPlan:
    """Panels of columns outside."""
    lanes = target.lanes(product.compute)
    form = "dot" if not grouped and sums_along_k(product, lanes) else "outer"
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
    item_rows, item_columns = _item(product, tile, panel, pack_a, pack_b, product.n)
    return _plan(
        product,
        form=form,
        order="columns",
        lanes=lanes,
        tile=tile,
        streams=streams,
        panel=panel,
        pack_a=pack_a,
        pack_b=pack_b,
        k_block=_k_block(product, panel, lanes, target) if pack_b != "none" else max(1, product.k),
        group=item_rows,
        fetch_rows=0,
        item_rows=item_rows,
        item_columns=item_columns,
    )


def _lanes(product: Product, target: Target) -> int:
    """Of a vector; panels hold whole ones."""
    return math.gcd(product.panels, target.lanes(product.compute))


def _tile_of_panel(product: Product, lanes: int, most: int, tallest: int) -> Tile:
    """The best tile as wide as the panels that b lies in."""
    wide = product.panels // lanes
    if product.pairs == "widen":  # two elements of each row of a are held as well
        tallest = max(1, min(tallest, (most + most // 3 - 2) // (wide + 2)))
    tiles = [Tile(tall, wide) for tall in range(1, min(product.m, max(1, most // wide), tallest) + 1)]
    return min(tiles, key=lambda tile: _estimate(product.m, -(-product.n // lanes), tile, _STREAMED_VECTOR))


def _few_rows_of_panels(product: Product, target: Target) -> ProductPlan:
    """Panels outside, so that each is read once. With very few rows, some are read side by side: memory gives 4 streams
    a fifth to two fifths more than one."""
    lanes = _lanes(product, target)
    most = accumulators(product.compute, target)
    tile = _tile_of_panel(product, lanes, most, TALLEST)
    count = -(-product.n // product.panels)
    streams = min(_STREAMS, most // (product.m * tile.vectors), count) if tile.rows == product.m else 1
    tile = Tile(tile.rows, tile.vectors * max(1, streams))
    panel = tile.vectors * lanes
    collides = product.a.row_bytes % _PAGE == 0 and product.m > 2 and product.k > _DEPTH // 2
    collides = collides and product.a.strides[-1] == 1 and product.pairs != "widen"
    pack_a = "rows" if collides and product.n >= 4 * panel else _pack_a(product, panel)
    wanted, least = _wanted_chunks(product), 1 if pack_a == "none" else 2 * _ITEM_COLUMNS
    item_columns, item_rows = share(product.n, wanted, least, panel), product.m
    if wanted > 1 and makespan(product.n, item_columns, 2) > _UNEVEN and product.m > tile.rows:
        item_rows = share(product.m, 2, 1, tile.rows)
    k_block = product.k if product.m <= tile.rows else min(2 * _DEPTH, _k_block(product, panel, lanes, target))
    return _plan(
        product,
        form="outer",
        order="columns",
        lanes=lanes,
        tile=tile,
        streams=None,
        panel=panel,
        pack_a=pack_a,
        pack_b="none",
        k_block=max(1, product.k if k_block >= product.k else _even_blocks(product.k, k_block, lanes)),
        group=item_rows,
        fetch_rows=0,
        item_rows=item_rows,
        item_columns=item_columns,
    )


def _plan(product: Product, *, item_rows: int, item_columns: int, k_part: int = 0, **choices: Any) -> ProductPlan:
    parts = -(-product.k // k_part) if k_part else 1
    items = product.batches * -(-product.m // item_rows) * -(-product.n // item_columns) * parts
    return ProductPlan(
        k_part=k_part,
        item_rows=item_rows,
        item_columns=item_columns,
        items=items,
        items_per_chunk=max(1, items // max(parts, _wanted_chunks(product))),
        **choices,
    )


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


def sums_along_k(product: Product, lanes: int) -> bool:
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
        return round(20 * makespan(product.n, share(product.n, wanted, 1, panel), 2))

    return min(panels, key=uneven)


def _pack_b(product: Product, target: Target) -> Literal["none", "copy", "transpose"]:
    """Pack b where it cannot be read as vectors, or where its rows lie too far apart for the caches."""
    b = product.b
    if b.strides[-1] != 1:
        if product.m <= 4:
            return "none"
        return "transpose" if b.strides[-2] == 1 and product.k >= target.lanes(product.compute) else "copy"
    reused = product.m >= _REUSED
    far = product.k * abs(b.row_bytes) > target.l2_bytes // 2
    colliding = b.row_bytes % _PAGE == 0 and product.k > 32
    convert = b.dtype is not product.compute
    return "copy" if reused and (far or colliding or convert) else "none"


def _pack_a(product: Product, panel: int) -> Literal["none", "rows", "panels"]:
    """Pack a where several panels read it and its elements lie apart, or must be converted."""
    a = product.a
    if product.n <= panel or product.m < 4 or product.pairs == "widen":
        return "none"
    convert = a.dtype is not product.compute
    if abs(a.row_bytes) < abs(a.column_bytes):
        return "panels" if convert or product.k * abs(a.column_bytes) > 16 * _PAGE else "none"
    return "rows" if convert else "none"


def _collides(product: Product, panel: int) -> bool:
    """Whether rows of a lie whole pages apart, so in the same sets of L1, and are read often: panels of two cache lines
    or less leave little time to fetch them again."""
    a, narrow = product.a, panel * product.compute.size <= 128
    return narrow and a.row_bytes % _PAGE == 0 and a.strides[-1] == 1 and product.n >= 16 * panel


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


def _k_part(product: Product, k_block: int, target: Target) -> int:
    """Steps of k of each of a few parts, if that repays adding their sums up, else 0: cut otherwise, items would read
    operands that no cache holds again. The sums of a part stay in L2."""
    size, sums, operands = product.compute.size, product.m * product.n, (product.m + product.n) * product.k
    fits = product.batches == 1 and sums * size <= target.l2_bytes // 2 and operands * size >= 2 * target.l2_bytes
    if not fits or product.pairs != "none" or product.panels:
        return 0
    most = min(_FEW_CHUNKS, operands // (_SUMS_AGAIN * sums))
    part = share(product.k, most, 1, k_block)
    return part if part < product.k and part <= MANY * k_block else 0


def _wanted_chunks(product: Product) -> int:
    bytes_ = sum(_footprint(x) for x in (product.a, product.b, *product.results, *product.inputs))
    chunk = _STREAM_BYTES if product.m <= _FEW_ROWS else _CHUNK_BYTES
    return max(1, min(_MOST_CHUNKS, max(product.flops // _CHUNK_FLOPS, bytes_ // chunk)))


def _footprint(x: Buffer) -> int:
    return math.prod(size for size, stride in zip(x.shape, x.strides, strict=True) if stride) * x.dtype.size


def _item(product: Product, tile: Tile, panel: int, pack_a: str, pack_b: str, most_columns: int) -> tuple[int, int]:
    """(rows, columns) of an item: enough items for the wanted chunks, but as little packed twice as may be.

    Where a is read in place, columns are cut first: its rows are fetched ahead, so reading them again costs next to
    nothing, where packing b again does. Where a is packed, rows are. Cuts that would pack more than a few percent again
    are made only where a few threads would be left idle.
    """
    wanted = -(-_wanted_chunks(product) // product.batches)
    few, rows, columns = min(wanted, _FEW_CHUNKS), product.m, product.n
    most = -(-product.n // most_columns)

    def cut(wanted: int, rows_least: int, columns_least: int) -> tuple[int, int]:
        if pack_a != "panels":
            columns = share(product.n, max(most, wanted), columns_least, panel)
            rows = share(product.m, -(-wanted // -(-product.n // columns)), rows_least, tile.rows)
        else:
            rows = share(product.m, wanted, rows_least, tile.rows)
            columns = share(product.n, max(most, -(-wanted // -(-product.m // rows))), columns_least, panel)
        return rows, min(columns, most_columns)

    if product.m < _REUSED and most == 1:
        return cut(wanted, _PACKED_ROWS if pack_b != "none" else 1, 1 if pack_a == "none" else _PACKED_COLUMNS)
    packed = pack_b != "none" or product.panels > 0  # or read from memory again
    if pack_a != "panels":
        again = 1 if pack_a == "none" else 2  # what is copied costs more to read again
        least = (_PACKED_ROWS * again if packed else _GROUP_ROWS, _ITEM_COLUMNS * again)
    else:
        least = (_PACKED_ROWS if packed else _GROUP_ROWS, _PACKED_COLUMNS // 2)
    found: list[tuple[int, int]] = []
    for part, enough in ((1, few * 5 // 8), (2, few // 2), (4, few // 4), (8, 0)):
        rows, columns = cut(wanted if part == 1 else few, least[0] // part, least[1] // part)
        if -(-product.m // rows) * -(-product.n // columns) >= max(min(2, few), enough):
            if few == 1 or two_threads(product.m, product.n, product.batches, (rows, columns)) <= _UNEVEN:
                return rows, columns
            found.append((rows, columns))
    return min(
        found,
        key=lambda item: round(20 * two_threads(product.m, product.n, product.batches, item)),
        default=(rows, columns),
    )
