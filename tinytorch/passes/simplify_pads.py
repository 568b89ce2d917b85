"""A rule for gradients of parts: slices that cover a tensor give pads that fill each other, which are put together."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.graph import Node, Value
from tinytorch.ir.ops.elementwise import add
from tinytorch.ir.ops.view import concat, pad
from tinytorch.ir.rewrite import Rewriter, Rule, Term, local
from tinytorch.ir.types import bool_


@dataclass(frozen=True)
class _Padded:
    """pad(x) by zeros in front and behind, along one axis."""

    x: Value
    axis: int
    low: int
    high: int


def _padded(rewriter: Rewriter, value: Value) -> _Padded | None:
    node = rewriter.producer(value, pad)
    if node is None or not rewriter.single_use(value):
        return None
    low, high, zero = (node.attrs[key] for key in ("low", "high", "value"))
    axes = [axis for axis, amounts in enumerate(zip(low, high, strict=True)) if any(amounts)]
    if len(axes) != 1 or any(node.attrs["interior"]) or min(*low, *high) < 0 or str(float(zero)) != "0.0":
        return None
    return _Padded(node.inputs[0], axes[0], low[axes[0]], high[axes[0]])


@local(add)
def _sum_of_pads(rewriter: Rewriter, node: Node) -> Term | None:
    """pad(a) + pad(b) == concat(a + 0.0, b + 0.0), where b begins where a ends and each is 0 where the other is; padded
    if something is left at the ends. Not concat(a, b): -0.0 + 0.0 is 0.0. (Integers have one zero.)"""
    first, second = (_padded(rewriter, value) for value in node.inputs)
    if first is None or second is None or first.axis != second.axis or node.output.type.dtype is bool_:
        return None
    if first.low > second.low:
        first, second = second, first
    size = node.output.type.shape[first.axis]
    if size - first.high != second.low:
        return None
    parts = [part for side in (first, second) for part in _parts(rewriter, side.x, first.axis)]
    joined = parts[0].apply_op(concat, parts, {"axis": first.axis})
    amounts = [(0, 0)] * len(node.output.type.shape)
    amounts[first.axis] = (first.low, second.high)
    return joined if amounts[first.axis] == (0, 0) else joined.pad(amounts)


def _parts(rewriter: Rewriter, value: Value, axis: int) -> list[Term]:
    """What `value` is joined of along the axis, each part with 0.0 added."""
    joined = rewriter.producer(value, concat)
    known = joined is not None and joined.attrs["axis"] == axis and rewriter.single_use(value)
    return [_plus_zero(rewriter, part) for part in (joined.inputs if known and joined is not None else (value,))]


def _plus_zero(rewriter: Rewriter, value: Value) -> Term:
    """x + 0.0, of which once is as good as twice."""
    node, term = rewriter.producer(value, add), rewriter.term(value)
    known = node is not None and str(rewriter.number(node.inputs[1])) == "0.0"
    return term + 0.0 if value.type.dtype.is_float and not known else term


PAD_RULES: list[Rule] = [_sum_of_pads]
