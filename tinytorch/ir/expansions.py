"""What follows from the expansion of a composite: its `eval`, `fast`, `flops` and `vjp`, each the expansion in a world
of its own."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinytorch.ir.arithmetic import Arithmetic
from tinytorch.ir.op import Array, Attrs, Nondiff, Op, VariadicRule, as_tuple, unpacked
from tinytorch.ir.types import TensorType, dtype_of, type_of
from tinytorch.ir.vjp import pullback

Expansion = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Numbers(Arithmetic):
    """An array that ops apply to at once."""

    array: Array

    @property
    def type(self) -> TensorType:
        return type_of(self.array.dtype, self.array.shape)

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Any:
        return unpacked([Numbers(a) for a in op.evaluate([o.array for o in operands], attrs)])

    def constant(self, array: Array) -> Numbers:
        return Numbers(array)


class FastNumbers(Numbers):
    """As eager mode has it: ops run by their `fast`, where they have one."""

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Any:
        return unpacked([FastNumbers(a) for a in op.evaluate_fast([o.array for o in operands], attrs)])

    def constant(self, array: Array) -> FastNumbers:
        return FastNumbers(array)


@dataclass
class _Count:
    """The operations so far."""

    flops: int = 0


@dataclass(frozen=True, eq=False)
class Types(Arithmetic):
    """The type of an operand; ops that apply to it are counted."""

    of: TensorType
    count: _Count = field(repr=False)

    @property
    def type(self) -> TensorType:
        return self.of

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Any:
        types = [o.type for o in operands]
        results = op.result_types(types, attrs)
        self.count.flops += op.flops(types, unpacked(results), attrs)
        return unpacked([Types(result, self.count) for result in results])

    def constant(self, array: Array) -> Types:
        return Types(TensorType(dtype_of(array.dtype), array.shape), self.count)


@dataclass(frozen=True, eq=False)
class Recorded(Arithmetic):
    """An operand of another world; which ops apply to it there is remembered."""

    of: Any
    records: list[_Record] = field(repr=False)

    @property
    def type(self) -> TensorType:
        return self.of.type

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Any:
        made = as_tuple(self.of.apply_op(op, [o.of for o in operands], attrs))
        record = _Record(op, operands, tuple(Recorded(x, self.records) for x in made), attrs)
        self.records.append(record)
        return unpacked(record.outputs)

    def constant(self, array: Array) -> Recorded:
        return Recorded(self.of.constant(array), self.records)


@dataclass(frozen=True)
class _Record:
    """An application, as rules of gradients see it."""

    op: Op
    inputs: Sequence[Recorded]
    outputs: tuple[Recorded, ...]
    attrs: Attrs

    @property
    def output(self) -> Recorded:
        return self.outputs[0]

    @property
    def names(self) -> Sequence[Hashable]:
        return self.outputs


def eval_of(expand: Expansion) -> Callable[..., Any]:
    """The numpy reference of a composite: that of its parts."""
    return lambda *arrays, **attrs: _arrays(expand(*map(Numbers, arrays), **attrs))


def fast_of(expand: Expansion) -> Callable[..., Any]:
    """What eager mode runs: the `fast` of the parts."""
    return lambda *arrays, **attrs: _arrays(expand(*map(FastNumbers, arrays), **attrs))


def _arrays(results: Any) -> Any:
    return unpacked([x.array for x in as_tuple(results)])


def flops_of(expand: Expansion) -> Callable[[Sequence[TensorType], Any, Attrs], int]:
    """The operations of the parts."""

    def flops(types: Sequence[TensorType], out: Any, attrs: Attrs) -> int:
        count = _Count()
        expand(*(Types(t, count) for t in types), **attrs)
        return count.flops

    return flops


def vjp_of(expand: Expansion) -> VariadicRule:
    """The gradient of the parts."""

    def rule(ct: Any, n: Any, index: int) -> Any:
        records: list[_Record] = []
        inputs = [Recorded(x, records) for x in n.inputs]
        results = as_tuple(expand(*inputs, **n.attrs))
        cotangents: dict[Hashable, Any] = {
            result: Recorded(given, records)
            for result, given in zip(results, as_tuple(ct), strict=True)
            if given is not None
        }
        active = _dependents(records, inputs[index])
        pullback(list(records), cotangents, active.__contains__, lambda operand: operand)
        found = cotangents.get(inputs[index])
        return None if found is None else found.of

    return rule


def _dependents(records: Sequence[_Record], operand: Recorded) -> set[Recorded]:
    """What a gradient may flow through to the operand."""
    active = {operand}
    for record in records:
        if not isinstance(record.op.vjp, Nondiff) and not active.isdisjoint(record.inputs):
            active.update(x for x in record.outputs if x.type.dtype.is_float)
    return active
