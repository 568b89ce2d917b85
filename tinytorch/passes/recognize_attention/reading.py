"""What attention written by hand looks like in a graph: its scores, its products, its gradient.

Every matrix of queries by keys has leading axes that a reshape may change, as the order of its elements stays; so
matching looks through reshapes that keep the last two axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.op import Array, Op
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.core import constant, where
from tinytorch.ir.ops.elementwise import add, div, mul, sub
from tinytorch.ir.ops.view import broadcast, permute, reshape

_MAX_STEPS = 8  # between the product and the softmax
_MAX_COMPARED = 1 << 24  # elements of a view that are looked at one by one


@dataclass(frozen=True)
class Matrix:
    """A value, the last two axes exchanged if `swapped`."""

    value: Value
    swapped: bool = False

    @property
    def T(self) -> Matrix:
        return Matrix(self.value, not self.swapped)


@dataclass(frozen=True)
class Product:
    """A node that computes m @ other, or its transpose: m is a matrix that was asked about, `turned` if transposed."""

    node: Node
    turned: bool
    other: Matrix
    swapped: bool


@dataclass(frozen=True)
class Hidden:
    """The scores that `condition`, being `when`, replaces."""

    condition: Value
    when: bool


@dataclass(frozen=True)
class Scores:
    """product * scale + added, or less it, then `fill` where hidden; `steps` compute that, in order."""

    product: Node
    steps: tuple[Node, ...] = ()
    scale: float = 1.0
    added: Value | None = None
    subtracts: bool = False
    hidden: tuple[Hidden, ...] = ()
    fill: float = -math.inf


class Reading:
    """A graph under the questions of a matcher."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers, self.users = graph.producers(), graph.users()
        self.outputs = frozenset(graph.outputs)
        self._known: dict[Value, Array | None] = {}

    # Values under any leading axes.
    def behind(self, value: Value) -> Value:
        """What `value` is a reshape of that keeps the last two axes."""
        node = self.producers.get(value)
        while node is not None and _keeps_matrices(node):
            value = node.inputs[0]
            node = self.producers.get(value)
        return value

    def maker(self, value: Value) -> Node | None:
        """The node that computes `value`, seen through such reshapes."""
        return self.producers.get(self.behind(value))

    def readers(self, value: Value) -> list[Node | None]:
        """The nodes that read `value`, also through such reshapes; None stands for a result of the graph."""
        found: list[Node | None] = []
        todo = [value]
        while todo:
            value = todo.pop()
            found += [None] if value in self.outputs else []
            for node in self.users[value]:
                if _keeps_matrices(node):
                    todo.append(node.output)
                else:
                    found.append(node)
        return found

    def reader(self, value: Value, op: Op) -> Node | None:
        """The only node that reads `value`, if it applies `op`."""
        found = self.readers(value)
        return found[0] if len(found) == 1 and found[0] is not None and found[0].op is op else None

    def other(self, node: Node, value: Value) -> Value | None:
        """The operand of two that is not `value`; None if none or both are."""
        left = [v for v in node.inputs if self.behind(v) is not value]
        return left[0] if len(left) == 1 and len(node.inputs) == 2 else None

    def number(self, value: Value) -> float | None:
        """The number that every element of `value` is, if that is known."""
        node = self.producers.get(value)
        while node is not None and node.op in (broadcast, reshape):
            node = self.producers.get(node.inputs[0])
        if node is None or node.op is not constant or node.attrs["value"].size != 1:
            return None
        return float(node.attrs["value"].reshape(()))

    # Scores.
    def scores(self, value: Value) -> Scores | None:
        """How `value` is computed of a product of matrices."""
        return self._scores(value, _MAX_STEPS, can_add=True)

    def _scores(self, value: Value, left: int, *, can_add: bool) -> Scores | None:
        node = self.maker(value)
        if node is None or not left:
            return None
        if node.op is matmul:
            return Scores(node) if node.attrs.get("dtype") is None else None
        if node.op in (mul, div):
            return self._scaled(node, left, can_add)
        if node.op in (add, sub) and can_add:
            return self._added(node, left)
        return self._hidden(node, left, can_add) if node.op is where else None

    def _scaled(self, node: Node, left: int, can_add: bool) -> Scores | None:
        """A fill is scaled, too. Several factors are one only where no product of some can overflow."""
        for x, by in _orders(node):
            number = self.number(by)
            factor = _factor(node, number)
            if factor is None:
                continue
            s = self._scores(x, left - 1, can_add=can_add)
            if s is None or s.added is not None or (s.scale != 1 and max(abs(s.scale), abs(factor)) > 1):
                return None
            fill = s.fill
            if s.hidden:
                if factor < 0:
                    return None
                one = np.asarray(fill, node.output.type.dtype.numpy)
                with np.errstate(over="ignore"):
                    fill = float(node.op.evaluate([one, np.asarray(number, one.dtype)], {})[0])
            return Scores(s.product, (*s.steps, node), s.scale * factor, hidden=s.hidden, fill=fill)
        return None

    def _added(self, node: Node, left: int) -> Scores | None:
        for x, mask in _orders(node):
            s = self._scores(x, left - 1, can_add=False)
            if s is not None and not s.hidden:
                return Scores(s.product, (*s.steps, node), s.scale, mask, node.op is sub)
        return None

    def _hidden(self, node: Node, left: int, can_add: bool) -> Scores | None:
        condition, a, b = node.inputs
        for x, filling, when in ((b, a, True), (a, b, False)):
            fill = self.number(filling)
            if fill is None:
                continue
            s = self._scores(x, left - 1, can_add=can_add)
            if s is None or (s.hidden and s.fill != fill):
                return None
            hidden = (*s.hidden, Hidden(condition, when))
            return Scores(s.product, (*s.steps, node), s.scale, s.added, s.subtracts, hidden, fill)
        return None

    def undone(self, step: Node, cotangent: Value) -> Node | None:
        """The node that takes the cotangent of a step's result to that of its scores; for `add`, none is needed."""
        node = self.reader(cotangent, step.op)
        if node is None:
            return None
        if step.op is where:
            condition, a, _ = step.inputs
            zero = 1 if self.number(a) is not None else 2
            if self._rows_behind(node.inputs[0]) is not self._rows_behind(condition):
                return None
            if self.number(node.inputs[zero]) != 0:
                return None
            return node if self.behind(node.inputs[3 - zero]) is cotangent else None
        numbers = [self.number(v) for v in step.inputs]
        by = self.number(node.inputs[1]) if step.op is div else self._number_beside(node, cotangent)
        return node if by is not None and by in numbers else None

    def _rows_behind(self, value: Value) -> Value:
        """What lies behind a condition, and behind a broadcast of one matrix to all heads, however counted."""
        value = self.behind(value)
        node = self.producers.get(value)
        if node is None or node.op is not broadcast or value.type.shape[-2:] != node.inputs[0].type.shape[-2:]:
            return value
        return self.behind(node.inputs[0]) if math.prod(node.inputs[0].type.shape[:-2]) == 1 else value

    def _number_beside(self, node: Node, value: Value) -> float | None:
        other = self.other(node, value)
        return None if other is None else self.number(other)

    # Products.
    def product(self, node: Node, value: Value, turned: bool = False) -> Product | None:
        """`node` as a product with `value` (`turned`: which is a transpose), if it is one and takes it once."""
        if node.op is not matmul or node.attrs.get("dtype") is not None:
            return None
        a, b = node.inputs
        first = self.behind(a) is value
        if first == (self.behind(b) is value):
            return None
        return Product(node, turned, Matrix(b), False) if first else Product(node, not turned, Matrix(a, True), True)

    def products(self, value: Value) -> Iterator[tuple[Node, list[Product | None]]]:
        """The readers of `value` that are products of it or transposes that only products read, with these."""
        for node in self.readers(value):
            if node is None:
                continue
            if node.op is matmul:
                yield node, [self.product(node, value)]
            elif node.op is permute and swaps(node):
                found = self.readers(node.output)
                yield node, [None if n is None else self.product(n, node.output, True) for n in found]

    def same(self, a: Matrix, b: Matrix) -> bool:
        """Whether both are one matrix, whatever views they are, under any leading axes."""
        if self.plain(a) == self.plain(b):
            return True
        root, size = self._root(a.value), a.value.type.size
        if root is not self._root(b.value) or size != b.value.type.size or root.type.size > _MAX_COMPARED:
            return False
        if size > _MAX_COMPARED or _matrix_shape(a) != _matrix_shape(b):
            return False
        return np.array_equal(self._places(a, root).reshape(-1), self._places(b, root).reshape(-1))

    def plain(self, m: Matrix) -> tuple[Value, tuple[int, ...]]:
        """A value that is no permute, and which order of its axes `m` is."""
        rank = m.value.type.rank
        axes = (*range(rank - 2), rank - 1, rank - 2) if m.swapped else tuple(range(rank))
        value, node = m.value, self.producers.get(m.value)
        while node is not None and node.op is permute:
            axes = tuple(node.attrs["axes"][axis] for axis in axes)
            value = node.inputs[0]
            node = self.producers.get(value)
        return value, axes

    def _views(self, value: Value) -> Iterator[Node]:
        node = self.producers.get(value)
        while node is not None and node.op in (permute, reshape, broadcast):
            yield node
            node = self.producers.get(node.inputs[0])

    def _root(self, value: Value) -> Value:
        for node in self._views(value):
            value = node.inputs[0]
        return value

    def _places(self, m: Matrix, root: Value) -> Array:
        """Which element of `root` each element is."""
        found = np.arange(root.type.size).reshape(root.type.shape)
        for node in reversed(list(self._views(m.value))):
            found = node.op.evaluate([found], node.attrs)[0]
        return found.swapaxes(-1, -2) if m.swapped else found

    # Constants.
    def known(self, value: Value) -> Array | None:
        """The elements of what is computed of constants and counting alone; each is computed once."""
        todo = [value]
        while todo:
            this = todo[-1]
            node = self.producers.get(this)
            if this in self._known:
                todo.pop()
            elif node is None or node.op.kind not in ("elementwise", "view", "move") or node.op.guard is not None:
                self._known[todo.pop()] = None
            elif missing := [v for v in node.inputs if v not in self._known]:
                todo += missing
            else:
                self._known[todo.pop()] = self._evaluated(node)
        return self._known[value]

    def _evaluated(self, node: Node) -> Array | None:
        operands = [self._known[v] for v in node.inputs]
        known = [a for a in operands if a is not None]
        if len(known) < len(operands) or node.output.type.size > _MAX_COMPARED:
            return None
        with np.errstate(all="ignore"):
            return node.op.evaluate(known, node.attrs)[0]

    def is_causal(self, hidden: Hidden) -> bool:
        """Whether just the keys behind each query's own number are hidden, whatever the leading axes."""
        value, node = hidden.condition, self.producers.get(hidden.condition)
        rows = value.type.shape[-2:]
        while node is not None and node.op in (broadcast, reshape) and node.inputs[0].type.shape[-2:] == rows:
            value = node.inputs[0]
            node = self.producers.get(value)
        array = self.known(value)
        return array is not None and bool(((array == hidden.when) == np.triu(np.ones(rows, bool), 1)).all())


