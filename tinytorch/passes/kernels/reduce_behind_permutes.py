"""Permutes of reductions move in front of them."""

from __future__ import annotations

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.ops.reduce import max_, min_, sum_
from tinytorch.ir.ops.view import broadcast, permute
from tinytorch.ir.rewrite import Rewriter, Term, local, rewrite, table
from tinytorch.passes.dce import dce
from tinytorch.passes.simplify.raise_views import raise_views
from tinytorch.passes.simplify.views import VIEW_RULES

_DEEPEST = 20  # ops behind a reduction: each is a nested call


def reduce_behind_permutes(graph: Graph) -> Graph:
    """Reduce permuted values instead of permuting what is reduced, where nothing else reads either:

        %1 = sum(mul(%x, %y)) {axes=(3,)}                       %1 = sum(mul(permute(%x), permute(%y))) {axes=(3,)}
        %2 = permute(mul(%1, 0.5)) {axes=(0, 2, 1, 3)}    -->   %2 = mul(%1, 0.5)
        %3 = sub(%z, mul(permute(%y), %2))                      %3 = sub(%z, mul(permute(%y), %2))

    So reduction and reader run over the same axes and can be one kernel. It comes behind `cse`, which finds the other
    readers.
    """
    rewritten = dce(rewrite(graph, _RULES))
    return graph if rewritten is graph else raise_views(rewritten)


@local(permute)
def _permute_of_reduce(rewriter: Rewriter, node: Node) -> Term | None:
    """permute(f(reduce(g(x), axes), broadcast(y))) == f(reduce(permute(g(x)), axes'), permute(broadcast(y))), through
    any chain of such f"""
    return _under(rewriter, node.inputs[0], node.attrs["axes"], _DEEPEST)


def _under(rewriter: Rewriter, value: Value, axes: tuple[int, ...], deepest: int) -> Term | None:
    """`value` under a permute, if it is computed of a reduction."""
    made = rewriter.producers.get(value)
    if made is None or not deepest or not rewriter.single_use(value):
        return None
    if made.op in (sum_, max_, min_):
        inner = rewriter.producers.get(made.inputs[0])
        if inner is None or inner.op.kind != "elementwise" or not rewriter.single_use(made.inputs[0]):
            return None
        source = rewriter.term(made.inputs[0]).permute(axes)
        reduced = tuple(i for i, axis in enumerate(axes) if axis in made.attrs["axes"])
        return source.apply_op(made.op, [source], {"axes": reduced})
    if made.op.kind != "elementwise" or not made.inputs:
        return None
    operands: list[Term] = []
    for operand in made.inputs:
        if rewriter.producer(operand, broadcast) is not None:
            operands.append(rewriter.term(operand).permute(axes))
            continue
        found = _under(rewriter, operand, axes, deepest - 1)
        if found is None:
            return None
        operands.append(found)
    return operands[0].apply_op(made.op, operands, made.attrs)


_RULES = table([_permute_of_reduce, *VIEW_RULES])
