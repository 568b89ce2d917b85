"""Composites, spelled out in the ops that define them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.op import Op


def expand(graph: Graph, *, keep: Collection[Op] = ()) -> Graph:
    """Replace composites, and the composites they consist of, by their definitions; but not the ops in `keep`.

        %1 = silu(%x)  -->  %2 = sigmoid(%x); %1 = mul(%x, %2)

    The new nodes have the loc of the composite.
    """
    if not any(_expands(node, keep) for node in graph.nodes):
        return graph
    nodes: list[Node] = []
    known: dict[Value, Value] = {}
    _expand_into(nodes, known, graph.nodes, keep)
    return graph.with_nodes(nodes, [known.get(v, v) for v in graph.outputs])


def _expands(node: Node, keep: Collection[Op]) -> bool:
    return node.op.expand is not None and node.op not in keep


def _expand_into(nodes: list[Node], known: dict[Value, Value], source: Iterable[Node], keep: Collection[Op]) -> None:
    """Append `source`, expanded; `known` says which value stands for a composite's result."""
    for node in source:
        inputs = tuple(known.get(v, v) for v in node.inputs)
        if not _expands(node, keep):
            nodes.append(node if inputs == node.inputs else Node(node.op, inputs, node.attrs, node.outputs, node.loc))
            continue
        assert node.op.expand is not None
        builder = Builder(loc=node.loc)
        result: Expr = node.op.expand(*(Expr(builder, v) for v in inputs), **node.attrs)
        last = builder.nodes[-1] if builder.nodes else None
        defines = last is not None and last.outputs == (result.value,)
        if last is not None and defines:  # keep the value and its name
            builder.nodes[-1] = Node(last.op, last.inputs, last.attrs, node.outputs, last.loc)
        _expand_into(nodes, known, builder.nodes, keep)
        if not defines:
            known[node.output] = known.get(result.value, result.value)
