"""Between which numbers floats lie, where that is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.op import Op
from tinytorch.ir.ops.core import cast, constant
from tinytorch.ir.ops.elementwise import add, maximum, minimum, mul, sub
from tinytorch.ir.ops.pooling import max_pool2d
from tinytorch.passes.images.relu_behind_pooling import has_elements

Range = tuple[float, float]  # the least and the largest, both included and finite
_LARGEST = {"f32": 1.7e38, "f64": 8.9e307}  # below half of what overflows, so that rounding cannot reach it


def float_ranges(graph: Graph) -> dict[Value, Range]:
    """The range of each value of f32 or f64 that is computed of integers and constants alone: such are neither NaN nor
    infinite. Other values are not in it."""
    found: dict[Value, Range] = {}
    for node in graph.nodes:
        value = node.outputs[0]
        largest = _LARGEST.get(value.type.dtype.name)
        if largest is None:
            continue
        range_ = _range(node, found)
        if range_ is not None and -largest < range_[0] <= range_[1] < largest:
            found[value] = range_
    return found


def _range(node: Node, found: dict[Value, Range]) -> Range | None:
    if node.op is constant:
        array = node.attrs["value"]
        return (float(array.min()), float(array.max())) if array.size and np.isfinite(array).all() else None
    if node.op is cast and not (source := node.inputs[0].type.dtype).is_float:
        return (0.0, 1.0) if source.kind == "bool" else (float(source.limits[0]), float(source.limits[1]))
    known = [found[v] for v in node.inputs if v in found]
    if len(known) != len(node.inputs) or not known:
        return None
    if node.op in _CORNERS:
        corners = [_CORNERS[node.op](a, b) for a in known[0] for b in known[1]]
        return None if any(map(math.isnan, corners)) else (min(corners), max(corners))
    if node.op.kind == "view" or node.op is cast or (node.op is max_pool2d and has_elements(node)):
        return known[0]
    if node.op.kind == "move":
        known += [(node.attrs["value"],) * 2] if "value" in node.attrs else []
        return min(low for low, _ in known), max(high for _, high in known)
    return None


# Of functions that are monotonic in each operand, the extremes lie in the corners.
_CORNERS: dict[Op, Callable[[float, float], float]] = {
    add: lambda a, b: a + b,
    sub: lambda a, b: a - b,
    mul: lambda a, b: a * b,
    maximum: max,
    minimum: min,
}