def swaps(node: Node) -> bool:
    """Whether a permute exchanges the last two axes."""
    rank = node.output.type.rank
    return rank > 1 and node.attrs["axes"] == (*range(rank - 2), rank - 1, rank - 2)


def _keeps_matrices(node: Node) -> bool:
    return node.op is reshape and node.inputs[0].type.shape[-2:] == node.output.type.shape[-2:] != ()


def _matrix_shape(m: Matrix) -> tuple[int, ...]:
    rows = m.value.type.shape[-2:]
    return rows[::-1] if m.swapped else rows


def _orders(node: Node) -> list[tuple[Value, Value]]:
    """The operands in the orders in which the op may take them."""
    a, b = node.inputs
    return [(a, b)] if node.op in (div, sub) else [(a, b), (b, a)]


def _factor(node: Node, number: float | None) -> float | None:
    """What scores are multiplied by: a finite number far from the limits of the dtype."""
    if number is None or not 1e-30 < abs(number) < 1e30:
        return None
    return 1 / number if node.op is div else number


@dataclass(frozen=True)
class Repeated:
    """Heads of which each `times` in a row are one: `value`, reshaped to `shape`, has them once, and what order `axes`
    of that is [batch, groups, keys, width]."""

    value: Value
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    times: int


def repeated(reading: Reading, m: Matrix) -> Repeated | None:
    """`m`, of [batch, heads, keys, width], as heads that were repeated, each several times in a row."""
    value, axes = reading.plain(m)
    node = reading.producers.get(value)
    if node is None or len(axes) != 4:
        return None
    heads, shape = axes[1], value.type.shape
    split = shape
    if node.op is reshape:
        node = reading.producers.get(node.inputs[0])
        split = () if node is None else node.output.type.shape
    if node is None or node.op is not broadcast:
        return None
    if split == shape:  # one group: the axis of heads itself is repeated
        groups, times, small = 1, shape[heads], (*shape[:heads], 1, *shape[heads + 1 :])
    else:
        groups, times = split[heads : heads + 2] if len(split) == 5 else (0, 0)
        small = (*split[: heads + 1], 1, *split[heads + 2 :])
        if split != (*shape[:heads], groups, times, *shape[heads + 1 :]) or groups * times != shape[heads]:
            return None
    source = node.inputs[0]
    if (1,) * (len(small) - source.type.rank) + source.type.shape != small:
        return None
    return Repeated(source, (*shape[:heads], groups, *shape[heads + 1 :]), axes, times)
