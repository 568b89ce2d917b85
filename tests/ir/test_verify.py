"""The verifier finds graphs that break a rule, and says which node and which line of the user's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.graphs import graphs
from tinytorch.ir.errors import VerifyError
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.loc import Loc
from tinytorch.ir.op import Op
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.ops.elementwise import add, exp
from tinytorch.ir.ops.reduce import sum_
from tinytorch.ir.types import TensorType, f32, f64
from tinytorch.ir.verify import verify

T = TensorType(f32, (2, 3))
X = Value(T, "x")
LOC = Loc("model.py", 14)


def node(op: Op, *inputs: Value, out: TensorType = T, **attrs: object) -> Node:
    return Node(op, inputs, attrs, (Value(out),), LOC)


def graph_of(*nodes: Node, inputs: tuple[Value, ...] = (X,), state: tuple[tuple[int, int], ...] = ()) -> Graph:
    return Graph("g", inputs, nodes, nodes[-1].outputs if nodes else inputs, state)


@settings(max_examples=60)
@given(graphs())
def test_random_graphs_are_valid(graph: Graph) -> None:
    verify(graph)


def test_use_before_definition() -> None:
    first = node(exp, X)
    second = node(exp, first.output)
    with pytest.raises(
        VerifyError, match=r"is used before it is defined\n  %1 = exp\(%0\)[^\n]*\n  model.py:14"
    ) as caught:
        verify(graph_of(second, first))
    assert caught.value.loc == LOC


def test_double_definition() -> None:
    first = node(exp, X)
    with pytest.raises(VerifyError, match="is defined twice"):
        verify(graph_of(first, first))
    twice = Node(exp, (X,), {}, (X,))
    with pytest.raises(VerifyError, match="is defined twice"):
        verify(graph_of(twice))


def test_inputs_are_listed_once() -> None:
    with pytest.raises(VerifyError, match="listed twice"):
        verify(graph_of(node(exp, X), inputs=(X, X)))


def test_types_are_those_of_the_op() -> None:
    with pytest.raises(VerifyError, match=r"exp gives f32\[2,3\], the node says f64\[2,3\]"):
        verify(graph_of(node(exp, X, out=TensorType(f64, (2, 3)))))
    with pytest.raises(VerifyError, match=r"add: operands must have one type"):
        y = Value(TensorType(f32, (3,)), "y")
        verify(graph_of(node(add, X, y), inputs=(X, y)))


@pytest.mark.parametrize("attrs", [{}, {"axes": 1}, {"axes": (0,), "keepdims": True}, {"axes": (5,)}])
def test_attributes_are_those_of_the_op(attrs: dict[str, object]) -> None:
    with pytest.raises(VerifyError, match=r"\n  %0 = sum\(%x\)"):
        verify(graph_of(node(sum_, X, out=TensorType(f32, (1, 3)), **attrs)))


def test_number_of_operands() -> None:
    with pytest.raises(VerifyError, match="exp: wrong number of operands: 2 instead of 1"):
        verify(graph_of(node(exp, X, X)))


def test_outputs_exist() -> None:
    with pytest.raises(VerifyError, match=r"output 0, %lost:f32.*, is not defined"):
        verify(Graph("g", (X,), (), (Value(T, "lost"),)))


def test_ops_are_registered() -> None:
    rogue = Op("exp", "elementwise", "", exp.infer, exp.eval, exp.vjp, exp.flops)
    with pytest.raises(VerifyError, match="not the registered one"):
        verify(graph_of(node(rogue, X)))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (((0, 1),), "out of range"),
        (((1, 0),), "out of range"),
        (((-1, 0),), "out of range"),
        (((0, 0), (0, 0)), "another pair"),
    ],
)
def test_state_pairs_fit(state: tuple[tuple[int, int], ...], message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        verify(graph_of(node(exp, X), state=state))


def test_state_keeps_its_type() -> None:
    total = node(sum_, X, out=TensorType(f32, (1, 3)), axes=(0,))
    with pytest.raises(VerifyError, match=r"has types f32\[2,3\] and f32\[1,3\]"):
        verify(graph_of(total, state=((0, 0),)))
    verify(graph_of(node(exp, X), state=((0, 0),)))


def test_kernel_bodies_are_verified() -> None:
    a = Value(T, "a")
    good = graph_of(node(exp, a), inputs=(a,))
    verify(graph_of(node(kernel, X, body=good)))
    bad = graph_of(node(exp, X), inputs=(a,))
    with pytest.raises(VerifyError, match="used before it is defined"):
        verify(graph_of(node(kernel, X, body=bad)))
    y = Value(TensorType(f32, (3,)), "y")
    with pytest.raises(VerifyError, match="the body takes"):
        verify(graph_of(node(kernel, y, body=good), inputs=(X, y)))
