"""Kernels that differ in their numbers alone become one, which reads them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.ops.core import constant, kernel
from tinytorch.ir.ops.view import reshape, slice_
from tinytorch.ir.types import DType
from tinytorch.passes.kernels.groups import MAX_OPERANDS

MANY = 4  # different kernels from which on one that reads its numbers is worth a load in each chunk


def share_literals(graph: Graph) -> Graph:
    """Where loop kernels have one body but for floating point literals, and there are at least MANY different ones,
    let them read the literals that differ from a table; code is generated once for all. Literals in which they agree,
    and those of fewer kernels, stay in the code.

        %1 = kernel(%x) {body: mul(%x, 0.1)}                %t = constant() {value=[0.1, 0.2, …]}
        %2 = kernel(%x) {body: mul(%x, 0.2)}  …      -->    %1 = kernel(%x, %t[0]) {body: mul(%x, %c)}
                                                            %2 = kernel(%x, %t[1]) {body: mul(%x, %c)}  …
    """
    alike: dict[Hashable, list[Node]] = {}
    for node in graph.nodes:
        if node.op is kernel and node.attrs["family"] == "loop" and _literals(node):
            alike.setdefault(_outline(node.attrs["body"]), []).append(node)
    read = {node: places for nodes in alike.values() if (places := _differing(nodes)) for node in nodes}
    return _rebuild(graph, read) if read else graph


def _is_literal(node: Node) -> bool:
    return node.op is constant and node.output.type.size == 1 and node.output.type.dtype.is_float


def _literals(node: Node) -> list[Node]:
    return [n for n in node.attrs["body"].nodes if _is_literal(n)]


def _bits(literal: Node) -> bytes:
    return np.asarray(literal.attrs["value"]).tobytes()


def _outline(body: Graph) -> Hashable:
    """Equal for bodies that differ in names and literals alone."""
    numbers = {value: i for i, value in enumerate(body.inputs)}
    steps: list[Hashable] = []
    for node in body.nodes:
        attrs = () if _is_literal(node) else tuple((key, repr(value)) for key, value in sorted(node.attrs.items()))
        steps.append((node.op.name, tuple(numbers[v] for v in node.inputs), attrs, tuple(v.type for v in node.outputs)))
        numbers.update((v, len(numbers) + i) for i, v in enumerate(node.outputs))
    return tuple(v.type for v in body.inputs), tuple(steps), tuple(numbers[v] for v in body.outputs)


def _differing(nodes: Sequence[Node]) -> list[int]:
    """The places of the literals to be read, among those of each body."""
    rows = {tuple(map(_bits, _literals(node))) for node in nodes}
    places = [i for i, column in enumerate(zip(*rows, strict=True)) if len(set(column)) > 1]
    fits = len(nodes[0].inputs) + len(places) <= MAX_OPERANDS
    return places if len(rows) >= MANY and fits else []


def _rebuild(graph: Graph, read: dict[Node, list[int]]) -> Graph:
    builder = Builder(graph.name, list(graph.inputs))
    chosen = {node: [_literals(node)[i] for i in places] for node, places in read.items()}
    tables = _tables([literal for literals in chosen.values() for literal in literals], builder)
    views: dict[Hashable, Value] = {}
    for node in graph.nodes:
        if node not in chosen:
            builder.nodes.append(node)
            continue
        builder.loc = node.loc
        operands = [_view(builder, views, tables, literal) for literal in chosen[node]]
        body: Graph = node.attrs["body"]
        inputs = (*body.inputs, *(literal.output for literal in chosen[node]))
        rest = tuple(n for n in body.nodes if n not in chosen[node])
        attrs = {**node.attrs, "body": Graph(body.name, inputs, rest, body.outputs, body.state)}
        builder.nodes.append(Node(kernel, (*node.inputs, *operands), attrs, node.outputs, node.loc))
    return graph.with_nodes(builder.nodes)


_Tables = dict[DType, tuple[Value, dict[bytes, int]]]


def _tables(literals: Sequence[Node], builder: Builder) -> _Tables:
    """For each dtype a constant of all numbers, and where each is."""
    found: dict[DType, dict[bytes, int]] = {}
    for literal in literals:
        numbers = found.setdefault(literal.output.type.dtype, {})
        numbers.setdefault(_bits(literal), len(numbers))
    return {
        dtype: (builder.constant(np.frombuffer(b"".join(numbers), dtype.numpy)), numbers)
        for dtype, numbers in found.items()
    }


def _view(builder: Builder, views: dict[Hashable, Value], tables: _Tables, literal: Node) -> Value:
    """The number in its table, in the shape of the literal."""
    type, bits = literal.output.type, _bits(literal)
    if (type, bits) not in views:
        table, numbers = tables[type.dtype]
        at = numbers[bits]
        attrs = {"starts": (at,), "limits": (at + 1,), "steps": (1,)}
        number = builder.append(slice_, [table], attrs).output
        views[type, bits] = builder.append(reshape, [number], {"shape": type.shape}).output
    return views[type, bits]
