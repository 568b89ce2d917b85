"""Order kernels into waves, and give every value a place in memory.

A wave is a set of kernels that do not depend on each other: one fork and join of the thread pool runs them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.kernels.index_ranges import guard_indices
from tinytorch.ir.kernels.layout import Layout, layouts
from tinytorch.ir.kernels.liveness import Liveness
from tinytorch.ir.kernels.result_order import as_computed
from tinytorch.ir.op import Array
from tinytorch.ir.ops.core import copy, kernel
from tinytorch.ir.ops.view import after
from tinytorch.ir.order import Order, Vertex
from tinytorch.runtime.arena import ALIGNMENT, Interval, place
from tinytorch.runtime.joined import joined


@dataclass(frozen=True)
class Place:
    """Where a buffer lies: graph input or output `index`, constant `index`, or `index` bytes into the arena."""

    kind: Literal["input", "output", "constant", "arena"]
    index: int


@dataclass(frozen=True)
class Argument:
    """A kernel's operand or result: dtype and shape from `value`, where it lies, and how."""

    value: Value
    base: Value  # of whose buffer it is a part, or all
    place: Place
    offset: int  # in elements
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One kernel with its arguments, operands then results."""

    node: Node
    operands: tuple[Argument, ...]
    results: tuple[Argument, ...]

    @property
    def body(self) -> Graph:
        return self.node.attrs["body"]

    @property
    def family(self) -> str:
        return self.node.attrs["family"]

    @property
    def overwritten(self) -> int | None:
        """The operand whose buffer an update writes its result over, in which it keeps what it does not replace."""
        first = self.body.nodes[0]
        if first.op.kind != "update":
            return None
        base = self.body.inputs.index(first.inputs[0])
        return base if self.operands[base].place == self.results[0].place else None

    @property
    def covering(self) -> tuple[int, ...]:
        """The results that lie where an operand does."""
        taken = {operand.place for operand in self.operands if operand.place.kind != "constant"}
        return tuple(i for i, result in enumerate(self.results) if result.place in taken)

    @property
    def guarded(self) -> bool:
        """Whether the kernel checks something, and may stop the graph."""
        return _is_guarded(self.body)


@dataclass(frozen=True)
class Schedule:
    """The waves, the size of the arena in bytes, and the constants, which the runtime keeps in memory."""

    graph: Graph
    waves: tuple[tuple[Call, ...], ...]
    arena_bytes: int
    constants: tuple[Array, ...]


def schedule(graph: Graph) -> Schedule:
    """Plan a graph of kernels and views: outputs are written where they belong, new values of state into the old
    ones' storage where nothing still reads them, and all else into one arena whose space is used again."""
    return Planner(graph).plan()


def liveness(graph: Graph) -> Liveness:
    """What passes may ask about the schedule of a graph of kernels, as it will be run."""
    planner = Planner(guard_indices(graph))
    planned = planner.plan()
    stored = frozenset(
        v for v, place in planner.places.items() if place.kind == "arena" and planner.layouts[v].base is v
    )
    return Liveness({v: planner.steps[n].wave for v, n in planner.makers.items()}, stored, planned.arena_bytes)


def constants_of(graph: Graph) -> tuple[Array, ...]:
    """The constants that kernels read from memory, as the schedule numbers them."""
    return tuple(np.ascontiguousarray(node.attrs["value"]) for node in filter(_is_constant, graph.nodes))


def _is_constant(node: Node) -> bool:
    return node.op.name == "constant"


def _is_guarded(body: Graph) -> bool:
    return any(n.op.guard is not None for n in body.nodes)


class _Step(Vertex):
    """A kernel that must run after those that it needs; without a `node`, only the point in time when they have."""

    def __init__(self, node: Node | None) -> None:
        super().__init__()
        self.node = node
        self.wave = -1


