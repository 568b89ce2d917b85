"""Layouts: where the elements of a view lie in the buffer of the value that it is a view of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.types import Shape, contiguous_strides

Ints = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Element (i, j, …) lies at offset + i * strides[0] + j * strides[1] + …, in elements, of the buffer of `base`."""

    base: Value
    offset: int
    strides: Ints

    def is_contiguous(self, shape: Shape) -> bool:
        """Row-major without gaps; the strides of axes of size 1 do not matter."""
        expected = contiguous_strides(shape)
        return 0 in shape or all(d == 1 or a == b for d, a, b in zip(shape, self.strides, expected, strict=True))


def own(value: Value) -> Layout:
    """The layout of a value in a buffer of its own."""
    return Layout(value, 0, contiguous_strides(value.type.shape))


def of_view(node: Node, operand: Layout) -> Layout | None:
    """The layout of a view of a value that has layout `operand`; None if its elements must be moved."""
    rule = _RULES.get(node.op.name)
    return None if rule is None else rule(node.inputs[0].type.shape, operand, node.attrs)


def layouts(graph: Graph) -> dict[Value, Layout]:
    """The layout of every value; what is not a view, or cannot be one, has a buffer of its own."""
    found = {value: own(value) for value in graph.inputs}
    for node in graph.nodes:
        view = of_view(node, found[node.inputs[0]]) if node.op.kind == "view" else None
        for value in node.outputs:
            found[value] = view or own(value)
    return found


def _permute(shape: Shape, x: Layout, attrs: Any) -> Layout:
    return Layout(x.base, x.offset, tuple(x.strides[a] for a in attrs["axes"]))


def _broadcast(shape: Shape, x: Layout, attrs: Any) -> Layout:
    new = attrs["shape"]
    lead = len(new) - len(shape)
    strides = (0 if d == 1 and n != 1 else s for d, n, s in zip(shape, new[lead:], x.strides, strict=True))
    return Layout(x.base, x.offset, (0,) * lead + tuple(strides))


def _slice(shape: Shape, x: Layout, attrs: Any) -> Layout:
    offset = x.offset + sum(a * s for a, s in zip(attrs["starts"], x.strides, strict=True))
    return Layout(x.base, offset, tuple(k * s for k, s in zip(attrs["steps"], x.strides, strict=True)))


def _flip(shape: Shape, x: Layout, attrs: Any) -> Layout:
    axes = {a % len(shape) for a in attrs["axes"]}
    offset = x.offset + sum((shape[a] - 1) * x.strides[a] for a in axes if shape[a])
    return Layout(x.base, offset, tuple(-s if i in axes else s for i, s in enumerate(x.strides)))


def _reshape(shape: Shape, x: Layout, attrs: Any) -> Layout | None:
    return reshaped(shape, x, attrs["shape"])


def reshaped(shape: Shape, x: Layout, new: Shape) -> Layout | None:
    """The layout under another shape. Runs of axes that lie evenly spaced merge into one; each new axis must be a part
    of one run."""
    if 0 in shape:
        return Layout(x.base, x.offset, contiguous_strides(new))
    runs: list[tuple[int, int]] = []  # (size, stride of its last axis), from the last axis on
    for d, s in reversed([(d, s) for d, s in zip(shape, x.strides, strict=True) if d != 1]):
        if runs and s == runs[-1][0] * runs[-1][1]:
            runs[-1] = (runs[-1][0] * d, runs[-1][1])
        else:
            runs.append((d, s))
    strides: list[int] = []
    size, step = runs.pop(0) if runs else (1, 1)
    for d in reversed(new):
        if d == 1:
            strides.append(step)
            continue
        if size == 1:
            size, step = runs.pop(0)
        if size % d:
            return None
        strides.append(step)
        size, step = size // d, step * d
    return Layout(x.base, x.offset, tuple(reversed(strides)))


def _affine(shape: Shape, x: Layout, attrs: Any) -> Layout:
    def elements(steps: Ints) -> int:
        return sum(a * b for a, b in zip(steps, x.strides, strict=True))

    return Layout(x.base, x.offset + elements(attrs["starts"]), tuple(map(elements, attrs["strides"])))


def _same(shape: Shape, x: Layout, attrs: Any) -> Layout:
    return x


_RULES = {
    "affine_view": _affine,
    "after": _same,
    "permute": _permute,
    "broadcast": _broadcast,
    "slice": _slice,
    "flip": _flip,
    "reshape": _reshape,
}
