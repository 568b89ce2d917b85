"""Which indices of the axes of a graph's inputs go together, so that a model stays whole where some are taken out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.op import Array
from tinytorch.passes.dce import dce
from tinytorch.passes.expand import expand
from tinytorch.passes.tied_axes.paths import Path, common_factors, in_order, joined, path
from tinytorch.passes.tied_axes.slots import Slots

_Axes = list[Array]  # for each axis of a value, the slots of its indices


@dataclass(frozen=True)
class TiedAxes:
    """`classes[value]` has, for each axis of an input of the graph, the class of every index: indices of one class go
    together or not at all, -1 stays. `reasons[value]` says for each axis why the first index stays that does, or is
    empty. `computed` has the classes of what modules compute, each with the path of the module."""

    classes: Mapping[Value, tuple[Array, ...]]
    reasons: Mapping[Value, tuple[str, ...]]
    computed: Sequence[tuple[str, tuple[Array, ...]]]


def tied_axes(graph: Graph, free: Collection[Value]) -> TiedAxes:
    """For the inputs `free` of a graph, such as weights, which of their indices go together, and which stay.

    An index can go if all that reads it is linear in it, a product or a convolution, which then has one term less; if
    that term was 0, results are what they were. So these stay: what is an input or a result of the graph, what is
    reduced, sorted or looked up along the axis, what meets constants there. Elementwise ops and concatenations tie
    axes, views carry them on, however they are cut and joined; channels of grouped convolutions are products of groups
    and channels in them. The graph may be before or behind `expand`.
    """
    finder = _Finder(Slots())
    for value in graph.inputs:
        finder.start(value, "" if value in free else "it is an input")
    graph = dce(expand(graph))
    for node in graph.nodes:
        finder.visit(node)
    for value in graph.outputs:
        finder.fix(value, "it is a result")
    labels, reasons = finder.slots.solve()
    stays = np.zeros(len(labels) + 1, np.bool_)
    stays[list(reasons)] = True

    def classes(value: Value) -> tuple[Array, ...]:
        return tuple(np.where(stays[x], -1, x) for x in (labels[slots] for slots in finder.axes[value]))

    def why(value: Value) -> tuple[str, ...]:
        return tuple(_first_reason(labels[slots], stays, reasons) for slots in finder.axes[value])

    return TiedAxes(
        {value: classes(value) for value in graph.inputs},
        {value: why(value) for value in graph.inputs},
        [(node.loc.scope if node.loc else "", classes(value)) for node in graph.nodes for value in node.outputs],
    )


def _first_reason(labels: Array, stays: Array, reasons: Mapping[int, str]) -> str:
    held = labels[stays[labels]]
    return reasons[int(held[0])] if held.size else ""


class _Finder:
    """The slots of every axis of every value, as nodes tie them."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.axes: dict[Value, _Axes] = {}

    def start(self, value: Value, reason: str = "") -> None:
        """New slots for a value; those of an axis with one index stay, for it would be empty."""
        self.axes[value] = [self.slots.fresh(size) for size in value.type.shape]
        for axis in self.axes[value]:
            if reason or len(axis) == 1:
                self.slots.fix(axis, reason or "the axis has one index")

    def fix(self, value: Value, reason: str) -> None:
        for axis in self.axes[value]:
            self.slots.fix(axis, reason)

    def visit(self, node: Node) -> None:
        """Tie the axes of a node's results to those of its operands."""
        if node.op.axes is not None:
            _Formula(self, node).tie(node.op.axes([v.type for v in node.inputs], node.attrs))
        else:
            self._by_kind(node)

    def _by_kind(self, node: Node) -> None:
        kinds: dict[str, Callable[[Node], None]] = {
            "elementwise": self._alike, "random": self._made, "reduce": self._reduced,
            "view": self._moved, "move": self._moved,
        }  # fmt: skip
        kinds.get(node.op.kind, self._opaque)(node)

    def _made(self, node: Node) -> None:
        """Numbers of a shape that follows its neighbours."""
        for value in node.outputs:
            self.axes[value] = [self.slots.fresh(size) for size in value.type.shape]

    def _opaque(self, node: Node) -> None:
        for value in node.outputs:
            self.start(value, because(node))
        for value in node.inputs:
            self.fix(value, because(node))

    def _alike(self, node: Node) -> None:
        """Operands and results have one shape."""
        if not node.inputs:
            self._constant(node)
            return
        first, *others = (self.axes[v] for v in node.inputs)
        for other in others:
            for a, b in zip(first, other, strict=True):
                self.slots.unite(a, b)
        self.axes.update((value, first) for value in node.outputs)

    def _constant(self, node: Node) -> None:
        """Its indices stay along axes on which its elements depend; along others they are what a shape says."""
        self._made(node)
        array = np.asarray(node.op.eval(**node.attrs))
        for axis, slots in enumerate(self.axes[node.output]):
            if array.size and (array != np.take(array, [0], axis)).any():
                self.slots.fix(slots, "it meets a constant")

    def _reduced(self, node: Node) -> None:
        (value,) = node.inputs
        axes: _Axes = []
        for slots, size in zip(self.axes[value], node.output.type.shape, strict=True):
            if len(slots) != size:
                self.slots.fix(slots, because(node))
            axes.append(slots if len(slots) == size else self._single())
        self.axes[node.output] = axes

    def _single(self) -> Array:
        slots = self.slots.fresh(1)
        self.slots.fix(slots, "the axis has one index")
        return slots

    # Views and moves: their `eval`, on indices, tells where elements go.
    def _moved(self, node: Node) -> None:
        self._made(node)
        out = node.output
        reached = [np.zeros(size, np.bool_) for size in out.type.shape]
        for position, value in enumerate(node.inputs):
            if out.type.size and value.type.size:
                self._carry(node, position, reached)
        for slots, known in zip(self.axes[out], reached, strict=True):
            if node.op.kind == "move" and not known.all():  # of what is filled in; a view has repeated it instead
                self.slots.fix(slots[~known], because(node))

    def _carry(self, node: Node, position: int, reached: Sequence[Array]) -> None:
        """Tie the axes of an operand to those of the result; `reached` notes at which indices of these it stands."""
        value, results = node.inputs[position], self.axes[node.output]
        paths: list[Path] = []
        for axis, size in enumerate(value.type.shape):
            found = path(node, position, axis) if size > 1 else None
            if found is not None and found.targets:
                paths.append(found)
            elif found is not None:
                self.slots.fix(self.axes[value][axis], because(node))  # one index, which has its number
            elif size > 1:
                self.fix(value, because(node))
                self.fix(node.output, because(node))
        for group in joined(paths):
            self._tie(node, self.axes[value], results, sorted(group, key=lambda p: p.axis))
            for axis in {axis for each in group for axis in each.targets}:
                reached[axis][group[0].places[axis]] = True

    def _tie(self, node: Node, axes: _Axes, results: _Axes, group: list[Path]) -> None:
        """Axes that go to axes of the result: one to one, or as a reshape cuts and joins them."""
        first, targets = group[0], sorted({axis for each in group for axis in each.targets})
        ends = [results[axis][first.places[axis]] for axis in targets]
        if len(targets) == len(group) == 1:
            self.slots.unite(axes[first.axis][first.indices], ends[0])
            return
        starts = [axes[each.axis] for each in group]
        sizes = common_factors([len(x) for x in starts], [len(x) for x in ends])
        if sizes is None or not in_order(group, targets, [len(x) for x in starts]):
            for slots in (*starts, *ends):
                self.slots.fix(slots, because(node))
            return
        factors = [self.slots.fresh(size) for size in sizes]
        self._split(starts, factors)
        self._split(ends, factors)

    def _split(self, axes: Sequence[Array], factors: Sequence[Array]) -> None:
        """Axes as products of factors, which are in the same order."""
        left = list(factors)
        for slots in axes:
            parts: list[Array] = []
            while math.prod(map(len, parts)) < len(slots):
                parts.append(left.pop(0))
            self.product(slots, parts)

    def product(self, slots: Array, parts: Sequence[Array]) -> None:
        """An axis as the product of others, the slowest first; those with one index do not count."""
        index = np.indices([len(part) for part in parts]).reshape(len(parts), -1)
        factors = [part[i] for part, i in zip(parts, index, strict=True) if len(part) > 1]
        if len(factors) == 1:
            self.slots.unite(slots, factors[0])
        elif factors:
            self.slots.product(slots, factors)


