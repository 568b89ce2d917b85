"""Which integers a graph's values can be, and checks in front of kernels whose indices or positions could be others.

A kernel reads where an index says. Indices that come through `checked_index`, are constants, or are computed of such
(row · width + column) are known to be in range; in front of others a check is put, whose failure stops the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.op import Bounds
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.ops.elementwise import checked_index
from tinytorch.ir.ops.index import indices_of
from tinytorch.ir.types import DType


def guard_indices(graph: Graph) -> Graph:
    """A graph of kernels that read and write in range, or the graph stops before.

    %y = kernel(%x, %i) {gather}   -->   %c = kernel(%i) {checked_index}
                                         %y = kernel(%x, %c) {gather}
    """
    if not any(map(_indices, graph.nodes)):
        return graph
    ranges = ranges_of(graph)
    nodes: list[Node] = []
    checked: dict[tuple[Value, int, bool], Value] = {}
    for node in graph.nodes:
        found = _indices(node)
        operands = _operands(node) if found else []
        for i, size, wrap in found:
            key = (operands[i], size, wrap)
            if key[0].type.size and not _within(ranges[key[0]], size):
                if key not in checked:
                    nodes.append(_check(*key, node))
                    checked[key] = nodes[-1].output
                operands[i] = checked[key]
        if any(operand not in node.inputs for operand in operands):
            node = _with_operands(node, operands)
        nodes.append(node)
    return graph.with_nodes(nodes)


def _indices(node: Node) -> tuple[tuple[int, int, bool], ...]:
    """The operands of what a kernel of one node computes that are indices, see `indices_of`."""
    if node.op is not kernel or "family" not in node.attrs or len(node.attrs["body"].nodes) != 1:
        return ()
    (inner,) = node.attrs["body"].nodes
    return indices_of(inner.op, [v.type for v in inner.inputs], [v.type for v in inner.outputs], inner.attrs)


def _operands(node: Node) -> list[Value]:
    """What the only node of a kernel's body reads, as the kernel is given it."""
    body: Graph = node.attrs["body"]
    return [node.inputs[body.inputs.index(v)] for v in body.nodes[0].inputs]


def _within(range_: Bounds, size: int) -> bool:
    return range_[0] >= 0 and range_[1] < size


def _check(index: Value, size: int, wrap: bool, reader: Node) -> Node:
    """A kernel that checks indices into an axis of `size`; negative ones count from its end if `wrap`."""
    body = Builder("check")
    output = body.append(checked_index, [body.input(index.type)], {"size": size, "wrap": wrap}).output
    value = Value(index.type, index.name)
    return Node(kernel, (index,), {"family": "loop", "body": body.build([output])}, (value,), reader.loc)


def _with_operands(node: Node, operands: list[Value]) -> Node:
    """The kernel of one node, with one input for each of that one's operands."""
    (inner,) = node.attrs["body"].nodes
    body = Builder(node.attrs["body"].name)
    inputs = [body.input(value.type, value.name) for value in operands]
    result = body.append(inner.op, inputs, inner.attrs, [inner.output.name]).output
    return Node(node.op, tuple(operands), {**node.attrs, "body": body.build([result])}, node.outputs, node.loc)


# Ranges.
def ranges_of(graph: Graph, inputs: Iterable[Bounds] | None = None) -> dict[Value, Bounds]:
    """The range of every value of an integer dtype or bool, through the bodies of kernels."""
    found: dict[Value, Bounds] = {}
    given = inputs if inputs is not None else (_all(v.type.dtype) for v in graph.inputs)
    found.update(zip(graph.inputs, given, strict=True))
    for node in graph.nodes:
        operands = [found[v] for v in node.inputs]
        if node.op is kernel:
            body: Graph = node.attrs["body"]
            inner = ranges_of(body, operands)
            found.update((value, inner[result]) for value, result in zip(node.outputs, body.outputs, strict=True))
            continue
        first, *further = node.outputs
        found[first] = _range(node, operands, first.type.dtype)
        found.update((value, _all(value.type.dtype)) for value in further)  # the rules are of first results
    return found


