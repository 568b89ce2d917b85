"""The kernel of concat: operands one after the other along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinytorch.ir.graph import Node
from tinytorch.runtime.llvm.builder import Function, Value
from tinytorch.runtime.llvm.contract_layout import Operand
from tinytorch.runtime.llvm.index_loops import (
    Extent,
    Region,
    Size,
    axes_of,
    byte_steps,
    cut_evenly,
    frame_pointers,
    least,
    most,
    moved,
    region_of,
)
from tinytorch.runtime.llvm.index_runs import copy_block
from tinytorch.runtime.llvm.target import Target


def write_concat(fn: Function, node: Node, operands: Sequence[Operand], result: Operand, target: Target) -> Extent:
    """Operands of any strides, alike but for their sizes along node.attrs["axis"]."""
    axis = node.attrs["axis"] % len(result.shape)
    cut = cut_evenly(result.shape, result.dtype.size)
    *sources, to = frame_pointers(fn, len(operands) + 1)
    writer = _Writer(fn, axis, cut.axis, region_of(fn, fn.params[1], cut), result, target)
    start = 0
    for operand, source in zip(operands, sources, strict=True):
        if operand.shape[axis]:
            writer.operand(operand, start, to, source)
        start += operand.shape[axis]
    return Extent(cut.chunks)


@dataclass(frozen=True)
class _Writer:
    """Copies into one chunk, cut along `cut`, of a result joined along `axis`."""

    fn: Function
    axis: int
    cut: int
    region: Region
    result: Operand
    target: Target

    def operand(self, x: Operand, start: int, to: Value, source: Value) -> None:
        """What of `x`, whose place along the axis begins at `start`, belongs to the chunk."""
        fn, axis, region = self.fn, self.axis, self.region
        size = x.shape[axis]
        index, first, last = list(region.index), region.first, region.first + region.count
        if axis == self.cut:
            first = most(fn, first - start, 0)
            last = least(fn, last - start, size)
        elif axis < self.cut:
            index[axis] = index[axis] - start
        (to,) = moved(fn, (to,), start, (byte_steps(self.result)[axis],))
        if axis < self.cut:
            here = fn.compare("ult", fn.value(index[axis]), fn.const(size))
            fn.if_(here, lambda: self._copy(x, index, first, last, to, source))
        else:
            self._copy(x, index, first, last, to, source)

    def _copy(self, x: Operand, index: Sequence[Size], first: Size, last: Size, to: Value, source: Value) -> None:
        """Elements [first, last) along the cut, at `index` before it; `to` is the place of the operand's first."""
        fn, rows, steps = self.fn, byte_steps(self.result), byte_steps(x)
        for at, *both in zip([*index, first], rows, steps, strict=False):
            to, source = moved(fn, (to, source), at, both)
        axes = axes_of((last - first, *x.shape[self.cut + 1 :]), rows[self.cut :], steps[self.cut :])
        copy_block(fn, axes, to, source, x.dtype, self.target)
