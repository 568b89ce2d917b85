"""Loops: elementwise chains, reductions, and what follows from them, over one domain."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.kernels.family import Family, FormError
from tinytorch.ir.lanes.cost import lane_cost
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.view import broadcast
from tinytorch.ir.types import Shape

_RANDOM = 120  # instructions of a block of random numbers
_REDUCE = 40  # of a loop of its own with its beginning and end


def _weight(node: Node) -> int:
    if node.op.kind == "reduce":
        return _REDUCE
    return _RANDOM if node.op.kind == "random" else max(1, lane_cost(node))


def _check(kernel: Node) -> None:
    body: Graph = kernel.attrs["body"]
    states = {n.inputs[0] for n in body.nodes if n.op.kind == "random"}
    for node in body.nodes:
        inside = node.op.kind in LOOP.kinds or node.op is broadcast
        if not inside or (node.op is constant and node.output.type.size != 1):
            raise FormError(f"a loop cannot hold {node.op.name} of {node.outputs[0].type}", kernel)
        if node.op is broadcast and node.inputs[0].type.rank not in (0, node.output.type.rank):
            raise FormError("a loop broadcasts scalars, and axes of values of the same rank", kernel)
        if node.op.kind != "random" and not states.isdisjoint(node.inputs):
            raise FormError("the state of random numbers is read for nothing else", kernel)
    if not states <= set(body.inputs):
        raise FormError("the state of random numbers comes from outside of a loop", kernel)
    values = [*(v for v in body.inputs if v not in states), *(v for n in body.nodes for v in n.outputs)]
    _check_domain(kernel, [v.type.shape for v in values if v.type.size != 1])


def _check_domain(kernel: Node, shapes: Sequence[Shape]) -> None:
    """Sizes that are not 1 agree, axis by axis."""
    if len({len(shape) for shape in shapes}) > 1:
        raise FormError("values of a loop have different numbers of axes", kernel)
    for sizes in zip(*shapes, strict=True):
        if len({size for size in sizes if size != 1}) > 1:
            raise FormError(f"values of a loop have sizes {sorted(set(sizes))} along one axis", kernel)


LOOP = Family("loop", _check, kinds=frozenset({"elementwise", "reduce", "random"}), weight=_weight, orders=True)
