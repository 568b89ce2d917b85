"""The kernel of cumsum: running sums along an axis.

A sum depends on the one before, so each row along the axis is one chain of additions; the rows are independent. A
chunk owns whole rows, in vectors where rows lie side by side in memory. So the work is linear, and the order of
additions is the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.emitter import Lane
from tinytorch.ir.graph import Node
from tinytorch.ir.ops.scan import accumulator
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
from tinytorch.runtime.llvm.index.runs import over_lanes
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target


def write_cumsum(fn: Function, node: Node, operands: Sequence[Buffer], result: Buffer, target: Target) -> Extent:
    """result[…, i, …] = x[…, 0, …] + … + x[…, i, …] along the axis, or the sum from i on; x of any strides."""
    (x,) = operands
    axis = node.attrs["axis"]
    to_steps, x_steps = byte_steps(result), byte_steps(x)
    rows = [
        *coalesced(axes_of(result.shape[:axis], to_steps[:axis], x_steps[:axis])),
        *coalesced(axes_of(result.shape[axis + 1 :], to_steps[axis + 1 :], x_steps[axis + 1 :])),
    ]
    size = result.shape[axis]
    cut = cut_evenly(sizes_of(rows), size * x.dtype.size)
    to, x_at = (frame_pointers(fn, 2)[i] for i in (1, 0))
    rest, pointers = enter(fn, rows, cut, region_of(fn, fn.params[1], cut), (to, x_at))
    along = Axis(size, (to_steps[axis], x_steps[axis]))
    scan = _Scan(fn, target, x, along, node.attrs["reverse"])
    if rest and rest[-1].steps[0] == x.dtype.size:
        *outer, side = rest
        nest(fn, outer, pointers, lambda t, s: scan.side_by_side(side, t, s))
    else:
        nest(fn, rest, pointers, lambda t, s: scan.row(LaneEmitter(fn, target, 1), 0, t, s))
    return Extent(cut.chunks)


class _Scan:
    """Writes the running sums `along` an axis, whose steps are those of (result, x)."""

    def __init__(self, fn: Function, target: Target, x: Buffer, along: Axis, reverse: bool) -> None:
        self.fn = fn
        self.target = target
        self.dtype = x.dtype
        self.wide = accumulator(x.dtype)
        self.along = along
        self.reverse = reverse

    def side_by_side(self, side: Axis, to: Register, x: Register) -> None:
        """Neighbouring rows in vectors; `side` is the axis across them."""
        step = side.steps[1] // self.dtype.size
        over_lanes(self.fn, self.target, self.wide, side.size, lambda e, i: self.row(e, step, to, x, i))

    def row(self, e: LaneEmitter, step: int, to: Register, x: Register, first: Size = 0) -> None:
        """As many rows as `e` has lanes, from number `first` on; those of x are `step` elements apart."""
        fn, dtype, size = self.fn, self.dtype, self.dtype.size
        to, x = fn.at(to, first * size), fn.at(x, first * step * size)

        def add(i: Register, total: Register) -> list[Register]:
            at = self.along.size - 1 - i if self.reverse else i
            to_at, x_at = (fn.at(p, at * s) for p, s in zip((to, x), self.along.steps, strict=True))
            loaded = e.load_strided(x_at, dtype, step) if e.lanes > 1 else e.load(x_at, dtype)
            sums = Lane(e, self.wide, total) + loaded.cast(self.wide)
            e.store(sums.cast(dtype), to_at)
            return [e.value(sums)]

        fn.loop(self.along.size, [e.value(e.const(0, self.wide))], add)