def because(node: Node) -> str:
    """Why what a node reads or makes stays."""
    return f"{node.op.name} at {node.loc}" if node.loc else node.op.name


# Formulas.
class _Formula:
    """The axes of one node as its op writes them, as in `m k, k n -> m n`: each letter has slots."""

    def __init__(self, finder: _Finder, node: Node) -> None:
        self.finder, self.node, self.slots = finder, node, finder.slots
        self.letters: dict[str, Array] = {}

    def tie(self, formula: str) -> None:
        """Tie operands and results."""
        sides = [[_terms(part) for part in side.split(",")] for side in formula.split("->")]
        values = [*self.node.inputs, *self.node.outputs]
        terms = [*sides[0], *sides[1]]
        for value in self.node.outputs:
            self.finder.start(value)
        self._size(values, terms)
        for value, axes in zip(values, terms, strict=True):
            for slots, names in zip(self.finder.axes[value], axes, strict=True):
                self._axis(slots, names)

    def _size(self, values: Sequence[Value], terms: Sequence[Sequence[tuple[str, ...]]]) -> None:
        """Slots for each letter; of a group of letters, one at most stands nowhere else."""
        axes = [(n, a) for v, t in zip(values, terms, strict=True) for n, a in zip(v.type.shape, t, strict=True)]
        for size, names in sorted(axes, key=lambda item: len(item[1])):
            unknown = [name for name in names if name not in self.letters and name != "."]
            known = math.prod(len(self.letters[name]) for name in names if name in self.letters)
            for name in unknown:
                self.letters[name] = self.slots.fresh(size // known)

    def _axis(self, slots: Array, names: tuple[str, ...]) -> None:
        if names == (".",):
            self.slots.fix(slots, because(self.node))
            return
        self.finder.product(slots, [self.letters[name] for name in names])


def _terms(text: str) -> list[tuple[str, ...]]:
    """The axes of one value: `b . (g c)` has b, one of its own, and the product of g and c."""
    return [tuple(term.strip("()").split()) for term in re.findall(r"\([^)]*\)|\S+", text)]
