"""Kernels write their results in the order in which they are wanted."""

from __future__ import annotations

from tinytorch.ir.families import FAMILIES
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.kernels.family import Families
from tinytorch.ir.ops.core import copy, kernel
from tinytorch.ir.ops.view import inverse, permute


def write_permuted(graph: Graph, families: Families = FAMILIES) -> Graph:
    """Drop copies of permuted results: the kernel that computes one permutes it as it is written.

        %2 = kernel(%x) {exp}                           %3 = kernel(%x) {exp, permute}
        %3 = kernel(permute(%2)) {copy}          -->

    The last axis stays the last, so that vectors are written as before. Kernels that read the result itself read a
    permuted view of it from then on. Only families that have `orders` can.
    """
    found = _Copies(graph, families)
    if not found.axes:
        return graph
    builder = Builder(graph.name, list(graph.inputs))
    known: dict[Value, Value] = {}
    for node in graph.nodes:
        if node in found.dropped:
            continue
        builder.loc = node.loc
        if node.op is not kernel or found.axes.keys().isdisjoint(node.outputs):
            inputs = tuple(known.get(v, v) for v in node.inputs)
            same = inputs == node.inputs
            builder.nodes.append(node if same else Node(node.op, inputs, node.attrs, node.outputs, node.loc))
            continue
        outputs = tuple(found.copies.get(v, v) for v in node.outputs)
        attrs = {**node.attrs, "body": _body(node, found)}
        inputs = tuple(known.get(v, v) for v in node.inputs)
        builder.nodes.append(Node(kernel, inputs, attrs, outputs, node.loc))
        for old in node.outputs:
            if old in found.axes and found.read[old]:
                back = inverse(found.axes[old])
                known[old] = builder.append(permute, [found.copies[old]], {"axes": back}, [old.name]).output
    return graph.with_nodes(builder.nodes)


class _Copies:
    """The results that are copied in another order: `axes` of the permute, the copies, whether other kernels read the
    result itself, and the nodes that are not needed then."""

    def __init__(self, graph: Graph, families: Families) -> None:
        self.axes: dict[Value, tuple[int, ...]] = {}
        self.copies: dict[Value, Value] = {}
        self.read: dict[Value, bool] = {}
        self.dropped: set[Node] = set()
        producers, users = graph.producers(), graph.users()
        for node in graph.nodes:
            if not _is_copy(node):
                continue
            view = producers.get(node.inputs[0])
            if view is None or view.op is not permute or users[view.output] != [node] or view.output in graph.outputs:
                continue
            result, axes = view.inputs[0], view.attrs["axes"]
            maker = producers.get(result)
            others = [n for n in users[result] if n is not view]
            if (
                maker is not None
                and _orders(maker, families)
                and axes[-1] == len(axes) - 1
                and result not in self.axes
                and result not in graph.outputs
                and all(_reads_any_order(n, families) for n in others)
            ):
                self.axes[result], self.copies[result], self.read[result] = axes, node.output, bool(others)
                self.dropped |= {view, node}


def _is_copy(node: Node) -> bool:
    if node.op is not kernel:
        return False
    body: Graph = node.attrs["body"]
    return len(body.nodes) == 1 and body.nodes[0].op is copy


def _orders(node: Node, families: Families) -> bool:
    family = families.named(node.attrs.get("family"))
    return family is not None and family.orders


def _reads_any_order(node: Node, families: Families) -> bool:
    """Whether a kernel reads its operands by strides; an update is made in the place of a whole operand."""
    if node.op is not kernel:
        return False
    body: Graph = node.attrs["body"]
    return not any(n.op.kind == "update" or families.row_major(n.op) for n in body.nodes)


def _body(node: Node, found: _Copies) -> Graph:
    body: Graph = node.attrs["body"]
    builder = Builder(body.name, list(body.inputs), list(body.nodes))
    outputs: list[Value] = []
    for inner, outer in zip(body.outputs, node.outputs, strict=True):
        axes = found.axes.get(outer)
        outputs.append(inner if axes is None else builder.append(permute, [inner], {"axes": axes}).output)
    return builder.build(outputs)
