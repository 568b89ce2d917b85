"""Common subexpressions: what is computed twice is computed once."""

from __future__ import annotations

from collections.abc import Hashable

from tinytorch.ir.attributes import attributes_key
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.rewrite import COMMUTATIVE


def cse(graph: Graph) -> Graph:
    """Nodes with the same op, operands and attributes become the first of them.

        %1 = exp(%x); %2 = exp(%x); %3 = add(%1, %2)  -->  %1 = exp(%x); %3 = add(%1, %1)

    Arrays among attributes are compared by content. Random ops are functions of their state, so equal ones are one.
    """
    known: dict[Value, Value] = {}
    first: dict[Hashable, Node] = {}
    unique: list[Node] = []
    for node in graph.nodes:
        if any(v in known for v in node.inputs):
            node = Node(node.op, tuple(known.get(v, v) for v in node.inputs), node.attrs, node.outputs, node.loc)
        twin = first.setdefault(_key(node), node)
        if twin is node:
            unique.append(node)
        else:
            known.update(zip(node.outputs, twin.outputs, strict=True))
    if not known:
        return graph
    return graph.with_nodes(unique, [known.get(v, v) for v in graph.outputs])


def _key(node: Node) -> Hashable:
    operands: Hashable = node.inputs
    if node.op in COMMUTATIVE and len(node.inputs) == 2:
        operands = frozenset(node.inputs)
    return node.op, operands, attributes_key(node.attrs)
