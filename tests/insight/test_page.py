"""The page of a report: one file, with nothing outside of it, in which all can be found."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.insight.browser import needs_chromium, said_by
from tests.insight.made_up import FILE, record
from tinytorch.insight.page import SCRIPTS, embedded, page_of, read_page, write_page
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.text.titles import PHASE_COLORS


@pytest.mark.parametrize("size", [12, 3000])
def test_a_page_holds_its_record_and_nothing_from_elsewhere(size: int, tmp_path: Path) -> None:
    made = record(size, 4 * size)
    write_page(made, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert read_page(tmp_path / "report.html") == made
    outside = page.replace("http://www.w3.org/2000/svg", "")  # the name of a language, which nobody loads
    for loaded in ("http:", "https:", " src=", "@import", "url(", "fetch(", "import("):
        assert loaded not in outside, loaded
    assert page.count("</script>") == 2 and "default-src 'none'" in page
    assert "<title>step of &lt;/script&gt; &amp; &lt;b&gt;</title>" in page


def test_large_data_is_compressed() -> None:
    assert len(page_of("report", record(3000, 10_000))) < 2 << 20


def test_what_json_cannot_say_is_null_and_any_text_is_written(tmp_path: Path) -> None:
    made = {
        "title": "\ud800 {{data}}",
        "nan": math.nan,
        "list": [math.inf, {"x": (-math.inf, 1.5)}],
        "text": "<!--<script>",
    }
    write_page(made, tmp_path / "report.html")
    found = read_page(tmp_path / "report.html")
    assert found == {
        "title": "\ud800 {{data}}",
        "nan": None,
        "list": [None, {"x": [None, 1.5]}],
        "text": "<!--<script>",
    }
    assert "<!--" not in embedded(made).removeprefix("<script")


def test_a_record_says_itself_what_it_holds(tmp_path: Path) -> None:
    class Made:
        def as_dict(self) -> dict[str, Any]:
            return {"title": "made"}

    write_page(Made(), tmp_path / "report.html")
    assert read_page(tmp_path / "report.html") == {"title": "made"}


@pytest.mark.parametrize(
    "text", ["", "<p>", '<script type="text/plain" id="data" data-packed="gzip">aGVsbG8=</script>', "\udcff"]
)
def test_other_files_are_no_pages(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.html").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(TinyTorchError, match=r"x.html is no page[\s\S]*test_page.py"):
        read_page(tmp_path / "x.html")
    with pytest.raises(TinyTorchError, match=r"other\.html is no page"):
        read_page(tmp_path / "other.html")
    with pytest.raises(TinyTorchError, match=r"cannot write[\s\S]*test_page.py"):
        write_page({"title": "x"}, tmp_path / "nofolder" / "x.html")


def test_phases_have_the_colours_of_pictures() -> None:
    style = page_of("report", {}).split("</style>")[0]
    for phase, (light, dark) in PHASE_COLORS.items():
        assert style.count(f"--{phase}: {light};") == 1 and style.count(f"--{phase}: {dark};") == 2


def test_every_script_is_of_some_page() -> None:
    from tinytorch.insight import page

    written = {path.stem for path in (Path(page.__file__).parent / "web").glob("*.js")}
    assert written == {name for names in SCRIPTS.values() for name in names}


STEPS = """
const result = {};
result.tiles = all(".tile").map((tile) => [tile.querySelector(".name").textContent, tile.getAttribute("href")]);
const links = all("a.tile, nav a").map((a) => a.getAttribute("href"));
result.dangling = links.filter((href) => !href.includes("=") && !$(href));
result.scripts = all("script").length;
await write("#search", "op:matmul shape:64,128 relu:no");
result.none = $("#found").textContent;
await write("#search", "op:matmul line:5");
result.found = $("#found").textContent;
result.matmuls = all(".graph .line").every((line) => line.textContent.includes("matmul("));
await write("#search", "");
result.listed = all(".graph .row").length;

