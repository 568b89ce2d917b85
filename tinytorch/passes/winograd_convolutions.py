"""Convolutions in fewer multiplications."""

from __future__ import annotations

from tinytorch.ir.costs import DEFAULT_COSTS, Costs
from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.view import permute
from tinytorch.ir.ops.winograd import conv2d_winograd, winograd_weights
from tinytorch.ir.rewrite import Rewriter, Term, local, rewrite, table


def winograd_convolutions(graph: Graph, *, costs: Costs = DEFAULT_COSTS) -> Graph:
    """Make convolutions with 3 × 3 windows take their transformed weights where that saves time on a target.

        %y = conv2d(%x, %w)    -->    %1 = winograd_weights(%w)
                                      %y = conv2d_winograd(%x, %w, %1)

    The images' channels must be last in memory, which `channels_last` has seen to.
    """

    @local(conv2d)
    def three_by_three(rewriter: Rewriter, node: Node) -> Term | None:
        """conv2d(x, w) == conv2d_winograd(x, w, winograd_weights(w))"""
        x, w = map(rewriter.term, node.inputs)
        frozen = rewriter.producer(w.value, constant) is not None
        if rewriter.producer(x.value, permute) or not _suits(node, frozen, costs):
            return None
        return x.apply_op(conv2d_winograd, [x, w, w.apply_op(winograd_weights, [w], {})], node.attrs)

    return rewrite(graph, table([three_by_three]))


def _suits(node: Node, frozen: bool, costs: Costs) -> bool:
    """Whether there is something to gain: many channels on both sides, tiles that are mostly full, and enough of them
    for the weights, unless these are frozen and so transformed once."""
    attrs, (x, w), out = node.attrs, (v.type for v in node.inputs), node.output.type
    plain = w.shape[:2] == (3, 3) and attrs["stride"] == attrs["dilation"] == (1, 1) and attrs["groups"] == 1
    if not plain or not x.dtype.is_float or x.dtype.bits < 32 or 0 in x.shape:  # halves would round the transforms
        return False
    lanes = costs.lanes(x.dtype)
    batch, height, width, columns = out.shape
    if 2 * columns <= lanes:  # sums along the input channels waste no lanes
        return False
    vectors = -(-columns // lanes)
    products = x.shape[3] * vectors
    tile = 1.1 * 16 * products + costs.winograd_transform * (-(-x.shape[3] // lanes) + vectors)
    weights = 0 if frozen else costs.winograd_weights * products
    time = batch * -(-height // 2) * -(-width // 2) * tile + weights
    return time < costs.winograd_gain * batch * height * width * 9 * products
