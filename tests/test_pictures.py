"""Drawings of compiled functions: kernels with their phases and times, blocks of models, and functions never called."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.compiled.function import Compiled
from tinytorch.ir.errors import CompileError, TinyTorchError
from tinytorch.samples import SAMPLES

SVG = "{http://www.w3.org/2000/svg}"


def drawn(compiled: Compiled, folder: Path, **options: object) -> str:
    path = folder / "drawing.svg"
    compiled.save_svg(path, **options)  # pyright: ignore[reportArgumentType]
    return path.read_text(encoding="utf-8")


def shown(svg: str) -> list[tuple[str, str]]:
    """The title of each box and its phase."""
    found: list[tuple[str, str]] = []
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        text, rects = group.find(f"{SVG}text[@class='title']"), group.findall(f"{SVG}rect")
        if text is not None:
            found.append((text.text or "", (rects[-1].get("class") or "").split()[-1]))
    return found


def plain(svg: str) -> list[tuple[str, str]]:
    """Without times."""
    return [(re.sub(r", [\d.e-]+ \S+$", "", title), phase) for title, phase in shown(svg)]


@pytest.fixture(scope="module")
def mlp() -> Compiled:
    sample = SAMPLES["mlp"]()
    compiled = tt.compile(sample.step)
    compiled(*sample.args)
    return compiled


def test_a_training_step_shows_its_kernels_phases_and_times(mlp: Compiled, tmp_path: Path) -> None:
    svg = drawn(mlp, tmp_path)
    found = plain(svg)
    for box in (
        ("matmul + bias + relu", "forward"),
        ("matmul + relu′", "backward"),
        ("matmul + SGD", "backward"),
        ("SGD", "update"),
        ("x0", "other"),
        ("output 0", "other"),
    ):
        assert box in found, (box, found)
    assert svg.count(">wave ") == len(mlp.executable.schedule.waves)
    times = [title for title, _ in shown(svg) if re.search(r", [\d.e-]+ (ns|µs|ms|s)$", title)]
    assert len(times) == len(mlp.explain().kernels)
    lines = set(re.findall(r"(\w+\.py):\d+: ", svg))
    assert lines == {"samples.py"}  # the user's file, here
    assert "weight.momentum" in svg and "f32[64,128]" in svg
    assert "forward" in svg and "predicted by the roofline" in svg


def test_the_product_stands_in_the_box_of_its_module(mlp: Compiled, tmp_path: Path) -> None:
    boxes = {
        (text[0].text, text[1].text)
        for group in ET.fromstring(drawn(mlp, tmp_path)).iter(f"{SVG}g")
        if len(text := group.findall(f"{SVG}text")) > 1
    }
    modules = {(title or "").split(",")[0]: module for title, module in boxes}
    assert modules["matmul + bias + relu"] == "Sequential.0" and modules["matmul + bias"] == "Sequential.2"


def test_depth_adds_up_modules(mlp: Compiled, tmp_path: Path) -> None:
    found = plain(drawn(mlp, tmp_path, depth=1))
    assert [box for box in found if "Sequential" in box[0]] == [
        ("Sequential.0", "forward"),
        ("Sequential.2", "forward"),
        ("Sequential.2", "backward"),
        ("Sequential.0", "backward"),
    ]
    assert ("SGD", "update") in found
    assert "12.9 MFLOP" in drawn(mlp, tmp_path, depth=1)
    whole = plain(drawn(mlp, tmp_path, depth=0))
    assert {title for title, phase in whole if phase != "other"} >= {"Sequential", "CrossEntropyLoss", "SGD"}
    assert "maximum 0.0" in drawn(mlp, tmp_path, depth="ops") and "maximum" not in drawn(mlp, tmp_path, depth=1)


def test_colours_say_the_time_on_request(mlp: Compiled, tmp_path: Path) -> None:
    svg = drawn(mlp, tmp_path, color="time", measure=True)
    assert re.search(r" µs measured<| ms measured<", svg)
    deep = [float(o) for o in re.findall(r'class="heat"[^>]* rx="7" fill-opacity="([\d.]+)"', svg)]
    assert len(deep) == len(mlp.explain().kernels) and max(deep) == pytest.approx(0.65) and min(deep) < 0.3


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return x + self.down(self.up(self.norm(x)).gelu())


class Stack(nn.Module):
    def __init__(self, blocks: int = 6) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block() for _ in range(blocks)])
        self.head = nn.Linear(8, 3)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def test_blocks_of_a_model_and_updates_are_folded(tmp_path: Path) -> None:
    model = Stack()
    optimizer = tt.optim.Adam(model.parameters(), lr=0.01)

    @tt.compile
    def step(x: tt.Tensor) -> tt.Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    step(tt.tensor(np.ones((4, 8), np.float32)))
    svg = drawn(step, tmp_path)
    folded = [title for title, _ in plain(svg) if "…" in title]
    assert len(folded) >= 2 and all(int(title.rsplit("× ", 1)[1]) >= 4 for title in folded), folded
    assert any(re.search(r"^Adam  × \d+$", title) for title, _ in plain(svg))
    layers = plain(drawn(step, tmp_path, depth=1))
    assert any(re.fullmatch(r"blocks\.\d … blocks\.\d  × \d", title) and phase == "forward" for title, phase in layers)
    assert ("head", "forward") in layers and len(layers) < 20


def test_the_interpreter_draws_ops(tmp_path: Path) -> None:
    compiled = tt.compile(lambda x: x.tanh() + 1.0, backend="interpreter")
    compiled(tt.ones(3))
    assert {"tanh", "add 1.0", "x0"} <= {title for title, _ in shown(drawn(compiled, tmp_path))}


def test_what_was_never_called_says_so(tmp_path: Path) -> None:
    compiled = tt.compile(nn.Linear(2, 3))
    assert compiled._repr_svg_() is None
    assert "has not been called yet" in (compiled._repr_html_() or "")
    with pytest.raises(CompileError, match="call it once with example tensors"):
        compiled.save_svg(tmp_path / "x.svg")
    compiled(tt.ones(1, 2))
    assert compiled._repr_html_() is None
    assert "matmul + bias" in (compiled._repr_svg_() or "")
    with pytest.raises(TinyTorchError, match="depth"):
        compiled.save_svg(tmp_path / "x.svg", depth="layers")  # pyright: ignore[reportArgumentType]


def test_a_folded_convolution_stays_in_the_box_of_its_module(tmp_path: Path) -> None:
    """Frozen, batch normalization becomes weights of the convolution in front of it."""
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU()).eval()
    compiled = tt.compile(model, freeze=True)
    with tt.no_grad():
        compiled(tt.ones(1, 2, 5, 5))
    layers = plain(drawn(compiled, tmp_path, depth=1))
    assert ("Sequential.0", "forward") in layers and not any("Sequential.1" in title for title, _ in layers)


def test_the_same_picture_for_graphviz(tmp_path: Path) -> None:
    model = tt.Sequential(tt.Linear(8, 16), tt.ReLU(), tt.Linear(16, 4))
    compiled = tt.compile(model)
    compiled(tt.ones(2, 8))
    compiled.save_dot(tmp_path / "kernels.dot")
    text = (tmp_path / "kernels.dot").read_text(encoding="utf-8")
    assert text.startswith('digraph "') and text.count("matmul + bias") == 2 and "f32[2,16]" in text
    compiled.save_dot(tmp_path / "ops.dot", depth="ops")
    inner = (tmp_path / "ops.dot").read_text(encoding="utf-8")
    assert inner.count("subgraph cluster_") == 2 and "maximum" in inner
    for file in ("kernels.dot", "ops.dot"):
        if shutil.which("dot"):
            drawn = subprocess.run(["dot", "-Tsvg", file], cwd=tmp_path, capture_output=True, text=True, check=True)
            assert drawn.stdout.count('class="node"') >= 4 and not drawn.stderr
