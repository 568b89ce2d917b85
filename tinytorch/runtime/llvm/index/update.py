"""The kernels of update_slice, a base with an update in place of a strided region, and of dynamic_slice, the region
alone; where the region begins may be known at run time only."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.graph import Node
from tinytorch.runtime.llvm.index.loops import (
    Axis,
    Extent,
    Size,
    axes_of,
    byte_steps,
    coalesced,
    cut_evenly,
    enter,
    frame_pointers,
    moved,
    region_of,
    sizes_of,
)
from tinytorch.runtime.llvm.index.region import RegionAxis, RegionWriter, joined
from tinytorch.runtime.llvm.index.runs import copy_block
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64

Starts = list[Size]


def write_update_slice(
    fn: Function, node: Node, operands: Sequence[Buffer], result: Buffer, target: Target, in_place: bool
) -> Extent:
    """The region of the result at node.attrs["starts"], in ["steps"], moved along ["axes"] by the positions, is the
    update, the rest the base; both of any strides. Positions lie in range. `in_place`: the result is the buffer of
    base, and the region is all that is written."""
    base, update = operands[:2]
    if 0 in update.shape and in_place:
        return Extent(0)
    under, source, *positions, to = frame_pointers(fn, len(operands) + 1)
    starts, steps = _begin(fn, node, positions), node.attrs["steps"]
    if in_place:
        first = _at(fn, to, starts, byte_steps(result))
        spaced = [r * s for r, s in zip(byte_steps(result), steps, strict=True)]
        return _copy(fn, update, first, spaced, source, byte_steps(update), target)
    return _write_all(fn, base, update, result, (under, source, to), target, starts, steps)


def write_dynamic_slice(fn: Function, node: Node, operands: Sequence[Buffer], result: Buffer, target: Target) -> Extent:
    """The region of x, of any strides, that begins at node.attrs["starts"], moved along ["axes"] by the positions,
    which lie in range."""
    source, *positions, to = frame_pointers(fn, len(operands) + 1)
    along = byte_steps(operands[0])
    first = _at(fn, source, _begin(fn, node, positions), along)
    spaced = [r * s for r, s in zip(along, node.attrs["steps"], strict=True)]
    return _copy(fn, result, to, byte_steps(result), first, spaced, target)


def _begin(fn: Function, node: Node, positions: Sequence[Register]) -> Starts:
    """Where the region begins along each axis."""
    starts: Starts = list(node.attrs["starts"])
    for axis, position in zip(node.attrs.get("axes", ()), positions, strict=True):
        starts[axis] = fn.load(position, I64) + starts[axis]
    return starts


def _at(fn: Function, pointer: Register, starts: Starts, along: Sequence[int]) -> Register:
    return fn.at(pointer, sum((a * r for a, r in zip(starts, along, strict=True)), start=0))


def _copy(
    fn: Function,
    part: Buffer,
    to: Register,
    to_steps: Sequence[int],
    source: Register,
    source_steps: Sequence[int],
    target: Target,
) -> Extent:
    """Elements of the shape and dtype of `part`; chunks are parts of it."""
    axes = coalesced(axes_of(part.shape, to_steps, source_steps))
    cut = cut_evenly(sizes_of(axes), part.dtype.size)
    inside, (to, source) = enter(fn, axes, cut, region_of(fn, fn.params[1], cut), (to, source))
    copy_block(fn, inside, to, source, part.dtype, target)
    return Extent(cut.chunks)


def _write_all(
    fn: Function,
    base: Buffer,
    update: Buffer,
    result: Buffer,
    pointers: tuple[Register, Register, Register],
    target: Target,
    starts: Starts,
    steps: Sequence[int],
) -> Extent:
    """Chunks are parts of the result. Of the base, only what stays is read where the region has no gaps."""
    dtype = result.dtype
    spans = _spans(base, update, result, starts, steps)
    cut = cut_evenly(tuple(span.results for span in spans), dtype.size)
    under, source, to = pointers

    def copy_base(spans: Sequence[RegionAxis], to: Register, under: Register, first: Size, last: Size) -> None:
        span, *inner = spans
        axes = [Axis(last - first, (span.row, span.under)), *(Axis(x.results, (x.row, x.under)) for x in inner)]
        to, under = moved(fn, (to, under), first, axes[0].steps)
        copy_block(fn, axes, to, under, dtype, target)

    writer = RegionWriter(fn, dtype, target, copy_base)
    writer.region(spans, cut.axis, region_of(fn, fn.params[1], cut), to, source, under)
    return Extent(cut.chunks)


def _spans(base: Buffer, update: Buffer, result: Buffer, starts: Starts, steps: Sequence[int]) -> list[RegionAxis]:
    rows, unders = byte_steps(result), byte_steps(base)
    if 0 in update.shape:
        axes = zip(result.shape, rows, unders, strict=True)
        return [RegionAxis(0, 0, size, 1, 0, row, under) for size, row, under in axes]
    sides = zip(result.shape, update.shape, starts, steps, byte_steps(update), rows, unders, strict=True)
    spans: list[RegionAxis] = []
    for size, count, start, spacing, step, row, under in sides:
        spans.append(RegionAxis(count, start, size, spacing if count > 1 else 1, step, row, under))
    return joined(spans) or [RegionAxis(1, 0, 1, 1, 0, result.dtype.size)]
