"""What of a learner's notebook counts, and what becomes part of the framework."""

from __future__ import annotations

import ast
import time
from pathlib import Path

import nbformat
import pytest

from tests.course.learner import solutions, tito, with_code, write
from tito.checks import later_modules
from tito.exporting import export, prepare
from tito.lesson import restore, stripped
from tito.manifest import manifest
from tito.pieces import alone, needed, together
from tito.runs import run_notebook, run_python
from tito.workspace import Workspace

ACTIVATIONS = manifest().module("activations")
RELU = solutions(ACTIVATIONS)["relu"]


def with_relu(work: Workspace, code: str) -> None:
    write(work, ACTIVATIONS, {**solutions(ACTIVATIONS), "relu": code})


def test_tests_that_were_changed_or_taken_out_earn_nothing(tmp_path: Path) -> None:
    """The lesson's own run; what the learner wrote, and cells of theirs, stay."""
    notebook = stripped(ACTIVATIONS)
    by_id = {c.metadata.nbgrader["grade_id"]: c for c in notebook.cells}
    by_id["test_slope"].source = "pass"
    by_id["slope"].source = "def slope(function, at, h=1e-5):\n    return at"
    notebook.cells.remove(by_id["test_relu"])
    notebook.cells.append(nbformat.v4.new_code_cell("1 + 1"))
    by_id["cell_1"].source = "import numpy"
    changed = [c.metadata.nbgrader["grade_id"] for c in restore(ACTIVATIONS, notebook, hidden=False)]
    assert changed == ["cell_1", "test_slope", "test_relu"]
    wanted = {"cell_1", "slope", "test_slope", "relu", "test_relu"}
    assert by_id["slope"].source.endswith("return at") and notebook.cells[-2].source == "1 + 1"
    notebook.cells = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") in wanted]
    result = run_notebook(notebook, tmp_path)
    assert {cell.id for cell in result.failed()} == {"test_slope", "test_relu"}
    assert sum(result.points(ACTIVATIONS).values()) == 0


def test_hidden_tests_come_back_where_a_module_is_completed() -> None:
    module = manifest().module("quantization")
    notebook = stripped(module)
    assert not any("HIDDEN TESTS" in cell.source for cell in notebook.cells)
    assert restore(module, notebook, hidden=True) == []
    assert any("BEGIN HIDDEN TESTS" in cell.source for cell in notebook.cells)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import tinytorch as t\nt.GPT", "tinytorch.GPT"),
        ("import tinytorch.nn as n\ndef f():\n    return n.MultiheadAttention", "tinytorch.nn.MultiheadAttention"),
        ("from tinytorch import nn as n\nn.MultiheadAttention()", "tinytorch.nn.MultiheadAttention"),
        ("from tinytorch.nn import MultiheadAttention as M", "tinytorch.nn.MultiheadAttention"),
        ("import tinytorch.frontend.transformers", "tinytorch.frontend.transformers"),
        ("tt.nn.functional.cross_entropy", "tinytorch.nn.functional.cross_entropy"),
    ],
)
def test_later_modules_are_found_under_any_name(code: str, name: str) -> None:
    found = list(later_modules(ast.parse(code), ACTIVATIONS))
    assert [(line, taken) for line, taken, _ in found][-1] == (len(code.splitlines()), name)
    assert not list(later_modules(ast.parse("import tinytorch as tt\ntt.Tensor, tt.nn, tt.compile"), ACTIVATIONS))


def test_what_was_tried_out_beside_a_definition_stays_in_the_notebook() -> None:
    cell = (
        'import math\nTWO = 2\n# doubles\ndef helper(x):\n    """Of\n\n    x."""\n    return TWO * x\n    # so\n'
        "y = helper(1)\nprint(y)\n\ndef relu(x):\n    return helper(x)\n"
    )
    parts = needed(cell, "relu")
    assert together(cell, parts) == (
        'TWO = 2\n\n# doubles\ndef helper(x):\n    """Of\n\n    x."""\n    return TWO * x\n    # so\n\n'
        "def relu(x):\n    return helper(x)"
    )
    kept = alone(cell, parts).splitlines()
    assert kept[12] == "def relu(x):" and kept[9:12] == ["", "", ""]


def test_code_that_stops_the_framework_from_loading_is_not_exported(work: Workspace) -> None:
    with_relu(work, "LIMIT = 1 / 0\n" + RELU.replace("x.relu()", "x.relu() + LIMIT"))
    said = tito(work.folder, "export", "02")
    assert said.status == 2 and "cannot be loaded with your code: 02_activations.py, line " in said.text
    assert "LIMIT = 1 / 0: ZeroDivisionError: division by zero" in said.text
    assert not list(work.overlay.iterdir())


def test_what_was_exported_of_a_module_does_not_stop_its_notebook(work: Workspace) -> None:
    with_relu(work, "LIMIT = 1 / 0\n" + RELU.replace("x.relu()", "x.relu() + LIMIT"))
    export(ACTIVATIONS, work.notebook(ACTIVATIONS), work.overlay)
    ended = run_python(["-c", "import tinytorch"], work.folder, work.overlay, 60)
    assert ended.stopped and "ZeroDivisionError" in ended.printed
    assert run_python(["-c", "import tinytorch"], work.folder, prepare(ACTIVATIONS, work), 60).stopped is None


def test_output_without_end_is_cut_and_stopped(tmp_path: Path) -> None:
    start = time.monotonic()
    ended = run_python(["-c", "while True: print('junk' * 1000)"], tmp_path, None, 1.0)
    assert "ran for more than 1 seconds" in str(ended.stopped) and len(ended.printed) <= 4000
    leaves_a_child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(9)'])"
    assert run_python(["-c", leaves_a_child], tmp_path, None, 8.0).stopped is None
    assert time.monotonic() - start < 8


def test_a_solution_pasted_twice_counts_once_and_the_last_one_is_exported(work: Workspace, tmp_path: Path) -> None:
    notebook = with_code(stripped(ACTIVATIONS), solutions(ACTIVATIONS))
    place = next(i for i, c in enumerate(notebook.cells) if c.metadata.nbgrader["grade_id"] == "relu")
    again = nbformat.from_dict({**notebook.cells[place], "id": "again"})
    again.source = RELU.replace("x.relu()", "x.maximum(0)")
    notebook.cells.insert(place + 1, again)
    nbformat.write(notebook, work.notebook(ACTIVATIONS))
    export(ACTIVATIONS, work.notebook(ACTIVATIONS), work.overlay)
    text = (work.overlay / "02_activations.py").read_text(encoding="utf-8")
    assert "x.maximum(0)" in text and text.count("class ReLU") == 1
