"""Cheap values that are read through views alone are computed again behind these, instead of stored."""

from __future__ import annotations

from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.lanes.cost import lane_cost
from tinytorch.ir.ops.core import custom_grad
from tinytorch.ir.ops.view import broadcast, flip, permute, reshape
from tinytorch.passes.dce import dce

_CHEAP = 4  # instructions that are not worth two trips through memory
_SMALL = 8  # times smaller, an operand costs little to read
_VIEWS = frozenset({flip, permute, reshape})


def repeat_behind_views(graph: Graph) -> Graph:
    """Where elementwise ops and reductions read views of a value, it would have to be stored. If it is made by a few
    instructions of one value that is stored anyway, and of small ones, they compute it again of those instead:

        %y = mul(%x, %r)                                %1 = mul(reshape(%x), reshape(%r))
        %a = mul(reshape(%y), %cos)                     %a = mul(%1, %cos)
        %b = mul(flip(reshape(%y)), %sin)         -->   %2 = mul(flip(reshape(%x)), flip(reshape(%r)))
        %c = add(%a, %b)                                %b = mul(%2, %sin); %c = add(%a, %b)

    So a normalised row that its position turns is read in halves, as they are and exchanged, in one kernel. Values that
    ops of other kinds read are stored anyway, and stay. The graph itself is returned if nothing is repeated.
    """
    return _Repeat(graph).run()


class _Repeat:
    """One run of the pass."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers = graph.producers()
        self.users = graph.users()
        self.outputs = frozenset(graph.outputs)
        self.builder = Builder(graph.name, list(graph.inputs))
        self.again: dict[Value, bool] = {}  # whether readers compute a value again, where it was asked
        self.repeated: dict[tuple[Value, tuple[Node, ...]], Value] = {}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if _computes(node) and any(map(_views, self.users.get(node.output, ()))):
                self._is_repeated(node.output)  # in order, so that no answer waits for a long chain of others
            self.builder.loc = node.loc
            inputs = tuple(map(self._read, node.inputs)) if _is_lanewise(node) else node.inputs
            same = inputs == node.inputs
            self.builder.nodes.append(node if same else Node(node.op, inputs, node.attrs, node.outputs, node.loc))
        return dce(self.graph.with_nodes(self.builder.nodes, self.graph.outputs)) if self.repeated else self.graph

    def _read(self, value: Value) -> Value:
        """`value`, computed again behind its views if that is cheap."""
        views: list[Node] = []
        node = self.producers.get(value)
        while node is not None and node.op in _VIEWS:
            views.append(node)
            node = self.producers.get(node.inputs[0])
        source = views[-1].inputs[0] if views else value
        return self._repeat(source, tuple(views)) if views and self._is_repeated(source) else value

    def _is_repeated(self, value: Value) -> bool:
        """Whether readers of a value compute it again."""
        if value not in self.again:
            leaves: set[Value] = set()
            cost = self._cost(value, leaves)
            large = [v for v in leaves if v.type.size * _SMALL > value.type.size]
            cheap = cost is not None and cost <= _CHEAP and len(large) <= 1
            self.again[value] = cheap and self._is_read_lanewise(value)
        return self.again[value]

    def _cost(self, value: Value, leaves: set[Value]) -> int | None:
        """Instructions that compute `value` again of `leaves`, which are in memory; None where that cannot be."""
        node = self.producers.get(value)
        if node is None or not _computes(node):
            return None
        cost = lane_cost(node)
        for operand in node.inputs:
            small = self._behind_broadcast(operand)
            if self._is_stored(small) or small.type.size * _SMALL <= value.type.size:
                leaves.add(small)
                continue
            inner = self._cost(operand, leaves) if cost <= _CHEAP else None
            if inner is None:
                return None
            cost += inner
        return cost

    def _behind_broadcast(self, value: Value) -> Value:
        node = self.producers.get(value)
        return node.inputs[0] if node is not None and node.op is broadcast else value

    def _is_stored(self, value: Value) -> bool:
        """Whether a value is in memory anyway: an input, a constant, a view, or what others view."""
        node = self.producers.get(value)
        if node is None or not node.inputs or _views(node):
            return True
        return any(map(_views, self.users[value])) and not self._is_repeated(value)

    def _is_read_lanewise(self, value: Value) -> bool:
        """Whether elementwise ops and reductions alone read a value, through whatever views."""
        if value in self.outputs:
            return False
        readers = self.users.get(value, ())
        return all(_is_lanewise(n) or (n.op.kind == "view" and self._is_read_lanewise(n.output)) for n in readers)

    def _repeat(self, value: Value, views: tuple[Node, ...]) -> Value:
        """`value` behind views of it, the last one first."""
        known = self.repeated.get((value, views))
        if known is not None:
            return known
        node = self.producers[value]
        operands: list[Value] = []
        for operand in node.inputs:
            small = self._behind_broadcast(operand)
            again = not self._is_stored(small) and small.type.size * _SMALL > value.type.size
            operands.append(self._repeat(operand, views) if again else self._viewed(operand, views))
        made = self.builder.append(node.op, operands, node.attrs, [node.output.name]).output
        self.repeated[value, views] = made
        return made

    def _viewed(self, value: Value, views: tuple[Node, ...]) -> Value:
        small = self._behind_broadcast(value)
        if small.type.rank == 0:  # a number stays one
            return self.builder.append(broadcast, [small], {"shape": views[0].output.type.shape}).output
        for view in reversed(views):
            value = self.builder.append(view.op, [value], view.attrs, [value.name]).output
        return value


def _is_lanewise(node: Node) -> bool:
    return node.op.kind in ("elementwise", "reduce")


def _computes(node: Node) -> bool:
    return node.op.kind == "elementwise" and bool(node.inputs) and node.op is not custom_grad and node.op.guard is None


def _views(node: Node) -> bool:
    """Whether a node reads its operand in memory, and not at each of its own elements."""
    return node.op.kind == "view" and node.op is not broadcast
