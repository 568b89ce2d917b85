"""What a convolution kernel is asked to do, where its microkernels read the images, and what its epilogue sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tinytorch.ir.ops.contract import accumulator
from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.bytes.dots import GROUP_BYTES, ByteDot
from tinytorch.runtime.llvm.contract.grid import Grid
from tinytorch.runtime.llvm.kernel import Buffer

Pair = tuple[int, int]

_LINE = 64  # bytes of a line of the caches
_COLLIDING = 512  # lines so far apart share an eighth of the sets of a cache of 32 KiB


@dataclass(frozen=True)
class Packed:
    """Weights of bytes as `conv2d_packed` has them: groups that `dot` multiplies, `steps` of them for each of `taps`
    places of a window's row, in panels of `width` columns. Images have the number `around` around them."""

    dot: ByteDot
    taps: int
    steps: int
    width: int
    around: int = 0


@dataclass(frozen=True)
class Convolution:
    """Images [batch, height, width, groups * channels], and which of their elements `outputs` (height, width) meet.

    Output (y, x) meets, for each place k of the window, the element (y, x) * stride - low + k * dilation; outside of
    the image there are zeros. `columns` is the number of output channels per group.
    """

    images: Buffer
    outputs: Pair
    window: Pair
    stride: Pair
    low: Pair
    dilation: Pair
    groups: int
    columns: int
    packed: Packed | None = None
    block: Pair = (1, 1)  # outputs side by side, of which only the largest is kept

    @property
    def places(self) -> Pair:
        """What is kept, along height and width."""
        return self.outputs[0] // self.block[0], self.outputs[1] // self.block[1]

    @property
    def channels(self) -> int:
        """Channels of the images per group."""
        return self.images.shape[3] // self.groups

    @property
    def depth(self) -> int:
        """Products behind an output: the places of the window, times the channels."""
        return self.window[0] * self.window[1] * self.channels

    @property
    def depthwise(self) -> bool:
        """Whether each channel is convolved by itself, so that vectors run along channels."""
        return self.channels == self.columns == 1 and self.groups > 1 and not self.packed

    @property
    def compute(self) -> DType:
        return accumulator(self.images.dtype)

    @property
    def flops(self) -> int:
        outputs = self.images.shape[0] * self.outputs[0] * self.outputs[1]
        return 2 * outputs * self.depth * self.groups * self.columns

    def reach(self, axis: int, outputs: int) -> int:
        """Elements along height (0) or width (1) from the first to the last that so many outputs meet."""
        return (outputs - 1) * self.stride[axis] + self.dilation[axis] * (self.window[axis] - 1) + 1

    @property
    def inside(self) -> bool:
        """Whether no output meets the zeros around the image."""
        size = self.images.shape[1:3]
        return all(
            self.low[i] <= 0 and self.reach(i, self.outputs[i]) - self.low[i] <= size[i] for i in (0, 1)
        )  # fmt: skip


@dataclass(frozen=True)
class ImageLayout:
    """Images as microkernels read them: byte steps from image to image, row to row, column to column, channel to
    channel. Where `copied`, they are padded copies of `rows` rows in scratch memory, in the dtype of the sums. Groups
    of bytes are read as i32, and `channel` is the step from group to group."""

    dtype: DType
    image: int
    row: int
    column: int
    channel: int
    copied: bool
    rows: int

    def bytes(self, images: int) -> int:
        """Scratch memory for so many images."""
        return self.image * images if self.copied else 0


