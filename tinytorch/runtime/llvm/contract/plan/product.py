"""How a matrix product is cut up: register tile, packing, blocks of K, and the chunks that threads claim.

All choices follow from the shape, the layouts and the Target by the small model below, never from the number of
threads: the sum behind an element is the same whoever computes it.

A chunk is a run of items; an item is a block of the result of one batch entry. Which loops run inside of an item,
and why, is told in `rows_first` and in `columns_first`, which is for few rows and for dot products.
"""

from __future__ import annotations

from tinytorch.runtime.llvm.contract.operands.layout import Product
from tinytorch.runtime.llvm.contract.plan.cut import TALLEST, Form, Order, PackA, PackB, ProductPlan, Streams, Tile
from tinytorch.runtime.llvm.contract.plan.items import (
    FEW_ROWS,
    GROUP_ROWS,
    ITEM_COLUMNS,
    REUSED,
    UNEVEN,
    item_size,
    part_of_k,
    wanted_chunks,
)
from tinytorch.runtime.llvm.contract.plan.packing import (
    PAGE,
    even_blocks,
    k_block_of,
    packing_of_a,
    packing_of_b,
    rows_collide,
    sums_along_k,
)
from tinytorch.runtime.llvm.contract.plan.tiles import (
    STREAMED_VECTOR,
    accumulators,
    choose_tile,
    dot_tile,
    lanes_of,
    streamed_panel,
    streamed_tile,
    tile_of_panel,
)
from tinytorch.runtime.llvm.contract.shares import makespan, share
from tinytorch.runtime.llvm.contract.sums import CHAIN, MANY
from tinytorch.runtime.llvm.text.target import Target

_DEPTH = 512  # steps of k in a block, at most: a chain of sums, and a tile of rows that leaves L1 room for b
_SHORT = 128  # the same where a lies across and the sums stay in L2, into which the next block of b is fetched, too
_STREAMED = 8  # vectors of k, at least, that repay adding up across lanes for fewer columns at a time
_FEW_PANEL_ROWS = 96  # whose part of a stays in L2 beside a panel of b
_FEW_STREAMED = 8
_SIDE_BY_SIDE = 8  # rows of b, at least; more where k is long, so that few sums are added up
_STREAMED_COLUMNS = 1024  # of an item, whose rows are streams long enough
_STREAMS = 4  # panels that are read side by side


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
    packs_long_rows = product.k > _DEPTH and packing_of_a(product, lanes) == "panels"
    if product.m >= REUSED or packs_long_rows:
        return _rows_first(product, target)
    return _columns_first(product, target, grouped)


