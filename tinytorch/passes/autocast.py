"""Mixed precision for a graph that was traced without it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tinytorch.ir.autocast import autocast_dtype
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.ops.core import cast, constant
from tinytorch.ir.types import DType, TensorType


def autocast(graph: Graph, dtype: DType, keep: Collection[Value] = ()) -> Graph:
    """Compute in `dtype`, a 16-bit float, what `ir/autocast.py` says, and all else in the dtypes that follow from that.

        %y = matmul(%x, %w) : f32    -->    %1 = cast(%x) : bf16; %2 = cast(%w) : bf16
        %z = relu(%y) : f32                 %3 = matmul(%1, %2) : bf16
                                            %4 = relu(%3) : bf16
                                            %z = cast(%4) : f32

    Outputs, and values in `keep`, by which somebody will differentiate, have the types that they had and are the same
    values. It works on the graph of a training step as well, forward and backward. Nodes without an operand of another
    dtype stay as they are.
    """
    run = _Autocast(dtype, frozenset(graph.outputs), frozenset(keep))
    for node in graph.nodes:
        run.add(node)
    return graph if tuple(run.nodes) == graph.nodes else graph.with_nodes(run.nodes)


class _Autocast:
    """The nodes so far. `known` are values that stand in the places of others, `weak` ones numbers that take the dtype
    of what they meet, as Python's numbers do in a program."""

    def __init__(self, dtype: DType, outputs: frozenset[Value], keep: frozenset[Value]) -> None:
        self.dtype, self.outputs, self.keep = dtype, outputs, keep
        self.nodes: list[Node] = []
        self.known: dict[Value, Value] = {}
        self.weak: set[Value] = set()
        self._casts: dict[tuple[Value, DType], Value] = {}

    def add(self, node: Node) -> None:
        operands = [self.known.get(v, v) for v in node.inputs]
        low = autocast_dtype(node.op, [v.type for v in operands], self.dtype)
        if low is None:
            operands = self._alike(node, operands)
        else:
            operands = [self._cast(v, low, node) if v.type.dtype.is_float else v for v in operands]
        if tuple(operands) == node.inputs:
            self.nodes.append(node)
            self._note_number(node)
            return
        types = node.op.result_types([v.type for v in operands], node.attrs)
        outputs = tuple(
            old if type == old.type else Value(type, "") for old, type in zip(node.outputs, types, strict=True)
        )
        made = Node(node.op, tuple(operands), node.attrs, outputs, node.loc, node.region)
        self.nodes.append(made)
        self._note_number(made)
        for old, new in zip(node.outputs, outputs, strict=True):
            if new is old:
                continue
            if old in self.outputs or old in self.keep:
                attrs = {"dtype": old.type.dtype}
                self.nodes.append(Node(cast, (new,), attrs, (old,), node.loc, node.region))
            if old not in self.keep:
                self.known[old] = new

    def _alike(self, node: Node, operands: Sequence[Value]) -> list[Value]:
        """Operands that had one dtype have one again: the widest of those that are no mere numbers."""
        found = list(operands)
        for dtype in {v.type.dtype for v in node.inputs if v.type.dtype.is_float}:
            places = [i for i, v in enumerate(node.inputs) if v.type.dtype is dtype]
            firm = [found[i].type.dtype for i in places if found[i] not in self.weak]
            target = max(firm or [dtype], key=lambda d: d.bits)
            for i in places:
                found[i] = self._cast(found[i], target, node)
        return found

    def _cast(self, value: Value, dtype: DType, node: Node) -> Value:
        if value.type.dtype is dtype:
            return value
        if (value, dtype) not in self._casts:
            made = Value(TensorType(dtype, value.type.shape), "")
            self.nodes.append(Node(cast, (value,), {"dtype": dtype}, (made,), node.loc, node.region))
            self._casts[value, dtype] = made
            if value in self.weak:
                self.weak.add(made)
        return self._casts[value, dtype]

    def _note_number(self, node: Node) -> None:
        number = node.op is constant and node.output.type.size == 1
        if number or (node.op.kind == "view" and set(node.inputs) <= self.weak):
            self.weak.update(node.outputs)
