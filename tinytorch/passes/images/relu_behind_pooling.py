"""Max pooling: what can be done on the few largest elements is not done on all of them."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.op import Op, apply
from tinytorch.ir.ops.core import constant, where, zeros_like
from tinytorch.ir.ops.elementwise import le, maximum
from tinytorch.ir.ops.pooling import max_pool2d, max_unpool2d
from tinytorch.ir.ops.reduce import sum_
from tinytorch.ir.ops.view import broadcast
from tinytorch.ir.rewrite import Rewriter, Term, local, rewrite, table
from tinytorch.passes.dce import dce


def relu_behind_pooling(graph: Graph) -> Graph:
    """Take ReLU, and its derivative, behind max pooling where nothing else reads it; sum gradients before they are
    spread.

        %r = maximum(0, %x)                            %p, %i = max_pool2d(%x)
        %y, %i = max_pool2d(%r)                        %y = maximum(0, %p)
        %d = max_unpool2d(%g, %i)               -->    %m = where(%y <= 0, 0, %g)
        %e = where(%r <= 0, 0, %d)                     %e = max_unpool2d(%m, %i)
        %b = sum(%e) {axes=(0, 1, 2)}                  %b = sum(%m) {axes=(0, 1, 2)}

    Of the large arrays, only %x is read, by pooling, and a convolution can do that on its results. NaNs go the same
    ways; a largest element of zero may have another sign. A bias stays in front of pooling: it costs nothing there,
    and the places are those of the sums as they were rounded.
    """
    if not any(node.op in (max_pool2d, max_unpool2d) for node in graph.nodes):
        return graph
    sites = _Finder(graph).sites()
    if sites:
        graph = dce(_ReluMover(graph, sites).run())
    rewritten = rewrite(graph, table([_sum_of_unpooled]))
    return graph if rewritten is graph else dce(rewritten)


@dataclass(frozen=True)
class _Site:
    """A ReLU that only max pooling and its gradient read."""

    x: Value
    pooling: Node
    unpools: tuple[Node, ...]
    masks: tuple[Node, ...]  # where(relu <= 0, 0, unpooled), one for each of `unpools`


class _Finder:
    """Looks for sites in a graph."""

    def __init__(self, graph: Graph) -> None:
        self.producers, self.readers = graph.producers(), graph.users()
        self.outputs = set(graph.outputs)
        self.relus = [n for n in graph.nodes if n.op is maximum and sum(map(self.is_zero, n.inputs)) == 1]

    def sites(self) -> list[_Site]:
        return [found for relu in self.relus if (found := self.site(relu)) is not None]

    def is_zero(self, value: Value) -> bool:
        node = self.producers.get(value)
        while node is not None and node.op is broadcast:
            node = self.producers.get(node.inputs[0])
        return node is not None and node.op is constant and node.output.type.size == 1 and not node.attrs["value"].any()

    def site(self, relu: Node) -> _Site | None:
        """max_pool(max(x, 0)) == max(max_pool(x), 0), as max(x, 0) is monotone in x; and where the largest is positive,
        its place in relu(x) is that in x, and elsewhere the derivative is 0"""
        (x,) = (v for v in relu.inputs if not self.is_zero(v))
        found: dict[Op, list[Node]] = {max_pool2d: [], le: []}
        for node in self.readers[relu.output]:
            if node.op not in found or (node.op is le and not self.is_zero(node.inputs[1])):
                return None
            found[node.op].append(node)
        poolings, silent = found.values()
        if len(poolings) != 1:
            return None
        (pooling,) = poolings
        place = pooling.outputs[1]
        unpools = self.readers[place]
        masks = self.read(silent)
        hidden = {place, *(node.output for node in (relu, *unpools, *silent))}
        if not (has_elements(pooling) and self.outputs.isdisjoint(hidden) and self.pairs(unpools, masks)):
            return None
        spread = {n.output: n for n in unpools}
        return _Site(x, pooling, tuple(spread[n.inputs[2]] for n in masks), tuple(masks))

    def read(self, nodes: list[Node]) -> list[Node]:
        return [reader for node in nodes for reader in self.readers[node.output]]

    def pairs(self, unpools: list[Node], masks: list[Node]) -> bool:
        """Whether every one of `masks` is where(…, 0, unpooled), the only reader of one of `unpools`."""
        if any(n.op is not max_unpool2d for n in unpools):
            return False
        if any(n.op is not where or not self.is_zero(n.inputs[1]) for n in masks):
            return False
        return sorted(map(id, self.read(unpools))) == sorted(map(id, masks))


def has_elements(pooling: Node) -> bool:
    """Whether every window has an element inside of the image."""
    window, stride, low, dilation = (pooling.attrs[key] for key in ("window", "stride", "low", "dilation"))
    x, out = pooling.inputs[0].type.shape, pooling.outputs[0].type.shape
    return all(
        any(0 <= i * stride[a] - low[a] + k * dilation[a] < x[1 + a] for k in range(window[a]))
        for a in (0, 1)
        for i in range(out[1 + a])
    )


class _ReluMover:
    """One walk over the graph that writes the nodes of each site anew."""

    def __init__(self, graph: Graph, sites: list[_Site]) -> None:
        self.graph = graph
        self.builder = Builder(graph.name, list(graph.inputs))
        self.known: dict[Value, Value] = {}  # what stands for values that changed
        self.poolings = {site.pooling: site for site in sites}
        self.unpools = {node: site for site in sites for node in site.unpools}
        self.spread = {mask: node for site in sites for mask, node in zip(site.masks, site.unpools, strict=True)}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            self.builder.loc = node.loc
            values = self._write(node)
            if values is None:
                self._copy(node, tuple(self.known.get(v, v) for v in node.inputs))
            else:
                self.known.update(zip(node.outputs, values, strict=True))
        outputs = [self.known.get(v, v) for v in self.graph.outputs]
        return self.builder.build(outputs, self.graph.state)

    def _write(self, node: Node) -> tuple[Value, ...] | None:
        """What replaces the results of `node`; None if the node stays."""
        if node in self.poolings:
            x, names = self.poolings[node].x, [v.name for v in node.outputs]
            best, place = self.builder.append(node.op, [self.known.get(x, x)], node.attrs, names).outputs
            pooled = self._expr(best)
            return apply(maximum, zeros_like(pooled), pooled).value, place
        if node in self.unpools:
            g = self._expr(node.inputs[0])
            silent = self._expr(self.unpools[node].pooling.outputs[0]) <= 0.0
            masked = apply(where, silent, zeros_like(g), g)
            self._copy(node, (masked.value, self.known[node.inputs[1]]))
            return node.outputs
        if node in self.spread:
            return self.spread[node].outputs
        return None

    def _expr(self, value: Value) -> Expr:
        return Expr(self.builder, self.known.get(value, value))

    def _copy(self, node: Node, inputs: tuple[Value, ...]) -> None:
        same = inputs == node.inputs
        self.builder.nodes.append(node if same else Node(node.op, inputs, node.attrs, node.outputs, node.loc))


@local(sum_)
def _sum_of_unpooled(rewriter: Rewriter, node: Node) -> Term | None:
    """sum(max_unpool2d(g, place), height and width) == sum(g): each window's element is put somewhere, once"""
    spread = rewriter.producer(node.inputs[0], max_unpool2d)
    if spread is None or not {1, 2} <= set(node.attrs["axes"]):
        return None
    pooling = rewriter.producer(spread.inputs[1], max_pool2d)
    if pooling is None or pooling.outputs[1] is not spread.inputs[1] or not has_elements(pooling):
        return None
    g = rewriter.term(spread.inputs[0])
    return g.apply_op(sum_, [g], node.attrs)