await go("#kernel=3");
result.kernel = $("#kernel h3").textContent;
const code = () => $("#kernel [aria-label='code of this kernel']").textContent;
result.ir = code().includes("matmul(%x, %w)");
const tab = (name) => all("#kernel .switch button").find((button) => button.textContent === name);
tab("assembly").click();
result.assembly = code().includes("vfmadd231ps");
tab("IR").click();
$("#kernel [aria-label='code of this kernel'] .row.click").click();
result.line = $("#kernel .source .row.open").textContent;
$("#kernel .source .row.click:not(.open)").click();
result.kernels = all("#kernel .picked a").length;

result.pass = $(".step b").textContent;
press(".steps button", "ArrowRight");
result.next = $(".step b").textContent;
await go("#pass=fuse");
result.fuse = [$(".step b").textContent, $(".steps [aria-current]").textContent];
result.steps = all(".steps button").length;
const choose = (name) => all(".step button").find((button) => button.textContent === name).click();
const rows = () => all(".step .rows .row").map((row) => [...row.children].map((cell) => cell.textContent).join("|"));
choose("side by side");
result.pairs = rows();
choose("whole graph");
result.graph = [rows()[0], rows().some((row) => row.endsWith("|%new6 = fuse(%0) : f32[64,128]")), rows().length];
choose("previous");
result.earlier = [$(".step b").textContent, rows().some((row) => row.includes("%new6"))];

