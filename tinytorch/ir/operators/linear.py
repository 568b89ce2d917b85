"""Integers of a graph under construction as sums of others: how far two of them are known to be apart."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.graph import Builder, Node, Value
from tinytorch.ir.ops.core import cast, constant, copy
from tinytorch.ir.ops.elementwise import add, mul, neg, sub
from tinytorch.ir.ops.view import reshape

_DEEPEST = 64  # nodes one behind the other
_SAME = (cast, copy, reshape)


@dataclass(frozen=True)
class Sum:
    """`constant` plus the values in `terms`, each times its factor, which is not 0."""

    terms: dict[Value, int]
    constant: int

    def plus(self, other: Sum, factor: int = 1) -> Sum:
        """This and `factor` times the other."""
        terms = dict(self.terms)
        for value, times in other.terms.items():
            terms[value] = terms.get(value, 0) + factor * times
        return Sum({v: times for v, times in terms.items() if times}, self.constant + factor * other.constant)


def difference(builder: Builder, a: Value, b: Value) -> int | None:
    """`a - b` of integers with one element, if that is the same in every run."""
    known: dict[Value, Sum] = {}
    apart = _sum(builder, a, known, 0).plus(_sum(builder, b, known, 0), -1)
    return None if apart.terms else apart.constant


def _sum(builder: Builder, value: Value, known: dict[Value, Sum], depth: int) -> Sum:
    if value not in known:
        node = builder.maker(value)
        fits = depth < _DEEPEST and node is not None and all(map(_is_wide, (value, *node.inputs)))
        found = _opened(builder, node, known, depth + 1) if fits and node is not None else None
        known[value] = found or Sum({value: 1}, 0)
    return known[value]


def _is_wide(value: Value) -> bool:
    """Whether it is one integer of a dtype in which no size of a tensor wraps around."""
    return value.type.dtype.kind == "int" and value.type.dtype.bits >= 32 and value.type.size == 1


def _opened(builder: Builder, node: Node, known: dict[Value, Sum], depth: int) -> Sum | None:
    if node.op is constant:
        return Sum({}, int(node.attrs["value"].reshape(())))
    if node.op not in (*_SAME, add, sub, mul, neg):
        return None
    first, *others = (_sum(builder, v, known, depth) for v in node.inputs)
    if node.op in _SAME:
        return first
    if node.op is neg:
        return Sum({}, 0).plus(first, -1)
    (second,) = others
    if node.op is not mul:
        return first.plus(second, 1 if node.op is add else -1)
    if first.terms and second.terms:
        return None
    factor, of = (first, second) if second.terms else (second, first)
    return Sum({}, 0).plus(of, factor.constant)
