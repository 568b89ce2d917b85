"""Graphs as lines of text, and how two of them differ."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tinytorch.ir.body import Body, Node, Value
from tinytorch.ir.loc import Loc
from tinytorch.ir.text.printer import Names, print_node

CONTEXT = 2  # lines that are shown around a change
DiffLine = tuple[str, str, str]  # kind, text, node
_Item = TypeVar("_Item")


def loc_text(loc: Loc | None) -> str:
    """`path:line`; "" for none."""
    return "" if loc is None else f"{loc.file}:{loc.line}"


def module_of(node: Node) -> str:
    """The path of the module that ran a node, for a kernel its main node; "" outside of modules."""
    return "" if node.loc is None else node.loc.scope


@dataclass(frozen=True)
class Block:
    """A node, an input or an output as lines of text. No two blocks of a graph have the same text."""

    lines: tuple[str, ...]
    name: str
    node: Node | None
    value: Value
    bare: str = ""  # the text without results


class _SharedNames(Names):
    """Names that may be given to another value in another graph."""

    def give(self, value: Value, name: str) -> None:
        self._names[value] = name

    def known(self, value: Value) -> str | None:
        return self._names.get(value)


class Writer:
    """Writes graphs between passes. A value that two of them share has one name, and so has what a pass has only made
    anew: a node with the op, operands and attributes of one that is no longer there. So only what changed differs."""

    def __init__(self) -> None:
        self.names = _SharedNames()
        self._blocks: dict[Node, Block] = {}  # of the last graph
        self._left: dict[str, list[list[str]]] = {}  # names of its nodes that are not in this one, by their text

    def blocks(self, graph: Body) -> list[Block]:
        """The text of a graph, piece by piece."""
        renewed = dict(graph.state)
        found = [
            self._block(f"input {self.names[v]} : {v.type}{' = state' if i in renewed else ''}", v)
            for i, v in enumerate(graph.inputs)
        ]
        there = {v for node in graph.nodes for v in node.outputs}
        self._left = {}
        for node, block in self._blocks.items():
            if there.isdisjoint(node.outputs):
                self._left.setdefault(block.bare, []).append([self.names[v] for v in node.outputs])
        self._blocks = {node: self._blocks.get(node) or self._node(node) for node in graph.nodes}
        found += self._blocks.values()
        state = {o: f" => {self.names[graph.inputs[i]]}" for i, o in graph.state}
        found += [self._block(f"output {i} {self.names[v]}{state.get(i, '')}", v) for i, v in enumerate(graph.outputs)]
        return found

    def _block(self, text: str, value: Value) -> Block:
        return Block((text,), self.names[value], None, value)

    def _node(self, node: Node) -> Block:
        bare = print_node(replace(node, outputs=()), self.names)
        alike = self._left.get(bare)
        if alike and all(self.names.known(v) is None for v in node.outputs):
            for value, name in zip(node.outputs, alike.pop(0), strict=True):
                self.names.give(value, name.removeprefix("%"))
        head = f" = {node.op.name}({', '.join(self.names[v] for v in node.inputs)}) : "
        results = ", ".join(self.names[v] for v in node.outputs)
        types = ", ".join(str(v.type) for v in node.outputs)
        lines = f"{results}{head}{types}{bare.removeprefix(head)}".split("\n")
        return Block(tuple(lines), self.names[node.outputs[0]], node, node.outputs[0], bare)

    def application(self, node: Node) -> str:
        """`mul(%x, %y)`: a node without its results."""
        return f"{node.op.name}({', '.join(self.names[v] for v in node.inputs)})"


def members(block: Block) -> list[Node | None]:
    """The node that each line of a block is of: those of a kernel's body stand on lines of their own."""
    node = block.node
    if node is not None and len(block.lines) > 1:
        body: Body | None = node.attrs.get("body")
        if body is not None and len(block.lines) == len(body.nodes) + 2:
            return [node, *body.nodes, node]
    return [node] * len(block.lines)


def difference(before: Sequence[Block], after: Sequence[Block]) -> tuple[DiffLine, ...]:
    """The lines that are gone and new, with some around them. What is in both graphs and changed its place counts as
    gone and new, as little of it as possible."""
    kept = _kept(before, after)
    if len(kept) == len(before) == len(after):
        return ()
    return marked(before, after, kept, _lines_of)


def _lines_of(block: Block) -> Iterator[tuple[str, str]]:
    return ((line, block.name) for line in block.lines)


def _kept(before: Sequence[Block], after: Sequence[Block]) -> list[tuple[int, int]]:
    """The longest list of pairs of equal blocks that is in order on both sides: since no block comes twice, a longest
    increasing sequence of places (Fredman, "On computing the length of longest increasing subsequences", 1975)."""
    places = {block.lines: i for i, block in enumerate(before)}
    pairs = [(places[block.lines], j) for j, block in enumerate(after) if block.lines in places]
    ends: list[int] = []  # the smallest end of a sequence of each length
    at: list[int] = []
    back: list[int] = []
    for number, (i, _) in enumerate(pairs):
        length = bisect_left(ends, i)
        back.append(at[length - 1] if length else -1)
        ends[length : length + 1] = [i]
        at[length : length + 1] = [number]
    found: list[tuple[int, int]] = []
    number = at[-1] if at else -1
    while number >= 0:
        found.append(pairs[number])
        number = back[number]
    return found[::-1]


def marked(
    before: Sequence[_Item],
    after: Sequence[_Item],
    kept: Sequence[tuple[int, int]],
    lines: Callable[[_Item], Iterable[tuple[str, str]]],
) -> tuple[DiffLine, ...]:
    """The diff of two lists of which the places `kept` are alike; `lines` gives the text and the node of each line of
    an item."""
    found: list[DiffLine] = []
    i = j = 0
    for to_i, to_j in (*kept, (len(before), len(after))):
        found += [("-", *line) for item in before[i:to_i] for line in lines(item)]
        found += [("+", *line) for item in after[j:to_j] for line in lines(item)]
        found += [(" ", *line) for item in after[to_j : to_j + 1] for line in lines(item)]
        i, j = to_i + 1, to_j + 1
    return tuple(_pieces(found))


def _pieces(lines: Sequence[DiffLine]) -> Iterator[DiffLine]:
    """The changed lines with those around them, each piece behind a head that says which lines of both it shows."""
    wanted = [False] * len(lines)
    for n, (kind, _, _) in enumerate(lines):
        if kind != " ":
            for m in range(max(0, n - CONTEXT), min(len(lines), n + CONTEXT + 1)):
                wanted[m] = True
    line_before = line_after = 1
    n = 0
    while n < len(lines):
        end = n
        while end < len(lines) and wanted[end] == wanted[n]:
            end += 1
        old = sum(kind != "+" for kind, _, _ in lines[n:end])
        new = sum(kind != "-" for kind, _, _ in lines[n:end])
        if wanted[n]:
            yield "@", f"@@ -{line_before},{old} +{line_after},{new} @@", ""
            yield from lines[n:end]
        line_before, line_after, n = line_before + old, line_after + new, end
