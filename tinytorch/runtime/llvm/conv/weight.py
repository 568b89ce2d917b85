"""The gradient of a convolution with respect to its weights: images times gradients, summed over all outputs.

`emit_conv_weight_grad` writes two functions `void name(ptr frame, i64 chunk)`, to be run one after the other, whose
frame is `contract.grid.Frame`.

Rows of tiles are the weights of one output channel: the places of the window and the channels of a group; columns are
output channels; k runs over the outputs of some images. Each item sums over a run of images, into a part of its own of
shared scratch; the second function adds the parts up in order. How many parts there are follows from the shape, so
the result is the same to the bit for any number of threads. Images are read in place or copied as in `conv`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.contract.epilogue import STORE_SUMS, Epilogue, epilogue_function
from tinytorch.runtime.llvm.contract.grid import left, right
from tinytorch.runtime.llvm.contract.microkernel.tile import Source, TileKey, Walk, tile_function
from tinytorch.runtime.llvm.contract.parts import least, over_vectors, where_differ
from tinytorch.runtime.llvm.contract.plan.cut import Tile
from tinytorch.runtime.llvm.contract.plan.tiles import accumulators, choose_tile
from tinytorch.runtime.llvm.contract.shares import share
from tinytorch.runtime.llvm.contract.sums import MANY
from tinytorch.runtime.llvm.conv.image import Part, read_images
from tinytorch.runtime.llvm.conv.layout import (
    Convolution,
    ImageLayout,
    collide,
    grid_of,
    image_layout,
    merged_loops,
    odd_lines,
    spread,
)
from tinytorch.runtime.llvm.conv.plan import cut_axis
from tinytorch.runtime.llvm.kernel import Buffer, KernelCode, Phase
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR, memory_type

_ITEMS = 16  # wanted
_REUSED_ROWS = 48  # of weights, that repay copying the gradients
_VISIT = 128  # outputs that repay loading and storing the sums
_LEAST_FLOPS = 400_000  # of an item
_PART_BYTES = 256 << 10  # of the sums of an item: they stay in L2


def emit_conv_weight_grad(
    module: Module,
    name: str,
    conv: Convolution,
    gradients: Buffer,
    out: Buffer,
    target: Target,
    epilogue: Epilogue | None = None,
) -> KernelCode:
    """Write the kernel of `out = epilogue(sum over outputs of images * gradients)`.

    gradients [batch, *conv.outputs, groups * columns], the last stride 1; out [*conv.window, channels of a group,
    groups * columns], of any strides. An empty result takes no functions.
    """
    buffers = (epilogue or STORE_SUMS).frame().buffers
    if 0 in out.shape:
        return KernelCode((), buffers)
    sums = module.function(name, [PTR, I64])
    writer = WeightGradWriter(module, conv, gradients, out, target, epilogue)
    writer.write_sums(sums)
    sums.ret()
    total = module.function(f"{name}_total", [PTR, I64])
    writer.write_total(total, writer.parts)
    total.ret()
    phases = (Phase(name, writer.items), Phase(total.name, writer.total_chunks))
    return KernelCode(phases, buffers, writer.part_step * writer.parts, writer.private_bytes)


Loops = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class _Visit:
    """Outputs that an item adds up: where its sums go, its group and columns, the first image and row, and how many
    visits there were before."""

    to: Register
    group: Register
    column: Register
    columns: Register
    image: Register
    row: Register
    number: Register


class WeightGradWriter:
    """Writes both functions; `small`: as little code as there can be, for what rarely runs."""

    def __init__(
        self,
        module: Module,
        conv: Convolution,
        gradients: Buffer,
        out: Buffer,
        target: Target,
        epilogue: Epilogue | None,
        small: bool = False,
    ) -> None:
        self.module = module
        self.conv = conv
        self.gradients = gradients
        self.small = small
        self.target = target
        self.lanes = target.lanes(conv.compute)
        self.size = conv.compute.size
        self.groups, self.columns = (1, conv.groups) if conv.depthwise else (conv.groups, conv.columns)
        self.all_rows, self.all_columns = math.prod(out.shape[:3]), out.shape[3]
        self.epilogue = epilogue or STORE_SUMS
        results = (out, *self.epilogue.outputs)
        self.grid = grid_of(conv.compute, 1, out.shape[3], out.shape[:3], results, self.epilogue.operands)
        self._cut_outputs(self.lanes)
        self._cut_weights()
        if conv.depthwise:  # its copies have the channels of a panel, whose width was not known before
            self._cut_outputs(self.panel)
        self._cut_work()

    def _cut_outputs(self, panel: int) -> None:
        """A visit is to `rows` rows of outputs of `images` images: as many as L2 holds well, and enough for a k."""
        conv, (height, width) = self.conv, self.conv.outputs
        batch = conv.images.shape[0]
        self.images, self.rows = 1, height
        while self.rows > 1 and self._layout(panel).bytes(1) > self.target.l2_bytes // 4:
            self.rows = -(-self.rows // 2)
        self.layout = self._layout(panel)
        while self.rows == height and self.images < batch and self.images * height * width < _VISIT:
            self.images += 1
        self.strips = -(-height // self.rows)
        self.visits = -(-batch // self.images) * self.strips
        self.axes = self._axes()

    def _layout(self, panel: int) -> ImageLayout:
        layout = image_layout(self.conv, self.rows, panel)
        apart = layout.copied and layout.channel <= layout.column
        return spread(layout) if apart and collide(self.conv.stride[1] * layout.column) else layout

    def _axes(self) -> Loops:
        """Rows of weights, the outermost axis first: how many, and steps in the images and in the rows."""
        conv, layout = self.conv, self.layout
        window = [
            (conv.window[0], conv.dilation[0] * layout.row, conv.window[1] * conv.channels),
            (conv.window[1], conv.dilation[1] * layout.column, conv.channels),
        ]
        channels = (conv.channels, layout.channel, 1)
        # Where channels lie closest together, rows run along them first.
        planes = layout.channel > layout.column
        return merged_loops([channels, *window] if planes else [*window, channels]) or ((1, 0, 0),)

    def _cut_weights(self) -> None:
        """Tiles: `part` steps of one of the axes of rows, and all of those inside it."""
        sizes = [size for size, _, _ in reversed(self.axes)]
        inside = cut_axis(sizes)
        self.cut = len(sizes) - 1 - inside
        unit = math.prod(sizes[:inside])
        most = unit if self.small else accumulators(self.conv.compute, self.target)
        tile = choose_tile(unit * sizes[inside], self.columns, self.lanes, most, unit)
        self.part, self.panel = tile.rows // unit, tile.vectors * self.lanes

    def _cut_work(self) -> None:
        """An item is a run of visits for some columns of a group; `parts` runs."""
        wanted = max(1, min(_ITEMS, self.conv.flops // _LEAST_FLOPS))
        most = max(1, _PART_BYTES // (self.all_rows * self.size) // self.panel) * self.panel
        self.across = share(self.columns, -(-self.columns // most), self.panel, self.panel)
        blocks = self.groups * -(-self.columns // self.across)
        self.span = share(self.visits, -(-wanted // blocks), 1, 1) if self.visits else 1
        self.parts = -(-self.visits // self.span)
        self.items = self.parts * blocks
        self.part_bytes = aligned(self.all_rows * self.all_columns * self.size)
        # Where many visits are added up, what is rounded off lies beside the sums.
        self.compensation_bytes = self.part_bytes if self.span > MANY and self.conv.compute.is_float else 0
        self.part_step = self.part_bytes + self.compensation_bytes
        self._lay_out_gradients()
        copies = aligned(self.layout.bytes(self.images))
        self.gradients_at = copies
        self.private_bytes = copies + (aligned(self.images * self.gradient_steps[0]) if self.copies_gradients else 0)
        self.total_chunks = max(1, min(_ITEMS, self.part_bytes * self.parts // _PART_BYTES))

    def _lay_out_gradients(self) -> None:
        """Gradients that lie so that the cache holds few of them are copied where many rows of tiles read them: the
        columns of a panel, an odd number of cache lines apart."""
        g, width = self.gradients, self.conv.outputs[1]
        self.copies_gradients = not self.small and self.all_rows >= _REUSED_ROWS and collide(g.strides_bytes[2])
        column = odd_lines(self.panel * g.dtype.size)
        copied = (self.rows * width * column, width * column, column)
        self.gradient_steps = copied if self.copies_gradients else g.strides_bytes[:3]

    # The sums of each part.

    def write_sums(self, fn: Function) -> None:
        """Item number `chunk`: columns run fastest, then groups, then parts."""
        self.fn = fn
        _, item = fn.params
        self.x, self.g = left(fn), right(fn)
        words = self.epilogue.frame()
        shared = words.scratch(fn)
        self.scratch = words.scratch(fn, 1) if self.private_bytes else None
        blocks = -(-self.columns // self.across)
        column = item % blocks * self.across
        group = item // blocks % self.groups
        part = item // (blocks * self.groups)
        to = fn.at(shared, part * self.part_step + (group * self.columns + column) * self.size)
        first = part * self.span
        columns = least(self.columns - column, self.across)

        def visit(number: Register) -> None:
            image, row = number // self.strips * self.images, number % self.strips * self.rows
            self._visit(_Visit(to, group, column, columns, image, row, number - first))

        fn.loop(least(first + self.span, self.visits), [], visit, start=first)

    def _visit(self, at: _Visit) -> None:
        """Add what some outputs give; the last rows, or the last images, may be fewer."""
        fn, batch, height = self.fn, self.conv.images.shape[0], self.conv.outputs[0]
        rows, images = height % self.rows, batch % self.images
        if rows:
            last = fn.compare("eq", at.row, fn.const(height - rows))
            fn.if_(last, lambda: self._outputs(at, 1, rows), lambda: self._outputs(at, 1, self.rows))
        elif images:
            last = fn.compare("eq", at.image, fn.const(batch - images))
            fn.if_(last, lambda: self._outputs(at, images, height), lambda: self._outputs(at, self.images, height))
        else:
            self._outputs(at, self.images, self.rows)

    def _outputs(self, at: _Visit, images: int, rows: int) -> None:
        fn, g = self.fn, self.gradients
        image, row, _, step = g.strides_bytes
        column = at.group * self.columns + at.column
        b = fn.at(self.g, at.image * image + at.row * row + column * step)
        conv, steps = self.conv, self.gradient_steps
        group = None if conv.depthwise else self._images(at, at.group * conv.channels, conv.channels, images, rows)
        loops = merged_loops(
            [
                (images, self.layout.image, steps[0]),
                (rows, self.conv.stride[0] * self.layout.row, steps[1]),
                (self.conv.outputs[1], self.conv.stride[1] * self.layout.column, steps[2]),
            ]
        )

        def panel(j: Register, width: int) -> None:
            a = group or self._images(at, at.column + j, width, images, rows)
            self._rows(at, a, self._gradients(fn.at(b, j * step), images, rows, width), j, width, loops)

        whole = at.columns // self.panel * self.panel
        fn.loop(whole, [], lambda j: panel(j, self.panel), step=self.panel)
        rest = self.columns % self.panel
        if rest:
            where_differ(fn, at.columns, whole, lambda: panel(whole, rest))

    def _gradients(self, start: Register, images: int, rows: int, columns: int) -> Register:
        """Where a visit reads the gradients of a panel."""
        if not self.copies_gradients:
            return start
        assert self.scratch is not None, "a copy needs memory"
        to = self.fn.at(self.scratch, self.gradients_at)
        self.fn.call(self._copy_function(images, rows, columns), [start, to])
        return to

    def _copy_function(self, images: int, rows: int, columns: int) -> Function:
        """`(from, to)`: the gradients of a visit, of so many columns."""
        g, across, lanes = self.gradients, self.conv.outputs[1], self.lanes
        size, before, after = g.dtype.size, g.strides_bytes, self.gradient_steps

        def build(name: str) -> Function:
            fn = self.module.function(name, [PTR, PTR], internal=True, noinline=True)
            emitter = LaneEmitter(fn, self.target, lanes)

            def place(n: Register, y: Register, x: Register) -> None:
                source, to = (
                    fn.at(start, n * steps[0] + y * steps[1] + x * steps[2])
                    for start, steps in zip(fn.params, (before, after), strict=True)
                )

                def vector(j: Register, mask: Register | None = None) -> None:
                    lane = emitter.load(fn.at(source, j * size), g.dtype, 0, mask=mask)
                    emitter.store(lane, to, j * size, mask=mask)

                over_vectors(fn, columns, lanes, vector)

            def row(n: Register, y: Register) -> None:
                fn.loop(across, [], lambda x: place(n, y, x))

            fn.loop(images, [], lambda n: fn.loop(rows, [], lambda y: row(n, y)))
            fn.ret()
            return fn

        key = ("gradients", g.dtype, images, rows, across, columns, before, after, lanes, self.target)
        return self.module.shared(key, build)

    def _images(self, at: _Visit, channel: Register, channels: int, images: int, rows: int) -> Register:
        fn = self.fn
        part = Part(at.image, fn.const(images), channel, channels, at.row, fn.const(rows))
        return read_images(fn, self.conv, self.layout, part, self.x, self.scratch, self.target)

    def _rows(self, at: _Visit, a: Register, b: Register, j: Register, width: int, loops: Loops) -> None:
        """All weights of `width` columns from `j`: the axes outside of the cut one, then tiles along it."""
        fn, (size, a_step, row_step) = self.fn, self.axes[self.cut]
        pitch = self.all_columns * self.size
        to = fn.at(at.to, j * self.size)

        def inner(a: Register, to: Register) -> None:
            def tile(i: Register, part: int) -> None:
                self._tile(at, fn.at(a, i * a_step), b, fn.at(to, i * (row_step * pitch)), part, width, loops)

            whole = size // self.part * self.part
            fn.loop(whole, [], lambda i: tile(i, self.part), step=self.part)
            if size - whole:
                tile(fn.const(whole), size - whole)

        def outer(axis: int, a: Register, to: Register) -> None:
            if axis == self.cut:
                inner(a, to)
                return
            count, a_step, row_step = self.axes[axis]
            fn.loop(count, [], lambda i: outer(axis + 1, fn.at(a, i * a_step), fn.at(to, i * (row_step * pitch))))

        outer(0, a, to)

    def _tile(self, at: _Visit, a: Register, b: Register, to: Register, part: int, width: int, loops: Loops) -> None:
        fn, lanes = self.fn, self.lanes
        places = [(0, 0)]
        for count, a_step, row_step in ((part, *self.axes[self.cut][1:]), *self.axes[self.cut + 1 :]):
            places = [(x + i * a_step, y + i * row_step) for x, y in places for i in range(count)]
        pitch = self.all_columns * self.size
        key = TileKey(
            form="lanes" if self.conv.depthwise else "outer",
            tile=Tile(len(places), -(-width // lanes)),
            width=width,
            lanes=lanes,
            a=Source(self.layout.dtype, self.layout.column, 0),
            b=Source(self.gradients.dtype, self.gradients.dtype.size, 0),
            accumulates=True,
            target=self.target,
            walk=Walk(tuple(x for x, _ in places), tuple(y * pitch for _, y in places), loops),
            compensation_at=self.compensation_bytes,
        )
        none = fn.const(0)
        fn.call(tile_function(self.module, key), [a, b, to, none, none, at.number])

    # The sum of the parts.

    def write_total(self, fn: Function, parts: Register | int) -> None:
        """Chunk number `chunk` of the rows, of so many parts."""
        grid, columns, lanes = self.grid, self.all_columns, self.lanes
        frame, chunk = fn.params
        shared = self.epilogue.frame().scratch(fn)
        pitch = -(-columns // lanes) * lanes
        sums = fn.alloca(pitch * self.size)
        finish = epilogue_function(self.module, grid, self.epilogue, lanes, pitch, self.target)
        emitter = LaneEmitter(fn, self.target, lanes)
        share = -(-self.all_rows // self.total_chunks)

        def row(i: Register) -> None:
            start = fn.at(shared, i * (columns * self.size))

            def vector(j: Register, mask: Register | None = None) -> None:
                at = fn.at(start, j * self.size)
                zero = emitter.value(emitter.const(0, self.conv.compute))
                kind = memory_type(self.conv.compute, lanes)

                def add(p: Register, total: Register) -> list[Register]:
                    return [total + fn.load(at, kind, p * self.part_step, mask=mask)]

                (total,) = fn.loop(parts, [zero], add)
                fn.store(total, sums, j * self.size)

            over_vectors(fn, columns, lanes, vector)
            line, place = (fn.const(0), i) if len(grid.batch) == 1 else (i // grid.rows, i % grid.rows)
            fn.call(finish, [frame, sums, fn.const(1), fn.const(columns), place, fn.const(0), line])

        first = chunk * share
        fn.loop(least(first + share, self.all_rows), [], row, start=first)
