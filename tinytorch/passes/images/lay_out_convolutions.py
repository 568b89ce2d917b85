"""Weights of convolutions of bytes in the layout that kernels read."""

from __future__ import annotations

from typing import Any

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.kernels.costs import DEFAULT_COSTS, Costs
from tinytorch.ir.kernels.index_ranges import ranges_of
from tinytorch.ir.op import Bounds
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.ops.packed_convolution import conv2d_packed, packed_weights
from tinytorch.ir.ops.view import pad, permute
from tinytorch.ir.rewrite import Rewriter, Term, local, rewrite, table
from tinytorch.ir.types import i8, i32, u8
from tinytorch.ir.windows import Pair

_LARGEST_SUM = (1 << 15) - 1  # of two products that fit in 16 bits


def lay_out_convolutions(graph: Graph, *, costs: Costs = DEFAULT_COSTS) -> Graph:
    """Lay weights of bytes out in groups of input channels, which one instruction multiplies, in panels of output
    channels.

        %y = conv2d(%x, %w) {dtype=i32}    -->    %1 = add(…)
                                                  %y = conv2d_packed(%x, %1)

    Weights of a frozen graph are laid out while compiling, and where they and the images are small enough, groups are
    larger: an instruction that would saturate for others takes twice as many. A number that is put around the images is
    put there by the kernel. Depthwise convolutions have nothing to group.
    """
    if not (costs.byte_group and any(_suits(node) for node in graph.nodes)):
        return graph
    ranges = ranges_of(graph)
    known: dict[tuple[object, ...], Value] = {}  # terms would hold the rewriter, and the weights, in a circle

    @local(conv2d)
    def in_groups(rewriter: Rewriter, node: Node) -> Term | None:
        """conv2d(x, w, dtype=i32) == conv2d_packed(x, packed_weights(w))"""
        if not _suits(node):
            return None
        w = rewriter.term(node.inputs[1])
        x, attrs = _unpadded(rewriter, node)
        most = tuple(_magnitude(ranges[v]) for v in node.inputs)
        size = costs.small_byte_group if 2 * most[0] * most[1] <= _LARGEST_SUM else costs.byte_group
        width = costs.panel(i32, w.shape[3] // attrs["groups"])
        how = {"groups": attrs["groups"], "dilation": attrs["dilation"][1], "size": size, "width": width}
        key = (w.value, *how.values())
        if key not in known:
            known[key] = packed_weights(w, **how).value
        packing = {
            "window": _window(w), "columns": w.shape[3], "size": size, "weights": w.dtype, "most": most,
        }  # fmt: skip
        return x.apply_op(conv2d_packed, [x, rewriter.term(known[key])], {**attrs, **packing})

    return rewrite(graph, table([in_groups]))


def _window(w: Term) -> Pair:
    height, width = w.shape[:2]
    return height, width


def _suits(node: Node) -> bool:
    if node.op is not conv2d or node.attrs.get("dtype") is not i32:
        return False
    x, w = (v.type for v in node.inputs)
    grouped = w.shape[2] > 1 or node.attrs["groups"] == 1
    return {x.dtype, w.dtype} <= {i8, u8} and grouped and 0 not in (*x.shape, *w.shape)


def _unpadded(rewriter: Rewriter, node: Node) -> tuple[Term, dict[str, Any]]:
    """The images without what a pad puts around them, and the attributes with it."""
    attrs = {**node.attrs, "around": 0}
    del attrs["dtype"]
    value, axes = node.inputs[0], (0, 1, 2, 3)
    moved = rewriter.producer(value, permute)
    if moved is not None:
        value, axes = moved.inputs[0], moved.attrs["axes"]
    padding = rewriter.producer(value, pad)
    if padding is None:
        return rewriter.term(node.inputs[0]), attrs
    low, high, interior = ([padding.attrs[key][a] for a in axes] for key in ("low", "high", "interior"))
    zeros = attrs["low"] == attrs["high"] == (0, 0)
    if any(interior) or min(*low, *high) < 0 or low[0] or low[3] or high[0] or high[3] or not zeros:
        return rewriter.term(node.inputs[0]), attrs
    x = rewriter.term(padding.inputs[0])
    around = {"low": (low[1], low[2]), "high": (high[1], high[2]), "around": int(padding.attrs["value"])}
    return (x if moved is None else x.apply_op(permute, [x], {"axes": axes})), {**attrs, **around}


def _magnitude(bounds: Bounds) -> int:
    return max(-bounds[0], bounds[1])
