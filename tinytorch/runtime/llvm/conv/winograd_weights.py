"""The kernel that transforms the weights of `conv2d_winograd`, once for all images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tinytorch.ir.ops.contract import accumulator
from tinytorch.ir.ops.winograd import Tiles
from tinytorch.ir.windows import Pair
from tinytorch.runtime.llvm.contract.parts import least
from tinytorch.runtime.llvm.conv.transforms import Line, Transforms, along_both, each
from tinytorch.runtime.llvm.index.loops import CHUNK_BYTES, Extent, byte_steps, frame_pointers
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target


def write_winograd_weights(
    fn: Function, operands: Sequence[Buffer], result: Buffer, target: Target, tiles: Tiles
) -> Extent:
    """The kernel of `winograd_weights`: G w Gᵀ of each phase, a share of the input channels to a chunk."""
    (w,) = operands
    compute, size = accumulator(w.dtype), result.dtype.size
    _, panels, depth, panel = result.shape
    height, width, channels, columns = w.shape
    lanes, transforms = target.lanes(compute), Transforms(tiles, target.has_fma)
    source, to = frame_pointers(fn, 2)
    emitter = LaneEmitter(fn, target, lanes)
    zero = emitter.value(emitter.const(0, compute))
    row, column, channel, step = byte_steps(w)
    chunks = max(1, min(channels, result_bytes(result) // CHUNK_BYTES))
    share = -(-channels // chunks)
    first = fn.params[1] * share
    last = least(first + share, channels)

    def vector(
        places: list[list[Pair | None]],
        start: Register,
        end: Register,
        mask: Register | None,
        store: Register | None,
    ) -> None:
        def tap(place: Pair | None) -> Register:
            if place is None:
                return zero
            offset = place[0] * row + place[1] * column
            lane = emitter.load_strided(start, w.dtype, w.strides[3], offset, mask=mask)
            return emitter.value(lane.cast(compute))

        def taps(x: int) -> Line:
            return [tap(line[x]) for line in places]

        done = along_both(transforms.weights, each(taps, tiles.taps))
        for p, value in enumerate(value for line in done for value in line):
            lane = emitter.lane(value, compute).cast(result.dtype)
            emitter.store(lane, end, p * (panels * depth * panel * size), mask=store)

    def columns_of(j: Register, existing: int) -> None:
        """Panel `j`, so many of whose columns exist; the others become zeros."""

        def one(phase: int, places: list[list[Pair | None]], c: Register) -> None:
            start = fn.at(source, c * channel + j * (panel * step))
            end = fn.at(to, (j * depth + c + phase * channels) * (panel * size))
            for v in range(0, panel, lanes):
                count, room = max(0, min(lanes, existing - v)), min(lanes, panel - v)
                mask = fn.lane_mask(lanes, count) if count < lanes else None
                store = fn.lane_mask(lanes, room) if room < lanes else None
                vector(places, fn.at(start, v * step), fn.at(end, v * size), mask, store)

        for phase, places in enumerate(tiles.places((height, width))):
            fn.loop(last, [], partial(one, phase, places), start=first)

    fn.loop(columns // panel, [], lambda j: columns_of(j, panel))
    if columns % panel:
        columns_of(fn.const(columns // panel), columns % panel)
    return Extent(-(-channels // share))


def result_bytes(result: Buffer) -> int:
    products, panels, channels, panel = result.shape
    return products * panels * channels * panel * result.dtype.size
