"""The time of a single kernel of a graph, alone, on made-up data."""

from __future__ import annotations

import numpy as np

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.op import Array
from tinytorch.ir.types import TensorType, type_of
from tinytorch.runtime.backend import Backend, DeviceArray
from tinytorch.runtime.schedule import schedule


def alone(graph: Graph, node: Node, overwritten: int | None = None) -> Graph:
    """`node` of `graph` as a graph of its own, with the views and constants that lead to its operands. If `overwritten`
    is said, its result is the new value of that operand, which is memory of its own, whatever views lead to it."""
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

    for i, value in enumerate(node.inputs):
        if i == overwritten:
            inputs[value] = None
        else:
            visit(value)
    found, state = tuple(inputs), ()
    if overwritten is not None:
        state = ((found.index(node.inputs[overwritten]), 0),)
    return Graph("alone", found, (*nodes, node), node.outputs, state)


def measure(graph: Graph, node: Node, backend: Backend, overwritten: int | None = None) -> float:
    """Seconds that the kernel `node` of a fused graph takes, called again and again on the same buffers.

    An update writes over the operand `overwritten`, if that is said. Floats are drawn from 0.1 to 1; integers and
    booleans are 0, which every index may be.
    """
    plan = schedule(alone(graph, node, overwritten))
    program = backend.load(backend.lower(plan))
    inputs = [filled(backend, made_up(value.type)) for value in plan.graph.inputs]
    renewed = {output for _, output in plan.graph.state}
    outputs = [backend.allocate(v.type) for i, v in enumerate(plan.graph.outputs) if i not in renewed]
    return program.measure([*inputs, *outputs], [filled(backend, array) for array in plan.constants])


def made_up(type: TensorType) -> Array:
    """The same argument of that type each time: floats from 0.1 to 1; integers and booleans 0, as any index may be."""
    if not type.dtype.is_float:
        return np.zeros(type.shape, type.dtype.numpy)
    return np.random.default_rng(0).uniform(0.1, 1, type.shape).astype(type.dtype.numpy)


def filled(backend: Backend, array: Array) -> DeviceArray:
    """Memory of a backend that holds what the array does."""
    buffer = backend.allocate(type_of(array.dtype, array.shape))
    backend.copy(array, buffer)
    return buffer
