"""What follows from the expansion of a composite: its `eval`, `fast`, `flops` and gradient, each the expansion in a
world of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinytorch.ir.op import Applied, Array, Attrs, JointRule, Nondiff, Op, apply, as_tuple, named, unpacked
from tinytorch.ir.operators.arithmetic import Arithmetic
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


def eval_of(expand: Expansion) -> Callable[..., Any]:
    """The numpy reference of a composite: that of its parts."""
    return lambda *arrays, **attrs: _arrays(expand(*map(Numbers, arrays), **attrs))


def fast_of(expand: Expansion) -> Callable[..., Any]:
    """What eager mode runs: the `fast` of the parts."""
    return lambda *arrays, **attrs: _arrays(expand(*map(FastNumbers, arrays), **attrs))


def _arrays(results: Any) -> Any:
    """The arrays, each of which can be written to: where a definition ends in a broadcast, a copy."""
    found = [x.array for x in as_tuple(results)]
    return unpacked([a if a.flags.writeable else a.copy() for a in found])


def flops_of(expand: Expansion) -> Callable[[Sequence[TensorType], Any, Attrs], int]:
    """The operations of the parts."""

    def flops(types: Sequence[TensorType], out: Any, attrs: Attrs) -> int:
        count = _Count()
        expand(*(Types(t, count) for t in types), **attrs)
        return count.flops

    return flops


@dataclass(frozen=True, eq=False)
class _Part:
    """An application in an expansion, as the rules see it."""

    op: Op
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    attrs: Attrs

    @property
    def output(self) -> Any:
        (result,) = self.outputs
        return result

    @property
    def names(self) -> list[int]:
        return list(map(id, self.outputs))


@dataclass
class _Tape:
    """The applications so far that depend on some operands, and the values that do."""

    parts: list[_Part] = field(default_factory=list[_Part])
    active: set[int] = field(default_factory=set[int])


@dataclass(frozen=True, eq=False)
class _Taped(Arithmetic):
    """An operand of any world; ops that apply to it are kept."""

    of: Any
    tape: _Tape = field(repr=False)

    @property
    def type(self) -> TensorType:
        return self.of.type

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Any:
        inputs = [o.of for o in operands]
        made = self.of.apply_op(op, inputs, attrs)
        outputs = (made,) if op.results == 1 else tuple(made)
        if not isinstance(op.vjp, Nondiff) and not self.tape.active.isdisjoint(map(id, inputs)):
            self.tape.parts.append(_Part(op, inputs, outputs, attrs))
            self.tape.active.update(id(x) for x in outputs if x.type.dtype.is_float)
        return unpacked([_Taped(x, self.tape) for x in outputs])

    def constant(self, array: Array) -> _Taped:
        return _Taped(self.of.constant(array), self.tape)


def differentiated(expand: Expansion) -> JointRule:
    """The gradient of a composite: that of its parts, of which some may be composites with rules of their own."""

    def rule(ct: Any, n: Applied, indices: Sequence[int]) -> Sequence[Any]:
        tape = _Tape()
        # An operand that is given twice counts as two.
        given = [apply(named("reshape"), x, shape=x.type.shape) for x in n.inputs]
        tape.active.update(id(given[index]) for index in indices)
        results = as_tuple(expand(*(_Taped(x, tape) for x in given), **n.attrs))
        cotangents: dict[Any, Any] = {}
        for result, g in zip(results, as_tuple(ct), strict=True):
            if g is not None:
                known = cotangents.get(id(result.of))
                cotangents[id(result.of)] = g if known is None else known + g
        pullback(tape.parts, cotangents, active=lambda x: id(x) in tape.active, key=id)
        return [cotangents.get(id(given[index])) for index in indices]

    return JointRule(rule)
