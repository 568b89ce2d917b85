"""Ops on numpy arrays: the meaning that everything else is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir.arrays.nans import refuse_new_nans
from tinytorch.ir.op import Array


def evaluate(graph: Any, inputs: Sequence[Array], check_nans: bool = False) -> tuple[Array, ...]:
    """Run a graph node by node; buffers are dropped after their last use.

    With `check_nans`, TinyTorchError names the first node that makes a NaN.
    """
    last = {value: node for node in graph.nodes for value in (*node.outputs, *node.inputs)}
    known: dict[Any, Array] = dict(zip(graph.inputs, inputs, strict=True))
    outputs = set(graph.outputs)
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            try:
                results = node.op.evaluate([known[v] for v in node.inputs], node.attrs)
            except (IndexError, FloatingPointError) as error:
                raise type(error)(f"{error}\n  {node.loc.describe()}" if node.loc else str(error)) from None
            if check_nans:
                refuse_new_nans(node.op, [known[v] for v in node.inputs], node.attrs, results, node.loc)
            known.update(zip(node.outputs, results, strict=True))
            for value in (*node.inputs, *node.outputs):
                if last[value] is node and value not in outputs:
                    known.pop(value, None)
    return tuple(known[v] for v in graph.outputs)
