"""How a convolution in fewer multiplications is cut up.

An item is a run of images, or a strip of rows of one, for some of the columns (output channels). Its tiles are the rows
of the products of matrices: enough of them that the weights, which every item reads, take less time than the
products; as many as fit L2 with their transforms where there are few channels. A block of columns is computed at a
time: a panel, or some where panels are narrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tinytorch.ir.ops.winograd import Tiles
from tinytorch.runtime.llvm.contract.plan.cut import TALLEST, Tile
from tinytorch.runtime.llvm.contract.plan.tiles import accumulators
from tinytorch.runtime.llvm.contract.shares import share
from tinytorch.runtime.llvm.conv.layout import Convolution, Pair
from tinytorch.runtime.llvm.text.target import Target

_CHUNK_FLOPS = 400_000  # of the definition
_MOST_CHUNKS = 48
_FEW_CHUNKS = 4
_TILES = 48  # that repay reading the weights
_LEAST_TILES = 24  # for the sake of more items
_BLOCK = 64  # columns, about


@dataclass(frozen=True)
class WinogradPlan:
    """The cut: `images`, `rows` of outputs and columns `across` of an item; `tiles` of it at most, `tiles_across` in a
    row. A microkernel computes a `tile` of the products."""

    tiles_across: int
    tiles: int
    tile: Tile
    panel: int
    block: int
    images: int
    rows: int
    across: int
    items: int
    items_per_chunk: int

    @property
    def chunks(self) -> int:
        return -(-self.items // self.items_per_chunk)


def whole_tiles(outputs: int, side: int) -> int:
    """The outputs along an axis, up to the end of the last tile."""
    return -(-outputs // side) * side


def in_whole_tiles(conv: Convolution, kind: Tiles) -> Convolution:
    """The convolution with outputs in whole tiles, and all taps in each phase of its window."""
    height, width = (whole_tiles(n, kind.side) for n in conv.outputs)
    down, across = (kind.taps * s for s in kind.stride)
    return replace(conv, outputs=(height, width), window=(down, across))


def plan_winograd(conv: Convolution, kind: Tiles, panel: int, pooled: Pair, target: Target) -> WinogradPlan:
    """The cut for outputs whose rows are pooled `pooled` at a time (1: not at all), and weights in such panels."""
    side = kind.side
    lanes, most = target.lanes(conv.compute), accumulators(conv.compute, target)
    batch, (height, width) = conv.images.shape[0], conv.outputs
    tiles_across = -(-width // side)
    block = min(max(1, _BLOCK // panel), -(-conv.columns // panel)) * panel
    wanted = max(1, min(_MOST_CHUNKS, conv.flops // _CHUNK_FLOPS))
    few = min(_FEW_CHUNKS, wanted)
    unit = math.lcm(side, pooled[0])
    room = target.l2_bytes * 3 // 4 // (kind.products * (kind.phases * conv.channels + block) * conv.compute.size)
    images, rows = _runs(batch, height, side, unit, tiles_across, max(_TILES, room), few)
    outer = -(-batch // images) * -(-height // rows)
    across = share(conv.columns, -(-few // outer), block, block)
    items = outer * -(-conv.columns // across)
    tiles = images * -(-rows // side) * tiles_across
    fewest = (batch % images or images) * -(-(height % rows or rows) // side) * tiles_across
    tallest = max(1, min(most // max(1, -(-panel // lanes)), TALLEST))
    tall = min(-(-tiles // -(-tiles // tallest)), fewest)
    return WinogradPlan(
        tiles_across=tiles_across,
        tiles=tiles,
        tile=Tile(tall, -(-panel // lanes)),
        panel=panel,
        block=block,
        images=images,
        rows=rows,
        across=across,
        items=items,
        items_per_chunk=-(-items // wanted),
    )


def _runs(batch: int, height: int, side: int, unit: int, across: int, wanted: int, few: int) -> Pair:
    """(images, rows of outputs) of an item with about `wanted` tiles; less of them for the sake of a few items."""
    whole = -(-height // side) * across
    for tiles in (wanted, min(wanted, _LEAST_TILES)):
        if whole > tiles:
            images, rows = 1, share(height, -(-whole // tiles), unit, unit)
        else:
            images, rows = share(batch, -(-batch * whole // tiles), 1, 1), height
        if -(-batch // images) * -(-height // rows) >= few:
            break
    return images, rows
