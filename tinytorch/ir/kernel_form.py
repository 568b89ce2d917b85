"""The form of graphs that code is generated for: what `materialize` and `fuse` promise, and code generation relies on.

Every node is a kernel of a family, a constant, or a view that strides can express. A kernel's body is of the kind
that its family computes, so that no index leaves a buffer: a family called "loop" runs elementwise nodes and
reductions over one domain, any other is called like the op that it computes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinytorch.ir.errors import VerifyError
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.layout import Layout, of_view, own
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.pooling import max_pool2d
from tinytorch.ir.ops.view import broadcast
from tinytorch.ir.types import Shape

_MOST_PLACES = 64  # of a window that is pooled behind a convolution


class FormError(VerifyError):
    """A node, or the graph where there is none, that no code can be generated for."""

    def __init__(self, message: str, node: Node | None = None) -> None:
        super().__init__(message, node.loc if node else None)
        self.message, self.node = message, node


def has_kernels(graph: Graph) -> bool:
    """Whether the graph has kernels of a family, and so should have this form."""
    return any(node.op.kind == "kernel" and "family" in node.attrs for node in graph.nodes)


def check_form(graph: Graph) -> None:
    """FormError unless code can be generated for the graph. Types and attributes have been checked."""
    layouts: dict[Value, Layout] = {value: own(value) for value in graph.inputs}
    made: set[Value] = set()
    for node in graph.nodes:
        layout = None
        if node.op.kind == "kernel":
            if "family" not in node.attrs:
                raise FormError("a kernel has a family", node)
            check_kernel(node)
            _check_operands(node, layouts)
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


def _check_operands(node: Node, layouts: dict[Value, Layout]) -> None:
    """A convolution loads vectors along the last axis of its weights; what it gets beyond two operands, and the image
    besides it then, lies in row-major order."""
    body: Graph = node.attrs["body"]
    outside = dict(zip(body.inputs, node.inputs, strict=True))
    for product in body.nodes:
        if product.op.kind != "contract" or product.op is matmul:
            continue
        values = [outside[v] for v in product.inputs]
        vectors = values[1:2] if len(values) == 2 else values[:2]
        for value in vectors:
            if value.type.shape[-1] != 1 and layouts[value].strides[-1] != 1:
                raise FormError(
                    f"{product.op.name} reads vectors of {value}, which does not lie along its last axis", node
                )
        for value in values[2:]:
            if not layouts[value].is_contiguous(value.type.shape):
                raise FormError(f"{product.op.name} reads {value} in row-major order, which it has not", node)


# One kernel.
def check_kernel(node: Node) -> None:
    """FormError unless the body of a kernel is one that its family computes."""
    body: Graph = node.attrs["body"]
    family = node.attrs["family"]
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
    if family == "loop":
        _check_loop(node, body)
        return
    names = {n.op.name for n in body.nodes}
    if family not in names:
        raise FormError(f"a kernel of the family {family!r} computes {', '.join(sorted(names))}", node)
    products = [n for n in body.nodes if n.op.kind == "contract"]
    if products:
        _check_contraction(node, body, products)
    else:
        _check_moves(node, body)


def _dead(body: Graph) -> Node | None:
    """A node that no output depends on."""
    needed = set(body.outputs)
    for node in reversed(body.nodes):
        if needed.isdisjoint(node.outputs):
            return node
        needed.update(node.inputs)
    return None


def _check_loop(kernel: Node, body: Graph) -> None:
    states = {n.inputs[0] for n in body.nodes if n.op.kind == "random"}
    for node in body.nodes:
        inside = node.op.kind in ("elementwise", "reduce", "random") or node.op is broadcast
        if not inside or (node.op is constant and node.output.type.size != 1):
            raise FormError(f"a loop cannot hold {node.op.name} of {node.output.type}", kernel)
        if node.op is broadcast and node.inputs[0].type.rank not in (0, node.output.type.rank):
            raise FormError("a loop broadcasts scalars, and axes of values of the same rank", kernel)
        if node.op.kind != "random" and not states.isdisjoint(node.inputs):
            raise FormError("the state of random numbers is read for nothing else", kernel)
    if not states <= set(body.inputs):
        raise FormError("the state of random numbers comes from outside of a loop", kernel)
    values = [*(v for v in body.inputs if v not in states), *(n.output for n in body.nodes)]
    _check_domain(kernel, [v.type.shape for v in values if v.type.size != 1])


def _check_domain(kernel: Node, shapes: Sequence[Shape]) -> None:
    """Sizes that are not 1 agree, axis by axis."""
    if len({len(shape) for shape in shapes}) > 1:
        raise FormError("values of a loop have different numbers of axes", kernel)
    for sizes in zip(*shapes, strict=True):
        if len({size for size in sizes if size != 1}) > 1:
            raise FormError(f"values of a loop have sizes {sorted(set(sizes))} along one axis", kernel)


def _check_contraction(kernel: Node, body: Graph, products: Sequence[Node]) -> None:
    """One contraction of operands from outside; the rest is elementwise on its result, or on the largest elements of
    windows that tile it."""
    product = products[0]
    if len(products) > 1 or product.op.name != kernel.attrs["family"] or not set(product.inputs) <= set(body.inputs):
        raise FormError("a contraction is one of operands from outside of the kernel", kernel)
    pools = [n for n in body.nodes if n.op is max_pool2d]
    pool = _check_pool(kernel, product, pools) if pools else None
    sums = product.output.type.shape
    final = pool.outputs[0].type.shape if pool else sums
    literals: set[Value] = set()
    for node in body.nodes:
        if node is product or node is pool:
            continue
        if (node.op is constant and node.output.type.size == 1) or (
            node.op is broadcast and node.inputs[0] in literals
        ):
            literals.add(node.output)
        elif node.op.kind != "elementwise" or not node.inputs or node.op.guard is not None:
            raise FormError(f"{node.op.name} cannot follow {product.op.name} in a kernel", kernel)
        elif any(v.type.shape not in (sums, final) for v in (*node.inputs, node.output)):
            raise FormError(f"{node.op.name} runs over something else than the results of {product.op.name}", kernel)
    if any(v.type.shape != final for v in body.outputs) or not literals.isdisjoint(body.outputs):
        raise FormError(f"results of a kernel of {product.op.name} are of its final shape {list(final)}", kernel)


def _check_pool(kernel: Node, product: Node, pools: Sequence[Node]) -> Node:
    """The pooling behind a product."""
    pool = pools[0]
    attrs, sizes = pool.attrs, pool.inputs[0].type.shape
    whole = all(size % window == 0 for size, window in zip(sizes[1:3], attrs["window"], strict=True))
    plain = {tuple(attrs["low"]), tuple(attrs["high"])} == {(0, 0)} and tuple(attrs["dilation"]) == (1, 1)
    tiles = whole and plain and tuple(attrs["stride"]) == tuple(attrs["window"])
    small = math.prod(attrs["window"]) <= _MOST_PLACES
    behind = product.op is not matmul and sizes == product.output.type.shape
    if not (tiles and small and behind and len(pools) == 1):
        raise FormError(f"pooling behind {product.op.name} has small windows that tile its results", kernel)
    return pool


def _check_moves(kernel: Node, body: Graph) -> None:
    """One node that moves elements, of operands from outside."""
    node = body.nodes[0]
    moves = node.op.kind in ("index", "update", "move")
    if not (len(body.nodes) == 1 and moves and set(node.inputs) <= set(body.inputs)):
        raise FormError(f"a kernel of the family {kernel.attrs['family']!r} cannot have this body", kernel)
