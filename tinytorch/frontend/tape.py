"""The tape of eager mode: how values were made, to be read backwards.

A tensor that is changed in place gets another history, so a value is not named by its tensor but by the node that made
it. Nodes therefore keep, beside their operands, the nodes that had made those at that time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.graph import Node, Value
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Attrs, Nondiff, Op
from tinytorch.ir.ops.core import custom_grad

FREED = (
    "backward: the tape has been freed by an earlier backward(); pass retain_graph=True "
    "(results of a compiled function that calls backward() have no tape)"
)


@dataclass(eq=False, slots=True)
class TapeNode:
    """How a value was made: `operands` as they were, and the version of the result's storage."""

    op: Op
    operands: tuple[Operand, ...] | None  # None once backward() has freed it
    attrs: Attrs
    version: int

    def free(self) -> None:
        """Let go of what backward() needed: operands, and the tensors in a rule of its own."""
        self.operands, self.attrs = None, {}


SPENT = TapeNode(custom_grad, None, {}, 0)  # of results whose tape is gone


@dataclass(eq=False, slots=True)
class Operand:
    """A tensor as an op met it: made by `node` (None: a leaf), its storage at `version`, differentiated or not."""

    tensor: Any
    node: TapeNode | None
    version: int
    requires_grad: bool


@dataclass(frozen=True, eq=False, slots=True)
class Record:
    """A node as the rules see it: operands and result are tensors with the values that they had."""

    op: Op
    inputs: Sequence[Any]
    output: Any
    attrs: Attrs
    node: TapeNode


def records(root: Operand, value: Callable[[Operand, Op], Any]) -> list[Record]:
    """What `root` depends on, in topological order; `value` gives a tensor for an operand of an op as it was."""
    order: list[Record] = []
    seen: set[int] = set()
    stack: list[tuple[Operand, bool]] = [(root, False)]
    while stack:
        made, done = stack.pop()
        node = made.node
        if node is None or (not done and id(node) in seen):
            continue
        if node.operands is None:
            raise TinyTorchError(FREED, user_loc())
        if done:
            inputs = [value(x, node.op) for x in node.operands]
            result = Operand(made.tensor, node, node.version, True)
            order.append(Record(node.op, inputs, value(result, node.op), node.attrs, node))
            continue
        seen.add(id(node))
        stack.append((made, True))
        stack.extend((x, False) for x in node.operands if x.requires_grad)
    return order


def between(nodes: Sequence[Node], ends: Collection[Value], output: Value) -> set[Value]:
    """The values of a graph under construction on the way from `ends` to `output`, without the ends: its tape."""
    active, makers = set(ends), dict[Value, Node]()
    for node in nodes:
        if not isinstance(node.op.vjp, Nondiff) and not active.isdisjoint(node.inputs):
            active.update(value for value in node.outputs if value.type.dtype.is_float)
            makers.update(dict.fromkeys(node.outputs, node))
    found: set[Value] = set()
    stack = [output]
    while stack:
        value = stack.pop()
        if value in active and value not in ends and value not in found:
            found.add(value)
            stack.extend(makers[value].inputs)
    return found
