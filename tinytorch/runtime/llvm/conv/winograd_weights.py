"""The kernel that transforms the weights of `conv2d_winograd`, once for all images."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.ops.contract import accumulator
from tinytorch.ir.ops.winograd import SIDES, products_of
from tinytorch.runtime.llvm.contract.parts import least
from tinytorch.runtime.llvm.conv.transforms import Line, Transforms, along_both
from tinytorch.runtime.llvm.index.loops import CHUNK_BYTES, Extent, byte_steps, frame_pointers
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target


def write_winograd_weights(fn: Function, operands: Sequence[Buffer], result: Buffer, target: Target) -> Extent:
    """The kernel of `winograd_weights`: G w Gᵀ, a share of the input channels to a chunk."""
    (w,) = operands
    compute, size = accumulator(w.dtype), result.dtype.size
    products, panels, channels, panel = result.shape
    columns, side = w.shape[3], next(side for side in SIDES if products_of(side) == products)
    lanes, transforms = target.lanes(compute), Transforms(side, target.has_fma)
    source, to = frame_pointers(fn, 2)
    emitter = LaneEmitter(fn, target, lanes)
    row, column, channel, step = byte_steps(w)
    chunks = max(1, min(channels, result_bytes(result) // CHUNK_BYTES))
    share = -(-channels // chunks)
    first = fn.params[1] * share
    last = least(first + share, channels)

    def vector(start: Register, end: Register, mask: Register | None, store: Register | None) -> None:
        def taps(x: int) -> Line:
            loaded = [
                emitter.load_strided(start, w.dtype, w.strides[3], y * row + x * column, mask=mask) for y in range(3)
            ]
            return [emitter.value(lane.cast(compute)) for lane in loaded]

        done = along_both(transforms.weights, [lambda x=x: taps(x) for x in range(3)])
        for p, value in enumerate(value for line in done for value in line):
            lane = emitter.lane(value, compute).cast(result.dtype)
            emitter.store(lane, end, p * (panels * channels * panel * size), mask=store)

    def each(j: Register, existing: int) -> None:
        """Panel `j`, so many of whose columns exist; the others become zeros."""

        def one(c: Register) -> None:
            start = fn.at(source, c * channel + j * (panel * step))
            end = fn.at(to, (j * channels + c) * (panel * size))
            for v in range(0, panel, lanes):
                count, room = max(0, min(lanes, existing - v)), min(lanes, panel - v)
                mask = fn.lane_mask(lanes, count) if count < lanes else None
                store = fn.lane_mask(lanes, room) if room < lanes else None
                vector(fn.at(start, v * step), fn.at(end, v * size), mask, store)

        fn.loop(last, [], one, start=first)

    fn.loop(columns // panel, [], lambda j: each(j, panel))
    if columns % panel:
        each(fn.const(columns // panel), columns % panel)
    return Extent(-(-channels // share))


def result_bytes(result: Buffer) -> int:
    products, panels, channels, panel = result.shape
    return products * panels * channels * panel * result.dtype.size
