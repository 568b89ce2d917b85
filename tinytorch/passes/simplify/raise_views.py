"""Permutes, flips and slices move in front of elementwise ops, all of them in one walk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.op import Op
from tinytorch.ir.ops.core import custom_grad
from tinytorch.ir.ops.view import flip, permute, slice_
from tinytorch.ir.types import Shape
from tinytorch.passes.dce import dce

_VIEWS = frozenset({permute, flip, slice_})


def raise_views(graph: Graph) -> Graph:
    """Compute elementwise ops of views instead of views of them, where nothing else reads them: for slices, since that
    computes only what is read; for permutes and flips if the view is read by an elementwise op or a reduction, since
    both can then be one kernel, which reads its operands by strides.

        %1 = add(%x, %y)                       %3 = permute(%x) {axes=(1, 0)}
        %2 = permute(%1) {axes=(1, 0)}   -->   %4 = permute(%y) {axes=(1, 0)}
        %3 = exp(%2)                           %5 = add(%3, %4); %6 = exp(%5)

    Views that meet on the way become one: time grows with the nodes, however many views a chain has. Guarded ops stay,
    as they report the lanes that a slice would leave out. The graph itself is returned if nothing moves.
    """
    found = _Demands(graph)
    return dce(_rebuild(graph, found)) if found.views else graph


@dataclass(frozen=True)
class _Axis:
    """Element i of an axis of a view is element `start + step * i` of `axis`."""

    axis: int
    start: int
    step: int
    size: int


_View = tuple[_Axis, ...]


def _whole(shape: Shape) -> _View:
    return tuple(_Axis(i, 0, 1, size) for i, size in enumerate(shape))


def _behind(node: Node, view: _View) -> _View:
    """The view of the operand of `node` that is `view` of its result."""
    axes: tuple[int, ...] = node.attrs["axes"] if node.op is not slice_ else ()
    if node.op is permute:
        return tuple(_Axis(axes[a.axis], a.start, a.step, a.size) for a in view)
    shape = node.inputs[0].type.shape
    if node.op is flip:
        flipped = {axis % len(shape) for axis in axes}
        return tuple(
            _Axis(a.axis, shape[a.axis] - 1 - a.start, -a.step, a.size) if a.axis in flipped else a for a in view
        )
    starts, steps = node.attrs["starts"], node.attrs["steps"]
    return tuple(_Axis(a.axis, starts[a.axis] + steps[a.axis] * a.start, steps[a.axis] * a.step, a.size) for a in view)


class _Demands:
    """Of which elementwise results only a view is wanted: `views`. `sources` are the operands that their readers take
    instead, behind views that are passed by, and `operands` what raised ops want of theirs."""

    def __init__(self, graph: Graph) -> None:
        self.producers = graph.producers()
        self.uses = Counter(v for node in graph.nodes for v in node.inputs)
        self.uses.update(graph.outputs)
        self.views: dict[Value, _View] = {}
        self.operands: dict[Node, list[tuple[Value, _View]]] = {}
        self.sources: dict[Node, list[Value]] = {}
        for node in reversed(graph.nodes):
            wanted = self.views.get(node.outputs[0])
            if wanted is not None:
                self.operands[node] = [self._want(*self._source(v, wanted)) for v in node.inputs]
            elif node.op is slice_:
                self._look(node, node.output)
            elif _computes(node) or node.op.kind == "reduce":
                self._look(node, *node.inputs)

    def _look(self, node: Node, *values: Value) -> None:
        """Let `node`, or the readers of the slice that it is, read what lies behind views."""
        found = list(values)
        for i, value in enumerate(values):
            producer = self.producers.get(value)
            if producer is None or producer.op not in _VIEWS or not (producer is node or self.uses[value] == 1):
                continue
            passed = frozenset({slice_}) if producer is node else _VIEWS
            source, view = self._source(producer.inputs[0], _behind(producer, _whole(value.type.shape)), passed)
            if self._can_raise(source) and source not in self.views:  # unless a reader of `node` has passed it by
                self._want(source, view)
                found[i] = source
        if found != list(values):
            self.sources[node] = found

    def _source(self, value: Value, view: _View, passed: frozenset[Op] = _VIEWS) -> tuple[Value, _View]:
        """`view` of `value`, passing by the views of these ops that nothing else reads."""
        node = self.producers.get(value)
        while node is not None and node.op in passed and self.uses[value] == 1:
            value, view = node.inputs[0], _behind(node, view)
            node = self.producers.get(value)
        return value, view

    def _want(self, value: Value, view: _View) -> tuple[Value, _View]:
        if self._can_raise(value) and view != _whole(value.type.shape):
            self.views[value] = view
        return value, view

    def _can_raise(self, value: Value) -> bool:
        node = self.producers.get(value)
        return node is not None and _computes(node) and node.op.guard is None and self.uses[value] == 1


def _computes(node: Node) -> bool:
    return node.op.kind == "elementwise" and bool(node.inputs) and node.op is not custom_grad


def _rebuild(graph: Graph, found: _Demands) -> Graph:
    builder = Builder(graph.name, list(graph.inputs))
    known: dict[Value, Value] = {}

    def now(value: Value) -> Value:
        return known.get(value, value)

    for node in graph.nodes:
        builder.loc = node.loc
        sources = found.sources.get(node)
        if node in found.operands:
            operands = [_viewed(builder, now(v), v, view, found) for v, view in found.operands[node]]
            known[node.output] = builder.append(node.op, operands, node.attrs, [node.output.name]).output
        elif sources is not None and node.op is slice_:
            known[node.output] = now(sources[0])
        else:
            inputs = tuple(map(now, sources or node.inputs))
            same = inputs == node.inputs
            builder.nodes.append(node if same else Node(node.op, inputs, node.attrs, node.outputs, node.loc))
    return graph.with_nodes(builder.nodes, [now(v) for v in graph.outputs])


def _viewed(builder: Builder, value: Value, original: Value, view: _View, found: _Demands) -> Value:
    """`view` of `original`, which is `value` by now: as it is if that was computed so."""
    if original in found.views or view == _whole(original.type.shape):
        return value
    axes = tuple(a.axis for a in view)
    if axes != tuple(range(len(axes))):
        value = builder.append(permute, [value], {"axes": axes}, [original.name]).output
    windows = [_window(a) for a in view]
    if any(window != (0, size, 1) for window, size in zip(windows, value.type.shape, strict=True)):
        starts, limits, steps = zip(*windows, strict=True)
        attrs = {"starts": starts, "limits": limits, "steps": steps}
        value = builder.append(slice_, [value], attrs, [original.name]).output
    flipped = tuple(i for i, a in enumerate(view) if a.step < 0)
    return builder.append(flip, [value], {"axes": flipped}, [original.name]).output if flipped else value


def _window(a: _Axis) -> tuple[int, int, int]:
    """The start, limit and step of the slice that has the elements of an axis in rising order."""
    if a.size == 0:
        return 0, 0, abs(a.step)
    last = a.start + a.step * (a.size - 1)
    return min(a.start, last), max(a.start, last) + 1, abs(a.step)
