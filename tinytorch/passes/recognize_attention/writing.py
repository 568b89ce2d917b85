"""The ops in the place of what they were recognized by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.op import apply
from tinytorch.ir.ops.attention import Attention, attention, attention_grad
from tinytorch.ir.ops.contract import transposed
from tinytorch.ir.ops.elementwise import and_, not_
from tinytorch.ir.ops.reduce import sum_
from tinytorch.ir.ops.view import permute, reshape
from tinytorch.ir.types import Shape
from tinytorch.passes.recognize_attention.reading import Matrix, Product, Repeated
from tinytorch.passes.recognize_attention.sites import Gradient, Site


@dataclass(frozen=True)
class _Made:
    """The op that has been written for a site."""

    how: Attention
    operands: list[Any]
    out: Any
    norms: Any


class Writer:
    """One walk over the graph that writes the ops where their results were computed."""

    def __init__(self, graph: Graph, sites: list[Site]) -> None:
        self.graph = graph
        self.builder = Builder(graph.name, list(graph.inputs))
        self.known: dict[Value, Value] = {}
        self.sites = {site.place: site for site in sites}
        self.made: dict[Node, _Made] = {}
        self.firsts: dict[Node, list[tuple[Site, Gradient]]] = {}
        order = {node: i for i, node in enumerate(graph.nodes)}
        for site in sites:
            for gradient in site.gradients:
                first = min((p.node for p in gradient.products), key=order.__getitem__)
                self.firsts.setdefault(first, []).append((site, gradient))

    def run(self) -> Graph:
        for node in self.graph.nodes:
            self.builder.loc = node.loc
            if node in self.sites:
                self._attend(self.sites[node])
            for site, gradient in self.firsts.get(node, ()):
                self._differentiate(node, site, gradient)
            if not all(v in self.known for v in node.outputs):
                inputs = tuple(self.known.get(v, v) for v in node.inputs)
                same = inputs == node.inputs
                self.builder.nodes.append(node if same else Node(node.op, inputs, node.attrs, node.outputs, node.loc))
        return self.builder.build([self.known.get(v, v) for v in self.graph.outputs], self.graph.state)

    def _attend(self, site: Site) -> None:
        f, s = site.forward, site.forward.scores
        k, v = site.groups or (f.k, f.v)
        operands = {"q": self._operand(f.q, site), "k": self._operand(k, site), "v": self._operand(v, site)}
        mask = self._mask(site)
        if mask is not None:
            operands["mask"] = mask
        if f.drops is not None:
            operands["state"] = self._expr(f.drops.inputs[1])
        p = 0.0 if f.drops is None else f.drops.attrs["p"]
        how = Attention(s.scale, site.causal, tuple(operands)[3:], p, s.fill, zeros=False)
        out, norms = apply(attention, *operands.values(), **how.attrs)
        self.made[site.place] = _Made(how, list(operands.values()), out, norms)
        if site.out is not None:
            self._replace(site.out, out)

    def _differentiate(self, node: Node, site: Site, gradient: Gradient) -> None:
        """At `node`, the first of the products: it knows g, if by another view."""
        made = self.made[site.place]
        g = next((p.other for p in gradient.dv if p.node is node), gradient.g)
        ct = self._operand(g, site)
        delta = apply(sum_, ct * made.out, axes=(3,))
        found = apply(attention_grad, *made.operands, made.norms, delta, ct, **made.how.attrs)
        for x, products in zip(found, (gradient.dq, gradient.dk, gradient.dv), strict=True):
            for product in products:
                sums = site.sums.get(product.node.output)
                if sums is None:
                    self._replace(product, x)
                else:
                    total = apply(reshape, apply(permute, x, axes=sums.axes), shape=sums.node.output.type.shape)
                    self.known[sums.node.output] = total.value

    def _mask(self, site: Site) -> Any:
        """Which keys are seen, or what is added to their scores; None: neither, but for causality."""
        s = site.forward.scores
        if s.added is not None:
            mask: Any = self._shaped(self._expr(s.added), site.shape)
            return -mask if s.subtracts else mask
        seen = [self._shaped(self._expr(h.condition), site.shape) for h in site.hidden]
        seen = [apply(not_, x) if h.when else x for x, h in zip(seen, site.hidden, strict=True)]
        return reduce(lambda a, b: apply(and_, a, b), seen) if seen else None

    def _expr(self, value: Value) -> Expr:
        return Expr(self.builder, self.known.get(value, value))

    def _operand(self, m: Matrix | Repeated, site: Site) -> Any:
        """[batch, heads or groups, rows, columns]."""
        x: Any = self._expr(m.value)
        if isinstance(m, Repeated):
            return apply(permute, apply(reshape, x, shape=m.shape), axes=m.axes)
        return self._shaped(transposed(x) if m.swapped else x, site.shape)

    def _shaped(self, x: Any, lead: Shape) -> Any:
        """`x` with the first two axes of `lead` in front of its last two."""
        shape = (*lead[:2], *x.type.shape[-2:])
        return x if x.type.shape == shape else apply(reshape, x, shape=shape)

    def _replace(self, product: Product, x: Any) -> None:
        """Let `x` stand for the result of a product."""
        x, shape = transposed(x) if product.swapped else x, product.node.output.type.shape
        self.known[product.node.output] = (x if x.type.shape == shape else apply(reshape, x, shape=shape)).value
