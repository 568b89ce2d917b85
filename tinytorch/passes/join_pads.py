"""Sums of gradients of slices: what was cut apart is put together, instead of padded with zeros and added."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.op import apply
from tinytorch.ir.ops.core import filled
from tinytorch.ir.ops.elementwise import add
from tinytorch.ir.ops.view import concat, pad

_MOST_TERMS = 2  # that overlap: with more, it would matter which are added first


def join_pads(graph: Graph) -> Graph:
    """Sums of operands that are padded with zeros to regions side by side become concatenations.

        %a = pad(%x) {low=(0, 0), high=(0, 6)}              %0 = add(%x, broadcast(0.0))
        %b = pad(%y) {low=(0, 2), high=(0, 4)}              %1 = add(%y, broadcast(0.0))
        %s = add(%a, %b)                          -->       %c = concat(%0, %1) {axis=1}
        %t = add(%s, %z)                                    %2 = pad(%c) {low=(0, 0), high=(0, 4)}
                                                            %t = add(%2, %z)

    Such sums are the gradient of a tensor that is used slice by slice: gates, heads, steps in time. Pads to one region
    are added first. Exact in bits: but for at most two operands that overlap, all other terms of an element are 0.0,
    and the order of those that are not stays; a 0.0 is still added, which -0.0 shows.
    """
    if sum(node.op is pad for node in graph.nodes) < 2:
        return graph
    joiner = _Joiner(graph)
    nodes = joiner.run()
    return graph.with_nodes(nodes) if joiner.changed else graph


@dataclass(frozen=True)
class _Piece:
    """What stands in one region: `x`, padded like the operand of `node`."""

    x: Value
    node: Node

    def size(self, axis: int) -> int:
        return self.x.type.shape[axis]


@dataclass(frozen=True)
class _Regions:
    """Pieces of one type that lie apart along `axis`, by where they begin."""

    axis: int
    begins: list[int]
    pieces: list[_Piece]

    def takes(self, other: _Regions, also_same: bool) -> bool:
        """Whether the pieces of `other`, which are not more, lie apart from these; or in the same regions, if so."""
        if self.axis != other.axis:
            return False
        return all(self._takes(b, piece, also_same) for b, piece in zip(other.begins, other.pieces, strict=True))

    def _takes(self, begin: int, piece: _Piece, also_same: bool) -> bool:
        place, size = bisect_left(self.begins, begin), piece.size(self.axis)
        if place < len(self.pieces) and self.begins[place] == begin:
            return also_same and self.pieces[place].size(self.axis) == size
        after = place == len(self.pieces) or begin + size <= self.begins[place]
        return after and (place == 0 or self._end(place - 1) <= begin)

    def _end(self, place: int) -> int:
        return self.begins[place] + self.pieces[place].size(self.axis)

    def add(self, other: _Regions, plus: Callable[[_Piece, _Piece], _Piece]) -> None:
        for begin, piece in zip(other.begins, other.pieces, strict=True):
            place = bisect_left(self.begins, begin)
            if place < len(self.pieces) and self.begins[place] == begin:
                self.pieces[place] = plus(self.pieces[place], piece)
            else:
                self.begins.insert(place, begin)
                self.pieces.insert(place, piece)

    def runs(self) -> list[list[_Piece]]:
        """Those that follow on one another."""
        found: list[list[_Piece]] = []
        for place, piece in enumerate(self.pieces):
            if place and self._end(place - 1) == self.begins[place]:
                found[-1].append(piece)
            else:
                found.append([piece])
        return found


_Terms = Sequence["_Regions | Value"]


def _regions(node: Node) -> _Regions | None:
    """The region of a pad with zeros along one axis."""
    attrs = node.attrs
    axes = [i for i, (low, high) in enumerate(zip(attrs["low"], attrs["high"], strict=True)) if low or high]
    if len(axes) != 1 or any(attrs["interior"]) or str(float(attrs["value"])) != "0.0":
        return None
    (axis,), piece = axes, _Piece(node.inputs[0], node)
    return _Regions(axis, [attrs["low"][axis]], [piece]) if piece.size(axis) else None


class _Joiner:
    """Writes the nodes of a graph again; pads, and sums that only one node reads, wait until they meet no sum."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers = Counter(v for node in graph.nodes for v in node.inputs)
        self.readers.update(graph.outputs)
        self.pads: dict[Value, Node] = {}
        self.sums: dict[Value, tuple[Node, _Terms]] = {}
        self.nodes: list[Node] = []
        self.written: set[Value] = set()
        self.changed = False

    def run(self) -> list[Node]:
        for node in self.graph.nodes:
            if node.op is pad and _regions(node) is not None:
                self._need(node.inputs[0])  # which no sum takes apart any more
                self.pads[node.output] = node
                continue
            terms = self._terms(node)
            if terms is not None:
                self.sums[node.output] = (node, terms)
            if terms is None or self.readers[node.output] != 1:
                self._write(node)
        for value in self.graph.outputs:
            self._need(value)
        return self.nodes

    def _terms(self, node: Node) -> _Terms | None:
        """What a sum with a pad in it consists of."""
        if node.op is not add or all(v not in self.pads and v not in self.sums for v in node.inputs):
            return None
        a, b = map(self._terms_of, node.inputs)
        found = self._sum(a, b)
        if found is not None:
            for value in node.inputs:
                self.sums.pop(value, None)
        return found

    def _terms_of(self, value: Value) -> _Terms:
        if value in self.sums:
            return self.sums[value][1]
        region = _regions(self.pads[value]) if value in self.pads else None
        return [value if region is None else region]

    def _sum(self, a: _Terms, b: _Terms) -> _Terms | None:
        """The terms of a sum, those of both sides put together where they fit; None if they are too many."""
        pairs: dict[int, int] = {}  # which term of b is put together with which of a
        alone = len(a) == len(b) == 1  # else another term would have to be added between two in the same region
        for number, term in enumerate(b):
            fitting = (i for i, known in enumerate(a) if i not in pairs.values() and _fit(known, term, alone))
            if (place := next(fitting, None)) is not None:
                pairs[number] = place
        if len(a) + len(b) - len(pairs) > _MOST_TERMS:
            return None
        found = list(a)
        for number, term in enumerate(b):
            if number in pairs:
                found[pairs[number]] = self._together(found[pairs[number]], term)
            else:
                found.append(term)
        return found

    def _together(self, a: _Regions | Value, b: _Regions | Value) -> _Regions:
        assert isinstance(a, _Regions) and isinstance(b, _Regions)
        large, small = _by_size(a, b)
        large.add(small, self._plus)
        return large

    def _plus(self, a: _Piece, b: _Piece) -> _Piece:
        """Two pieces in the same region."""
        self.changed = True
        total = Value(a.x.type)
        self.nodes.append(Node(add, (a.x, b.x), {}, (total,), a.node.loc))
        return _Piece(total, a.node)

    # Writing.
    def _need(self, value: Value) -> None:
        """Write what makes a value, if that has been waiting."""
        if value in self.pads and value not in self.written:
            self.written.add(value)
            self.nodes.append(self.pads[value])
        elif value in self.sums:
            node, terms = self.sums.pop(value)
            self._write_sum(node, terms)

    def _write(self, node: Node) -> None:
        if not self.sums.keys().isdisjoint(node.outputs):
            self._need(node.output)
            return
        for value in node.inputs:
            self._need(value)
        self.nodes.append(node)

    def _write_sum(self, node: Node, terms: _Terms) -> None:
        builder = Builder(loc=node.loc)
        operands = [Expr(builder, v) for term in terms for v in self._written(builder, term)]
        total = operands[0]
        for operand in operands[1:]:
            total = total + operand
        last = builder.nodes[-1]
        self.nodes += [*builder.nodes[:-1], Node(last.op, last.inputs, last.attrs, node.outputs, node.loc)]

    def _written(self, builder: Builder, term: _Regions | Value) -> list[Value]:
        if isinstance(term, Value):
            return [term]
        return [self._joined(builder, run, term.axis) for run in term.runs()]

    def _joined(self, builder: Builder, run: Sequence[_Piece], axis: int) -> Value:
        """The concatenation of a run, padded where the run is not everything."""
        first, last = run[0].node, run[-1].node
        if len(run) == 1 and run[0].x is first.inputs[0]:
            self._need(first.output)
            return first.output
        self.changed = True
        parts = [Expr(builder, piece.x) for piece in run]
        whole = parts[0] if len(run) == 1 else apply(concat, *map(_with_zero_added, parts), axis=axis)
        if whole.type == first.output.type:
            return whole.value
        return apply(pad, whole, **{**first.attrs, "high": last.attrs["high"]}).value


def _with_zero_added(x: Expr) -> Expr:
    return x + filled(x, 0.0, x.type) if x.type.dtype.is_float else x


def _by_size(a: _Regions, b: _Regions) -> tuple[_Regions, _Regions]:
    return (a, b) if len(a.pieces) >= len(b.pieces) else (b, a)


def _fit(a: _Regions | Value, b: _Regions | Value, also_same: bool) -> bool:
    if isinstance(a, Value) or isinstance(b, Value):
        return False
    large, small = _by_size(a, b)
    return large.takes(small, also_same)
