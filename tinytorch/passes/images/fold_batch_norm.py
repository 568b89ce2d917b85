"""Batch normalisation at inference, folded into the weights in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.op import Array
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.elementwise import add, div, mul, sub
from tinytorch.ir.ops.view import broadcast
from tinytorch.ir.rewrite import Rewriter, Term, local, rewrite, table
from tinytorch.passes.dce import dce


def fold_batch_norm(graph: Graph) -> Graph:
    """Multiply constant weights by what scales the columns of their product, and add up what shifts them.

        %1 = conv2d(%x, %w)                            %1 = conv2d(%x, %v)
        %2 = mul(%1, broadcast(%s))             -->    %y = add(%1, broadcast(%t))
        %y = add(%2, broadcast(%t))

    %w, %s and %t are constants, as they are in a frozen graph, and %v = %w * %s is computed here. Where they are not,
    a scale costs less behind the product, while its results are in registers, than in front. Equal up to rounding.
    """
    fixed = {node.output for node in graph.nodes if node.op is constant}
    if not any(node.op in (conv2d, matmul) and node.inputs[1] in fixed for node in graph.nodes):
        return graph
    rewritten = rewrite(graph, table([_multiplied, _divided, _added, _subtracted]))
    return graph if rewritten is graph else dce(rewritten)


@dataclass(frozen=True)
class _Affine:
    """A value that is product + shift, where the product is one by constant weights."""

    product: Node
    weights: Array
    shift: Array | None


def _array(rewriter: Rewriter, value: Value) -> Array | None:
    node = rewriter.producer(value, constant)
    return None if node is None else node.attrs["value"]


def _row(rewriter: Rewriter, value: Value) -> Array | None:
    """The constant that `value` repeats: a number, or one for each element of the last axis."""
    node = rewriter.producer(value, broadcast)
    array = None if node is None else _array(rewriter, node.inputs[0])
    return array.reshape(-1) if array is not None and array.size in (1, *array.shape[-1:]) else None


def _product(rewriter: Rewriter, value: Value) -> _Affine | None:
    """`value` as a product that is read here only."""
    node = rewriter.producers.get(value)
    if node is None or node.op not in (conv2d, matmul) or not rewriter.single_use(value):
        return None
    weights = _array(rewriter, node.inputs[1])
    return None if weights is None or not value.type.dtype.is_float else _Affine(node, weights, None)


def _affine(rewriter: Rewriter, value: Value) -> _Affine | None:
    """`value` as a product, or as the sum of a product and a row, that is read here only."""
    node = rewriter.producer(value, add)
    if node is None or not rewriter.single_use(value):
        return _product(rewriter, value)
    found, shift = _product(rewriter, node.inputs[0]), _row(rewriter, node.inputs[1])
    return None if found is None or shift is None else _Affine(found.product, found.weights, shift)


def _write(rewriter: Rewriter, found: _Affine, weights: Array, shift: Array | None) -> Term:
    """The product by `weights`, which stays that of its own line and module, plus `shift`."""
    x, node = rewriter.term(found.product.inputs[0]), found.product
    scaled = node.inputs[1] if weights is found.weights else rewriter.constant(weights)
    behind, rewriter.loc = rewriter.loc, node.loc
    out = x.apply_op(node.op, [x, rewriter.term(scaled)], node.attrs)
    rewriter.loc = behind
    return out if shift is None else out + x.constant(shift).broadcast_to(out.shape)


@local(mul)
def _multiplied(rewriter: Rewriter, node: Node) -> Term | None:
    """(x @ w + t) * s == x @ (w * s) + t * s"""
    for one, other in (node.inputs, node.inputs[::-1]):
        found, scale = _affine(rewriter, one), _row(rewriter, other)
        if found is not None and scale is not None:
            with np.errstate(all="ignore"):
                shift = None if found.shift is None else found.shift * scale
                return _write(rewriter, found, found.weights * scale, shift)
    return None


@local(div)
def _divided(rewriter: Rewriter, node: Node) -> Term | None:
    """(x @ w + t) / s == x @ (w / s) + t / s"""
    found, scale = _affine(rewriter, node.inputs[0]), _row(rewriter, node.inputs[1])
    if found is None or scale is None:
        return None
    with np.errstate(all="ignore"):
        shift = None if found.shift is None else found.shift / scale
        return _write(rewriter, found, found.weights / scale, shift)


@local(add)
def _added(rewriter: Rewriter, node: Node) -> Term | None:
    """(x @ w + t) + s == x @ w + (t + s);  s + x @ w == x @ w + s"""
    for one, other in (node.inputs, node.inputs[::-1]):
        found, shift = _affine(rewriter, one), _row(rewriter, other)
        if found is not None and shift is not None and (found.shift is not None or one is node.inputs[1]):
            return _write(rewriter, found, found.weights, shift if found.shift is None else found.shift + shift)
    return None


@local(sub)
def _subtracted(rewriter: Rewriter, node: Node) -> Term | None:
    """(x @ w + t) - s == x @ w + (t - s)"""
    found, shift = _affine(rewriter, node.inputs[0]), _row(rewriter, node.inputs[1])
    if found is None or shift is None:
        return None
    return _write(rewriter, found, found.weights, -shift if found.shift is None else found.shift - shift)
