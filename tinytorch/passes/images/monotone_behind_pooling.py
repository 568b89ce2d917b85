"""Max pooling of integers before what turns them into other numbers, where that keeps their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.kernels.index_ranges import ranges_of
from tinytorch.ir.op import Array, Bounds
from tinytorch.ir.ops.core import cast, constant
from tinytorch.ir.ops.elementwise import add, ceil, div, floor, maximum, minimum, mul, rint, sub, trunc
from tinytorch.ir.ops.pooling import max_pool2d
from tinytorch.ir.ops.view import broadcast
from tinytorch.ir.types import Shape
from tinytorch.passes.dce import dce
from tinytorch.passes.images.relu_behind_pooling import has_elements

_ROUNDING = frozenset({floor, ceil, trunc, rint})
_EITHER_SIDE = frozenset({add, mul, maximum, minimum})
_SCALING = frozenset({mul, div})


def monotone_behind_pooling(graph: Graph) -> Graph:
    """Pool integers before they are scaled, shifted, clamped, rounded and cast by constants of their channels, where
    nothing reads the places that pooling finds, nor the numbers in between.

        %1 = cast(%x) {dtype=f32}                  %y, %i = max_pool2d(%x)
        %2 = mul(%1, broadcast(%s))         -->    %1 = cast(%y) {dtype=f32}
        %y, %i = max_pool2d(%2)                    %2 = mul(%1, broadcast(%s))

    max(f(a), f(b)) == f(max(a, b)) for an f that keeps the order, as scaling by positive numbers does, with its
    rounding; a zero may have another sign. There is no NaN, since the numbers were integers and the constants are
    finite. Sums of a convolution of bytes are so pooled in registers, and only the largest are scaled.
    """
    if not any(node.op is max_pool2d for node in graph.nodes):
        return graph
    found = _Finder(graph)
    chains = {node: chain for node in graph.nodes if node.op is max_pool2d and (chain := found.chain(node))}
    return dce(_rebuilt(graph, chains)) if chains else graph


@dataclass(frozen=True)
class _Step:
    """A node that keeps the order of operand `of`."""

    node: Node
    of: int

    @property
    def value(self) -> Value:
        return self.node.inputs[self.of]


class _Finder:
    """Looks for the nodes in front of a pooling that may stand behind it."""

    def __init__(self, graph: Graph) -> None:
        self.producers, self.readers = graph.producers(), graph.users()
        self.outputs = frozenset(graph.outputs)
        self._graph = graph
        self._ranges: dict[Value, Bounds] | None = None

    def chain(self, pooling: Node) -> list[_Step]:
        """The last of them first; the first one of all reads integers."""
        place = pooling.outputs[1]
        if place in self.outputs or self.readers[place] or not has_elements(pooling):
            return []
        found: list[_Step] = []
        value, ends = pooling.inputs[0], 0
        while (step := self._step(value)) is not None:
            found.append(step)
            value = step.value
            ends = ends if value.type.dtype.is_float else len(found)
        return found[:ends]

    def _step(self, value: Value) -> _Step | None:
        node = self.producers.get(value)
        if node is None or value in self.outputs or len(self.readers[value]) != 1 or node.op.kind != "elementwise":
            return None
        if node.op in _ROUNDING or (node.op is cast and self._keeps_order(node)):
            return _Step(node, 0)
        for side in (0, 1) if node.op in _EITHER_SIDE else (0,) if node.op in (sub, div) else ():
            if self._suits(node, node.inputs[1 - side]):
                return _Step(node, side)
        return None

    def _keeps_order(self, node: Node) -> bool:
        """Whether a cast rounds, saturates or widens, and does not wrap."""
        source, target = node.inputs[0].type.dtype, node.output.type.dtype
        if "bool" in (source.kind, target.kind):
            return False
        (low, high), (least, most) = (x.limits if not x.is_float else (0, 0) for x in (source, target))
        return source.is_float or target.is_float or (least <= low and high <= most)

    def _suits(self, node: Node, other: Value) -> bool:
        """Whether an operand is a finite constant for each channel, a positive one where it scales."""
        array = self._along_channels(other)
        if array is None or not np.isfinite(array).all() or (node.op in _SCALING and not (array > 0).all()):
            return False
        return node.output.type.dtype.is_float or node.op in (maximum, minimum) or self._fits(node)

    def _along_channels(self, value: Value) -> Array | None:
        node = self.producers.get(value)
        if node is None or node.op is not broadcast:
            return None
        source = self.producers.get(node.inputs[0])
        shape = node.inputs[0].type.shape
        if source is None or source.op is not constant or any(n != 1 for n in shape[-3:-1]):
            return None
        array = source.attrs["value"]
        return array.astype(np.float64) if array.dtype.itemsize <= 4 else None

    def _fits(self, node: Node) -> bool:
        """Whether an integer result cannot have wrapped around."""
        if node.op not in (add, sub):
            return False
        self._ranges = ranges_of(self._graph) if self._ranges is None else self._ranges
        (low, high), (least, most) = self._ranges[node.output], node.output.type.dtype.limits
        return least < low and high < most


def _rebuilt(graph: Graph, chains: dict[Node, list[_Step]]) -> Graph:
    builder, producers = Builder(graph.name, list(graph.inputs)), graph.producers()
    known: dict[Value, Value] = {}

    def again(step: _Step, x: Value) -> Value:
        operands = [
            x if i == step.of else _at(builder, producers[v], x.type.shape) for i, v in enumerate(step.node.inputs)
        ]
        return builder.append(step.node.op, operands, step.node.attrs, [step.node.output.name]).output

    for node in graph.nodes:
        builder.loc = node.loc
        chain = chains.get(node)
        if chain is None:
            inputs = tuple(known.get(v, v) for v in node.inputs)
            builder.nodes.append(
                node if inputs == node.inputs else Node(node.op, inputs, node.attrs, node.outputs, node.loc)
            )
            continue
        source = chain[-1].value
        value = builder.append(max_pool2d, [known.get(source, source)], node.attrs).outputs[0]
        for step in reversed(chain):
            value = again(step, value)
        known[node.outputs[0]] = value
    return builder.build([known.get(v, v) for v in graph.outputs], graph.state)


def _at(builder: Builder, repeated: Node, shape: Shape) -> Value:
    """What a broadcast repeats, repeated to another shape."""
    return builder.append(broadcast, repeated.inputs, {"shape": shape}).output