def _rows_first(product: Product, target: Target) -> ProductPlan:
    """Tiles of rows outside."""
    lanes = lanes_of(product, target)
    size = product.compute.size
    tallest = max(1, min(TALLEST, target.l1_bytes // 2 // (min(_DEPTH, max(1, product.k)) * size)))
    most = accumulators(product.compute, target)
    if product.panels:
        tile = tile_of_panel(product, lanes, most, tallest)
    else:
        tile = choose_tile(product.m, product.n, lanes, most, 1, STREAMED_VECTOR, tallest)
    panel = tile.vectors * lanes
    pack_b = "none" if product.panels else packing_of_b(product, target)
    pack_a = packing_of_a(product, panel)
    k_block = max(1, product.k) if pack_b == "none" and product.n <= panel else even_blocks(product.k, _DEPTH, lanes)
    if pack_a == "none" and product.pairs != "widen" and rows_collide(product, panel):
        pack_a = "rows"
    columns = max(panel, 2 * target.l2_bytes // (k_block * size) // panel * panel)
    k_part = part_of_k(product, k_block, target) if product.n <= columns else 0
    item_rows, item_columns = product.m, product.n
    if not k_part:
        item_rows, item_columns = item_size(product, tile, panel, pack_a, pack_b, columns)
    if pack_a == "panels" and (k_part or item_rows * item_columns * size <= target.l2_bytes // 2):
        k_block = even_blocks(product.k, min(_DEPTH, max(_SHORT, -(-product.k // MANY))), lanes)
        k_part = part_of_k(product, k_block, target) if k_part else 0
    panels = -(-item_columns // panel)
    along = abs(product.a.column_bytes) <= product.a.dtype.size and pack_a != "panels"
    return _plan(
        product,
        lanes,
        tile,
        order="rows",
        item=(item_rows, item_columns),
        k_block=k_block,
        pack_a=pack_a,
        pack_b=pack_b,
        group=min(item_rows, max(1, GROUP_ROWS // tile.rows) * tile.rows) if pack_a == "panels" else tile.rows,
        fetch_rows=min(tile.rows, -(-tile.rows // panels)) if along else 0,
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
    columns = share(product.n, wanted_chunks(product), _STREAMED_COLUMNS, tile.vectors * lanes)
    k_block = even_blocks(product.k, max(_SIDE_BY_SIDE, -(-product.k * 5 // (CHAIN * 4))), 1)
    return _plan(product, lanes, tile, order="rows", item=(product.m, columns), k_block=k_block, group=tile.rows)


def _columns_first(product: Product, target: Target, grouped: bool) -> ProductPlan:
    """Panels of columns outside."""
    lanes = target.lanes(product.compute)
    form = "dot" if not grouped and sums_along_k(product, lanes) else "outer"
    most = accumulators(product.compute, target)
    streams = None
    panel = lanes
    if form == "dot" and product.k >= _STREAMED * lanes:
        tile, streams = streamed_tile(product, most)
        panel = streamed_panel(product, tile, target)
    elif form == "dot":
        tile = dot_tile(product, lanes, most)
    else:
        # One tile of rows: what b's columns are cut into is all that threads can share.
        parts = min(2, wanted_chunks(product)) if product.m <= FEW_ROWS else 1
        tile = choose_tile(product.m, -(-product.n // parts), lanes, most)
        panel = tile.vectors * lanes
    pack_b = packing_of_b(product, target) if form == "outer" else "none"
    pack_a = packing_of_a(product, panel) if form == "outer" else "none"
    if grouped:
        pack_a, pack_b = "rows", "copy"
    return _plan(
        product,
        lanes,
        tile,
        order="columns",
        item=item_size(product, tile, panel, pack_a, pack_b, product.n),
        k_block=k_block_of(product, panel, lanes, target) if pack_b != "none" else max(1, product.k),
        pack_a=pack_a,
        pack_b=pack_b,
        form=form,
        panel=panel,
        streams=streams,
    )


def _few_rows_of_panels(product: Product, target: Target) -> ProductPlan:
    """Panels outside, so that each is read once. With very few rows, some are read side by side: memory gives 4 streams
    a fifth to two fifths more than one."""
    lanes = lanes_of(product, target)
    most = accumulators(product.compute, target)
    tile = tile_of_panel(product, lanes, most, TALLEST)
    count = -(-product.n // product.panels)
    streams = min(_STREAMS, most // (product.m * tile.vectors), count) if tile.rows == product.m else 1
    tile = Tile(tile.rows, tile.vectors * max(1, streams))
    panel = tile.vectors * lanes
    collides = product.a.row_bytes % PAGE == 0 and product.m > 2 and product.k > _DEPTH // 2
    collides = collides and product.a.strides[-1] == 1 and product.pairs != "widen"
    pack_a = "rows" if collides and product.n >= 4 * panel else packing_of_a(product, panel)
    wanted, least = wanted_chunks(product), 1 if pack_a == "none" else 2 * ITEM_COLUMNS
    item_columns, item_rows = share(product.n, wanted, least, panel), product.m
    if wanted > 1 and makespan(product.n, item_columns, 2) > UNEVEN and product.m > tile.rows:
        item_rows = share(product.m, 2, 1, tile.rows)
    k_block = product.k if product.m <= tile.rows else min(2 * _DEPTH, k_block_of(product, panel, lanes, target))
    k_block = max(1, product.k if k_block >= product.k else even_blocks(product.k, k_block, lanes))
    return _plan(product, lanes, tile, order="columns", item=(item_rows, item_columns), k_block=k_block, pack_a=pack_a)


def _plan(
    product: Product,
    lanes: int,
    tile: Tile,
    *,
    order: Order,
    item: tuple[int, int],
    k_block: int,
    pack_a: PackA = "none",
    pack_b: PackB = "none",
    form: Form = "outer",
    panel: int = 0,
    streams: Streams | None = None,
    group: int = 0,
    fetch_rows: int = 0,
    k_part: int = 0,
) -> ProductPlan:
    """A plan with items of (rows, columns). By default, panels are as wide as a tile, and groups as tall as an item."""
    rows, columns = item
    parts = -(-product.k // k_part) if k_part else 1
    items = product.batches * -(-product.m // rows) * -(-product.n // columns) * parts
    return ProductPlan(
        form=form,
        order=order,
        lanes=lanes,
        tile=tile,
        streams=streams,
        panel=panel or tile.vectors * lanes,
        pack_a=pack_a,
        pack_b=pack_b,
        k_block=k_block,
        group=group or rows,
        fetch_rows=fetch_rows,
        item_rows=rows,
        item_columns=columns,
        items_per_chunk=max(1, items // max(parts, wanted_chunks(product))),
        items=items,
        k_part=k_part,
    )
