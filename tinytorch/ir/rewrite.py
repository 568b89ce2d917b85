"""Local rewrites: rules that replace the node of a pattern, applied until none fits.

A rule is a pattern and its replacement, both written with the operators (`rule(x * 1, x)`), or a function from a
node to its replacement (`local(op)(function)`). Rules have a direction and never make the graph worse; each stands
below the algebra that justifies it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tinytorch.ir.errors import PassError
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.operators import Operators
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.elementwise import add, and_, eq, mul, ne, or_, xor
from tinytorch.ir.ops.view import broadcast, reshape
from tinytorch.ir.types import TensorType

# Bit for bit, whatever the order: not maximum and minimum, which choose between 0.0 and -0.0 by position.
COMMUTATIVE = frozenset({add, mul, eq, ne, and_, or_, xor})


class Pattern(Operators):
    """What a value may look like; operators on patterns make larger patterns."""

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Application:
        return Application(op, tuple(operands), attrs)

    def _pair(self, name: str, other: Any, dtype: object = None) -> tuple[Any, Any]:
        return self, other if isinstance(other, Pattern) else Number(other)

    def _float(self, beside: Any = None) -> Any:
        return self

    def _would_round(self, other: Any) -> bool:
        return False

    def matches(self, value: Value, rewriter: Rewriter, bound: dict[str, Value]) -> bool:
        """Whether `value` looks like this; variables are entered in `bound`."""
        raise TypeError(f"{type(self).__name__} is not a pattern")

    def build(self, bound: Mapping[str, Value], rewriter: Rewriter) -> Term:
        """The value of this as a replacement."""
        raise TypeError(f"{type(self).__name__} cannot stand in a replacement")


@dataclass(frozen=True, eq=False)
class Var(Pattern):
    """Any value; the same one wherever the name comes again."""

    name: str

    def matches(self, value: Value, rewriter: Rewriter, bound: dict[str, Value]) -> bool:
        return bound.setdefault(self.name, value) is value

    def build(self, bound: Mapping[str, Value], rewriter: Rewriter) -> Term:
        return Term(rewriter, bound[self.name])


@dataclass(frozen=True, eq=False)
class Number(Pattern):
    """A tensor that is this number throughout; among floats 0.0 and -0.0 are two numbers, among integers one."""

    number: float

    def matches(self, value: Value, rewriter: Rewriter, bound: dict[str, Value]) -> bool:
        known = rewriter.number(value)
        if known is None or known != self.number:
            return False
        return not isinstance(known, float) or math.copysign(1, known) == math.copysign(1, self.number)


@dataclass(frozen=True, eq=False)
class Application(Pattern):
    """An op applied to what matches the operands, in either order where the op commutes."""

    op: Op
    operands: tuple[Any, ...]
    attrs: Attrs

    def matches(self, value: Value, rewriter: Rewriter, bound: dict[str, Value]) -> bool:
        node = rewriter.producers.get(value)
        return node is not None and node.op is self.op and self.matches_node(node, rewriter, bound)

    def matches_node(self, node: Node, rewriter: Rewriter, bound: dict[str, Value]) -> bool:
        if any(node.attrs.get(key) != value for key, value in self.attrs.items()):
            return False
        orders = (self.operands, self.operands[::-1]) if self.op in COMMUTATIVE else (self.operands,)
        for operands in orders:
            trial = dict(bound)
            if all(p.matches(v, rewriter, trial) for p, v in zip(operands, node.inputs, strict=True)):
                bound.update(trial)
                return True
        return False

    def build(self, bound: Mapping[str, Value], rewriter: Rewriter) -> Term:
        operands = [operand.build(bound, rewriter).value for operand in self.operands]
        return Term(rewriter, rewriter.emit(self.op, operands, self.attrs))


Local = Callable[["Rewriter", Node], "Term | None"]  # the replacement of a node's only output, or None


@dataclass(frozen=True)
class Rule:
    """What may replace the nodes of `ops`."""

    ops: tuple[Op, ...]
    apply: Local


def rule(pattern: Any, replacement: Any, when: Callable[[TensorType], bool] | None = None) -> Rule:
    """Replace what matches `pattern` by `replacement`, if the type of the result fulfils `when`."""

    def apply(rewriter: Rewriter, node: Node) -> Term | None:
        bound: dict[str, Value] = {}
        if (when is None or when(node.output.type)) and pattern.matches_node(node, rewriter, bound):
            return replacement.build(bound, rewriter)
        return None

    return Rule((pattern.op,), apply)


def local(*ops: Op) -> Callable[[Local], Rule]:
    """Make a rule for `ops` of a function that gives a node's replacement, or None where it does not fit."""
    return lambda apply: Rule(ops, apply)


def table(rules: Sequence[Rule]) -> dict[Op, list[Local]]:
    """The rules by op, in order."""
    found: dict[Op, list[Local]] = {}
    for each in rules:
        for op in each.ops:
            found.setdefault(op, []).append(each.apply)
    return found


