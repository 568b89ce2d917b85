"""Ops on numpy arrays: the meaning that everything else is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def evaluate_one(builder: Any, wanted: Any, known: Mapping[Any, Array]) -> Array | None:
    """A value of a graph under construction, of the inputs that are `known`; None if it depends on others, or on random
    numbers."""
    arrays = dict(known)
    stack = [wanted]
    while stack:
        value = stack[-1]
        if value in arrays:
            stack.pop()
            continue
        node = builder.maker(value)
        if node is None or node.op.kind == "random":
            return None
        before = [v for v in node.inputs if v not in arrays]
        stack += before
        if not before:
            with np.errstate(all="ignore"):
                arrays.update(
                    zip(node.outputs, node.op.evaluate([arrays[v] for v in node.inputs], node.attrs), strict=True)
                )
    return arrays[wanted]
