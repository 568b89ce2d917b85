"""What a compiled function really computes."""

from __future__ import annotations

from typing import Any


def multiplications_of(compiled: Any) -> float:
    """The operations of all products and convolutions in the kernels that run, as they do them: those with fewer
    multiplications than their definition count with these."""
    bodies = (node.attrs["body"] for node in compiled.graph.nodes if node.op.kind == "kernel")
    return float(sum(node.flops for body in bodies for node in body.nodes if node.op.kind == "contract"))
