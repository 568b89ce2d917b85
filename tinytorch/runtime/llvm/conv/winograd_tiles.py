"""The transforms of whole tiles in memory, of images and of gradients: what the products of matrices read.

Both write the elements of a tile `step` bytes apart, each in a matrix of its own whose rows are tiles and whose columns
are channels. An odd number of cache lines lies between matrices, so that what is transformed together does not collide
in the cache.
"""

from __future__ import annotations

from tinytorch.ir.ops.winograd import Tiles
from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.parts import over_vectors
from tinytorch.runtime.llvm.conv.layout import Convolution, ImageLayout
from tinytorch.runtime.llvm.conv.transforms import Line, Transforms, along_both, each
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR


def image_tiles(
    module: Module, conv: Convolution, layout: ImageLayout, tiles: Tiles, across: int, step: int, target: Target
) -> Function:
    """`(from, to, down)`: Bᵀ d B for so many rows of `across` tiles, all phases of all channels."""
    compute, channels, lanes = conv.compute, conv.channels, target.lanes(conv.compute)
    (down_step, across_step), points, transforms = tiles.stride, tiles.points, Transforms(tiles, target.has_fma)
    row, column = down_step * layout.row, across_step * layout.column

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, I64], internal=True, noinline=True)
        start, to, down = fn.params
        emitter = LaneEmitter(fn, target, lanes)

        def tile(y: Register, x: Register) -> None:
            corner = fn.at(start, y * (tiles.side * row) + x * (tiles.side * column))
            end = fn.at(to, (y * across + x) * (tiles.phases * channels * compute.size))

            def phase(i: Register, j: Register) -> None:
                at = fn.at(end, (i * across_step + j) * (channels * compute.size))
                one(fn.at(corner, i * layout.row + j * layout.column), at)

            if tiles.phases == 1:
                one(corner, end)
            else:
                fn.loop(down_step, [], lambda i: fn.loop(across_step, [], lambda j: phase(i, j)))

        def one(corner: Register, end: Register) -> None:
            def vector(c: Register, mask: Register | None = None) -> None:
                at = fn.at(corner, c * layout.dtype.size)

                def line(j: int) -> Line:
                    offsets = [i * row + j * column for i in range(points)]
                    loaded = [emitter.load(at, layout.dtype, offset, mask=mask) for offset in offsets]
                    return [emitter.value(lane.cast(compute)) for lane in loaded]

                _store(fn, along_both(transforms.image, each(line, points)), end, c * compute.size, step, mask)

            over_vectors(fn, channels, lanes, vector)

        fn.loop(down, [], lambda y: fn.loop(across, [], lambda x: tile(y, x)))
        fn.ret()
        return fn

    return module.shared(("winograd images", layout, channels, tiles, step, across, compute, target), build)


def gradient_tiles(
    module: Module, gradients: Buffer, compute: DType, columns: int, tiles: Tiles, step: int, target: Target
) -> Function:
    """`(from, to, rows)`: A g Aᵀ for so many rows of gradients, of the first `columns` columns; where a tile is not
    full, zeros are missing. Only the last of the rows of the images may be in a tile that is not."""
    (height, width), lanes, side = gradients.shape[1:3], target.lanes(compute), tiles.side
    _, row, column, _ = gradients.strides_bytes
    across, transforms = -(-width // side), Transforms(tiles, target.has_fma)

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, I64], internal=True, noinline=True)
        start, to, rows = fn.params
        emitter = LaneEmitter(fn, target, lanes)
        zero = emitter.value(emitter.const(0, compute))

        def tile(y: Register, x: Register, tall: int, wide: int) -> None:
            corner = fn.at(start, y * (side * row) + x * (side * column))
            end = fn.at(to, (y * across + x) * (columns * compute.size))

            def vector(c: Register, mask: Register | None = None) -> None:
                at = fn.at(corner, c * gradients.dtype.size)

                def line(j: int) -> Line:
                    if j >= wide:
                        return [zero] * side
                    there = [emitter.load(at, gradients.dtype, i * row + j * column, mask=mask) for i in range(tall)]
                    return [*(emitter.value(lane.cast(compute)) for lane in there), *[zero] * (side - tall)]

                _store(fn, along_both(transforms.gradients, each(line, side)), end, c * compute.size, step, mask)

            over_vectors(fn, columns, lanes, vector)

        def strip(y: Register, tall: int) -> None:
            fn.loop(width // side, [], lambda x: tile(y, x, tall, side))
            if width % side:
                tile(y, fn.const(width // side), tall, width % side)

        down = rows // side
        fn.loop(down, [], lambda y: strip(y, side))
        if height % side:
            fn.if_(fn.compare("ne", rows, down * side), lambda: strip(down, height % side))
        fn.ret()
        return fn

    key = ("winograd gradients", gradients.dtype, gradients.shape[1:3], row, column, columns, tiles, step, compute)
    return module.shared((*key, target), build)


def _store(
    fn: Function, done: list[list[Register]], to: Register, at: Register, step: int, mask: Register | None
) -> None:
    for p, value in enumerate(value for line in done for value in line):
        fn.store(value, to, at + p * step, mask=mask)
