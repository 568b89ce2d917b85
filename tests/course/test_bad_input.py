"""What learners write that goes wrong: a message with the line, and a framework that is never broken by it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from tests.course.learner import solutions, stripped, tito, with_code, write
from tinytorch.overlay import read
from tito.checks import check, open_notebook, read_notebook
from tito.errors import CourseError
from tito.exporting import export
from tito.lesson import restore
from tito.manifest import manifest, parse
from tito.pieces import needed, together
from tito.runs import run_notebook, run_python
from tito.workspace import Workspace

ACTIVATIONS = manifest().module("activations")
RELU = solutions(ACTIVATIONS)["relu"]


def with_relu(work: Workspace, code: str) -> None:
    write(work, ACTIVATIONS, {**solutions(ACTIVATIONS), "relu": code})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("class ReLU(InPlaceActivation:\n    pass", "line 1: invalid syntax"),
        ("x = 1", "its cell must define ReLU"),
        ("def ReLU(x):\n    return x", "ReLU must be a class"),
        (RELU.replace("x: Tensor, grad: Tensor", "x: Tensor"), "must stay ReLU.gradient(self, x, grad)"),
        (RELU.replace("InPlaceActivation", "Activation"), "must have the bases (InPlaceActivation)"),
        (RELU.replace("def gradient", "def slope"), "ReLU has no gradient any more"),
        (RELU + "\nfrom tinytorch.frontend.optimizers import SGD", "later than 02_activations"),
        (RELU + "\nimport tinytorch as tt\ntt.Linear", "comes with module 03_layers"),
        (RELU.replace("x.relu()", "my_relu(x)"), "my_relu is not known in tinytorch/frontend/activations"),
    ],
)
def test_what_cannot_become_part_of_the_framework_is_refused(work: Workspace, code: str, message: str) -> None:
    with_relu(work, code)
    with pytest.raises(CourseError) as raised:
        export(ACTIVATIONS, work.notebook(ACTIVATIONS), work.overlay)
    assert message in str(raised.value)
    assert not list(work.overlay.iterdir())


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def slope(function, at, h=1e-5):\n    return slope(function, at, h)", "RecursionError"),
        ("def slope(function, at, h=1e-5):\n    raise SystemExit(3)", "SystemExit: 3"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("def slope(:", "SyntaxError"),
        ("def slope(function, at, h=1e-5):\n    import os; os._exit(7)", "ended with status 7"),
        ("import time\ndef slope(function, at, h=1e-5):\n    while True: time.sleep(1)", "ran for more than"),
    ],
)
def test_code_that_does_not_run_costs_its_points_and_says_the_line(tmp_path: Path, code: str, message: str) -> None:
    notebook = with_code(stripped(ACTIVATIONS), {**solutions(ACTIVATIONS), "slope": code})
    notebook.cells = [c for c in notebook.cells if c.metadata.nbgrader["grade_id"] in ("slope", "test_slope", "cell_1")]
    result = run_notebook(notebook, tmp_path, limit=5 if "while" in code else 60)
    assert result.points(ACTIVATIONS)["slope"] == 0
    told = "\n".join(map(str, result.failed()))
    assert message in told and ("line" in told or result.stopped)


def test_what_cells_print_is_no_result(work: Workspace) -> None:
    junk = '\nprint("\\x1b[2J" + "{\\"id\\": \\"test_relu\\"}" * 1000)'
    with_relu(work, RELU.replace("x.relu()", "x * 2") + junk)
    said = tito(work.folder, "module", "test", "02")
    assert said.status == 1 and "0 of 3  relu" in said.text and "ReLU keeps what is above 0" in said.text


@pytest.mark.parametrize(
    ("module", "name", "line"),
    [("tokenization", "CharTokenizer", "@classmethod"), ("training", "CosineSchedule", "@dataclass(frozen=True)")],
)
def test_decorators_stay(module: str, name: str, line: str) -> None:
    found = manifest().module(module)
    (exercise,) = (each for each in found.exported if each.name == name)
    code = solutions(found)[exercise.id]
    check(exercise, code)
    with pytest.raises(CourseError, match=f"{name}.* must keep its line {re.escape(line)}"):
        check(exercise, re.sub(rf"^ *{re.escape(line)}\n", "", code, flags=re.MULTILINE))


def test_work_is_never_overwritten(work: Workspace) -> None:
    tito(work.folder, "module", "start", "02")
    path = work.notebook(ACTIVATIONS)
    path.write_text("mine")
    assert "left as it is" in tito(work.folder, "module", "start", "02").text
    assert path.read_text() == "mine"
    assert "is no notebook that can be read" in tito(work.folder, "export", "02").text
    tito(work.folder, "module", "reset", "02")
    kept = [p for p in path.parent.iterdir() if p != path]
    assert [p.read_text() for p in kept] == ["mine"] and "nbformat" in path.read_text()


@pytest.mark.parametrize(
    "text",
    ["[]", "null", "{}", '{"nbformat": 4, "nbformat_minor": 5, "cells": [3], "metadata": {}}',
     '{"nbformat": 4, "nbformat_minor": 5, "cells": [{"cell_type": "code", "metadata": {}}], "metadata": {}}',
     '{"nbformat": 99, "nbformat_minor": 0, "cells": [], "metadata": {}}'],
)  # fmt: skip
def test_other_files_are_no_notebooks(work: Workspace, text: str) -> None:
    work.notebook(ACTIVATIONS).write_text(text)
    with pytest.raises(CourseError, match="is no notebook that can be read"):
        open_notebook(work.notebook(ACTIVATIONS))


def test_cells_of_the_learners_own_have_no_exercise(work: Workspace) -> None:
    write(work, ACTIVATIONS, solutions(ACTIVATIONS))
    path = work.notebook(ACTIVATIONS)
    notebook = open_notebook(path)
    for mark in ({}, {"nbgrader": {}}, {"nbgrader": None}):
        notebook.cells.append(nbformat.v4.new_code_cell("x = 1", metadata=mark))
    nbformat.write(notebook, path)
    assert read_notebook(path)["relu"] == RELU
    restore(ACTIVATIONS, open_notebook(path), hidden=False)


def test_a_lesson_that_cannot_be_made_leaves_no_empty_notebook(work: Workspace) -> None:
    lost = replace(ACTIVATIONS, name="lost")  # there is no such folder
    with pytest.raises(CourseError, match="is not there"):
        work.start(lost)
    assert not work.notebook(lost).exists()
    work.notebook(lost).write_text("mine")
    with pytest.raises(CourseError, match="is not there"):
        work.reset(lost)
    assert work.notebook(lost).read_text() == "mine"


@pytest.mark.parametrize(
    "text", ["[]", "{", "3", '{"02": {}}', '{"x": {"points": 1, "of": 1, "tests": 1, "date": ""}}']
)
def test_progress_that_was_written_by_hand_is_refused(work: Workspace, text: str) -> None:
    Path(work.folder, "progress.json").write_text(text)
    assert "remove it and complete the modules again" in tito(work.folder, "module", "status").text


def test_lines_are_counted_as_python_counts_them() -> None:
    source = '"""A\x0cB\u2028C."""\r\nx = 1\n\ndef f():\n    return x\n'
    assert together(source, needed(source, "f")) == "x = 1\n\ndef f():\n    return x"


def test_classes_of_cells_can_be_pickled(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell("class Sample:\n    pass\nimport pickle\npickle.loads(pickle.dumps(Sample()))")]
    result = run_notebook(nbformat.v4.new_notebook(cells=cells), tmp_path, limit=60)
    assert not result.failed()


def test_commands_at_the_wrong_place_or_for_nothing(tmp_path: Path) -> None:
    assert "is no workspace of the course; `tito setup`" in tito(tmp_path, "module", "start", "1").text
    tito(tmp_path, "setup")
    assert "there is no module '99'" in tito(tmp_path, "module", "start", "99").text
    assert "has not been started" in tito(tmp_path, "module", "test", "1").text
    assert "nothing of it was exported" in tito(tmp_path, "checkpoint", "run", "1").text
    assert "there is no milestone 9" in tito(tmp_path, "milestone", "run", "9").text
    assert tito(tmp_path, "module", "list", "--checklist").status == 0


def test_an_overlay_shows_in_tracebacks_and_in_doctor_and_is_off_unless_asked_for(everything: Workspace) -> None:
    program = "import tinytorch as tt; print(tt.ReLU.function.__code__.co_filename); tt.GELU().function('x')"

    def run(**more: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "TT_OVERLAY"} | more
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        return done.stdout + done.stderr

    mine = str(everything.overlay / "02_activations.py")
    learned = run(TT_OVERLAY=str(everything.overlay / ".." / everything.overlay.name))
    line = next(i for i, text in enumerate(Path(mine).read_text().splitlines(), 1) if "x.gelu(" in text)
    assert learned.startswith(mine) and f'"{mine}", line {line}, in function' in learned
    assert mine not in run() and "activations.py" in run()
    assert "there is no folder" in run(TT_OVERLAY=str(everything.overlay / "none"))
    assert run(TT_OVERLAY="") == run()
    assert "02_activations: Sigmoid, ReLU, GELU" in tito(everything.folder, "doctor").text


def test_a_file_of_an_overlay_may_hold_no_definition(tmp_path: Path) -> None:
    Path(tmp_path, "a.py").write_text("x = 1\n")
    Path(tmp_path, "b.py").write_text("y = 2\n# definition: some/file.py:f\ndef f(): pass\n")
    (piece,) = read(tmp_path)
    assert (piece.target, piece.path, piece.line) == ("some/file.py", "f", 3)


def test_a_wrong_definition_fails_the_checkpoint(work: Workspace) -> None:
    with_relu(work, RELU.replace("x.relu()", "x.relu() * 2"))
    export(ACTIVATIONS, work.notebook(ACTIVATIONS), work.overlay)
    said = tito(work.folder, "checkpoint", "run", "02")
    assert said.status == 1 and "1 failed" in said.text and "relu" in said.text


def test_the_manifest_adds_up() -> None:
    entry = {
        "number": 1, "name": "a", "title": "A", "needs": [], "minutes": 60,
        "points": {"implementation": 15, "systems": 5}, "tests": [], "exercise": [{"id": "x", "points": 14}],
    }  # fmt: skip
    with pytest.raises(CourseError, match="have 14 points, not 15"):
        parse({"module": [entry]})
    entry["exercise"] = [{"id": "x", "points": 15}]
    with pytest.raises(CourseError, match="needs module 2, which comes later"):
        parse({"module": [{**entry, "needs": [2]}]})


def test_folders_that_cannot_be_made_are_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = tito(tmp_path, "setup", "file/work")
    assert said.status == 2 and "tito: " in said.text and str(tmp_path / "file") in said.text


def test_a_jupyter_that_does_not_start_is_no_success(work: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    write(work, ACTIVATIONS, {})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(subprocess, "run", lambda command, check: subprocess.CompletedProcess(command, 3))
    said = tito(work.folder, "module", "view", "02")
    assert said.status == 2 and "Jupyter ended with status 3" in said.text


def test_what_learners_print_is_read_whatever_the_terminal_can_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    ended = run_python(["-c", "print('π ≈ 3')"], tmp_path, None, 60.0)
    assert ended.stopped is None and ended.printed == "π ≈ 3\n"
