"""Text of kernels that no code may be generated for is refused, and indices that could be anything are checked."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import mutants
from tests.execution import compiled, kernels
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.storage import Storage
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.errors import TinyTorchError, VerifyError
from tinytorch.ir.graph import Graph
from tinytorch.ir.kernels.form import check_form
from tinytorch.ir.kernels.index_ranges import guard_indices, ranges_of
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.verify import verify
from tinytorch.runtime.backend import Binding
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.llvm.backend import LlvmBackend


def kernel(family: str, operands: str, inputs: str, nodes: str, outputs: str, types: str, result: str = "%r") -> str:
    return (
        f"{result} = kernel({operands}) : {types} {{family={family!r}, body=graph @b({inputs}) -> ({outputs}) "
        f"{{\n{nodes}\n}}}}"
    )


def graph_text(inputs: str, outputs: str, *nodes: str) -> str:
    return "\n".join([f"graph @g({inputs}) -> ({outputs}) {{", *nodes, "}"])


CONV = "{stride=(1, 1), low=(1, 1), high=(1, 1), dilation=(1, 1), groups=1}"
IMAGES, WEIGHTS = "%x: f32[1,4,4,3], %w: f32[3,3,3,2]", "%x, %w"
POOL = "window=(2, 2), stride=(2, 2), low=(0, 0), high=(0, 0), dilation=(1, 1)"


def conv(nodes: str = "", outputs: str = "%h", types: str = "f32[1,4,4,2]", more: str = "", given: str = "") -> str:
    body = f"%h = conv2d(%x, %w) : f32[1,4,4,2] {CONV}\n{nodes}"
    return graph_text(IMAGES + more, "%r", kernel("conv", WEIGHTS + given, IMAGES + more, body, outputs, types))


def matmul(nodes: str, outputs: str = "%y", more: str = ", %b: f32[1,6]", given: str = ", %b", types: str = "f32[5,6]"):
    inputs = "%x: f32[5,4], %w: f32[4,6]" + more
    body = f"%h = matmul(%x, %w) : f32[5,6]\n{nodes}"
    return graph_text(inputs, "%r", kernel("contract", "%x, %w" + given, inputs, body, outputs, types))


def loop(nodes: str, outputs: str = "%y", types: str = "f32[3]", inputs: str = "%x: f32[3]", given: str = "%x") -> str:
    return graph_text(inputs, "%r", kernel("loop", given, inputs, nodes, outputs, types))


EXP = "%y = exp(%x) : f32[3]"

# What is wrong, and what the error says.
BODIES = {
    "a family that computes something else": (loop(EXP).replace("'loop'", "'contract'"), "a contraction"),
    "a family that is no word of the code": (loop(EXP).replace("'loop'", "'x\" @y('"), "family"),
    "a family that is a number": (loop(EXP).replace("'loop'", "3"), "family is a word"),
    "a result that is an operand": (loop(EXP, "%x"), "results"),
    "a result twice": (loop(EXP, "%y, %y", "f32[3], f32[3]").replace("%r =", "%r, %q ="), "results"),
    "no results": (loop(EXP, "", "f32[3]"), "kernel gives "),
    "a node that leads nowhere": (loop(EXP + "\n%z = neg(%x) : f32[3]"), "leads to no result"),
    "a check that leads nowhere": (
        loop(EXP + "\n%z = checked_index(%i) : i64[3] {size=2}", inputs="%x: f32[3], %i: i64[3]", given="%x, %i"),
        "leads to no result",
    ),
    "a product in a loop": (
        loop("%y = matmul(%x, %x) : f32[3,3]", types="f32[3,3]", inputs="%x: f32[3,3]"), "a loop cannot hold matmul"
    ),
    "a view in a loop": (
        loop("%y = permute(%x) : f32[2,3] {axes=(1, 0)}\n%z = neg(%y) : f32[2,3]", "%z", "f32[2,3]", "%x: f32[3,2]"),
        "hold permute",
    ),
    "a result whose last axis moves": (
        loop("%y = neg(%x) : f32[3,2]\n%z = permute(%y) : f32[2,3] {axes=(1, 0)}", "%z", "f32[2,3]", "%x: f32[3,2]"),
        "results in this order",
    ),
    "a permuted operand alone": (
        loop("%y = permute(%x) : f32[2,3,4] {axes=(1, 0, 2)}", types="f32[2,3,4]", inputs="%x: f32[3,2,4]"),
        "results in this order",
    ),
    "new axes in a loop": (
        loop("%y = broadcast(%x) : f32[2,3] {shape=(2, 3)}", types="f32[2,3]"), "of the same rank"
    ),
    "two domains in a loop": (
        loop(EXP + "\n%z = neg(%u) : f32[5]", "%y, %z", "f32[3], f32[5]", "%x: f32[3], %u: f32[5]", "%x, %u").replace(
            "%r =", "%r, %q ="
        ),
        "along one axis",
    ),
    "a large constant in a loop": (
        loop("%c = constant() : f32[3] {value=f32[3](1, 2, 3)}\n%y = add(%x, %c) : f32[3]"), "cannot hold constant"
    ),
    "random numbers of a computed state": (
        loop(
            "%t = neg(%s) : i64[2]\n%y = random_bits(%t) : i32[2] {shape=(2,), word=0}",
            types="i32[2]", inputs="%s: i64[2]", given="%s",
        ),
        "state of random numbers",
    ),
    "a kernel in a kernel": (
        loop(kernel("loop", "%x", "%a: f32[3]", "%y = exp(%a) : f32[3]", "%y", "f32[3]", "%y")), "cannot hold kernel"
    ),
    "a row behind a product": (
        matmul("%bb = broadcast(%b) : f32[5,6] {shape=(5, 6)}\n%y = add(%h, %bb) : f32[5,6]"), "cannot follow matmul"
    ),
    "something smaller behind a product": (
        matmul("%y = neg(%h) : f32[5,6]\n%z = exp(%b) : f32[1,6]", "%y, %z", types="f32[5,6], f32[1,6]").replace(
            "%r =", "%r, %q ="
        ),
        "something else",
    ),
    "a sum behind a product": (
        matmul("%y = sum(%h) : f32[5,1] {axes=(1,)}", types="f32[5,1]", more="", given=""), "cannot follow matmul"
    ),
    "a check behind a product": (
        graph_text(
            "%x: i64[2,2]", "%r",
            kernel("contract", "%x", "%x: i64[2,2]", "%h = matmul(%x, %x) : i64[2,2]\n"
                   "%y = checked_index(%h) : i64[2,2] {size=4}", "%y", "i64[2,2]"),
        ),
        "cannot follow matmul",
    ),
    "a product of what the kernel computes": (
        matmul("", "%g", "", "").replace(
            "%h = matmul(%x, %w)", "%z = neg(%x) : f32[5,4]\n%g = matmul(%z, %w)"
        ),
        "operands from outside",
    ),
    "a constant as the result of a product": (
        matmul("%y = constant() : f32[] {value=f32[](1.0)}\n%z = neg(%h) : f32[5,6]", "%z, %y", "", "",
               "f32[5,6], f32[]").replace("%r =", "%r, %q ="),
        "final shape",
    ),
    "windows that overlap behind a convolution": (
        conv("%p, %i = max_pool2d(%h) : f32[1,3,3,2], u8[1,3,3,2] "
             f"{{{POOL.replace('stride=(2, 2)', 'stride=(1, 1)')}}}", "%p", "f32[1,3,3,2]"),
        "cannot follow conv2d",
    ),
    "a padded window behind a convolution": (
        conv("%p, %i = max_pool2d(%h) : f32[1,3,3,2], u8[1,3,3,2] "
             f"{{{POOL.replace('(0, 0)', '(1, 1)')}}}", "%p", "f32[1,3,3,2]"),
        "cannot follow conv2d",
    ),
    "a pooled result and one that is not": (
        conv(f"%p, %i = max_pool2d(%h) : f32[1,2,2,2], u8[1,2,2,2] {{{POOL}}}\n%y = neg(%h) : f32[1,4,4,2]", "%p, %y",
             "f32[1,2,2,2], f32[1,4,4,2]").replace("%r =", "%r, %q ="),
        "final shape",
    ),
    "two poolings behind a convolution": (
        conv(f"%p, %i = max_pool2d(%h) : f32[1,2,2,2], u8[1,2,2,2] {{{POOL}}}\n"
             f"%q, %j = max_pool2d(%h) : f32[1,2,2,2], u8[1,2,2,2] {{{POOL}}}", "%p, %j",
             "f32[1,2,2,2], u8[1,2,2,2]").replace("%r =", "%r, %q ="),
        "one max_pool2d follows",
    ),
    "a gather of what the kernel computes": (
        graph_text(
            "%x: f32[3], %i: i64[2]", "%r",
            kernel("index", "%x, %i", "%x: f32[3], %i: i64[2]",
                   "%e = exp(%x) : f32[3]\n%y = gather(%e, %i) : f32[2] {axis=0}", "%y", "f32[2]"),
        ),
        "cannot have this body",
    ),
    "two gathers": (
        graph_text(
            "%x: f32[3], %i: i64[2]", "%r, %q",
            kernel("index", "%x, %i", "%x: f32[3], %i: i64[2]",
                   "%y = gather(%x, %i) : f32[2] {axis=0}\n%z = gather(%x, %i) : f32[2] {axis=0}", "%y, %z",
                   "f32[2], f32[2]", "%r, %q"),
        ),
        "cannot have this body",
    ),
    "a composite": (
        graph_text("%x: f32[3]", "%r", kernel("relu", "%x", "%x: f32[3]", "%y = relu(%x) : f32[3]", "%y", "f32[3]")),
        "no family of kernels called 'relu'",
    ),
    "operands that the body does not take": (loop(EXP, given="%x, %x"), "the body takes"),
    "operands of another type": (loop(EXP).replace("@g(%x: f32[3]", "@g(%x: f32[2]"), "the body takes"),
    "state in a body": (loop(EXP).replace("@b(%x: f32[3])", "@b(%x: f32[3] = state)").replace("(%y) {", "(%y => %x) {"),
                        "no state"),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
def test_bodies_that_a_family_does_not_compute(case: str) -> None:
    text, message = BODIES[case]
    with pytest.raises(VerifyError, match=message) as caught:
        parse_graph(text)
    assert str(caught.value).startswith("line 2: ") or str(caught.value).startswith("line 3: ")


ONE = kernel("loop", "%x", "%x: f32[4,4]", "%y = exp(%x) : f32[4,4]", "%y", "f32[4,4]")
GRAPHS = {
    "an output that is an input": (("%x: f32[4,4]", "%r, %x", ONE), "output 1"),
    "an output twice": (("%x: f32[4,4]", "%r, %r", ONE), "output 1"),
    "outputs in one buffer": (
        ("%x: f32[4,4]", "%r, %s", ONE, "%s = reshape(%r) : f32[16] {shape=(16,)}"), "output 1"
    ),
    "an output that is a part": (
        ("%x: f32[4,4]", "%s", ONE, "%s = slice(%r) : f32[2,4] {starts=(0, 0), limits=(2, 4), steps=(1, 1)}"),
        "output 0",
    ),
    "an output in another order": (
        ("%x: f32[4,4]", "%s", ONE, "%s = permute(%r) : f32[4,4] {axes=(1, 0)}"), "output 0"
    ),
    "an output that is a constant": (
        ("%x: f32[4,4]", "%r, %c", ONE, "%c = constant() : f32[] {value=f32[](1.0)}"), "output 1"
    ),
    "a node in no kernel": (("%x: f32[4,4]", "%r, %s", ONE, "%s = exp(%r) : f32[4,4]"), "exp stands in no kernel"),
    "a view that moves": (
        ("%x: f32[4,4]", "%r, %q", ONE, "%t = permute(%x) : f32[4,4] {axes=(1, 0)}",
         "%u = reshape(%t) : f32[16] {shape=(16,)}",
         kernel("loop", "%u", "%u: f32[16]", "%y = exp(%u) : f32[16]", "%y", "f32[16]", "%q")),
        "needs elements to be moved",
    ),
    "a kernel without a family beside others": (
        ("%x: f32[4,4]", "%r, %q", ONE, ONE.replace("family='loop', ", "").replace("%r =", "%q =")), "has a family"
    ),
    "weights that lie across": (
        ("%x: f32[1,4,4,3], %v: f32[3,3,2,3]", "%r", "%w = permute(%v) : f32[3,3,3,2] {axes=(0, 1, 3, 2)}",
         kernel("conv", WEIGHTS, IMAGES, f"%h = conv2d(%x, %w) : f32[1,4,4,2] {CONV}", "%h", "f32[1,4,4,2]")),
        "along its last axis",
    ),
    "transformed weights that are one number": (
        (f"{IMAGES}, %n: f32[1,1,1,1]", "%r", "%u = broadcast(%n) : f32[16,1,3,2] {shape=(16, 1, 3, 2)}",
         kernel("conv", "%x, %w, %u", f"{IMAGES}, %u: f32[16,1,3,2]",
                f"%h = conv2d_winograd(%x, %w, %u) : f32[1,4,4,2] {CONV}", "%h", "f32[1,4,4,2]")),
        "row-major order",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GRAPHS)
def test_graphs_that_cannot_be_scheduled(case: str) -> None:
    (inputs, outputs, *nodes), message = GRAPHS[case]
    graph = parse_graph(graph_text(inputs, outputs, *nodes))
    with pytest.raises(VerifyError, match=message):
        verify(graph)
    with pytest.raises(TinyTorchError, match=message):
        Executable(graph, LlvmBackend())


def test_what_the_passes_make_has_the_form() -> None:
    for text in mutants.SOURCES:
        graph = kernels(parse_graph(text))
        check_form(graph)
        Executable(graph, LlvmBackend())


def test_a_kernel_without_a_family_is_interpreted_only() -> None:
    graph = parse_graph(graph_text("%x: f32[4,4]", "%r", ONE.replace("family='loop', ", "")))
    verify(graph)
    with pytest.raises(TinyTorchError, match="has a family"):
        Executable(graph, LlvmBackend())


# Indices.
def run(graph: Graph, *arrays: np.ndarray) -> list[np.ndarray] | str:
    failed: list[int] = []
    binding = Binding(len(arrays), (), Tensor, Tensor.wrap, "_storage", Storage, on_status=failed.append)
    result = Executable(graph, LlvmBackend()).bind(binding)[0](*(Tensor.wrap(np.array(a)) for a in arrays))
    if failed:
        return "stopped"
    return [t.data for t in (result if isinstance(result, tuple) else (result,))]


GATHER = graph_text(
    "%x: f32[4,2], %i: i64[3]",
    "%r",
    kernel("index", "%x, %i", "%x: f32[4,2], %i: i64[3]", "%y = gather(%x, %i) : f32[3,2] {axis=0}", "%y", "f32[3,2]"),
)
SCATTER = graph_text(
    "%x: f32[4,2], %i: i64[3], %u: f32[3,2]",
    "%r",
    kernel(
        "index",
        "%x, %i, %u",
        "%x: f32[4,2], %i: i64[3], %u: f32[3,2]",
        "%y = scatter_add(%x, %i, %u) : f32[4,2] {axis=0}",
        "%y",
        "f32[4,2]",
    ),
)
X, U = np.arange(8, dtype=np.float32).reshape(4, 2), np.ones((3, 2), np.float32)


@pytest.mark.parametrize("bad", [4, -5, 2**62, -(2**63), 10**9])
def test_indices_that_nothing_checks_are_checked(bad: int) -> None:
    good, wrong = np.array([0, -1, 3]), np.array([0, bad, 3])
    assert run(parse_graph(GATHER), X, wrong) == "stopped"
    (taken,) = run(parse_graph(GATHER), X, good)
    np.testing.assert_array_equal(taken, X[good])
    assert run(parse_graph(SCATTER), X, wrong, U) == "stopped"
    (added,) = run(parse_graph(SCATTER), X, good, U)
    expected = X.copy()
    np.add.at(expected, good, U)
    np.testing.assert_array_equal(added, expected)


def test_one_operand_that_is_gathered_at_itself() -> None:
    text = graph_text(
        "%i: i64[3]",
        "%r",
        kernel("index", "%i", "%i: i64[3]", "%y = gather(%i, %i) : i64[3] {axis=0}", "%y", "i64[3]"),
    )
    (found,) = run(parse_graph(text), np.array([2, -1, 0]))
    assert found.tolist() == [0, 0, 2]
    assert run(parse_graph(text), np.array([2, 7, 0])) == "stopped"


def test_constants_out_of_range_are_found() -> None:
    text = GATHER.replace(", %i: i64[3]) -> (%r)", ") -> (%r)").replace(
        "{\n%r", "{\n%i = constant() : i64[3] {value=i64[3](0, 9, 1)}\n%r", 1
    )
    graph = parse_graph(text)
    verify(graph)
    assert run(graph, X) == "stopped"


PART = {
    "update_slice": kernel(
        "index", "%x, %u, %t", "%x: f32[4,2], %u: f32[2,2], %t: i64[]",
        "%y = update_slice(%x, %u, %t) : f32[4,2] {starts=(1, 0), steps=(1, 1), axes=(0,)}", "%y", "f32[4,2]",
    ),
    "dynamic_slice": kernel(
        "index", "%x, %t", "%x: f32[4,2], %t: i64[]",
        "%y = dynamic_slice(%x, %t) : f32[2,2] {starts=(1, 0), limits=(3, 2), steps=(1, 1), axes=(0,)}",
        "%y", "f32[2,2]",
    ),
    "scatter": kernel(
        "index", "%x, %t, %v", "%x: f32[4,2], %t: i64[], %v: f32[2]",
        "%y = scatter(%x, %t, %v) : f32[4,2] {axis=0}", "%y", "f32[4,2]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("op", PART)
def test_positions_out_of_range_stop_the_graph(op: str) -> None:
    graph = parse_graph(graph_text("%x: f32[4,2], %u: f32[2,2], %v: f32[2], %t: i64[]", "%r", PART[op]))
    x, u = np.arange(8, dtype=np.float32).reshape(4, 2), -np.ones((2, 2), np.float32)
    for place in (-5, -1, 0, 1, 2, 4, 2**60):
        given = (x, u, u[0], np.array(place))
        fits = 0 <= place <= 1 if op != "scatter" else -4 <= place < 4
        if fits:
            np.testing.assert_array_equal(run(graph, *given)[0], evaluate(graph, given)[0])
        else:
            assert run(graph, *given) == "stopped"


PROVEN = {
    "checked": "%c = checked_index(%i) : i64[3] {size=4}",
    "without wrapping": "%c = checked_index(%i) : i64[3] {size=3, wrap=False}",
    "a constant": "%c = constant() : i64[3] {value=i64[3](0, 3, 1)}",
    "counted": "%c = iota() : i64[3] {shape=(3,), axis=0, dtype=i64}",
    "of a place": """%a = argmax(%x) : i64[1,2] {axes=(0,)}
        %p = pad(%a) : i64[1,3] {low=(0, 0), high=(0, 1), interior=(0, 0), value=0.0}
        %c = reshape(%p) : i64[3] {shape=(3,)}""",
    "computed": """%d = checked_index(%i) : i64[3] {size=2}
        %two = constant() : i64[] {value=i64[](2)}
        %t = broadcast(%two) : i64[3] {shape=(3,)}
        %e = mul(%d, %t) : i64[3]
        %c = add(%e, %d) : i64[3]""",
    "a remainder": """%four = constant() : i64[] {value=i64[](4)}
        %f = broadcast(%four) : i64[3] {shape=(3,)}
        %c = mod(%i, %f) : i64[3]""",
    "a byte, halved often": """%z = cast(%i) : u8[3] {dtype=u8}
        %w = cast(%z) : i64[3] {dtype=i64}
        %n = constant() : i64[] {value=i64[](64)}
        %f = broadcast(%n) : i64[3] {shape=(3,)}
        %c = floordiv(%w, %f) : i64[3]""",
    "chosen": """%d = checked_index(%i) : i64[3] {size=4}
        %l = lt(%i, %d) : bool[3]
        %q = flip(%d) : i64[3] {axes=(0,)}
        %c = where(%l, %d, %q) : i64[3]""",
}
UNPROVEN = {
    "an input": "%c = copy(%i) : i64[3]",
    "checked for more": "%c = checked_index(%i) : i64[3] {size=5}",
    "less than one that is checked": """%d = checked_index(%i) : i64[3] {size=4}
        %c = neg(%d) : i64[3]""",
    "that wraps around": """%b = cast(%i) : i8[3] {dtype=i8}
        %d = abs(%b) : i8[3]
        %c = cast(%d) : i64[3] {dtype=i64}""",
    "one too many": """%d = checked_index(%i) : i64[3] {size=4}
        %l = lt(%d, %i) : bool[3]
        %e = cast(%l) : i64[3] {dtype=i64}
        %c = add(%d, %e) : i64[3]""",
}


def gathered(nodes: str) -> Graph:
    text = graph_text("%x: f32[4,2], %i: i64[3]", "%y", nodes, "%y = gather(%x, %c) : f32[3,2] {axis=0}")
    return kernels(parse_graph(text))


@pytest.mark.parametrize("case", PROVEN)
def test_indices_known_to_be_in_range_need_no_check(case: str) -> None:
    graph = gathered(PROVEN[case])
    assert guard_indices(graph) is graph or len(guard_indices(graph).nodes) == len(graph.nodes)


@pytest.mark.parametrize("case", UNPROVEN)
def test_indices_that_could_be_out_of_range_get_a_check(case: str) -> None:
    graph = gathered(UNPROVEN[case])
    guarded = guard_indices(graph)
    verify(guarded)
    assert len(guarded.nodes) == len(graph.nodes) + 1


def test_ranges_hold_what_is_computed() -> None:
    """Every integer that any of these graphs computes lies in its range."""
    rng = np.random.default_rng(0)
    for nodes in [*PROVEN.values(), *UNPROVEN.values()]:
        text = graph_text("%x: f32[4,2], %i: i64[3]", "%c", nodes)
        graph = parse_graph(text)
        low, high = ranges_of(graph)[graph.outputs[0]]
        for _ in range(20):
            values = rng.integers(0, 2, 3) if "size=2" in nodes else rng.integers(0, 3, 3)
            (found,) = compiled(graph, [rng.normal(size=(4, 2)).astype(np.float32), values])
            assert low <= found.min() and found.max() <= high


def test_ranges_of_pooling_hold_its_places_and_windows_of_nothing() -> None:
    text = """
