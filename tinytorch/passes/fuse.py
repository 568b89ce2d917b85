"""Group nodes into kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from tinytorch.ir.errors import PassError
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.lanecost import lane_cost
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.ops.pooling import max_pool2d, max_pool2d_index
from tinytorch.ir.ops.winograd import conv2d_winograd
from tinytorch.ir.types import Shape

Axes = tuple[int, ...]
CHEAP = 2  # instructions that are not worth a trip through memory
_CONVOLUTIONS = (conv2d.name, conv2d_winograd.name)
LANEWISE = ("elementwise", "reduce")  # kinds of ops that take their operands from registers
_POOLS = (max_pool2d, max_pool2d_index)
_WIDEST = 64  # places of a window that is pooled behind a convolution, where each of them has code of its own


@dataclass(eq=False)
class _Group:
    """Nodes that will be one kernel. `domain` is what its loops run over, `axes` those of them that it reduces."""

    family: str
    domain: Shape
    axes: Axes | None
    nodes: list[Node]
    contracts: bool = False  # it may have an epilogue
    needs: list[_Group] = field(default_factory=list["_Group"])  # groups that must run before it
    apart: list[_Group] = field(default_factory=list["_Group"])  # of these, the ones read in memory, not lane by lane
    absorbed_by: _Group | None = None

    def reduced(self) -> Shape:
        return tuple(1 if i in (self.axes or ()) else d for i, d in enumerate(self.domain))


def _find(group: _Group) -> _Group:
    """The group that `group` has become a part of."""
    while group.absorbed_by is not None:
        group = group.absorbed_by
    return group


def fuse(graph: Graph) -> Graph:
    """Every node that computes becomes part of a kernel; views between kernels stay, as strides.

        %2 = matmul(%x, %w)
        %3 = broadcast(%b)          -->   %5 = kernel(%x, %w, %3) {family="matmul", body=graph(…) {
        %4 = add(%2, %3)                           matmul, add, maximum }}
        %5 = maximum(%4, %zero)

    A node joins the group of an operand if both run over the same domain (elementwise ops behind a contraction are
    its epilogue; reductions over the same axes and what follows from them make a row kernel), and if no path leads
    from the group through another one back to the node, so that the groups can still be put in an order. A search for
    the largest elements and for their places is one kernel; where its windows tile what a convolution gives, and
    nothing else reads that, it is a part of the convolution's, which goes on with the smaller domain. PassError for a
    graph that has kernels already.
    """
    there = next((node for node in graph.nodes if node.op is kernel), None)
    if there is not None:
        raise PassError(f"fuse: {graph.name} has kernels already", there.loc)
    return _Fusion(graph).run()


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers = graph.producers()
        self.readers = graph.users()
        self.groups: dict[Node, _Group] = {}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if _computes(node):
                self.groups[node] = self._place(node)
        for node in reversed(self.graph.nodes):
            if node in self.groups and node.op.kind == "elementwise":
                self._sink(node)
        return self._rebuild()

    # Grouping.
    def _place(self, node: Node) -> _Group:
        group = _alone(node)
        host = self._search(node) if node.op in _POOLS else None
        if host is not None:
            return _absorb(host, group, _Union(host.family, group.domain, None))
        for value in node.inputs:
            found, direct = self._source(value)
            if found is not None:
                group.needs.append(found)
                if not direct or node.op.kind not in LANEWISE:
                    group.apart.append(found)
        if group.family == "loop":
            candidates = dict.fromkeys(map(_find, group.needs))
            for candidate in sorted(candidates, key=lambda g: not g.contracts):  # results in registers first
                merged = _union(candidate, group)
                if merged and not _ordered_between(candidate, group):
                    group = _absorb(candidate, group, merged)
        return group

    def _search(self, node: Node) -> _Group | None:
        """The group that a pooling is a part of: that of another one over the same windows, or a convolution's."""
        operand = node.inputs[0]
        readers = self.readers[operand]
        for other in readers:
            if other in self.groups and _same_windows(other, node):
                return _find(self.groups[other])
        group, _ = self._source(operand)
        if (
            group is None
            or group.family not in (conv2d.name, conv2d_winograd.name)
            or self.producers[operand] not in self.groups
        ):
            return None
        inside = {n for n in self.groups if _find(self.groups[n]) is group}
        alone = all(_same_windows(n, node) for n in readers) and operand not in self.graph.outputs
        alone = alone and not any(n.op in _POOLS for n in inside)
        for value in (v for n in inside for v in n.outputs if v is not operand):
            alone = alone and value not in self.graph.outputs and inside.issuperset(self.readers.get(value, ()))
        return group if alone and _tiles(node) else None

    def _source(self, value: Value) -> tuple[_Group | None, bool]:
        """The group that computes `value`, through views; and whether at most broadcasts stand between."""
        direct = True
        maker = self.producers.get(value)
        while maker is not None and maker.op.kind == "view" and maker not in self.groups:
            direct = direct and _stays_inside(maker)
            maker = self.producers.get(maker.inputs[0])
        group = self.groups.get(maker) if maker is not None else None
        return (None, False) if group is None else (_find(group), direct)

    def _sink(self, node: Node) -> None:
        """Move a node into the only kernel that reads it, where that reads what the node reads instead: a mask or a
        product with a constant is computed again from memory rather than stored for later."""
        group = _find(self.groups[node])
        readers = {_find(self.groups[n]) for n in self.readers.get(node.output, ()) if n in self.groups}
        if len(readers) != 1 or group in readers or not self._is_read_in_place(node.output):
            return
        (reader,) = readers
        fits = reader.domain == node.output.type.shape and (reader.family == "loop" or _in_epilogue(node))
        if not (reader.family == "loop" or reader.contracts) or not fits or lane_cost(node) > CHEAP:
            return
        if any(self._inside(v, group) and not self._is_kept(v, group) for v in node.inputs):
            return
        group.nodes.remove(node)
        reader.nodes.append(node)
        reader.needs += [found for found, _ in map(self._source, node.inputs) if found is not None]
        self.groups[node] = reader

    def _is_read_in_place(self, value: Value) -> bool:
        """Whether every reader takes `value` lane by lane: no view, no operand of a product, no output of the graph."""
        readers = self.readers.get(value, ())
        return value not in self.graph.outputs and all(n in self.groups and n.op.kind in LANEWISE for n in readers)

    def _is_kept(self, value: Value, group: _Group) -> bool:
        """Whether a value of a group is stored anyway, or is a literal."""
        maker = self.producers[value]
        if maker not in self.groups:
            return True
        outside = (n for n in self.readers.get(value, ()) if n not in self.groups or _find(self.groups[n]) is not group)
        return value in self.graph.outputs or any(True for _ in outside)

    # Writing the kernels.
    def _rebuild(self) -> Graph:
        members: dict[_Group, list[Node]] = {}
        for node, group in self.groups.items():  # in the order of the graph
            members.setdefault(_find(group), []).append(node)
        bodies = {group: self._body_inputs(group, nodes) for group, nodes in members.items()}
        demanded = {self._base(v) for inputs in bodies.values() for v in inputs}
        demanded |= {self._base(v) for v in self.graph.outputs}

        builder = Builder(self.graph.name, list(self.graph.inputs))
        known: dict[Value, Value] = {value: value for value in self.graph.inputs}
        # A group whose nodes have all moved into their readers is no longer there; the readers need what it needed.
        needs = {group: [g for g in map(_find, group.needs) if g is not group and g in members] for group in members}
        order = TopologicalSorter(needs)
        for group in order.static_order():
            nodes, inputs = members[group], bodies[group]
            outputs = [v for n in nodes for v in n.outputs if v in demanded]
            operands = [self._emit(builder, known, v) for v in inputs]
            body = self._body(group, nodes, inputs, outputs)
            builder.loc = nodes[-1].loc
            made = builder.append(kernel, operands, {"family": group.family, "body": body}, [v.name for v in outputs])
            known.update(zip(outputs, made.outputs, strict=True))
        return builder.build([self._emit(builder, known, v) for v in self.graph.outputs], self.graph.state)

    def _base(self, value: Value) -> Value:
        """The value that `value` is a view of."""
        maker = self.producers.get(value)
        while maker is not None and maker not in self.groups and maker.inputs:
            value = maker.inputs[0]
            maker = self.producers.get(value)
        return value

    def _emit(self, builder: Builder, known: dict[Value, Value], value: Value) -> Value:
        """`value` in the new graph: the views and constants that lead to it are emitted where they are needed."""
        chain: list[Node] = []
        at = value
        while at not in known:
            chain.append(self.producers[at])
            if not chain[-1].inputs:
                break
            at = chain[-1].inputs[0]
        for node in reversed(chain):
            builder.loc = node.loc
            inputs = [known[v] for v in node.inputs]
            known[node.output] = builder.append(node.op, inputs, node.attrs, [node.output.name]).output
        return known[value]

    def _inside(self, value: Value, group: _Group) -> Node | None:
        """The node of a body that gives `value`: of the group itself, a literal, or a broadcast of either."""
        maker = self.producers.get(value)
        if maker is None:
            return None
        if maker in self.groups:
            return maker if _find(self.groups[maker]) is group else None
        if _is_literal(maker):
            return maker
        return maker if _stays_inside(maker) and self._inside(maker.inputs[0], group) else None

    def _body_inputs(self, group: _Group, nodes: Sequence[Node]) -> list[Value]:
        """The values that a group reads from outside: literals too, where a node needs them in memory."""

        def is_read(node: Node, value: Value) -> bool:
            maker = self._inside(value, group)
            return maker is None or (node.op.kind not in LANEWISE and maker not in self.groups)

        return list(dict.fromkeys(v for n in nodes for v in n.inputs if is_read(n, v)))

    def _body(self, group: _Group, nodes: Sequence[Node], inputs: Sequence[Value], outputs: Sequence[Value]) -> Graph:
        builder = Builder()
        known = {v: builder.input(v.type, v.name) for v in inputs}

        def value_of(value: Value) -> Value:
            if value not in known:
                maker = self._inside(value, group)
                assert maker is not None
                append(maker)
            return known[value]

        def append(node: Node) -> None:
            operands = [value_of(v) for v in node.inputs]
            builder.loc = node.loc
            known[node.output] = builder.append(node.op, operands, node.attrs, [node.output.name]).output

        for node in nodes:
            append(node)
        return builder.build([known[v] for v in outputs])


