"""What a learner does: paste solutions into notebooks, and type commands."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from nbformat import NotebookNode
from typer.testing import CliRunner

from tito.cli import app
from tito.lesson import solved, stripped
from tito.manifest import CourseModule, manifest
from tito.workspace import Workspace

MODULES = [pytest.param(m, id=m.folder) for m in manifest().modules]


class Said(NamedTuple):
    status: int
    text: str


def tito(folder: Path, *arguments: str) -> Said:
    """A command, typed in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return Said(result.exit_code, result.output)


def solutions(module: CourseModule) -> dict[str, str]:
    """The code of its exercises, by their ids."""
    marks = ((c.metadata.nbgrader, c) for c in solved(module).cells if c.cell_type == "code")
    return {mark["grade_id"]: cell.source for mark, cell in marks if mark["solution"]}


def with_code(notebook: NotebookNode, code: dict[str, str]) -> NotebookNode:
    """The notebook with this code in the cells of exercises."""
    for cell in notebook.cells:
        cell.source = code.get(cell.metadata.nbgrader["grade_id"], cell.source)
    return notebook


def write(work: Workspace, module: CourseModule, code: dict[str, str]) -> None:
    """What the learner hands in."""
    nbformat.write(with_code(stripped(module), code), work.notebook(module))