class Planner:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layouts = layouts(graph)
        self.joined = joined(graph, self.layouts)
        for parts in self.joined.values():
            self.layouts.update(parts)
        self.order = Order()
        self.steps: dict[Node, _Step] = {}  # of all kernels
        self.readers: dict[Value, list[Node]] = {}
        self.makers: dict[Value, Node] = {}
        self.last: dict[Value, tuple[int, int]] = {}  # the last wave that reads a buffer, and how many kernels of it
        self.places: dict[Value, Place] = {}
        # Results that take over the buffer of an operand, or lie in a larger one.
        self.shared = {part: node.output for node, parts in self.joined.items() for part in parts}
        self.waited_for: dict[Value, tuple[Node, ...]] = {}  # what must have run before a view is read
        for node in graph.nodes:
            if node.op is kernel:
                self._enter(node)
            elif node.op.kind == "view":
                self._note_order(node)

    def _note_order(self, view: Node) -> None:
        known = self.waited_for.get(view.inputs[0], ())
        if view.op is after:
            other = self.layouts[view.inputs[1]].base
            known = (*known, self.makers[other]) if other in self.makers else known
        if known:
            self.waited_for[view.output] = known

    def _enter(self, node: Node) -> None:
        is_joined = node in self.joined
        bases = list(self.joined[node]) if is_joined else list(dict.fromkeys(self.layouts[v].base for v in node.inputs))
        makers = [self.makers[base] for base in bases if base in self.makers]
        makers += [maker for value in node.inputs for maker in self.waited_for.get(value, ())]
        needs = dict.fromkeys(map(self.steps.__getitem__, makers))
        step = self.steps[node] = _Step(None if is_joined else node)
        self.order.enter(step, needs)
        for base in () if is_joined else bases:
            self.readers.setdefault(base, []).append(node)
        self.makers.update(dict.fromkeys(node.outputs, node))

    def plan(self) -> Schedule:
        self._place_inputs_and_outputs()
        waves = self._waves()
        self._find_last_uses()
        self._share_buffers(waves)
        arena_bytes = self._place_arena()
        calls = tuple(tuple(map(self._call, wave)) for wave in waves)
        return Schedule(self.graph, calls, arena_bytes, constants_of(self.graph))

    # Inputs, constants, outputs and state.
    def _place_inputs_and_outputs(self) -> None:
        for i, value in enumerate(self.graph.inputs):
            self.places[value] = Place("input", i)
        for i, node in enumerate(filter(_is_constant, self.graph.nodes)):
            self.places[node.output] = Place("constant", i)
        state = {output: index for index, output in self.graph.state}
        checked = _Step(None)  # the point in time when every guard has held
        self.order.enter(checked, (step for node, step in self.steps.items() if _is_guarded(node.attrs["body"])))
        for i, output in enumerate(self.graph.outputs):
            value = self.layouts[output].base  # a whole buffer, maybe under another shape
            if i in state:
                self._place_state(value, self.graph.inputs[state[i]], checked)
            else:
                self.places[value] = Place("output", i)

    def _place_state(self, new: Value, old: Value, checked: _Step) -> None:
        """Write `new` into the storage of `old`: at once if everything else that reads `old`, and all that checks
        something, can run before, else by a copy at the end."""
        if not self._write_over(old, new, checked):
            before = [checked, *(self.steps[n] for n in self.readers.get(old, ()))]
            writer, target = self._copy_of(new)
            self.places[target] = self.places[old]
            for step in before:
                self.order.need(writer, step)

    def _write_over(self, old: Value, new: Value, checked: _Step) -> bool:
        """Let `new` be made in the storage of `old`, if that may be; and if it is an update, what it updates too."""
        maker = self.makers[new]
        if maker in self.joined:
            return False
        if _is_guarded(maker.attrs["body"]) or not self._comes_last(
            maker, old, new, checked
        ):  # a check may stop half-way
            return False
        self.places[new] = self.places[old]
        base = self.layouts[_updated(maker)].base if _is_update(maker) else old
        alike = base in self.makers and base not in self.places and base.type.bytes == old.type.bytes
        if alike and self._comes_last(maker, base, new, None):
            self._write_over(old, base, checked)
        return True

    def _comes_last(self, node: Node, operand: Value, result: Value, checked: _Step | None) -> bool:
        """Let `node` run behind all else that reads `operand`, and behind `checked`, if it may write `result` over
        `operand`."""
        writer = self.steps[node]
        before = [self.steps[n] for n in self.readers.get(operand, ()) if n is not node]
        before += [] if checked is None else [checked]
        possible = _may_overwrite(node, operand, result, self.layouts)
        if not possible or not all(self.order.put_before(step, writer) for step in before):
            return False
        for step in before:
            self.order.need(writer, step)
        return True

    def _copy_of(self, value: Value) -> tuple[_Step, Value]:
        """A kernel that copies `value`."""
        body = Builder()
        body_graph = body.build([body.append(copy, [body.input(value.type)], {}).output])
        target = Value(value.type, value.name)
        node = Node(kernel, (value,), {"family": "loop", "body": body_graph}, (target,), None)
        self.layouts[target] = Layout(target, 0, self.layouts[value].strides)
        self._enter(node)
        return self.steps[node], target

    # Waves.
    def _waves(self) -> list[list[Node]]:
        """The kernels of each wave: the first in which all that they need has run."""
        for step in self.order:
            assert isinstance(step, _Step)
            latest = max((n.wave for n in step.needs if isinstance(n, _Step)), default=-1)
            step.wave = latest if step.node is None else latest + 1
        waves: list[list[Node]] = [[] for _ in range(max((s.wave for s in self.steps.values()), default=-1) + 1)]
        for node, step in self.steps.items():
            if step.node is not None:
                waves[step.wave].append(node)
        return waves

    # The arena.
    def _find_last_uses(self) -> None:
        for value in self.makers:
            waves = [self.steps[n].wave for n in self.readers.get(value, ())]
            latest = max(waves, default=self.steps[self.makers[value]].wave)
            self.last[value] = latest, waves.count(latest)

    def _share_buffers(self, waves: Sequence[Sequence[Node]]) -> None:
        """Let kernels write their results over an operand that nothing reads afterwards."""
        taken: set[Value] = set()
        for number, wave in enumerate(waves):
            for node in wave:
                operands = dict.fromkeys(self.layouts[v].base for v in node.inputs)
                # What this kernel alone reads in this wave, and nothing later.
                dying = [v for v in operands if self.last.get(v) == (number, 1) and v not in self.places]
                for result in node.outputs:
                    if result in self.places or result in self.shared:
                        continue
                    for operand in dying:
                        fits = operand not in taken and operand.type.bytes == result.type.bytes
                        if fits and _may_overwrite(node, operand, result, self.layouts):
                            taken.add(operand)
                            self.shared[result] = self._root(operand)
                            break

    def _place_arena(self) -> int:
        spans: dict[Value, tuple[int, int]] = {}
        inside = [value for value in self.makers if value not in self.places]
        for value in inside:
            root, wave = self._root(value), self.steps[self.makers[value]].wave
            first, last = spans.get(root, (wave, wave))
            spans[root] = min(first, wave), max(last, self.last[value][0])
        intervals = [Interval(first, last, root.type.bytes) for root, (first, last) in spans.items()]
        offsets, size = place(intervals, ALIGNMENT)
        placed = dict(zip(spans, offsets, strict=True))
        for value in inside:
            self.places[value] = Place("arena", placed[self._root(value)])
        return size

    def _root(self, value: Value) -> Value:
        """The value whose buffer this one lies in."""
        return self.shared.get(value, value)

    def _call(self, node: Node) -> Call:
        return Call(node, tuple(map(self._argument, node.inputs)), tuple(map(self._argument, node.outputs)))

    def _argument(self, value: Value) -> Argument:
        layout = self.layouts[value]
        return Argument(value, layout.base, self.places[layout.base], layout.offset, layout.strides)


