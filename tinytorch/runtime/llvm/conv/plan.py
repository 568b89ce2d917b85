"""How a convolution is cut up: register tile, what an item of work is, and the chunks that threads claim.

A tile's rows are neighbouring outputs of an image: a part of the axis `cut`, and all of the axes inside it, so that
narrow images fill tiles as well as wide ones. An item is a run of images, or a strip of rows of one, for some of the
columns (output channels) of one group; it copies the part of the images that it reads, padded, unless it can read in
place. Where the weights of a panel of columns lie far apart and fill more than L1, they are put together first, and
an item has enough outputs to repay that. All of it follows from the shape and the Target, never from the number of
threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tinytorch.runtime.llvm.contract.plan.cut import TALLEST, Tile
from tinytorch.runtime.llvm.contract.plan.tiles import accumulators, choose_tile
from tinytorch.runtime.llvm.contract.shares import share
from tinytorch.runtime.llvm.conv.layout import Convolution, Pair, image_layout
from tinytorch.runtime.llvm.text.target import Target

Cut = Literal["x", "y", "n"]
Form = Literal["outer", "lanes", "dot"]
_NARROW = 5  # outputs along an axis that fill a tile well enough without the next axis
_SHORTEST = 16  # bytes of a vector
_STREAM = 8  # vectors side by side
_ACROSS = 9  # instructions that add up the lanes of a vector and store the sum
_NARROW_PANEL = 128  # bytes
_PACKED_OUTPUTS = 96  # of an item, about, that repay putting weights together for it
_CHUNK_FLOPS = 400_000  # some 4 µs on one core
_MOST_CHUNKS = 48


@dataclass(frozen=True)
class ConvPlan:
    """The cut. Vectors run along the output channels (`outer`), along the channels of both sides (`lanes`), or along
    the input channels (`dot`). `rows` of output height and `images` to an item, `columns` of a group; `part` steps of
    the axis `cut` to a tile."""

    form: Form
    lanes: int
    cut: Cut
    part: int
    tile: Tile
    images: int
    rows: int
    columns: int
    items: int
    items_per_chunk: int
    packs: bool

    @property
    def panel(self) -> int:
        return self.tile.vectors * self.lanes

    @property
    def chunks(self) -> int:
        return -(-self.items // self.items_per_chunk)


def plan_convolution(conv: Convolution, pooled: Pair, target: Target) -> ConvPlan:
    """The cut for a convolution, whose rows of outputs are pooled `pooled` at a time (1: not at all).

    Where blocks of outputs are pooled in registers, it is one of their places, each of which takes several rows of a
    tile.
    """
    lanes, most = lanes_of(conv, target), accumulators_of(conv, target)
    groups, columns = (1, conv.groups) if conv.depthwise else (conv.groups, conv.columns)
    batch, (height, width), each = conv.images.shape[0], conv.places, math.prod(conv.block)
    choices: tuple[tuple[Cut, int, int], ...] = ("x", 1, width), ("y", width, height), ("n", width * height, batch)
    cut, inner, size = choices[cut_axis((width, height, batch))]
    unit = inner * (pooled[0] if cut == "y" else 1)
    wide = conv.packed.width // lanes if conv.packed else 0
    if unit * each > min(most // max(1, wide), TALLEST):
        cut, inner, size, unit = "x", 1, width, 1
    few = unit * columns <= most and not conv.packed and _sums_along_channels(conv, lanes)
    form: Form = "lanes" if conv.depthwise else "dot" if few else "outer"
    if form == "outer" and not conv.packed:
        lanes = lanes_for(columns, conv, target)
    if form == "outer":
        tile = choose_tile(inner * size * each, columns, lanes, most, unit * each, wide=wide)
    else:  # as tall as registers allow; what is bound by memory reads and writes it in order by wide tiles
        wide = min(-(-columns // lanes), most // unit, _STREAM)
        room = most // (columns if form == "dot" else wide)
        tile = Tile(min(room // unit * unit, TALLEST // unit * unit, inner * size), wide)
    part, panel = tile.rows // (inner * each), tile.vectors * lanes
    wanted = max(1, min(_MOST_CHUNKS, conv.flops // _CHUNK_FLOPS))
    least = pooled[0] if cut == "x" else part
    images, rows = _images_and_rows(conv, cut, least, panel, -(-wanted // groups), target)
    packs = form == "outer" and columns > panel and _lies_far_apart(conv, panel * conv.compute.size, target)
    if packs and rows == height and cut != "n":
        images = max(images, share(batch, -(-batch * height * width // _PACKED_OUTPUTS), 1, 1))
    packs = packs and images * rows * width >= 3 * tile.rows
    outer = groups * -(-batch // images) * -(-height // rows)
    across = share(columns, -(-min(wanted, 8) // outer), panel, panel)
    items = outer * -(-columns // across)
    return ConvPlan(
        form=form,
        lanes=lanes,
        cut=cut,
        part=part,
        tile=tile,
        images=images,
        rows=rows,
        columns=across,
        items=items,
        items_per_chunk=-(-items // wanted),
        packs=packs,
    )


def lanes_of(conv: Convolution, target: Target) -> int:
    """Of a vector of sums; panels hold whole ones."""
    lanes = target.lanes(conv.compute)
    return math.gcd(conv.packed.width, lanes) if conv.packed else lanes


def lanes_for(columns: int, conv: Convolution, target: Target) -> int:
    """Of a vector that so few columns fill: a shorter one does not compute what is dropped, and there may be two of
    them in the time of a long one."""
    shortest = max(1, _SHORTEST // conv.compute.size)
    return min(target.lanes(conv.compute), max(shortest, 1 << (columns - 1).bit_length()))


def accumulators_of(conv: Convolution, target: Target) -> int:
    """Registers that may hold sums. Bytes need few others: for two vectors of weights, an element and its products."""
    if conv.packed is None:
        return accumulators(conv.compute, target)
    chained = conv.packed.dot.chain > 1  # two vectors of weights, and their products, at once
    return target.vector_registers // 2 if chained else target.vector_registers * 3 // 4


def _lies_far_apart(conv: Convolution, panel_bytes: int, target: Target) -> bool:
    """Whether the weights of a panel are too many for L1, and at each step of k too few lie together for the caches."""
    fills = conv.depth * panel_bytes > target.l1_bytes
    return fills and panel_bytes <= _NARROW_PANEL and not conv.packed


def _sums_along_channels(conv: Convolution, lanes: int) -> bool:
    """Whether there are so few output channels that vectors of input channels, added up across lanes, take less."""
    taps = conv.window[0] * conv.window[1] * conv.channels
    across = _ACROSS * conv.columns + taps * conv.columns / lanes
    possible = conv.channels >= lanes and 2 * conv.columns <= lanes and conv.images.strides[3] == 1
    return possible and across < taps


def _images_and_rows(
    conv: Convolution, cut: Cut, least: int, panel: int, wanted: int, target: Target
) -> tuple[int, int]:
    """How many images, or rows of one, to an item: a multiple of `least`, `wanted` items of them if they are many
    enough, and padded copies that take at most a quarter of L2."""
    batch, height, block = conv.images.shape[0], conv.places[0], conv.block[0]
    room = target.l2_bytes // 4
    if cut == "n":
        fit = room // max(1, image_layout(conv, height * block, panel).bytes(1))
        return max(least, min(share(batch, wanted, least, least), fit // least * least)), height
    rows = share(height, -(-wanted // batch), max(least, conv.window[0]), least)
    while rows > least and image_layout(conv, rows * block, panel).bytes(1) > room:
        rows = -(-rows // 2 // least) * least
    return 1, rows


def cut_axis(sizes: Sequence[int]) -> int:
    """The first of these axes, the innermost first, that need not be in a tile as a whole."""
    inside = 1
    for axis, size in enumerate(sizes[:-1]):
        if size >= _NARROW or inside * size > 2 * _NARROW:
            return axis
        inside *= size
    return len(sizes) - 1
