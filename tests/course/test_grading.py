"""nbgrader, driven by `tito nbgrader`: the points of a solved and of an unsolved submission, and the gate."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.course.learner import solutions, tito, with_code
from tito.errors import CourseError
from tito.grading import Grade, checked_release, grades
from tito.lesson import left_solutions, solved, stripped
from tito.manifest import manifest


def test_submissions_are_graded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = manifest().module("activations")
    monkeypatch.setenv("PATH", "")  # an environment that is not active: its programs are found all the same
    made = tito(tmp_path, "nbgrader", "generate", "02")
    assert made.status == 0, made.text
    assert "nothing was released yet" in tito(tmp_path, "nbgrader", "collect", "02").text
    released = nbformat.read(tmp_path / "release" / module.folder / f"{module.folder}.ipynb", 4)
    for student, code in (("ada", {**solutions(module), "q1": "0 times infinity"}), ("bob", {})):
        folder = tmp_path / "submitted" / student / module.folder
        folder.mkdir(parents=True)
        nbformat.write(with_code(nbformat.from_dict(released), code), folder / f"{module.folder}.ipynb")
    torn = tmp_path / "submitted" / "eve" / module.folder / f"{module.folder}.ipynb"
    torn.parent.mkdir(parents=True)
    torn.write_text("{")
    graded = tito(tmp_path, "nbgrader", "autograde", "02")
    assert graded.status == 2 and "could not be run, and have no points of this run: eve (" in graded.text
    assert grades(tmp_path) == [
        Grade("ada", module.folder, 15.0, 20.0, True),
        Grade("bob", module.folder, 0.0, 20.0, False),  # with nothing to read
        Grade("eve", module.folder, 0.0, 20.0, True),  # no notebook
    ]
    assert tito(tmp_path, "nbgrader", "report").text.count("questions to be graded by hand") == 2
    assert tito(tmp_path, "nbgrader", "feedback", "02").status == 0
    assert (tmp_path / "feedback" / "ada" / module.folder / f"{module.folder}.html").is_file()


def test_a_notebook_that_shows_a_solution_is_not_released(tmp_path: Path) -> None:
    module = manifest().module("activations")
    path = tmp_path / "release" / module.folder / f"{module.folder}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(solved(module), path)
    assert set(left_solutions(module, solved(module))) >= {e.id for e in module.exercises}
    with pytest.raises(CourseError, match="shows the solution of"):
        checked_release(module, tmp_path)
    one = with_code(stripped(module), {"relu": solutions(module)["relu"].replace("### BEGIN SOLUTION", "")})
    assert left_solutions(module, one) == ["relu"]


def test_commands_of_teachers_in_the_wrong_folder(tmp_path: Path) -> None:
    assert "is no folder of a teacher" in tito(tmp_path, "nbgrader", "collect", "02").text
    assert "nobody has submitted 02_activations" in tito(tmp_path, "nbgrader", "autograde", "02").text
    assert "has no gradebook yet" in tito(tmp_path, "nbgrader", "report").text
    assert "generate 02` makes it" in tito(tmp_path, "nbgrader", "release", "02").text
