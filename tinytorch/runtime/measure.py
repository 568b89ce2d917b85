"""The time of a single kernel of a graph, alone, on made-up data."""

from __future__ import annotations

import numpy as np

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.op import Array
from tinytorch.ir.types import TensorType, type_of
from tinytorch.runtime.backend import Backend, Buffer
from tinytorch.runtime.schedule import schedule


def alone(graph: Graph, node: Node) -> Graph:
    """`node` of `graph` as a graph of its own, with the views and constants that lead to its operands."""
    producers = graph.producers()
    nodes: list[Node] = []
    inputs: dict[Value, None] = {}

    def visit(value: Value) -> None:
        maker = producers.get(value)
        if maker is None or maker.op.kind == "kernel":
            inputs[value] = None
        elif maker not in nodes:
            for operand in maker.inputs:
                visit(operand)
            nodes.append(maker)

    for value in node.inputs:
        visit(value)
    return Graph("alone", tuple(inputs), (*nodes, node), node.outputs)


def measure(graph: Graph, node: Node, backend: Backend) -> float:
    """Seconds that the kernel `node` of a fused graph takes, called again and again on the same buffers.

    Floats are drawn from 0.1 to 1; integers and booleans are 0, which every index may be.
    """
    plan = schedule(alone(graph, node))
    program = backend.load(backend.lower(plan))
    inputs = [_filled(backend, _made_up(value.type)) for value in plan.graph.inputs]
    outputs = [backend.allocate(value.type) for value in plan.graph.outputs]
    return program.measure([*inputs, *outputs], [_filled(backend, array) for array in plan.constants])


def _made_up(type: TensorType) -> Array:
    if not type.dtype.is_float:
        return np.zeros(type.shape, type.dtype.numpy)
    return np.random.default_rng(0).uniform(0.1, 1, type.shape).astype(type.dtype.numpy)


def _filled(backend: Backend, array: Array) -> Buffer:
    buffer = backend.allocate(type_of(array.dtype, array.shape))
    backend.copy(array, buffer)
    return buffer
