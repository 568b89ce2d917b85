"""What belongs to one attention: its products, the steps between them, and the same of its gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.op import Op
from tinytorch.ir.ops.composite import dropout, softmax
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.core import where
from tinytorch.ir.ops.elementwise import div, exp, mul, sub
from tinytorch.ir.ops.reduce import max_, sum_
from tinytorch.ir.ops.view import broadcast, permute, reshape
from tinytorch.ir.types import Shape
from tinytorch.passes.recognize_attention.reading import Hidden, Matrix, Product, Reading, Repeated, Scores, repeated


def weighs(node: Node) -> bool:
    """Whether `node` may be the last of a softmax over keys."""
    rank = node.outputs[0].type.rank
    if rank < 2 or node.op not in (softmax, div, mul):
        return False
    return node.op is not softmax or node.attrs["axis"] == rank - 1


@dataclass(frozen=True)
class Gradient:
    """Products of a cotangent `g` of the result: with k, with q, and of the weights."""

    g: Matrix
    dq: list[Product]
    dk: list[Product]
    dv: list[Product]

    @property
    def products(self) -> list[Product]:
        return [*self.dq, *self.dk, *self.dv]


@dataclass(frozen=True)
class Sums:
    """Where the cotangents of repeated heads are summed, and which order of axes they have there."""

    node: Node
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Forward:
    """What is computed forward, of the result all but the last product."""

    scores: Scores
    q: Matrix
    k: Matrix
    v: Matrix
    weights: Node
    drops: Node | None


@dataclass(frozen=True)
class Site:
    """Attention in a graph; `shape` is [batch, heads, queries, keys], the order of all elements. `place` is the first
    node that is replaced, that of the result `out` unless only its gradient is wanted. `hidden` are the conditions that
    stay masks; `groups` are k and v where heads of them are repeated, and `sums` by the products that
    are the cotangents of these."""

    shape: Shape
    forward: Forward
    place: Node
    out: Product | None
    causal: bool
    hidden: tuple[Hidden, ...]
    gradients: list[Gradient]
    groups: tuple[Repeated, Repeated] | None
    sums: dict[Value, Sums]


class Finder:
    """Looks for sites in a graph."""

    def __init__(self, graph: Graph) -> None:
        self.reading = Reading(graph)
        self.graph = graph
        self.order = {node: i for i, node in enumerate(graph.nodes)}

    def sites(self) -> list[Site]:
        return [found for node in self.graph.nodes if weighs(node) and (found := self._site(node)) is not None]

    def _site(self, weights: Node) -> Site | None:
        source, inside = self._softmax(weights)
        type = weights.output.type
        if source is None or type.dtype.bits < 32 or not type.size:
            return None
        scores = self.reading.scores(source)
        if scores is None:
            return None
        hidden = tuple(h for h in scores.hidden if not self.reading.is_causal(h))
        if scores.added is not None and hidden:
            return None  # the op takes one mask
        inside |= {weights, scores.product, *scores.steps}
        drops = next((n for n in self.reading.readers(weights.output) if n is not None and n.op is dropout), None)
        kept = weights if drops is None else drops
        inside.add(kept)
        read = self._products(kept.output, inside)
        outs = [p for p in read if not p.turned]
        v = outs[0].other if outs else self._value(weights, drops)
        if len(outs) > 1 or v is None:
            return None
        q, k = scores.product.inputs
        found = Forward(scores, Matrix(q), Matrix(k, True), v, weights, drops)
        gradients = self._gradients(found, [p for p in read if p.turned], inside)
        if gradients is None:
            return None
        border = {p.node for p in (*outs, *(p for g in gradients for p in g.products))}
        place = min(border, key=self.order.__getitem__, default=None)
        if place is None or not self._closed(inside, border) or not self._is_ready(found, outs, place):
            return None
        shape = _heads([scores.product, *scores.steps, weights, place], type.shape)
        causal = len(hidden) < len(scores.hidden)
        out = outs[0] if outs else None
        return Site(shape, found, place, out, causal, hidden, gradients, *self._groups(shape, found, gradients))

    def _value(self, weights: Node, drops: Node | None) -> Matrix | None:
        """v, as the gradient has it, where nothing reads the result."""
        for node in self.reading.readers(weights.output):
            other = None if node is None or node.op is not mul else self.reading.other(node, weights.output)
            product = None if other is None else self.reading.maker(other)
            if product is not None and drops is not None and product.op is dropout:
                product = self.reading.maker(product.inputs[0])
            if product is not None and product.op is matmul:
                return Matrix(product.inputs[1], True)
        return None

    def _is_ready(self, found: Forward, outs: list[Product], place: Node) -> bool:
        """Whether `place` is the result's, or v is known there."""
        maker = self.reading.producers.get(found.v.value)
        return place is outs[0].node if outs else maker is None or self.order[maker] < self.order[place]

    def _closed(self, inside: set[Node], border: set[Node]) -> bool:
        """Whether nothing but `inside` and `border` reads what is computed inside."""
        return all(r in inside or r in border for node in inside for r in self.reading.readers(node.output))

    def _softmax(self, last: Node) -> tuple[Value | None, set[Node]]:
        """The scores whose softmax `last` is, and what else computes it: exp(x - max) / sum, or times 1 / sum."""
        if last.op is softmax:
            return last.inputs[0], set()
        maker = self.reading.maker
        for e, by in [last.inputs] if last.op is div else [last.inputs, last.inputs[::-1]]:
            top, spread = maker(e), maker(by)
            if top is None or spread is None or top.op is not exp or spread.op is not broadcast:
                continue
            total, inverse = maker(spread.inputs[0]), None
            if last.op is mul and total is not None and total.op is div and self.reading.number(total.inputs[0]) == 1:
                total, inverse = maker(total.inputs[1]), total
            elif last.op is mul:
                continue
            shifted = maker(top.inputs[0])
            if total is None or shifted is None or not self._reduces(total, sum_, top.output) or shifted.op is not sub:
                continue
            x, shift = self.reading.behind(shifted.inputs[0]), maker(shifted.inputs[1])
            most = maker(shift.inputs[0]) if shift is not None and shift.op is broadcast else None
            if shift is not None and most is not None and self._reduces(most, max_, x):
                return x, {top, spread, total, shifted, shift, most, *([] if inverse is None else [inverse])}
        return None, set()

    def _reduces(self, node: Node, op: Op, x: Value) -> bool:
        """Whether `node` reduces `x` over its last axis."""
        rank = node.inputs[0].type.rank if node.inputs else 0
        return node.op is op and node.attrs["axes"] == (rank - 1,) and self.reading.behind(node.inputs[0]) is x

    def _products(self, value: Value, inside: set[Node]) -> list[Product]:
        """Those of `value`; the transposes that they take are inside."""
        found: list[Product] = []
        for node, products in self.reading.products(value):
            if None not in products:
                inside |= {node} if node.op is permute else set()
                found += [p for p in products if p is not None]
        return found

    # The gradient.
    def _gradients(self, found: Forward, by_weights: list[Product], inside: set[Node]) -> list[Gradient] | None:
        gradients: list[Gradient] = []
        w = found.weights.output
        for node in self.reading.readers(w):
            if node is not None and node.op is mul and (raw := self._by_value(found, node, inside)) is not None:
                products = self._by_scores(found, node, inside)
                if products is None:
                    return None
                gradients.append(Gradient(raw, *products, []))
        for product in by_weights:
            own = next((g for g in gradients if self.reading.same(g.g, product.other)), None)
            if own is None:
                gradients.append(own := Gradient(product.other, [], [], []))
            own.dv.append(product)
        return gradients

    def _by_value(self, found: Forward, node: Node, inside: set[Node]) -> Matrix | None:
        """g, where `node` is weights * dropout(g vᵀ)."""
        other = self.reading.other(node, found.weights.output)
        product = None if other is None else self.reading.maker(other)
        passed = [node]
        if product is not None and found.drops is not None:
            same = product.op is dropout and product.attrs == found.drops.attrs
            if not same or product.inputs[1] is not found.drops.inputs[1]:
                return None
            passed.append(product)
            product = self.reading.maker(product.inputs[0])
        if product is None or product.op is not matmul or product.attrs.get("dtype") is not None:
            return None
        g, v = product.inputs
        if not self.reading.same(Matrix(v, True), found.v):
            return None
        inside |= {*passed, product}
        return Matrix(g)

    def _by_scores(
        self, found: Forward, weighted: Node, inside: set[Node]
    ) -> tuple[list[Product], list[Product]] | None:
        """The products with k and with q of the scores' cotangents, weighted - weights * sum(weighted) as they go back
        through the steps."""
        reading, w = self.reading, found.weights.output
        total = next((n for n in reading.readers(weighted.output) if n is not None and n.op is sum_), None)
        if total is None or not self._reduces(total, sum_, weighted.output):
            return None
        spread = reading.reader(total.output, broadcast)
        back = None if spread is None else reading.reader(spread.output, mul)
        minus = None if back is None else reading.reader(back.output, sub)
        if spread is None or back is None or minus is None or spread.output.type.size != w.type.size:
            return None
        other = reading.other(back, spread.output)
        if other is None or reading.behind(other) is not w:
            return None
        if [reading.behind(v) for v in minus.inputs] != [weighted.output, back.output]:
            return None
        inside |= {total, spread, back, minus}
        cotangent = minus.output
        for step in reversed(found.scores.steps):
            if step.op in (mul, div, where):
                undone = reading.undone(step, cotangent)
                if undone is None:
                    return None
                inside.add(undone)
                cotangent = undone.output
        products = self._products(cotangent, inside)
        dq, dk = [p for p in products if not p.turned], [p for p in products if p.turned]
        fits = all(reading.same(p.other, found.k) for p in dq) and all(reading.same(p.other, found.q) for p in dk)
        return (dq, dk) if fits else None

    # Repeated heads.
    def _groups(
        self, shape: Shape, found: Forward, gradients: list[Gradient]
    ) -> tuple[tuple[Repeated, Repeated] | None, dict[Value, Sums]]:
        """The heads of k and v that are repeated alike, and sums of all their cotangents."""
        if found.weights.output.type.shape != shape:
            return None, {}
        k, v = repeated(self.reading, found.k), repeated(self.reading, found.v)
        if k is None or v is None or k.times != v.times:
            return None, {}
        sums: dict[Value, Sums] = {}
        for product in (p for g in gradients for p in (*g.dk, *g.dv)):
            total = self._summed(product, k.times)
            if total is None:
                return None, {}
            sums[product.node.output] = total
        return (k, v), sums

    def _summed(self, product: Product, times: int) -> Sums | None:
        """The sum over the heads of a group, of which `product` is the cotangent and nothing else is read."""
        value, axes = product.node.output, (0, 1, 2, 3)
        if product.swapped:
            axes = (0, 1, 3, 2)
        node = self._only_reader(value)
        if node is not None and node.op is permute:
            axes = tuple(axes[a] for a in node.attrs["axes"])
            value = node.output
            node = self._only_reader(value)
        heads, shape = axes.index(1), value.type.shape
        summed = heads
        if node is not None and node.op is reshape:
            split = (*shape[:heads], shape[heads] // times, times, *shape[heads + 1 :])
            if node.output.type.shape != split:
                return None
            summed, node = heads + 1, self._only_reader(node.output)
        elif times != shape[heads]:
            return None
        return None if node is None or node.op is not sum_ or node.attrs["axes"] != (summed,) else Sums(node, axes)

    def _only_reader(self, value: Value) -> Node | None:
        users = self.reading.users[value]
        return users[0] if len(users) == 1 and value not in self.reading.outputs else None


def _heads(nodes: list[Node], shape: Shape) -> Shape:
    """[batch, heads, queries, keys], as one of the nodes has it; else an axis in front of the last three is heads."""
    for node in nodes:
        own = node.output.type.shape
        if len(own) == 4:
            return (*own[:2], *shape[-2:])
    heads = shape[-3] if len(shape) > 3 else 1
    return (math.prod(shape[:-2]) // heads, heads, *shape[-2:])
