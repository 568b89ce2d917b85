"""Attention written by hand, and its gradient, as the ops that have a kernel.

Read `reading` first, which looks through views for what scores and products look like, then `sites`, which finds all
that belongs to one attention, and `writing`.
"""

from __future__ import annotations

from collections.abc import Collection

from tinytorch.ir.graph import Graph
from tinytorch.ir.op import Op
from tinytorch.ir.ops.attention import attention, attention_grad
from tinytorch.passes.dce import dce
from tinytorch.passes.recognize_attention.sites import Finder, weighs
from tinytorch.passes.recognize_attention.writing import Writer


def recognize_attention(graph: Graph, *, keep: Collection[Op] = (attention, attention_grad)) -> Graph:
    """Write softmax(q kᵀ · scale + mask) v, with or without dropout of the weights, as the op `attention`, and what
    computes its gradient as `attention_grad`. It goes where views have been simplified, and before softmax is expanded.

        %1 = permute(%k) {axes=(0, 1, 3, 2)}
        %2 = matmul(%q, %1); %3 = mul(%2, 0.125)      -->    %y, %norms = attention(%q, %k, %v) {scale=0.125}
        %4 = softmax(%3) {axis=3}; %y = matmul(%4, %v)

        %5 = matmul(%g, permute(%v)); %6 = mul(%5, %4)
        %7 = mul(%4, sum(%6)); %8 = sub(%6, %7)              %delta = sum(%g * %y)
        %9 = mul(%8, 0.125); %dq = matmul(%9, %k)     -->    %dq, %dk, %dv = attention_grad(%q, %k, %v,
        %dk = matmul(permute(%9), %q)                                           %norms, %delta, %g) {scale=0.125}
        %dv = matmul(permute(%4), %g)

    The result is what it was up to rounding, also of infinities and NaN: rows without a key that is seen are NaN, and
    scores that `where` replaces may be anything. In a gradient, the sum of weights times cotangents is that of g times
    %y: where a row of the result is NaN, so are the cotangents of its scores, also for keys that dropout drops.

    All stays where anything else reads a matrix of queries by keys, as weights that are returned, or a bias whose
    gradient is wanted; and in 16-bit floats, which round the scores where the op does not. Nothing is changed unless
    both ops are among those that `expand` will `keep`.
    """
    if attention not in keep or attention_grad not in keep or not any(weighs(node) for node in graph.nodes):
        return graph
    sites = Finder(graph).sites()
    return dce(Writer(graph, sites).run()) if sites else graph
