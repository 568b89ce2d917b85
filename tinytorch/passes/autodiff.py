"""Gradients: the backward nodes of a graph, appended to it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Node, Value
from tinytorch.ir.loc import GRADIENT, Loc
from tinytorch.ir.op import Attrs, Nondiff, Op
from tinytorch.ir.vjp import pullback
from tinytorch.passes.recomputed import Recomputed


def append_gradients(builder: Builder, seeds: Mapping[Value, Value], wrt: Sequence[Value]) -> list[Value | None]:
    """Append the backward nodes of what `builder` holds so far: the cotangent of each value in `wrt`, given those of
    the values in `seeds`; None where the seeds do not depend on it.

    Only values on a path from `wrt` to the seeds get one. A backward node has the loc of its forward node,
    in the phase "backward". What it reads of a region (`tt.checkpoint`) is computed again, unless that is still open.
    """
    active = _dependents(builder.nodes, wrt)
    again = Recomputed(builder)
    records = [_Record(builder, node, again) for node in builder.nodes if not active.isdisjoint(node.outputs)]
    cotangents: dict[Hashable, Any] = {value: Expr(builder, seed) for value, seed in seeds.items()}
    before = builder.loc

    def enter(record: _Record) -> None:
        first = next(ct for value in record.names if (ct := cotangents.get(value)) is not None)
        again.enter(record.node.region, first.value)
        builder.loc = _backward(record.node)

    pullback(
        records,
        cotangents,
        active=lambda expr: again.original(expr.value) in active,
        key=lambda expr: again.original(expr.value),
        wanted=set(wrt),
        enter=enter,
    )
    builder.loc = before
    found = [cotangents.get(value) for value in wrt]
    return [None if expr is None else expr.value for expr in found]


def _backward(node: Node) -> Loc | None:
    """The loc of the backward nodes of `node`. Those of products and of what moves elements are such ops themselves,
    and need no name of another one."""
    if node.loc is None:
        return None
    named = node.loc.part_of or node.op.kind in ("elementwise", "reduce", "composite")
    return node.loc.during("backward", f"{node.loc.part_of or node.op.name}{GRADIENT}" if named else "")


def _dependents(nodes: Sequence[Node], wrt: Sequence[Value]) -> set[Value]:
    """The float values through which the values of `wrt` can reach a result, themselves included."""
    active = set(wrt)
    for node in nodes:
        if not isinstance(node.op.vjp, Nondiff) and not active.isdisjoint(node.inputs):
            active.update(value for value in node.outputs if value.type.dtype.is_float)
    return active


@dataclass(frozen=True)
class _Record:
    """A node as the vjp rules see it: its values are expressions that new nodes can be made of."""

    builder: Builder
    node: Node
    again: Recomputed

    def _seen(self, value: Value) -> Expr:
        return Expr(self.builder, self.again.seen(value, self.node.region))

    @property
    def op(self) -> Op:
        return self.node.op

    @property
    def attrs(self) -> Attrs:
        return self.node.attrs

    @property
    def inputs(self) -> tuple[Expr, ...]:
        return tuple(map(self._seen, self.node.inputs))

    @property
    def output(self) -> Expr:
        return self._seen(self.node.output)

    @property
    def outputs(self) -> tuple[Expr, ...]:
        return tuple(map(self._seen, self.node.outputs))

    @property
    def names(self) -> tuple[Value, ...]:
        return self.node.outputs
