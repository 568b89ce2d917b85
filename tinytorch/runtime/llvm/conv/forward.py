"""Convolution as a product with a virtual operand: windows of images, never laid out in memory, by weights.

`emit_conv` writes a function `void name(ptr frame, i64 chunk)`, whose frame is `contract.grid.Frame`. It uses the
microkernels of products: their rows are places of the output, their columns its channels, their k
the places of the window and the channels of a group. Where an output meets zeros around the image, an item's images
are copied to scratch with the zeros, `layout.image_layout` says how many bytes; there is no other extra memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.contract.epilogue import STORE_SUMS, Epilogue, epilogue_function
from tinytorch.runtime.llvm.contract.grid import left, right
from tinytorch.runtime.llvm.contract.microkernel.tile import Source, TileKey, Walk, tile_function
from tinytorch.runtime.llvm.contract.parts import least, over_vectors, where_differ
from tinytorch.runtime.llvm.contract.plan.cut import Tile
from tinytorch.runtime.llvm.conv.image import Part, read_images
from tinytorch.runtime.llvm.conv.layout import Convolution, grid_of, image_layout, merged_loops
from tinytorch.runtime.llvm.conv.packed_starts import PackedStarts, starts_moved
from tinytorch.runtime.llvm.conv.plan import plan_convolution
from tinytorch.runtime.llvm.conv.pooled import pooling_function
from tinytorch.runtime.llvm.kernel import Buffer, KernelCode, Phase
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR


def emit_conv(
    module: Module,
    name: str,
    conv: Convolution,
    weights: Buffer,
    out: Buffer,
    target: Target,
    epilogue: Epilogue | None = None,
) -> KernelCode:
    """Write the kernel of `out = epilogue(images * weights)`.

    weights [window height, window width, channels of a group, groups * columns], row-major, or as `conv.packed` says;
    out [batch, height, width, groups * columns], of any strides.
    """
    buffers = (epilogue or STORE_SUMS).frame().buffers
    if 0 in out.shape:
        return KernelCode((), buffers)
    fn = module.function(name, [PTR, I64])
    writer = _ForwardWriter(module, fn, conv, weights, out, target, epilogue)
    writer.write()
    fn.ret()
    return KernelCode((Phase(name, writer.plan.chunks),), buffers, private_bytes=writer.scratch_bytes)


_REPAYS = 4  # vectors of sums that repay a call of the epilogue
_WAITING = 8 << 10  # bytes of sums, at most, that leave L1 to images and weights


@dataclass(frozen=True)
class _Item:
    """What is being computed: the group, the first and the number of images and rows of outputs, and the first
    column."""

    group: Register
    image: Register
    images: Register
    row: Register
    rows: Register
    column: Register


class _ForwardWriter:
    def __init__(
        self,
        module: Module,
        fn: Function,
        conv: Convolution,
        weights: Buffer,
        out: Buffer,
        target: Target,
        epilogue: Epilogue | None,
    ) -> None:
        self.module = module
        self.fn = fn
        self.conv = conv
        self.weights = weights
        self.target = target
        self.size = conv.compute.size
        outputs, operands = (epilogue.outputs, epilogue.operands) if epilogue else ((), ())
        self.groups, self.all_columns = (1, conv.groups) if conv.depthwise else (conv.groups, conv.columns)
        places = (conv.images.shape[0], *conv.places)
        self.pooled = epilogue.pooled if epilogue else None
        self.plan = plan_convolution(conv, self.pooled or (1, 1), target)
        # Where few sums of a tile are left when they are pooled in registers, those of a row wait for each other.
        row, tile = conv.places[1] * self.plan.panel * self.size, self.plan.tile
        few = tile.rows // math.prod(conv.block) * tile.vectors < _REPAYS
        self.gathers = conv.block != (1, 1) and few and self.plan.cut == "x" and row <= _WAITING
        self.layout = image_layout(conv, self.plan.rows * conv.block[0], self.plan.panel)
        self.packed_at = aligned(self.layout.bytes(self.plan.images))
        packed = math.prod(weights.shape) if self.plan.form == "dot" else conv.depth * self.plan.panel
        together = self.plan.form == "dot" or self.plan.packs
        self.sums_at = self.packed_at + (aligned(packed * self.size) if together else 0)
        self.sums_bytes = aligned(self._sums() * self.plan.panel * self.size)
        self.scratch_bytes = self.sums_at + (self.sums_bytes if self.pooled else 0)
        seen = ((), ()) if self.pooled else ((out, *outputs), operands)  # what is pooled is no product any more
        self.grid = grid_of(conv.compute, self.groups, self.all_columns, places, *seen)
        self.flat = len(self.grid.batch) == 1
        self.starts = PackedStarts(conv, weights, self.plan.lanes) if starts_moved(conv) else None
        plain = epilogue is None and self.flat and out.dtype is conv.compute and out.strides[-1] == 1
        plain = plain and not self.starts
        self.epilogue = None if plain else epilogue or STORE_SUMS
        self.result = out

    def _sums(self) -> int:
        """Outputs whose sums wait for an epilogue: a tile's, or whole rows that are pooled together."""
        if self.pooled and self.plan.cut == "x":
            return self.pooled[0] * self.conv.outputs[1]
        if self.gathers:
            return self.conv.places[1]
        return self.plan.tile.rows // math.prod(self.conv.block)

    def write(self) -> None:
        fn, plan = self.fn, self.plan
        frame, chunk = fn.params
        self.frame = frame
        words = (self.epilogue or STORE_SUMS).frame()
        self.x, self.w, self.out = left(fn), right(fn), words.result(fn, 0)
        self.scratch = words.scratch(fn) if self.scratch_bytes else None
        if self.epilogue is not None:
            self._prepare_epilogue(self.epilogue)
        if plan.form == "dot":
            self._pack_weights()
        first = chunk * plan.items_per_chunk
        last = least(first + plan.items_per_chunk, plan.items)
        fn.loop(last, [], self._item, start=first)

    def _pack_weights(self) -> None:
        """Put the input channels of a place of the window and an output channel side by side, as `dot` tiles read
        them: the kernel goes on with weights [window height, window width, columns, channels]."""
        fn, w, channels, compute = self.fn, self.weights, self.conv.channels, self.conv.compute
        assert self.scratch is not None, "packed weights have scratch memory"
        packed = fn.at(self.scratch, self.packed_at)
        emitter = LaneEmitter(fn, self.target, self.plan.lanes)
        height, width, _, columns = w.shape
        steps = [s * w.dtype.size for s in w.strides]

        def line(y: Register, x: Register, o: Register) -> None:
            start = fn.at(self.w, y * steps[0] + x * steps[1] + o * steps[3])
            to = fn.at(packed, ((y * width + x) * columns + o) * (channels * compute.size))

            def vector(c: Register, mask: Register | None = None) -> None:
                lane = emitter.load_strided(start, w.dtype, w.strides[2], c * steps[2], mask=mask)
                emitter.store(lane.cast(compute), to, c * compute.size, mask=mask)

            over_vectors(fn, channels, self.plan.lanes, vector)

        def row(y: Register) -> None:
            fn.loop(width, [], lambda x: fn.loop(columns, [], lambda o: line(y, x, o)))

        fn.loop(height, [], row)
        strides = (width * columns * channels, columns * channels, 1, channels)
        self.w, self.weights = packed, Buffer(compute, w.shape, strides)

    @property
    def _packed(self) -> Register:
        assert self.scratch is not None, "packed weights have scratch memory"
        return self.fn.at(self.scratch, self.packed_at)

    @property
    def _read_weights(self) -> Buffer:
        """The weights as microkernels read them."""
        if not self.plan.packs:
            return self.weights
        _, width, channels, panel = (*self.weights.shape[:3], self.plan.panel)
        strides = (width * channels * panel, channels * panel, panel, 1)
        return Buffer(self.conv.compute, self.weights.shape, strides)

    def _pack_function(self, width: int) -> Function:
        """`(from, to)`: puts the weights of `width` columns together."""
        w, compute, lanes = self.weights, self.conv.compute, self.plan.lanes
        height, across, channels, _ = w.shape
        steps = w.strides_bytes
        pitch = self.plan.panel * compute.size

        def build(name: str) -> Function:
            fn = self.module.function(name, [PTR, PTR], internal=True, noinline=True)
            source, to = fn.params
            emitter = LaneEmitter(fn, self.target, lanes)

            def one(start: Register, end: Register) -> None:
                def vector(j: Register, mask: Register | None = None) -> None:
                    lane = emitter.load_strided(fn.at(start, j * steps[3]), w.dtype, w.strides[3], mask=mask)
                    emitter.store(lane.cast(compute), end, j * compute.size, mask=mask)

                over_vectors(fn, width, lanes, vector)

            def place(y: Register, x: Register) -> None:
                start, end = fn.at(source, y * steps[0] + x * steps[1]), (y * across + x) * (channels * pitch)
                fn.loop(channels, [], lambda c: one(fn.at(start, c * steps[2]), fn.at(fn.at(to, end), c * pitch)))

            fn.loop(height, [], lambda y: fn.loop(across, [], lambda x: place(y, x)))
            fn.ret()
            return fn

        return self.module.shared(("packed weights", w, compute, width, pitch, lanes, self.target), build)

    def _prepare_epilogue(self, epilogue: Epilogue) -> None:
        module, lanes, panel = self.module, self.plan.lanes, self.plan.panel
        if self.pooled and self.scratch:
            self.sums = self.fn.at(self.scratch, self.sums_at)
            self.finish = pooling_function(module, self.conv, epilogue, self.result, lanes, panel, self.target)
        else:
            self.sums = self.fn.alloca(self.sums_bytes)
            self.finish = epilogue_function(module, self.grid, epilogue, lanes, panel, self.target)

    def _item(self, number: Register) -> None:
        """Item `number`: columns run fastest, then strips of rows, runs of images, groups."""
        fn, plan, conv = self.fn, self.plan, self.conv
        across = -(-self.all_columns // plan.columns)
        down = -(-conv.places[0] // plan.rows)
        deep = -(-conv.images.shape[0] // plan.images)
        column = number % across * plan.columns
        row = number // across % down * plan.rows
        image = number // (across * down) % deep * plan.images
        group = number // (across * down * deep)
        rows = least(conv.places[0] - row, plan.rows)
        images = least(conv.images.shape[0] - image, plan.images)
        columns = least(self.all_columns - column, plan.columns)
        item = _Item(group, image, images, row, rows, column)
        a = None if conv.depthwise else self._images(item, group * conv.channels, conv.channels)

        def panel(j: Register, width: int) -> None:
            b = self._weights_at(item, j)
            if plan.packs:
                fn.call(self._pack_function(width), [b, self._packed])
            if self.starts:
                self.starts.write(fn, b)
            self._panel(item, a or self._images(item, column + j, width), j, width)

        whole = columns // plan.panel * plan.panel
        fn.loop(whole, [], lambda j: panel(j, plan.panel), step=plan.panel)
        rest = self.all_columns % plan.panel
        if rest:
            where_differ(fn, columns, whole, lambda: panel(whole, rest))

    def _weights_at(self, item: _Item, j: Register) -> Register:
        """Where column j of an item has its weights."""
        fn, w, packed = self.fn, self.weights, self.conv.packed
        if packed is None:
            return fn.at(self.w, (item.group * self.all_columns + item.column + j) * (w.strides[3] * w.dtype.size))
        panels = -(-self.all_columns // packed.width)
        return fn.at(self.w, (item.group * panels + (item.column + j) // packed.width) * w.strides_bytes[0])

    def _images(self, item: _Item, channel: Register, channels: int) -> Register:
        block = self.conv.block[0]
        part = Part(item.image, item.images, channel, channels, item.row * block, item.rows * block)
        return read_images(self.fn, self.conv, self.layout, part, self.x, self.scratch, self.target)

    def _panel(self, item: _Item, a: Register, j: Register, width: int) -> None:
        """All outputs of an item for `width` columns, the first of them `j`, which begin to read at `a`."""
        fn, cut, part = self.fn, self.plan.cut, self.plan.part
        none = fn.const(0)

        def along(count: Register, rest: int, tile: Callable[[Register, int], None]) -> None:
            whole = count // part * part
            fn.loop(whole, [], lambda i: tile(i, part), step=part)
            if rest:
                where_differ(fn, count, whole, lambda: tile(whole, rest))

        if cut == "n":
            height = self.conv.places[0]

            def whole_images(n: Register, count: int) -> None:
                self._tile(item, a, j, width, n, none, none, count)
                for i in range(count):
                    self._store_pooled(item, j, width, n + i, none, height, i * height * self.conv.places[1])

            along(item.images, self.conv.images.shape[0] % part, whole_images)
            return

        def image(n: Register) -> None:
            if cut == "y":

                def whole_rows(y: Register, count: int) -> None:
                    self._tile(item, a, j, width, n, y, none, count)
                    self._store_pooled(item, j, width, n, y, count)

                along(item.rows, self.conv.places[0] % part, whole_rows)
                return
            columns = self.conv.places[1]
            band = self.pooled[0] if self.pooled else 1

            def rows(y: Register) -> None:
                for i in range(band):
                    tile = partial(self._tile, item, a, j, width, n, y + i, slot=i * columns)
                    along(fn.const(columns), columns % part, tile)
                if self.gathers and self.epilogue:
                    self._finish(item, self.sums, columns, width, n, y, none, item.column + j)
                self._store_pooled(item, j, width, n, y, band)

            fn.loop(item.rows, [], rows, step=band)

        fn.loop(item.images, [], image)

    def _tile(
        self,
        item: _Item,
        a: Register,
        j: Register,
        width: int,
        n: Register,
        y: Register,
        x: Register,
        part: int,
        slot: int = 0,
    ) -> None:
        """`part` steps of the cut axis from output (y, x) of image n, for `width` columns from j. What will be pooled
        waits as outputs `slot` + x and following."""
        fn, conv, layout = self.fn, self.conv, self.layout
        down, across = conv.stride[0] * layout.row, conv.stride[1] * layout.column
        steps = (layout.image, conv.block[0] * down, conv.block[1] * across)
        a = fn.at(a, n * steps[0] + y * steps[1] + x * steps[2])
        column = item.column + j
        places = self._rows(steps, part)
        block = [i * down + j * across for i in range(conv.block[0]) for j in range(conv.block[1])]
        rows = tuple(at + within for at in places for within in block)
        place = ((item.image + n) * conv.places[0] + item.row + y) * conv.places[1] + x
        stride = self.plan.panel * self.size if self.epilogue else self.grid.results[0].row_bytes
        to = self.sums if self.epilogue else self._result(item.group, place, column)
        waits = self.pooled or (self.gathers and self.epilogue)
        if waits:
            to = fn.at(to, (x + slot) * stride)
        b = self._packed if self.plan.packs else self._weights_at(item, j)
        if self.starts:
            self.starts.put(fn, to, len(places), stride)
        self._call_tile(a, b, to, rows, [i * stride for i in range(len(places))], width)
        if not waits and self.epilogue:
            self._finish(item, to, len(places), width, n, y, x, column)

    def _finish(
        self,
        item: _Item,
        sums: Register,
        places: int,
        width: int,
        n: Register,
        y: Register,
        x: Register,
        column: Register,
    ) -> None:
        """The epilogue of so many places from (y, x) of image n on, whose sums lie together."""
        fn, conv = self.fn, self.conv
        place = ((item.image + n) * conv.places[0] + item.row + y) * conv.places[1] + x
        wide, stride = fn.const(width), self.plan.panel * self.size
        if self.flat:
            fn.call(self.finish, [self.frame, sums, fn.const(places), wide, place, column, item.group])
            return
        run = min(places, conv.places[1])
        for i in range(0, places, run):
            line = item.group * (conv.images.shape[0] * conv.places[0]) + place // conv.places[1] + i // run
            fn.call(self.finish, [self.frame, fn.at(sums, i * stride), fn.const(run), wide, x, column, line])

    def _store_pooled(
        self, item: _Item, j: Register, width: int, n: Register, y: Register, rows: int, slot: int = 0
    ) -> None:
        """Pool `rows` rows of outputs from row y of image n, which wait from output `slot` on."""
        if not self.pooled:
            return
        fn = self.fn
        sums = fn.at(self.sums, slot * self.plan.panel * self.size)
        column = item.group * self.all_columns + item.column + j
        where = [item.image + n, item.row + y, column]
        fn.call(self.finish, [self.frame, sums, fn.const(rows), fn.const(width), *where])

    def _result(self, group: Register, place: Register, column: Register) -> Register:
        """Where a plain result goes."""
        out = self.grid.results[0]
        return self.fn.at(self.out, group * out.batch_bytes[0] + place * out.row_bytes + column * out.column_bytes)

    def _rows(self, steps: tuple[int, int, int], part: int) -> tuple[int, ...]:
        """Byte offsets of a tile's places in the images: whole axes inside `part` steps of the cut one."""
        height, width = self.conv.places
        cut = self.plan.cut
        n, y, x = (1, 1, part) if cut == "x" else (1, part, width) if cut == "y" else (part, height, width)
        return tuple(i * steps[0] + j * steps[1] + k * steps[2] for i in range(n) for j in range(y) for k in range(x))

    def _call_tile(
        self, a: Register, b: Register, to: Register, rows: tuple[int, ...], out: list[int], width: int
    ) -> None:
        fn, plan, lanes, packed = self.fn, self.plan, self.plan.lanes, self.conv.packed
        w = self._read_weights
        vectors = -(-width // lanes)
        filled = packed is not None and self.epilogue is not None  # sums on their way may fill their last vector
        columns = (w.strides[i] * w.dtype.size for i in ((4, 3) if packed else (3, 2)))
        key = TileKey(
            form=plan.form,
            tile=Tile(len(rows), vectors),
            width=vectors * lanes if filled else width,
            lanes=lanes,
            a=Source(self.layout.dtype, self.layout.column, self.layout.channel),
            b=Source(w.dtype, *columns),
            accumulates=self.starts is not None,
            target=self.target,
            dot=packed.dot if packed else None,
            pools=len(rows) // len(out),
            walk=Walk(rows, tuple(out), self._loops()),
        )
        none = fn.const(0)
        fn.call(tile_function(self.module, key), [a, b, to, none, none, fn.const(int(key.accumulates))])

    def _loops(self) -> tuple[tuple[int, int, int], ...]:
        """The window and the channels of a group: steps in the images and in the weights."""
        conv, layout = self.conv, self.layout
        w, packed = self._read_weights, conv.packed
        row, column, channel = w.strides_bytes[1:4] if packed else w.strides_bytes[:3]
        window = [
            (conv.window[0], conv.dilation[0] * layout.row, row),
            (packed.taps if packed else conv.window[1], conv.dilation[1] * layout.column, column),
        ]
        channels = (packed.steps if packed else conv.channels, layout.channel, channel)
        # The innermost loop is that with the smallest steps, or that along which the vectors run.
        planes = layout.channel > layout.column and self.plan.form != "dot" and not packed
        return merged_loops([channels, *window] if planes else [*window, channels])
