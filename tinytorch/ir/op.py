"""The record of an op: all that the system knows of it stands together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.types import MAX_BYTES, TensorType

Kind = Literal[
    "elementwise", "reduce", "view", "move", "contract", "index", "update", "random", "composite", "kernel"
]  # fmt: skip
Precision = Literal["low", "high"]  # what autocast computes an op in: 16-bit floats, or f32 at least
Array = np.ndarray[Any, Any]
Attrs = Mapping[str, Any]
Bounds = tuple[int, int]  # the smallest and the largest value of integers, both included


class Applied(Protocol):
    """An application of an op as its vjp sees it."""

    @property
    def inputs(self) -> Sequence[Any]: ...

    @property
    def output(self) -> Any:
        """The only result."""
        ...

    @property
    def outputs(self) -> Sequence[Any]: ...

    @property
    def attrs(self) -> Attrs: ...


# (cotangent of the result, application) -> cotangent of one operand. Of several results, a tuple with None for those
# that have no cotangent; at least one has.
Rule = Callable[[Any, Applied], Any]
VariadicRule = Callable[[Any, Applied, int], Any]  # the same with the operand's index


@dataclass(frozen=True)
class JointRule:
    """A rule that gives the cotangents of several operands together, where they have much in common: `rule(cotangent,
    application, indices)` gives one for each index, or None."""

    rule: Callable[[Any, Applied, Sequence[int]], Sequence[Any]]


class Nondiff:
    """The explicit statement that an op has no derivative, or that it is zero almost everywhere."""

    def __repr__(self) -> str:
        return "NONDIFF"


NONDIFF = Nondiff()


@dataclass(frozen=True)
class Spelled:
    """How users call an op of one or two `operands`: by PyTorch's `names`, of which the first is the usual one (dots
    name a namespace, as in "special.erfinv"), and by the `standard` name of the Array API, if it has one. Operands that
    are no floats become f32 first where `floats`. `name_` changes a tensor where `in_place`."""

    names: tuple[str, ...]
    operands: int = 1
    standard: str = ""
    floats: bool = True
    in_place: bool = True
    number: bool = False
    either: bool = False


@dataclass(frozen=True, eq=False)
class Op:
    """One op. `infer` takes operand types and attributes and gives the result type or raises ShapeError;
    `eval` is the numpy reference; `vjp` has one rule per operand (None: no gradient flows there), a single
    rule with an index for variadic ops, one for all operands together, or NONDIFF; `flops` counts operations from
    types; `scalar` is one lane of an elementwise op (a random op's lane starts from the element's linear index);
    `expand` defines a composite in simpler ops; `put(base, new, **attrs)` is, for an op whose result lies in its
    operand's memory, the operand once the result has become `new`; `guard` is a condition that every lane must meet (an
    index in range): `eval` raises where it is false, a kernel reports it and the graph stops before it changes any
    state; `fast` is what eager mode runs instead of `eval`, equal to it up to rounding; `bounds` are those of the
    elements of the first result, where they are integers, from the operands' bounds, their types and the attributes,
    unless they follow from the kind; `axes` says which axes of operands and results go together, unless the kind does,
    as in "m k, k n -> m n": a letter is an axis whose indices are alike, so that results have one term less, or one
    index, where the operands lack one; (g c) is an axis of g times c; a dot is any other axis. `spelled` is how users
    call it, unless a function of the frontend says so; `autocast` is what mixed precision computes it in, unless that
    follows from the kind (`ir/autocast.py`).

    `results` is the number of results. Wherever there is one, it stands for itself; several are a tuple: types, arrays,
    cotangents, what `apply` and `expand` return. `fast` may then be a tuple of functions, each of which gives a result
    when that is first read, from the operands and the results before it. Elementwise and random ops, reductions and
    views have one result; a kernel has as many as its body."""

    name: str
    kind: Kind
    doc: str
    infer: Callable[..., Any]
    eval: Callable[..., Any]
    vjp: tuple[Rule | None, ...] | VariadicRule | JointRule | Nondiff
    flops: Callable[[Sequence[TensorType], Any, Attrs], int]
    scalar: Callable[..., Lane] | None = None
    expand: Callable[..., Any] | None = None
    put: Callable[..., Any] | None = None
    guard: Callable[..., Lane] | None = None
    fast: Callable[..., Any] | tuple[Callable[..., Array], ...] | None = None
    bounds: Callable[[Sequence[Bounds], Sequence[TensorType], Attrs], Bounds] | None = None
    axes: Callable[[Sequence[TensorType], Attrs], str] | None = None
    results: int = 1
    spelled: Spelled | None = None
    autocast: Precision | None = None

    def result_types(self, types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
        """The types of the results. ShapeError if no memory could hold one."""
        found = self.infer(*types, **attrs)
        if types and found is types[0]:
            return (found,)
        found = as_tuple(found)
        for result in found:
            if result.bytes > MAX_BYTES:
                raise ShapeError(f"{self.name}: a result of {result} is larger than any memory")
        return found

    def evaluate(self, arrays: Sequence[Array], attrs: Attrs) -> tuple[Array, ...]:
        """The results by the numpy reference."""
        return tuple(map(np.asarray, as_tuple(self.eval(*arrays, **attrs))))

    def evaluate_fast(self, arrays: Sequence[Array], attrs: Attrs) -> tuple[Array, ...]:
        """The results as eager mode computes them, all at once."""
        if not isinstance(self.fast, tuple):
            return tuple(map(np.asarray, as_tuple((self.fast or self.eval)(*arrays, **attrs))))
        found: list[Array] = []
        for function in self.fast:
            found.append(np.asarray(function(*arrays, *found, **attrs)))
        return tuple(found)

    def cotangent(self, cts: Sequence[Any], applied: Applied, index: int) -> Any:
        """The cotangent of operand `index` for those of the results, or None where no gradient flows."""
        return self.cotangents(cts, applied, (index,))[0]

    def cotangents(self, cts: Sequence[Any], applied: Applied, indices: Sequence[int]) -> Sequence[Any]:
        """The same for several operands."""
        vjp, ct = self.vjp, unpacked(cts)
        if isinstance(vjp, JointRule):
            return vjp.rule(ct, applied, indices)
        if isinstance(vjp, Nondiff):
            return [None] * len(indices)
        if isinstance(vjp, tuple):
            return [None if (rule := vjp[index]) is None else rule(ct, applied) for index in indices]
        return [vjp(ct, applied, index) for index in indices]

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and unpickled ones are the same object, which the registry has."""
        return named, (self.name,)

    def __repr__(self) -> str:
        return f"Op({self.name})"


def as_tuple(results: Any) -> tuple[Any, ...]:
    """The results of an op, of which one may stand for itself."""
    return results if isinstance(results, tuple) else (results,)


def unpacked(results: Sequence[Any]) -> Any:
    """One result for itself, several as a tuple."""
    return results[0] if len(results) == 1 else tuple(results)


OPS: dict[str, Op] = {}


def define(op: Op) -> Op:
    """Enter `op` in the registry under its name."""
    assert op.name not in OPS, f"op {op.name} is defined twice"
    assert op.results == 1 or op.kind not in ("elementwise", "random", "reduce", "view"), f"{op.name} has one result"
    OPS[op.name] = op
    return op


def named(name: str) -> Op:
    """The op of that name, for rules that need ops defined later: the gradient of `broadcast` is a `sum`, that of `sum`
    is a `broadcast`."""
    return OPS[name]


def apply(op: Op, *operands: Any, **attrs: Any) -> Any:
    """Apply `op` in the world of its first operand: its result, or all in order."""
    return operands[0].apply_op(op, operands, attrs)