@dataclass(frozen=True, eq=False)
class Term(Operators):
    """A value of the rewritten graph; ops applied to it are simplified at once."""

    rewriter: Rewriter
    value: Value

    @property
    def type(self) -> TensorType:
        return self.value.type

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Term:
        return Term(self.rewriter, self.rewriter.emit(op, [o.value for o in operands], attrs))

    def constant(self, array: Array) -> Term:
        return Term(self.rewriter, self.rewriter.constant(array))


class Rewriter(Builder):
    """One walk over a graph in order, in which each node meets the rules once its operands are done.

    What a rule makes meets the rules in turn before it is entered, and rules look at operands only: after one
    walk none fits any more.
    """

    def __init__(self, graph: Graph, rules: Mapping[Op, Sequence[Local]]) -> None:
        super().__init__(graph.name, list(graph.inputs))
        self.rules = rules
        self.depth = 0  # of rules that wait for what they have made to be simplified
        self.producers: dict[Value, Node] = {}
        self._starts: dict[Node, list[int]] = {}
        self._numbers: dict[Value, float | None] = {}
        self._uses = Counter(v for node in graph.nodes for v in node.inputs)
        self._uses.update(graph.outputs)

    # What rules ask.
    def term(self, value: Value) -> Term:
        return Term(self, value)

    def producer(self, value: Value, op: Op) -> Node | None:
        """The node that computes `value`, if it applies `op`."""
        node = self.producers.get(value)
        return node if node is not None and node.op is op else None

    def number(self, value: Value) -> float | None:
        """The number that every element of `value` is, a float for floats and an int for others, if that is known."""
        if value not in self._numbers:
            self._numbers[value] = self._find_number(value)
        return self._numbers[value]

    def _find_number(self, value: Value) -> float | None:
        node = self.producers.get(value)
        while node is not None and node.op in (broadcast, reshape):
            node = self.producers.get(node.inputs[0])
        array = None if node is None or node.op is not constant else node.attrs["value"]
        if array is None or array.size != 1:
            return None
        return float(array.reshape(())) if value.type.dtype.is_float else int(array.reshape(()))

    def starts(self, joined: Node) -> list[int]:
        """Where each operand of a concat begins along its axis, and where the last one ends."""
        if joined not in self._starts:
            axis = joined.attrs["axis"]
            self._starts[joined] = [0, *accumulate(v.type.shape[axis] for v in joined.inputs)]
        return self._starts[joined]

    def single_use(self, value: Value) -> bool:
        """Whether at most one node reads `value`; false if in doubt."""
        return self._uses.get(value, 1) <= 1

    # The walk.
    def append(self, op: Op, inputs: Sequence[Value], attrs: Attrs, names: Sequence[str] = ()) -> Node:
        node = super().append(op, inputs, attrs, names)
        self.producers.update(dict.fromkeys(node.outputs, node))
        return node

    def emit(self, op: Op, inputs: Sequence[Value], attrs: Attrs) -> Value:
        """`op` applied to values of the new graph, simplified."""
        (type,) = op.result_types([v.type for v in inputs], attrs)
        self.depth += 1
        try:
            return self._place(Node(op, tuple(inputs), attrs, (Value(type),), self.loc))
        finally:
            self.depth -= 1

    def _place(self, node: Node) -> Value:
        """Enter `node`, or what the rules make of it."""
        for apply in self.rules.get(node.op, ()):
            found = apply(self, node)
            if found is not None:
                if found.type != node.output.type:
                    raise PassError(f"a rule replaced {node.op.name} of {node.output.type} by {found.type}", node.loc)
                return found.value
        self.nodes.append(node)
        self.producers[node.outputs[0]] = node
        return node.outputs[0]

    def run(self, graph: Graph) -> Graph:
        """The rewritten graph; `graph` itself if no rule fits. Nodes that nothing needs any more stay."""
        known: dict[Value, Value] = {}
        for node in graph.nodes:
            if any(v in known for v in node.inputs):
                node = Node(node.op, tuple(known.get(v, v) for v in node.inputs), node.attrs, node.outputs, node.loc)
            if len(node.outputs) != 1:
                self.nodes.append(node)
                continue
            self.loc = node.loc
            before = len(self.nodes)
            old, new = node.outputs[0], self._place(node)
            if new is not old and not self._rename(new, old, before):
                known[old] = new
                self._uses[new] += self._uses[old]
        if len(self.nodes) == len(graph.nodes) and all(a is b for a, b in zip(self.nodes, graph.nodes, strict=True)):
            return graph
        return graph.with_nodes(self.nodes, [known.get(v, v) for v in graph.outputs])

    def _rename(self, new: Value, old: Value, before: int) -> bool:
        """If `new` was computed by the last node and since `before`, let that node define `old`, and so keep its
        name and identity."""
        last = self.nodes[-1] if len(self.nodes) > before else None
        if last is None or last.outputs != (new,) or last.op is constant:
            return False
        self.nodes[-1] = self.producers[old] = Node(last.op, last.inputs, last.attrs, (old,), last.loc)
        del self.producers[new]
        return True


def rewrite(graph: Graph, rules: Mapping[Op, Sequence[Local]]) -> Graph:
    """`graph` with `rules` (see `table`) applied until none fits; `graph` itself if nothing changed."""
    return Rewriter(graph, rules).run(graph)
