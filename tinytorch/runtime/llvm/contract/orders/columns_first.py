"""Panels of columns outside, tiles of rows inside: for few rows.

Then b is read from memory once, a panel at a time, and the rows of a stay in the caches; with dot products, b is read
where it lies.
"""

from __future__ import annotations

from tinytorch.runtime.llvm.contract.microkernel.tile import share_of_panel
from tinytorch.runtime.llvm.contract.orders.work import Block, Depth, Fetched, Panel, Work
from tinytorch.runtime.llvm.contract.parts import where_differ
from tinytorch.runtime.llvm.text.builder import Register


def columns_first(work: Work, block: Block) -> None:
    """Write the loops of an item."""
    fn, plan = work.fn, work.plan
    if plan.pack_a != "none":
        work.pack_a(block, fn.const(0), block.rows, Depth(fn.const(0), fn.const(work.product.k)))

    def panel(column: Register, width: int, apart: int = 1) -> None:
        work.over_k(block, lambda depth: k_block(column, width, apart, depth))

    def k_block(column: Register, width: int, apart: int, depth: Depth) -> None:
        if plan.pack_b == "none":
            b = work.b_in_place(block, column, depth)
        else:
            work.pack_b(block, column, width, depth)
            b = work.b_packed(block, column)
        part = Panel(column, width, b, apart)

        def tile(i: Register, tall: int) -> None:
            a = work.tile_of_a(block, i, fn.const(0), depth)
            work.tile(block, i, tall, a, part, depth, ahead=_ahead(work, i, part, depth))

        tall = plan.tile.rows
        whole = block.rows // tall * tall
        fn.loop(whole, [], lambda i: tile(i, tall), step=tall)
        rest = work.product.m % tall
        if rest:
            where_differ(fn, block.rows, whole, lambda: tile(whole, rest))

    if plan.apart > 1:
        work.over_streams(block, panel)
    else:
        work.over_panels(block, panel)


def _ahead(work: Work, i: Register, panel: Panel, depth: Depth) -> Fetched:
    """The share of the next panel of a weight that is laid out so which is fetched with the tile of row i: the first
    tile would else wait for memory, which gives less than it multiplies."""
    product, tall = work.product, work.plan.tile.rows
    tiles = -(-product.m // tall)
    if not product.panels or tiles == 1:
        return []
    ahead = share_of_panel(product.b.row_bytes, tiles)
    following = work.fn.at(panel.b, depth.count * product.b.row_bytes)  # panels lie one behind the other
    return [(work.fn.at(following, i // tall * (depth.count * ahead.step)), ahead)]
