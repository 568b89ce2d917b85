"""What a graph costs, exactly, before it runs: operations, traffic and memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.ops.core import constant, detach


@dataclass(frozen=True)
class NodeCost:
    """One node: floating-point (or integer) operations, and bytes read and written."""

    node: Node
    flops: int
    bytes_read: int
    bytes_written: int

    @property
    def intensity(self) -> float:
        """Operations per byte of traffic; 0 for a node that moves nothing."""
        traffic = self.bytes_read + self.bytes_written
        return self.flops / traffic if traffic else 0.0


@dataclass(frozen=True)
class Cost:
    """Totals of a graph. `parameters` counts the elements of its state inputs, `parameter_bytes` their size;
    `peak_bytes` is the most memory alive at one time when the nodes run in the given order."""

    flops: int
    bytes_read: int
    bytes_written: int
    parameters: int
    parameter_bytes: int
    peak_bytes: int
    rows: tuple[NodeCost, ...]


def cost(graph: Graph, parameters: Collection[int] | None = None) -> Cost:
    """The cost of running `graph` node by node: each reads its operands once, and writes its results once, but for
    those of several that nothing needs.

    Views share the buffer of their operand, and neither move bytes nor need memory; reading a view reads the bytes
    that it shows, at most those of its buffer. A buffer is freed after its last reader, and none is written in
    place; inputs, constants and outputs stay. `parameters` are the indexes of inputs to count, by default the state.
    """
    buffers = _buffers(graph)
    needed = {*graph.outputs, *(v for node in graph.nodes for v in node.inputs)}
    rows = tuple(_node_cost(node, buffers, needed) for node in graph.nodes)
    chosen = [i for i, _ in graph.state] if parameters is None else parameters
    held = [graph.inputs[i].type for i in chosen]
    return Cost(
        flops=sum(row.flops for row in rows),
        bytes_read=sum(row.bytes_read for row in rows),
        bytes_written=sum(row.bytes_written for row in rows),
        parameters=sum(type.size for type in held),
        parameter_bytes=sum(type.bytes for type in held),
        peak_bytes=_peak_bytes(graph, buffers, needed),
        rows=rows,
    )


def _is_alias(node: Node) -> bool:
    """Whether the result is the operand's buffer."""
    return node.op.kind == "view" or node.op is detach


def _buffers(graph: Graph) -> dict[Value, Value]:
    """The value in whose buffer each value lies."""
    found = {value: value for value in graph.inputs}
    for node in graph.nodes:
        found.update((v, found[node.inputs[0]] if _is_alias(node) else v) for v in node.outputs)
    return found


def _node_cost(node: Node, buffers: dict[Value, Value], needed: set[Value]) -> NodeCost:
    if _is_alias(node) or node.op is constant:
        return NodeCost(node, 0, 0, 0)
    read = sum(min(v.type.bytes, buffers[v].type.bytes) for v in set(node.inputs))
    written = _written(node, needed)
    return NodeCost(node, node.flops, read, sum(v.type.bytes for v in written))


def _written(node: Node, needed: set[Value]) -> list[Value]:
    """The results of a node that are stored: of several, those that something needs."""
    return [v for v in node.outputs if v in needed or len(node.outputs) == 1]


def _peak_bytes(graph: Graph, buffers: dict[Value, Value], needed: set[Value]) -> int:
    """The most bytes alive while a node runs: inputs, constants, its operands and results, and what is needed later."""
    permanent = {*graph.inputs, *(node.output for node in graph.nodes if node.op is constant)}
    last: dict[Value, int] = {}
    for index, node in enumerate(graph.nodes):
        last.update((buffers[v], index) for v in (*node.inputs, *_written(node, needed)))
    last.update((buffers[v], len(graph.nodes)) for v in graph.outputs)
    now = most = sum(v.type.bytes for v in permanent)
    for index, node in enumerate(graph.nodes):
        written = _written(node, needed)
        now += sum(v.type.bytes for v in written if buffers[v] is v and v not in permanent)
        most = max(most, now)
        dying = {buffers[v] for v in (*node.inputs, *written)} - permanent
        now -= sum(v.type.bytes for v in dying if last[v] == index)
    return most
