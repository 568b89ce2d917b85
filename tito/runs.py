"""Starts what a learner wrote, in processes of their own, with a time limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from tito.errors import CourseError
from tito.manifest import CourseModule, framework

LIMIT = 240.0  # seconds that a lesson may take
_SHOWN = 4000  # characters of what a process printed


@dataclass(frozen=True)
class CellResult:
    """What became of a cell; `missing`: it stopped where something is still to be written."""

    id: str
    seconds: float
    error: str | None
    line: str | None
    missing: bool

    def __str__(self) -> str:
        text = f"{self.id}: {self.error}"
        return f"{text}\n    {self.line}" if self.line else text


@dataclass(frozen=True)
class NotebookResult:
    """The cells in order; `stopped`, why the process ended before the last one; what was printed."""

    cells: tuple[CellResult, ...]
    stopped: str | None
    printed: str

    def failed(self) -> list[CellResult]:
        return [cell for cell in self.cells if cell.error is not None]

    def points(self, module: CourseModule) -> dict[str, float]:
        """Of each exercise: all of its points, or none."""
        passed = {cell.id for cell in self.cells if cell.error is None}
        return {e.id: e.points if f"test_{e.id}" in passed else 0.0 for e in module.exercises}


def environment(overlay: Path | None) -> dict[str, str]:
    """That of a process of the course: the framework that is imported here, with the overlay or without any."""
    made = {key: value for key, value in os.environ.items() if key != "TT_OVERLAY"}
    made["PYTHONPATH"] = os.pathsep.join(filter(None, [str(framework()), made.get("PYTHONPATH")]))
    return made if overlay is None else {**made, "TT_OVERLAY": str(overlay)}


def run_notebook(
    notebook: NotebookNode | Path, folder: Path, overlay: Path | None = None, limit: float = LIMIT
) -> NotebookResult:
    """Run all cells of a notebook in `folder`, on the framework with that overlay."""
    with tempfile.TemporaryDirectory() as temporary:
        path = notebook if isinstance(notebook, Path) else Path(temporary, "lesson.ipynb")
        if not isinstance(notebook, Path):
            path.write_text(json.dumps(notebook), encoding="utf-8")
        results, printed = Path(temporary, "results"), Path(temporary, "printed")
        with printed.open("wb") as out:
            stopped = _run(
                [sys.executable, "-m", "tito.cells", str(path.resolve()), str(results)], folder, overlay, limit, out
            )
        lines = results.read_text(encoding="utf-8").splitlines() if results.is_file() else []
        text = printed.read_text(encoding="utf-8", errors="replace")
    return _result([json.loads(line) for line in lines], stopped, text)


def _run(command: Sequence[str], folder: Path, overlay: Path | None, limit: float, out: Any) -> str | None:
    """Why the process ended before its time, or None."""
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            env=environment(overlay),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it ran for more than {limit:g} seconds; is there a loop or a recursion that does not end?"
    return None if ended.returncode == 0 else f"the process ended with status {ended.returncode}"


def _result(said: Sequence[Mapping[str, Any]], stopped: str | None, printed: str) -> NotebookResult:
    cells = [CellResult(s["id"], s["seconds"], s["error"], s["line"], s["missing"]) for s in said if not s.get("began")]
    if stopped is not None and said and said[-1].get("began"):
        cells.append(CellResult(said[-1]["id"], 0.0, stopped, None, False))
    if stopped is not None and not said:
        raise CourseError(f"the notebook could not be started: {stopped}\n{printed[-_SHOWN:]}")
    return NotebookResult(tuple(cells), stopped, printed[-_SHOWN:])


def run_module(name: str, arguments: Sequence[str], folder: Path, overlay: Path | None, limit: float) -> int:
    """`python -m name arguments…`, whose output goes where ours does; its exit status."""
    command = [sys.executable, "-m", name, *arguments]
    try:
        return subprocess.run(command, cwd=folder, env=environment(overlay), timeout=limit, check=False).returncode
    except subprocess.TimeoutExpired:
        raise CourseError(f"{name} ran for more than {limit:g} seconds and was stopped") from None
