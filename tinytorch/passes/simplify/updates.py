"""Rules for updates: drop those that change nothing, or that nothing is left of, and read around them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch.ir.graph import Node, Value
from tinytorch.ir.ops.index import dynamic_slice, gather, region, rooms, scatter, update_slice
from tinytorch.ir.ops.view import inverse, permute, reshape, slice_
from tinytorch.ir.rewrite import Rewriter, Rule, Term, local
from tinytorch.ir.types import Shape


@dataclass(frozen=True)
class Region:
    """Where a slice reads or an update writes: a range along each axis, moved by a position along some of them."""

    ranges: tuple[range, ...]
    moved: Mapping[int, Value]

    def along(self, axis: int) -> tuple[range, Value | None]:
        return self.ranges[axis], self.moved.get(axis)


def _updated(node: Node) -> Region:
    """Where an update_slice puts its update."""
    attrs = node.attrs
    ranges = region(node.inputs[1].type.shape, attrs["starts"], attrs["steps"])
    return Region(ranges, dict(zip(attrs.get("axes", ()), node.inputs[2:], strict=True)))


def _read(node: Node) -> Region:
    """Where a slice reads."""
    attrs = node.attrs
    ranges = region(node.output.type.shape, attrs["starts"], attrs["steps"])
    return Region(ranges, dict(zip(attrs.get("axes", ()), node.inputs[1:], strict=True)))


def _contains(outer: Region, inner: Region) -> bool:
    """Whether all elements of a region, which is not empty, lie in another one, as far as is known."""

    def within(whole: range, part: range) -> bool:
        return part[0] in whole and part[-1] in whole and (len(part) == 1 or part.step % whole.step == 0)

    return outer.moved == inner.moved and all(map(within, outer.ranges, inner.ranges))


def _apart(a: Region, b: Region) -> bool:
    """Whether two regions, which are not empty, are known to have no element in common."""
    sides = [(a.along(axis), b.along(axis)) for axis in range(len(a.ranges))]
    return any(p is q and not _meet(x, y) for (x, p), (y, q) in sides)


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


@local(update_slice, dynamic_slice)
def _known_position(rewriter: Rewriter, node: Node) -> Term | None:
    """A region that a constant moves begins elsewhere; one that leaves the whole stays, and is an error when it runs"""
    first = 2 if node.op is update_slice else 1
    attrs, positions = dict(node.attrs), node.inputs[first:]
    part = node.inputs[1].type.shape if node.op is update_slice else node.output.type.shape
    axes = attrs.pop("axes", ())
    room = rooms(node.inputs[0].type.shape, part, attrs["starts"], attrs["steps"], axes)
    known = {axis: rewriter.number(p) for axis, p in zip(axes, positions, strict=True)}
    steps = {axis: int(k) for (axis, k), r in zip(known.items(), room, strict=True) if k is not None and 0 <= k <= r}
    if not steps:
        return None
    for name in ("starts", "limits"):
        if name in attrs:
            attrs[name] = tuple(a + steps.get(axis, 0) for axis, a in enumerate(attrs[name]))
    left = [(axis, p) for axis, p in zip(axes, positions, strict=True) if axis not in steps]
    if left:
        attrs["axes"] = tuple(axis for axis, _ in left)
    operands = [rewriter.term(v) for v in (*node.inputs[:first], *(p for _, p in left))]
    return operands[0].apply_op(slice_ if node.op is dynamic_slice and not left else node.op, operands, attrs)


@local(update_slice)
def _update_slice(rewriter: Rewriter, node: Node) -> Term | None:
    """x[all] = u gives u;  x[nothing] = u gives x;  x[w] = x[w] gives x"""
    if node.attrs.get("axes"):  # its position may be out of range
        return None
    base, update = (rewriter.term(v) for v in node.inputs)
    if update.shape == base.shape:
        return update
    if update.numel() == 0:
        return base
    own = rewriter.producer(node.inputs[1], slice_)
    same = own is not None and own.inputs[0] is node.inputs[0]
    return base if same and own is not None and _read(own) == _updated(node) else None


@local(update_slice)
def _update_over_update(rewriter: Rewriter, node: Node) -> Term | None:
    """x[v] = t; x[w] = u is x[w] = u alone, where w holds all of v"""
    inner = rewriter.producer(node.inputs[0], update_slice)
    if inner is None or 0 in inner.inputs[1].type.shape or not _contains(_updated(node), _updated(inner)):
        return None
    operands = [rewriter.term(v) for v in (inner.inputs[0], *node.inputs[1:])]
    return operands[0].apply_op(update_slice, operands, node.attrs)


@local(update_slice)
def _update_of_permuted(rewriter: Rewriter, node: Node) -> Term | None:
    """permute(x)[w] = u is permute(x[w'] = permute'(u)): x need not be copied"""
    view = rewriter.producer(node.inputs[0], permute)
    if view is None:
        return None
    order = view.attrs["axes"]
    back = inverse(order)
    attrs = {name: tuple(node.attrs[name][a] for a in back) for name in ("starts", "steps")}
    if "axes" in node.attrs:
        attrs["axes"] = tuple(order[a] for a in node.attrs["axes"])
    x, u, *positions = [rewriter.term(v) for v in (view.inputs[0], *node.inputs[1:])]
    new = x.apply_op(update_slice, [x, u.permute(back), *positions], attrs)
    return new.permute(order)


@local(update_slice)
def _update_of_part(rewriter: Rewriter, node: Node) -> Term | None:
    """x[w] = (x[w] with u at v) is x[v of w] = u, also where axes of size 1 are dropped between"""
    view = rewriter.producer(node.inputs[1], reshape)
    inner = rewriter.producer(node.inputs[1] if view is None else view.inputs[0], update_slice)
    if inner is None or node.attrs.get("axes"):
        return None
    x, part = node.inputs[0].type.shape, node.inputs[1].type.shape
    matching = _matching_axes(part, inner.output.type.shape)
    if matching is None:
        return None
    here, there = _part_of(rewriter, node.inputs[0]).narrowed(node), _part_of(rewriter, inner.inputs[0])
    if not here.before(rewriter).is_at(there.before(rewriter), matching):
        return None
    axes = tuple(matching[a] for a in inner.attrs.get("axes", ()))
    if any(part[a] != x[a] for a in axes):  # the check of a position is that of the part
        return None
    starts, steps, shape = list(node.attrs["starts"]), list(node.attrs["steps"]), [1] * len(x)
    regions = zip(inner.attrs["starts"], inner.attrs["steps"], inner.inputs[1].type.shape, strict=True)
    for axis, (start, step, count) in zip(matching, regions, strict=True):
        starts[axis] += start * steps[axis]
        steps[axis] *= step
        shape[axis] = count
    base, u, *positions = [rewriter.term(v) for v in (node.inputs[0], *inner.inputs[1:])]
    attrs: dict[str, Any] = {"starts": tuple(starts), "steps": tuple(steps), **({"axes": axes} if axes else {})}
    return base.apply_op(update_slice, [base, u.reshape(tuple(shape)), *positions], attrs)


@dataclass(frozen=True)
class _Part:
    """What slices and dropped axes of size 1 leave of `root`: a range along each of its axes, and the `axes` of it that
    are left."""

    root: Value
    ranges: tuple[range, ...]
    axes: tuple[int, ...]

    def narrowed(self, node: Node) -> _Part:
        """The part of it where a slice reads, or an update is put."""
        attrs, ranges = node.attrs, list(self.ranges)
        part = node.inputs[1].type.shape if node.op is update_slice else node.output.type.shape
        for axis, asked in zip(self.axes, region(part, attrs["starts"], attrs["steps"]), strict=True):
            ranges[axis] = ranges[axis][asked.start : asked.stop : asked.step]
        return _Part(self.root, tuple(ranges), self.axes)

    def before(self, rewriter: Rewriter) -> _Part:
        """The same elements, read before updates of other parts."""
        root, own = self.root, Region(self.ranges, {})
        while (node := rewriter.producer(root, update_slice)) is not None:
            if not (all(self.ranges) and node.inputs[1].type.size and _apart(_updated(node), own)):
                break
            root = node.inputs[0]
        return _Part(root, self.ranges, self.axes)

    def is_at(self, other: _Part, matching: Sequence[int]) -> bool:
        """Whether the other part is the same place, the axes of which are those `matching` of this one."""
        same = self.root is other.root and self.ranges == other.ranges
        pairs = zip(matching, other.axes, strict=True)
        return same and all(self.axes[a] == b or len(self.ranges[b]) == 1 for a, b in pairs)


def _part_of(rewriter: Rewriter, value: Value) -> _Part:
    node = rewriter.producer(value, slice_)
    if node is not None:
        return _part_of(rewriter, node.inputs[0]).narrowed(node)
    node = rewriter.producer(value, reshape)
    matching = None if node is None else _matching_axes(node.inputs[0].type.shape, value.type.shape)
    if node is None or matching is None:
        return _Part(value, tuple(map(range, value.type.shape)), tuple(range(value.type.rank)))
    found = _part_of(rewriter, node.inputs[0])
    return _Part(found.root, found.ranges, tuple(found.axes[axis] for axis in matching))


def _matching_axes(whole: Shape, part: Shape) -> list[int] | None:
    """Which axes of `whole` those of `part` are, where the others have size 1."""
    matching: list[int] = []
    for axis, size in enumerate(whole):
        if len(matching) < len(part) and part[len(matching)] == size:
            matching.append(axis)
        elif size != 1:
            return None
    return matching if len(matching) == len(part) else None


@local(slice_, dynamic_slice)
def _slice_of_update(rewriter: Rewriter, node: Node) -> Term | None:
    """After x[v] = u, x[w] is the slice of u where v holds all of w, and that of the old x where v and w are apart"""
    inner = rewriter.producer(node.inputs[0], update_slice)
    if inner is None or node.output.type.size == 0 or inner.inputs[1].type.size == 0:
        return None
    asked, put = _read(node), _updated(inner)
    if not put.moved and _contains(put, asked):
        pairs = list(zip(put.ranges, asked.ranges, strict=True))
        places = [range(p.index(a[0]), p.index(a[-1]) + 1) for p, a in pairs]
        steps = [max(1, a.step // p.step) for p, a in pairs]
        return _sliced(rewriter.term(inner.inputs[1]), places, steps)
    if _apart(put, asked):
        operands = [rewriter.term(v) for v in (inner.inputs[0], *node.inputs[1:])]
        return operands[0].apply_op(node.op, operands, node.attrs)
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


UPDATE_RULES: list[Rule] = [
    _known_position,
    _update_slice,
    _update_over_update,
    _update_of_permuted,
    _update_of_part,
    _slice_of_update,
    _scatter,
]