graph @pool(%x: i32[1,2,2,1]) -> (%y, %i) {
  %low = constant() : i32[1,2,2,1] {value=i32[1,2,2,1](7, 9, 8, 7)}
  %y, %i = max_pool2d(%low) : i32[SHAPE], u8[SHAPE] {window=(2, 2), stride=(2, 2), PADDING, dilation=(1, 1)}
}"""
    for shape, padding in (("1,1,1,1", "low=(0, 0), high=(0, 0)"), ("1,2,2,1", "low=(2, 2), high=(0, 0)")):
        graph = parse_graph(text.replace("SHAPE", shape).replace("PADDING", padding))
        ranges = ranges_of(graph)
        for value, array in zip(graph.outputs, evaluate(graph, [np.zeros((1, 2, 2, 1), np.int32)]), strict=True):
            assert ranges[value][0] <= array.min() and array.max() <= ranges[value][1]


# Random changes of texts.
def test_changed_texts_are_graphs_or_errors() -> None:
    texts = mutants.sources()
    found = [mutants.parsed(mutants.mutant(texts, random.Random(i))) is not None for i in range(1500)]
    assert 50 < sum(found) < 1000


def test_graphs_of_changed_texts_give_the_references_result(tmp_path: Path) -> None:
    file = tmp_path / "mutant"
    arguments = [sys.executable, "-m", "tests.mutants", "0", "0", "1000", str(file)]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, f"{done.stderr[-2000:]}\n{file.read_text()}"


def test_graphs_of_kernels_are_not_fused_again() -> None:
    with pytest.raises(TinyTorchError, match="has kernels already"):
        kernels(parse_graph(graph_text("%x: f32[4,4]", "%r", ONE)))
