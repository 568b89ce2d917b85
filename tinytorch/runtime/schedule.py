"""Order kernels into waves, and give every value a place in memory.

A wave is a set of kernels that do not depend on each other: one fork and join of the thread pool runs them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.layout import Layout, layouts
from tinytorch.ir.op import Array
from tinytorch.ir.ops.core import copy, kernel
from tinytorch.runtime.arena import Interval, place

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


@dataclass(frozen=True)
class Place:
    """Where a buffer lies: graph input or output `index`, constant `index`, or `index` bytes into the arena."""

    kind: Literal["input", "output", "constant", "arena"]
    index: int


@dataclass(frozen=True)
class Argument:
    """A kernel's operand or result: dtype and shape from `value`, where it lies, and how."""

    value: Value
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
    def guarded(self) -> bool:
        """Whether the kernel checks something, and may stop the graph."""
        return any(n.op.guard is not None for n in self.body.nodes)


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
    return _Planner(graph).plan()


def constants_of(graph: Graph) -> tuple[Array, ...]:
    """The constants that kernels read from memory, as the schedule numbers them."""
    return tuple(np.ascontiguousarray(node.attrs["value"]) for node in filter(_is_constant, graph.nodes))


def _is_constant(node: Node) -> bool:
    return node.op.name == "constant"


class _Planner:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layouts = layouts(graph)
        self.kernels = [node for node in graph.nodes if node.op is kernel]
        self.after: dict[Node, set[Node]] = {node: set() for node in self.kernels}  # what must run before
        self.readers: dict[Value, list[Node]] = {}
        maker = {v: n for n in self.kernels for v in n.outputs}
        for node in self.kernels:
            for base in {self.layouts[v].base for v in node.inputs}:
                self.readers.setdefault(base, []).append(node)
                if base in maker:
                    self.after[node].add(maker[base])
        self.makers = maker
        self.places: dict[Value, Place] = {}
        self.shared: dict[Value, Value] = {}  # results that take over the buffer of an operand

    def plan(self) -> Schedule:
        self._place_inputs_and_outputs()
        levels = self._levels()
        self._share_buffers(levels)
        arena_bytes = self._place_arena(levels)
        waves: list[list[Call]] = [[] for _ in range(max(levels.values(), default=-1) + 1)]
        for node in self.kernels:
            waves[levels[node]].append(self._call(node))
        return Schedule(self.graph, tuple(map(tuple, waves)), arena_bytes, constants_of(self.graph))

    # Inputs, constants, outputs and state.
    def _place_inputs_and_outputs(self) -> None:
        for i, value in enumerate(self.graph.inputs):
            self.places[value] = Place("input", i)
        for i, node in enumerate(filter(_is_constant, self.graph.nodes)):
            self.places[node.output] = Place("constant", i)
        state = {output: index for index, output in self.graph.state}
        guards = [n for n in self.kernels if any(b.op.guard for b in n.attrs["body"].nodes)]
        for i, output in enumerate(self.graph.outputs):
            value = self.layouts[output].base  # a whole buffer, maybe under another shape
            if i in state:
                self._place_state(value, self.graph.inputs[state[i]], guards)
            else:
                self.places[value] = Place("output", i)

    def _place_state(self, new: Value, old: Value, guards: Sequence[Node]) -> None:
        """Write `new` into the storage of `old`: at once if everything else that reads `old` or checks something
        can run before, else by a copy at the end."""
        if not self._write_over(old, new, guards):
            writer, target = self._copy_of(new)
            self.places[target] = self.places[old]
            self.after[writer] |= {*self.readers.get(old, ()), *guards, self.makers[new]} - {writer}

    def _write_over(self, old: Value, new: Value, guards: Sequence[Node]) -> bool:
        """Let `new` be made in the storage of `old`, if that may be; and if it is an update, what it updates too."""
        maker = self.makers[new]
        if maker in guards or not self._comes_last(maker, old, guards):  # what checks may stop half-way
            return False
        self.places[new] = self.places[old]
        base = self.layouts[_updated(maker)].base if _is_update(maker) else old
        alike = base in self.makers and base not in self.places and base.type.bytes == old.type.bytes
        if alike and self._comes_last(maker, base, ()):
            self._write_over(old, base, guards)
        return True

    def _comes_last(self, node: Node, operand: Value, guards: Sequence[Node]) -> bool:
        """Let `node` run behind all else that reads `operand`, and behind `guards`, if it may overwrite `operand`."""
        before = {n for n in [*self.readers.get(operand, ()), *guards] if n is not node}
        if not _may_overwrite(node, operand, self.layouts) or any(self._reaches(n, node) for n in before):
            return False
        self.after[node] |= before
        return True

    def _copy_of(self, value: Value) -> tuple[Node, Value]:
        """A kernel that copies `value`."""
        body = Builder()
        body_graph = body.build([body.append(copy, [body.input(value.type)], {}).output])
        target = Value(value.type, value.name)
        node = Node(kernel, (value,), {"family": "loop", "body": body_graph}, (target,), None)
        self.kernels.append(node)
        self.after[node] = set()
        self.makers[target] = node
        self.readers.setdefault(value, []).append(node)
        self.layouts[target] = Layout(target, 0, self.layouts[value].strides)
        return node, target

    def _reaches(self, late: Node, early: Node) -> bool:
        """Whether `late` must run after `early`."""
        seen: set[Node] = set()
        stack = [late]
        while stack:
            node = stack.pop()
            if node is early:
                return True
            if node not in seen:
                seen.add(node)
                stack.extend(self.after[node])
        return False

    # Waves.
    def _levels(self) -> dict[Node, int]:
        """The wave of each kernel: the first in which all that it needs has run."""
        levels: dict[Node, int] = {}
        for root in self.kernels:
            stack = [root]
            while stack:
                node = stack[-1]
                waiting = [n for n in self.after[node] if n not in levels]
                if waiting:
                    stack.extend(waiting)
                    continue
                levels[node] = 1 + max((levels[n] for n in self.after[node]), default=-1)
                stack.pop()
        return levels

    # The arena.
    def _last_use(self, value: Value, levels: dict[Node, int]) -> int:
        return max((levels[n] for n in self.readers.get(value, ())), default=levels[self.makers[value]])

    def _share_buffers(self, levels: dict[Node, int]) -> None:
        """Let elementwise kernels and updates write their results over an operand that nothing reads afterwards."""
        taken: set[Value] = set()
        for node in sorted(self.kernels, key=levels.__getitem__):
            for result in node.outputs:
                if result in self.places:
                    continue
                for operand in dict.fromkeys(self.layouts[v].base for v in node.inputs):
                    dies = operand in self.makers and self._last_use(operand, levels) == levels[node]
                    alone = all(n is node or levels[n] < levels[node] for n in self.readers.get(operand, ()))
                    free = dies and alone and operand not in self.places and operand not in taken
                    if free and operand.type.bytes == result.type.bytes and _may_overwrite(node, operand, self.layouts):
                        taken.add(operand)
                        self.shared[result] = operand
                        break

    def _place_arena(self, levels: dict[Node, int]) -> int:
        spans: dict[Value, tuple[int, int]] = {}
        for node in self.kernels:
            for value in node.outputs:
                if value not in self.places:
                    root = self._root(value)
                    first, last = spans.get(root, (levels[node], levels[node]))
                    spans[root] = (min(first, levels[node]), max(last, self._last_use(value, levels)))
        intervals = [Interval(first, last, root.type.bytes) for root, (first, last) in spans.items()]
        offsets, size = place(intervals, ALIGNMENT)
        placed = dict(zip(spans, offsets, strict=True))
        for node in self.kernels:
            for value in node.outputs:
                if value not in self.places:
                    self.places[value] = Place("arena", placed[self._root(value)])
        return size

    def _root(self, value: Value) -> Value:
        while value in self.shared:
            value = self.shared[value]
        return value

    def _call(self, node: Node) -> Call:
        return Call(node, tuple(map(self._argument, node.inputs)), tuple(map(self._argument, node.outputs)))

    def _argument(self, value: Value) -> Argument:
        layout = self.layouts[value]
        return Argument(value, self.places[layout.base], layout.offset, layout.strides)


