"""Graphs drawn by Graphviz: nodes grouped by the module they come from, kernels as boxes around their bodies, colour
by cost, and types, FLOPs, bytes and source lines as tooltips."""

from __future__ import annotations

import math
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import graphviz

from tinytorch.ir.body import Body, Node, Value
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import Loc
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.view import broadcast, reshape
from tinytorch.ir.printer import Names, array_text, print_node
from tinytorch.ir.types import TensorType

_FONT = {"fontname": "Helvetica", "fontsize": "10"}
_STATE = {"shape": "cylinder", "style": "filled", "fillcolor": "#cfe2f3"}
_INPUT = {"shape": "ellipse", "style": "filled", "fillcolor": "#eeeeee"}
_SCOPE = {"style": "rounded,dashed", "color": "#888888", "fontcolor": "#555555"}
_KERNEL = {"style": "rounded,filled", "color": "#3d6b99", "fillcolor": "#f4f8fc"}
_UNITS = ("", "k", "M", "G", "T")
_LABEL_ELEMENTS = 4  # constants with more are not spelled out in labels


def to_dot(graph: Body) -> str:
    """The source of the drawing, in Graphviz's language."""
    return _Drawing(graph).source()


def to_svg(graph: Body) -> str:
    """The drawing as SVG, by the system's `dot` if there is one, else by the graphviz-pure package."""
    done = subprocess.run([renderer(), "-Tsvg"], input=to_dot(graph), capture_output=True, encoding="utf-8")
    if done.returncode:
        raise TinyTorchError(f"drawing failed: {done.stderr.strip()}")
    return done.stdout


def save_svg(graph: Body, path: str | Path) -> None:
    """Write the drawing to `path`."""
    Path(path).write_text(to_svg(graph), encoding="utf-8")


def renderer(system: bool = True) -> str:
    """The program that lays drawings out; without `system`, the one of the graphviz-pure package."""
    found = (shutil.which("dot") if system else None) or _packaged() or shutil.which("graphviz-pure")
    if found is None:
        raise TinyTorchError("drawing needs Graphviz: pip install graphviz-pure, or install the program `dot`")
    return found


def _packaged() -> str | None:
    """The program that the graphviz-pure package installed beside this Python's other scripts."""
    try:
        files = metadata.files("graphviz-pure") or []
    except metadata.PackageNotFoundError:
        return None
    programs = [Path(str(file.locate())) for file in files if file.stem == "graphviz-pure"]
    return next((str(program.resolve()) for program in programs if program.is_file()), None)


