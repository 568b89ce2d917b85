"""The `tinytorch` command."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tinytorch.cli import app
from tinytorch.cli.targets import parse_type
from tinytorch.insight.page import read_page
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.types import TensorType, f32, i64
from tinytorch.samples import SAMPLES

ROOT = Path(__file__).parent.parent
MODELS = """
import tinytorch as tt

class Net(tt.Module):
    def __init__(self):
        self.layer = tt.Linear(4, 2)
    def forward(self, x):
        return self.layer(x).relu()

def double(x):
    return x * 2.0
"""
MAKERS = """
def make():
    return Net()

def wide(features=8, classes=2):
    return tt.Sequential(tt.Linear(4, features), tt.Linear(features, classes))

class Sized(Net):
    def __init__(self, size):
        self.layer = tt.Linear(4, size)

weight = tt.ones(3)

def constant():
    return weight + 1.0
"""


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 2
    return result.output


def test_help_names_the_commands_and_loads_nothing_that_compiles() -> None:
    code = (
        "import sys\nfrom tinytorch.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('llvmlite', 'torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    for command in ("demo", "graph", "report", "bench", "doctor", "milestone"):
        assert command in done.stdout
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize(
    ("name", "op"), [("mlp", "cross_entropy"), ("mlp-forward", "relu"), ("perceptron", "logistic_loss")]
)
def test_graph_of_built_in_models(name: str, op: str) -> None:
    output = run("graph", name)
    traced, passed = output.split("# after the passes")
    assert op in traced and "kernel(" not in traced and "kernel(" in passed


def test_graph_draws_and_explains(tmp_path: Path) -> None:
    drawing = tmp_path / "p.svg"
    output = run("graph", "perceptron", "--svg", str(drawing), "--explain")
    assert ET.parse(drawing).getroot().tag.endswith("svg")
    assert "Kernels" in output and str(drawing.name) in output
    run("graph", "perceptron", "--svg", str(drawing), "--depth", "1", "--color", "time")
    assert ">Linear, " in drawing.read_text() and "0 to " in drawing.read_text()
    assert "depth is" in refused("graph", "perceptron", "--svg", str(drawing), "--depth", "layers")


def test_graph_of_a_module_and_of_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cli_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert "matmul" in run("graph", "cli_models:Net", "--input", "f32[3,4]")
    assert "mul" in run("graph", "cli_models:double", "--input", "f64[3]")
    assert "f32[64,784]" in refused("graph", "cli_models:double")
    assert "has no 'other'" in refused("graph", "cli_models:other")
    assert "cli_models.py:8" in refused("graph", "cli_models:Net", "--input", "f32[3,5]")


def test_what_makes_a_model_is_called_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class, or a function without arguments; a function that computes something is not taken for one."""
    (tmp_path / "cli_makers.py").write_text(MODELS + MAKERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for target in ("make", "wide"):
        output = run("graph", f"cli_makers:{target}", "--input", "f32[3,4]")
        assert output.count(" = matmul(") >= 2 and "random" not in output, target  # before and behind the passes
    assert "give the type of each" in refused("graph", "cli_makers:make")
    assert "'size'; name a function without arguments that makes one" in refused("graph", "cli_makers:Sized")
    assert "add" in run("graph", "cli_makers:constant")


BROKEN = """
def raises(x):
    return {}["absent"]

def calls(x):
    return int("many")

def make():
    return 1 / 0
"""


def test_errors_of_the_users_program_are_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cli_broken.py").write_text(BROKEN)
    (tmp_path / "cli_unclosed.py").write_text("def f(x:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    told = refused("graph", "cli_broken:raises", "--input", "f32[2]")
    assert told == "tinytorch: KeyError: 'absent'\n  cli_broken.py:3: return {}[\"absent\"]\n"
    assert "cli_broken.py:6: return int(" in refused("report", "cli_broken:calls", "--input", "f32[2]")
    assert "ZeroDivisionError: division by zero\n  cli_broken.py:9" in refused("graph", "cli_broken:make")
    assert "SyntaxError: '(' was never closed\n  cli_unclosed.py:1: def f(x:" in refused("graph", "cli_unclosed:f")
    monkeypatch.setitem(SAMPLES, "mlp", None)  # a mistake of the framework's
    with pytest.raises(TypeError):
        run("graph", "mlp")


def test_report_of_a_module_is_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cli_reported.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert "report.html" in run("report", "cli_reported:Net", "--input", "f32[3,4]")
    found = read_page("report.html")
    assert [Path(path).name for path in found["files"]] == ["cli_reported.py"] and found["kernels"]
    assert found["timeline"] and all(kernel["locs"] for kernel in found["kernels"])
    run("report", "cli_reported:double", "--input", "f64[3]", "--out", "other.html", "--no-measure")
    assert not read_page("other.html")["timeline"]
    said = refused("report", "perceptron", "--out", str(tmp_path / "no" / "r.html"))
    assert "cannot write" in said and "callback" not in said  # no line of the command's own
    assert "f32[64,784]" in refused("report", "cli_reported:double")


def test_drawings_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    assert "cannot write" in refused("graph", "perceptron", "--svg", str(tmp_path / "no" / "p.svg"))
    assert "got '²'" in refused("graph", "perceptron", "--depth", "²", "--svg", str(tmp_path / "p.svg"))
    assert "nofolder" in re.sub(r"[\s│]", "", refused("demo", "--folder", str(tmp_path / "nofolder")))  # it is wrapped


@pytest.mark.parametrize("target", ["nosuch", "no_such_module:f", "./models:f", ".models:f", "models/net.py:f"])
def test_graph_refuses_what_it_cannot_find(target: str) -> None:
    assert target.split(":")[0] in refused("graph", target)


def test_a_target_without_a_module_is_refused() -> None:
    assert "no name of a module" in refused("graph", ":f")


def test_what_does_not_fit_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cli_large.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for size in ("9" * 14, "9" * 30):
        assert "does not fit into memory" in refused("graph", "cli_large:double", "--input", f"f32[{size}]")
    (tmp_path / "file").write_text("")
    assert "cannot write to file" in refused("analyze", "02", "--out", "file/below")


def test_settings_that_make_no_sense_are_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinytorch.runtime.thread_count._setting.num_threads", 0)
    monkeypatch.setenv("TT_NUM_THREADS", "many")
    assert "TT_NUM_THREADS must be a whole number from 1 to 1024, got 'many'" in refused("doctor")


def test_types_are_parsed() -> None:
    assert parse_type("f32[64, 784]") == TensorType(f32, (64, 784))
    assert parse_type("i64[]") == TensorType(i64, ())
    for wrong in ("f32", "f33[2]", "f32[2", "f32[-1]", "f32[2,]"):
        with pytest.raises(TinyTorchError, match="is no type"):
            parse_type(wrong)


def test_demo_agrees_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinytorch.cli import demo

    monkeypatch.setattr(demo, "ROUNDS", 1)
    monkeypatch.setattr(demo, "ROUND_SECONDS", 1e-3)
    monkeypatch.setattr(demo, "STEPS", 3)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)  # without torch
    output = run("demo", "--folder", str(tmp_path))
    for part in ("as traced", "After the passes", "Passes", "Kernels", "eager", "interpreter", "compiled", "cached"):
        assert part in output
    assert "interpreter agrees" in output and "compiled agrees" in output and "DIFFERS" not in output
    assert ET.parse(tmp_path / "mlp.svg").getroot().tag.endswith("svg")


def test_demo_fails_where_numbers_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinytorch.cli import demo

    monkeypatch.setattr(demo, "ROUNDS", 1)
    monkeypatch.setattr(demo, "ROUND_SECONDS", 1e-3)
    monkeypatch.setattr(demo, "STEPS", 2)
    monkeypatch.setattr(demo, "TOLERANCE", -1.0)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = CliRunner().invoke(app, ["demo", "--folder", str(tmp_path)])
    assert result.exit_code == 1 and "DIFFERS" in result.output


def test_doctor_says_what_it_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path))
    output = run("doctor")
    for part in ("vectors", "threads", "writable", "numpy", "works", "GFLOP/s"):
        assert part in output


def test_doctor_sees_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "file" / "below"))
    with pytest.warns(RuntimeWarning):
        result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1 and "not writable" in result.output


def test_milestones_are_run_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, list[str]]] = []
    monkeypatch.setattr("runpy.run_module", lambda name, **_: called.append((name, sys.argv[1:])))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    run("milestone", "1")
    run("milestone", "2", "--quick")
    run("milestone", "3")
    run("milestone", "4", "--size", "small")
    run("milestone", "5", "--quick")
    assert called == [
        ("milestones.perceptron", []),
        ("milestones.mlp", ["--quick"]),
        ("milestones.cnn", []),
        ("milestones.tinygpt", ["--size", "small"]),
        ("milestones.capstone", ["--quick"]),
    ]
    assert "number" in refused("milestone", "6")
    assert "perceptron, 2: MLP" in run("milestone", "--help")


def test_bench_hands_names_and_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr("benchmarks.__main__.app", lambda args, **_: called.append(args))
    run("bench", "mlp_*", "perceptron_train", "--threads", "1")
    run("bench")
    assert called == [["--only", "mlp_*,perceptron_train", "--threads", "1"], []]
