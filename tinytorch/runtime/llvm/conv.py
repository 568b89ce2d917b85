"""Convolution as a product with a virtual operand: windows of images, never laid out in memory, by weights.

`emit_conv` writes a function `void name(ptr frame, i64 chunk)`. `frame` is an array of pointers

    [images, weights, out, *epilogue.outputs, *epilogue.operands, scratch]

as in `contract`, whose microkernels it uses: their rows are places of the output, their columns its channels, their k
the places of the window and the channels of a group. Where an output meets zeros around the image, an item's images
are copied to scratch with the zeros, `conv_layout.picture_of` says how many bytes; there is no other extra memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tinytorch.runtime.llvm.builder import Function, Module, Value
from tinytorch.runtime.llvm.contract_epilogue import Epilogue, epilogue_function, store_sums
from tinytorch.runtime.llvm.contract_layout import Operand
from tinytorch.runtime.llvm.contract_parts import aligned, least, where_differ
from tinytorch.runtime.llvm.contract_plan import Tile
from tinytorch.runtime.llvm.contract_tile import Source, TileKey, Walk, tile_function
from tinytorch.runtime.llvm.conv_image import copy_images
from tinytorch.runtime.llvm.conv_layout import Convolution, as_product, merged_loops, picture_of
from tinytorch.runtime.llvm.conv_plan import plan_convolution
from tinytorch.runtime.llvm.conv_pool import pool_function
from tinytorch.runtime.llvm.lltypes import I64, PTR
from tinytorch.runtime.llvm.target import Target


@dataclass(frozen=True)
class ConvKernel:
    """An emitted convolution: run `name(frame, chunk)` for each chunk; `scratch_bytes` per thread."""

    name: str
    chunks: int
    scratch_bytes: int


def emit_conv(
    module: Module,
    name: str,
    conv: Convolution,
    weights: Operand,
    out: Operand,
    target: Target,
    epilogue: Epilogue | None = None,
) -> ConvKernel:
    """Write the kernel of `out = epilogue(images * weights)`.

    weights [window height, window width, channels of a group, groups * columns], row-major; out [batch, height,
    width, groups * columns], of any strides.
    """
    fn = module.function(name, [PTR, I64])
    if 0 in out.shape:
        fn.ret()
        return ConvKernel(name, 0, 0)
    writer = _Forward(module, fn, conv, weights, out, target, epilogue)
    writer.write()
    fn.ret()
    return ConvKernel(name, writer.plan.chunks, writer.scratch_bytes)


@dataclass(frozen=True)
class _Item:
    """What is being computed: a pointer to the first column of the weights; the group, and the first and the number of
    images and rows of outputs, and the first column."""

    b: Value
    group: Value
    image: Value
    images: Value
    row: Value
    rows: Value
    column: Value


class _Forward:
    def __init__(
        self,
        module: Module,
        fn: Function,
        conv: Convolution,
        weights: Operand,
        out: Operand,
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
        places = (conv.images.shape[0], *conv.outputs)
        self.pool = epilogue.pool if epilogue else None
        self.plan = plan_convolution(conv, self.pool or (1, 1), target)
        self.picture = picture_of(conv, self.plan.rows, self.plan.panel)
        self.sums_at = aligned(self.picture.bytes(self.plan.images))
        self.sums_bytes = aligned(self._sums() * self.plan.panel * self.size)
        self.scratch_bytes = self.sums_at + (self.sums_bytes if self.pool else 0)
        self.scratch_word = 2 + len((out, *outputs, *operands))
        seen = ((), ()) if self.pool else ((out, *outputs), operands)  # what is pooled is no product any more
        self.product = as_product(conv.images.dtype, self.groups, self.all_columns, places, *seen)
        self.flat = len(self.product.batch) == 1
        plain = epilogue is None and self.flat and out.dtype is conv.compute and out.strides[-1] == 1
        self.epilogue = None if plain else epilogue or Epilogue("store sums", store_sums)
        self.result = out

    def _sums(self) -> int:
        """Outputs whose sums wait for an epilogue: a tile's, or whole rows that are pooled together."""
        if self.pool and self.plan.cut == "x":
            return self.pool[0] * self.conv.outputs[1]
        return self.plan.tile.rows

    def write(self) -> None:
        fn, plan = self.fn, self.plan
        frame, chunk = fn.params
        self.frame = frame
        self.x, self.w, self.out = (fn.load(frame, PTR, 8 * i) for i in range(3))
        if self.scratch_bytes:
            self.scratch = fn.load(frame, PTR, self.scratch_word * 8)
        if self.epilogue is not None:
            self._prepare_epilogue(self.epilogue)
        first = chunk * plan.items_per_chunk
        last = least(first + plan.items_per_chunk, plan.items)
        fn.loop(last, [], self._item, start=first)

    def _prepare_epilogue(self, epilogue: Epilogue) -> None:
        module, lanes, panel = self.module, self.plan.lanes, self.plan.panel
        if self.pool:
            self.sums = self.fn.at(self.scratch, self.sums_at)
            self.finish = pool_function(module, self.conv, epilogue, self.result, lanes, panel, self.target)
        else:
            self.sums = self.fn.alloca(self.sums_bytes)
            self.finish = epilogue_function(module, self.product, epilogue, lanes, panel, self.target)

    def _item(self, number: Value) -> None:
        """Item `number`: columns run fastest, then strips of rows, runs of images, groups."""
        fn, plan, conv = self.fn, self.plan, self.conv
        across = -(-self.all_columns // plan.columns)
        down = -(-conv.outputs[0] // plan.rows)
        deep = -(-conv.images.shape[0] // plan.images)
        column = number % across * plan.columns
        row = number // across % down * plan.rows
        image = number // (across * down) % deep * plan.images
        group = number // (across * down * deep)
        rows = least(conv.outputs[0] - row, plan.rows)
        images = least(conv.images.shape[0] - image, plan.images)
        columns = least(self.all_columns - column, plan.columns)
        b = fn.at(self.w, (group * self.all_columns + column) * self.weights.dtype.size)
        item = _Item(b, group, image, images, row, rows, column)
        a = None if conv.depthwise else self._images(item, group * conv.channels, conv.channels)

        def panel(j: Value, width: int) -> None:
            self._panel(item, a or self._images(item, column + j, width), j, width)

        whole = columns // plan.panel * plan.panel
        fn.loop(whole, [], lambda j: panel(j, plan.panel), step=plan.panel)
        rest = self.all_columns % plan.panel
        if rest:
            where_differ(fn, columns, whole, lambda: panel(whole, rest))

    def _images(self, item: _Item, channel: Value, channels: int) -> Value:
        """Where the item's outputs begin to read these channels: in the images, or in a copy that is made here."""
        fn, conv, x = self.fn, self.conv, self.conv.images
        steps = [s * x.dtype.size for s in x.strides]
        start = fn.at(self.x, item.image * steps[0] + channel * steps[3])
        first = item.row * conv.stride[0] - conv.low[0]
        if not self.picture.copied:
            return fn.at(start, first * steps[1] - conv.low[1] * steps[2])
        copy = copy_images(self.module, conv, self.picture, channels, self.target)
        count = item.rows * conv.stride[0] + (conv.reach(0, 1) - conv.stride[0])
        fn.call(copy, [start, self.scratch, first, count, item.images])
        return self.scratch

    def _panel(self, item: _Item, a: Value, j: Value, width: int) -> None:
        """All outputs of an item for `width` columns, the first of them `j`, which begin to read at `a`."""
        fn, cut, part = self.fn, self.plan.cut, self.plan.part
        none = fn.const(0)

        def along(count: Value, rest: int, tile: Callable[[Value, int], None]) -> None:
            whole = count // part * part
            fn.loop(whole, [], lambda i: tile(i, part), step=part)
            if rest:
                where_differ(fn, count, whole, lambda: tile(whole, rest))

        if cut == "n":
            height = self.conv.outputs[0]

            def whole_images(n: Value, count: int) -> None:
                self._tile(item, a, j, width, n, none, none, count)
                for i in range(count):
                    self._pool(item, j, width, n + i, none, height, i * height * self.conv.outputs[1])

            along(item.images, self.conv.images.shape[0] % part, whole_images)
            return

        def image(n: Value) -> None:
            if cut == "y":

                def whole_rows(y: Value, count: int) -> None:
                    self._tile(item, a, j, width, n, y, none, count)
                    self._pool(item, j, width, n, y, count)

                along(item.rows, self.conv.outputs[0] % part, whole_rows)
                return
            columns = self.conv.outputs[1]
            band = self.pool[0] if self.pool else 1

            def rows(y: Value) -> None:
                for i in range(band):
                    tile = partial(self._tile, item, a, j, width, n, y + i, slot=i * columns)
                    along(fn.const(columns), columns % part, tile)
                self._pool(item, j, width, n, y, band)

            fn.loop(item.rows, [], rows, step=band)

        fn.loop(item.images, [], image)

    def _tile(
        self, item: _Item, a: Value, j: Value, width: int, n: Value, y: Value, x: Value, part: int, slot: int = 0
    ) -> None:
        """`part` steps of the cut axis from output (y, x) of image n, for `width` columns from j. What will be pooled
        waits as outputs `slot` + x and following."""
        fn, conv, picture = self.fn, self.conv, self.picture
        steps = (picture.image, conv.stride[0] * picture.row, conv.stride[1] * picture.column)
        a = fn.at(a, n * steps[0] + y * steps[1] + x * steps[2])
        column = item.column + j
        rows = self._rows(steps, part)
        place = ((item.image + n) * conv.outputs[0] + item.row + y) * conv.outputs[1] + x
        stride = self.plan.panel * self.size if self.epilogue else self.product.results[0].row_bytes
        to = self.sums if self.epilogue else self._result(item.group, place, column)
        if self.pool:
            to = fn.at(to, (x + slot) * stride)
        b = fn.at(item.b, j * self.weights.dtype.size)
        self._call_tile(a, b, to, rows, [i * stride for i in range(len(rows))], width)
        if self.pool or not self.epilogue:
            return
        wide = fn.const(width)
        if self.flat:
            fn.call(self.finish, [self.frame, to, fn.const(len(rows)), wide, place, column, item.group])
            return
        run = part if self.plan.cut == "x" else conv.outputs[1]
        for i in range(0, len(rows), run):
            line = item.group * (conv.images.shape[0] * conv.outputs[0]) + place // conv.outputs[1] + i // run
            fn.call(self.finish, [self.frame, fn.at(to, i * stride), fn.const(run), wide, x, column, line])

    def _pool(self, item: _Item, j: Value, width: int, n: Value, y: Value, rows: int, slot: int = 0) -> None:
        """Pool `rows` rows of outputs from row y of image n, which wait from output `slot` on."""
        if not self.pool:
            return
        fn = self.fn
        sums = fn.at(self.sums, slot * self.plan.panel * self.size)
        column = item.group * self.all_columns + item.column + j
        where = [item.image + n, item.row + y, column]
        fn.call(self.finish, [self.frame, sums, fn.const(rows), fn.const(width), *where])

    def _result(self, group: Value, place: Value, column: Value) -> Value:
        """Where a plain result goes."""
        out = self.product.results[0]
        return self.fn.at(self.out, group * out.batch_bytes[0] + place * out.row_bytes + column * out.column_bytes)

    def _rows(self, steps: tuple[int, int, int], part: int) -> tuple[int, ...]:
        """Byte offsets of a tile's rows in the images: whole axes inside `part` steps of the cut one."""
        height, width = self.conv.outputs
        cut = self.plan.cut
        n, y, x = (1, 1, part) if cut == "x" else (1, part, width) if cut == "y" else (part, height, width)
        return tuple(i * steps[0] + j * steps[1] + k * steps[2] for i in range(n) for j in range(y) for k in range(x))

    def _call_tile(self, a: Value, b: Value, to: Value, rows: tuple[int, ...], out: list[int], width: int) -> None:
        fn, plan, lanes = self.fn, self.plan, self.plan.lanes
        vectors = -(-width // lanes)
        key = TileKey(
            form=plan.form,
            tile=Tile(len(rows), vectors),
            width=width,
            lanes=lanes,
            a=Source(self.picture.dtype, self.picture.column, 0),
            b=Source(self.weights.dtype, self.weights.dtype.size, 0),
            accumulates=False,
            target=self.target,
            walk=Walk(rows, tuple(out), self._loops()),
        )
        none = fn.const(0)
        fn.call(tile_function(self.module, key), [a, b, to, none, none, none])

    def _loops(self) -> tuple[tuple[int, int, int], ...]:
        """The window and the channels of a group: steps in the images and in the weights."""
        conv, picture = self.conv, self.picture
        row, column, channel = (s * self.weights.dtype.size for s in self.weights.strides[:3])
        window = [
            (conv.window[0], conv.dilation[0] * picture.row, row),
            (conv.window[1], conv.dilation[1] * picture.column, column),
        ]
        channels = (conv.channels, picture.channel, channel)
        # The axis with the smallest steps is the innermost loop.
        return merged_loops([channels, *window] if picture.channel > picture.column else [*window, channels])
