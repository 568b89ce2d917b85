"""Convolutions whose windows are laid out as the rows of a matrix."""

from __future__ import annotations

import math

from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.kernels.costs import DEFAULT_COSTS, Costs
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.view import broadcast, concat, flip, permute, slice_
from tinytorch.ir.rewrite import Rewriter, Term, local, rewrite, table

_STRIDED = (permute, flip, slice_, broadcast)  # views whose channels do not lie together
_LEAST_WEIGHTS = 4  # they outgrow this part of L2, and are read again and again
_MOST_WINDOWS = 8  # times the weights' bytes: so much at most is written for them


def im2col(graph: Graph, *, costs: Costs = DEFAULT_COSTS) -> Graph:
    """Make products of convolutions by constant weights, where these are many and the images small.

        %y = conv2d(%x, %w) : f32[1,7,7,512]      %1 = pad(%x) : f32[1,9,9,512]
                                                  %2 = concat(slices of %1) : f32[1,7,7,4608]
                                            -->   %3 = reshape(%2) : f32[49,4608]
                                                  %4 = reshape(%w) : f32[4608,512]
                                                  %5 = matmul(%3, %4) : f32[49,512]
                                                  %y = reshape(%5) : f32[1,7,7,512]

    To lay windows out takes a copy of an element for the multiplications by all columns. The product's weights lie in
    panels (`lay_out_products`) and are read once, in order; the kernel of a convolution would read those of some
    columns, whole rows apart, for each of its tiles.
    """

    @local(conv2d)
    def of_windows(rewriter: Rewriter, node: Node) -> Term | None:
        """conv2d(x, w) == windows of x @ w"""
        x, w = map(rewriter.term, node.inputs)
        frozen = rewriter.producer(w.value, constant) is not None
        maker = rewriter.producers.get(x.value)
        if not frozen or (maker is not None and maker.op in _STRIDED) or not _pays(node, costs):
            return None
        rows, columns = _windows(x, node), w.reshape((math.prod(w.shape[:3]), w.shape[3]))
        return (rows @ columns).reshape(node.output.type.shape)

    return rewrite(graph, table([of_windows]))


def _pays(node: Node, costs: Costs) -> bool:
    x, w = (v.type for v in node.inputs)
    attrs, out = node.attrs, node.output.type
    plain = attrs["groups"] == 1 and min(*attrs["low"], *attrs["high"]) >= 0 and 0 not in x.shape
    plain = plain and x.dtype == w.dtype == out.dtype and x.dtype.is_float and x.dtype.bits >= 32
    if not plain or w.shape[3] < costs.panel_vectors * costs.lanes(x.dtype):
        return False
    windows = math.prod(out.shape[:3]) * math.prod(w.shape[:3]) * x.dtype.size
    return w.bytes * _LEAST_WEIGHTS > costs.l2_bytes and windows <= _MOST_WINDOWS * w.bytes


def _windows(x: Term, node: Node) -> Term:
    """The elements of the images that outputs meet, [outputs, places of the window * channels]."""
    attrs, w, (_, *sizes, _) = node.attrs, node.inputs[1].type, node.output.type.shape
    if any((*attrs["low"], *attrs["high"])):
        x = x.pad(((0, 0), *zip(attrs["low"], attrs["high"], strict=True), (0, 0)))

    def met(*place: int) -> Term:
        starts = [k * dilation for k, dilation in zip(place, attrs["dilation"], strict=True)]
        spans = [
            slice(start, start + (size - 1) * stride + 1, stride)
            for start, size, stride in zip(starts, sizes, attrs["stride"], strict=True)
        ]
        return x[(slice(None), *spans, slice(None))]

    parts = [met(y, x) for y in range(w.shape[0]) for x in range(w.shape[1])]
    joined = parts[0] if len(parts) == 1 else x.apply_op(concat, parts, {"axis": 3})
    return joined.reshape((math.prod(joined.shape[:3]), joined.shape[3]))
