"""Machine code against the reference: random graphs, every kind of view, state, threads, targets."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import graphs as random_graphs
from tests.execution import assert_near, assert_same, compiled, expected, interpreted
from tests.gradients import differentiated
from tests.graphs import arrays, graphs
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.types import f32
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.thread_count import get_num_threads, set_num_threads

LARGE = [(), (1,), (37,), (5, 19), (1, 19), (5, 1), (3, 1, 19), (4, 5, 19), (19, 4), (64, 70), (70, 64), (16, 1, 33)]
TARGETS: list[str] = ["host"]
if Target.host().name in ("avx512", "avx2"):
    TARGETS += ["avx2", "sse2"]


PRODUCTS = [
    *[random_graphs._matmul] * 4, *[random_graphs._binary] * 3, random_graphs._unary, random_graphs._permute,
    random_graphs._float_sum, random_graphs._extremum, random_graphs._transcendental, random_graphs._softmax,
    random_graphs._broadcast,
]  # fmt: skip


def target_of(name: str) -> Target:
    return Target.host() if name == "host" else Target.named(name)  # pyright: ignore[reportArgumentType]


def inputs_of(graph: Graph) -> list[np.ndarray]:
    return [np.asarray(a) for a in arrays(graph, 0)]


def moderate(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Without the numbers of which sums cancel and whose sine takes hundreds of digits of pi."""
    return [np.where(np.abs(a) > 1e4, a.dtype.type(3), a) if a.dtype.kind in "fV" else a for a in arrays]


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60)
@given(graphs(exact=True))
def test_random_graphs_give_the_same_bits(target: str, graph: Graph) -> None:
    inputs = inputs_of(graph)
    wanted = expected(graph, inputs)
    assert_same(interpreted(graph, inputs), wanted)
    assert_same(compiled(graph, inputs, target_of(target)), wanted)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=40)
@given(graphs())
def test_random_graphs_with_sums_and_functions(target: str, graph: Graph) -> None:
    inputs = moderate(inputs_of(graph))
    wanted = expected(graph, inputs)
    assert_near(interpreted(graph, inputs), wanted)
    assert_near(compiled(graph, inputs, target_of(target)), wanted)


@settings(max_examples=60)
@given(st.data())
def test_random_graphs_over_whole_vectors(data: st.DataObject) -> None:
    with mock.patch.object(random_graphs, "SHAPES", LARGE):
        graph = data.draw(graphs(exact=True))
    inputs = inputs_of(graph)
    assert_same(compiled(graph, inputs), expected(graph, inputs))


@settings(max_examples=60)
@given(st.data())
def test_random_graphs_whose_shapes_coincide(data: st.DataObject) -> None:
    squares = [(), (1, 1), (3, 3), (3, 3), (2, 3, 3), (1, 3), (3, 1)]
    with mock.patch.object(random_graphs, "SHAPES", squares), mock.patch.object(random_graphs, "_STEPS", PRODUCTS):
        graph = data.draw(graphs())
    inputs = moderate(inputs_of(graph))
    assert_near(compiled(graph, inputs), expected(graph, inputs))


@settings(max_examples=80)
@given(graphs(nodes=10))
def test_gradients_of_random_graphs(graph: Graph) -> None:
    graph = weighted_sum(graph)
    wrt = [i for i, v in enumerate(graph.inputs) if v.type.dtype.is_float]
    with_gradients = differentiated(graph, wrt)
    inputs = [np.nan_to_num(a) if a.dtype.kind == "f" else a for a in moderate(inputs_of(with_gradients))]
    wanted = expected(with_gradients, inputs)
    assert_near(interpreted(with_gradients, inputs), wanted)
    assert_near(compiled(with_gradients, inputs), wanted)


def weighted_sum(graph: Graph) -> Graph:
    """A scalar that depends on every element of the first output, on each in another way."""
    builder = Builder(graph.name, list(graph.inputs), list(graph.nodes))
    out = Expr(builder, graph.outputs[0]).cast(f32)
    weights = np.linspace(-1, 2, out.numel()).astype(np.float32).reshape(out.shape)
    return builder.build([(out * out.constant(weights)).sum().value])


