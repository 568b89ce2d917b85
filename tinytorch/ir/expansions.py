"""What follows from the expansion of a composite: its `eval`, `fast` and `flops`, each the expansion in a world of its
own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinytorch.ir.arithmetic import Arithmetic
from tinytorch.ir.op import Array, Attrs, Op, as_tuple, unpacked
from tinytorch.ir.types import TensorType, dtype_of, type_of

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
    return unpacked([x.array for x in as_tuple(results)])


def flops_of(expand: Expansion) -> Callable[[Sequence[TensorType], Any, Attrs], int]:
    """The operations of the parts."""

    def flops(types: Sequence[TensorType], out: Any, attrs: Attrs) -> int:
        count = _Count()
        expand(*(Types(t, count) for t in types), **attrs)
        return count.flops

    return flops
