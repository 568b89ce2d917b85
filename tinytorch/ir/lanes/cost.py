"""What an elementwise op costs per lane, counted in instructions."""

from __future__ import annotations

import functools

from tinytorch.ir.graph import Node
from tinytorch.ir.lanes.emitter import Binary, Lane, Number, Predicate, Unary
from tinytorch.ir.op import Attrs, Op
from tinytorch.ir.types import DType, bool_, f32

DIVISION = 8  # instructions that a division or a square root is worth


class _Counter:
    """An emitter that only counts."""

    def __init__(self) -> None:
        self.count = 0

    def _lane(self, dtype: DType, cost: int = 1) -> Lane:
        self.count += cost
        return Lane(self, dtype, None)

    def const(self, value: Number, dtype: DType) -> Lane:
        return self._lane(dtype, 0)

    def binary(self, name: Binary, a: Lane, b: Lane) -> Lane:
        return self._lane(a.dtype, DIVISION if name in ("div", "rem") else 1)

    def unary(self, name: Unary, a: Lane) -> Lane:
        return self._lane(a.dtype, DIVISION if name == "sqrt" else 1)

    def fma(self, a: Lane, b: Lane, c: Lane) -> Lane:
        return self._lane(a.dtype)

    def copysign(self, magnitude: Lane, sign: Lane) -> Lane:
        return self._lane(magnitude.dtype)

    def compare(self, predicate: Predicate, a: Lane, b: Lane) -> Lane:
        return self._lane(bool_)

    def select(self, condition: Lane, a: Lane, b: Lane) -> Lane:
        return self._lane(a.dtype)

    def cast(self, a: Lane, dtype: DType) -> Lane:
        return self._lane(dtype)

    def bitcast(self, a: Lane, dtype: DType) -> Lane:
        return self._lane(dtype, 0)


def lane_cost(node: Node) -> int:
    """Instructions per lane of an elementwise node; 0 for one that is no computation."""
    if node.op.scalar is None or not node.inputs:
        return 0
    dtypes = tuple(v.type.dtype for v in node.inputs)
    return _counted(node.op, dtypes, node.attrs) if node.attrs else _remembered(node.op, dtypes)


@functools.cache
def _remembered(op: Op, dtypes: tuple[DType, ...]) -> int:
    return _counted(op, dtypes, {})


def _counted(op: Op, dtypes: tuple[DType, ...], attrs: Attrs) -> int:
    assert op.scalar is not None
    counter = _Counter()
    wide = [f32 if d.is_float and d.bits == 16 else d for d in dtypes]  # as kernels compute them
    op.scalar(counter, *(Lane(counter, d, None) for d in wide), **attrs)
    return counter.count
