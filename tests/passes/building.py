"""Graphs of Python functions, and whether two compute the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.graphs import arrays, same_bits
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.ops import core
from tinytorch.ir.types import TensorType, f32
from tinytorch.ir.verify import verify


def build(function: Callable[..., Any], *types: TensorType) -> Graph:
    """The graph of `function` of inputs of these types."""
    builder = Builder("g")
    out = function(*(Expr(builder, builder.input(t, f"x{i}")) for i, t in enumerate(types)))
    return builder.build([e.value for e in (out if isinstance(out, tuple) else (out,))])


def f(*shape: int) -> TensorType:
    return TensorType(f32, shape)


def op_names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def assert_same(before: Graph, after: Graph, seed: int = 0) -> None:
    """Both graphs give the same bits."""
    verify(after)
    assert after.state == before.state
    assert [v.type for v in after.inputs] == [v.type for v in before.inputs]
    values = arrays(before, seed)
    for a, b in zip(evaluate(before, values), evaluate(after, values), strict=True):
        assert same_bits(a, b), f"{a} != {b}\n{before}\n{after}"


def _scalar(x: Any, number: float) -> Any:
    return core.filled(x, number, x.type)


_FILLED = ["constant", "broadcast"]
