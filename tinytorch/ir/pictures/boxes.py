"""What a picture shows: boxes, edges between them, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tinytorch.ir.body import Body, Node, Value
from tinytorch.ir.ops.core import constant, detach
from tinytorch.ir.ops.view import after, broadcast, reshape
from tinytorch.ir.text.printer import Names, array_text
from tinytorch.ir.text.titles import kernel_title, phase_of
from tinytorch.ir.types import TensorType

_LABEL_ELEMENTS = 4  # constants with more are not spelled out


@dataclass(frozen=True)
class Cost:
    """`seconds` are None where no machine is known. `bytes` are read and written."""

    seconds: float | None = None
    flops: int = 0
    bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        known = [s for s in (self.seconds, other.seconds) if s is not None]
        return Cost(sum(known) if known else None, self.flops + other.flops, self.bytes + other.bytes)


def cost_of(node: Node) -> Cost:
    """The work of a node, without a machine; views move nothing."""
    moved = 0 if node.op.kind == "view" else sum(v.type.bytes for v in {*node.inputs, *node.outputs})
    return Cost(None, node.flops, moved)


@dataclass(eq=False)
class Box:
    """A kernel, an op, an input, an output, or several kernels. `wave` orders boxes; `count` says for how many alike
    ones this stands; `types` are those of the results; `inside` is drawn in it."""

    title: str
    kind: str  # "kernel", "op", "group", "input" or "output"
    phase: str = ""
    module: str = ""
    wave: int = 0
    cost: Cost = Cost()
    types: tuple[str, ...] = ()
    nodes: list[Node] = field(default_factory=list[Node])
    reads: list[str] = field(default_factory=list[str])  # parameters and other captured inputs
    renews: list[str] = field(default_factory=list[str])  # state
    count: int = 1
    inside: Picture | None = None

    @property
    def lines(self) -> list[str]:
        """The user's lines that this comes from."""
        inner = [n for node in self.nodes for n in (node, *_body(node))]
        return list(dict.fromkeys(n.loc.describe() for n in inner if n.loc is not None and n.op is not constant))


@dataclass(frozen=True, eq=False)
class Edge:
    source: Box
    target: Box
    type: str


@dataclass(eq=False)
class Picture:
    """Boxes in an order in which they can run, and edges, each pair of boxes and type once. `note` says what is left
    out; `total` is the cost of all."""

    boxes: list[Box] = field(default_factory=list[Box])
    edges: list[Edge] = field(default_factory=list[Edge])
    note: str = ""

    def connect(self, source: Box, target: Box, type: str) -> None:
        if source is not target and not any(e.source is source and e.type == type for e in self.into.get(target, ())):
            edge = Edge(source, target, type)
            self.edges.append(edge)
            self.into.setdefault(target, []).append(edge)

    def __post_init__(self) -> None:
        self.into: dict[Box, list[Edge]] = {}
        for edge in self.edges:
            self.into.setdefault(edge.target, []).append(edge)


@dataclass(frozen=True)
class Facts:
    """What is known of a graph beside the graph: how many of its inputs are `arguments` of a call (None: all that are
    no state), in which wave each kernel runs, what it costs, and kernels that the schedule added."""

    arguments: int | None = None
    waves: Mapping[Node, int] = field(default_factory=dict[Node, int])
    costs: Mapping[Node, Cost] = field(default_factory=dict[Node, Cost])
    added: Sequence[Node] = ()
    how: str = ""


def everything(picture: Picture) -> list[Box]:
    """All boxes, with those inside of others."""
    inner = [b for box in picture.boxes if box.inside is not None for b in everything(box.inside)]
    return [*picture.boxes, *inner]


def short_path(module: str) -> str:
    """The path without the outermost module, unless only a number would be left."""
    rest = module.partition(".")[2]
    return module if not rest or rest[0].isdigit() else rest


def boxes(graph: Body, facts: Facts) -> Picture:
    """One box a kernel, or, where there are none, a node. Views between kernels are edges; so are broadcasts."""
    return _Boxes(graph, facts).picture


