"""Tall products of an operand that lies across are computed turned."""

from __future__ import annotations

from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.view import permute
from tinytorch.ir.rewrite import Rewriter, Term, local, rewrite, table

_TALL = 1.25  # times as many rows as columns
_DEPTH = 1024  # steps of k that repay reading the result across


def turn_products(graph: Graph) -> Graph:
    """Weight gradients: the short one of two operands that both lie across becomes the left one.

        %1 = permute(%x) {axes=(1, 0)}           %1 = permute(%y) {axes=(1, 0)}
        %2 = matmul(%1, %y)                -->   %2 = permute(matmul(%1, %x)) {axes=(1, 0)}

    A kernel copies the left operand in runs as long as a tile has rows, the right one in whole vectors. What reads the
    result is no epilogue then; it goes across a matrix that is small beside the operands. It comes behind `simplify`,
    which turns products the other way for the sake of epilogues.
    """
    return rewrite(graph, _RULES)


@local(matmul)
def _turned(rewriter: Rewriter, node: Node) -> Term | None:
    """xᵀ y == (yᵀ x)ᵀ"""
    left, y = rewriter.producer(node.inputs[0], permute), rewriter.term(node.inputs[1])
    if left is None or node.output.type.rank != 2:
        return None
    x = rewriter.term(left.inputs[0])
    (rows, columns), depth = node.output.type.shape, y.shape[0]
    lies_across = left.attrs["axes"] == (1, 0) and rewriter.producer(y.value, permute) is None
    if not lies_across or depth < _DEPTH or rows < _TALL * columns or not columns:
        return None
    return y.apply_op(matmul, [y.mT, x], node.attrs).mT


_RULES = table([_turned])