@settings(max_examples=25)
@given(st.data())
def test_threads_do_not_change_a_bit(data: st.DataObject) -> None:
    with mock.patch.object(random_graphs, "SHAPES", [(300, 70), (70, 300), (1, 300), (300, 1), ()]):
        graph = data.draw(graphs(nodes=8))
    inputs = inputs_of(graph)
    before = get_num_threads()
    try:
        set_num_threads(1)
        one = compiled(graph, inputs)
        set_num_threads(2)
        assert_same(compiled(graph, inputs), one)
    finally:
        set_num_threads(before)


@settings(max_examples=20)
@given(graphs(exact=True))
def test_the_careful_call_gives_the_same(graph: Graph) -> None:
    inputs = inputs_of(graph)
    assert_same(compiled(graph, inputs, careful=True), expected(graph, inputs))


def check(text: str, **shapes: np.ndarray) -> list[np.ndarray]:
    """The graph of `text` on random inputs, compiled, interpreted and by reference; its outputs."""
    graph = parse_graph(text)
    inputs = inputs_of(graph)
    wanted = expected(graph, inputs)
    assert_near(interpreted(graph, inputs), wanted)
    found = compiled(graph, inputs)
    assert_near(found, wanted)
    return found


# Views of all kinds in front of every family of kernels.
VIEWS = {
    "permute": "%v = permute(%x) : f32[6,4] {axes=(1, 0)}",
    "reshape": "%a = permute(%x) : f32[6,4] {axes=(1, 0)}\n %v = reshape(%a) : f32[6,4] {shape=(6, 4)}",
    "moved": "%a = permute(%x) : f32[6,4] {axes=(1, 0)}\n %b = reshape(%a) : f32[24] {shape=(24,)}\n"
    " %v = reshape(%b) : f32[6,4] {shape=(6, 4)}",
    "slice": "%a = slice(%y) : f32[6,4] {starts=(1, 2), limits=(12, 10), steps=(2, 2)}\n %v = copy(%a) : f32[6,4]",
    "flip": "%a = permute(%x) : f32[6,4] {axes=(1, 0)}\n %v = flip(%a) : f32[6,4] {axes=(0, 1)}",
    "flip_one": "%a = reshape(%x) : f32[6,4] {shape=(6, 4)}\n %v = flip(%a) : f32[6,4] {axes=(1,)}",
    "column": "%a = slice(%y) : f32[6,1] {starts=(0, 3), limits=(6, 4), steps=(1, 1)}\n"
    " %v = broadcast(%a) : f32[6,4] {shape=(6, 4)}",
    "row": "%a = slice(%y) : f32[1,4] {starts=(5, 6), limits=(6, 10), steps=(1, 1)}\n"
    " %v = broadcast(%a) : f32[6,4] {shape=(6, 4)}",
    "window": "%v = slice(%y) : f32[6,4] {starts=(1, 2), limits=(12, 10), steps=(2, 2)}",
    "flipped_window": "%a = slice(%y) : f32[6,4] {starts=(1, 2), limits=(12, 10), steps=(2, 2)}\n"
    " %v = flip(%a) : f32[6,4] {axes=(0, 1)}",
    "chain": "%a = flip(%y) : f32[12,10] {axes=(0,)}\n"
    " %b = slice(%a) : f32[4,6] {starts=(0, 1), limits=(12, 7), steps=(3, 1)}\n"
    " %v = permute(%b) : f32[6,4] {axes=(1, 0)}",
}
READERS = {
    "elementwise": "%r = add(%v, %w) : f32[6,4]",
    "twice": "%q = mul(%v, %v) : f32[6,4]\n %r = sub(%q, %w) : f32[6,4]",
    "sum": "%r = sum(%v) : f32[6,1] {axes=(1,)}",
    "max": "%r = max(%v) : f32[1,4] {axes=(0,)}",
    "total": "%r = sum(%v) : f32[1,1] {axes=(0, 1)}",
    "matmul_left": "%t = permute(%w) : f32[4,6] {axes=(1, 0)}\n %r = matmul(%v, %t) : f32[6,6]",
    "matmul_right": "%t = permute(%w) : f32[4,6] {axes=(1, 0)}\n %r = matmul(%t, %v) : f32[4,4]",
    "matmul_both": "%t = permute(%v) : f32[4,6] {axes=(1, 0)}\n %r = matmul(%t, %v) : f32[4,4]",
    "epilogue": "%t = permute(%v) : f32[4,6] {axes=(1, 0)}\n %p = matmul(%w, %t) : f32[6,6]\n"
    " %o = matmul(%w, %x) : f32[6,6]\n %r = mul(%p, %o) : f32[6,6]",
    "residual": "%p = matmul(%s, %w) : f32[6,4]\n %r = add(%p, %v) : f32[6,4]",
    "pad": "%r = pad(%v) : f32[9,6] {low=(1, 0), high=(2, 2), interior=(0, 0), value=1.0}",
    "concat": "%r = concat(%v, %w, %v) : f32[18,4] {axis=0}",
    "gather": "%i = constant() : i64[3] {value=i64[3](5, 0, 5)}\n %r = gather(%v, %i) : f32[3,4] {axis=0}",
    "scatter": "%i = constant() : i64[6] {value=i64[6](5, 0, 5, 1, 0, 2)}\n"
    " %r = scatter_add(%w, %i, %v) : f32[6,4] {axis=0}",
    "put": "%i = constant() : i64[6] {value=i64[6](5, 0, 5, 1, 0, 2)}\n %r = scatter(%w, %i, %v) : f32[6,4] {axis=0}",
    "put into": "%i = constant() : i64[4] {value=i64[4](5, 0, 5, 1)}\n"
    " %u = slice(%w) : f32[4,4] {starts=(0, 0), limits=(4, 4), steps=(1, 1)}\n"
    " %r = scatter(%v, %i, %u) : f32[6,4] {axis=0}",
    "update": "%r = update_slice(%y, %v) : f32[12,10] {starts=(1, 3), steps=(2, 1)}",
    "updated": "%u = slice(%w) : f32[2,4] {starts=(0, 0), limits=(2, 4), steps=(1, 1)}\n"
    " %r = update_slice(%v, %u) : f32[6,4] {starts=(2, 0), steps=(3, 1)}",
    "output": "%r = reshape(%v) : f32[2,12] {shape=(2, 12)}",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("view", VIEWS)
def test_views_feed_kernels(view: str, reader: str) -> None:
    text = f"""graph @views(%x: f32[4,6], %y: f32[12,10], %w: f32[6,4], %s: f32[6,6]) -> (%r) {{
      {VIEWS[view]}
      {READERS[reader]}
    }}"""
    graph = parse_graph(text)
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=v.type.shape).astype(np.float32) for v in graph.inputs]
    assert_near(compiled(graph, inputs), expected(graph, inputs))


