"""Weights of matrix products in the layout that kernels read."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.kernels.costs import DEFAULT_COSTS, Costs
from tinytorch.ir.kernels.index_ranges import ranges_of
from tinytorch.ir.ops.contract import matmul, panel_matmul
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.view import pad, permute, reshape
from tinytorch.ir.rewrite import Rewriter, Term, local, rewrite, table
from tinytorch.passes.products.lay_out_bytes import byte_layout, byte_product, in_byte_panels, suits_byte_panels
from tinytorch.passes.products.lay_out_narrow import in_narrow_panels, narrow_layout, narrow_product

_LEAST_BYTES = 16 << 10  # of a weight: smaller ones stay in L1 as they are
_LEAST_ROWS = 48  # of products that share a weight which is laid out in each call


def lay_out_products(graph: Graph, *, costs: Costs = DEFAULT_COSTS) -> Graph:
    """Lay weights out in panels of columns, [count, k, width], where that is done while compiling or for several
    products at once.

        %y = matmul(%x, %w)    -->    %1 = permute(reshape(%w))
                                      %y = panel_matmul(%x, %1)

    A kernel would pack other operands itself, in each call, and read few rows' weights across their rows. Weights of
    bytes become [count, k / size, width, size] for `byte_panel_matmul` (see `lay_out_bytes`), those of 16-bit floats
    stay such (`lay_out_narrow`).
    """
    known: dict[object, Value] = {}  # terms would hold the rewriter, and the weights, in a circle
    readers = Counter(node.inputs[1] for node in graph.nodes if node.op is matmul and _many_rows(node))

    def once(rewriter: Rewriter, key: object, make: Callable[[], Term]) -> Term:
        if key not in known:
            known[key] = make().value
        return rewriter.term(known[key])

    @local(matmul)
    def in_panels(rewriter: Rewriter, node: Node) -> Term | None:
        """matmul(x, w) == panel_matmul(x, panels of w)"""
        x, w = map(rewriter.term, node.inputs)
        frozen = rewriter.producer(w.value, constant) is not None
        width = costs.panel_vectors * costs.lanes(node.output.type.dtype)
        if not _suits(node, width) or not (frozen or readers[node.inputs[1]] > 1):
            return None
        panels = once(rewriter, w.value, lambda: _panels(w, width))
        return x.apply_op(panel_matmul, [x, panels], {"columns": w.type.shape[1]})

    ranges = functools.cache(lambda: ranges_of(graph))

    @local(matmul)
    def bytes_in_panels(rewriter: Rewriter, node: Node) -> Term | None:
        """matmul(x, w) == byte_panel_matmul(x, panels of w)"""
        x, w = map(rewriter.term, node.inputs)
        weights = rewriter.producer(w.value, constant)
        if not suits_byte_panels(node, costs) or weights is None:
            return None
        left, right = x.type.dtype, w.type.dtype
        range_ = ranges()[node.inputs[0]] if costs.sums_of_16_bits else left.limits
        layout = byte_layout(left, range_, weights.attrs["value"], right, costs)
        panels = once(rewriter, (w.value, layout), lambda: in_byte_panels(w, layout))
        return byte_product(x, panels, w.type.shape[1], right, layout)

    @local(matmul)
    def narrow_in_panels(rewriter: Rewriter, node: Node) -> Term | None:
        """matmul(x, w) == panel_matmul(x, panels of w), w of 16-bit floats"""
        x, w = map(rewriter.term, node.inputs)
        layout = narrow_layout(node, costs)
        large = 0 not in x.type.shape and w.type.bytes >= _LEAST_BYTES
        if layout is None or not large or rewriter.producer(w.value, constant) is None:
            return None
        panels = once(rewriter, (w.value, layout), lambda: in_narrow_panels(w, layout))
        return narrow_product(node, x, panels)

    return rewrite(graph, table([in_panels, bytes_in_panels, narrow_in_panels]))


def _panels(w: Term, width: int) -> Term:
    """The columns of w, as many side by side."""
    depth, columns = w.type.shape
    count = -(-columns // width)
    if count * width != columns:
        absent = {"low": (0, 0), "high": (0, count * width - columns), "interior": (0, 0), "value": 0.0}
        w = w.apply_op(pad, [w], absent)
    cut = w.apply_op(reshape, [w], {"shape": (depth, count, width)})
    return cut.apply_op(permute, [cut], {"axes": (1, 0, 2)})


def _many_rows(node: Node) -> bool:
    return node.output.type.rank == 2 and node.output.type.shape[0] >= _LEAST_ROWS


def _suits(node: Node, width: int) -> bool:
    """Whether the weight is a matrix of many columns, in a dtype that is not converted."""
    x, w = (v.type for v in node.inputs)
    plain = w.rank == 2 and x.dtype == w.dtype == node.output.type.dtype and w.dtype.is_float and w.dtype.bits >= 32
    return plain and 0 not in (*x.shape, *w.shape) and w.shape[1] >= width and w.bytes >= _LEAST_BYTES
