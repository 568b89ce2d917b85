"""Freezing: inputs become constants, so that what depends on them alone is computed while compiling."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinytorch.ir.errors import PassError
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.op import Array
from tinytorch.ir.ops.core import constant


def freeze_inputs(graph: Graph, arrays: Mapping[Value, Array]) -> Graph:
    """Make constants of the inputs in `arrays`, with copies of their values.

        graph @f(%x, %w) { %y = matmul(%x, %w) }  -->  graph @f(%x) { %w = constant(…); %y = matmul(%x, %w) }

    PassError if one of them is state: a constant does not change.
    """
    renewed = {graph.inputs[index] for index, _ in graph.state}
    changed = next((value for value in arrays if value in renewed), None)
    if changed is not None:
        raise PassError(f"{graph.name}: {changed} is state and cannot be frozen")
    left = [value for value in graph.inputs if value not in arrays]
    places = {value: place for place, value in enumerate(left)}
    state = tuple((places[graph.inputs[index]], output) for index, output in graph.state)
    made = [Node(constant, (), {"value": np.array(arrays[v], order="C")}, (v,)) for v in graph.inputs if v in arrays]
    return Graph(graph.name, tuple(left), (*made, *graph.nodes), graph.outputs, state)