# Outputs that are not simply results.
@pytest.mark.parametrize(
    "outputs",
    ["%x", "%x, %x", "%y, %x, %y", "%v", "%v, %v", "%c", "%c, %c", "%h, %h", "%h, %hv, %h", "%hv", "%z", "%b, %x, %h"],
)
def test_outputs_of_all_kinds(outputs: str) -> None:
    check(f"""graph @outputs(%x: f32[4,6], %y: i32[3], %z: f32[0,4]) -> ({outputs}) {{
      %v = permute(%x) : f32[6,4] {{axes=(1, 0)}}
      %c = constant() : f32[2] {{value=f32[2](1.5, -0.0)}}
      %h = exp(%x) : f32[4,6]
      %hv = slice(%h) : f32[2,6] {{starts=(1, 0), limits=(4, 6), steps=(2, 1)}}
      %b = broadcast(%c) : f32[3,2] {{shape=(3, 2)}}
    }}""")


# Updates of state that may not run in place.
STATE = {
    "read transposed by a later product": """graph @s(%w: f32[5,5] = state, %x: f32[5,5]) -> (%r, %new => %w) {
      %new = add(%w, %x) : f32[5,5]
      %t = permute(%w) : f32[5,5] {axes=(1, 0)}
      %r = matmul(%new, %t) : f32[5,5]
    }""",
    "swapped": """graph @s(%a: f32[7] = state, %b: f32[7] = state) -> (%b => %a, %a => %b) {
    }""",
    "swapped and changed": """graph @s(%a: f32[7] = state, %b: f32[7] = state) -> (%p => %a, %q => %b) {
      %p = mul(%b, %b) : f32[7]
      %q = add(%a, %a) : f32[7]
    }""",
    "rotated": """graph @s(
      %a: f32[3] = state, %b: f32[3] = state, %c: f32[3] = state
    ) -> (%b => %a, %c => %b, %a => %c) {
    }""",
    "both read each other": """graph @s(%a: f32[40] = state, %b: f32[40] = state) -> (%p => %a, %q => %b) {
      %p = add(%a, %b) : f32[40]
      %q = sub(%a, %b) : f32[40]
    }""",
    "new value is an output too": """graph @s(%a: f32[7] = state) -> (%n, %n => %a, %n) {
      %n = neg(%a) : f32[7]
    }""",
    "old value is an output": """graph @s(%a: f32[7] = state) -> (%a, %n => %a) {
      %n = neg(%a) : f32[7]
    }""",
    "new value is a view of the old": """graph @s(%a: f32[5,5] = state) -> (%t => %a) {
      %t = permute(%a) : f32[5,5] {axes=(1, 0)}
    }""",
    "flipped in itself": """graph @s(%a: f32[67] = state) -> (%n => %a) {
      %f = flip(%a) : f32[67] {axes=(0,)}
      %n = add(%a, %f) : f32[67]
    }""",
    "shifted": """graph @s(%a: f32[9] = state) -> (%n => %a) {
      %h = slice(%a) : f32[8] {starts=(0,), limits=(8,), steps=(1,)}
      %c = constant() : f32[1] {value=f32[1](2.0)}
      %n = concat(%c, %h) : f32[9] {axis=0}
    }""",
    "normalised by its own sum": """graph @s(%a: f32[6,9] = state) -> (%n => %a) {
      %t = sum(%a) : f32[6,1] {axes=(1,)}
      %b = broadcast(%t) : f32[6,9] {shape=(6, 9)}
      %n = sub(%a, %b) : f32[6,9]
    }""",
    "minus its column sums": """graph @s(%a: f32[6,9] = state) -> (%n => %a) {
      %t = sum(%a) : f32[1,9] {axes=(0,)}
      %b = broadcast(%t) : f32[6,9] {shape=(6, 9)}
      %n = sub(%a, %b) : f32[6,9]
    }""",
    "outer sum with itself": """graph @s(%a: f32[5,5] = state) -> (%n => %a) {
      %r = slice(%a) : f32[1,5] {starts=(2, 0), limits=(3, 5), steps=(1, 1)}
      %b = broadcast(%r) : f32[5,5] {shape=(5, 5)}
      %n = add(%a, %b) : f32[5,5]
    }""",
    "product with itself": """graph @s(%a: f32[5,5] = state) -> (%n => %a) {
      %n = matmul(%a, %a) : f32[5,5]
    }""",
    "product that reads it in the epilogue": """graph @s(%a: f32[5,5] = state, %x: f32[5,5]) -> (%n => %a) {
      %p = matmul(%x, %x) : f32[5,5]
      %n = sub(%a, %p) : f32[5,5]
    }""",
    "product that reads it in both": """graph @s(%a: f32[5,5] = state, %x: f32[5,5]) -> (%n => %a) {
      %p = matmul(%x, %a) : f32[5,5]
      %n = sub(%a, %p) : f32[5,5]
    }""",
    "a constant": """graph @s(%a: f32[2,3] = state) -> (%n => %a) {
      %c = constant() : f32[] {value=f32[](-0.0)}
      %n = broadcast(%c) : f32[2,3] {shape=(2, 3)}
    }""",
    "an input": """graph @s(%a: f32[7] = state, %x: f32[7]) -> (%x => %a, %x) {
    }""",
    "one new value for two": """graph @s(%a: f32[7] = state, %b: f32[7] = state) -> (%n => %a, %n => %b) {
      %n = add(%a, %b) : f32[7]
    }""",
    "another shape in between": """graph @s(%a: f32[4,6] = state) -> (%m => %a, %s) {
      %f = reshape(%a) : f32[24] {shape=(24,)}
      %n = mul(%f, %f) : f32[24]
      %m = reshape(%n) : f32[4,6] {shape=(4, 6)}
      %s = sum(%a) : f32[1,6] {axes=(0,)}
    }""",
    "gathered from itself": """graph @s(%a: f32[4,3] = state) -> (%n => %a) {
      %i = constant() : i64[4] {value=i64[4](3, 3, 0, 1)}
      %n = gather(%a, %i) : f32[4,3] {axis=0}
    }""",
    "scattered into itself": """graph @s(%a: f32[4,3] = state, %i: i64[2]) -> (%n => %a) {
      %z = sub(%i, %i) : i64[2]
      %u = slice(%a) : f32[2,3] {starts=(0, 0), limits=(4, 3), steps=(2, 1)}
      %n = scatter_add(%a, %z, %u) : f32[4,3] {axis=0}
    }""",
    "rows put into itself": """graph @s(%a: f32[4,3] = state) -> (%n => %a) {
      %i = constant() : i64[2] {value=i64[2](3, 0)}
      %u = slice(%a) : f32[2,3] {starts=(0, 0), limits=(4, 3), steps=(2, 1)}
      %n = scatter(%a, %i, %u) : f32[4,3] {axis=0}
    }""",
    "shifted part of itself": """graph @s(%a: f32[9,3] = state) -> (%n => %a) {
      %h = slice(%a) : f32[6,3] {starts=(0, 0), limits=(6, 3), steps=(1, 1)}
      %n = update_slice(%a, %h) : f32[9,3] {starts=(2, 0), steps=(1, 1)}
    }""",
    "a new row, read before and after": """graph @s(%a: f32[9,3] = state, %r: f32[1,3]) -> (%o, %s, %n => %a) {
      %o = slice(%a) : f32[1,3] {starts=(4, 0), limits=(5, 3), steps=(1, 1)}
      %m = add(%r, %o) : f32[1,3]
      %n = update_slice(%a, %m) : f32[9,3] {starts=(4, 0), steps=(1, 1)}
      %s = sum(%n) : f32[1,3] {axes=(0,)}
    }""",
    "several parts in a row": """graph @s(%a: f32[9,3] = state, %r: f32[2,3], %i: i64[2]) -> (%s, %n => %a) {
      %0 = update_slice(%a, %r) : f32[9,3] {starts=(4, 0), steps=(1, 1)}
      %s = sum(%0) : f32[1,3] {axes=(0,)}
      %1 = scatter(%0, %i, %r) : f32[9,3] {axis=0}
      %e = exp(%1) : f32[9,3]
      %2 = scatter_add(%e, %i, %r) : f32[9,3] {axis=0}
      %n = update_slice(%2, %r) : f32[9,3] {starts=(0, 0), steps=(7, 1)}
    }""",
    "parts of each other": """graph @s(%a: f32[4,3] = state, %b: f32[4,3] = state) -> (%p => %a, %q => %b) {
      %h = slice(%a) : f32[2,3] {starts=(1, 0), limits=(3, 3), steps=(1, 1)}
      %k = slice(%b) : f32[2,3] {starts=(2, 0), limits=(4, 3), steps=(1, 1)}
      %p = update_slice(%a, %k) : f32[4,3] {starts=(0, 0), steps=(1, 1)}
      %q = update_slice(%b, %h) : f32[4,3] {starts=(1, 0), steps=(1, 1)}
    }""",
    "two updates in a row": """graph @s(%w: f32[6,4] = state, %x: f32[6,4]) -> (%w2 => %w, %l) {
      %g = mul(%w, %x) : f32[6,4]
      %w1 = sub(%w, %g) : f32[6,4]
      %h = mul(%w1, %x) : f32[6,4]
      %t = permute(%w1) : f32[4,6] {axes=(1, 0)}
      %l = matmul(%t, %w) : f32[4,4]
      %w2 = sub(%w1, %h) : f32[6,4]
    }""",
}