def _is_update(node: Node) -> bool:
    """Whether a kernel replaces parts of an operand; such a kernel has one node."""
    return node.attrs["body"].nodes[0].op.kind == "update"


def _updated(node: Node) -> Value:
    """The operand of which the kernel replaces parts."""
    body: Graph = node.attrs["body"]
    return node.inputs[body.inputs.index(body.nodes[0].inputs[0])]


def _may_overwrite(node: Node, operand: Value, result: Value, known: dict[Value, Layout]) -> bool:
    """Whether the kernel's `result` may take the place of `operand`: because it does not read it, reads each element
    for the last time where it writes the result's (see `_is_read_before`), or keeps most of it (an update); over the
    whole buffer in row-major order."""
    read = [v for v in node.inputs if known[v].base is operand]
    if not read:
        return True
    if any(not _is_all_of(v, known[v]) or v.type != result.type for v in read):
        return False
    body: Graph = node.attrs["body"]
    if any(as_computed(body)[1]):  # it writes elsewhere than it reads
        return False
    inner = {b for v, b in zip(node.inputs, body.inputs, strict=True) if v in read}
    if _is_update(node):
        return inner == {body.nodes[0].inputs[0]} and body.nodes[0].inputs.count(*inner) == 1
    if any(n.op.kind in ("index", "move") for n in body.nodes):
        return False
    if any(n.op.kind not in ("elementwise", "random", "reduce") and inner.intersection(n.inputs) for n in body.nodes):
        return False
    return _is_read_before(body, inner, body.outputs[node.outputs.index(result)])


def _is_read_before(body: Graph, operands: set[Value], result: Value) -> bool:
    """Whether no element of `operands` is read once that of `result` at the same index has been written.

    Elementwise nodes read at the index that they write, provided that the result has all indices that there are.
    Reductions run in stages: what waits for n of them, one behind the other, is computed in stage n, for all indices
    that they go over, from the operands or from what was kept.
    """
    if any(v.type.size > result.type.size for n in body.nodes for v in n.outputs):
        return False
    stages: dict[Value, int] = {}
    anew = set(operands)  # what may be computed in every stage from the operands' element at the same index
    latest = 0  # the last stage that reads the operands
    for n in body.nodes:
        stage, reads = max((stages.get(v, 0) for v in n.inputs), default=0), not anew.isdisjoint(n.inputs)
        reduces = n.op.kind == "reduce" and n.inputs[0].type.size > n.outputs[0].type.size
        if reads and reduces:
            latest = max(latest, stage)
        elif reads and n.op.kind == "view":  # the same element at many indices
            return False
        elif reads:
            anew.update(n.outputs)
        stages.update(dict.fromkeys(n.outputs, stage + reduces))
    latest = max([latest, *(stages.get(v, 0) for v in body.outputs if v in anew)])
    return stages.get(result, 0) >= latest


def _is_all_of(value: Value, layout: Layout) -> bool:
    return layout.offset == 0 and layout.is_contiguous(value.type.shape)