def _is_literal(node: Node) -> bool:
    return node.op.name == "constant" and node.output.type.size == 1


def _computes(node: Node) -> bool:
    """Whether a node needs a kernel: views are strides, but for those that move elements; constants are data."""
    return node.op.name != "constant" and (node.op.kind != "view" or node.op.name in ("pad", "concat"))


def _stays_inside(node: Node) -> bool:
    """Whether a loop can read the operand of a view at its own index: broadcasts of the same rank, or of a scalar."""
    return node.op.name == "broadcast" and node.inputs[0].type.rank in (0, len(node.attrs["shape"]))


def _in_epilogue(node: Node) -> bool:
    """Whether a node can be computed on the results of a contraction, which do not know their index."""
    return node.op.kind == "elementwise" and bool(node.inputs) and node.op.guard is None


def _same_windows(a: Node, b: Node) -> bool:
    """Whether both search the same windows of the same operand."""
    return a.op in _POOLS and b.op in _POOLS and a.inputs == b.inputs and a.attrs == b.attrs


def _tiles(node: Node) -> bool:
    """Whether a pooling's windows lie side by side, cover its operand, and are not too large."""
    attrs, sizes = node.attrs, node.inputs[0].type.shape[1:3]
    whole = all(size % window == 0 for size, window in zip(sizes, attrs["window"], strict=True))
    plain = attrs["low"] == attrs["high"] == (0, 0) and attrs["dilation"] == (1, 1)
    small = attrs["window"][0] * attrs["window"][1] <= _WIDEST
    return whole and plain and small and attrs["stride"] == attrs["window"]