@pytest.mark.parametrize("case", STATE)
def test_state(case: str) -> None:
    graph = parse_graph(STATE[case])
    rng = np.random.default_rng(1)
    inputs = [
        rng.normal(size=v.type.shape).astype(np.float32) if v.type.dtype.is_float else rng.integers(0, 4, v.type.shape)
        for v in graph.inputs
    ]
    wanted = expected(graph, inputs)
    assert_near(interpreted(graph, inputs), wanted)
    assert_near(compiled(graph, inputs), wanted)


# What broke once.
def test_operands_that_are_literals_or_the_same_twice() -> None:
    check("""graph @literals(%x: f32[3,2], %i: i32[1,3]) -> (%g, %c, %d, %m) {
      %zero = constant() : i64[1] {value=i64[1](2)}
      %g = gather(%x, %zero) : f32[1,2] {axis=0}
      %half = constant() : f32[] {value=f32[](0.5)}
      %b = broadcast(%half) : f32[3,2] {shape=(3, 2)}
      %c = concat(%x, %b, %x) : f32[9,2] {axis=0}
      %d = concat(%i, %i) : i32[2,3] {axis=0}
      %two = constant() : f32[1,1] {value=f32[1,1](2.0)}
      %col = slice(%x) : f32[3,1] {starts=(0, 1), limits=(3, 2), steps=(1, 1)}
      %m = matmul(%col, %two) : f32[3,1]
    }""")


