"""The record of an op: all that the system knows of it stands together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from tinytorch.ir.emitter import Lane
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.types import MAX_BYTES, TensorType

Kind = Literal[
    "elementwise", "reduce", "view", "move", "contract", "index", "update", "random", "composite", "kernel"
]  # fmt: skip
Array = np.ndarray[Any, Any]
Attrs = Mapping[str, Any]


class Operand(Protocol):
    """What ops apply to: an eager Tensor, a value of a graph under construction, a hole of a pattern."""

    @property
    def type(self) -> TensorType: ...

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Any:
        """Apply `op` in this operand's world: evaluate, append a node, or match."""
        ...


class Applied(Protocol):
    """An application of an op as its vjp sees it."""

    @property
    def inputs(self) -> Sequence[Any]: ...

    @property
    def output(self) -> Any: ...

    @property
    def attrs(self) -> Attrs: ...


Rule = Callable[[Any, Applied], Any]  # (cotangent of the output, application) -> cotangent of one operand
VariadicRule = Callable[[Any, Applied, int], Any]  # the same with the operand's index


class Nondiff:
    """The explicit statement that an op has no derivative, or that it is zero almost everywhere."""

    def __repr__(self) -> str:
        return "NONDIFF"


NONDIFF = Nondiff()


@dataclass(frozen=True, eq=False)
class Op:
    """One op. `infer` takes operand types and attributes and gives the result type or raises ShapeError;
    `eval` is the numpy reference; `vjp` has one rule per operand (None: no gradient flows there), a single
    rule with an index for variadic ops, or NONDIFF; `flops` counts operations from types; `scalar` is one
    lane of an elementwise op (a random op's lane starts from the element's linear index); `expand` defines a
    composite in simpler ops; `put(base, new, **attrs)` is, for an op whose result lies in its operand's memory, the
    operand once the result has become `new`; `guard` is a condition that every lane must meet (an index in range):
    `eval` raises where it is false, a kernel reports it and the graph stops before it changes any state; `fast` is what
    eager mode runs instead of `eval`, equal to it up to rounding."""

    name: str
    kind: Kind
    doc: str
    infer: Callable[..., Any]
    eval: Callable[..., Any]
    vjp: tuple[Rule | None, ...] | VariadicRule | Nondiff
    flops: Callable[[Sequence[TensorType], TensorType, Attrs], int]
    scalar: Callable[..., Lane] | None = None
    expand: Callable[..., Any] | None = None
    put: Callable[..., Any] | None = None
    guard: Callable[..., Lane] | None = None
    fast: Callable[..., Any] | None = None

    def result_types(self, types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
        """The types of the results; only kernels have more than one. ShapeError if no memory could hold one."""
        found = self.infer(*types, **attrs)
        if types and found is types[0]:
            return (found,)
        found = (found,) if isinstance(found, TensorType) else tuple(found)
        for result in found:
            if result.bytes > MAX_BYTES:
                raise ShapeError(f"{self.name}: a result of {result} is larger than any memory")
        return found

    def cotangent(self, ct: Any, applied: Applied, index: int) -> Any:
        """The cotangent of operand `index`, or None where no gradient flows."""
        if isinstance(self.vjp, Nondiff):
            return None
        if isinstance(self.vjp, tuple):
            rule = self.vjp[index]
            return None if rule is None else rule(ct, applied)
        return self.vjp(ct, applied, index)

    def __repr__(self) -> str:
        return f"Op({self.name})"


OPS: dict[str, Op] = {}


def define(op: Op) -> Op:
    """Enter `op` in the registry under its name."""
    assert op.name not in OPS, f"op {op.name} is defined twice"
    OPS[op.name] = op
    return op


def named(name: str) -> Op:
    """The op of that name, for rules that need ops defined later: the gradient of `broadcast` is a `sum`, that of `sum`
    is a `broadcast`."""
    return OPS[name]


def apply(op: Op, *operands: Any, **attrs: Any) -> Any:
    """Apply `op` in the world of its first operand."""
    return operands[0].apply_op(op, operands, attrs)
