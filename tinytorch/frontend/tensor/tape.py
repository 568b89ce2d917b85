"""The tape of eager mode: how values were made, to be read backwards.

A tensor that is changed in place gets another history, so a value is not named by its tensor but by the node that made
it. Nodes therefore keep, beside their operands, the nodes that had made those at that time.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.frontend.tensor.gradient_hooks import Hooks, apply_hooks
from tinytorch.frontend.tensor.storage import version_of
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.graph import Node, Value
from tinytorch.ir.loc import Loc, user_loc
from tinytorch.ir.op import Array, Attrs, Nondiff, Op
from tinytorch.ir.ops.core import custom_grad

FREED = (
    "backward: the tape has been freed by an earlier backward(); pass retain_graph=True "
    "(results of a compiled function that calls backward() have no tape)"
)


@dataclass(eq=False, slots=True)
class TapeNode:
    """How a value was made: `operands` as they were, and the version of the result's storage. Where an op has several
    results, the node of each is number `index` `of` the node of their application, which has the `results`."""

    op: Op
    operands: tuple[TapeInput, ...] | None  # None once backward() has freed it
    attrs: Attrs
    version: int = 0
    of: TapeNode | None = None
    index: int = 0
    results: Sequence[Any] | None = None
    hooks: Hooks | None = None  # of the results, by their keys
    loc: Loc | None = None  # the user's line, where NaNs are looked for

    @property
    def key(self) -> Hashable:
        """What names the value among cotangents."""
        return id(self) if self.of is None else (id(self.of), self.index)

    def result(self, index: int) -> TapeNode:
        """The node of one of several results."""
        return TapeNode(self.op, (), {}, of=self, index=index)

    def free(self) -> None:
        """Let go of what backward() needed: operands, results, and the tensors in a rule of its own."""
        self.operands, self.attrs, self.results, self.hooks = None, {}, None, None


SPENT = TapeNode(custom_grad, None, {}, 0)  # of results whose tape is gone


@dataclass(eq=False, slots=True)
class TapeInput:
    """A tensor as an op met it: made by `node` (None: a leaf), its storage at `version`, differentiated or not; or as
    the op left it, its only `result`."""

    tensor: Any
    node: TapeNode | None
    version: int
    requires_grad: bool
    result: bool = False


def history_of(tensor: Any) -> TapeNode | None:
    """The node that made the values, None for a leaf."""
    tensor._refresh()
    return tensor._node


def _as_met(met: TapeInput, op: Op) -> Any:
    """A tensor with the values that an operand or result of `op` had."""
    return met.tensor._as_met(met, op)


def data_as_met(met: TapeInput, op: Op) -> Array:
    """The values of an operand or result of `op` as they were; TinyTorchError if it has been changed. A result is
    computed again where the operands are as they were: PyTorch keeps operands of norms and quotients, so programs
    change the results in place."""
    if version_of(met.tensor) == met.version:
        return met.tensor._data
    if not met.result or met.node is None or met.node.operands is None:
        raise TinyTorchError(f"backward: an operand of {op.name} was changed in place since", user_loc())
    arrays = [data_as_met(x, op) for x in met.node.operands]
    with np.errstate(all="ignore"):
        return np.asarray(op.eval(*arrays, **met.node.attrs))


@dataclass(eq=False, slots=True)
class Record:
    """A node as the rules see it: operands and results are tensors with the values that they had."""

    op: Op
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    attrs: Attrs
    node: TapeNode
    names: Sequence[Hashable]

    @property
    def output(self) -> Any:
        (result,) = self.outputs
        return result


@dataclass(eq=False, slots=True)
class _Outputs(Sequence[Any]):
    """The results of an op with several, of which those are computed that a rule reads."""

    node: TapeNode
    results: Sequence[Any]

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: Any) -> Any:
        tensor = self.results[index]
        return _as_met(TapeInput(tensor, self.node.result(index), 0, tensor.dtype.is_float), self.node.op)


def topological(root: Any, operands: Callable[[Any], Sequence[Any]], key: Callable[[Any], Hashable]) -> list[Any]:
    """`root` and all that it depends on, each once, behind its operands; `key` tells which are the same.

    `operands(x)` are what x was made of. Without recursion, as a tape may be longer than Python's stack is deep.
    """
    order: list[Any] = []
    seen: set[Hashable] = set()
    stack = [(root, False)]
    while stack:
        made, operands_done = stack.pop()
        if operands_done:
            order.append(made)
        elif key(made) not in seen:
            seen.add(key(made))
            stack.append((made, True))
            stack.extend((x, False) for x in operands(made))
    return order


def records(root: TapeInput) -> list[Record]:
    """What `root` depends on, in topological order."""
    if root.node is None:
        return []
    made = topological(root, _recorded_operands, lambda x: id(_application(x)))
    return [_record(_application(x), x.tensor) for x in made]


def _application(made: TapeInput) -> TapeNode:
    """The node of the op that made a tensor."""
    assert made.node is not None
    return made.node if made.node.of is None else made.node.of


def _recorded_operands(made: TapeInput) -> list[TapeInput]:
    """The operands on the tape; an error if it has been freed."""
    operands = _application(made).operands
    if operands is None:
        raise TinyTorchError(FREED, user_loc())
    return [x for x in operands if x.requires_grad and x.node is not None]


def _record(node: TapeNode, made: Any) -> Record:
    """The record of a node; `made` is its result, or one of several."""
    inputs = [_as_met(x, node.op) for x in node.operands or ()]
    if node.results is not None:
        outputs, names = _Outputs(node, node.results), [node.result(i).key for i in range(node.op.results)]
    else:
        outputs, names = (_as_met(TapeInput(made, node, node.version, True, True), node.op),), [node.key]
    return Record(node.op, inputs, outputs, node.attrs, node, names)


def hooked(tape: Sequence[Record], cotangents: dict[Hashable, Any]) -> Callable[[Record], None] | None:
    """What calls the hooks of the results of each record, where there are any."""
    if not any(record.node.hooks for record in tape):
        return None
    return lambda record: apply_hooks(record.node.hooks or {}, record.names, cotangents)


def between(nodes: Sequence[Node], ends: Collection[Value], output: Value) -> set[Value]:
    """The values of a graph under construction on the way from `ends` to `output`, without the ends: its tape. What is
    made together is on it together."""
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
            found.update(v for v in makers[value].outputs if v in active and v not in ends)
            stack.extend(makers[value].inputs)
    return found
