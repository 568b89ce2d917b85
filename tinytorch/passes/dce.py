"""Dead code: nodes whose results nothing needs."""

from __future__ import annotations

from tinytorch.ir.graph import Graph, Node


def dce(graph: Graph) -> Graph:
    """Drop the nodes that no output depends on, and nothing else: inputs, outputs and state stay.

    %1 = exp(%x); %2 = neg(%x); return %2  -->  %2 = neg(%x); return %2
    """
    needed = set(graph.outputs)
    live: list[Node] = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.outputs):
            live.append(node)
            needed.update(node.inputs)
    return graph if len(live) == len(graph.nodes) else graph.with_nodes(reversed(live))
