"""Matrix products, and the elementwise work that follows them."""

from __future__ import annotations

from collections.abc import Callable

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.kernels.family import Family, FormError, in_epilogue
from tinytorch.ir.op import Op
from tinytorch.ir.ops.byte_panels import byte_panel_matmul
from tinytorch.ir.ops.contract import matmul, panel_matmul
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.int4 import int4_matmul
from tinytorch.ir.ops.view import broadcast


def check_contraction(kernel: Node, ops: frozenset[Op], absorbs: Callable[[Node, Node], int]) -> None:
    """One contraction of operands from outside; the rest is elementwise on its result, or on what one absorbed node
    makes of that."""
    body: Graph = kernel.attrs["body"]
    first = [n for n in body.nodes if n.op in ops]
    if len(first) != 1 or not set(first[0].inputs) <= set(body.inputs):
        raise FormError("a contraction is one of operands from outside of the kernel", kernel)
    (product,) = first
    absorbed = [n for n in body.nodes if n is not product and absorbs(product, n)]
    if len(absorbed) > 1:
        raise FormError(f"one {absorbed[0].op.name} follows {product.op.name} in a kernel, not several", kernel)
    sums = product.output.type.shape
    final = absorbed[0].outputs[0].type.shape if absorbed else sums
    literals: set[Value] = set()
    for node in body.nodes:
        if node is product or node in absorbed:
            continue
        if (node.op is constant and node.output.type.size == 1) or (
            node.op is broadcast and node.inputs[0] in literals
        ):
            literals.add(node.output)
        elif not in_epilogue(node):
            raise FormError(f"{node.op.name} cannot follow {product.op.name} in a kernel", kernel)
        elif any(v.type.shape not in (sums, final) for v in (*node.inputs, node.output)):
            raise FormError(f"{node.op.name} runs over something else than the results of {product.op.name}", kernel)
    if any(v.type.shape != final for v in body.outputs) or not literals.isdisjoint(body.outputs):
        raise FormError(f"results of a kernel of {product.op.name} are of its final shape {list(final)}", kernel)


_OPS = frozenset({matmul, panel_matmul, byte_panel_matmul, int4_matmul})
_ROW_MAJOR = {panel_matmul: (1,), byte_panel_matmul: (1,), int4_matmul: (1, 2)}


def _check(kernel: Node) -> None:
    check_contraction(kernel, _OPS, CONTRACT.absorbs)


CONTRACT = Family("contract", _check, ops=_OPS, epilogues=_OPS, row_major=_ROW_MAJOR, orders=True)