def _is_update(node: Node) -> bool:
    """Whether a kernel replaces parts of an operand; such a kernel has one node."""
    return node.attrs["body"].nodes[0].op.kind == "update"


def _updated(node: Node) -> Value:
    """The operand of which the kernel replaces parts."""
    body: Graph = node.attrs["body"]
    return node.inputs[body.inputs.index(body.nodes[0].inputs[0])]


def _may_overwrite(node: Node, operand: Value, known: dict[Value, Layout]) -> bool:
    """Whether the kernel's result may take the place of `operand`: because it does not read it, reads it only at the
    index that it writes (elementwise code), or keeps most of it (an update); over the whole buffer in row-major order.
    """
    read = [v for v in node.inputs if known[v].base is operand]
    if not read:
        return True
    if any(not _is_all_of(v, known[v]) or v.type != node.outputs[0].type for v in read):
        return False
    body: Graph = node.attrs["body"]
    inner = {b for v, b in zip(node.inputs, body.inputs, strict=True) if v in read}
    if _is_update(node):
        return inner == {body.nodes[0].inputs[0]} and body.nodes[0].inputs.count(*inner) == 1
    if any(n.op.kind in ("reduce", "index", "view") and n.op.name != "broadcast" for n in body.nodes):
        return False
    return not any(n.op.kind not in ("elementwise", "random") and inner.intersection(n.inputs) for n in body.nodes)


def _is_all_of(value: Value, layout: Layout) -> bool:
    return layout.offset == 0 and layout.is_contiguous(value.type.shape)
