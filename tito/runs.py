"""Starts what a learner wrote, in processes of their own, with a time limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from nbformat import NotebookNode

from tito.errors import CourseError
from tito.manifest import CourseModule, framework

LIMIT = 240.0  # seconds that a lesson may take
AS_UTF8 = {"PYTHONIOENCODING": "utf-8"}  # for processes whose output is read here, whatever the terminal's is
_SHOWN = 4000  # bytes of what a process printed


@dataclass(frozen=True)
class CellResult:
    """What became of a cell; `first`: its first line; `missing`: it stopped where something is still to be written."""

    id: str
    first: str
    seconds: float
    error: str | None
    line: str | None
    missing: bool

    def __str__(self) -> str:
        return self.told(self.id)

    def told(self, name: str) -> str:
        """The error and its line, of a cell that the reader knows by this name."""
        text = f"{name}: {self.error}"
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
        passed = {cell.id for cell in self.cells} - {cell.id for cell in self.failed()}
        return {e.id: e.points if f"test_{e.id}" in passed else 0.0 for e in module.exercises}


def environment(overlay: Path | None) -> dict[str, str]:
    """That of a process of the course: the framework that is imported here, with the overlay or without any."""
    made = {key: value for key, value in os.environ.items() if key != "TT_OVERLAY"}
    made["PYTHONPATH"] = os.pathsep.join(filter(None, [str(framework()), made.get("PYTHONPATH")]))
    return made if overlay is None else {**made, "TT_OVERLAY": str(overlay)}


@dataclass(frozen=True)
class Ended:
    """Why a process ended before its time, or None, and the last of what it printed."""

    stopped: str | None
    printed: str


class _Printed(threading.Thread):
    """Reads what a process prints, however much that is, and keeps the end of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)  # a process that outlives its parent may hold the stream open
        self._stream, self._end = stream, b""
        self.start()

    def run(self) -> None:
        while part := os.read(self._stream.fileno(), 1 << 16):
            self._end = (self._end + part)[-_SHOWN:]

    def text(self) -> str:
        self.join(1.0)
        return self._end.decode("utf-8", errors="replace")


def run_python(arguments: Sequence[str], folder: Path, overlay: Path | None, limit: float) -> Ended:
    """`python arguments…` in a process of its own, which is stopped after `limit` seconds."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env={**environment(overlay), **AS_UTF8},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    printed = _Printed(process.stdout)
    try:
        status = process.wait(limit)
    except subprocess.TimeoutExpired:
        stopped = f"it ran for more than {limit:g} seconds; is there a loop or a recursion that does not end?"
    else:
        crashed = " (a recursion that does not end may do that)" if status < 0 else ""
        stopped = f"the process ended with status {status}{crashed}" if status else None
    finally:
        process.kill()  # nothing, if it has ended
        process.wait()
    return Ended(stopped, printed.text())


def run_notebook(
    notebook: NotebookNode, folder: Path, overlay: Path | None = None, limit: float = LIMIT
) -> NotebookResult:
    """Run all cells of a notebook in `folder`, on the framework with that overlay."""
    with tempfile.TemporaryDirectory() as temporary:
        path, results = Path(temporary, "lesson.ipynb"), Path(temporary, "results")
        path.write_text(json.dumps(notebook), encoding="utf-8")
        ended = run_python(["-m", "tito.cells", str(path), str(results)], folder, overlay, limit)
        lines = results.read_text(encoding="utf-8").splitlines() if results.is_file() else []
    return _result([json.loads(line) for line in lines], ended)


def _result(said: Sequence[Mapping[str, Any]], ended: Ended) -> NotebookResult:
    cells = [CellResult(**line) for line in said if not line.get("began")]
    if ended.stopped is not None and said and said[-1].get("began"):
        cells.append(CellResult(said[-1]["id"], "", 0.0, ended.stopped, None, False))
    if ended.stopped is not None and not said:
        raise CourseError(f"the notebook could not be started: {ended.stopped}\n{ended.printed}")
    return NotebookResult(tuple(cells), ended.stopped, ended.printed)


def run_module(name: str, arguments: Sequence[str], folder: Path, overlay: Path | None, limit: float) -> int:
    """`python -m name arguments…`, whose output goes where ours does; its exit status."""
    command = [sys.executable, "-m", name, *arguments]
    try:
        return subprocess.run(command, cwd=folder, env=environment(overlay), timeout=limit, check=False).returncode
    except subprocess.TimeoutExpired:
        raise CourseError(f"{name} ran for more than {limit:g} seconds and was stopped") from None
