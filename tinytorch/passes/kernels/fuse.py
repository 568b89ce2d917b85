"""Group nodes into kernels."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import TopologicalSorter

from tinytorch.ir.errors import PassError
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.kernels.family import Families, in_epilogue
from tinytorch.ir.lanes.cost import lane_cost
from tinytorch.ir.listening import listener
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.ops.view import after
from tinytorch.ir.order import Order
from tinytorch.ir.text.titles import main_node
from tinytorch.passes.kernels.groups import (
    IN_A_CIRCLE,
    MAX_OPERANDS,
    MAX_WEIGHT,
    OTHER_SHAPE,
    OWN_OPERANDS,
    TOO_MANY,
    Group,
    alone,
    union,
)

CHEAP = 2  # instructions that are not worth a trip through memory
CHEAP_FROM_NARROW = 8  # those that make floats of bytes, which are a fourth of the trip
_KEPT = 4  # times a result, what may stay in memory for the sake of it
LANEWISE = ("elementwise", "reduce")  # kinds of ops that take their operands from registers


def fuse(graph: Graph, families: Families) -> Graph:
    """Every node that computes becomes part of a kernel; views between kernels stay, as strides.

        %2 = matmul(%x, %w)
        %3 = broadcast(%b)          -->   %5 = kernel(%x, %w, %3) {family="contract", body=graph(…) {
        %4 = add(%2, %3)                           matmul, add, maximum }}
        %5 = maximum(%4, %zero)

    A node joins the group of an operand if both run over the same domain (elementwise ops behind a contraction are
    its epilogue; reductions over the same axes and what follows from them make a row kernel), if no path leads
    from the group through another one back to the node, so that the groups can still be put in an order, and if the
    kernel does not get too large to compile (`groups.MAX_WEIGHT`). Pooling whose windows tile what a convolution
    gives, where nothing else reads that, is a part of the convolution's kernel, which goes on with the smaller domain.
    Of several results of a node, a kernel has those that something reads. It has the loc of the node that it is
    mainly for. PassError for a graph that has kernels
    already.
    """
    there = next((node for node in graph.nodes if node.op is kernel), None)
    if there is not None:
        raise PassError(f"fuse: {graph.name} has kernels already", there.loc)
    return Fusion(graph, families).run()


class Fusion:
    """One run of the pass; `order` holds the groups in an order in which they can run."""

    def __init__(self, graph: Graph, families: Families) -> None:
        self.graph = graph
        self.families = families
        self.producers = graph.producers()
        self.readers = graph.users()
        self.outputs = frozenset(graph.outputs)
        self.groups: dict[Node, Group] = {}
        self.copies: dict[Node, list[Group]] = {}  # the others that compute a node too
        self.order = Order()
        self.bases: dict[Value, tuple[Value, bool]] = {}
        self.made: dict[Group, Value] = {}  # a result of each kernel that is written, to wait for
        self.listener = listener.get()
        self.refused: list[tuple[Node, Node, str]] = []  # for who listens: what computes, what reads it, and why not

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if _computes(node):
                self.groups[node] = self._place(node)
        for node in reversed(self.graph.nodes):
            if node in self.groups and node.op.kind == "elementwise":
                self._sink(node)
        if self.listener is not None:
            for producer, consumer, reason in self.refused:
                if self.groups[producer].root() is not self.groups[consumer].root():
                    self.listener.refused(producer, consumer, reason)
        return self._rebuild()

    # Grouping.
    def _place(self, node: Node) -> Group:
        family = self.families.of(node)
        group = alone(node, family)
        host = None if family.lanewise else self._absorbing(node)
        if host is not None:
            host.domain = group.domain
            host.nodes += group.nodes
            host.weight += group.weight
            return host
        needs: list[Group] = []
        for value in node.inputs:
            found, direct = self._source(value)
            if found is not None:
                needs.append(found)
                if not direct or node.op.kind not in LANEWISE:
                    group.apart.append(found)
            waited_for = self._waited_for(value)
            needs += waited_for
            group.apart += waited_for
        needs = list(dict.fromkeys(needs))
        self.order.enter(group, needs)
        group.reads = self._reads(node)
        for candidate in sorted(needs, key=lambda g: not g.ends):  # results in registers first
            if family.lanewise:
                group = self._join(candidate.root(), group, node)
            else:
                self._refuse(candidate, group, node, OWN_OPERANDS)
        return group

    def _join(self, a: Group, b: Group, node: Node) -> Group:
        """`b`, that of `node`, as a part of `a`, or `b` as it is where they must stay apart."""
        if a is b:
            return b
        merged = union(a, b)
        reads = set[Value]()
        if not isinstance(merged, str):
            reads = {value for value in a.reads | b.reads if self._source(value)[0] not in (a, b)}
            if len(reads) > MAX_OPERANDS:
                merged = TOO_MANY
            elif not self.order.merge(a, b):
                merged = IN_A_CIRCLE
        if isinstance(merged, str):
            self._refuse(a, b, node, merged)
            return b
        a.family, a.first = merged.lead.family, merged.lead.first
        a.domain, a.axes, a.reads = merged.domain, merged.axes, reads
        a.nodes += b.nodes
        a.weight += b.weight
        a.apart = list(dict.fromkeys(g.root() for g in (*a.apart, *b.apart)))
        return a

    def _refuse(self, a: Group, b: Group, node: Node, reason: str) -> None:
        """Note for who listens why `node` of `b` is no part of `a`, of which it reads something."""
        if self.listener is None:
            return
        if reason is OTHER_SHAPE:
            reason = f"{reason}: {list(a.domain)} and {list(b.domain)}"
        read = [self._base(value)[0] for value in node.inputs if self._source(value)[0] is a.root()]
        self.refused += [(self.producers[base], node, reason) for base in dict.fromkeys(read)]

    def _absorbing(self, node: Node) -> Group | None:
        """The group whose results a node of another family goes on with, where nothing else reads anything of it."""
        if not node.inputs:
            return None
        operand = node.inputs[0]
        group, _ = self._source(operand)
        if group is None or self.producers[operand] not in self.groups:
            return None
        copies = group.family.absorbs(group.first, node)
        inside = set(group.nodes)
        if not copies or any(group.family.absorbs(group.first, n) for n in inside):
            return None
        alone = self.readers[operand] == [node] and operand not in self.outputs
        for value in (v for n in inside for v in n.outputs if v is not operand):
            alone = alone and value not in self.outputs and inside.issuperset(self.readers.get(value, ()))
        if not alone or group.weight * copies > MAX_WEIGHT:
            return None
        group.weight *= copies
        return group

    def _source(self, value: Value) -> tuple[Group | None, bool]:
        """The group that computes `value`, through views; and whether at most broadcasts stand between."""
        base, direct = self._base(value)
        maker = self.producers.get(base)
        group = self.groups.get(maker) if maker is not None else None
        return (None, False) if group is None else (group.root(), direct)

    def _base(self, value: Value) -> tuple[Value, bool]:
        """The value that `value` is a view of, and whether at most broadcasts stand between."""
        chain: list[Node] = []
        while value not in self.bases:
            maker = self.producers.get(value)
            if maker is None or maker in self.groups or not maker.inputs:
                self.bases[value] = value, True
                break
            chain.append(maker)
            value = maker.inputs[0]
        found = self.bases[value]
        for view in reversed(chain):
            found = self.bases[view.output] = found[0], found[1] and _stays_inside(view)
        return found

    def _waited_for(self, value: Value) -> list[Group]:
        """The groups that must have run before `value` is read, though it is no part of what they compute."""
        found: list[Group] = []
        maker = self.producers.get(value)
        while maker is not None and maker not in self.groups and maker.inputs:
            if maker.op is after:
                group, _ = self._source(maker.inputs[1])
                found += [] if group is None else [group]
            maker = self.producers.get(maker.inputs[0])
        return found

    def _reads(self, node: Node) -> set[Value]:
        """What a node takes from memory, if it stands alone."""
        if node.op.kind not in LANEWISE:
            return set(node.inputs)
        return {value for value in node.inputs if not self._is_literal(value)}

    def _is_literal(self, value: Value) -> bool:
        """Whether `value` is a number, or a broadcast of one, that stands in the code of a loop."""
        base, direct = self._base(value)
        maker = self.producers.get(base)
        return direct and maker is not None and _is_literal(maker)

    def _sink(self, node: Node) -> None:
        """Let the kernels that read a node compute it, where they read what the node reads instead: a mask or a product
        with a constant is computed again from memory rather than stored for later. So are floats that stand for stored
        bytes, with the nodes that make them of these."""
        group = self.groups[node].root()
        readers = dict.fromkeys(g for n in self.readers.get(node.output, ()) if n in self.groups for g in self._in(n))
        outside = [g for g in readers if g is not group]
        if not outside or not self._is_read_in_place(node.output):
            return
        nodes = self._from_memory(node, group)
        if not nodes or not all(self._takes(reader, nodes) for reader in outside):
            return
        alone = len(readers) == 1
        again = len(nodes) == 1 and node.op.guard is None and all(self._reads_no_more(g, node) for g in outside)
        if not (alone or again):
            return
        for reader in outside:
            reader.weight += self._weight(nodes)
            reader.reads |= self._read_by(nodes)
            for each in nodes:
                reader.needs += [found for found, _ in map(self._source, each.inputs) if found is not None]
                reader.needs += [found for value in each.inputs for found in self._waited_for(value)]
                if group in readers or reader is not outside[0]:
                    self.copies.setdefault(each, []).append(reader)
                else:
                    group.nodes.remove(each)
                    reader.nodes.append(each)
                    self.groups[each] = reader

    def _in(self, node: Node) -> tuple[Group, ...]:
        """The kernels that compute a node."""
        return (self.groups[node].root(), *self.copies.get(node, ()))

    def _takes(self, reader: Group, nodes: Sequence[Node]) -> bool:
        """Whether a kernel can compute these nodes, the last of which it reads, too."""
        if not (reader.family.lanewise or (reader.ends and all(map(in_epilogue, nodes)))):
            return False
        weight, reads = reader.weight + self._weight(nodes), reader.reads | self._read_by(nodes)
        fits = weight <= MAX_WEIGHT and len(reads) <= MAX_OPERANDS
        return fits and reader.domain == nodes[-1].output.type.shape

    def _weight(self, nodes: Sequence[Node]) -> int:
        return sum(self.families.of(n).weight(n) for n in nodes)

    def _read_by(self, nodes: Sequence[Node]) -> set[Value]:
        """What nodes that are computed together take from memory."""
        made = {n.output for n in nodes}
        return {v for n in nodes for v in self._reads(n) if v not in made}

    def _reads_no_more(self, reader: Group, node: Node) -> bool:
        """Whether what a kernel reads to compute a node is about what the node would be to read, or is read anyway; and
        keeps little more of memory in use."""
        size, more = node.output.type.bytes, 0
        for base in {self._base(value)[0] for value in self._reads(node) - reader.reads}:
            if base.type.bytes > _KEPT * size:
                return False
            more += base.type.bytes >= size
        return more <= 1

    def _from_memory(self, node: Node, group: Group) -> list[Node]:
        """The nodes that compute the result of `node` from what lies in memory anyway, if that costs little: itself, or
        a chain from narrower numbers to it, the first one first; else none."""
        chain, cost = [node], lane_cost(node)
        while True:
            first = chain[0]
            inner = [v for v in first.inputs if self._inside(v, group) and not self._is_stored_anyway(v, group)]
            if not inner:
                break
            maker = self.producers[inner[0]]
            alone = self.readers.get(inner[0]) == [first] and maker.op.kind == "elementwise"
            if len(inner) > 1 or not alone or maker not in self.groups:
                return []
            chain.insert(0, maker)
            cost += lane_cost(maker)
        made = {n.output for n in chain}
        sources = {v for n in chain for v in n.inputs if v not in made and self._inside(v, group)}
        stored = [v.type.dtype.size for v in sources if self.producers[v] in self.groups]
        narrow = bool(stored) and max(stored) < node.output.type.dtype.size
        if len(chain) == 1:
            return chain if cost <= CHEAP else []
        return chain if narrow and cost <= CHEAP_FROM_NARROW else []

    def _is_read_in_place(self, value: Value) -> bool:
        """Whether every reader takes `value` lane by lane: no view, no operand of a product, no output of the graph."""
        readers = self.readers.get(value, ())
        return value not in self.outputs and all(n in self.groups and n.op.kind in LANEWISE for n in readers)

    def _is_stored_anyway(self, value: Value, group: Group) -> bool:
        """Whether a value of a group is stored anyway, or is a literal."""
        maker = self.producers[value]
        if maker not in self.groups:
            return True
        outside = (n for n in self.readers.get(value, ()) if n not in self.groups or self.groups[n].root() is not group)
        return value in self.outputs or any(True for _ in outside)

    # Writing the kernels.
    def _rebuild(self) -> Graph:
        members: dict[Group, list[Node]] = {}
        for node in self.groups:  # in the order of the graph
            for group in self._in(node):
                members.setdefault(group, []).append(node)
        bodies = {group: self._body_inputs(group, nodes) for group, nodes in members.items()}
        demanded = {self._base(v)[0] for inputs in bodies.values() for v in inputs}
        demanded |= {self._base(v)[0] for v in self.graph.outputs}

        builder = Builder(self.graph.name, list(self.graph.inputs))
        known: dict[Value, Value] = {value: value for value in self.graph.inputs}
        # A group whose nodes have all moved into their readers is no longer there; the readers need what it needed.
        needs = {group: [g for g in group.needed() if g is not group and g in members] for group in members}
        order = TopologicalSorter(needs)
        for group in order.static_order():
            nodes, inputs = members[group], bodies[group]
            outputs = [v for n in nodes for v in n.outputs if v in demanded]
            operands = [self._emit(builder, known, v) for v in inputs]
            body = self._body(group, nodes, inputs, outputs)
            builder.loc = main_node(nodes).loc
            made = builder.append(
                kernel, operands, {"family": group.family.name, "body": body}, [v.name for v in outputs]
            )
            known.update(zip(outputs, made.outputs, strict=True))
            self.made[group] = made.outputs[0]
        return builder.build([self._emit(builder, known, v) for v in self.graph.outputs], self.graph.state)

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
            inputs = [known[node.inputs[0]]] if node.inputs else []
            if node.op is after:
                group, _ = self._source(node.inputs[1])
                if group is None:  # an input is there from the start
                    known[node.output] = inputs[0]
                    continue
                inputs.append(self.made[group])
            known[node.output] = builder.append(node.op, inputs, node.attrs, [node.output.name]).output
        return known[value]

    def _inside(self, value: Value, group: Group) -> Node | None:
        """The node of a body that gives `value`: of the group itself, a literal, or a broadcast of either."""
        maker = self.producers.get(value)
        if maker is None:
            return None
        if maker in self.groups:
            return maker if group in self._in(maker) else None
        if _is_literal(maker):
            return maker
        return maker if _stays_inside(maker) and self._inside(maker.inputs[0], group) else None

    def _body_inputs(self, group: Group, nodes: Sequence[Node]) -> list[Value]:
        """The values that a group reads from outside: literals too, where a node needs them in memory."""

        def is_read(node: Node, value: Value) -> bool:
            maker = self._inside(value, group)
            return maker is None or (node.op.kind not in LANEWISE and maker not in self.groups)

        return list(dict.fromkeys(v for n in nodes for v in n.inputs if is_read(n, v)))

    def _body(self, group: Group, nodes: Sequence[Node], inputs: Sequence[Value], outputs: Sequence[Value]) -> Graph:
        builder = Builder()
        known = {v: builder.input(v.type, v.name or self._base(v)[0].name) for v in inputs}
        for node in nodes:
            self._append(node, group, builder, known)
        return builder.build([known[v] for v in outputs])

    def _append(self, node: Node, group: Group, builder: Builder, known: dict[Value, Value]) -> None:
        """Add a node to a body, and first what is inside the group and the node needs."""
        for value in node.inputs:
            if value not in known:
                maker = self._inside(value, group)
                assert maker is not None
                self._append(maker, group, builder, known)
        builder.loc = node.loc
        made = builder.append(node.op, [known[v] for v in node.inputs], node.attrs, [v.name for v in node.outputs])
        known.update(zip(node.outputs, made.outputs, strict=True))


def _is_literal(node: Node) -> bool:
    return node.op.name == "constant" and node.output.type.size == 1


def _computes(node: Node) -> bool:
    """Whether a node needs a kernel: views are strides, constants are data."""
    return node.op.name != "constant" and node.op.kind != "view"


def _stays_inside(node: Node) -> bool:
    """Whether a loop can read the operand of a view at its own index: broadcasts of the same rank, or of a scalar."""
    return node.op.name == "broadcast" and node.inputs[0].type.rank in (0, len(node.attrs["shape"]))
