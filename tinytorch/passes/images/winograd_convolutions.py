"""Convolutions in fewer multiplications."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.kernels.costs import DEFAULT_COSTS, Costs
from tinytorch.ir.ops.convolution import conv2d, conv2d_weight_grad
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.view import permute
from tinytorch.ir.ops.winograd import SIDES, Tiles, conv2d_winograd, taps_of, winograd_weight_grad, winograd_weights
from tinytorch.ir.rewrite import Rewriter, Term, local, rewrite, table
from tinytorch.ir.types import TensorType

Weights = Literal["made", "near", "far"]  # transformed in each call; or once, and in the caches then or in memory


def winograd_convolutions(graph: Graph, *, costs: Costs = DEFAULT_COSTS) -> Graph:
    """Make convolutions whose windows have two or three places for each step of the stride take their transformed
    weights where that saves time on a target, for tiles of the side that saves most.

        %y = conv2d(%x, %w)    -->    %1 = winograd_weights(%w) {side=4, panel=64}
                                      %y = conv2d_winograd(%x, %w, %1)

        %w = conv2d_weight_grad(%x, %g)  -->  %w = winograd_weight_grad(%x, %g) {side=4}

    The images' channels must be last in memory: `channels_last` has seen to it within a graph, and what comes otherwise
    from outside will be copied. Weights of a frozen graph that
    outgrow the caches come from memory in each call, and transformed ones are larger.
    """

    @functools.cache
    def frozen_weights() -> Weights:
        total = sum(node.output.type.bytes for node in graph.nodes if node.op is constant)
        return "far" if total > costs.l3_bytes // 2 else "near"

    @local(conv2d)
    def by_tiles(rewriter: Rewriter, node: Node) -> Term | None:
        """conv2d(x, w) == conv2d_winograd(x, w, winograd_weights(w))"""
        x, w = map(rewriter.term, node.inputs)
        frozen = rewriter.producer(w.value, constant) is not None
        weights = frozen_weights() if frozen else "made"
        moved = rewriter.producer(x.value, permute) is not None
        tiles = _best_tiles(node, weights, moved, costs)
        if tiles is None:
            return None
        attrs: dict[str, Any] = {"side": tiles.side, "panel": costs.panel(x.dtype, w.shape[3])}
        if tiles.phases > 1:
            attrs["stride"] = tiles.stride
        return x.apply_op(conv2d_winograd, [x, w, w.apply_op(winograd_weights, [w], attrs)], node.attrs)

    @local(conv2d_weight_grad)
    def weights_by_tiles(rewriter: Rewriter, node: Node) -> Term | None:
        """conv2d_weight_grad(x, g) == winograd_weight_grad(x, g)"""
        x, g = map(rewriter.term, node.inputs)
        moved = [rewriter.producer(term.value, permute) is not None for term in (x, g)]
        tiles = _best_tiles_of_gradient(node, moved, costs)
        return None if tiles is None else x.apply_op(winograd_weight_grad, [x, g], {**node.attrs, "side": tiles.side})

    return rewrite(graph, table([by_tiles, weights_by_tiles]))


def _copies(images: TensorType, moved: bool, costs: Costs) -> float:
    """What it takes to put the channels of images last: each vector comes from memory and goes there."""
    *places, channels = images.shape
    return 2 * costs.memory * math.prod(places) * -(-channels // costs.lanes(images.dtype)) if moved else 0


def _best_tiles(node: Node, weights: Weights, moved: bool, costs: Costs) -> Tiles | None:
    """The tiles that take the least time, if there is something to gain: many channels on both sides, tiles that are
    mostly full, and enough of them for the weights, unless these are frozen and so transformed once. `moved` images are
    copied before."""
    (x, w), (batch, *outputs, columns) = (v.type for v in node.inputs), node.output.type.shape
    lanes = costs.lanes(x.dtype)
    if 2 * columns <= lanes:  # sums along the input channels waste no lanes
        return None
    vectors, depth = -(-columns // lanes), -(-x.shape[3] // lanes)
    each = x.shape[3] * vectors  # multiply-adds of vectors for a row and a place
    copies = _copies(x, moved, costs)

    def time(tiles: Tiles) -> float:
        products, count = tiles.products * tiles.phases, batch * tiles.count(outputs)
        made = costs.winograd_weights * products * each if weights == "made" else 0
        transforms = costs.winograd_transform[tiles.points] * (depth * tiles.phases + vectors)
        sums = costs.winograd_sums * tiles.products * vectors
        return copies + multiplied(products, 1.1 * count) + count * (transforms + sums) + made

    def multiplied(matrices: int, rows: float) -> float:
        """So many rows by each of so many matrices of weights; what comes from memory comes meanwhile."""
        return matrices * each * (max(rows, costs.memory) if weights == "far" else rows + costs.read)

    defined = multiplied(w.shape[0] * w.shape[1], batch * outputs[0] * outputs[1])
    return _fastest(_possible(node, w.shape[:2], x), time, defined, costs)


def _best_tiles_of_gradient(node: Node, moved: Sequence[bool], costs: Costs) -> Tiles | None:
    """The same for the gradient of the weights. The kernel takes some channels and columns at a time, and transforms
    tiles for each of them; the sums it adds to are read and stored for each of its visits, and transformed at last."""
    x, g = (v.type for v in node.inputs)
    lanes = costs.lanes(x.dtype)
    (batch, *outputs, columns), channels = g.shape, x.shape[3]
    if columns < lanes or channels < lanes or 0 in g.shape:
        return None
    vectors, depth = -(-columns // lanes), -(-channels // lanes)
    each = channels * vectors
    copies = sum(_copies(images, is_moved, costs) for images, is_moved in zip((x, g), moved, strict=True))

    def time(tiles: Tiles) -> float:
        products = tiles.products * tiles.phases
        blocks = max(1, round(columns / 64)), max(1, round(channels * tiles.phases / 64))
        transforms = costs.winograd_transform[tiles.points] * (depth * tiles.phases * blocks[0] + vectors * blocks[1])
        visits = batch * tiles.count(outputs) * (1.2 * products * each + transforms)
        return copies + visits + 2 * costs.winograd_weights * products * each

    (height, width), positions = node.attrs["window"], batch * outputs[0] * outputs[1]
    return _fastest(_possible(node, (height, width), x), time, 1.1 * positions * height * width * each, costs)


def _possible(node: Node, window: tuple[int, ...], x: TensorType) -> list[Tiles]:
    """Halves would round the transforms."""
    taps = taps_of(window, node.attrs)
    if taps is None or not x.dtype.is_float or x.dtype.bits < 32 or 0 in x.shape:
        return []
    return [Tiles(side, taps, node.attrs["stride"]) for side in SIDES[taps]]


def _fastest(possible: list[Tiles], time: Callable[[Tiles], float], defined: float, costs: Costs) -> Tiles | None:
    best = min(possible, key=time, default=None)
    return best if best is not None and time(best) < costs.winograd_gain * defined else None
