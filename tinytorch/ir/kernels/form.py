"""The form of graphs that code is generated for: what `materialize` and `fuse` promise, and code generation relies on.

Every node is a kernel of a family, a constant, or a view that strides can express. A kernel's body is one that its
family computes (`families`), so that no index leaves a buffer.
"""

from __future__ import annotations

from tinytorch.ir.families import FAMILIES
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.kernels.family import Families, Family, FormError
from tinytorch.ir.kernels.layout import Layout, of_view, own
from tinytorch.ir.kernels.result_order import as_computed
from tinytorch.ir.ops.core import constant


def has_kernels(graph: Graph) -> bool:
    """Whether the graph has kernels of a family, and so should have this form."""
    return any(node.op.kind == "kernel" and "family" in node.attrs for node in graph.nodes)


def check_form(graph: Graph, families: Families = FAMILIES) -> None:
    """FormError unless code can be generated for the graph. Types and attributes have been checked."""
    layouts: dict[Value, Layout] = {value: own(value) for value in graph.inputs}
    made: set[Value] = set()
    for node in graph.nodes:
        layout = None
        if node.op.kind == "kernel":
            if "family" not in node.attrs:
                raise FormError("a kernel has a family", node)
            _check_operands(node, check_kernel(node, families), layouts)
            made.update(node.outputs)
        elif node.op.kind == "view":
            layout = of_view(node, layouts[node.inputs[0]])
            if layout is None:
                raise FormError("this view needs elements to be moved, and stands in no kernel", node)
        elif node.op is not constant:
            raise FormError(f"{node.op.name} stands in no kernel", node)
        layouts.update((value, layout or own(value)) for value in node.outputs)
    _check_outputs(graph, layouts, made)


def _check_outputs(graph: Graph, layouts: dict[Value, Layout], made: set[Value]) -> None:
    taken: set[Value] = set()
    for index, value in enumerate(graph.outputs):
        layout = layouts[value]
        if layout.base not in made or layout.base in taken or not _is_whole(value, layout):
            raise FormError(f"output {index}, {value}, is not all of a buffer of its own, made by a kernel")
        taken.add(layout.base)


def _is_whole(value: Value, layout: Layout) -> bool:
    """Whether a value is all of its buffer, in row-major order."""
    same = layout.offset == 0 and value.type.size == layout.base.type.size
    return same and layout.is_contiguous(value.type.shape)


def _check_operands(node: Node, family: Family, layouts: dict[Value, Layout]) -> None:
    """Operands lie in memory as their family needs them: along their last axis, or in row-major order."""
    body: Graph = node.attrs["body"]
    outside = dict(zip(body.inputs, node.inputs, strict=True))
    for inner in body.nodes:
        for i in family.vectors.get(inner.op, ()):
            value = outside[inner.inputs[i]]
            if value.type.shape[-1] != 1 and layouts[value].strides[-1] != 1:
                raise FormError(
                    f"{inner.op.name} reads vectors of {value}, which does not lie along its last axis", node
                )
        for i in family.row_major.get(inner.op, ()):
            value = outside[inner.inputs[i]]
            if not layouts[value].is_contiguous(value.type.shape):
                raise FormError(f"{inner.op.name} reads {value} in row-major order, which it has not", node)


# One kernel.
def check_kernel(node: Node, families: Families = FAMILIES) -> Family:
    """The family of a kernel. FormError unless the body is one that it computes."""
    body: Graph = node.attrs["body"]
    made = {value for n in body.nodes for value in n.outputs}
    if (
        body.state
        or not body.outputs
        or len(set(body.outputs)) != len(body.outputs)
        or not made.issuperset(body.outputs)
    ):
        raise FormError("the results of a kernel's body are different values that its nodes give, and no state", node)
    if len(set(body.inputs)) != len(body.inputs):
        raise FormError("an input of a kernel's body is listed twice", node)
    dead = _dead(body)
    if dead is not None:
        raise FormError(f"{dead.op.name} in a kernel's body leads to no result", node)
    family = families.named(node.attrs["family"])
    if family is None:
        raise FormError(f"there is no family of kernels called {node.attrs['family']!r}", node)
    computed, orders = as_computed(body)
    if any(orders):
        last = all(axes is None or axes[-1] == len(axes) - 1 for axes in orders)
        inside = {value for n in computed.nodes for value in n.outputs}.issuperset(computed.outputs)
        if not (family.orders and last and inside) or len(set(computed.outputs)) != len(orders):
            raise FormError(f"kernels of the family {family.name!r} cannot write their results in this order", node)
        node = Node(node.op, node.inputs, {**node.attrs, "body": computed}, node.outputs, node.loc)
    family.check(node)
    return family


def _dead(body: Graph) -> Node | None:
    """A node that no output depends on."""
    needed = set(body.outputs)
    for node in reversed(body.nodes):
        if needed.isdisjoint(node.outputs):
            return node
        needed.update(node.inputs)
    return None
