"""The kernel of pad: an operand's elements spread over a result that is filled with a value elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinytorch.ir.graph import Node
from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.index.loops import Extent, Size, byte_steps, cut_evenly, frame_pointers, region_of
from tinytorch.runtime.llvm.index.region import RegionAxis, RegionWriter, joined
from tinytorch.runtime.llvm.index.runs import fill, raw_type
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target


def write_pad(fn: Function, node: Node, operands: Sequence[Buffer], result: Buffer, target: Target) -> Extent:
    """`value` before, after and between the elements of each axis of x, of any strides, as node.attrs say."""
    (x,) = operands
    spans = _spans(x, result, node.attrs["low"], node.attrs["interior"])
    cut = cut_evenly(tuple(span.results for span in spans), x.dtype.size)
    source, to = frame_pointers(fn, 2)
    pattern = fn.const(_bits(node.attrs["value"], x.dtype), raw_type(x.dtype))

    def value(spans: Sequence[RegionAxis], to: Register, under: Register, first: Size, last: Size) -> None:
        row = spans[0].row
        fill(fn, fn.at(to, first * row), (last - first) * row, pattern, target)

    writer = RegionWriter(fn, x.dtype, target, value)
    writer.region(spans, cut.axis, region_of(fn, fn.params[1], cut), to, source)
    return Extent(cut.chunks)


def _bits(value: float, dtype: DType) -> int:
    """The value as numpy converts it, as an unsigned number of the element's width."""
    with np.errstate(all="ignore"):
        return int(np.full((), value, dtype.numpy).view(f"u{dtype.size}"))


def _spans(x: Buffer, result: Buffer, low: Sequence[int], interior: Sequence[int]) -> list[RegionAxis]:
    if 0 in x.shape:
        return [RegionAxis(0, 0, math.prod(result.shape), 1, 0, x.dtype.size)]
    sides = zip(x.shape, low, result.shape, interior, byte_steps(x), byte_steps(result), strict=True)
    spans = [
        RegionAxis(size, a, all_, gap + 1 if size > 1 else 1, step, row) for size, a, all_, gap, step, row in sides
    ]
    return joined(spans) or [RegionAxis(1, 0, 1, 1, 0, x.dtype.size)]