def _alone(node: Node) -> _Group:
    shape = node.output.type.shape
    if node.op.kind in ("elementwise", "random"):
        return _Group("loop", shape, None, [node])
    if node.op.kind == "reduce":
        return _Group("loop", node.inputs[0].type.shape, tuple(node.attrs["axes"]), [node])
    return _Group(node.op.name, shape, None, [node], node.op.kind == "contract")


@dataclass(frozen=True)
class _Union:
    family: str
    domain: Shape
    axes: Axes | None


def _union(a: _Group, b: _Group) -> _Union | None:
    """What both groups together run over; None if one kernel cannot hold both."""
    if any(_find(g) is b for g in a.apart) or any(_find(g) is a for g in b.apart):
        return None
    if a.contracts != b.contracts:
        a, b = (a, b) if a.contracts else (b, a)
        fits = a.domain == b.domain and b.family == "loop" and b.axes is None and all(map(_in_epilogue, b.nodes))
        return _Union(a.family, a.domain, None) if fits else None
    if a.family != "loop" or b.family != "loop":
        return None
    if a.domain == b.domain and (a.axes is None or b.axes is None or a.axes == b.axes):
        return _Union("loop", a.domain, a.axes if b.axes is None else b.axes)
    if a.axes is not None and b.axes is None and b.domain == a.reduced():
        return _Union("loop", a.domain, a.axes)
    if b.axes is not None and a.axes is None and a.domain == b.reduced():
        return _Union("loop", b.domain, b.axes)
    return None


def _ordered_between(a: _Group, b: _Group) -> bool:
    """Whether a third group must run after one of the two and before the other."""
    return any(_reaches(g, target) for x, target in ((b, a), (a, b)) for g in map(_find, x.needs) if g is not target)


def _reaches(start: _Group, target: _Group) -> bool:
    """Whether `start` needs `target`, directly or not."""
    seen: set[_Group] = set()
    stack = [start]
    while stack:
        group = _find(stack.pop())
        if group is target:
            return True
        if group not in seen:
            seen.add(group)
            stack.extend(group.needs)
    return False


def _absorb(a: _Group, b: _Group, union: _Union) -> _Group:
    """Make `b` a part of `a`."""
    a.family, a.domain, a.axes = union.family, union.domain, union.axes
    a.contracts |= b.contracts
    a.nodes += b.nodes
    a.needs = [g for g in dict.fromkeys(map(_find, a.needs + b.needs)) if g is not a and g is not b]
    a.apart = list(dict.fromkeys(map(_find, a.apart + b.apart)))
    b.absorbed_by = a
    return a
