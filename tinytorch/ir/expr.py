"""Expressions: what a graph under construction is written in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch.ir.graph import Builder, Value
from tinytorch.ir.op import Array, Attrs, Op, unpacked
from tinytorch.ir.operators.linear import difference
from tinytorch.ir.operators.operators import Operators
from tinytorch.ir.types import TensorType


@dataclass(frozen=True, eq=False, repr=False)
class Expr(Operators):
    """A value of a graph under construction; ops applied to it append nodes."""

    builder: Builder
    value: Value

    @property
    def type(self) -> TensorType:
        return self.value.type

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Any:
        made = self.builder.append(op, [o.value for o in operands], attrs)
        return unpacked([Expr(self.builder, value) for value in made.outputs])

    def constant(self, array: Array) -> Expr:
        return Expr(self.builder, self.builder.constant(array))

    def known_difference(self, other: Any) -> int | None:
        return difference(self.builder, self.value, other.value)
