"""Rules for views: compose them, drop those that do nothing, and move reshapes behind chains of elementwise ops, so
that a chain can become one kernel (`raise_views` moves the others in front)."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from tinytorch.ir.graph import Node, Value
from tinytorch.ir.op import OPS, Op
from tinytorch.ir.ops.composite import dropout
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.core import constant, custom_grad
from tinytorch.ir.ops.reduce import max_, min_, sum_
from tinytorch.ir.ops.view import broadcast, concat, flip, pad, permute, reshape, slice_
from tinytorch.ir.rewrite import Rewriter, Rule, Term, local
from tinytorch.ir.types import Shape

_ELEMENTWISE = [op for op in OPS.values() if op.kind == "elementwise" and op not in (constant, custom_grad)]
_DEEPEST = 20  # ops that a permute moves in front of: each is a nested call
_STRIDED = frozenset({permute, flip, slice_})  # views that a reshape has to copy


def _padded(small: Shape, rank: int) -> Shape:
    """`small` with axes of size 1 in front."""
    return (1,) * (rank - len(small)) + small


def _without_leading_ones(shape: Shape) -> Shape:
    first = next((axis for axis, d in enumerate(shape) if d != 1), len(shape))
    return shape[first:]


def _source(rewriter: Rewriter, value: Value, view: Op) -> Term | None:
    """The operand of `view`, if that is what computes `value`."""
    node = rewriter.producer(value, view)
    return None if node is None else rewriter.term(node.inputs[0])


# Views of views.
@local(reshape)
def _reshape(rewriter: Rewriter, node: Node) -> Term | None:
    """reshape(x: s, s) == x;  reshape(reshape(x), s) == reshape(x, s)"""
    operand, shape = rewriter.term(node.inputs[0]), node.output.type.shape
    if operand.shape == shape:
        return operand
    inner = _source(rewriter, node.inputs[0], reshape)
    return None if inner is None else inner.reshape(shape)


@local(reshape)
def _reshape_of_broadcast(rewriter: Rewriter, node: Node) -> Term | None:
    """reshape(broadcast(x)) == broadcast(reshape(x)), where no merged axis is repeated in part"""
    source = _source(rewriter, node.inputs[0], broadcast)
    if source is None:
        return None
    shape = node.output.type.shape
    small = reshaped_source(source.shape, node.inputs[0].type.shape, shape)
    return None if small is None else source.reshape(_without_leading_ones(small)).broadcast_to(shape)


def matching_axes(shape: Shape, new_shape: Shape) -> list[tuple[range, range]]:
    """The smallest runs of axes that a reshape turns into each other, in order; both shapes have elements."""
    found: list[tuple[range, range]] = []
    i = j = 0
    while i < len(shape) or j < len(new_shape):
        first, other = i, j
        rows = cols = 1
        if i < len(shape):
            rows, i = shape[i], i + 1
        if j < len(new_shape) and (rows != 1 or first == len(shape)):
            cols, j = new_shape[j], j + 1
        while rows != cols:
            if rows < cols:
                rows, i = rows * shape[i], i + 1
            else:
                cols, j = cols * new_shape[j], j + 1
        found.append((range(first, i), range(other, j)))
    return found


def reshaped_source(source: Shape, shape: Shape, new_shape: Shape) -> Shape | None:
    """The shape in which `source`, which was broadcast to `shape`, broadcasts to `new_shape` with the elements in the
    same order; None where there is none."""
    if 0 in shape:
        return None
    source = _padded(source, len(shape))
    found: list[int] = []
    for old, new in matching_axes(shape, new_shape):
        if all(source[i] == shape[i] for i in old):
            found += [new_shape[j] for j in new]
        elif all(source[i] == 1 for i in old):
            found += [1] * len(new)
        else:
            return None
    return tuple(found)


@local(permute)
def _permute(rewriter: Rewriter, node: Node) -> Term | None:
    """permute(x, identity) == x;  permute(permute(x, p), q) == permute(x, p[q]);
    permute(x) == reshape(x) where only axes of size 1 move, as the order of the elements stays"""
    operand, axes = rewriter.term(node.inputs[0]), node.attrs["axes"]
    if axes == tuple(range(len(axes))):
        return operand
    moved = [axis for axis in axes if operand.shape[axis] != 1]
    if moved == sorted(moved):
        return operand.reshape(node.output.type.shape)
    inner = rewriter.producer(node.inputs[0], permute)
    if inner is None:
        return None
    return rewriter.term(inner.inputs[0]).permute(tuple(inner.attrs["axes"][axis] for axis in axes))


@local(permute)
def _permute_of_matmul(rewriter: Rewriter, node: Node) -> Term | None:
    """transpose(a @ b) == transpose(b) @ transpose(a): what is done to the result next can then be its epilogue"""
    product = rewriter.producer(node.inputs[0], matmul)
    rank = node.output.type.rank
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    if product is None or node.attrs["axes"] != swapped or not rewriter.single_use(node.inputs[0]):
        return None
    a, b = (rewriter.term(v).mT for v in product.inputs)
    return b.apply_op(matmul, [b, a], product.attrs)


@local(permute)
def _permute_of_broadcast(rewriter: Rewriter, node: Node) -> Term | None:
    """permute(broadcast(x), p) == broadcast(permute(x, p))"""
    source = _source(rewriter, node.inputs[0], broadcast)
    if source is None:
        return None
    full = source.reshape(_padded(source.shape, node.output.type.rank))
    moved = full.permute(node.attrs["axes"])
    return moved.reshape(_without_leading_ones(moved.shape)).broadcast_to(node.output.type.shape)


@local(permute)
def _permute_of_elementwise(rewriter: Rewriter, node: Node) -> Term | None:
    """permute(f(permute(x, p), broadcast(y)), q) == f(x, permute(broadcast(y), q)) where q undoes p, through any chain
    of such f: a chain between two permutes needs neither, nor the copies that they may become"""
    made = rewriter.producers.get(node.inputs[0])
    return None if made is None or made.op not in _ELEMENTWISE else _undone(rewriter, made.outputs[0], node, _DEEPEST)


def _undone(rewriter: Rewriter, value: Value, undo: Node, deepest: int) -> Term | None:
    """`value` under the permute `undo`, if that leaves no permute but of broadcasts."""
    made, axes = rewriter.producers.get(value), undo.attrs["axes"]
    if made is None or not deepest:
        return None
    if made.op is broadcast:
        return rewriter.term(value).permute(axes)
    if made.op is permute:
        undoes = [made.attrs["axes"][axis] for axis in axes] == sorted(axes)
        return rewriter.term(made.inputs[0]) if undoes else None
    places = {operand.type.shape for operand in made.inputs}  # others make something of places, such as a range
    if made.op not in _ELEMENTWISE or places != {value.type.shape} or not rewriter.single_use(value):
        return None
    operands: list[Term] = []
    for operand in made.inputs:
        found = _undone(rewriter, operand, undo, deepest - 1)
        if found is None:
            return None
        operands.append(found)
    return operands[0].apply_op(made.op, operands, made.attrs)


@local(broadcast)
def _broadcast(rewriter: Rewriter, node: Node) -> Term | None:
    """broadcast(x: s, s) == x;  broadcast(broadcast(x), s) == broadcast(x, s);  broadcast(reshape(x), s) ==
    broadcast(x, s) where the reshape only adds or drops axes of size 1 in front;  broadcast(x, s) == reshape(x, s)
    where it repeats nothing"""
    operand, shape = rewriter.term(node.inputs[0]), node.output.type.shape
    if operand.shape == shape:
        return operand
    if math.prod(shape) == operand.numel() > 0:
        return operand.reshape(shape)
    inner = _source(rewriter, node.inputs[0], broadcast)
    if inner is not None:
        return inner.broadcast_to(shape)
    inner = _source(rewriter, node.inputs[0], reshape)
    if inner is None or inner.ndim > len(shape):
        return None
    same = _without_leading_ones(inner.shape) == _without_leading_ones(operand.shape)
    return inner.broadcast_to(shape) if same else None


@local(slice_)
def _slice(rewriter: Rewriter, node: Node) -> Term | None:
    """x[0:n:1] == x;  x[a:b:s][c:d:t] == x[a + c*s : … : s*t]"""
    operand, attrs = rewriter.term(node.inputs[0]), node.attrs
    if operand.shape == node.output.type.shape and all(step == 1 for step in attrs["steps"]):
        return operand
    inner = rewriter.producer(node.inputs[0], slice_)
    if inner is None:
        return None
    steps = tuple(s * t for s, t in zip(inner.attrs["steps"], attrs["steps"], strict=True))
    sizes = node.output.type.shape
    offsets = zip(inner.attrs["starts"], inner.attrs["steps"], attrs["starts"], sizes, strict=True)
    starts = tuple(a + c * s if n else 0 for a, s, c, n in offsets)
    limits = tuple(a + (n - 1) * s + 1 if n else 0 for a, n, s in zip(starts, sizes, steps, strict=True))
    return _sliced(rewriter.term(inner.inputs[0]), starts, limits, steps)


def _sliced(x: Term, starts: Sequence[int], limits: Sequence[int], steps: Sequence[int]) -> Term:
    return x.apply_op(slice_, [x], {"starts": tuple(starts), "limits": tuple(limits), "steps": tuple(steps)})


@local(slice_)
def _slice_of_broadcast(rewriter: Rewriter, node: Node) -> Term | None:
    """broadcast(x)[w] == broadcast(x[w]), of which the repeated axes need no window"""
    source = _source(rewriter, node.inputs[0], broadcast)
    if source is None:
        return None
    rank = node.output.type.rank
    full = source.reshape(_padded(source.shape, rank))
    large = node.inputs[0].type.shape
    repeated = [own != d for own, d in zip(full.shape, large, strict=True)]
    starts = [0 if r else a for r, a in zip(repeated, node.attrs["starts"], strict=True)]
    limits = [1 if r else b for r, b in zip(repeated, node.attrs["limits"], strict=True)]
    steps = [1 if r else s for r, s in zip(repeated, node.attrs["steps"], strict=True)]
    return _sliced(full, starts, limits, steps).broadcast_to(node.output.type.shape)


@local(slice_)
def _slice_of_concat(rewriter: Rewriter, node: Node) -> Term | None:
    """concat(…, x, …)[w] == x[w'] where the window lies in one operand"""
    joined = rewriter.producer(node.inputs[0], concat)
    if joined is None:
        return None
    axis, attrs = joined.attrs["axis"], node.attrs
    start, limit = attrs["starts"][axis], attrs["limits"][axis]
    begins = rewriter.starts(joined)
    number = bisect_right(begins, start) - 1
    if start >= limit or limit > begins[number + 1]:
        return None
    offset = begins[number]
    starts = [a - offset if i == axis else a for i, a in enumerate(attrs["starts"])]
    limits = [b - offset if i == axis else b for i, b in enumerate(attrs["limits"])]
    return _sliced(rewriter.term(joined.inputs[number]), starts, limits, attrs["steps"])


@local(flip)
def _flip(rewriter: Rewriter, node: Node) -> Term | None:
    """flip(x, no axes) == x, and axes of size 1 do not count;  flip(flip(x, a), b) flips the axes that are in one of
    them;  the repeated axes of a broadcast do not count"""
    operand = rewriter.term(node.inputs[0])
    axes = {axis % operand.ndim for axis in node.attrs["axes"]}
    inner = rewriter.producer(node.inputs[0], flip)
    if inner is not None:
        axes ^= {axis % operand.ndim for axis in inner.attrs["axes"]}
        operand = rewriter.term(inner.inputs[0])
    source = _source(rewriter, node.inputs[0], broadcast)
    varying = operand.shape if source is None else _padded(source.shape, operand.ndim)
    left = tuple(sorted(axis for axis in axes if varying[axis] != 1))
    if inner is None and left == node.attrs["axes"]:
        return None
    return operand.flip(left) if left else operand


@local(pad)
def _pad(rewriter: Rewriter, node: Node) -> Term | None:
    """pad(x, nothing) == x"""
    attrs = node.attrs
    nothing = not any((*attrs["low"], *attrs["high"], *attrs["interior"]))
    return rewriter.term(node.inputs[0]) if nothing else None


@local(concat)
def _concat(rewriter: Rewriter, node: Node) -> Term | None:
    """concat(x) == x"""
    return rewriter.term(node.inputs[0]) if len(node.inputs) == 1 else None


# Reshapes move behind what reads them, which leaves chains in the shape in which they began.
@local(*_ELEMENTWISE)
def _elementwise_of_reshape(rewriter: Rewriter, node: Node) -> Term | None:
    """f(reshape(a), broadcast(b)) == reshape(f(a, broadcast(reshape(b)))): behind a product of rows, its bias and
    activation stay rows and can join its kernel. Another operand is reshaped only if that lowers the rank; an input of
    the graph, which begins no chain, is no reason for it: the bias of a single row is reshaped, not the row. Nor is
    what a view has cut out, such as one of a stack of matrices: it stays beside what it meets."""
    shape = node.output.type.shape
    for value in node.inputs:
        source = _source(rewriter, value, reshape)
        if source is None or rewriter.producer(source.value, constant) is not None:
            continue
        if len(source.shape) > len(shape) and rewriter.producer(source.value, slice_) is not None:
            continue
        free = len(source.shape) < len(shape) and source.value in rewriter.producers
        if all(_takes_shape(rewriter, v, source.shape, free) for v in node.inputs):
            operands = [rewriter.term(v).reshape(source.shape) for v in node.inputs]
            return operands[0].apply_op(node.op, operands, node.attrs).reshape(shape)
    return None


def _takes_shape(rewriter: Rewriter, value: Value, shape: Shape, free: bool) -> bool:
    """Whether a reshape of `value` merges into what computes it; or, if that is `free`, at least copies nothing."""
    node = rewriter.producers.get(value)
    if node is None:
        return free
    if node.op is constant:
        return True
    if node.op is broadcast:
        return reshaped_source(node.inputs[0].type.shape, value.type.shape, shape) is not None
    if node.op is reshape and node.inputs[0].type.shape == shape:
        return True
    # What reads a flip keeps the shape in which it is one.
    flips = node.op in _ELEMENTWISE and any(rewriter.producer(v, flip) is not None for v in node.inputs)
    return free and node.op not in _STRIDED and not flips


@local(sum_, max_, min_)
def _reduce_of_reshape(rewriter: Rewriter, node: Node) -> Term | None:
    """reduce(reshape(x), axes) == reshape(reduce(x, axes')), where the reshape keeps reduced and kept axes apart"""
    source, shape = _source(rewriter, node.inputs[0], reshape), node.inputs[0].type.shape
    if source is None or 0 in shape:
        return None
    reduced: list[int] = []
    for old, new in matching_axes(source.shape, shape):
        hit = [j in node.attrs["axes"] for j in new if shape[j] != 1]
        if any(hit) and not all(hit):
            return None
        reduced += old if any(hit) else []
    if not reduced:
        return None
    return source.apply_op(node.op, [source], {"axes": tuple(reduced)}).reshape(node.output.type.shape)


@local(dropout)
def _dropout_of_reshape(rewriter: Rewriter, node: Node) -> Term | None:
    """dropout(reshape(x)) == reshape(dropout(x)): which elements it drops depends on their order alone"""
    source = _source(rewriter, node.inputs[0], reshape)
    if source is None:
        return None
    dropped = source.apply_op(dropout, [source, rewriter.term(node.inputs[1])], node.attrs)
    return dropped.reshape(node.output.type.shape)


VIEW_RULES: list[Rule] = [
    _reshape,
    _reshape_of_broadcast,
    _permute,
    _permute_of_matmul,
    _permute_of_broadcast,
    _permute_of_elementwise,
    _broadcast,
    _slice,
    _slice_of_broadcast,
    _slice_of_concat,
    _flip,
    _pad,
    _concat,
    _elementwise_of_reshape,
    _reduce_of_reshape,
    _dropout_of_reshape,
]
