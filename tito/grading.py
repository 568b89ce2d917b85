"""Drives nbgrader in a teacher's folder: assignments from the lessons, their release, grades and feedback.

The folder is one of nbgrader's: `source/`, `release/`, `submitted/STUDENT/`, `autograded/STUDENT/`,
`feedback/STUDENT/`, `exchange/` and `gradebook.db`, with an assignment for each module, named as the lesson.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat

from tito.errors import CourseError
from tito.lesson import left_solutions, solved
from tito.manifest import CourseModule
from tito.runs import AS_UTF8, environment

COURSE = "tinytorch"
_CELL_SECONDS = 300
_CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "{course}"
c.Exchange.root = "exchange"
c.ExecutePreprocessor.timeout = {seconds}
c.ClearSolutions.enforce_metadata = True
"""


@dataclass(frozen=True)
class Grade:
    """Of a student's assignment, in points; `needs_grading`: answers are still to be read."""

    student: str
    assignment: str
    score: float
    most: float
    needs_grading: bool


def set_up(folder: Path) -> None:
    """Make a folder for nbgrader, if it is none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nbgrader_config.py"
    if not config.exists():
        config.write_text(_CONFIG.format(course=COURSE, seconds=_CELL_SECONDS), encoding="utf-8")
    (folder / "exchange").mkdir(exist_ok=True)


def generate(module: CourseModule, folder: Path) -> Path:
    """Write the assignment with its solutions to `source/` and without them to `release/`; the released notebook."""
    set_up(folder)
    source = folder / "source" / module.folder / f"{module.folder}.ipynb"
    source.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(solved(module), source)
    _nbgrader(folder, "generate_assignment", module.folder, "--create", "--force")
    return checked_release(module, folder)


def checked_release(module: CourseModule, folder: Path) -> Path:
    """The notebook in `release/`; CourseError if it shows a solution."""
    path = folder / "release" / module.folder / f"{module.folder}.ipynb"
    if not path.is_file():
        raise CourseError(f"{path} is not there; `tito nbgrader generate {module.number:02}` makes it")
    shown = left_solutions(module, nbformat.read(path, as_version=4))
    if shown:
        raise CourseError(f"{path} shows the solution of {', '.join(shown)}: it is not released")
    return path


def release(module: CourseModule, folder: Path) -> None:
    """Put the assignment into the exchange, from which students fetch it."""
    checked_release(module, folder)
    _nbgrader(folder, "release_assignment", module.folder, "--force")


def collect(module: CourseModule, folder: Path) -> int:
    """Take what students have submitted out of the exchange; how many submissions of the module are there then."""
    _require_teachers(folder)
    if not (folder / "exchange" / COURSE / "inbound").is_dir():
        raise CourseError(f"nothing was released yet; `tito nbgrader release {module.number:02}` does that")
    _nbgrader(folder, "collect", module.folder, "--update")
    return len(list(folder.glob(f"submitted/*/{module.folder}")))


def autograde(module: CourseModule, folder: Path) -> list[str]:
    """Run all submissions of an assignment, and put their points into the gradebook; the students whose submission
    could not be run: it is no notebook, or it ended the process that ran it."""
    submitted = sorted(folder.glob(f"submitted/*/{module.folder}/{module.folder}.ipynb"))
    if not submitted:
        raise CourseError(f"nobody has submitted {module.folder}: {folder}/submitted/STUDENT/{module.folder}/ is empty")
    failed = _failure(folder, "autograde", module.folder, "--create", "--force")
    students = [path.parent.parent.name for path in submitted]
    graded = [s for s in students if Path(folder, "autograded", s, module.folder, f"{module.folder}.ipynb").is_file()]
    if failed and (not graded or len(graded) == len(students)):
        raise CourseError(failed)
    return [student for student in students if student not in graded]


def feedback(module: CourseModule, folder: Path) -> None:
    """Write a page for each student: the notebook, with points and comments."""
    _nbgrader(folder, "generate_feedback", module.folder, "--force")


def grades(folder: Path) -> list[Grade]:
    """All of the gradebook."""
    from nbgrader.api import Gradebook

    database = folder / "gradebook.db"
    if not database.is_file():
        raise CourseError(f"{folder} has no gradebook yet; `tito nbgrader autograde NN` makes it")
    with Gradebook(f"sqlite:///{database}", course_id=COURSE) as book:
        return [
            Grade(str(s.student.id), str(a.name), s.score, s.max_score, s.needs_manual_grade)
            for a in book.assignments
            for s in a.submissions
        ]


def _require_teachers(folder: Path) -> None:
    if not (folder / "nbgrader_config.py").is_file():
        raise CourseError(f"{folder} is no folder of a teacher; `tito nbgrader generate NN` makes it one")


def _nbgrader(folder: Path, command: str, *arguments: str) -> None:
    if failed := _failure(folder, command, *arguments):
        raise CourseError(failed)


def _failure(folder: Path, command: str, *arguments: str) -> str:
    """Run a command of nbgrader; what it said, if it failed."""
    _require_teachers(folder)
    asked: Sequence[str] = [sys.executable, "-m", "nbgrader", command, *arguments]
    made = {**environment(None), **AS_UTF8}
    programs = str(Path(sys.executable).parent)  # nbgrader starts `alembic` by its name, also where no venv is active
    made["PATH"] = os.pathsep.join(filter(None, [programs, made.get("PATH")]))
    ended = subprocess.run(
        asked, cwd=folder, env=made, capture_output=True, encoding="utf-8", errors="replace", stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    said = "\n".join((ended.stdout + ended.stderr).strip().splitlines()[-15:])
    return f"nbgrader {command} ended with status {ended.returncode}:\n{said}" if ended.returncode else ""
