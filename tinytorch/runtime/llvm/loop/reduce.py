"""Reductions on lanes: what an accumulator holds, how an element enters it and how two of them combine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from tinytorch.ir.errors import CompileError
from tinytorch.ir.graph import Node
from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.op import Op
from tinytorch.ir.ops.reduce import argmax, argmin, max_, min_, prod, sum_
from tinytorch.ir.types import DType, i32, i64
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.lanes.node import computed
from tinytorch.runtime.llvm.text.builder import Function, Register

Lanes = list[Lane]


class Reduction(Protocol):
    """One reduce node. `parts` are the dtypes of its accumulator's lanes."""

    @property
    def node(self) -> Node: ...

    @property
    def parts(self) -> tuple[DType, ...]: ...

    def identity(self, e: LaneEmitter) -> Lanes: ...

    def update(self, e: LaneEmitter, state: Lanes, x: Lane, index: Lane | None, mask: Register | None) -> Lanes:
        """`x` enters where `mask` is true; `index` counts along the axis, for position reductions."""
        ...

    def combine(self, e: LaneEmitter, a: Lanes, b: Lanes) -> Lanes: ...

    def result(self, e: LaneEmitter, state: Lanes) -> Lane: ...


def reduction_of(node: Node) -> Reduction:
    """The Reduction of a reduce node."""
    make = _KINDS.get(node.op)
    if make is None:
        raise CompileError(f"a loop kernel cannot reduce by {node.op.name}")
    return make(node)


def is_float_sum(node: Node) -> bool:
    """Whether the order of additions, or multiplications, matters."""
    return node.op in (sum_, prod) and node.output.type.dtype.is_float


def _masked(e: LaneEmitter, x: Lane, neutral: Lane, mask: Register | None) -> Lane:
    if mask is None:
        return x
    return Lane(e, x.dtype, e.fn.select(mask, e.value(x), e.value(neutral)))


def _worst(dtype: DType, largest: bool) -> float:
    """What every value is at least as good as."""
    if dtype.is_float:
        return -np.inf if largest else np.inf
    if dtype.kind == "bool":
        return 0 if largest else 1
    info = np.iinfo(dtype.numpy.name)
    return int(info.min if largest else info.max)


@dataclass(frozen=True)
class _Fold:
    """sum, prod, max and min: one value, folded by a binary instruction. A largest or smallest zero becomes +0.0: which
    of several it is depends on the order."""

    node: Node
    name: Literal["add", "mul", "max", "min"]

    @property
    def parts(self) -> tuple[DType, ...]:
        return (computed(self.node.inputs[0].type.dtype),)

    def identity(self, e: LaneEmitter) -> Lanes:
        dtype = self.parts[0]
        neutral = {"add": 0, "mul": 1}.get(self.name)
        return [e.const(_worst(dtype, self.name == "max") if neutral is None else neutral, dtype)]

    def update(self, e: LaneEmitter, state: Lanes, x: Lane, index: Lane | None, mask: Register | None) -> Lanes:
        return [e.binary(self.name, state[0], _masked(e, x, self.identity(e)[0], mask))]

    def combine(self, e: LaneEmitter, a: Lanes, b: Lanes) -> Lanes:
        return [e.binary(self.name, a[0], b[0])]

    def result(self, e: LaneEmitter, state: Lanes) -> Lane:
        out, several = self.node.output.type, self.node.output.type.size < self.node.inputs[0].type.size
        unsigned = self.name in ("max", "min") and out.dtype.is_float and several
        return e.cast(state[0] + 0.0 if unsigned else state[0], out.dtype)


