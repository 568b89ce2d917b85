"""What graphs are made of: values, nodes, and bodies, which are nodes in order with inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.loc import Loc
from tinytorch.ir.op import Attrs, Op, unpacked
from tinytorch.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor in a graph: equal only to itself. `name` is a hint for printing and may be empty."""

    type: TensorType
    name: str = ""

    def __repr__(self) -> str:
        return f"%{self.name or '_'}:{self.type}"


@dataclass(frozen=True, eq=False)
class Region:
    """A piece of a program whose inner values are computed again for gradients instead of kept; it may lie in an
    `outer` one."""

    outer: Region | None = None

    @property
    def enclosing(self) -> list[Region]:
        """The region itself, then those around it."""
        return [self, *(self.outer.enclosing if self.outer is not None else ())]


@dataclass(frozen=True, eq=False)
class Node:
    """One application of an op. `region` is for the autodiff pass, which runs first; other passes do not keep it."""

    op: Op
    inputs: tuple[Value, ...]
    attrs: Attrs
    outputs: tuple[Value, ...]
    loc: Loc | None = None
    region: Region | None = None

    @property
    def output(self) -> Value:
        """The only result."""
        (value,) = self.outputs
        return value

    @property
    def flops(self) -> int:
        """Operations, as the op counts them."""
        return self.op.flops([v.type for v in self.inputs], unpacked([v.type for v in self.outputs]), self.attrs)


@dataclass(frozen=True, eq=False)
class Body:
    """A pure function of tensors. `state` pairs the index of an input with the index of the output that is its
    new value; the runtime writes the new value into the old one's storage."""

    name: str
    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Value, ...]
    state: tuple[tuple[int, int], ...] = ()

    def producers(self) -> dict[Value, Node]:
        """Which node computes each value (graph inputs are absent)."""
        return {value: node for node in self.nodes for value in node.outputs}

    def users(self) -> dict[Value, list[Node]]:
        """The nodes that read each value, once per operand position; outputs of the graph are not counted."""
        found: dict[Value, list[Node]] = {value: [] for value in self.inputs}
        for node in self.nodes:
            for value in node.inputs:
                found[value].append(node)
            for value in node.outputs:
                found[value] = []
        return found
