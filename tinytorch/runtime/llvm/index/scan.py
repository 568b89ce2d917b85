"""The kernels of scans: running sums, products, extremes, and what else follows from one element to the next.

What is carried along depends on the element before, so each row along the axis is one chain; the rows are independent.
A chunk owns whole rows, in vectors where rows lie side by side in memory. So the work is linear, and the order is the
same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.ir import lanemath
from tinytorch.ir.graph import Node
from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.op import Op
from tinytorch.ir.ops.scan import accumulator, cummax, cummin, cumprod, cumsum, linear_scan, logcumsumexp
from tinytorch.ir.types import DType, bool_, i64
from tinytorch.runtime.llvm.index.loops import (
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
from tinytorch.runtime.llvm.index.runs import over_lanes
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target

Lanes = list[Lane]


def write_scan(
    fn: Function, node: Node, operands: Sequence[Buffer], results: Sequence[Buffer | None], target: Target
) -> Extent:
    """Each result along the axis, unless it is None; operands of any strides."""
    axis: int = node.attrs["axis"]
    wanted = [result for result in results if result is not None]
    shape, steps = wanted[0].shape, [byte_steps(buffer) for buffer in (*operands, *wanted)]
    rows = [
        *coalesced(axes_of(shape[:axis], *(s[:axis] for s in steps))),
        *coalesced(axes_of(shape[axis + 1 :], *(s[axis + 1 :] for s in steps))),
    ]
    cut = cut_evenly(sizes_of(rows), shape[axis] * sum(buffer.dtype.size for buffer in operands))
    pointers = frame_pointers(fn, len(steps))
    rest, pointers = enter(fn, rows, cut, region_of(fn, fn.params[1], cut), pointers)
    scan = _Scan(fn, node, operands, results, [s[axis] for s in steps], shape[axis])
    contiguous = bool(rest) and all(
        to == buffer.dtype.size for to, buffer in zip(rest[-1].steps[len(operands) :], wanted, strict=True)
    )
    if contiguous or (rest and scan.step.costly):
        *outer, side = rest

        def side_by_side(*at: Register) -> None:
            over_lanes(fn, target, scan.state[0], side.size, lambda e, i: scan.row(e, side.steps, at, i))

        nest(fn, outer, pointers, side_by_side)
    else:
        nest(fn, rest, pointers, lambda *at: scan.row(LaneEmitter(fn, target, 1), [0] * len(steps), at, 0))
    return Extent(cut.chunks)


@dataclass(frozen=True)
class _Step:
    """What a scan carries along: `state` gives the dtypes of that, `begin` its values before the first element, and
    `further(state, elements, index)` those behind one. The results are the state. If `costly`, rows are brought
    together in vectors also where they do not lie side by side."""

    state: Callable[[DType], tuple[DType, ...]]
    begin: Callable[[LaneEmitter, DType], Lanes]
    further: Callable[[Lanes, Lanes, Lane], Lanes]
    costly: bool = False


def _accumulated(number: float, further: Callable[[Lane, Lanes], Lane], costly: bool = False) -> _Step:
    """One value in the accumulator's dtype, from `number` on."""
    return _Step(
        lambda dtype: (accumulator(dtype),),
        lambda e, dtype: [e.const(number, accumulator(dtype))],
        lambda state, elements, index: [further(state[0], elements)],
        costly,
    )


def _log_of_sum(total: Lane, elements: Lanes) -> Lane:
    """log(exp(a) + exp(b)), where a or both may be infinite."""
    e = total.emitter
    larger, smaller = total.max(elements[0]), total.min(elements[0])
    both = larger + lanemath.log1p(e, lanemath.exp(e, smaller - larger))
    return e.select(smaller.eq(larger) & (larger - larger).ne(0.0), larger, both)


def _extreme(largest: bool) -> _Step:
    """The best so far and its index: of equal ones the last, and NaN once there is one."""

    def begin(e: LaneEmitter, dtype: DType) -> Lanes:
        low, high = (float("-inf"), float("inf")) if dtype.is_float else (0, 1) if dtype is bool_ else dtype.limits
        return [e.const(low if largest else high, dtype), e.const(0, i64)]

    def further(state: Lanes, elements: Lanes, index: Lane) -> Lanes:
        """The index follows from the best, not the other way round: what the next element waits for is short."""
        (best, where), (x,) = state, elements
        e = x.emitter
        found = e.select(best > x if largest else best < x, best, x)
        if not x.dtype.is_float:
            return [found, e.select(x.eq(found), index, where)]
        found = e.select(best.ne(best), best, found)
        return [found, e.select(x.eq(found) | x.ne(x), index, where)]

    return _Step(lambda dtype: (dtype, i64), begin, further)


_STEPS: dict[Op, _Step] = {
    cumsum: _accumulated(0, lambda total, x: total + x[0]),
    cumprod: _accumulated(1, lambda total, x: total * x[0]),
    linear_scan: _accumulated(0, lambda y, x: x[0] * y + x[1]),
    logcumsumexp: _accumulated(float("-inf"), _log_of_sum, costly=True),
    cummax: _extreme(True),
    cummin: _extreme(False),
}


class _Scan:
    """Writes rows along the axis; `steps` are those of the operands and the results that are wanted."""

    def __init__(
        self,
        fn: Function,
        node: Node,
        operands: Sequence[Buffer],
        results: Sequence[Buffer | None],
        steps: Sequence[int],
        size: int,
    ) -> None:
        self.fn = fn
        self.operands = operands
        self.results = results
        self.steps = steps
        self.size = size
        self.reverse: bool = node.attrs.get("reverse", False)
        self.step = _STEPS[node.op]
        self.dtype = operands[0].dtype
        self.state = self.step.state(self.dtype)

    def row(self, e: LaneEmitter, across: Sequence[int], pointers: Sequence[Register], first: Size) -> None:
        """As many rows as `e` has lanes, from number `first` on; from one to the next the pointers move by `across`."""
        fn, count = self.fn, len(self.operands)
        starts = [fn.at(p, first * step) for p, step in zip(pointers, across, strict=True)]

        def further(i: Register, *carried: Register) -> list[Register]:
            at = self.size - 1 - i if self.reverse else i
            here = [fn.at(p, at * step) for p, step in zip(starts, self.steps, strict=True)]
            elements = [self._loaded(e, p, step) for p, step in zip(here[:count], across[:count], strict=True)]
            state = [Lane(e, dtype, value) for dtype, value in zip(self.state, carried, strict=True)]
            state = self.step.further(state, elements, e.lane(fn.value(i), i64))
            to = zip(here[count:], across[count:], strict=True)
            for value, result in zip(state, self.results, strict=True):
                if result is not None:
                    pointer, step = next(to)
                    e.store_strided(value.cast(result.dtype), pointer, step // result.dtype.size if e.lanes > 1 else 1)
            return [e.value(lane) for lane in state]

        fn.loop(self.size, [e.value(lane) for lane in self.step.begin(e, self.dtype)], further)

    def _loaded(self, e: LaneEmitter, pointer: Register, step: int) -> Lane:
        """An element of each row, as it enters the state."""
        loaded = (
            e.load_strided(pointer, self.dtype, step // self.dtype.size) if e.lanes > 1 else e.load(pointer, self.dtype)
        )
        return loaded.cast(self.state[0])
