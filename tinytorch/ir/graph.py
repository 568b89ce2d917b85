"""Graphs: pure, SSA, topologically ordered; and the builder that makes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch.ir.body import Body, Node, Region, Value
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import Loc
from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.ops.core import constant
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import TensorType, dtype_of

if TYPE_CHECKING:
    import networkx

__all__ = ["Builder", "Graph", "Node", "Region", "Value"]


@dataclass(frozen=True, eq=False)
class Graph(Body):
    """A body that shows itself: it prints as text, and in a notebook it draws itself."""

    def with_nodes(self, nodes: Iterable[Node], outputs: Sequence[Value] | None = None) -> Graph:
        """The same graph with other nodes and, if given, other outputs."""
        return Graph(
            self.name, self.inputs, tuple(nodes), self.outputs if outputs is None else tuple(outputs), self.state
        )

    def to_networkx(self) -> networkx.DiGraph[Any]:
        """A networkx digraph whose vertices are the nodes and graph inputs; edges carry `value`."""
        import networkx

        graph: networkx.DiGraph[Any] = networkx.DiGraph()
        producers: dict[Value, Any] = {value: value for value in self.inputs}
        graph.add_nodes_from(self.inputs)
        for node in self.nodes:
            graph.add_node(node)
            for value in node.inputs:
                graph.add_edge(producers[value], node, value=value)
            producers.update(dict.fromkeys(node.outputs, node))
        return graph

    def __str__(self) -> str:
        return print_graph(self, elide=True)

    def _repr_svg_(self) -> str:
        from tinytorch.ir.pictures.drawing import draw  # most programs draw nothing
        from tinytorch.ir.pictures.svg import fitted

        return fitted(draw(self))


@dataclass
class Builder:
    """Appends nodes in order; `loc` and `region` are given to each new node."""

    name: str = "main"
    inputs: list[Value] = field(default_factory=list[Value])
    nodes: list[Node] = field(default_factory=list[Node])
    loc: Loc | None = None
    region: Region | None = None
    _constants: dict[tuple[Any, ...], Value] = field(default_factory=dict[tuple[Any, ...], Value])
    _makers: dict[Value, Node] = field(default_factory=dict[Value, Node])  # of the first nodes
    _seen: int = 0  # how many these are

    def input(self, type: TensorType, name: str = "") -> Value:
        value = Value(type, name)
        self.inputs.append(value)
        return value

    def append(self, op: Op, inputs: Sequence[Value], attrs: Attrs, names: Sequence[str] = ()) -> Node:
        """A new node; a ShapeError of the op names `loc`."""
        try:
            types = op.result_types([v.type for v in inputs], attrs)
        except ShapeError as error:
            raise error if error.loc or not self.loc else ShapeError(str(error), self.loc) from None
        outputs = tuple(Value(t, names[i] if names else "") for i, t in enumerate(types))
        node = Node(op, tuple(inputs), dict(attrs), outputs, self.loc, self.region)
        self.nodes.append(node)
        return node

    def maker(self, value: Value) -> Node | None:
        """The node that computes `value`; None for an input."""
        for node in self.nodes[self._seen :]:
            self._makers.update(dict.fromkeys(node.outputs, node))
        self._seen = len(self.nodes)
        return self._makers.get(value)

    def constant(self, array: Array) -> Value:
        """A constant; equal small ones are shared."""
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        dtype_of(array.dtype)
        key = (array.dtype, array.shape, array.tobytes()) if array.size <= 16 else (id(array), len(self.nodes))
        if key not in self._constants:
            self._constants[key] = self.append(constant, [], {"value": array}).output
        return self._constants[key]

    def inline(self, graph: Graph, inputs: Sequence[Value]) -> list[Value]:
        """Append the nodes of `graph` with its inputs replaced; the values of its outputs."""
        known = dict(zip(graph.inputs, inputs, strict=True))
        for node in graph.nodes:
            copy = Node(
                node.op,
                tuple(known[v] for v in node.inputs),
                node.attrs,
                tuple(Value(v.type, v.name) for v in node.outputs),
                node.loc,
            )
            self.nodes.append(copy)
            known.update(zip(node.outputs, copy.outputs, strict=True))
        return [known[v] for v in graph.outputs]

    def build(self, outputs: Sequence[Value], state: Sequence[tuple[int, int]] = ()) -> Graph:
        return Graph(self.name, tuple(self.inputs), tuple(self.nodes), tuple(outputs), tuple(state))
