"""The gradient of a convolution with respect to its weights in fewer multiplications: see `ir.ops.winograd`.

Summed over tiles, the middle part of its formula is 16 to 36 products of matrices, images [phases of channels, tiles]
times gradients [tiles, columns], whose results are transformed once, behind the last tile. `emit_winograd_gradient`
writes three functions `void name(ptr frame, i64 chunk)`, to be run one after the other, whose frame is
`contract.grid.Frame`.

An item of the first is a run of tiles, for some columns. It takes some channels at a time, whose sums stay in L2 while
it visits its tiles, a few at a time: their transforms lie in scratch. What an item finds is a part of the result, in
shared scratch; the last function adds the parts up in order, as it does for `weight`. An infinity or a NaN would reach
weights that do not meet it, and sums could overflow that do not by the definition: where one is not finite, the second
function, which is that of the definition, computes all parts again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from tinytorch.ir.ops.winograd import Tiles
from tinytorch.ir.windows import Pair
from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.contract.epilogue import STORE_SUMS, Epilogue
from tinytorch.runtime.llvm.contract.grid import left, right
from tinytorch.runtime.llvm.contract.microkernel.tile import Source, TileKey, tile_function
from tinytorch.runtime.llvm.contract.parts import least, over_vectors
from tinytorch.runtime.llvm.contract.plan.cut import Tile
from tinytorch.runtime.llvm.contract.plan.tiles import accumulators, choose_tile
from tinytorch.runtime.llvm.contract.shares import share
from tinytorch.runtime.llvm.conv.image import Part, read_images
from tinytorch.runtime.llvm.conv.layout import Convolution, ImageLayout, image_layout, odd_lines
from tinytorch.runtime.llvm.conv.transforms import Line, Transforms, along_both, each
from tinytorch.runtime.llvm.conv.weight import WeightGradWriter, emit_conv_weight_grad
from tinytorch.runtime.llvm.conv.winograd_plan import in_whole_tiles
from tinytorch.runtime.llvm.conv.winograd_tiles import gradient_tiles, image_tiles
from tinytorch.runtime.llvm.kernel import Buffer, KernelCode, Phase
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR, memory_type

_ITEMS = 8  # wanted
_LEAST_FLOPS = 400_000  # of an item, by the definition
_COLUMNS = 64  # of an item, about
_CHANNELS = 64  # at a time, about
_SUMS_L2, _TILES_L2 = 0.65, 0.8  # of L2, that sums and transforms may take: these are read in order
_VISITS = 8  # whose products are added up before they are transformed: more would round off more
_LEAST_TILES = 16  # of a visit, that repay loading and storing the sums


def emit_winograd_gradient(
    module: Module,
    name: str,
    conv: Convolution,
    gradients: Buffer,
    out: Buffer,
    target: Target,
    tiles: Tiles,
    epilogue: Epilogue | None = None,
) -> KernelCode:
    """Write the kernel of `out = epilogue(sum over outputs of images * gradients)`; operands as for
    `weight.emit_conv_weight_grad`, the channels of the images without gaps."""
    if 0 in gradients.shape:  # there are no tiles
        return emit_conv_weight_grad(module, name, conv, gradients, out, target, epilogue)
    ends = epilogue or STORE_SUMS
    buffers = ends.frame().buffers
    if 0 in out.shape:
        return KernelCode((), buffers)
    writer = _GradientWriter(module, conv, gradients, out, target, tiles, ends)
    written = [module.function(name + suffix, [PTR, I64]) for suffix in ("", "_defined", "_total")]
    for fn, write in zip(written, (writer.write_sums, writer.write_defined, writer.write_total), strict=True):
        write(fn)
        fn.ret()
    chunks = (writer.items, writer.defined.items, writer.defined.total_chunks)
    phases = tuple(Phase(fn.name, count) for fn, count in zip(written, chunks, strict=True))
    return KernelCode(phases, buffers, writer.shared_bytes, writer.private_bytes)


@dataclass(frozen=True)
class _Visit:
    """Tiles that an item adds up: the first image and row of outputs, the numbers of images and rows, and that of rows
    of tiles in an image."""

    image: Register
    images: Register
    row: Register
    rows: Register
    down: Register


class _GradientWriter:
    def __init__(
        self,
        module: Module,
        conv: Convolution,
        gradients: Buffer,
        out: Buffer,
        target: Target,
        tiles: Tiles,
        epilogue: Epilogue,
    ) -> None:
        self.module = module
        self.conv = conv
        self.gradients = gradients
        self.target = target
        self.kind = tiles
        self.side = tiles.side
        self.epilogue = epilogue
        self.lanes = target.lanes(conv.compute)
        self.size = conv.compute.size
        self.products = tiles.products
        self.transforms = Transforms(tiles, target.has_fma)
        self.defined = WeightGradWriter(module, conv, gradients, out, target, epilogue, small=True)
        self._cut_work()
        self._lay_out_scratch()

    def _cut_work(self) -> None:
        """Channels and columns whose sums stay in L2, and as many tiles as there is room for; `span` visits an item."""
        conv, lanes, side = self.conv, self.lanes, self.side
        each = self.products * self.size
        sums, room = (int(self.target.l2_bytes * part / each) for part in (_SUMS_L2, _TILES_L2))  # elements of a matrix
        self.columns = _share_evenly(conv.columns, _COLUMNS, lanes)
        about = min(_CHANNELS, sums // self.columns) // self.kind.phases
        self.channels = _share_evenly(conv.channels, max(lanes, about), lanes)
        depth = self.kind.phases * self.channels
        self.tile = choose_tile(depth, self.columns, lanes, accumulators(conv.compute, self.target))
        batch, (height, width) = conv.images.shape[0], conv.outputs
        self.across = -(-width // side)
        wanted = max(_LEAST_TILES, room // (depth + self.columns))
        down = -(-height // side)
        self.down = _share_evenly(down, max(1, wanted // self.across), 1)
        self.rows = min(height, self.down * side)
        self.images = _share_evenly(batch, wanted // (down * self.across), 1) if self.down == down else 1
        self.tiles = self.images * self.down * self.across
        self.strips = -(-height // self.rows)
        self.visits = -(-batch // self.images) * self.strips
        self.blocks = -(-conv.columns // self.columns)
        wanted = max(1, min(_ITEMS, conv.flops // _LEAST_FLOPS))
        self.span = share(self.visits, -(-wanted // self.blocks), 1, 1)
        self.parts = -(-self.visits // self.span)
        self.items = self.parts * self.blocks

    def _lay_out_scratch(self) -> None:
        """Private: padded images, the transforms of both, sums. Shared: the parts, and for each item a vector that is
        NaN if a sum of it is not finite."""
        self.pitch = self.columns * self.size
        depth = self.kind.phases * self.channels
        self.sums_step = odd_lines(depth * self.pitch)
        self.image_step = odd_lines(self.tiles * depth * self.size)
        self.gradient_step = odd_lines(self.tiles * self.pitch)
        copies = max(self._layout(count).bytes(1) for count in self._counts())
        self.images_at = aligned(copies)
        self.gradients_at = self.images_at + self.products * self.image_step
        self.sums_at = self.gradients_at + self.products * self.gradient_step
        self.private_bytes = max(self.sums_at + self.products * self.sums_step, self.defined.private_bytes)
        self.checks_at = self.defined.part_step * max(self.parts, self.defined.parts)
        self.shared_bytes = self.checks_at + self.items * self._check_bytes

    @property
    def _check_bytes(self) -> int:
        return aligned(self.lanes * self.size)

    def _counts(self) -> Iterator[int]:
        """How many channels are taken at a time: the usual number, and that of the last ones."""
        yield self.channels
        if self.conv.channels % self.channels:
            yield self.conv.channels % self.channels

    def _tiled(self, channels: int) -> Convolution:
        """A convolution of so many channels, whose outputs are in whole tiles; what is too many meets no gradient."""
        images = self.conv.images
        part = replace(images, shape=(*images.shape[:3], channels))
        return replace(in_whole_tiles(self.conv, self.kind), images=part)

    def _layout(self, channels: int) -> ImageLayout:
        return image_layout(self._tiled(channels), self.down * self.side, channels)

    # The parts.

    def write_sums(self, fn: Function) -> None:
        """Item number `chunk`: columns run fastest, then parts."""
        self.fn = fn
        item, words = fn.params[1], self.epilogue.frame()
        self.x, self.g = left(fn), right(fn)
        shared, self.scratch = words.scratch(fn), words.scratch(fn, 1)
        column, part = item % self.blocks * self.columns, item // self.blocks
        to = fn.at(shared, part * self.defined.part_step + column * self.size)
        self.check = fn.at(shared, item * self._check_bytes + self.checks_at)
        fn.store(fn.zero(memory_type(self.conv.compute, self.lanes)), self.check)
        columns = least(self.conv.columns - column, self.columns)
        rest = self.conv.columns % self.columns

        def block(width: int) -> None:
            whole = self.conv.channels // self.channels * self.channels
            fn.loop(whole, [], lambda c: self._channels(part, column, width, c, self.channels, to), step=self.channels)
            if self.conv.channels > whole:
                self._channels(part, column, width, fn.const(whole), self.conv.channels - whole, to)

        if not rest:
            block(self.columns)
        elif self.conv.columns < self.columns:
            block(rest)
        else:
            full = fn.compare("eq", columns, fn.const(self.columns))
            fn.if_(full, lambda: block(self.columns), lambda: block(rest))

    def _channels(
        self, part: Register, column: Register, width: int, channel: Register, channels: int, to: Register
    ) -> None:
        """The sums of an item for some channels, which `to` is given."""
        fn, batch, height = self.fn, self.conv.images.shape[0], self.conv.outputs[0]
        first = part * self.span
        last = least(first + self.span, self.visits)
        sums, end = fn.at(self.scratch, self.sums_at), fn.at(to, channel * (self.conv.columns * self.size))

        def visit(number: Register, begin: Register) -> None:
            image, row = number // self.strips * self.images, number % self.strips * self.rows
            images, rows = least(batch - image, self.images), least(height - row, self.rows)
            at = _Visit(image, images, row, rows, (rows + (self.side - 1)) // self.side)
            self._transform(at, column, width, channel, channels)
            self._products(images * at.down * self.across, width, self.kind.phases * channels, number - begin)

        def run(begin: Register) -> None:
            fn.loop(least(begin + _VISITS, last), [], lambda number: visit(number, begin), start=begin)
            fn.call(self._last_function(width), [sums, end, self.check, fn.const(channels), begin - first])

        fn.loop(last, [], run, start=first, step=_VISITS)

    def _transform(self, at: _Visit, column: Register, width: int, channel: Register, channels: int) -> None:
        fn, kind, g = self.fn, self.kind, self.gradients
        conv, layout = self._tiled(channels), self._layout(channels)
        images = image_tiles(self.module, conv, layout, kind, self.across, self.image_step, self.target)
        gradients = gradient_tiles(self.module, g, self.conv.compute, width, kind, self.gradient_step, self.target)
        image, row, _, step = g.strides_bytes

        def one(n: Register) -> None:
            tile = n * (at.down * self.across)
            part = Part(at.image + n, fn.const(1), channel, channels, at.row, at.down * self.side)
            start = read_images(fn, conv, layout, part, self.x, self.scratch, self.target)
            to = fn.at(self.scratch, tile * (kind.phases * channels * self.size) + self.images_at)
            fn.call(images, [start, to, at.down])
            start = fn.at(self.g, (at.image + n) * image + at.row * row + column * step)
            fn.call(gradients, [start, fn.at(self.scratch, tile * (width * self.size) + self.gradients_at), at.rows])

        fn.loop(at.images, [], one)

    def _products(self, tiles: Register, width: int, depth: int, accumulate: Register) -> None:
        """Add the products of so many tiles to the sums, or begin with them."""
        fn, tall, panel = self.fn, self.tile.rows, self.tile.vectors * self.lanes
        step = fn.const(self.pitch)

        def product(p: Register) -> None:
            a = fn.at(self.scratch, p * self.image_step + self.images_at)
            b = fn.at(self.scratch, p * self.gradient_step + self.gradients_at)
            c = fn.at(self.scratch, p * self.sums_step + self.sums_at)

            def rows(i: Register, count: int) -> None:
                at, to = fn.at(a, i * self.size), fn.at(c, i * self.pitch)

                def columns(j: Register, wide: int) -> None:
                    function = self._tile_function(count, wide, depth, width)
                    fn.call(function, [at, fn.at(b, j * self.size), fn.at(to, j * self.size), step, tiles, accumulate])

                fn.loop(width // panel * panel, [], lambda j: columns(j, panel), step=panel)
                if width % panel:
                    columns(fn.const(width // panel * panel), width % panel)

            fn.loop(depth // tall * tall, [], lambda i: rows(i, tall), step=tall)
            if depth % tall:
                rows(fn.const(depth // tall * tall), depth % tall)

        fn.loop(self.products, [], product)

    def _tile_function(self, rows: int, wide: int, depth: int, width: int) -> Function:
        key = TileKey(
            form="outer",
            tile=Tile(rows, -(-wide // self.lanes)),
            width=wide,
            lanes=self.lanes,
            a=Source(self.conv.compute, self.size, depth * self.size),
            b=Source(self.conv.compute, self.size, width * self.size),
            accumulates=True,
            target=self.target,
        )
        return tile_function(self.module, key)

    def _last_function(self, width: int) -> Function:
        """`(sums, to, check, channels, accumulate)`: Gᵀ m G for so many channels, added to what is there where that is
        not 0; `check` becomes NaN if one is not finite."""
        lanes, compute, step, pitch = self.lanes, self.conv.compute, self.sums_step, self.pitch
        row = self.conv.columns * self.size
        place, kind = self.conv.channels * row, memory_type(compute, lanes)
        points, window = self.kind.points, self.conv.window

        def build(name: str) -> Function:
            fn = self.module.function(name, [PTR, PTR, PTR, I64, I64], internal=True, noinline=True)
            start, to, check, channels, accumulate = fn.params
            zero, adds = fn.zero(kind), fn.compare("ne", accumulate, fn.const(0))

            def one(before: Register, places: list[list[Pair | None]], c: Register) -> None:
                begin, end = fn.at(start, (before + c) * pitch), fn.at(to, c * row)

                def vector(j: Register, mask: Register | None = None) -> None:
                    source = fn.at(begin, j * self.size)

                    def column(k: int) -> Line:
                        offsets = [(points * i + k) * step for i in range(points)]
                        return [fn.load(source, kind, offset, mask=mask) for offset in offsets]

                    bad = fn.load(check, kind)
                    taps = along_both(self.transforms.weight_sums, each(column, points))
                    for line, whose in zip(taps, places, strict=True):
                        for value, at in zip(line, whose, strict=True):
                            if at is None:
                                continue
                            offset = j * self.size + (at[0] * window[1] + at[1]) * place
                            value = fn.select(adds, fn.load(end, kind, offset, mask=mask) + value, value)
                            fn.store(value, end, offset, mask=mask)
                            bad = bad + value * zero
                    fn.store(bad, check)

                over_vectors(fn, width, lanes, vector)

            for phase, places in enumerate(self.kind.places(window)):
                fn.loop(channels, [], partial(one, channels * phase, places))
            fn.ret()
            return fn

        key = ("winograd weight sums", width, pitch, step, row, place, self.kind, window, compute, self.target)
        return self.module.shared(key, build)

    # What there is to do where a sum is not finite, and the sum of the parts.

    def _not_finite(self, fn: Function) -> Register:
        checks = fn.at(self.epilogue.frame().scratch(fn), self.checks_at)
        kind = memory_type(self.conv.compute, self.lanes)

        def add(item: Register, total: Register) -> list[Register]:
            return [total + fn.load(checks, kind, item * self._check_bytes)]

        (total,) = fn.loop(self.items, [fn.zero(kind)], add)
        bad = fn.reduce(total, lambda a, b: a + b)
        return fn.compare("uno", bad, bad)

    def write_defined(self, fn: Function) -> None:
        """Chunk number `chunk` of the parts as defined."""
        fn.if_(self._not_finite(fn), lambda: self.defined.write_sums(fn))

    def write_total(self, fn: Function) -> None:
        bad = self._not_finite(fn)
        parts = fn.select(bad, fn.const(self.defined.parts), fn.const(self.parts))
        self.defined.write_total(fn, parts)


def _share_evenly(size: int, about: int, unit: int) -> int:
    """What each part has of `size`, in whole units, if there are parts of `about` as much, all alike but the last."""
    parts = max(1, round(size / max(1, about)))
    return min(-(-size // unit) * unit, -(-size // parts // unit) * unit)
