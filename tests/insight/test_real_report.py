"""The page of a real report: a training step, as `Compiled.report` collects it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.insight.browser import needs_chromium, said_by
from tests.insight.made_up import record
from tinytorch.insight.page import read_page
from tinytorch.insight.record import Record


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an MLP's training step."""
    model = tt.Sequential(tt.Linear(12, 8), tt.ReLU(), tt.Linear(8, 4))
    optimizer = tt.SGD(model.parameters(), lr=0.1)

    @tt.compile
    def step(x: tt.Tensor, y: tt.Tensor) -> tt.Tensor:
        optimizer.zero_grad()
        loss = tt.cross_entropy(model(x), y)  # the line of most kernels
        loss.backward()
        optimizer.step()
        return loss

    step(tt.randn(16, 12), tt.Tensor(np.zeros(16, np.int64)))
    path = tmp_path_factory.mktemp("report") / "report.html"
    step.report(path)
    return path


def shape_of(data: Any) -> Any:
    """The names in a record: of its parts, and of the first in each list."""
    if isinstance(data, list | tuple):
        return [shape_of(data[0])] if data and isinstance(data[0], dict) else []
    keyed_by_text = isinstance(data, dict) and any("/" in key or " " in key for key in data)
    return {key: shape_of(value) for key, value in data.items()} if isinstance(data, dict) and not keyed_by_text else ()


def missing(made: Any, real: Any, where: str = "record") -> list[str]:
    """What a made-up record has and a real one has not."""
    if isinstance(made, dict):
        absent = [f"{where}.{key}" for key in made if key not in real]
        return absent + [m for key in made if key in real for m in missing(made[key], real[key], f"{where}.{key}")]
    return missing(made[0], real[0], where) if isinstance(made, list) and made and real else []


def test_made_up_records_have_the_names_of_real_ones(page: Path) -> None:
    real, made = shape_of(read_page(page)), shape_of(record())
    for free in ("versions", "target", "files"):
        del made[free]
    assert missing(made, real) == []
    assert set(made) <= set(Record.__dataclass_fields__)


STEPS = """
await go("#kernel=0");
const code = () => $("#kernel [aria-label='code of this kernel']").textContent;
const tab = (name) => all("#kernel .switch button").find((button) => button.textContent === name).click();
const result = { title: $("#kernel h3").textContent, ir: code() };
tab("assembly");
result.assembly = code();
tab("LLVM IR");
result.llvm = code();
tab("IR");
$("#kernel [aria-label='code of this kernel'] .row.click").click();
result.line = $("#kernel .source .row.open").textContent;
result.rows = all("#kernels > .long .rows .row").length;
const outer = all("#modules .rows .row").filter((row) => row.querySelector("span > span").style.paddingLeft === "0rem");
result.modules = outer.map((row) => [row.children[0].textContent.slice(2), Number(row.children[4].textContent)]);
result.heat = all("#lines .cost").filter((cost) => cost.textContent).length;
result.figures = all(".tile .figure").map((figure) => figure.textContent);
const choose = (name) => all(".step button").find((button) => button.textContent === name).click();
choose("whole graph");
while (!$(".step button:disabled") || $(".step button:disabled").textContent !== "next") choose("next");
result.last = all(".step .rows .row:not(.gone)").map((row) => row.lastChild.textContent);
await write("#search", "op:kernel");
result.found = $("#found").textContent;
$("#graph .body a").click();
await later();
result.opened = $("#kernel h3").textContent;
all("#kernel a").find((a) => a.textContent === "in the graph").click();
await later();
result.back = all("#graph .line").map((line) => line.textContent);
return result;
"""


@needs_chromium
def test_a_kernel_of_a_real_report_opens_with_its_code(page: Path, tmp_path: Path) -> None:
    made = read_page(page)
    said = said_by(page, STEPS, tmp_path)
    assert said["title"] == f"0: {made['kernels'][0]['title']}" and said["rows"] == len(made["kernels"])
    assert "graph @main" in said["ir"] and "define void" in said["llvm"] and "ret" in said["assembly"]
    assert "the line of most kernels" in said["line"] and said["heat"] >= 2
    assert len(said["figures"]) == 5 and not any(figure in ("–", "0 s") for figure in said["figures"])
    assert len(said["last"]) > 20 and set(said["last"]) <= {line["text"] for line in made["last_graph"]}
    assert said["found"].split(" of ")[0] != "0"
    assert "Sequential" in dict(said["modules"]) and sum(dict(said["modules"]).values()) == len(made["kernels"])
    number = int(said["opened"].split(":")[0])
    assert len(said["back"]) >= 1 and made["kernels"][number]["node"] in said["back"][0]
