"""The kernel of pad: an operand's elements spread over a result that is filled with a value elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinytorch.ir.graph import Node
from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.builder import Function, Value
from tinytorch.runtime.llvm.contract_layout import Operand
from tinytorch.runtime.llvm.index_loops import (
    Axis,
    Extent,
    Region,
    Size,
    byte_steps,
    cut_evenly,
    frame_pointers,
    least,
    most,
    moved,
    region_of,
)
from tinytorch.runtime.llvm.index_runs import copy_block, fill, raw_type
from tinytorch.runtime.llvm.target import Target


@dataclass(frozen=True)
class _Span:
    """One axis: `low` results, then `size` elements `spacing` results apart, then `high` results. From one element
    to the next are `step` bytes in the operand, from one result to the next `row` bytes."""

    size: int
    low: int
    high: int
    spacing: int
    step: int
    row: int

    @property
    def extent(self) -> int:
        """Results from the first element to the last."""
        return (self.size - 1) * self.spacing + 1 if self.size else 0

    @property
    def results(self) -> int:
        return self.low + self.extent + self.high

    @property
    def is_plain(self) -> bool:
        return self.low == self.high == 0 and self.spacing == 1


def write_pad(fn: Function, node: Node, operands: Sequence[Operand], result: Operand, target: Target) -> Extent:
    """`value` before, after and between the elements of each axis of x, of any strides, as node.attrs say."""
    (x,) = operands
    spans = _spans(x, result, node.attrs["low"], node.attrs["high"], node.attrs["interior"])
    cut = cut_evenly(tuple(span.results for span in spans), x.dtype.size)
    source, to = frame_pointers(fn, 2)
    pattern = fn.const(_bits(node.attrs["value"], x.dtype), raw_type(x.dtype))
    _Writer(fn, x.dtype, pattern, target).region(spans, cut.axis, region_of(fn, fn.params[1], cut), to, source)
    return Extent(cut.chunks)


def _bits(value: float, dtype: DType) -> int:
    """The value as numpy converts it, as an unsigned number of the element's width."""
    with np.errstate(all="ignore"):
        return int(np.full((), value, dtype.numpy).view(f"u{dtype.size}"))


def _spans(
    x: Operand, result: Operand, low: Sequence[int], high: Sequence[int], interior: Sequence[int]
) -> list[_Span]:
    """The axes, of which one without padding joins the one in front where its elements follow on."""
    if 0 in x.shape:
        return [_Span(0, math.prod(result.shape), 0, 1, 0, x.dtype.size)]
    spans: list[_Span] = []
    steps, rows = byte_steps(x), byte_steps(result)
    for size, before, behind, gap, step, row in zip(x.shape, low, high, interior, steps, rows, strict=True):
        span = _Span(size, before, behind, gap + 1 if size > 1 else 1, step, row)
        if spans and span.is_plain and _joins(spans[-1], span):
            outer = spans.pop()
            span = _Span(outer.size * size, outer.low * size, outer.high * size, 1, step, row)
        spans.append(span)
    return spans or [_Span(1, 0, 0, 1, 0, x.dtype.size)]


def _joins(outer: _Span, inner: _Span) -> bool:
    return outer.spacing == 1 and (outer.size == 1 or outer.step == inner.step * inner.size)


@dataclass(frozen=True)
class _Writer:
    fn: Function
    dtype: DType
    pattern: Value
    target: Target

    def region(self, spans: Sequence[_Span], axis: int, region: Region, to: Value, source: Value) -> None:
        """A chunk, cut along `axis`: it holds operand elements only if it is an element's along the axes before."""
        fn = self.fn
        inside: Value | None = None
        for span, result in zip(spans, region.index, strict=False):
            offset = fn.value(result - span.low)
            here = fn.compare("ult", offset, fn.const(span.extent))
            if span.spacing > 1:
                here = here & fn.compare("eq", offset % span.spacing, fn.const(0))
            inside = here if inside is None else inside & here
            to, source = moved(fn, (to,), result, (span.row,))[0], fn.at(source, offset // span.spacing * span.step)
        within, last = spans[axis:], region.first + region.count
        if inside is None:
            self.results(within, to, source, region.first, last)
        else:
            fn.if_(
                inside,
                lambda: self.results(within, to, source, region.first, last),
                lambda: self.value(within[0], to, region.first, last),
            )

    def results(self, spans: Sequence[_Span], to: Value, source: Value, first: Size, last: Size) -> None:
        """Results [first, last) of the outermost span; `to` is its result 0, `source` its element 0."""
        fn, (span, *inner) = self.fn, spans
        begin, end = self._element(span, first), self._element(span, last)
        if span.spacing > 1:
            self.value(span, to, first, last)  # and rows of elements over it: simpler than to fill between them
        else:
            self.value(span, to, first, least(fn, begin + span.low, last))
        pitch = span.row * span.spacing
        start = fn.at(to, span.low * span.row)
        if all(other.is_plain for other in inner):
            axes = [Axis(end - begin, (pitch, span.step)), *(Axis(x.size, (x.row, x.step)) for x in inner)]
            start, from_ = moved(fn, (start, source), begin, axes[0].steps)
            copy_block(fn, axes, start, from_, self.dtype, self.target)
        else:
            fn.loop(
                end,
                [],
                lambda i: self.results(
                    inner, fn.at(start, i * pitch), fn.at(source, i * span.step), 0, inner[0].results
                ),
                start=begin,
            )
        if span.spacing == 1:
            self.value(span, to, most(fn, end + span.low, first), last)

    def value(self, span: _Span, to: Value, first: Size, last: Size) -> None:
        """Fill results [first, last) of the span."""
        fill(self.fn, self.fn.at(to, first * span.row), (last - first) * span.row, self.pattern, self.target)

    def _element(self, span: _Span, result: Size) -> Size:
        """The first element at or behind a result."""
        fn = self.fn
        distance = most(fn, result - span.low, 0) + (span.spacing - 1)
        return least(fn, distance // span.spacing if span.spacing > 1 else distance, span.size)
