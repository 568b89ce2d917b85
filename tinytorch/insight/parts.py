"""What nodes are called, and where in a model they belong."""

from __future__ import annotations

from collections import Counter

from tinytorch.ir.graph import Graph, Node

_NOT_NAMED = ("constant", "broadcast")  # in the title of a kernel: they cost nothing


def kernel_title(node: Node) -> str:
    """`matmul + add + maximum`: the ops of a kernel's body, or the node's own."""
    body: Graph | None = node.attrs.get("body")
    if body is None:
        return node.op.name
    counts = Counter(n.op.name for n in body.nodes if n.op.name not in _NOT_NAMED)
    return " + ".join(name if count == 1 else f"{name} ×{count}" for name, count in counts.items())


def module_of(node: Node) -> str:
    """The path of the module that ran it; "" outside of modules."""
    return "" if node.loc is None else node.loc.scope


def phase_of(node: Node) -> str:
    return ""
