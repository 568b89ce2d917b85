"""Convolutions that are products of matrices."""

from __future__ import annotations

import math

from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.ops.view import broadcast, flip, permute, slice_
from tinytorch.ir.rewrite import Rewriter, Term, local, rewrite, table

_STRIDED = (permute, flip, slice_, broadcast)  # views whose axes do not merge


def convolutions_to_products(graph: Graph) -> Graph:
    """Make matrix products of convolutions with windows of one element, which weigh the channels of each place.

        %y = conv2d(%x, %w) : f32[8,16,16,64]      %1 = reshape(%x) : f32[2048,32]
                                            -->    %2 = reshape(%w) : f32[32,64]
                                                   %3 = matmul(%1, %2) : f32[2048,64]
                                                   %y = reshape(%3) : f32[8,16,16,64]

    So are input gradients of such convolutions, which are convolutions by now. Weight gradients stay: their sum over
    the places is split among the threads by their own kernel.
    """
    return rewrite(graph, table([_one_place]))


@local(conv2d)
def _one_place(rewriter: Rewriter, node: Node) -> Term | None:
    """conv2d(x, w) == x @ w for a 1 x 1 window at every place of the image, where the places merge into one axis"""
    x, w = map(rewriter.term, node.inputs)
    attrs = node.attrs
    every = attrs["stride"] == (1, 1) and attrs["low"] == attrs["high"] == (0, 0) and attrs["groups"] == 1
    maker = rewriter.producers.get(x.value)
    if w.shape[:2] != (1, 1) or not every or (maker is not None and maker.op in _STRIDED):
        return None
    rows, columns = x.reshape((math.prod(x.shape[:3]), x.shape[3])), w.reshape(w.shape[2:])
    sums = {"dtype": attrs["dtype"]} if "dtype" in attrs else {}
    return rows.apply_op(matmul, [rows, columns], sums).reshape(node.output.type.shape)
