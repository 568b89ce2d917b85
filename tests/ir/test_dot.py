"""Drawings are well-formed, and show what they should."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from tests.graphs import graphs
from tinytorch.ir import dot
from tinytorch.ir.dot import renderer, save_svg, to_dot, to_svg
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.loc import Loc
from tinytorch.ir.parser import parse_graph
from tinytorch.ir.types import TensorType, f32

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw with the graphviz-pure package even where there is a system `dot`."""
    program = renderer(system=False)
    monkeypatch.setattr(dot, "renderer", lambda: program)


def step() -> Graph:
    builder = Builder("step")
    x, w = (Expr(builder, builder.input(TensorType(f32, s), n)) for s, n in (((8, 4), "x"), ((4, 2), "w")))
    builder.loc = Loc('a "model" <&>.py', 14, "model.layers.0")
    h = x @ w * 0.5
    builder.loc = Loc("model.py", 15, "model.layers.1")
    y = h.tanh()
    big = y + y.constant(np.arange(16, dtype=np.float32).reshape(8, 2))
    return builder.build([big.value, (w * 2.0).value], [(1, 1)])


def titles(svg: str) -> list[str]:
    """The tooltips of the drawing."""
    name = "{http://www.w3.org/1999/xlink}title"
    return [e.attrib[name] for e in ET.fromstring(svg).iter() if name in e.attrib]


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.usefixtures("packaged")
def test_the_drawing_shows_modules_constants_state_and_costs() -> None:
    svg = to_svg(step())
    shown = texts(svg)
    for word in ("model", "layers", "0", "1", "matmul", "mul 0.5", "tanh", "x", "w", "w, renewed", "output 0"):
        assert word in shown, word
    assert "broadcast" not in shown and shown.count("constant") == 1  # the small ones are in labels
    tips = "\n".join(titles(svg))
    assert "128 FLOPs, 224 bytes" in tips
    assert 'a "model" <&>.py:14' in tips
    assert ET.fromstring(svg).tag == f"{SVG}svg"


@pytest.mark.usefixtures("packaged")
def test_kernels_are_clusters_with_their_bodies() -> None:
    graph = parse_graph("""graph @g(%x: f32[5]) -> (%y, %z) {
      %y = kernel(%x) : f32[5] {body=graph @row(%a: f32[5]) -> (%1) {
        %0 = exp(%a) : f32[5]
        %1 = sqrt(%0) : f32[5]
      }, family='loop'}
      %z = neg(%y) : f32[5]
    }""")
    source = to_dot(graph)
    assert source.count("subgraph cluster") == 1
    edges = [line.split("[")[0].strip() for line in source.splitlines() if "->" in line.split("[")[0]]
    assert len(edges) == 5  # x to exp to sqrt to neg, and two outputs
    shown = texts(to_svg(graph))
    assert any("row" in text for text in shown) and {"exp", "sqrt", "neg"} <= set(shown)


def test_the_dearest_node_has_the_deepest_colour() -> None:
    lines = to_dot(step()).splitlines()
    at = next(i for i, line in enumerate(lines) if 'label="matmul' in line)
    assert 'fillcolor="0.080 0.750 1.000"' in "\n".join(lines[at : at + 2])


@pytest.mark.usefixtures("packaged")
@settings(max_examples=5)
@given(graph=graphs())
def test_any_graph_draws_as_well_formed_xml(graph: Graph) -> None:
    assert ET.fromstring(to_svg(graph)).tag.endswith("svg")


def test_save_and_notebook(tmp_path: Path) -> None:
    graph = step()
    save_svg(graph, tmp_path / "step.svg")
    assert (tmp_path / "step.svg").read_text() == graph._repr_svg_()


def test_without_graphviz_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dot.shutil, "which", lambda name: None)
    monkeypatch.setattr(dot, "_packaged", lambda: None)
    with pytest.raises(TinyTorchError, match="pip install graphviz-pure"):
        to_svg(step())


def test_a_renderer_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dot, "to_dot", lambda graph: "digraph {")
    with pytest.raises(TinyTorchError, match="drawing failed"):
        to_svg(step())
