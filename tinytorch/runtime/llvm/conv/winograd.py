"""Convolution in fewer multiplications: see `ir.ops.winograd`.

Summed over the channels, the middle part of its formula is 16 to 36 products of matrices, whose rows are tiles of
outputs and whose sums run over the phases of the channels. `emit_winograd` writes a function
`void name(ptr frame, i64 chunk)`, whose frame is `contract.grid.Frame`, with the transformed weights as a further
operand.

The scratch of a thread holds the padded images of an item, one at a time, their transforms, and for a block of columns
the transformed sums and the sums of an image. An infinity or a NaN would reach outputs that do not meet it, and sums
could overflow that do not by the definition: where a sum is not finite, the block of that image is computed again as
defined, before anything of it is stored.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.ops.winograd import tiles_of
from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.contract.epilogue import STORE_SUMS, Epilogue, epilogue_function
from tinytorch.runtime.llvm.contract.grid import left, right
from tinytorch.runtime.llvm.contract.microkernel.tile import Ahead, Source, TileKey, Walk, share_of_panel, tile_function
from tinytorch.runtime.llvm.contract.parts import least, where_differ
from tinytorch.runtime.llvm.contract.plan.cut import Tile
from tinytorch.runtime.llvm.contract.sums import summation_of
from tinytorch.runtime.llvm.conv.image import Part, read_images
from tinytorch.runtime.llvm.conv.layout import Convolution, grid_of, image_layout, merged_loops, odd_lines
from tinytorch.runtime.llvm.conv.pooled import pooling_function
from tinytorch.runtime.llvm.conv.transforms import Line, Transforms, along_both, each
from tinytorch.runtime.llvm.conv.winograd_plan import in_whole_tiles, plan_winograd, whole_tiles
from tinytorch.runtime.llvm.conv.winograd_tiles import image_tiles
from tinytorch.runtime.llvm.kernel import Buffer, KernelCode, Phase
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR, memory_type


def emit_winograd(
    module: Module,
    name: str,
    conv: Convolution,
    weights: Buffer,
    out: Buffer,
    target: Target,
    transformed: Buffer,
    epilogue: Epilogue | None = None,
) -> KernelCode:
    """Write the kernel of `out = epilogue(images * weights)`; operands as for `conv.emit_conv`, the images' channels
    and the matrices of `transformed` weights without gaps."""
    ends = epilogue or STORE_SUMS
    buffers = ends.frame(further=1).buffers
    if 0 in out.shape:
        return KernelCode((), buffers)
    assert transformed.shape[3] % target.lanes(conv.compute) == 0, "panels are of whole vectors"
    fn = module.function(name, [PTR, I64])
    writer = _WinogradWriter(module, conv, weights, transformed, out, target, ends)
    writer.write(fn)
    fn.ret()
    return KernelCode((Phase(name, writer.plan.chunks),), buffers, private_bytes=writer.scratch_bytes)


@dataclass(frozen=True)
class _Strip:
    """Rows of outputs of an image: the image, the first row, their number, and that of the rows of tiles."""

    image: Register
    row: Register
    rows: Register
    down: Register


class _WinogradWriter:
    def __init__(
        self,
        module: Module,
        conv: Convolution,
        weights: Buffer,
        transformed: Buffer,
        out: Buffer,
        target: Target,
        epilogue: Epilogue,
    ) -> None:
        self.module = module
        self.conv = conv
        self.weights = weights
        self.transformed = transformed
        self.out = out
        self.target = target
        self.epilogue = epilogue
        self.lanes = target.lanes(conv.compute)
        self.size = conv.compute.size
        attrs = {"stride": conv.stride, "dilation": conv.dilation, "groups": conv.groups}
        tiles = tiles_of(conv.window, attrs, transformed.shape[0])
        assert tiles is not None, "the types have been checked"
        self.tiles, self.side, self.depth = tiles, tiles.side, tiles.phases * conv.channels
        self.plan = plan_winograd(conv, tiles, transformed.shape[3], epilogue.pooled or (1, 1), target)
        self.transforms = Transforms(tiles, target.has_fma)
        # Outputs in whole tiles along both axes, of windows with all taps; what is too many is computed and dropped.
        self.tiled = in_whole_tiles(conv, tiles)
        results = (out, *epilogue.outputs)
        seen = ((), ()) if epilogue.pooled else (results, epilogue.operands)
        self.grid = grid_of(conv.compute, 1, conv.columns, (conv.images.shape[0], *conv.outputs), *seen)
        self._lay_out_scratch()

    def _lay_out_scratch(self) -> None:
        conv, plan, size = self.conv, self.plan, self.size
        rows = whole_tiles(plan.rows, self.side)
        self.layout = image_layout(self.tiled, rows, plan.panel)
        self.pitch = plan.block * size
        # An odd number of cache lines between matrices: what is transformed together does not collide in the cache.
        self.image_step = odd_lines(plan.tiles * self.depth * size)
        self.sums_step = odd_lines(plan.tiles * self.pitch)
        products = self.tiles.products
        self.images_at = aligned(self.layout.bytes(1))
        self.sums_at = self.images_at + products * self.image_step
        self.finished_at = self.sums_at + products * self.sums_step
        self.check_at = self.finished_at + aligned(rows * conv.outputs[1] * self.pitch)
        self.scratch_bytes = self.check_at + aligned(self.lanes * size)

    def write(self, fn: Function) -> None:
        self.fn = fn
        frame, chunk = fn.params
        self.frame = frame
        words = self.epilogue.frame(further=1)
        self.x, self.w, self.u = left(fn), right(fn), words.further_operand(fn)
        self.scratch = words.scratch(fn)
        first = chunk * self.plan.items_per_chunk
        last = least(first + self.plan.items_per_chunk, self.plan.items)
        fn.loop(last, [], self._item, start=first)

    def _item(self, number: Register) -> None:
        """Item `number`: columns run fastest, then strips, runs of images."""
        fn, conv, plan = self.fn, self.conv, self.plan
        batch, height = conv.images.shape[0], conv.outputs[0]
        across, down = -(-conv.columns // plan.across), -(-height // plan.rows)
        column = number % across * plan.across
        row = number // across % down * plan.rows
        image = number // (across * down) * plan.images
        images = least(batch - image, plan.images)
        rows = least(height - row, plan.rows)
        tiles_down = (rows + (self.side - 1)) // self.side
        tiles = tiles_down * plan.tiles_across

        def strip(n: Register) -> _Strip:
            return _Strip(image + n, row, rows, tiles_down)

        def transform(n: Register) -> None:
            to = fn.at(self.scratch, n * (tiles * (self.depth * self.size)) + self.images_at)
            fn.call(self._image_function(), [self._read(strip(n)), to, tiles_down])

        def block(j: Register, width: int) -> None:
            self._products(images * tiles, column + j, width)
            fn.loop(images, [], lambda n: self._sums(strip(n), n * tiles, column + j, width))

        fn.loop(images, [], transform)
        columns = least(conv.columns - column, plan.across)
        whole = columns // plan.block * plan.block
        fn.loop(whole, [], lambda j: block(j, plan.block), step=plan.block)
        rest = conv.columns % plan.block
        if rest:
            where_differ(fn, columns, whole, lambda: block(whole, rest))

    def _read(self, strip: _Strip) -> Register:
        """Where a strip begins to read."""
        none, one = self.fn.const(0), self.fn.const(1)
        part = Part(strip.image, one, none, self.conv.channels, strip.row, strip.down * self.side)
        return read_images(self.fn, self.tiled, self.layout, part, self.x, self.scratch, self.target)

    def _products(self, tiles: Register, column: Register, width: int) -> None:
        """Transformed images by transformed weights, `width` columns. The last rows may be computed twice."""
        fn, conv, size, plan = self.fn, self.conv, self.size, self.plan
        tall, step, weight = plan.tile.rows, self.depth * size, self.transformed.dtype.size
        panel_step = self.depth * plan.panel * weight
        matrix_step = self.transformed.shape[1] * panel_step
        ahead = share_of_panel(plan.panel * weight, -(-plan.tiles // tall))
        images = Source(conv.compute, step, size)
        weights = Source(self.transformed.dtype, weight, plan.panel * weight)
        none, first, depth = fn.const(0), column // plan.panel, fn.const(self.depth)

        def product(p: Register) -> None:
            a = fn.at(self.scratch, p * self.image_step + self.images_at)
            b = fn.at(self.u, p * matrix_step + first * panel_step)
            c = fn.at(self.scratch, p * self.sums_step + self.sums_at)

            def rows(i: Register) -> None:
                at = least(i, tiles - tall)
                a_row, c_row = fn.at(a, at * step), fn.at(c, at * self.pitch)
                following = i // tall * (self.depth * ahead.step) + matrix_step

                def panel(j: Register, wide: int) -> None:
                    function = self._tile_function(tall, wide, images, weights, ahead=(ahead,))
                    to, panel_at = fn.at(c_row, j * (plan.panel * size)), fn.at(b, j * panel_step)
                    args = [a_row, panel_at, to, fn.const(self.pitch), depth, none]
                    fn.call(function, [*args, fn.at(panel_at, following)])

                whole, rest = divmod(width, plan.panel)
                fn.loop(whole, [], lambda j: panel(j, plan.panel))
                if rest:
                    panel(fn.const(whole), rest)

            fn.loop(tiles, [], rows, step=tall)

        fn.loop(self.tiles.products, [], product)

    def _tile_function(
        self, rows: int, width: int, a: Source, b: Source, walk: Walk | None = None, ahead: tuple[Ahead, ...] = ()
    ) -> Function:
        tile = Tile(rows, -(-width // self.lanes))
        summation = summation_of(self.depth, self.conv.compute)  # without a walk
        key = TileKey("outer", tile, width, self.lanes, a, b, False, self.target, walk, summation, ahead=ahead)
        return tile_function(self.module, key)

    def _sums(self, strip: _Strip, tile: Register, column: Register, width: int) -> None:
        """All outputs of a strip for `width` columns, from its first tile in the transformed sums on."""
        fn = self.fn
        sums = fn.at(self.scratch, tile * self.pitch + self.sums_at)
        finished, check = fn.at(self.scratch, self.finished_at), fn.at(self.scratch, self.check_at)
        fn.call(self._sum_function(width), [sums, finished, check, strip.down])
        bad = fn.reduce(fn.load(check, memory_type(self.conv.compute, self.lanes)), lambda a, b: a + b)
        fn.if_(fn.compare("uno", bad, bad), lambda: self._as_defined(strip, column, width, finished))
        self._finish(strip, column, width, finished)

    def _as_defined(self, strip: _Strip, column: Register, width: int, to: Register) -> None:
        """The sums, place by place, without transforms."""
        fn, conv, w, layout, panel = self.fn, self.conv, self.weights, self.layout, self.plan.panel
        row, place, channel = (s * w.dtype.size for s in w.strides[:3])
        loops = merged_loops(
            [
                (conv.window[0], layout.row, row),
                (conv.window[1], layout.column, place),
                (conv.channels, layout.channel, channel),
            ]
        )
        a, b = Source(layout.dtype, layout.column, 0), Source(w.dtype, w.dtype.size, 0)
        start, none = self._read(strip), fn.const(0)

        def line(y: Register) -> None:
            def one(x: Register) -> None:
                at = fn.at(start, y * (conv.stride[0] * layout.row) + x * (conv.stride[1] * layout.column))
                end = fn.at(to, (y * conv.outputs[1] + x) * self.pitch)
                for j in range(0, width, panel):
                    function = self._tile_function(1, min(panel, width - j), a, b, Walk((0,), (0,), loops))
                    b_at = fn.at(self.w, (column + j) * w.dtype.size)
                    fn.call(function, [at, b_at, fn.at(end, j * self.size), none, none, none])

            fn.loop(conv.outputs[1], [], one)

        fn.loop(strip.rows, [], line)

    def _finish(self, strip: _Strip, column: Register, width: int, sums: Register) -> None:
        """Run the epilogue on the sums of a block."""
        fn, (height, across), block = self.fn, self.conv.outputs, self.plan.block
        wide, none = fn.const(width), fn.const(0)
        if self.epilogue.pooled:
            finish = pooling_function(self.module, self.conv, self.epilogue, self.out, self.lanes, block, self.target)
            fn.call(finish, [self.frame, sums, strip.rows, wide, strip.image, strip.row, column])
            return
        finish = epilogue_function(self.module, self.grid, self.epilogue, self.lanes, block, self.target)
        line = strip.image * height + strip.row
        if len(self.grid.batch) == 1:
            fn.call(finish, [self.frame, sums, strip.rows * across, wide, line * across, column, none])
            return

        def row(y: Register) -> None:
            at = fn.at(sums, y * (across * self.pitch))
            fn.call(finish, [self.frame, at, fn.const(across), wide, none, column, line + y])

        fn.loop(strip.rows, [], row)

    # The transforms of images and sums.

    def _image_function(self) -> Function:
        step, across = self.image_step, self.plan.tiles_across
        return image_tiles(self.module, self.tiled, self.layout, self.tiles, across, step, self.target)

    def _sum_function(self, width: int) -> Function:
        """`(from, to, check, down)`: Aᵀ m A for so many rows of tiles, of which the last may hold too many rows of
        sums, and as many columns as there are; `check` holds NaN if a sum is not finite."""
        across, lanes, side, pitch, step = self.conv.outputs[1], self.lanes, self.side, self.pitch, self.sums_step
        tiles_across, points = self.plan.tiles_across, self.tiles.points
        kind = memory_type(self.conv.compute, lanes)

        def build(name: str) -> Function:
            fn = self.module.function(name, [PTR, PTR, PTR, I64], internal=True, noinline=True)
            start, to, check, down = fn.params
            zero = fn.zero(kind)

            def tile(y: Register, x: Register, stored: int, bad: Register) -> list[Register]:
                begin = fn.at(start, (y * tiles_across + x) * pitch)
                end = fn.at(to, (y * (side * across) + x * side) * pitch)

                def vector(j: Register, bad: Register, mask: Register | None = None) -> list[Register]:
                    at = fn.at(begin, j * self.size)

                    def column(k: int) -> Line:
                        return [fn.load(at, kind, (points * i + k) * step) for i in range(points)]

                    for y, line in enumerate(along_both(self.transforms.sums, each(column, points))):
                        for x, value in enumerate(line[:stored]):
                            fn.store(value, end, j * self.size + (y * across + x) * pitch)
                            exists = value if mask is None else fn.select(mask, value, zero)
                            bad = bad + exists * zero
                    return [bad]

                whole = width // lanes * lanes
                (bad,) = fn.loop(whole, [bad], vector, step=lanes)
                return vector(fn.const(whole), bad, fn.lane_mask(lanes, width - whole)) if width - whole else [bad]

            def line(y: Register, bad: Register) -> list[Register]:
                (bad,) = fn.loop(across // side, [bad], lambda x, bad: tile(y, x, side, bad))
                rest = across % side
                return tile(y, fn.const(across // side), rest, bad) if rest else [bad]

            (bad,) = fn.loop(down, [zero], line)
            fn.store(bad, check)
            fn.ret()
            return fn

        key = ("winograd sums", width, pitch, step, across, self.tiles, self.conv.compute, self.target)
        return self.module.shared(key, build)
