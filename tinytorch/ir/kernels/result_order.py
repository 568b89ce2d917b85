"""In what order a kernel's results lie in memory: a permute at the end of a body says that it is another one."""

from __future__ import annotations

from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.ops.view import permute

Axes = tuple[int, ...]


def as_computed(body: Graph) -> tuple[Graph, tuple[Axes | None, ...]]:
    """The body without the permutes that its results end with, and the axes of these, None where there is none."""
    ends: dict[object, Node] = {n.output: n for n in body.nodes if n.op is permute and n.output in body.outputs}
    if not ends:
        return body, (None,) * len(body.outputs)
    dropped = set(ends.values())
    outputs = tuple(ends[v].inputs[0] if v in ends else v for v in body.outputs)
    nodes = tuple(n for n in body.nodes if n not in dropped)
    orders = tuple(ends[v].attrs["axes"] if v in ends else None for v in body.outputs)
    return Graph(body.name, body.inputs, nodes, outputs, body.state), orders
