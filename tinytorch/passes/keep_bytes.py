"""Between layers of a quantized model, what lies in memory is bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.op import Array
from tinytorch.ir.ops.core import cast, constant
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
    return _without_ways_back(_without_needless_checks(graph))


def _is_byte(dtype: DType) -> bool:
    return dtype.kind in ("int", "uint") and dtype.bits == 8


def _without_needless_checks(graph: Graph) -> Graph:
    """checked_number(x) == x where x is computed of integers and finite constants"""
    if not any(node.op is checked_number for node in graph.nodes):
        return graph
    ranges = float_ranges(graph)
    sure = [node for node in graph.nodes if node.op is checked_number and node.inputs[0] in ranges]
    return _with_others(graph, {node.output: node.inputs[0] for node in sure}) if sure else graph


def _without_ways_back(graph: Graph) -> Graph:
    """q(f(x)) == x where x is bytes, f makes floats of them by numbers alone, and q bytes, for all 256 of them"""
    numbers = _Numbers(graph)
    known: dict[Value, Value] = {}
    for node in graph.nodes:
        if node.op is cast and _is_byte(node.output.type.dtype) and node.inputs[0].type.dtype.is_float:
            source, steps = numbers.from_bytes(node)
            if source is not None and source.type == node.output.type and numbers.change_nothing(source, steps):
                known[node.output] = source
    return dce(_with_others(graph, known)) if known else graph


def _with_others(graph: Graph, known: dict[Value, Value]) -> Graph:
    """The graph with other values, that come before them, in the place of some."""

    def now(value: Value) -> Value:
        while value in known:
            value = known[value]
        return value

    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(map(now, node.inputs))
        same = inputs == node.inputs
        if node.outputs[0] not in known:
            nodes.append(node if same else Node(node.op, inputs, node.attrs, node.outputs, node.loc))
    return graph.with_nodes(nodes, list(map(now, graph.outputs)))


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


class _Numbers:
    """Which values of a graph repeat one number, and what chains of elementwise steps with such beside them compute."""

    def __init__(self, graph: Graph) -> None:
        self.producers = graph.producers()

    def of(self, value: Value) -> Array | None:
        """The constant of one element that `value` repeats, through views."""
        node = self.producers.get(value)
        while node is not None and node.op.kind == "view":
            node = self.producers.get(node.inputs[0])
        array = node.attrs["value"] if node is not None and node.op is constant else None
        return array.reshape(()) if array is not None and array.size == 1 else None

    def from_bytes(self, node: Node) -> tuple[Value | None, list[_Step]]:
        """The bytes that the result of `node` is computed of, if that is so, and the steps, the first one first."""
        steps: list[_Step] = []
        at: Node | None = node
        while at is not None and at.op.kind == "elementwise" and at.op.guard is None:
            others = [i for i, v in enumerate(at.inputs) if self.of(v) is None]
            if len(others) != 1:
                break
            steps.insert(0, _Step(at, others[0]))
            value = at.inputs[others[0]]
            if _is_byte(value.type.dtype):
                return value, steps
            at = self.producers.get(value)
        return None, []

    def applied_to(self, array: Array, steps: Sequence[_Step]) -> Array:
        """What the steps make of numbers, by the reference."""
        with np.errstate(all="ignore"):
            for step in steps:
                rest = [self.of(v) for v in step.node.inputs]
                operands = [array if x is None else np.broadcast_to(x, array.shape) for x in rest]
                (array,) = step.node.op.evaluate(operands, step.node.attrs)
        return array

    def change_nothing(self, source: Value, steps: Sequence[_Step]) -> bool:
        """Whether the steps give every byte of `source` back."""
        low, high = source.type.dtype.limits
        every = np.arange(low, high + 1).astype(source.type.dtype.numpy)
        return np.array_equal(self.applied_to(every, steps), every)


class _Mover:
    """One walk over the graph that writes anew what moves."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.numbers = _Numbers(graph)
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
                if node.op.kind != "elementwise" or any(self.numbers.of(v) is None for v in others):
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
        around = np.full(1, move.attrs["value"], move.output.type.dtype.numpy)
        attrs["value"] = int(self.numbers.applied_to(around, site.steps)[0])
        return self.builder.append(pad, parts, attrs).output

    def _permuted(self, value: Value, axes: tuple[int, ...]) -> Value:
        same = axes == tuple(range(len(axes)))
        return value if same else self.builder.append(permute, [value], {"axes": axes}).output

    def _is_read_once(self, value: Value) -> bool:
        return len(self.readers.get(value, ())) == 1 and value not in self.outputs

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
        number = self.numbers.of(value)
        assert number is not None, "only numbers stand beside what moves"
        return self.builder.append(broadcast, [self.builder.constant(number)], {"shape": shape}).output
