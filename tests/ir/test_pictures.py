"""Drawings of graphs: what stands in them, what is folded, and how large they get."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from tests.graphs import graphs
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.loc import Loc
from tinytorch.ir.pictures.boxes import Facts, Picture, boxes
from tinytorch.ir.pictures.drawing import draw
from tinytorch.ir.pictures.folding import fold
from tinytorch.ir.pictures.grouping import group, level
from tinytorch.ir.pictures.labels import text_width
from tinytorch.ir.pictures.layered import GAP, Line, Point, lay_out
from tinytorch.ir.pictures.svg import fitted
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.types import TensorType, f32

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in ET.fromstring(svg).iter(f"{SVG}text")]


def tips(svg: str) -> str:
    return "\n".join(e.text or "" for e in ET.fromstring(svg).iter(f"{SVG}title"))


def step() -> Graph:
    builder = Builder("step")
    x, w = (Expr(builder, builder.input(TensorType(f32, s), n)) for n, s in (("x", (8, 4)), ("w", (4, 2))))
    builder.loc = Loc('a "model" <&>.py', 14, "Model.layers.0")
    h = x @ w * 0.5
    builder.loc = Loc("model.py", 15, "Model.layers.1")
    y = h.tanh()
    big = y + y.constant(np.arange(16, dtype=np.float32).reshape(8, 2))
    return builder.build([big.value, (w * 2.0).value], [(1, 1)])


def chain(count: int, module: str = "", wide: bool = False) -> Graph:
    """`count` ops, each of which reads the one before, and far ones too; `module` has the number of the op in it."""
    builder = Builder("chain")
    made = [Expr(builder, builder.input(TensorType(f32, (2, 2)), "x"))]
    for i in range(count):
        builder.loc = Loc("model.py", i % 50 + 1, module.format(i // 10, i % 10))
        made.append((made[0] if wide else made[-1]) * made[i * 7 % len(made)] if i % 3 else made[-1].tanh())
    return builder.build([made[-1].value])


def test_a_drawing_has_no_characters_that_xml_cannot_hold_and_room_for_its_name() -> None:
    builder = Builder("n" * 200)
    x, counter = (Expr(builder, builder.input(TensorType(f32, (2,)), name)) for name in ("x", ""))
    builder.loc = Loc("model\x1b\x0c\udcff.py", 1, "Model.\0part")
    svg = draw(builder.build([x.tanh().value, (counter + 1.0).value], [(1, 1)]))
    assert "part" in tips(svg) and "\ufffd" in svg and "renews state: f32[2]" in texts(svg)
    assert float(ET.fromstring(svg).attrib["width"]) > text_width("n" * 200, 15)


def test_ops_are_boxes_with_literals_state_and_costs() -> None:
    svg = draw(step())
    shown = texts(svg)
    named = ("step", "x", "matmul", "mul 0.5", "tanh", "layers.0", "w", "constant", "renews w: f32[4,2]", "output 0")
    for text in named:
        assert text in shown, text
    assert "broadcast" not in shown and "f32[8,2]" in shown  # an edge's
    assert "128 FLOPs, 224 B" in tips(svg)
    assert 'a "model" <&>.py:14' in tips(svg)


def test_light_and_dark_need_no_more_than_the_file() -> None:
    svg = draw(step())
    assert "@media (prefers-color-scheme:dark)" in svg and "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    styled = set(re.findall(r"\.tinytorch \.(\w+)\{fill", svg))
    assert styled >= set(re.findall(r'class="(?:box|bar|frame) (\w+)"', svg))
    assert draw(step(), color="time") != svg


KERNELS = """graph @g(%x: f32[5]) -> (%y, %z) {
  %y = kernel(%x) : f32[5] {body=graph @row(%a: f32[5]) -> (%1) {
    %0 = exp(%a) : f32[5]
    %1 = sqrt(%0) : f32[5]
  }, family='loop'}
  %z = neg(%y) : f32[5]
}"""


def test_kernels_are_boxes_and_on_request_hold_their_ops() -> None:
    graph = parse_graph(KERNELS)
    assert {"exp + sqrt", "neg"} <= set(texts(draw(graph))) and "exp" not in texts(draw(graph))
    for depth in ("ops", None):
        assert {"exp + sqrt", "exp", "sqrt", "neg"} <= set(texts(draw(graph, depth)))
    assert "3 nodes in 1 kernel ·" in draw(graph)


@settings(max_examples=20)
@given(graph=graphs())
def test_any_graph_draws_as_well_formed_xml(graph: Graph) -> None:
    for depth in ("kernels", 1):
        assert ET.fromstring(draw(graph, depth)).tag == f"{SVG}svg"


@pytest.mark.parametrize(("text", "given"), [("depth", (-1,)), ("depth", ("layers",)), ("color", (1, "heat"))])
def test_what_makes_no_sense_is_refused(text: str, given: tuple[Any, ...]) -> None:
    with pytest.raises(TinyTorchError, match=text):
        draw(step(), *given)


# Modules.
def test_levels_of_modules() -> None:
    path = "GPT.blocks.3.norm.gain"
    assert [level(path, depth) for depth in range(4)] == ["GPT", "GPT.blocks.3", "GPT.blocks.3.norm", path]
    assert level("Sequential.0.1", 1) == "Sequential.0"
    assert level("", 1) == ""


def test_a_box_a_module_adds_up_and_no_arrow_runs_upwards() -> None:
    graph = chain(60, "Net.part{0}.unit{1}")
    parts = boxes(graph, Facts())
    found = group(parts, 1)
    modules = [box for box in found.boxes if box.kind == "group"]
    assert {box.title for box in modules} == {f"part{i}" for i in range(6)}
    assert sum(box.cost.flops for box in modules) == sum(node.flops for node in graph.nodes)
    assert sum(box.cost.bytes for box in modules) == sum(box.cost.bytes for box in parts.boxes)
    place = {box: i for i, box in enumerate(found.boxes)}
    assert all(place[edge.source] < place[edge.target] for edge in found.edges)


def test_a_module_with_other_work_in_between_has_two_boxes() -> None:
    builder = Builder("g")
    x = Expr(builder, builder.input(TensorType(f32, (2,)), "x"))
    for scope in ("Net.a", "Net.b", "Net.a"):
        builder.loc = Loc("model.py", 1, scope)
        x = x.tanh()
    found = group(boxes(builder.build([x.value]), Facts()), 1)
    assert [box.title for box in found.boxes] == ["x", "a", "b", "a", "output 0"]


def blocks(numbers: str, odd: int = -1) -> Picture:
    """Two boxes for each block in a row, of which `odd` is another one."""
    builder = Builder("g")
    x = Expr(builder, builder.input(TensorType(f32, (2,)), "x"))
    for number in map(int, numbers):
        builder.loc = Loc("model.py", 1, f"Net.blocks.{number}.norm")
        x = x.tanh()
        builder.loc = Loc("model.py", 2, f"Net.blocks.{number}.up")
        x = x.exp() if number == odd else x.sin()
    builder.loc = Loc("model.py", 3, "Net.head")
    return fold(boxes(builder.build([x.abs().value]), Facts()))


def frames(picture: Picture) -> list[tuple[str, int]]:
    return [(box.title, box.count) for box in picture.boxes if box.inside is not None]


def test_alike_blocks_are_drawn_once() -> None:
    picture = blocks("012345")
    assert frames(picture) == [("blocks.0 … blocks.5", 6)]
    (frame,) = [box for box in picture.boxes if box.inside is not None]
    assert frame.inside is not None
    assert [(box.title, box.module) for box in frame.inside.boxes] == [("tanh", "norm"), ("sin", "up")]
    assert len(frame.inside.edges) == 1 and len(frame.nodes) == 12
    assert [(e.source.title, e.target.title) for e in picture.edges] == [
        ("x", frame.title),
        (frame.title, "abs"),
        ("abs", "output 0"),
    ]
    assert frames(blocks("012345", odd=3)) == [("blocks.0 … blocks.2", 3), ("blocks.4 … blocks.5", 2)]
    assert frames(blocks("01", odd=1)) == []


def test_what_lies_between_blocks_keeps_them_apart() -> None:
    """Drawn in one frame, arrows would run in a circle."""
    builder = Builder("g")
    x = Expr(builder, builder.input(TensorType(f32, (2,)), "x"))
    for number in range(4):
        builder.loc = Loc("model.py", 1, f"Net.blocks.{number}")
        x = x.tanh().sin()
        builder.loc = Loc("model.py", 2, "Net")
        x = x.exp() if number == 1 else x
    assert frames(fold(boxes(builder.build([x.value]), Facts()))) == []


# Size.
def test_large_graphs_are_drawn_whole_up_to_a_thousand_boxes_and_folded_beyond() -> None:
    whole = draw(chain(990))
    assert len(ET.fromstring(whole).findall(f".//{SVG}g[{SVG}title]")) >= 990
    modules = draw(chain(3_000, "Net.part{0}.unit{1}"))
    assert "3,000 nodes" in modules and "more than 1,000 boxes: depth=1 shows 302" in modules
    lines = draw(chain(2_000, wide=True))
    assert len(re.findall('class="title"', lines)) <= 1_010 and "2,000 nodes" in lines
    builder = Builder("nowhere")
    x = Expr(builder, builder.input(TensorType(f32, (2,)), "x"))
    for _ in range(1_500):
        x = x.tanh()
    assert "the first 1,000 of 1,502 boxes" in draw(builder.build([x.value]))


def test_edges_that_run_far_are_numbers_at_both_ends() -> None:
    builder = Builder("g")
    x = Expr(builder, builder.input(TensorType(f32, (2,)), "x"))
    first = y = x.tanh()
    for _ in range(20):
        y = y.sin()
    svg = draw(builder.build([(y + first).value]))
    assert texts(svg).count("1") == 2
    assert "from tanh" in tips(svg) and "read further down by add" in tips(svg)


def test_boxes_do_not_overlap_and_rows_have_a_width() -> None:
    points = [Point(100, 40, rank) for rank in range(3) for _ in range(40)]
    lines = [Line(points[i], points[40 + i * 3 % 40]) for i in range(40)]
    width, height = lay_out(points, lines)
    rows: dict[int, list[Point]] = {}
    for point in points:
        rows.setdefault(point.row, []).append(point)
        assert point.x - 50 >= 0 and point.x + 50 <= width + 1e-6 and point.y + 40 <= height + 1e-6
    assert len(rows) > 3 and width < 4000
    for row in rows.values():
        xs = sorted(point.x for point in row)
        assert all(b - a >= 100 + GAP - 1e-6 for a, b in itertools.pairwise(xs))


def test_texts_fit_their_boxes() -> None:
    root = ET.fromstring(draw(step()))
    for body in root.iter(f"{SVG}g"):
        rect = body.find(f"{SVG}rect[@class='under']")
        for text in body.findall(f"{SVG}text") if rect is not None else ():
            points = 12 if text.get("class") == "title" else 10
            assert text_width(text.text or "", points) <= float(rect.get("width") or 0)


def test_a_graph_draws_itself_in_a_notebook() -> None:
    graph = step()
    assert graph._repr_svg_() == fitted(draw(graph))


@pytest.mark.parametrize(("wide", "shown"), [(400, 400), (1400, 980), (4000, 2600)])
def test_a_drawing_fits_the_page_of_a_notebook_as_long_as_it_can_be_read(wide: int, shown: int) -> None:
    inside = f'viewBox="0 0 {wide} {2 * wide}"><rect width="9" height="9"/></svg>'
    found = fitted(f'<svg width="{wide}" height="{2 * wide}" {inside}')
    assert found == f'<svg width="{shown}" height="{2 * shown}" {inside}'