@dataclass(frozen=True)
class _Position:
    """argmax and argmin: the best value and its index, -1 as long as nothing beat the worst."""

    node: Node
    largest: bool

    @property
    def parts(self) -> tuple[DType, ...]:
        operand = self.node.inputs[0].type
        narrow = operand.dtype.bits <= 32 and operand.shape[self.node.attrs["axes"][0]] < 2**31
        return computed(operand.dtype), i32 if narrow else i64

    def identity(self, e: LaneEmitter) -> Lanes:
        value, index = self.parts
        return [e.const(_worst(value, self.largest), value), e.const(-1, index)]

    def update(self, e: LaneEmitter, state: Lanes, x: Lane, index: Lane | None, mask: Register | None) -> Lanes:
        assert index is not None
        best, where = state
        take = self._better(x, best)
        if mask is not None:
            take = take & Lane(e, take.dtype, mask)
        return [e.select(take, x, best), e.select(take, index.cast(where.dtype), where)]

    def combine(self, e: LaneEmitter, a: Lanes, b: Lanes) -> Lanes:
        # Neither better is a tie, of numbers or of NaN: the smaller index, but for one that stands for nothing
        tie = ~self._better(a[0], b[0]) & ~self._better(b[0], a[0])
        earlier = (b[1] >= 0) & ((b[1] < a[1]) | (a[1] < 0))
        take = self._better(b[0], a[0]) | (tie & earlier)
        return [e.select(take, x, y) for x, y in zip(b, a, strict=True)]

    def result(self, e: LaneEmitter, state: Lanes) -> Lane:
        # where all elements are the worst value, none beat it, and the first is the answer
        return state[1].max(0).cast(i64)

    def _better(self, x: Lane, best: Lane) -> Lane:
        beats = x > best if self.largest else x < best
        return beats | (x.ne(x) & best.eq(best)) if x.dtype.is_float else beats


_KINDS: dict[Op, Callable[[Node], Reduction]] = {
    sum_: lambda node: _Fold(node, "add"),
    prod: lambda node: _Fold(node, "mul"),
    max_: lambda node: _Fold(node, "max"),
    min_: lambda node: _Fold(node, "min"),
    argmax: lambda node: _Position(node, True),
    argmin: lambda node: _Position(node, False),
}


@dataclass(frozen=True)
class Slot:
    """One accumulator that a loop carries: of `reduction`, in the lanes of `e`."""

    reduction: Reduction
    e: LaneEmitter


class Accumulators:
    """What a loop carries: the accumulators of `slots`, as a flat list of Registers."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots = tuple(slots)

    def identity(self) -> list[Register]:
        return self.flatten([s.reduction.identity(s.e) for s in self.slots])

    def combine(self, a: Sequence[Register], b: Sequence[Register]) -> list[Register]:
        pairs = zip(self.slots, self.split(a), self.split(b), strict=True)
        return self.flatten([s.reduction.combine(s.e, x, y) for s, x, y in pairs])

    def split(self, values: Sequence[Register]) -> list[Lanes]:
        """The lanes of each slot."""
        left = list(values)
        found: list[Lanes] = []
        for slot in self.slots:
            parts = slot.reduction.parts
            found.append([Lane(slot.e, d, v) for d, v in zip(parts, left, strict=False)])
            left = left[len(parts) :]
        return found

    def flatten(self, states: Sequence[Lanes]) -> list[Register]:
        return [s.e.value(lane) for s, state in zip(self.slots, states, strict=True) for lane in state]


def fold_lanes(reduction: Reduction, e: LaneEmitter, state: Lanes) -> Lanes:
    """The lanes of one accumulator combined as a balanced tree, into scalars."""
    fn, lanes = e.fn, e.lanes
    values = [e.value(lane) for lane in state]
    while lanes > 1:
        lanes //= 2
        half = LaneEmitter(fn, e.target, lanes)
        low, high = ([_part(fn, v, lanes, upper) for v in values] for upper in (False, True))
        a, b = ([Lane(half, d, v) for d, v in zip(reduction.parts, side, strict=True)] for side in (low, high))
        values = [half.value(lane) for lane in reduction.combine(half, a, b)]
    scalar = LaneEmitter(fn, e.target, 1)
    return [Lane(scalar, d, v) for d, v in zip(reduction.parts, values, strict=True)]


def _part(fn: Function, value: Register, lanes: int, upper: bool) -> Register:
    start = lanes if upper else 0
    return fn.extract(value, start) if lanes == 1 else fn.shuffle(value, None, range(start, start + lanes))