def test_zeros_keep_their_sign_beside_each_other() -> None:
    graph = parse_graph("""graph @zeros(%x: f32[2]) -> (%a, %b) {
      %a = constant() : f32[2] {value=f32[2](0.0, 0.0)}
      %m = constant() : f32[] {value=f32[](-0.0)}
      %p = constant() : f32[] {value=f32[](0.0)}
      %n = broadcast(%m) : f32[2] {shape=(2,)}
      %c = eq(%x, %x) : bool[2]
      %q = broadcast(%p) : f32[2] {shape=(2,)}
      %b = where(%c, %n, %q) : f32[2]
    }""")
    inputs = [np.array([1.0, np.nan], np.float32)]
    assert_same(compiled(graph, inputs), expected(graph, inputs))


def test_what_a_product_reads_is_not_its_epilogue() -> None:
    check("""graph @square(%x: f32[8,8], %w: f32[8,8]) -> (%y, %s) {
      %z = constant() : f32[] {value=f32[](0.0)}
      %b = broadcast(%z) : f32[8,8] {shape=(8, 8)}
      %s = sum(%x) : f32[8,1] {axes=(1,)}
      %r = maximum(%x, %b) : f32[8,8]
      %y = matmul(%r, %w) : f32[8,8]
    }""")


def test_a_kernel_whose_nodes_all_moved_away() -> None:
    check("""graph @sunk(%x: i32[2,1]) -> (%f, %f, %g) {
      %zero = constant() : i64[1] {value=i64[1](0)}
      %g = gather(%x, %zero) : i32[1,1] {axis=0}
      %c = cast(%g) : f32[1,1] {dtype=f32}
      %t = permute(%c) : f32[1,1] {axes=(1, 0)}
      %p = matmul(%c, %t) : f32[1,1]
      %f = flip(%p) : f32[1,1] {axes=(0,)}
    }""")


def test_an_operand_of_a_product_that_its_epilogue_reads_too() -> None:
    check("""graph @gate(%x: f32[8,8]) -> (%y) {
      %e = exp(%x) : f32[8,8]
      %p = matmul(%e, %x) : f32[8,8]
      %y = mul(%e, %p) : f32[8,8]
    }""")
