"""Rules for updates: drop those that change nothing, or that nothing is left of, and read around them."""

from __future__ import annotations

import math
from typing import Any

from tinytorch.ir.graph import Node
from tinytorch.ir.op import Attrs
from tinytorch.ir.ops.index import gather, region, scatter, update_slice
from tinytorch.ir.ops.view import slice_
from tinytorch.ir.rewrite import Rewriter, Rule, Term, local
from tinytorch.ir.types import Shape

Region = tuple[range, ...]


def _updated(node: Node) -> Region:
    """Where an update_slice puts its update."""
    return region(node.inputs[1].type.shape, **node.attrs)


def _read(shape: Shape, attrs: Attrs) -> Region:
    """Where a slice of `shape` reads."""
    return region(shape, attrs["starts"], attrs["steps"])


def _contains(outer: Region, inner: Region) -> bool:
    """Whether all elements of a region, which is not empty, lie in another one."""

    def within(whole: range, part: range) -> bool:
        return part[0] in whole and part[-1] in whole and (len(part) == 1 or part.step % whole.step == 0)

    return all(map(within, outer, inner))


def _apart(a: Region, b: Region) -> bool:
    """Whether two regions, which are not empty, have no element in common."""
    return not all(map(_meet, a, b))


def _meet(a: range, b: range) -> bool:
    """Whether two ranges share a number: those in both are the solutions of a.start + i * a.step = b.start modulo
    b.step, one in every lcm(a.step, b.step) numbers."""
    shared = math.gcd(a.step, b.step)
    if (b.start - a.start) % shared:
        return False
    period = b.step // shared
    i = (b.start - a.start) // shared * pow(a.step // shared, -1, period) % period
    solution, every = a.start + i * a.step, a.step * period
    first = max(a.start, b.start)
    return first + (solution - first) % every <= min(a[-1], b[-1])


@local(update_slice)
def _update_slice(rewriter: Rewriter, node: Node) -> Term | None:
    """x[all] = u gives u;  x[nothing] = u gives x;  x[w] = x[w] gives x"""
    base, update = (rewriter.term(v) for v in node.inputs)
    if update.shape == base.shape:
        return update
    if update.numel() == 0:
        return base
    own = rewriter.producer(node.inputs[1], slice_)
    same = own is not None and own.inputs[0] is node.inputs[0]
    return base if same and own is not None and _read(update.shape, own.attrs) == _updated(node) else None


@local(update_slice)
def _update_over_update(rewriter: Rewriter, node: Node) -> Term | None:
    """x[v] = t; x[w] = u is x[w] = u alone, where w holds all of v"""
    inner = rewriter.producer(node.inputs[0], update_slice)
    if inner is None or not _contains(_updated(node), _updated(inner)):
        return None
    operands = [rewriter.term(inner.inputs[0]), rewriter.term(node.inputs[1])]
    return operands[0].apply_op(update_slice, operands, node.attrs)


@local(slice_)
def _slice_of_update(rewriter: Rewriter, node: Node) -> Term | None:
    """After x[v] = u, x[w] is the slice of u where v holds all of w, and that of the old x where v and w are apart"""
    inner = rewriter.producer(node.inputs[0], update_slice)
    if inner is None or node.output.type.size == 0:
        return None
    asked, put = _read(node.output.type.shape, node.attrs), _updated(inner)
    if _contains(put, asked):
        places = [range(p.index(a[0]), p.index(a[-1]) + 1) for p, a in zip(put, asked, strict=True)]
        steps = [max(1, a.step // p.step) for p, a in zip(put, asked, strict=True)]
        return _sliced(rewriter.term(inner.inputs[1]), places, steps)
    if _apart(put, asked):
        base: Any = rewriter.term(inner.inputs[0])
        return base.apply_op(slice_, [base], node.attrs)
    return None


def _sliced(x: Term, places: list[range], steps: list[int]) -> Term:
    starts, limits = tuple(p.start for p in places), tuple(p.stop for p in places)
    return x.apply_op(slice_, [x], {"starts": starts, "limits": limits, "steps": tuple(steps)})


@local(scatter)
def _scatter(rewriter: Rewriter, node: Node) -> Term | None:
    """x[no indices] = u gives x;  x[i] = x[i] gives x;  x[i] = t; x[i] = u is x[i] = u alone"""
    base, indices, updates = node.inputs
    if updates.type.size == 0:
        return rewriter.term(base)
    own = rewriter.producer(updates, gather)
    if own is not None and own.inputs == (base, indices) and own.attrs == node.attrs:
        return rewriter.term(base)
    inner = rewriter.producer(base, scatter)
    if inner is None or inner.inputs[1] is not indices or inner.attrs != node.attrs:
        return None
    operands = [rewriter.term(v) for v in (inner.inputs[0], indices, updates)]
    return operands[0].apply_op(scatter, operands, node.attrs)


UPDATE_RULES: list[Rule] = [_update_slice, _update_over_update, _slice_of_update, _scatter]
