"""Composites, spelled out in the ops that define them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.op import Op, as_tuple


def expand(graph: Graph, *, keep: Collection[Op] = ()) -> Graph:
    """Replace composites, and the composites they consist of, by their definitions; but not the ops in `keep`.

        %1 = silu(%x)  -->  %2 = sigmoid(%x); %1 = mul(%x, %2)

    The new nodes have the loc of the composite, as parts of it.
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
        builder = Builder(loc=None if node.loc is None else node.loc.inside(node.op.name))
        results: tuple[Expr, ...] = as_tuple(node.op.expand(*(Expr(builder, v) for v in inputs), **node.attrs))
        own = _name_results(builder.nodes, dict(zip((x.value for x in results), node.outputs, strict=True)))
        _expand_into(nodes, known, builder.nodes, keep)
        for old, result in zip(node.outputs, results, strict=True):
            new = own.get(result.value, result.value)
            if new is not old:
                known[old] = known.get(new, new)


def _name_results(nodes: list[Node], results: dict[Value, Value]) -> dict[Value, Value]:
    """Let the last node, where it makes results of a definition, define those of the composite instead, which have
    names; which stands for which."""
    last = nodes[-1] if nodes else None
    own = {} if last is None else {v: results[v] for v in last.outputs if v in results}
    if last is not None and own:
        nodes[-1] = Node(last.op, last.inputs, last.attrs, tuple(own.get(v, v) for v in last.outputs), last.loc)
    return own
