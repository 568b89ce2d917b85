"""How a convolution is cut up: register tile, what an item of work is, and the chunks that threads claim.

A tile's rows are neighbouring outputs of an image: a part of the axis `cut`, and all of the axes inside it, so that
narrow images fill tiles as well as wide ones. An item is a run of images, or a strip of rows of one, for some of the
columns (output channels) of one group; it copies the part of the images that it reads, padded, unless it can read in
place. All of it follows from the shape and the Target, never from the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tinytorch.runtime.llvm.contract_plan import TALLEST, Tile, accumulators, choose_tile, share
from tinytorch.runtime.llvm.conv_layout import Convolution, Pair, picture_of
from tinytorch.runtime.llvm.target import Target

Cut = Literal["x", "y", "n"]
_NARROW = 5  # outputs along an axis that fill a tile well enough without the next axis
_STREAM = 8  # vectors side by side
_CHUNK_FLOPS = 400_000  # some 4 µs on one core
_MOST_CHUNKS = 48


@dataclass(frozen=True)
class ConvPlan:
    """The cut. `rows` of output height and `images` to an item, `columns` of a group; `part` steps of the axis `cut`
    to a tile."""

    form: Literal["outer", "lanes"]
    lanes: int
    cut: Cut
    part: int
    tile: Tile
    images: int
    rows: int
    columns: int
    items: int
    items_per_chunk: int

    @property
    def panel(self) -> int:
        return self.tile.vectors * self.lanes

    @property
    def chunks(self) -> int:
        return -(-self.items // self.items_per_chunk)


def plan_convolution(conv: Convolution, pool: Pair, target: Target) -> ConvPlan:
    """The cut for a convolution with outputs, whose rows are pooled `pool` at a time (1: not at all)."""
    lanes = target.lanes(conv.compute)
    groups, columns = (1, conv.groups) if conv.depthwise else (conv.groups, conv.columns)
    batch, (height, width) = conv.images.shape[0], conv.outputs
    most = accumulators(conv.compute, target)
    axis = cut_axis((width, height, batch))
    choices: tuple[tuple[Cut, int, int], ...] = ("x", 1, width), ("y", width, height), ("n", width * height, batch)
    cut, inner, size = choices[axis]
    unit = inner * (pool[0] if cut == "y" else 1)
    if unit > min(most, TALLEST):
        cut, inner, size, unit = "x", 1, width, 1
    tile = choose_tile(inner * size, columns, lanes, most, unit)
    if conv.depthwise:  # bound by memory, which is read and written in order by wide tiles
        wide = min(-(-columns // lanes), most // unit, _STREAM)
        tile = Tile(min(most // wide // unit * unit, TALLEST // unit * unit, inner * size), wide)
    part = tile.rows // inner
    panel = tile.vectors * lanes
    wanted = max(1, min(_MOST_CHUNKS, conv.flops // _CHUNK_FLOPS))
    images, rows = 1, height
    if cut == "n":
        images = share(batch, -(-wanted // groups), part, part)
    else:
        least = part if cut == "y" else pool[0]
        rows = share(height, -(-wanted // (batch * groups)), max(least, conv.window[0]), least)
        while rows > least and picture_of(conv, rows, panel).bytes(1) > target.l2_bytes // 4:
            rows = -(-rows // 2 // least) * least
    outer = groups * -(-batch // images) * -(-height // rows)
    across = share(columns, -(-min(wanted, 8) // outer), panel, panel)
    items = outer * -(-columns // across)
    return ConvPlan(
        form="lanes" if conv.depthwise else "outer",
        lanes=lanes,
        cut=cut,
        part=part,
        tile=tile,
        images=images,
        rows=rows,
        columns=across,
        items=items,
        items_per_chunk=-(-items // wanted),
    )


def cut_axis(sizes: Sequence[int]) -> int:
    """The first of these axes, the innermost first, that need not be in a tile as a whole."""
    inside = 1
    for axis, size in enumerate(sizes[:-1]):
        if size >= _NARROW or inside * size > 2 * _NARROW:
            return axis
        inside *= size
    return len(sizes) - 1
