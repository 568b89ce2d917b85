"""Local rewrites: rules that replace the node of a pattern, applied until none fits.

A rule is a pattern and its replacement, both written with the operators (`rule(x * 1, x)`), or a function from a
node to its replacement (`local(op)(function)`). An op with several results gives a tuple of patterns, which stand for
the results of one node. Rules have a direction and never make the graph worse; each stands
below the algebra that justifies it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tinytorch.ir.errors import PassError
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.listening import listener
from tinytorch.ir.op import Array, Attrs, Op, as_tuple, unpacked
from tinytorch.ir.operators.operators import Operators
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.elementwise import add, and_, eq, mul, ne, or_, xor
from tinytorch.ir.ops.view import broadcast, reshape
from tinytorch.ir.types import TensorType

# Bit for bit, whatever the order: not maximum and minimum, which choose between 0.0 and -0.0 by position.
COMMUTATIVE = frozenset({add, mul, eq, ne, and_, or_, xor})

# What the parts of a pattern stand for: by the name of a variable its value, by an application of an op with several
# results these.
Bound = dict[Hashable, tuple[Value, ...]]


class Pattern(Operators):
    """What a value may look like; operators on patterns make larger patterns."""

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Any:
        application = Application(op, tuple(operands), attrs)
        return unpacked([Result(application, i) for i in range(op.results)])

    def _pair(self, name: str, other: Any, dtype: object = None) -> tuple[Any, Any]:
        return self, other if isinstance(other, Pattern) else Number(other)

    def _float(self, beside: Any = None) -> Any:
        return self

    def _would_round(self, other: Any) -> bool:
        return False

    def matches(self, value: Value, rewriter: Rewriter, bound: Bound) -> bool:
        """Whether `value` looks like this; what parts of the pattern stand for is entered in `bound`."""
        raise TypeError(f"{type(self).__name__} is not a pattern")

    def build(self, bound: Bound, rewriter: Rewriter) -> Term:
        """The value of this as a replacement."""
        raise TypeError(f"{type(self).__name__} cannot stand in a replacement")


@dataclass(frozen=True, eq=False)
class Var(Pattern):
    """Any value; the same one wherever the name comes again."""

    name: str

    def __str__(self) -> str:
        return self.name

    def matches(self, value: Value, rewriter: Rewriter, bound: Bound) -> bool:
        return bound.setdefault(self.name, (value,))[0] is value

    def build(self, bound: Bound, rewriter: Rewriter) -> Term:
        return Term(rewriter, bound[self.name][0])


@dataclass(frozen=True, eq=False)
class Number(Pattern):
    """A tensor that is this number throughout; among floats 0.0 and -0.0 are two numbers, among integers one."""

    number: float

    def __str__(self) -> str:
        return f"{self.number:g}"

    def matches(self, value: Value, rewriter: Rewriter, bound: Bound) -> bool:
        known = rewriter.number(value)
        if known is None or known != self.number:
            return False
        return not isinstance(known, float) or math.copysign(1, known) == math.copysign(1, self.number)


@dataclass(frozen=True, eq=False)
class Application:
    """An op applied to what matches the operands, in either order where the op commutes."""

    op: Op
    operands: tuple[Any, ...]
    attrs: Attrs

    def __str__(self) -> str:
        return f"{self.op.name}({', '.join(map(str, self.operands))})"

    def matches_node(self, node: Node, rewriter: Rewriter, bound: Bound) -> bool:
        if self in bound:  # by another result of it
            return bound[self] == node.outputs
        if any(node.attrs.get(key) != value for key, value in self.attrs.items()):
            return False
        orders = (self.operands, self.operands[::-1]) if self.op in COMMUTATIVE else (self.operands,)
        for operands in orders:
            trial = dict(bound)
            if all(p.matches(v, rewriter, trial) for p, v in zip(operands, node.inputs, strict=True)):
                bound.update(trial)
                if len(node.outputs) > 1:
                    bound[self] = node.outputs
                return True
        return False

    def build(self, bound: Bound, rewriter: Rewriter) -> tuple[Value, ...]:
        """The results of the node that the pattern has found, or else of a new one."""
        if self in bound:
            return bound[self]
        made = rewriter.emit(self.op, [x.build(bound, rewriter).value for x in self.operands], self.attrs)
        if len(made) > 1:
            bound[self] = made
        return made


@dataclass(frozen=True, eq=False)
class Result(Pattern):
    """One result of an application: where several of it are named, they are those of one node."""

    application: Application
    index: int

    def __str__(self) -> str:
        return str(self.application) if self.application.op.results == 1 else f"{self.application}[{self.index}]"

    def matches(self, value: Value, rewriter: Rewriter, bound: Bound) -> bool:
        applied, node = self.application, rewriter.producers.get(value)
        if node is None or node.op is not applied.op or node.outputs[self.index] is not value:
            return False
        return applied.matches_node(node, rewriter, bound)

    def build(self, bound: Bound, rewriter: Rewriter) -> Term:
        return Term(rewriter, self.application.build(bound, rewriter)[self.index])


# The replacement of a node's result, or of each of several; None where the rule does not fit.
Local = Callable[["Rewriter", Node], "Term | tuple[Term, ...] | None"]
_PATTERNS: dict[Local, tuple[Application, Any]] = {}  # of rules that have one, and what replaces it


@dataclass(frozen=True)
class Rule:
    """What may replace the nodes of `ops`."""

    ops: tuple[Op, ...]
    apply: Local


def rule(pattern: Any, replacement: Any, when: Callable[[TensorType], bool] | None = None) -> Rule:
    """Replace what matches `pattern` by `replacement`, if the type of the (first) result fulfils `when`. For an op with
    several results, both are tuples: the results of one application, and a replacement for each."""
    applied: Application = as_tuple(pattern)[0].application
    if [(x.application, x.index) for x in as_tuple(pattern)] != [(applied, i) for i in range(applied.op.results)]:
        raise TypeError(f"the pattern of a rule has all results of {applied.op.name}, in order")

    def apply(rewriter: Rewriter, node: Node) -> Term | tuple[Term, ...] | None:
        bound: Bound = {}
        if (when is None or when(node.outputs[0].type)) and applied.matches_node(node, rewriter, bound):
            bound.pop(applied, None)  # the node itself is not there
            return unpacked([x.build(bound, rewriter) for x in as_tuple(replacement)])
        return None

    _PATTERNS[apply] = applied, replacement
    return Rule((applied.op,), apply)


def rule_name(apply: Local) -> str:
    """What a rule is called: by its pattern, `mul(x, 1) → x`, or by the name of its function."""
    if apply not in _PATTERNS:
        return getattr(apply, "__name__", type(apply).__name__).strip("_")
    applied, replacement = _PATTERNS[apply]
    return f"{applied} → {', '.join(map(str, as_tuple(replacement)))}"


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

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Any:
        made = self.rewriter.emit(op, [o.value for o in operands], attrs)
        return unpacked([Term(self.rewriter, value) for value in made])

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

    def emit(self, op: Op, inputs: Sequence[Value], attrs: Attrs) -> tuple[Value, ...]:
        """The results of `op` applied to values of the new graph, simplified."""
        types = op.result_types([v.type for v in inputs], attrs)
        return self._place(Node(op, tuple(inputs), attrs, tuple(map(Value, types)), self.loc))

    def _place(self, node: Node) -> tuple[Value, ...]:
        """Enter `node`, or what the rules make of it; its results then."""
        for apply in self.rules.get(node.op, ()):
            found = apply(self, node)
            if found is not None:
                new = tuple(term.value for term in as_tuple(found))
                if [v.type for v in new] != [v.type for v in node.outputs]:
                    was, now = (", ".join(str(v.type) for v in values) for values in (node.outputs, new))
                    raise PassError(f"a rule replaced {node.op.name} of {was} by {now}", node.loc)
                heard = listener.get()
                if heard is not None:
                    heard.rewrote(rule_name(apply), node, new, self.producers)
                return new
        self.nodes.append(node)
        self.producers.update(dict.fromkeys(node.outputs, node))
        return node.outputs

    def run(self, graph: Graph) -> Graph:
        """The rewritten graph; `graph` itself if no rule fits. Nodes that nothing needs any more stay."""
        known: dict[Value, Value] = {}
        for node in graph.nodes:
            if any(v in known for v in node.inputs):
                node = Node(node.op, tuple(known.get(v, v) for v in node.inputs), node.attrs, node.outputs, node.loc)
            self.loc = node.loc
            before = len(self.nodes)
            placed = self._place(node)
            if placed == node.outputs or self._rename(placed, node.outputs, before):
                continue
            for old, new in zip(node.outputs, placed, strict=True):
                known[old] = new
                self._uses[new] += self._uses[old]
        if len(self.nodes) == len(graph.nodes) and all(a is b for a, b in zip(self.nodes, graph.nodes, strict=True)):
            return graph
        return graph.with_nodes(self.nodes, [known.get(v, v) for v in graph.outputs])

    def _rename(self, new: tuple[Value, ...], old: tuple[Value, ...], before: int) -> bool:
        """If `new` are the results of the last node, made since `before`, let that node define `old`, and so keep their
        names and identity."""
        last = self.nodes[-1] if len(self.nodes) > before else None
        if last is None or last.outputs != new or last.op is constant:
            return False
        self.nodes[-1] = renamed = Node(last.op, last.inputs, last.attrs, old, last.loc)
        for value in new:
            del self.producers[value]
        self.producers.update(dict.fromkeys(old, renamed))
        return True


def rewrite(graph: Graph, rules: Mapping[Op, Sequence[Local]]) -> Graph:
    """`graph` with `rules` (see `table`) applied until none fits; `graph` itself if nothing changed."""
    return Rewriter(graph, rules).run(graph)
