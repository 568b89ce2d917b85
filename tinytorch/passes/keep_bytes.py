"""Between layers of a quantized model, what lies in memory is bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.op import Array
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.elementwise import checked_number
from tinytorch.ir.ops.view import broadcast, concat, pad, permute
from tinytorch.ir.types import DType, Shape
from tinytorch.passes.dce import dce
from tinytorch.passes.float_ranges import float_ranges


def keep_bytes(graph: Graph) -> Graph:
    """Quantize what is padded or concatenated, instead of the result; and drop checks for NaN of what cannot be one, so
    that quantizing can follow a product in its kernel.

        %c = concat(%a, %b)                             %qa = cast(round(mul(%a, …))) {dtype=u8}
        %q = cast(round(mul(%c, …))) {dtype=u8}  -->    %qb = cast(round(mul(%b, …))) {dtype=u8}
                                                        %q = concat(%qa, %qb)

    Scales are constants, as they are in a frozen graph. Exact in bits.
    """
    if not any(_is_byte(v.type.dtype) for node in graph.nodes for v in node.outputs):
        return graph
    while (moved := dce(_Mover(graph).run())) is not graph:  # what has moved may meet the next one
        graph = moved
    return _without_needless_checks(graph)


def _is_byte(dtype: DType) -> bool:
    return dtype.kind in ("int", "uint") and dtype.bits == 8


def _without_needless_checks(graph: Graph) -> Graph:
    """checked_number(x) == x where x is computed of integers and finite constants"""
    if not any(node.op is checked_number for node in graph.nodes):
        return graph
    ranges = float_ranges(graph)
    known: dict[Value, Value] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(known.get(v, v) for v in node.inputs)
        if node.op is checked_number and node.inputs[0] in ranges:
            known[node.output] = inputs[0]
            continue
        nodes.append(node if inputs == node.inputs else Node(node.op, inputs, node.attrs, node.outputs, node.loc))
    return graph.with_nodes(nodes, [known.get(v, v) for v in graph.outputs]) if known else graph


@dataclass(frozen=True)
class _Step:
    """An elementwise node, and which operand of it the moved value is."""

    node: Node
    index: int


@dataclass(frozen=True)
class _Joined:
    """A move (`pad` or `concat`), the order of axes in which it is read, and the steps from there to bytes."""

    move: Node
    axes: tuple[int, ...]
    steps: list[_Step]


class _Mover:
    """One walk over the graph that writes anew what moves."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers = graph.producers()
        self.readers = graph.users()
        self.outputs = frozenset(graph.outputs)
        self.builder = Builder(graph.name, list(graph.inputs))
        self.known: dict[Value, Value] = {}
        self.joined = self._joined_sites()

    def run(self) -> Graph:
        for node in self.graph.nodes:
            self.builder.loc = node.loc
            if node in self.joined:
                self.known[node.output] = self._write_joined(self.joined[node])
            else:
                inputs = tuple(self.known.get(v, v) for v in node.inputs)
                same = inputs == node.inputs
                self.builder.nodes.append(node if same else Node(node.op, inputs, node.attrs, node.outputs, node.loc))
        if not self.known:
            return self.graph
        return self.builder.build([self.known.get(v, v) for v in self.graph.outputs], self.graph.state)

    def _joined_sites(self) -> dict[Node, _Joined]:
        """By the node that gives bytes: what it is computed of."""
        moves = [n for n in self.graph.nodes if n.op in (pad, concat) and n.output.type.dtype.is_float]
        sites = [site for move in moves if (site := self._joined(move)) is not None]
        return {site.steps[-1].node: site for site in sites}

    def _joined(self, move: Node) -> _Joined | None:
        """What `move` gives, if it is only read as bytes: by elementwise steps with numbers alone beside it, between
        which axes may be permuted."""
        value, steps = move.output, list[_Step]()
        axes: tuple[int, ...] = tuple(range(value.type.rank))
        while not _is_byte(value.type.dtype):
            if not self._is_read_once(value):
                return None
            (node,) = self.readers[value]
            if node.op is permute:
                axes = tuple(axes[a] for a in node.attrs["axes"])
            else:
                index = node.inputs.index(value)
                others = (v for i, v in enumerate(node.inputs) if i != index)
                if node.op.kind != "elementwise" or any(self._number(v) is None for v in others):
                    return None
                steps.append(_Step(node, index))
            value = node.output
        return _Joined(move, axes, steps)

    def _write_joined(self, site: _Joined) -> Value:
        move, axes = site.move, site.axes
        parts = [self._applied(site.steps, self._permuted(self.known.get(v, v), axes)) for v in move.inputs]
        if move.op is concat:
            return self.builder.append(concat, parts, {"axis": axes.index(move.attrs["axis"])}).output
        attrs: dict[str, Any] = {key: tuple(move.attrs[key][a] for a in axes) for key in ("low", "high", "interior")}
        attrs["value"] = self._quantized_number(site.steps, move.attrs["value"], move.output.type.dtype)
        return self.builder.append(pad, parts, attrs).output

    def _permuted(self, value: Value, axes: tuple[int, ...]) -> Value:
        same = axes == tuple(range(len(axes)))
        return value if same else self.builder.append(permute, [value], {"axes": axes}).output

    def _quantized_number(self, steps: Sequence[_Step], number: float, dtype: DType) -> int:
        """What the steps make of a number, by the reference."""
        value = np.asarray(number, dtype.numpy)
        for step in steps:
            operands = [value if i == step.index else self._number(v) for i, v in enumerate(step.node.inputs)]
            (value,) = step.node.op.evaluate([x for x in operands if x is not None], step.node.attrs)
        return int(value)

    def _is_read_once(self, value: Value) -> bool:
        return len(self.readers.get(value, ())) == 1 and value not in self.outputs

    def _number(self, value: Value) -> Array | None:
        """The constant of one element that `value` repeats, through views."""
        node = self.producers.get(value)
        while node is not None and node.op.kind == "view":
            node = self.producers.get(node.inputs[0])
        array = node.attrs["value"] if node is not None and node.op is constant else None
        return array.reshape(()) if array is not None and array.size == 1 else None

    def _applied(self, steps: Sequence[_Step], value: Value) -> Value:
        """What the steps make of `value`, of whatever shape."""
        for step in steps:
            inputs = [
                value if i == step.index else self._repeated(v, value.type.shape)
                for i, v in enumerate(step.node.inputs)
            ]
            value = self.builder.append(step.node.op, inputs, step.node.attrs).output
        return value

    def _repeated(self, value: Value, shape: Shape) -> Value:
        """The number that `value` repeats, repeated to another shape."""
        number = self._number(value)
        assert number is not None, "only numbers stand beside what moves"
        return self.builder.append(broadcast, [self.builder.constant(number)], {"shape": shape}).output