def _all(dtype: DType) -> Bounds:
    return (0, 1) if dtype.kind == "bool" else (0, 0) if dtype.is_float else dtype.limits


def _range(node: Node, operands: list[Bounds], dtype: DType) -> Bounds:
    """What a node's rule says; anything, where it says nothing or the result could wrap around."""
    everything = _all(dtype)
    rule = _own if node.op.bounds else _RULES.get(node.op.name, _PASS.get(node.op.kind))
    sources = [v.type.dtype for v in node.inputs]
    if dtype.is_float or rule is None or any(source.is_float for source in sources):
        return _POSITIONS.get(node.op.name, _unknown)(node) or everything
    low, high = rule(node, operands)
    return (low, high) if everything[0] <= low and high <= everything[1] else everything


def _own(node: Node, operands: list[Bounds]) -> Bounds:
    assert node.op.bounds is not None
    return node.op.bounds(operands, [v.type for v in node.inputs], node.attrs)


def _unknown(node: Node) -> Bounds | None:
    return None


def _union(node: Node, operands: list[Bounds]) -> Bounds:
    return min(low for low, _ in operands), max(high for _, high in operands)


def _constant(node: Node, operands: list[Bounds]) -> Bounds:
    value = node.attrs["value"]
    return (int(np.min(value)), int(np.max(value))) if value.size else (0, 0)


def _checked(node: Node, operands: list[Bounds]) -> Bounds:
    return 0, max(node.attrs["size"] - 1, 0)


def _iota(node: Node, operands: list[Bounds]) -> Bounds:
    return 0, max(node.attrs["shape"][node.attrs["axis"]] - 1, 0)


def _position(node: Node) -> Bounds:
    return 0, max(node.inputs[0].type.shape[node.attrs["axes"][0]] - 1, 0)


def _corners(function: Callable[[int, int], int]) -> Callable[[Node, list[Bounds]], Bounds]:
    """Of a function that is monotonic in each operand: the extremes lie in the corners."""

    def rule(node: Node, operands: list[Bounds]) -> Bounds:
        a, b = operands
        found = [function(x, y) for x in a for y in b]
        return min(found), max(found)

    return rule


def _floordiv(node: Node, operands: list[Bounds]) -> Bounds:
    (low, high), (least, most) = operands
    if least < 1:
        return _all(node.output.type.dtype)
    found = [x // y for x in (low, high) for y in (least, most)]
    return min(found), max(found)


def _mod(node: Node, operands: list[Bounds]) -> Bounds:
    _, (least, most) = operands
    return (0, most - 1) if least > 0 else _all(node.output.type.dtype)


def _and(node: Node, operands: list[Bounds]) -> Bounds:
    tops = [high for low, high in operands if low >= 0]
    return (0, min(tops)) if tops else _all(node.output.type.dtype)


Rule = Callable[[Node, list[Bounds]], Bounds]
_PASS: dict[str, Rule] = {"view": _union, "move": _union}  # elements of the operands
_RULES: dict[str, Rule] = {
    "after": lambda node, operands: operands[0],
    "constant": _constant,
    "checked_index": _checked,
    "iota": _iota,
    "copy": _union,
    "detach": _union,
    "cast": _union,
    "where": lambda node, operands: _union(node, operands[1:]),
    "max": _union,
    "min": _union,
    "maximum": _corners(max),
    "minimum": _corners(min),
    "add": _corners(lambda a, b: a + b),
    "sub": _corners(lambda a, b: a - b),
    "mul": _corners(lambda a, b: a * b),
    "floordiv": _floordiv,
    "mod": _mod,
    "and": _and,
}
_POSITIONS: dict[str, Callable[[Node], Any]] = {"argmax": _position, "argmin": _position}