await go("#instant=12");
result.instant = $("#alive h3").textContent;
result.alive = all("#alive .rows .row").length;
press("#memory canvas", "ArrowRight");
result.after = $("#alive h3").textContent;
const canvas = $("#timeline canvas");
const drawn = canvas.toDataURL();
press("#timeline canvas", "+");
result.zoomed = canvas.toDataURL() !== drawn;
press("#timeline canvas", "0");
result.whole = canvas.toDataURL() === drawn;
await go("#line=" + encodeURIComponent(FILE + ":10"));
result.heat = $("#lines .row.open").textContent;
result.chips = all("#lines .picked a").length;
all("#kernels .head button").find((button) => button.textContent === "FLOPs").click();
result.flops = all("#kernels .rows .row").slice(0, 2).map((row) => row.children[7].textContent);
const at = (what, kind, x, y) => {
  const box = $(what).getBoundingClientRect();
  const [clientX, clientY] = [box.left + x * box.width, box.top + y * box.height];
  $(what).dispatchEvent(new PointerEvent(kind, { clientX, clientY }));
};
at("#memory canvas", "pointermove", 0.5, 0.5);
result.note = $(".note").textContent;
at("#memory canvas", "click", 0.5, 0.5);
await later();
result.clicked = [location.hash, $("#alive h3").textContent];
at("#timeline canvas", "pointermove", 0.5, 0.4);
result.bar = $(".note").textContent;
at("#timeline canvas", "pointerdown", 0.5, 0.4);
at("#timeline canvas", "pointerup", 0.5, 0.4);
result.barHash = location.hash;
$(".roof circle").dispatchEvent(new MouseEvent("click"));
result.pointHash = location.hash;
result.points = all(".roof circle").length;
all("nav .switch button")[2].click();
result.theme = [document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor];
result.elements = all("*").length;
return result;
"""


@needs_chromium
def test_the_page_is_walked_through(tmp_path: Path) -> None:
    made = record(3000, 10_000)
    write_page(made, tmp_path / "report.html")
    said = said_by(tmp_path / "report.html", STEPS.replace("FILE", json.dumps(FILE)), tmp_path)
    assert dict(said["tiles"])["memory peak"] == f"#instant={made['peak']['instant']}" and said["dangling"] == []
    assert said["scripts"] == 2  # nothing in the record became one
    assert said["none"] == "0 of 5,000 lines"
    wanted = [line for line in made["last_graph"] if line["op"] == "matmul" and line["loc"] == f"{FILE}:5"]
    assert said["found"] == f"{len(wanted)} of 5,000 lines" and said["matmuls"] and said["listed"] < 200
    assert said["kernel"] == "3: matmul + bias + relu" and said["ir"] and said["assembly"]
    assert "self.up(x)" in said["line"] and said["kernels"] > 1
    assert [said["pass"], said["next"], said["steps"]] == ["simplify", "cse", 6]
    assert said["fuse"][0] == "fuse" and said["fuse"][1].startswith("fuse")
    first = [line["text"] for line in made["first_graph"]]
    assert said["graph"][1] and said["graph"][0].startswith(f"{first[0]}|{first[0]}") and said["graph"][2] > 20
    assert len(said["pairs"]) == 5 and said["pairs"][0].startswith("@@ -13,4 +13,2 @@|")
    assert said["earlier"] == ["simplify", False]
    alive = [b for b in made["buffers"] if b["first"] <= 12 <= b["last"]]
    assert said["instant"].startswith(f"Instant 12: {len(alive)} buffer") and said["alive"] == len(alive)
    assert said["after"].startswith("Instant 13: ") and said["zoomed"] and said["whole"]
    assert "loss.backward()" in said["heat"] and said["chips"] > 0
    instant = said["clicked"][0].removeprefix("#instant=")
    assert said["note"].startswith(f"instant {instant}: ") and said["clicked"][1].startswith(f"Instant {instant}: ")
    number = said["barHash"].removeprefix("#kernel=")
    assert said["bar"].startswith(f"{number} {made['kernels'][int(number)]['title']}") and "wave" in said["bar"]
    longest = max(made["kernels"], key=lambda kernel: kernel["measured"] if kernel["flops"] else 0)
    assert said["pointHash"] == f"#kernel={longest['id']}"
    most = sorted((kernel["flops"] for kernel in made["kernels"]), reverse=True)
    assert said["flops"] == [f"{flops / 1e6:.1f} M" for flops in most[:2]] and said["points"] == 1500
    assert said["theme"][0] == "dark" and said["theme"][1] != "rgb(255, 255, 255)"
    assert said["elements"] < 5000


ALIKE = """
const modules = () => all("#graph .module").map((row) => row.textContent.replace(/[^ -~×…]/g, "").trim());
const folded = modules();
all("#graph .fold").find((button) => button.textContent.includes("…")).click();
return [folded, modules()];
"""


@needs_chromium
def test_modules_that_are_alike_are_folded(tmp_path: Path) -> None:
    made = record()
    blocks = [("up", "matmul"), ("up", "relu"), ("down", "matmul")]
    lines = [(f"net.{i}.{name}", op if i < 4 else "add") for i in range(6) for name, op in blocks]
    rest = {"loc": "", "phase": "", "shape": "[2]", "dtype": "f32"}
    made["last_graph"] = [
        {"text": f"%{i} = {op}()", "node": f"%{i}", "module": module, "op": op} | rest
        for i, (module, op) in enumerate(lines)
    ]
    write_page(made, tmp_path / "report.html")
    folded, opened = said_by(tmp_path / "report.html", ALIKE, tmp_path)
    assert folded[:2] == ["net18 lines", "0 … 3× 4 alike, 12 lines"] and folded[2:4] == ["43 lines", "up2 lines"]
    assert opened[1:4] == ["0 … 3× 4 alike, 12 lines", "03 lines", "13 lines"]


@needs_chromium
def test_an_empty_record_is_a_page_too(tmp_path: Path) -> None:
    write_page({"title": "nothing", "backend": "interpreter"}, tmp_path / "report.html")
    said = said_by(tmp_path / "report.html", 'return [all("section").length, $("main").textContent];', tmp_path)
    assert said[0] == 11 and "the interpreter runs this graph" in said[1]
