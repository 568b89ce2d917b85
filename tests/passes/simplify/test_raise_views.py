"""Permutes, flips and slices in front of elementwise ops: the same numbers, and work in proportion to the nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tests.execution import expected
from tinytorch.frontend.tracing import trace
from tinytorch.ir.graph import Graph
from tinytorch.ir.rewrite import Rewriter
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.verify import verify
from tinytorch.passes.autodiff import append_gradients
from tinytorch.passes.pipeline import run_passes
from tinytorch.passes.simplify.algebra import simplify
from tinytorch.passes.simplify.raise_views import raise_views


def traced(function: Callable[..., Any], *arguments: Any) -> Graph:
    names = [f"x{i}" for i in range(len(arguments))]
    return trace(function, arguments, {}, list(arguments), names, append_gradients, "f").graph


STEPS: dict[str, Callable[[Any], Any]] = {
    "permute": lambda x: x.permute(0, 2, 1).relu(),
    "rotate": lambda x: x.permute(1, 2, 0).tanh() * 0.5,
    "flip": lambda x: x.flip((1,)).relu() + 1.0,
    "mixed": lambda x: x.flip((0, 2)).permute(2, 0, 1).exp().permute(1, 0, 2).tanh(),
}


@pytest.mark.parametrize("name", STEPS)
def test_work_grows_with_the_nodes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that rules look at in all passes."""
    placed = 0
    place: Any = Rewriter._place

    def counted(*args: Any) -> Any:
        nonlocal placed
        placed += 1
        return place(*args)

    monkeypatch.setattr(Rewriter, "_place", counted)

    def chain(steps: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for _ in range(steps):
                x = STEPS[name](x)
            return x

        return run

    found: list[int] = []
    for steps in (40, 160):
        placed = 0
        graph = traced(chain(steps), tt.zeros(4, 4, 4))
        run_passes(graph)
        found.append(placed)
        assert placed < 40 * len(graph.nodes)
    assert found[1] < 4.5 * found[0]


def moved(text: str) -> str:
    graph = raise_views(parse_graph(text))
    verify(graph)
    return print_graph(simplify(graph))


def test_views_that_meet_become_one() -> None:
    text = """graph @f(%x: f32[3,5,7]) -> (%e) {
  %a = exp(%x) : f32[3,5,7]
  %b = flip(%a) : f32[3,5,7] {axes=(1,)}
  %c = permute(%b) : f32[7,5,3] {axes=(2, 1, 0)}
  %d = slice(%c) : f32[3,5,3] {starts=(1, 0, 0), limits=(7, 5, 3), steps=(2, 1, 1)}
  %g = flip(%d) : f32[3,5,3] {axes=(0, 1)}
  %e = neg(%g) : f32[3,5,3]
}
"""
    names = [node.op.name for node in simplify(parse_graph(text)).nodes]
    assert names == ["permute", "slice", "flip", "exp", "neg"]
    assert "{axes=(0,)}" in moved(text) and "starts=(1, 0, 0), limits=(6, 5, 3), steps=(2, 1, 1)" in moved(text)


@pytest.mark.parametrize(
    "body",
    [
        # read twice; a result; an index that is guarded; a reader that is no elementwise op
        "%b = permute(%a) : f32[4,4] {axes=(1, 0)}\n %c = neg(%b) : f32[4,4]\n %r = add(%c, %a) : f32[4,4]",
        "%b = permute(%a) : f32[4,4] {axes=(1, 0)}\n %c = neg(%b) : f32[4,4]\n %r = add(%c, %b) : f32[4,4]",
        "%r = permute(%a) : f32[4,4] {axes=(1, 0)}",
        "%b = permute(%a) : f32[4,4] {axes=(1, 0)}\n %r = matmul(%b, %b) : f32[4,4]",
    ],
)
def test_what_stays(body: str) -> None:
    graph = parse_graph(f"graph @f(%x: f32[4,4]) -> (%r) {{\n %a = exp(%x) : f32[4,4]\n {body}\n}}\n")
    assert raise_views(graph) is graph


_OPS: list[Callable[[Any], Any]] = [
    lambda x: x.permute(0, 2, 1),
    lambda x: x.permute(2, 0, 1),
    lambda x: x.flip((0,)),
    lambda x: x.flip((1, 2)),
    lambda x: x[1:],
    lambda x: x[:, ::2],
    lambda x: x[..., 1:3],
    lambda x: x[:, :, 2:2] if x.shape[2] > 5 else x,
    lambda x: x * 2.0 - 1.0,
    lambda x: x.abs(),
    lambda x: x.maximum(x.flip((0,))),
    lambda x: x + x.amax(0, keepdim=True),
    lambda x: x.reshape(x.shape[0], -1, x.shape[2]).exp(),
    lambda x: x + x[0],
    lambda x: x.double().float(),
]


@given(st.lists(st.integers(0, len(_OPS) - 1), min_size=1, max_size=12))
def test_same_numbers(choices: list[int]) -> None:
    def run(x: Any) -> Any:
        for choice in choices:
            if 0 in x.shape and choice == 11:
                continue
            x = _OPS[choice](x) if min(x.shape) > 1 else x + 1.0
        return x

    x = tt.tensor(np.linspace(-1, 1, 6 * 5 * 7, dtype=np.float32).reshape(6, 5, 7))
    graph = traced(run, x)
    simplified = simplify(graph)
    verify(simplified)
    assert simplify(simplified) is simplified
    for a, b in zip(expected(graph, [x.data]), expected(simplified, [x.data]), strict=True):
        np.testing.assert_array_equal(a, b)
    passed = run_passes(graph)[0]
    for a, b in zip(expected(graph, [x.data]), expected(passed, [x.data]), strict=True):
        np.testing.assert_array_equal(a, b)
