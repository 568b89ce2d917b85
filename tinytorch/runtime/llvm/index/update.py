"""The kernel of update_slice: a base with an update in place of a strided region."""

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
from tinytorch.runtime.llvm.index.region import RegionWriter, Span, joined
from tinytorch.runtime.llvm.index.runs import copy_block
from tinytorch.runtime.llvm.kernel import Operand
from tinytorch.runtime.llvm.text.builder import Function, Value
from tinytorch.runtime.llvm.text.target import Target


def write_update_slice(
    fn: Function, node: Node, operands: Sequence[Operand], result: Operand, target: Target, in_place: bool
) -> Extent:
    """The region of the result at node.attrs["starts"], in ["steps"], is the update, the rest the base; both of any
    strides. `in_place`: the result is the buffer of base, and the region is all that is written."""
    write = _write_region if in_place else _write_all
    return write(fn, operands, result, target, node.attrs["starts"], node.attrs["steps"])


def _write_region(
    fn: Function,
    operands: Sequence[Operand],
    result: Operand,
    target: Target,
    starts: Sequence[int],
    steps: Sequence[int],
) -> Extent:
    """Chunks are parts of the update."""
    update = operands[1]
    if 0 in update.shape:
        return Extent(0)
    rows = byte_steps(result)
    axes = coalesced(axes_of(update.shape, [r * s for r, s in zip(rows, steps, strict=True)], byte_steps(update)))
    cut = cut_evenly(sizes_of(axes), update.dtype.size)
    source, to = frame_pointers(fn, 3)[1:]
    first = fn.at(to, sum(a * r for a, r in zip(starts, rows, strict=True)))
    inside, (to, source) = enter(fn, axes, cut, region_of(fn, fn.params[1], cut), (first, source))
    copy_block(fn, inside, to, source, update.dtype, target)
    return Extent(cut.chunks)


def _write_all(
    fn: Function,
    operands: Sequence[Operand],
    result: Operand,
    target: Target,
    starts: Sequence[int],
    steps: Sequence[int],
) -> Extent:
    """Chunks are parts of the result. Of the base, only what stays is read where the region has no gaps."""
    base, update = operands
    dtype = result.dtype
    spans = _spans(base, update, result, starts, steps)
    cut = cut_evenly(tuple(span.results for span in spans), dtype.size)
    under, source, to = frame_pointers(fn, 3)

    def kept(spans: Sequence[Span], to: Value, under: Value, first: Size, last: Size) -> None:
        span, *inner = spans
        axes = [Axis(last - first, (span.row, span.under)), *(Axis(x.results, (x.row, x.under)) for x in inner)]
        to, under = moved(fn, (to, under), first, axes[0].steps)
        copy_block(fn, axes, to, under, dtype, target)

    writer = RegionWriter(fn, dtype, target, kept)
    writer.region(spans, cut.axis, region_of(fn, fn.params[1], cut), to, source, under)
    return Extent(cut.chunks)


def _spans(base: Operand, update: Operand, result: Operand, starts: Sequence[int], steps: Sequence[int]) -> list[Span]:
    rows, unders = byte_steps(result), byte_steps(base)
    if 0 in update.shape:
        kept = zip(result.shape, rows, unders, strict=True)
        return [Span(0, size, 0, 1, 0, row, under) for size, row, under in kept]
    sides = zip(result.shape, update.shape, starts, steps, byte_steps(update), rows, unders, strict=True)
    spans: list[Span] = []
    for size, count, start, spacing, step, row, under in sides:
        spacing = spacing if count > 1 else 1
        spans.append(Span(count, start, size - start - (count - 1) * spacing - 1, spacing, step, row, under))
    return joined(spans) or [Span(1, 0, 0, 1, 0, result.dtype.size)]
