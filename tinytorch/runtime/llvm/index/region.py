"""An operand's elements spread over a region of a larger result, and something else around and between them: what the
kernels of pad and update_slice share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.index.loops import Axis, Region, Size, least, most, moved, settled
from tinytorch.runtime.llvm.index.runs import copy_block
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target


@dataclass(frozen=True)
class RegionAxis:
    """One axis of `results`: after `low` of them there are `size` elements, `spacing` results apart. From one element
    to the next are `step` bytes in the operand; from one result to the next `row` bytes, and `under` bytes in what
    is copied around the elements. `low` may be known at run time only."""

    size: int
    low: Size
    results: int
    spacing: int
    step: int
    row: int
    under: int = 0

    @property
    def extent(self) -> int:
        """Results from the first element to the last."""
        return (self.size - 1) * self.spacing + 1 if self.size else 0

    @property
    def is_plain(self) -> bool:
        return self.results == self.size and self.spacing == 1 and settled(self.low) == 0


def joined(spans: Iterable[RegionAxis]) -> list[RegionAxis]:
    """The same region with fewer axes: one without anything around its elements joins the one in front where its
    elements follow on."""
    found: list[RegionAxis] = []
    for span in spans:
        if found and span.is_plain and _joins(found[-1], span):
            outer, size = found.pop(), span.size
            span = RegionAxis(
                outer.size * size, outer.low * size, outer.results * size, 1, span.step, span.row, span.under
            )
        found.append(span)
    return found


def _joins(outer: RegionAxis, inner: RegionAxis) -> bool:
    elements = outer.size == 1 or outer.step == inner.step * inner.size
    return outer.spacing == 1 and elements and (outer.results == 1 or outer.under == inner.under * inner.size)


# Writes results [first, last) of the outermost span: (spans, its result 0, what is copied there, first, last).
Background = Callable[[Sequence[RegionAxis], Register, Register, Size, Size], None]


@dataclass(frozen=True)
class RegionWriter:
    """Writes chunks of a result: elements of the operand where there are some, `background` elsewhere."""

    fn: Function
    dtype: DType
    target: Target
    background: Background

    def region(
        self,
        spans: Sequence[RegionAxis],
        axis: int,
        region: Region,
        to: Register,
        source: Register,
        under: Register | None = None,
    ) -> None:
        """A chunk, cut along `axis`: it holds operand elements only if it is an element's along the axes before."""
        fn = self.fn
        inside: Register | None = None
        under = to if under is None else under
        for span, result in zip(spans, region.index, strict=False):
            offset = fn.value(result - span.low)
            here = fn.compare("ult", offset, fn.const(span.extent))
            if span.spacing > 1:
                here = here & fn.compare("eq", offset % span.spacing, fn.const(0))
            inside = here if inside is None else inside & here
            source = fn.at(source, offset // span.spacing * span.step)
            to, under = moved(fn, (to, under), result, (span.row, span.under))
        within, last = spans[axis:], region.first + region.count
        if inside is None:
            self._results(within, to, source, under, region.first, last)
        else:
            fn.if_(
                inside,
                lambda: self._results(within, to, source, under, region.first, last),
                lambda: self.background(within, to, under, region.first, last),
            )

    def _results(
        self, spans: Sequence[RegionAxis], to: Register, source: Register, under: Register, first: Size, last: Size
    ) -> None:
        """Results [first, last) of the outermost span; `to` is its result 0, `source` its element 0."""
        fn, (span, *inner) = self.fn, spans
        begin, end = self._element(span, first), self._element(span, last)
        if span.spacing > 1:
            self.background(spans, to, under, first, last)  # and elements over it: simpler than to fill between them
        else:
            self.background(spans, to, under, first, least(fn, begin + span.low, last))
        pitch = span.row * span.spacing
        start = fn.at(to, span.low * span.row)
        if all(other.is_plain for other in inner):
            axes = [Axis(end - begin, (pitch, span.step)), *(Axis(x.size, (x.row, x.step)) for x in inner)]
            start, from_ = moved(fn, (start, source), begin, axes[0].steps)
            copy_block(fn, axes, start, from_, self.dtype, self.target)
        else:
            beneath = fn.at(under, span.low * span.under)

            def row(i: Register) -> None:
                steps = (pitch, span.step, span.under * span.spacing)
                to, element, under = moved(fn, (start, source, beneath), i, steps)
                self._results(inner, to, element, under, 0, inner[0].results)

            fn.loop(end, [], row, start=begin)
        if span.spacing == 1:
            self.background(spans, to, under, least(fn, most(fn, end + span.low, first), last), last)

    def _element(self, span: RegionAxis, result: Size) -> Size:
        """The first element at or behind a result."""
        fn = self.fn
        distance = most(fn, result - span.low, 0) + (span.spacing - 1)
        return least(fn, distance // span.spacing if span.spacing > 1 else distance, span.size)
