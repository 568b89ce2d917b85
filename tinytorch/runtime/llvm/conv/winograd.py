"""Convolution with 3×3 windows in fewer multiplications: see `ir.ops.winograd`.

Summed over the channels, the middle part of its formula is 16 products of matrices, which take 16 multiplications
where the definition takes 36. `emit_winograd` writes a function `void name(ptr frame, i64 chunk)`, whose frame is
`contract.grid.Frame`, with the transformed weights as a further operand.

The scratch of a thread holds the padded images of an item, their transforms, and for a panel of columns the
transformed sums and the sums. An infinity or a NaN would reach outputs that do not meet it, and sums could overflow
that do not by the definition: where a sum is not finite, the panel is computed again as defined, before anything is
stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tinytorch.ir.ops.contract import accumulator
from tinytorch.runtime.llvm.contract.epilogue import STORE_SUMS, Epilogue, epilogue_function
from tinytorch.runtime.llvm.contract.grid import left, right
from tinytorch.runtime.llvm.contract.parts import aligned, least, over_vectors, where_differ
from tinytorch.runtime.llvm.contract.plan import Tile, accumulators, choose_tile, share
from tinytorch.runtime.llvm.contract.tile import Source, TileKey, Walk, tile_function
from tinytorch.runtime.llvm.conv.image import Part, read_images
from tinytorch.runtime.llvm.conv.layout import Convolution, Pair, grid_of, image_layout, merged_loops
from tinytorch.runtime.llvm.conv.pooled import pooling_function
from tinytorch.runtime.llvm.index.loops import CHUNK_BYTES, Extent, byte_steps, frame_pointers
from tinytorch.runtime.llvm.kernel import Buffer, KernelCode, Phase
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR, memory_type

_CHUNK_FLOPS = 400_000  # of the definition
_MOST_CHUNKS = 48


def emit_winograd(
    module: Module,
    name: str,
    conv: Convolution,
    weights: Buffer,
    out: Buffer,
    target: Target,
    epilogue: Epilogue | None = None,
) -> KernelCode:
    """Write the kernel of `out = epilogue(images * weights)`; operands as for `conv.emit_conv`, the images' channels
    and the matrices of transformed weights without gaps."""
    ends = epilogue or STORE_SUMS
    buffers = ends.frame(further=1).buffers
    if 0 in out.shape:
        return KernelCode((), buffers)
    fn = module.function(name, [PTR, I64])
    writer = _WinogradWriter(module, conv, weights, out, target, ends)
    writer.write(fn)
    fn.ret()
    return KernelCode((Phase(name, writer.chunks),), buffers, private_bytes=writer.scratch_bytes)


def write_winograd_weights(fn: Function, operands: Sequence[Buffer], result: Buffer, target: Target) -> Extent:
    """The kernel of `winograd_weights`: G w Gᵀ, a share of the input channels to a chunk."""
    (w,) = operands
    compute = accumulator(w.dtype)
    lanes, (_, channels, columns) = target.lanes(compute), result.shape
    pointers = frame_pointers(fn, 2)
    emitter = LaneEmitter(fn, target, lanes)
    row, column, channel, step = byte_steps(w)
    chunks = max(1, min(channels, 16 * channels * columns * result.dtype.size // CHUNK_BYTES))
    share = -(-channels // chunks)

    def one(c: Register) -> None:
        start = fn.at(pointers[0], c * channel)
        end = fn.at(pointers[1], c * (columns * result.dtype.size))

        def vector(j: Register, mask: Register | None = None) -> None:
            at = fn.at(start, j * step)

            def tap(y: int, x: int) -> Register:
                loaded = emitter.load_strided(at, w.dtype, w.strides[3], y * row + x * column, mask=mask)
                return emitter.value(loaded.cast(compute))

            taps = [[tap(y, x) for x in range(3)] for y in range(3)]
            for p, value in enumerate(_both(_weights, taps)):
                lane = emitter.lane(value, compute).cast(result.dtype)
                emitter.store(lane, end, (p * channels * columns + j) * result.dtype.size, mask=mask)

        over_vectors(fn, columns, lanes, vector)

    first = fn.params[1] * share
    fn.loop(least(first + share, channels), [], one, start=first)
    return Extent(-(-channels // share))


@dataclass(frozen=True)
class _Strip:
    """Rows of outputs of an image: where it begins to read, and the image, the first row and their number."""

    a: Register
    image: Register
    row: Register
    rows: Register


class _WinogradWriter:
    def __init__(
        self, module: Module, conv: Convolution, weights: Buffer, out: Buffer, target: Target, epilogue: Epilogue
    ) -> None:
        self.module = module
        self.conv = conv
        self.weights = weights
        self.out = out
        self.target = target
        self.epilogue = epilogue
        self.lanes = target.lanes(conv.compute)
        self.size = conv.compute.size
        # Outputs in pairs along both axes; of an odd one the last is computed and dropped.
        self.paired = replace(conv, outputs=(_even(conv.outputs[0]), _even(conv.outputs[1])))
        self.pairs = -(-conv.outputs[1] // 2)  # along a row
        results = (out, *epilogue.outputs)
        seen = ((), ()) if epilogue.pooled else (results, epilogue.operands)
        self.grid = grid_of(conv.compute, 1, conv.columns, (conv.images.shape[0], *conv.outputs), *seen)
        self._cut(epilogue.pooled or (1, 1))
        self._lay_out_scratch()

    def _cut(self, pooled: Pair) -> None:
        """An item is a strip of rows of an image, whose transforms take some of L2, for some of the columns."""
        conv, (height, _) = self.conv, self.conv.outputs
        batch, most = conv.images.shape[0], accumulators(conv.compute, self.target)
        wanted = max(1, min(_MOST_CHUNKS, conv.flops // _CHUNK_FLOPS))
        unit = math.lcm(2, pooled[0])
        widest = choose_tile(self.pairs * -(-height // 2), conv.columns, self.lanes, most)
        rows = share(height, -(-wanted // batch), 2 * unit, unit)
        row_bytes = 16 * self.pairs * (conv.channels + widest.vectors * self.lanes) * self.size // 2
        while rows > unit and rows * row_bytes > self.target.l2_bytes * 3 // 8:
            rows = -(-rows // 2 // unit) * unit
        self.rows = rows
        last = height % rows or rows
        self.tiles = -(-rows // 2) * self.pairs
        tile = choose_tile(self.tiles, conv.columns, self.lanes, most)
        self.tile = Tile(min(tile.rows, -(-last // 2) * self.pairs), tile.vectors)
        self.panel = self.tile.vectors * self.lanes
        outer = batch * -(-height // rows)
        self.across = share(conv.columns, -(-min(wanted, 8) // outer), self.panel, self.panel)
        self.items = outer * -(-conv.columns // self.across)
        self.items_per_chunk = -(-self.items // wanted)
        self.chunks = -(-self.items // self.items_per_chunk)

    def _lay_out_scratch(self) -> None:
        conv = self.conv
        self.layout = image_layout(self.paired, _even(self.rows), self.panel)
        self.images_at = aligned(self.layout.bytes(1))
        self.sums_at = self.images_at + aligned(16 * self.tiles * conv.channels * self.size)
        self.finished_at = self.sums_at + aligned(16 * self.tiles * self.panel * self.size)
        self.check_at = self.finished_at + aligned(_even(self.rows) * conv.outputs[1] * self.panel * self.size)
        self.scratch_bytes = self.check_at + aligned(self.lanes * self.size)

    def write(self, fn: Function) -> None:
        self.fn = fn
        frame, chunk = fn.params
        self.frame = frame
        words = self.epilogue.frame(further=1)
        self.x, self.w, self.u = left(fn), right(fn), words.further_operand(fn)
        self.scratch = words.scratch(fn)
        first = chunk * self.items_per_chunk
        last = least(first + self.items_per_chunk, self.items)
        fn.loop(last, [], self._item, start=first)

    def _item(self, number: Register) -> None:
        """Item `number`: columns run fastest, then strips, images."""
        fn, conv, height = self.fn, self.conv, self.conv.outputs[0]
        across, down = -(-conv.columns // self.across), -(-height // self.rows)
        column = number % across * self.across
        row = number // across % down * self.rows
        image = number // (across * down)
        rows = least(height - row, self.rows)
        pairs = (rows + 1) // 2
        part = Part(image, fn.const(1), fn.const(0), conv.channels, row, pairs * 2)
        a = read_images(fn, self.paired, self.layout, part, self.x, self.scratch, self.target)
        strip = _Strip(a, image, row, rows)
        fn.call(self._image_function(), [strip.a, fn.at(self.scratch, self.images_at), pairs])
        columns = least(conv.columns - column, self.across)
        whole = columns // self.panel * self.panel
        fn.loop(whole, [], lambda j: self._panel(strip, column + j, self.panel), step=self.panel)
        rest = conv.columns % self.panel
        if rest:
            where_differ(fn, columns, whole, lambda: self._panel(strip, column + whole, rest))

    def _panel(self, strip: _Strip, column: Register, width: int) -> None:
        """All outputs of a strip for `width` columns."""
        fn = self.fn
        sums, finished = fn.at(self.scratch, self.sums_at), fn.at(self.scratch, self.finished_at)
        check = fn.at(self.scratch, self.check_at)
        pairs = (strip.rows + 1) // 2
        self._products(pairs * self.pairs, column, width, sums)
        fn.call(self._sum_function(width), [sums, finished, check, pairs])
        bad = fn.reduce(fn.load(check, memory_type(self.conv.compute, self.lanes)), lambda a, b: a + b)
        fn.if_(fn.compare("uno", bad, bad), lambda: self._as_defined(strip, column, width, finished))
        self._finish(strip, column, width, finished)

    def _products(self, tiles: Register, column: Register, width: int, to: Register) -> None:
        """The 16 products: transformed images by transformed weights. The last rows may be computed twice."""
        fn, conv, size, tall = self.fn, self.conv, self.size, self.tile.rows
        pitch, step = self.panel * size, conv.channels * size
        walk = Walk(
            tuple(i * step for i in range(tall)),
            tuple(i * pitch for i in range(tall)),
            ((conv.channels, size, conv.columns * self.weights.dtype.size),),
        )
        images, weights = Source(conv.compute, size, 0), Source(self.weights.dtype, self.weights.dtype.size, 0)
        function, none = self._tile_function(tall, width, images, weights, walk), fn.const(0)

        def product(p: Register) -> None:
            a = fn.at(self.scratch, p * (self.tiles * step) + self.images_at)
            b = fn.at(self.u, (p * (conv.channels * conv.columns) + column) * self.weights.dtype.size)
            c = fn.at(to, p * (self.tiles * pitch))

            def rows(i: Register) -> None:
                at = least(i, tiles - tall)
                fn.call(function, [fn.at(a, at * step), b, fn.at(c, at * pitch), none, none, none])

            fn.loop(tiles, [], rows, step=tall)

        fn.loop(16, [], product)

    def _tile_function(self, rows: int, width: int, a: Source, b: Source, walk: Walk) -> Function:
        tile = Tile(rows, -(-width // self.lanes))
        key = TileKey("outer", tile, width, self.lanes, a, b, False, self.target, walk)
        return tile_function(self.module, key)

    def _as_defined(self, strip: _Strip, column: Register, width: int, to: Register) -> None:
        """The sums, place by place, without transforms."""
        fn, conv, w, layout = self.fn, self.conv, self.weights, self.layout
        row, place, channel = (s * w.dtype.size for s in w.strides[:3])
        loops = merged_loops(
            [(3, layout.row, row), (3, layout.column, place), (conv.channels, layout.channel, channel)]
        )
        a, b = Source(layout.dtype, layout.column, 0), Source(w.dtype, w.dtype.size, 0)
        function = self._tile_function(1, width, a, b, Walk((0,), (0,), loops))
        b_at, none = fn.at(self.w, column * w.dtype.size), fn.const(0)

        def line(y: Register) -> None:
            def one(x: Register) -> None:
                at = fn.at(strip.a, y * layout.row + x * layout.column)
                end = fn.at(to, (y * conv.outputs[1] + x) * (self.panel * self.size))
                fn.call(function, [at, b_at, end, none, none, none])

            fn.loop(conv.outputs[1], [], one)

        fn.loop(strip.rows, [], line)

    def _finish(self, strip: _Strip, column: Register, width: int, sums: Register) -> None:
        """Run the epilogue on the sums of a panel."""
        fn, (height, across) = self.fn, self.conv.outputs
        wide, none = fn.const(width), fn.const(0)
        if self.epilogue.pooled:
            finish = pooling_function(
                self.module, self.conv, self.epilogue, self.out, self.lanes, self.panel, self.target
            )
            fn.call(finish, [self.frame, sums, strip.rows, wide, strip.image, strip.row, column])
            return
        finish = epilogue_function(self.module, self.grid, self.epilogue, self.lanes, self.panel, self.target)
        line = strip.image * height + strip.row
        if len(self.grid.batch) == 1:
            fn.call(finish, [self.frame, sums, strip.rows * across, wide, line * across, column, none])
            return

        def row(y: Register) -> None:
            at = fn.at(sums, y * (across * self.panel * self.size))
            fn.call(finish, [self.frame, at, fn.const(across), wide, none, column, line + y])

        fn.loop(strip.rows, [], row)

    # The transforms of images and sums.

    def _image_function(self) -> Function:
        """`(from, to, pairs)`: Bᵀ d B for so many pairs of rows of outputs, all channels."""
        layout, channels, lanes = self.layout, self.conv.channels, self.lanes
        source = Buffer(layout.dtype, (1,), (1,))

        def build(name: str) -> Function:
            fn = self.module.function(name, [PTR, PTR, I64], internal=True, noinline=True)
            start, to, pairs = fn.params
            emitter = LaneEmitter(fn, self.target, lanes)
            step = self.tiles * channels * self.size

            def tile(y: Register, x: Register) -> None:
                corner = fn.at(start, y * (2 * layout.row) + x * (2 * layout.column))
                end = fn.at(to, (y * self.pairs + x) * (channels * self.size))

                def vector(c: Register, mask: Register | None = None) -> None:
                    at = fn.at(corner, c * layout.dtype.size)
                    d = [
                        [
                            _loaded(emitter, at, source, i * layout.row + j * layout.column, self.conv, mask)
                            for j in range(4)
                        ]
                        for i in range(4)
                    ]
                    for p, value in enumerate(_both(_image, d)):
                        fn.store(value, end, c * self.size + p * step, mask=mask)

                over_vectors(fn, channels, lanes, vector)

            fn.loop(pairs, [], lambda y: fn.loop(self.pairs, [], lambda x: tile(y, x)))
            fn.ret()
            return fn

        key = ("winograd images", layout, channels, self.tiles, self.pairs, self.conv.compute, self.target)
        return self.module.shared(key, build)

    def _sum_function(self, width: int) -> Function:
        """`(from, to, check, pairs)`: Aᵀ m A for so many pairs of rows of outputs; `check` holds NaN if a sum is not
        finite. Rows in pairs, so that of an odd number one is too many; columns as many as there are."""
        panel, across, lanes = self.panel, self.conv.outputs[1], self.lanes
        kind = memory_type(self.conv.compute, lanes)

        def build(name: str) -> Function:
            fn = self.module.function(name, [PTR, PTR, PTR, I64], internal=True, noinline=True)
            start, to, check, pairs = fn.params
            pitch = panel * self.size
            zero = fn.zero(kind)

            def tile(y: Register, x: Register, stored: int, bad: Register) -> list[Register]:
                begin = fn.at(start, (y * self.pairs + x) * pitch)
                end = fn.at(to, (y * (2 * across) + x * 2) * pitch)

                def vector(j: Register, bad: Register, mask: Register | None = None) -> list[Register]:
                    at = fn.at(begin, j * self.size)
                    m = [[fn.load(at, kind, (4 * i + k) * self.tiles * pitch) for k in range(4)] for i in range(4)]
                    for p, value in enumerate(_both(_outputs, m)):
                        if p % 2 < stored:
                            fn.store(value, end, j * self.size + (p // 2 * across + p % 2) * pitch)
                            exists = value if mask is None else fn.select(mask, value, zero)
                            bad = bad + exists * zero
                    return [bad]

                whole = width // lanes * lanes
                (bad,) = fn.loop(whole, [bad], vector, step=lanes)
                return vector(fn.const(whole), bad, fn.lane_mask(lanes, width - whole)) if width - whole else [bad]

            def line(y: Register, bad: Register) -> list[Register]:
                (bad,) = fn.loop(across // 2, [bad], lambda x, bad: tile(y, x, 2, bad))
                return tile(y, fn.const(across // 2), 1, bad) if across % 2 else [bad]

            (bad,) = fn.loop(pairs, [zero], line)
            fn.store(bad, check)
            fn.ret()
            return fn

        key = ("winograd sums", width, panel, across, self.tiles, self.pairs, self.conv.compute, self.target)
        return self.module.shared(key, build)


Line = Sequence[Register]


def _both(transform: Callable[..., Line], square: Sequence[Line]) -> list[Register]:
    """A transform along the columns, then along the rows of a square; row by row."""
    columns = [transform(*column) for column in zip(*square, strict=True)]
    return [value for row in zip(*columns, strict=True) for value in transform(*row)]


def _image(a: Register, b: Register, c: Register, d: Register) -> Line:
    """Bᵀ"""
    return a - c, b + c, c - b, b - d


def _weights(a: Register, b: Register, c: Register) -> Line:
    """G"""
    sides = (a + c) * 0.5
    middle = b * 0.5
    return a, sides + middle, sides - middle, c


def _outputs(a: Register, b: Register, c: Register, d: Register) -> Line:
    """Aᵀ"""
    return a + b + c, b - c - d


def _loaded(
    emitter: LaneEmitter, pointer: Register, source: Buffer, offset: int, conv: Convolution, mask: Register | None
) -> Register:
    """A vector in the dtype of the sums."""
    return emitter.value(emitter.load(pointer, source.dtype, offset, mask=mask).cast(conv.compute))


def _even(size: int) -> int:
    return size + size % 2