def image_layout(conv: Convolution, outputs: int, panel: int) -> ImageLayout:
    """The images in place where nothing is missing around them, else copies for so many rows of outputs.

    Copies have the channels of one group, in the order of the images: last, or planes where the source has those. Of
    a depthwise convolution they have the channels of one panel, which lie together, so as not to collide in the cache.
    """
    x = conv.images
    image, row, column, channel = (s * x.dtype.size for s in x.strides)
    rows, columns = conv.reach(0, outputs), conv.reach(1, conv.outputs[1])
    if conv.packed:
        return _layout_of_groups(conv, conv.packed, rows, columns)
    readable = conv.inside and x.dtype is conv.compute and (x.strides[3] == 1 or not conv.depthwise)
    if readable or conv.channels == 0:
        return ImageLayout(x.dtype, image, row, column, channel, False, rows)
    size, channels = conv.compute.size, panel if conv.depthwise else conv.channels
    if x.strides[3] != 1 and x.strides[2] == 1 and not conv.depthwise:
        plane = rows * columns * size
        return ImageLayout(conv.compute, channels * plane, columns * size, size, plane, True, rows)
    pitch = columns * channels * size
    return ImageLayout(conv.compute, rows * pitch, pitch, channels * size, size, True, rows)


def odd_lines(bytes_: int) -> int:
    """At least so many bytes: an odd number of cache lines."""
    return (-(-bytes_ // _LINE) | 1) * _LINE


def collide(step: int) -> bool:
    """Whether lines of memory so many bytes apart share a few sets of the nearest cache, which then holds few of
    them."""
    return step > 0 and step % _COLLIDING == 0


def spread(layout: ImageLayout) -> ImageLayout:
    """Copies whose columns lie a cache line further apart."""
    column = layout.column + _LINE
    row = layout.row // layout.column * column
    return replace(layout, image=layout.rows * row, row=row, column=column)


def _layout_of_groups(conv: Convolution, packed: Packed, rows: int, columns: int) -> ImageLayout:
    """The bytes in place where nothing is missing, neither around them nor in a group, and they are multiplied as they
    are; else copies of the channels of a group. Where the places of a window's row share groups, so do the columns of a
    copy; a row is followed by what its last group overhangs."""
    x, dot = conv.images, packed.dot
    whole = conv.channels % dot.size == 0 and x.strides[3] == 1
    if conv.inside and whole and dot.size == 4 and not dot.moves(x.dtype):
        image, row, column, _ = x.strides
        return ImageLayout(conv.compute, image, row, column, GROUP_BYTES, False, rows)
    element = GROUP_BYTES // dot.size
    column = (conv.channels if packed.taps < conv.window[1] else packed.steps * dot.size) * element
    pitch = (-(-columns * column // GROUP_BYTES) + 1) * GROUP_BYTES
    return ImageLayout(conv.compute, rows * pitch, pitch, column, GROUP_BYTES, True, rows)


def merged_loops(loops: Sequence[tuple[int, int, int]]) -> tuple[tuple[int, int, int], ...]:
    """The same loops, outermost first, with those as one that step through both operands as through one."""
    found: list[tuple[int, int, int]] = []
    for count, *steps in loops:
        if count == 1:
            continue
        if found and found[-1][1:] == (steps[0] * count, steps[1] * count):
            found[-1] = (found[-1][0] * count, steps[0], steps[1])
        else:
            found.append((count, steps[0], steps[1]))
    return tuple(found)


def grid_of(
    compute: DType,
    groups: int,
    columns: int,
    places: Sequence[int],
    results: Sequence[Buffer],
    inputs: Sequence[Buffer],
) -> Grid:
    """What an epilogue sees of results and inputs that are [*places, groups * columns].

    Rows are the places, the last of them running fastest, where every operand steps through them as through one axis;
    else they are the last of the places alone, and the others are batch axes, behind that of the groups.
    """
    operands = [*results, *inputs]
    axes = [i for i, size in enumerate(places) if size != 1] or [0]  # no stride matters along the others
    flat = all(x.strides[i] == x.strides[j] * places[j] for x in operands for i, j in pairwise(axes))
    batch = (groups,) if flat else (groups, *places[:-1])
    rows = math.prod(places) if flat else places[-1]

    def seen(x: Buffer) -> Buffer:
        outer, row = ((), x.strides[axes[-1]]) if flat else (x.strides[:-2], x.strides[-2])
        return Buffer(x.dtype, (*batch, rows, columns), (columns * x.strides[-1], *outer, row, x.strides[-1]))

    return Grid(batch, rows, columns, compute, tuple(map(seen, results)), tuple(map(seen, inputs)))
