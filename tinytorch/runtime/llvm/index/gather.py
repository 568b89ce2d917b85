"""The kernel of gather: slices of x at indices along an axis."""

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
    nest,
    region_of,
    sizes_of,
)
from tinytorch.runtime.llvm.index.runs import copy_block, raw_type, unrolled
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64


def write_gather(fn: Function, node: Node, operands: Sequence[Buffer], result: Buffer, target: Target) -> Extent:
    """result[outer…, indices…, inner…] = x[outer…, index, inner…]; x [outer…, size, inner…] and indices of any
    strides, indices i64 in [0, size)."""
    x, indices = operands
    axis = node.attrs["axis"]
    along = byte_steps(x)
    lead, inner = _axes(x, indices, result, axis)
    axes = [*lead, *inner]
    cut = cut_evenly(sizes_of(axes), x.dtype.size)
    x_at, indices_at, to = frame_pointers(fn, 3)
    rest, (to, x_at, indices_at) = enter(fn, axes, cut, region_of(fn, fn.params[1], cut), (to, x_at, indices_at))
    count = max(0, len(lead) - cut.axis)  # axes of the region before the index is known
    rest, inner = rest[:count], rest[count:]

    def slice_at(to: Register, x_at: Register, index_at: Register) -> None:
        source = fn.at(x_at, fn.load(index_at, I64) * along[axis])
        pairs = [Axis(a.size, a.steps[:2]) for a in inner]
        copy_block(fn, pairs, to, source, x.dtype, target)

    # Single elements one by one: gather instructions are no faster where index and result are loaded and stored anyway.
    def elements_at(to: Register, x_at: Register, indices_at: Register) -> None:
        to_step, _, index_step = rest[-1].steps

        def one(i: Size) -> None:
            source = fn.at(x_at, fn.load(indices_at, I64, i * index_step) * along[axis])
            fn.store(fn.load(source, raw_type(x.dtype)), to, i * to_step)

        unrolled(fn, rest[-1].size, one)

    if rest and not inner:
        nest(fn, rest[:-1], (to, x_at, indices_at), elements_at)
    else:
        nest(fn, rest, (to, x_at, indices_at), slice_at)
    return Extent(cut.chunks)


def _axes(x: Buffer, indices: Buffer, result: Buffer, axis: int) -> tuple[list[Axis], list[Axis]]:
    """The result's axes with the steps of (result, x, indices): those up to the last that changes the index, and
    those behind it."""
    before, behind = axis, axis + len(indices.shape)
    to, along = byte_steps(result), byte_steps(x)
    none = (0,) * len(result.shape)
    outer = coalesced(axes_of(result.shape[:before], to[:before], along[:before], none[:before]))
    index = coalesced(axes_of(indices.shape, to[before:behind], none[before:behind], byte_steps(indices)))
    inner = coalesced(axes_of(result.shape[behind:], to[behind:], along[axis + 1 :], none[behind:]))
    return ([*outer, *index], inner) if index else ([], coalesced([*outer, *inner]))
