"""Convolutions in fewer multiplications."""

from __future__ import annotations

from tinytorch.ir.costs import DEFAULT_COSTS, Costs
from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.op import Attrs
from tinytorch.ir.ops.convolution import conv2d, conv2d_weight_grad
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.view import permute
from tinytorch.ir.ops.winograd import SIDES, conv2d_winograd, products_of, winograd_weight_grad, winograd_weights
from tinytorch.ir.rewrite import Rewriter, Term, local, rewrite, table
from tinytorch.ir.types import TensorType


def winograd_convolutions(graph: Graph, *, costs: Costs = DEFAULT_COSTS) -> Graph:
    """Make convolutions with 3 × 3 windows take their transformed weights where that saves time on a target, for tiles
    of the side that saves most.

        %y = conv2d(%x, %w)    -->    %1 = winograd_weights(%w) {side=4, panel=64}
                                      %y = conv2d_winograd(%x, %w, %1)

        %w = conv2d_weight_grad(%x, %g)  -->  %w = winograd_weight_grad(%x, %g) {side=4}

    The images' channels must be last in memory, which `channels_last` has seen to.
    """

    @local(conv2d)
    def three_by_three(rewriter: Rewriter, node: Node) -> Term | None:
        """conv2d(x, w) == conv2d_winograd(x, w, winograd_weights(w))"""
        x, w = map(rewriter.term, node.inputs)
        frozen = rewriter.producer(w.value, constant) is not None
        side = None if rewriter.producer(x.value, permute) else _best_side(node, frozen, costs)
        if side is None:
            return None
        attrs = {"side": side, "panel": costs.panel(x.dtype, w.shape[3])}
        return x.apply_op(conv2d_winograd, [x, w, w.apply_op(winograd_weights, [w], attrs)], node.attrs)

    @local(conv2d_weight_grad)
    def weights_of_three_by_three(rewriter: Rewriter, node: Node) -> Term | None:
        """conv2d_weight_grad(x, g) == winograd_weight_grad(x, g)"""
        x, g = map(rewriter.term, node.inputs)
        moved = any(rewriter.producer(term.value, permute) for term in (x, g))
        side = None if moved or node.attrs["window"] != (3, 3) else _best_side_of_gradient(node, costs)
        return None if side is None else x.apply_op(winograd_weight_grad, [x, g], {**node.attrs, "side": side})

    return rewrite(graph, table([three_by_three, weights_of_three_by_three]))


def _best_side(node: Node, frozen: bool, costs: Costs) -> int | None:
    """The side of the tiles that take the least time, if there is something to gain: many channels on both sides, tiles
    that are mostly full, and enough of them for the weights, unless these are frozen and so transformed once."""
    attrs, (x, w), out = node.attrs, (v.type for v in node.inputs), node.output.type
    if w.shape[:2] != (3, 3) or not _is_plain(attrs, x):
        return None
    lanes = costs.lanes(x.dtype)
    batch, height, width, columns = out.shape
    if 2 * columns <= lanes:  # sums along the input channels waste no lanes
        return None
    vectors, depth = -(-columns // lanes), -(-x.shape[3] // lanes)
    each = x.shape[3] * vectors  # multiply-adds of vectors in a product of matrices, for a row

    def time(side: int) -> float:
        products, tiles = products_of(side), batch * -(-height // side) * -(-width // side)
        transforms = costs.winograd_transform[side] * (depth + vectors)
        weights = (0 if frozen else costs.winograd_weights * products) + costs.read * products
        return tiles * (1.1 * products * each + transforms) + weights * each

    defined = (batch * height * width + costs.read) * 9 * each
    best = min(SIDES, key=time)
    return best if time(best) < costs.winograd_gain * defined else None


def _is_plain(attrs: Attrs, x: TensorType) -> bool:
    """Halves would round the transforms."""
    plain = attrs["stride"] == attrs["dilation"] == (1, 1) and attrs["groups"] == 1
    return plain and x.dtype.is_float and x.dtype.bits >= 32 and 0 not in x.shape


def _best_side_of_gradient(node: Node, costs: Costs) -> int | None:
    """The same for the gradient of the weights. The kernel takes some channels and columns at a time, and transforms
    tiles for each of them; the sums it adds to are read and stored for each of its visits, and transformed at last."""
    attrs, (x, g) = node.attrs, (v.type for v in node.inputs)
    if not _is_plain(attrs, x) or 0 in g.shape:
        return None
    lanes = costs.lanes(x.dtype)
    (batch, height, width, columns), channels = g.shape, x.shape[3]
    if columns < lanes or channels < lanes:
        return None
    vectors, depth = -(-columns // lanes), -(-channels // lanes)
    each = channels * vectors

    def time(side: int) -> float:
        products, tiles = products_of(side), batch * -(-height // side) * -(-width // side)
        blocks = max(1, round(columns / 64)), max(1, round(channels / 64))
        transforms = costs.winograd_transform[side] * (depth * blocks[0] + vectors * blocks[1])
        return tiles * (1.2 * products * each + transforms) + 2 * costs.winograd_weights * products * each

    defined = 1.1 * batch * height * width * 9 * each
    best = min(SIDES, key=time)
    return best if time(best) < costs.winograd_gain * defined else None
