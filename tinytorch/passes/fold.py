"""Constant folding: what depends on constants alone is computed now."""

from __future__ import annotations

import sys

import numpy as np

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.op import Array
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.view import broadcast

MAX_BYTES = 64 * 1024  # of one folded constant
_GROWTH = 8  # at most, of weights that are transformed and laid out in whole panels
_FREE_ELEMENTS = 16  # a constant of this size costs nothing


def fold(graph: Graph, *, max_bytes: int = MAX_BYTES, growth: int = 1) -> Graph:
    """Replace nodes of constant operands by constants, computed by the numpy reference.

        %1 = constant(2.0); %2 = sqrt(%1); %3 = mul(%x, %2)  -->  %2 = constant(1.4142135); %3 = mul(%x, %2)

    A result has at most `max_bytes` and `growth` times the elements of its operands together; broadcast constants
    stay broadcasts. What raises, such as an index out of range, is left to raise when the graph runs.
    """
    arrays: dict[Value, Array] = {}
    sizes: dict[Value, int] = {}  # elements in memory, of which a broadcast has few
    nodes: list[Node] = []
    folded = False
    for node in graph.nodes:
        if node.op is constant:
            arrays[node.output] = node.attrs["value"]
            sizes[node.output] = node.output.type.size
        elif node.inputs and all(v in arrays for v in node.inputs):
            size = sum(sizes[v] for v in node.inputs)
            results = _evaluated(node, arrays, growth * size, max_bytes)
            if results is not None:
                found = dict(zip(node.outputs, results, strict=True))
                arrays.update(found)
                sizes.update((v, size if node.op is broadcast else array.size) for v, array in found.items())
                if node.op is not broadcast:
                    nodes += [Node(constant, (), {"value": array}, (v,), node.loc) for v, array in found.items()]
                    folded = True
                    continue
        nodes.append(node)
    return graph.with_nodes(nodes) if folded else graph


def fold_weights(graph: Graph) -> Graph:
    """`fold` for frozen graphs, whose constants are weights: of any size, also where they grow to be transformed.

    %w = constant(…); %1 = permute(%w); %2 = conv2d(%x, %1)  -->  %1 = constant(…); %2 = conv2d(%x, %1)
    """
    return fold(graph, max_bytes=sys.maxsize, growth=_GROWTH)


def _evaluated(node: Node, arrays: dict[Value, Array], size: int, max_bytes: int) -> list[Array] | None:
    """The results of `node`, which may have `size` elements each; None if one is too large, or it raises."""
    types = [v.type for v in node.outputs]
    operands = [arrays[v] for v in node.inputs]
    if node.op is broadcast:
        return [node.op.eval(*operands, **node.attrs)]  # a view of its operand
    if any(out.bytes > max_bytes or out.size > max(size, _FREE_ELEMENTS) for out in types):
        return None
    try:
        with np.errstate(all="ignore"):
            results = node.op.evaluate(operands, node.attrs)
    except (IndexError, FloatingPointError):
        return None
    return [np.ascontiguousarray(x).reshape(out.shape) for x, out in zip(results, types, strict=True)]
