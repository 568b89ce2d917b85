"""Text of graphs: what is printed is read back as it was, and what is wrong is rejected by line."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings

from tests.graphs import graphs
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.errors import VerifyError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.loc import Loc
from tinytorch.ir.ops.core import constant, custom_grad, kernel
from tinytorch.ir.ops.elementwise import exp
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import TensorType, bf16, f16, f32, f64, i8
from tinytorch.ir.verify import verify

STEP = """\
graph @step(%x: f32[4,3], %w: f32[3,2] = state) -> (%loss, %w.1 => %w) {
  %h = matmul(%x, %w) : f32[4,2]
  %0 = sum(%h) : f32[1,1] {axes=(0, 1)}
  %loss = reshape(%0) : f32[] {shape=()}
  %1 = constant() : f32[] {value=f32[](0.1)}
  %2 = broadcast(%1) : f32[3,2] {shape=(3, 2)}
  %w.1 = sub(%w, %2) : f32[3,2]
}"""


def test_text_is_what_the_design_shows() -> None:
    graph = parse_graph(STEP)
    assert print_graph(graph) == STEP
    assert graph.state == ((1, 1),)
    assert graph.nodes[1].attrs == {"axes": (0, 1)}
    assert [v.name for v in graph.outputs] == ["loss", "w.1"]


@settings(max_examples=150)
@given(graphs())
def test_random_graphs_round_trip(graph: Graph) -> None:
    text = print_graph(graph)
    again = parse_graph(text)
    verify(again)
    assert print_graph(again) == text
    assert again.state == graph.state or sorted(again.state) == sorted(graph.state)


def test_hints_become_unique_names() -> None:
    builder = Builder()
    values = [builder.input(TensorType(f32, ()), name) for name in ("w", "w", "w.1", "", "7", "a b", "layers.0.w")]
    text = print_graph(builder.build(values))
    assert re.findall(r"%([^:, )]+):", text) == ["w", "w.1", "w.1.1", "0", "1", "2", "layers.0.w"]
    assert print_graph(parse_graph(text)) == text


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.1, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4028235e38], np.float32),
        np.array([0.1, 1e300, 5e-324]),
        np.array([0.1, 3.0, -0.0], bf16.numpy),
        np.array([[0.1], [65504]], f16.numpy),
        np.array([-np.float32(np.nan)]),
        np.array([True, False]),
        np.array([-128, 127], i8.numpy),
        np.array([2**63 - 1, -(2**63)]),
        np.zeros((2, 0), np.float32),
        np.array(7, np.uint8),
        np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32),
        np.random.default_rng(0).normal(size=40).astype(bf16.numpy),
    ],
)
def test_arrays_keep_every_bit(array: np.ndarray) -> None:
    builder = Builder()
    graph = builder.build([builder.constant(array)])
    found = parse_graph(print_graph(graph)).nodes[0].attrs["value"]
    assert found.dtype == array.dtype and found.shape == array.shape
    assert found.tobytes() == array.tobytes()


def test_large_arrays_are_elided_for_people_only() -> None:
    builder = Builder()
    graph = builder.build([builder.constant(np.arange(1000.0))])
    text = print_graph(graph, elide=True)
    assert "f64[1000](...)" in text and len(text) < 200
    with pytest.raises(VerifyError, match=r"line 2: this array was elided"):
        parse_graph(text)


@pytest.mark.parametrize("value", [None, True, -3, 0.1, -0.0, np.inf, 'it\'s "%x" {}', (), (1,), (1, (2.5, "a")), f64])
def test_attributes_round_trip(value: object) -> None:
    inputs = (Value(TensorType(f32, (2,)), "x"),)
    body = Graph("body", inputs, (), inputs)
    node = Node(kernel, (inputs[0],), {"body": body, "note": value}, (Value(inputs[0].type),))
    text = print_graph(Graph("g", inputs, (node,), node.outputs))
    found = parse_graph(text).nodes[0].attrs["note"]
    assert repr(found) == repr(value) and type(found) is type(value)


def test_numpy_scalars_are_printed_as_numbers() -> None:
    builder = Builder()
    x = Expr(builder, builder.input(TensorType(f32, (2,)), "x"))
    graph = builder.build([x.pad([(1, 1)], value=np.float32(0.5)).value])  # pyright: ignore[reportArgumentType]
    assert "value=0.5}" in print_graph(graph)


KERNEL = """\
graph @g(%x: f32[2]) -> (%y, %0) {
  %y, %0 = kernel(%x) : f32[2], f32[1] {body=graph @body(%a: f32[2]) -> (%0, %1) {
    %0 = exp(%a) : f32[2]
    %1 = sum(%0) : f32[1] {axes=(0,)}
  }, family='loop'}
}"""


def test_kernel_bodies_nest() -> None:
    graph = parse_graph(KERNEL)
    assert print_graph(graph) == KERNEL
    (y, total) = evaluate(graph, [np.zeros(2, np.float32)])
    assert y.tolist() == [1, 1] and total.tolist() == [2]


def test_locations_round_trip_on_request() -> None:
    builder = Builder(loc=Loc("/home/me/it's mine/model.py", 14, "model.layers.0"))
    x = Expr(builder, builder.input(TensorType(f32, ()), "x"))
    graph = builder.build([x.exp().value])
    text = print_graph(graph, locs=True)
    assert "model.py" not in print_graph(graph)
    again = parse_graph(text)
    assert again.nodes[0].loc == builder.loc
    assert print_graph(again, locs=True) == text


def test_functions_cannot_be_read_back() -> None:
    x = Value(TensorType(f32, ()), "x")
    node = Node(custom_grad, (x,), {"backward": lambda ct: [ct]}, (Value(x.type),))
    text = print_graph(Graph("g", (x,), (node,), node.outputs))
    assert "{backward=<function>}" in text
    with pytest.raises(VerifyError, match=r"line 2: a Python object cannot be read back from text: '<function>'"):
        parse_graph(text)


def test_comments_and_layout_do_not_matter() -> None:
    text = "# a comment\ngraph @g(%x: f32[2],) -> (%y)\n{ %y = exp(%x)\n : f32[2] // another\n}"
    assert parse_graph(text).nodes[0].op is exp


def test_names_that_are_not_words_are_quoted() -> None:
    graph = Graph("train step's", (), (), ())
    assert parse_graph(print_graph(graph)).name == "train step's"


def test_constants_without_inputs_print_empty_parentheses() -> None:
    builder = Builder()
    graph = builder.build([builder.constant(np.float32(2))])
    assert print_graph(graph).splitlines()[1] == "  %0 = constant() : f32[] {value=f32[](2.0)}"
    assert graph.nodes[0].op is constant
