"""How a product of bytes is cut up whose right operand lies in panels of groups: panels outside, rows inside."""

from __future__ import annotations

import math

from tinytorch.runtime.llvm.contract.bytes.groups import GROUP_BYTES, Groups
from tinytorch.runtime.llvm.contract.operands.layout import Product
from tinytorch.runtime.llvm.contract.operands.pack import row_pitch
from tinytorch.runtime.llvm.contract.plan.cut import TALLEST, ProductPlan, Tile
from tinytorch.runtime.llvm.contract.shares import share
from tinytorch.runtime.llvm.text.target import Target

_STREAMS = 4  # panels that are read side by side: memory gives them a fifth to two fifths more than one
_CHUNK_STEPS = 1 << 20  # multiply-adds of groups, some 20 µs on one core
_CHUNK_BYTES = 512 << 10  # for each of which the rows are packed again
_MOST_CHUNKS = 48
_LEAST_COLUMNS = 128  # of an item, which repay packing its rows of a again for it
_LATENCY = 8.0  # of a step of k, in the time of one product of vectors, at least
# Registers that may hold sums, of 16: the others hold what a product needs on its way.
_SUMS = {"quad": 12, "pair": 12, "sixteen": 10, "eight": 8}


def plan_of_byte_panels(product: Product, groups: Groups, target: Target) -> ProductPlan:
    """The cut for a product whose steps of k are groups."""
    lanes = math.gcd(product.panels, target.lanes(product.compute))
    wide = product.panels // lanes
    most = _SUMS[groups.form] * target.vector_registers // 16
    tall = min(
        range(1, max(1, min(product.m, most // wide, TALLEST)) + 1), key=lambda rows: _time(product.m, rows, wide)
    )
    count = -(-product.n // product.panels)
    streams = max(1, min(_STREAMS, most // (tall * wide), count)) if tall == product.m else 1
    panel = product.panels * streams
    k = max(1, product.k)
    row_bytes = row_pitch(k, lanes) * GROUP_BYTES
    item_rows = min(product.m, max(1, target.l2_bytes // 2 // row_bytes // tall) * tall)
    item_columns = share(product.n, _wanted_chunks(product, groups), _LEAST_COLUMNS, panel)
    items = -(-product.m // item_rows) * -(-product.n // item_columns)
    return ProductPlan(
        form="outer",
        order="columns",
        lanes=lanes,
        tile=Tile(tall, wide * streams),
        streams=None,
        panel=panel,
        pack_a="rows",
        pack_b="none",
        k_block=k if product.m <= tall else _block(k, target.l2_bytes // 4 // (product.panels * groups.size), lanes),
        group=item_rows,
        fetch_rows=0,
        item_rows=item_rows,
        item_columns=item_columns,
        items_per_chunk=-(-items // _wanted_chunks(product, groups)),
        items=items,
        apart=streams,
    )


def _time(m: int, rows: int, wide: int) -> float:
    """Of a step of k for all rows, in products of vectors."""
    tiles = [(rows, m // rows), (m % rows, 1 if m % rows else 0)]
    return sum(count * max(tall * wide + 0.15 * tall + 0.5 * wide + 0.5, _LATENCY) for tall, count in tiles)


def _wanted_chunks(product: Product, groups: Groups) -> int:
    steps = product.m * product.n * product.k
    return max(1, min(_MOST_CHUNKS, max(steps // _CHUNK_STEPS, product.n * product.k * groups.size // _CHUNK_BYTES)))


def _block(k: int, most: int, lanes: int) -> int:
    """All of k, or equal blocks of about `most` steps."""
    blocks = -(-k // max(lanes, most))
    return k if blocks == 1 else -(-k // blocks // lanes) * lanes
