"""What the pages for users and newcomers name exists, and `./check` runs what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ROOMS = (
    "",
    "tinytorch",
    "tinytorch/frontend",
    "tinytorch/runtime",
    "tinytorch/runtime/llvm",
)  # paths may begin in any of these
WRITTEN = {"graph.ir", "reproduce.py", "tt-nans/reproduce.py", "exported/"}  # by what runs
STEPS = ["ruff check .", "ruff format --check .", "pyright", "pytest", "pytest"]


def paths_in(text: str) -> set[str]:
    """The spans of code that are files or folders of the project, without what stands for any name (<op>, *, {a})."""
    spans = re.findall(r"`([\w./-]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    files = (".py", ".md", ".toml", ".ir", "/")
    found = {span for span in spans if span.endswith(files) or re.fullmatch(r"(tinytorch|tests|docs)/[\w/]+", span)}
    return found - WRITTEN


def is_there(span: str) -> bool:
    """Whether it is a path from the root or a room; a file without a folder may lie anywhere in the project."""
    if any((ROOT / room / span).exists() for room in ROOMS):
        return True
    return "/" not in span and any(ROOT.glob(f"t*/**/{span}"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_in_pages_exist(page: Path) -> None:
    assert not sorted(span for span in paths_in(page.read_text(encoding="utf-8")) if not is_there(span))


def test_paths_are_seen() -> None:
    assert paths_in("`a.py` `b/c.md` `tests/x` `x / y` `<op>.py` `np.where` `d/`") == {
        "a.py",
        "b/c.md",
        "tests/x",
        "d/",
    }
    assert is_there("pipeline.py") and is_there("ir/op.py") and is_there("tests/passes/")
    assert not is_there("no_such.py") and not is_there("ir/pipeline.py")


def run_check(folder: Path, *arguments: str, failing: str = "") -> tuple[int, list[str]]:
    """What ./check exits with and runs, where commands only write down how they were called."""
    calls = folder / "calls"
    calls.write_text("")
    for name in ("ruff", "pyright", "pytest"):
        stub = folder / name
        stub.write_text(f'#!/bin/sh\necho "{name} $*" >> "{calls}"\n[ "{name} $1" != "{failing}" ]\n')
        stub.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", ROOT / "check", *arguments], env=environment, capture_output=True, check=False)
    return done.returncode, [line.strip() for line in calls.read_text().splitlines()]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_check_runs_all_steps_and_stops_at_the_first_that_fails(tmp_path: Path) -> None:
    code, calls = run_check(tmp_path)
    assert code == 0 and len(calls) == len(STEPS)
    assert all(call.startswith(step) for call, step in zip(calls, STEPS, strict=True))
    quick, rest = ([word for word in call.split() if "tests" in word] for call in calls[-2:])
    assert quick and rest == [f"--ignore={path}" for path in quick]
    assert run_check(tmp_path, "fast") == (0, calls[:-1])
    assert run_check(tmp_path, failing="ruff format") == (1, calls[:2])
    assert run_check(tmp_path, "slow") == (2, [])
    assert all((ROOT / path).exists() for path in quick)


def test_ci_runs_check_where_the_readme_installs() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    install = "-e '.[test]'"
    assert f"{install} && ./check\n" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"{re.escape(install)}\n(.*\n)*\./check\n", ci)


def test_the_program_of_the_page_for_newcomers_shows_llvm_and_assembly(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TT_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert "define " in done.stdout and "vfmadd" in done.stdout and "%ymm" in done.stdout


def test_the_page_for_newcomers_is_one_page() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) <= 120