def _units(number: float) -> str:
    """1234567 as `1.23 M`."""
    power = min(int(math.log10(number) // 3), len(_UNITS) - 1) if number >= 1 else 0
    return f"{number / 1000**power:.3g} {_UNITS[power]}".strip()


def _bytes(node: Node) -> int:
    """Read and written; views move nothing."""
    return 0 if node.op.kind == "view" else sum(v.type.bytes for v in {*node.inputs, *node.outputs})


class _Drawing:
    def __init__(self, graph: Body) -> None:
        self.root = graphviz.Digraph(
            graph.name, graph_attr={**_FONT, "rankdir": "TB", "compound": "true"}, node_attr=_FONT, edge_attr=_FONT
        )
        self.groups: dict[tuple[str, ...], graphviz.Digraph] = {(): self.root}
        self.ids: dict[Value, str] = {}  # the vertex that each value comes from
        self.literals: dict[Value, str] = {}  # values that appear in labels only
        self.edges: set[tuple[str, str]] = set()
        self.count = 0
        self.most = max((self.weight(n) for n in _all_nodes(graph)), default=1) or 1
        self.draw(graph)

    def source(self) -> str:
        for path in sorted(self.groups, key=len, reverse=True):
            if path:
                self.groups[path[:-1]].subgraph(self.groups[path])
        self.groups = {(): self.root}
        return self.root.source

    def weight(self, node: Node) -> float:
        """What the colour stands for: operations and traffic."""
        return float(node.flops + _bytes(node))

    # Vertices.
    def draw(self, graph: Body) -> None:
        names = Names()
        renewed = {i for i, _ in graph.state}
        for i, value in enumerate(graph.inputs):
            kind = "state" if i in renewed else "input"
            self.ids[value] = self.vertex((), f"{names[value][1:]}\n{value.type}", f"{kind} {names[value]}", kind)
        self.nodes(graph, names, ())
        target = {o: graph.inputs[i] for i, o in graph.state}
        for i, value in enumerate(graph.outputs):
            if i in target:
                label, kind = f"{names[target[i]][1:]}, renewed", "state"
            else:
                label, kind = f"output {i}", "input"
            if value in self.literals:
                label += f" = {self.literals[value]}"
            out = self.vertex((), f"{label}\n{value.type}", f"output {i}, {names[value]}", kind)
            self.edge(value, out)

    def nodes(self, graph: Body, names: Names, path: tuple[str, ...]) -> None:
        for node in graph.nodes:
            for value in node.outputs:
                names[value]
            literal = self.literal(node)
            if literal is not None:
                self.literals[node.outputs[0]] = literal
                continue
            if node.op is broadcast:  # an edge says as much
                self.ids[node.outputs[0]] = self.ids[node.inputs[0]]
                continue
            inside = path or _scope(node.loc)
            if node.op.kind == "kernel":
                self.kernel(node, names, inside)
            else:
                self.node(node, names, inside)

    def node(self, node: Node, names: Names, path: tuple[str, ...]) -> None:
        known = [self.literals[v] for v in node.inputs if v in self.literals]
        label = " ".join([node.op.name, *known])
        types = ", ".join(str(v.type) for v in node.outputs)
        vertex = self.vertex(path, f"{label}\n{types}", _tooltip(node, names), "node", self.weight(node))
        for value in node.inputs:
            self.edge(value, vertex)
        self.ids.update(dict.fromkeys(node.outputs, vertex))

    def kernel(self, node: Node, names: Names, path: tuple[str, ...]) -> None:
        """A box around the body, whose values are those of the nodes around it."""
        body: Body = node.attrs["body"]
        inside = (*path, f"kernel {self.count} {body.name}")
        self.group(inside, _KERNEL, _tooltip(node, names))
        for inner, outer in zip(body.inputs, node.inputs, strict=True):
            for known in (self.ids, self.literals):
                if outer in known:
                    known[inner] = known[outer]
        self.nodes(body, Names(), inside)
        for outer, inner in zip(node.outputs, body.outputs, strict=True):
            for known in (self.ids, self.literals):
                if inner in known:
                    known[outer] = known[inner]

    def literal(self, node: Node) -> str | None:
        """The text of a small constant, or of a view of one, which needs no vertex."""
        if node.op is constant and node.output.type.size <= _LABEL_ELEMENTS:
            text = array_text(node.attrs["value"])
            return text[text.index("(") + 1 : -1]
        if node.op in (broadcast, reshape):
            return self.literals.get(node.inputs[0])
        return None

    def vertex(self, path: tuple[str, ...], label: str, tooltip: str, kind: str, weight: float = 0) -> str:
        name = f"v{self.count}"
        self.count += 1
        heat = math.sqrt(weight / self.most)  # the eye sees small shares too
        own = {"shape": "box", "style": "rounded,filled", "fillcolor": f"0.080 {0.75 * heat:.3f} 1.000"}
        style = {"state": _STATE, "input": _INPUT}.get(kind, own)
        self.group(path, _SCOPE).node(name, graphviz.escape(label), tooltip=graphviz.escape(tooltip), **style)
        return name

    def edge(self, value: Value, target: str) -> None:
        source = self.ids.get(value)
        if source is not None and (source, target) not in self.edges:
            self.edges.add((source, target))
            self.root.edge(source, target, tooltip=str(value.type))

    # Groups.
    def group(self, path: tuple[str, ...], style: dict[str, str], tooltip: str = "") -> graphviz.Digraph:
        """The cluster of a module path, made with those around it."""
        if path not in self.groups:
            self.group(path[:-1], _SCOPE)
            attributes = {**_FONT, **style, "label": graphviz.escape(path[-1])}
            attributes["tooltip"] = graphviz.escape(tooltip or ".".join(path))
            self.groups[path] = graphviz.Digraph(f"cluster_{len(self.groups)}", graph_attr=attributes)
        return self.groups[path]


def _all_nodes(graph: Body) -> list[Node]:
    """The nodes that are drawn: kernels stand for their bodies."""
    found: list[Node] = []
    for node in graph.nodes:
        found += _all_nodes(node.attrs["body"]) if node.op.kind == "kernel" else [node]
    return found


def _scope(loc: Loc | None) -> tuple[str, ...]:
    return tuple(loc.scope.split(".")) if loc is not None and loc.scope else ()


def _tooltip(node: Node, names: Names) -> str:
    types: list[TensorType] = [v.type for v in node.outputs]
    lines = [
        _short(node, names),
        f"{', '.join(map(str, types))}: {_units(node.flops)} FLOPs, {_units(_bytes(node))} bytes",
    ]
    return "\n".join([*lines, *([node.loc.describe()] if node.loc else [])])


def _short(node: Node, names: Names) -> str:
    """The node as printed; of a kernel the first line only."""
    return print_node(node, names).split("\n")[0]
