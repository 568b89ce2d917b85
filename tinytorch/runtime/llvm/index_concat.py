"""The kernel of concat: operands one after the other along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinytorch.ir.graph import Node
from tinytorch.runtime.llvm.builder import Function, Value
from tinytorch.runtime.llvm.contract_layout import Operand
from tinytorch.runtime.llvm.index_loops import (
    Axis,
    Extent,
    Size,
    axes_of,
    byte_steps,
    coalesced,
    cut_evenly,
    enter,
    frame_pointers,
    least,
    most,
    moved,
    nest,
    region_of,
    sizes_of,
)
from tinytorch.runtime.llvm.index_runs import copy_block
from tinytorch.runtime.llvm.target import Target


def write_concat(fn: Function, node: Node, operands: Sequence[Operand], result: Operand, target: Target) -> Extent:
    """Operands of any strides, alike but for their sizes along node.attrs["axis"].

    The result is written front to back, whichever axis is joined.
    """
    axis = node.attrs["axis"]
    axes = axes_of(result.shape, *map(byte_steps, (result, *operands)))
    outer, joined, inner = coalesced(axes[:axis]), axes[axis], coalesced(axes[axis + 1 :])
    # Every operand counts the joined axis from its own start: no pointer moves along it until we know which.
    axes = [*outer, replace(joined, steps=(0,) * len(joined.steps)), *inner]
    cut = cut_evenly(sizes_of(axes), result.dtype.size)
    region = region_of(fn, fn.params[1], cut)
    *sources, to = frame_pointers(fn, len(operands) + 1)
    inside, pointers = enter(fn, axes, cut, region, (to, *sources))
    place = len(outer)
    if cut.axis > place:  # a single index of the joined axis
        first, last, lead = region.index[place], None, []
    elif cut.axis == place:
        first, last, lead, inside = region.first, region.first + region.count, [], inside[1:]
    else:
        first, last, lead, inside = 0, result.shape[axis], inside[: place - cut.axis], inside[place + 1 - cut.axis :]
    sizes = [operand.shape[axis] for operand in operands]
    writer = _Writer(fn, result, target, sizes, first, last, joined.steps, inside)
    nest(fn, lead, pointers, writer.write)
    return Extent(cut.chunks)


@dataclass(frozen=True)
class _Writer:
    """Writes indices [first, last) of the joined axis, `last` None for the single index `first`. Axes and `steps`,
    those of the joined axis, are of (result, *operands)."""

    fn: Function
    result: Operand
    target: Target
    sizes: Sequence[int]
    first: Size
    last: Size | None
    steps: Sequence[int]
    inner: Sequence[Axis]

    def write(self, to: Value, *sources: Value) -> None:
        start = 0
        for number, (size, source) in enumerate(zip(self.sizes, sources, strict=True), 1):
            if size:
                self._operand(number, start, to, source)
            start += size

    def _operand(self, number: int, start: int, to: Value, source: Value) -> None:
        """Operand `number`, counted from 1, whose indices begin at `start`."""
        fn, size = self.fn, self.sizes[number - 1]
        if self.last is None:
            index = self.first - start
            here = fn.compare("ult", fn.value(index), fn.const(size))
            fn.if_(here, lambda: self._copy(number, start, index, 1, to, source))
        else:
            begin = most(fn, self.first - start, 0)
            end = least(fn, self.last - start, size)
            self._copy(number, start, begin, most(fn, end - begin, 0), to, source)

    def _copy(self, number: int, start: int, begin: Size, count: Size, to: Value, source: Value) -> None:
        """`count` indices of an operand, from `begin` on."""
        steps = (self.steps[0], self.steps[number])
        (to,) = moved(self.fn, (to,), start + begin, steps[:1])
        (source,) = moved(self.fn, (source,), begin, steps[1:])
        axes = [Axis(count, steps), *(Axis(a.size, (a.steps[0], a.steps[number])) for a in self.inner)]
        copy_block(self.fn, axes, to, source, self.result.dtype, self.target)
