"""The README shows programs and output that are real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
OUTPUTS = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
SWITCHES = {"TT_LOGS", "TT_DUMP", "TT_VERIFY", "TT_BACKEND", "TT_NANS", "TT_CACHE_DIR", "TT_NUM_THREADS", "TT_OVERLAY"}


def output_of(example: str, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TT_")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    program = [sys.executable, ROOT / "examples" / example]
    done = subprocess.run(program, capture_output=True, text=True, cwd=folder, check=True, env=environment)
    return done.stdout


def test_the_example_is_the_program_and_prints_what_is_shown(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    program = (ROOT / "examples" / "circle.py").read_text(encoding="utf-8")
    assert program.endswith(shown)
    assert output_of("circle.py", tmp_path) == OUTPUTS[0]


def test_the_graphs_are_those_of_the_example(tmp_path: Path) -> None:
    assert output_of("graph.py", tmp_path) == OUTPUTS[1] + OUTPUTS[2]


def test_the_commands_exist() -> None:
    from tinytorch.cli import app

    names = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert {line.split()[1] for line in OUTPUTS[3].splitlines()} == names


@pytest.mark.parametrize("switch", sorted(SWITCHES))
def test_switches_are_documented_and_read(switch: str) -> None:
    assert f"`{switch}=" in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert any(switch in path.read_text(encoding="utf-8") for path in (ROOT / "tinytorch").rglob("*.py"))


def test_there_are_no_other_switches() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tinytorch").rglob("*.py"))
    assert set(re.findall(r"\bTT_[A-Z_]+\b", sources)) == SWITCHES


PROGRAMS = {  # page: what its programs are about
    "docs/architecture.md": "model = tt.Sequential(tt.Linear(4, 3), tt.ReLU())\nloader = [tt.randn(2, 4)]",
    "docs/artifacts.md": "model = tt.Sequential(tt.Flatten(), tt.Linear(784, 10))",
    "docs/from-pytorch.md": "",
}


@pytest.mark.parametrize("page", PROGRAMS)
def test_the_programs_of_other_pages_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert programs
    monkeypatch.chdir(tmp_path)
    for program in programs:
        exec(compile(f"import tinytorch as tt\n{PROGRAMS[page]}\n{program}", page, "exec"), {})


def test_all_pages_with_programs_are_run() -> None:
    pages = (ROOT / "docs").glob("*.md")
    assert {f"docs/{page.name}" for page in pages if "```python" in page.read_text(encoding="utf-8")} == PROGRAMS.keys()
