"""Graphs with their gradients, as a trace with `backward()` has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.ops.core import zeros_like
from tinytorch.passes.autodiff import append_gradients


def differentiated(graph: Graph, wrt: Sequence[int]) -> Graph:
    """The graph with the gradients of its first output, a float scalar, with respect to the inputs `wrt` as further
    outputs; zeros where it does not depend on one.

    (%x, %w) -> (%loss)  -->  (%x, %w) -> (%loss, d loss/d %w)        with wrt = [1]
    """
    builder = Builder(graph.name, list(graph.inputs), list(graph.nodes))
    seed = builder.constant(np.ones((), graph.outputs[0].type.dtype.numpy))
    variables = [graph.inputs[i] for i in wrt]
    found = append_gradients(builder, {graph.outputs[0]: seed}, variables)
    gradients = [g or zeros_like(Expr(builder, v)).value for g, v in zip(found, variables, strict=True)]
    return builder.build([*graph.outputs, *gradients], graph.state)