class _Boxes:
    def __init__(self, graph: Body, facts: Facts) -> None:
        self.picture = Picture()
        self.facts = facts
        self.fused = any(node.op.kind == "kernel" for node in graph.nodes)
        self.sources: dict[Value, Box] = {}
        self.made: dict[Value, Value] = {}  # what views are of
        self.named: dict[Value, str] = {}  # captured inputs, which are named in boxes
        self.literals: dict[Value, str] = {}
        self._inputs(graph)
        for node in (*graph.nodes, *facts.added):
            if not self._passes(node):
                self._box(node)
        self._outputs(graph)

    def _inputs(self, graph: Body) -> None:
        names = Names()
        renewed = {i for i, _ in graph.state}
        count = len(graph.inputs) if self.facts.arguments is None else self.facts.arguments
        for i, value in enumerate(graph.inputs):
            name = names[value][1:]
            if i in renewed or i >= count:
                self.named[value] = name if value.name else "state" if i in renewed else ""
            else:
                self.sources[value] = self._add(Box(name, "input", types=(str(value.type),)))

    def _add(self, box: Box) -> Box:
        self.picture.boxes.append(box)
        return box

    def _passes(self, node: Node) -> bool:
        """Whether a node is no box of its own, but a part of edges or labels."""
        if node.op is constant:
            if node.output.type.size <= _LABEL_ELEMENTS:
                text = array_text(node.attrs["value"])
                self.literals[node.output] = text[text.index("(") + 1 : -1]
            else:
                self.named[node.output] = "constant"
            return True
        known = [table for table in (self.named, self.literals) if node.inputs and node.inputs[0] in table]
        silent = node.op in (broadcast, detach, after) or (node.op is reshape and node.inputs[0] in self.literals)
        if not silent and not (self.fused and node.op.kind == "view"):
            return False
        for table in known:
            table[node.output] = table[node.inputs[0]]
        if node.inputs[0] in self.sources:
            self.sources[node.output] = self.sources[node.inputs[0]]
            self.made[node.output] = self.made.get(node.inputs[0], node.inputs[0])
        return True

    def _box(self, node: Node) -> None:
        title = kernel_title(node) if node.op.kind == "kernel" else self._op_title(node)
        before = [self.sources[v] for v in node.inputs if v in self.sources]
        latest = max((b.wave + 1 for b in before if b.kind != "input"), default=0)
        box = Box(
            title,
            "kernel" if node.op.kind == "kernel" else "op",
            phase_of(node),
            node.loc.scope if node.loc is not None else "",
            self.facts.waves.get(node, latest),
            self.facts.costs.get(node) or cost_of(node),
            _types(v.type for v in node.outputs),
            [node],
            list(dict.fromkeys(self.named[v] for v in node.inputs if self.named.get(v))),
        )
        self._add(box)
        for value in node.inputs:
            if value in self.sources:
                self.picture.connect(self.sources[value], box, self._type(value))
        self.sources.update(dict.fromkeys(node.outputs, box))

    def _type(self, value: Value) -> str:
        """The type of what was made, whatever view of it is read."""
        return str(self.made.get(value, value).type)

    def _op_title(self, node: Node) -> str:
        return " ".join([node.op.name, *(self.literals[v] for v in node.inputs if v in self.literals)])

    def _outputs(self, graph: Body) -> None:
        target = {o: graph.inputs[i] for i, o in graph.state}
        for i, value in enumerate(graph.outputs):
            box = self.sources.get(value)
            if i in target:
                if box is not None:
                    box.renews.append(self.named[target[i]])
                continue
            known = self.literals.get(value) or self.named.get(value)
            out = self._add(Box(f"output {i}" + (f" = {known}" if known else ""), "output", types=(str(value.type),)))
            if box is not None:
                out.wave = box.wave + 1
                self.picture.connect(box, out, self._type(value))


def _types(found: Iterable[TensorType]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(str, found)))


def _body(node: Node) -> tuple[Node, ...]:
    body = node.attrs.get("body")
    return body.nodes if isinstance(body, Body) else ()
