"""A lesson as a notebook: `lessons/NN_name/lesson.py`, in jupytext's percent format, is its source.

Cells are told apart by what stands behind `# %%`:

    # %% [markdown]                          prose
    # %%                                     code that runs as it stands
    # %% exercise="relu"                     an exercise: the line `#| solution` becomes the framework's definition,
                                             or the cell has its own marks BEGIN and END SOLUTION
    # %% test="relu"                         the tests of an exercise, for its points
    # %% test="relu" hidden=true             further ones, which learners do not see
    # %% [markdown] question="q1" points=2   a question, graded by a teacher
"""

from __future__ import annotations

import functools
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from tito.definitions import BEGIN, END, exercise_text
from tito.errors import CourseError
from tito.manifest import CourseModule, Exercise

_DIRECTIVE = "#| solution"
_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
# Marked in comments, which are not shown: of a cell without marks nbgrader takes out the question, too.
_ANSWER = f"<!-- {BEGIN} -->\n*Your answer:*\n<!-- {END} -->"


def solved(module: CourseModule) -> NotebookNode:
    """The lesson with its solutions, marked for nbgrader."""
    if not module.lesson.is_file():
        raise CourseError(f"the lesson of module {module.folder} is not there: {module.lesson}")
    source = jupytext.read(module.lesson)
    notebook = nbformat.v4.new_notebook()
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook.cells.append(_cell("code", "default_exp", f"#| default_exp {module.name}", locked=True))
    for number, cell in enumerate(source.cells):
        built = _built(module, cell, number)
        if cell.metadata.get("hidden"):
            _hide(notebook, cell)
        else:
            notebook.cells.append(built)
    _check(module, notebook)
    return notebook


def _built(module: CourseModule, cell: NotebookNode, number: int) -> NotebookNode:
    kinds: dict[str, Any] = cell.metadata
    if "exercise" in kinds:
        exercise = module.exercise(kinds["exercise"])
        return _cell("code", exercise.id, _exercise_source(module, exercise, cell.source), solution=True)
    if "test" in kinds:
        exercise = module.exercise(kinds["test"])
        return _cell("code", f"test_{exercise.id}", cell.source, locked=True, points=exercise.points)
    if "question" in kinds:
        source = f"{cell.source}\n\n{_ANSWER}"
        return _cell("markdown", kinds["question"], source, solution=True, points=float(kinds["points"]))
    return _cell(cell.cell_type, f"cell_{number}", cell.source, locked=True)


def _exercise_source(module: CourseModule, exercise: Exercise, source: str) -> str:
    if exercise.definition is None:
        if BEGIN not in source or END not in source:
            raise CourseError(f"{module.lesson}: exercise {exercise.id!r} has neither a definition nor a solution")
        return source
    if source.splitlines().count(_DIRECTIVE) != 1:
        raise CourseError(f"{module.lesson}: exercise {exercise.id!r} needs one line {_DIRECTIVE!r}")
    return f"#| export\n{source}".replace(_DIRECTIVE, exercise_text(exercise))


def _hide(notebook: NotebookNode, cell: NotebookNode) -> None:
    """Put hidden tests behind the visible ones, with the points of which they come."""
    id = f"test_{cell.metadata['test']}"
    seen = next((c for c in notebook.cells if c.metadata.nbgrader["grade_id"] == id), None)
    if seen is None:
        raise CourseError(f"hidden tests of {cell.metadata['test']!r} stand before the visible ones")
    lines = [line for line in cell.source.splitlines() if line not in _HIDDEN]
    seen.source += "\n" + "\n".join((_HIDDEN[0], *lines, _HIDDEN[1]))


def _cell(
    kind: str, id: str, source: str, *, solution: bool = False, locked: bool = False, points: float | None = None
) -> NotebookNode:
    made = nbformat.v4.new_code_cell(source) if kind == "code" else nbformat.v4.new_markdown_cell(source)
    made.id = id.replace("_", "-")
    made.metadata["nbgrader"] = {
        "grade": points is not None,
        "grade_id": id,
        "locked": locked,
        "schema_version": 3,
        "solution": solution,
        "task": False,
        **({} if points is None else {"points": points}),
    }
    return made


def _check(module: CourseModule, notebook: NotebookNode) -> None:
    """Each exercise stands once and has its tests behind it; the questions have the points of the systems analysis."""
    ids = [cell.metadata.nbgrader["grade_id"] for cell in notebook.cells]
    for exercise in module.exercises:
        for id in (exercise.id, f"test_{exercise.id}"):
            if ids.count(id) != 1:
                raise CourseError(f"{module.lesson}: {ids.count(id)} cells are {id!r}, where there is to be one")
        if ids.index(exercise.id) > ids.index(f"test_{exercise.id}"):
            raise CourseError(f"{module.lesson}: the tests of {exercise.id!r} stand in front of it")
    marks = [cell.metadata.nbgrader for cell in notebook.cells if cell.cell_type == "markdown"]
    asked = sum(mark["points"] for mark in marks if mark["grade"])
    if asked != module.systems:
        raise CourseError(f"{module.lesson}: the questions have {asked:g} points, not {module.systems:g}")


@functools.cache
def _cleaners() -> tuple[Any, ...]:
    from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

    return ClearSolutions(), ClearHiddenTests()


def stripped(module: CourseModule) -> NotebookNode:
    """The lesson as a learner gets it, without solutions and hidden tests, which nbgrader takes out."""
    notebook = solved(module)
    for cleaner in _cleaners():
        notebook, _ = cleaner.preprocess(notebook, {})
    return notebook


def restore(module: CourseModule, notebook: NotebookNode, *, hidden: bool) -> list[NotebookNode]:
    """Put the lesson's text back into the locked cells of a learner's notebook, as nbgrader does when it grades, and
    tests that were taken out behind all else. With `hidden`, the hidden tests are among them. The cells with code
    that are not as the learner got them."""
    given, run = ({cell_id(c): c for c in lesson.cells} for lesson in _both(module, hidden))
    changed: list[NotebookNode] = []
    found: set[str | None] = set()
    for cell in notebook.cells:
        found.add(id := cell_id(cell))
        if id in run and run[id].metadata.nbgrader["locked"]:
            changed += [run[id]] if run[id].cell_type == "code" and cell.source != given[id].source else []
            cell.cell_type, cell.source = run[id].cell_type, run[id].source
    lost = [cell for id, cell in run.items() if _is_test(cell) and id not in found]
    notebook.cells += lost
    return changed + lost


def _both(module: CourseModule, hidden: bool) -> tuple[NotebookNode, NotebookNode]:
    given = stripped(module)
    return given, solved(module) if hidden else given


def _is_test(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and cell.metadata.nbgrader["grade"]


def left_solutions(module: CourseModule, notebook: NotebookNode) -> list[str]:
    """The ids of exercises of which the notebook shows a solution, by its marks or by its lines."""
    stubs = {c.metadata.nbgrader["grade_id"]: c.source for c in stripped(module).cells}
    found: list[str] = []
    for cell in solved(module).cells:
        mark = cell.metadata.nbgrader
        other = next((c for c in notebook.cells if cell_id(c) == mark["grade_id"]), None)
        if cell.cell_type != "code" or not mark["solution"] or other is None:
            continue
        stub = set(map(str.strip, stubs[mark["grade_id"]].splitlines()))
        lines = {line.strip() for line in cell.source.splitlines()} - stub - {BEGIN, END, ""}
        shown = lines & set(map(str.strip, other.source.splitlines()))
        if BEGIN in other.source or any(not line.startswith("#") for line in shown):
            found.append(mark["grade_id"])
    hidden = [cell_id(c) for c in notebook.cells if _HIDDEN[0] in c.source]
    return found + [id for id in hidden if id]


def cell_id(cell: NotebookNode) -> str | None:
    """The id by which nbgrader knows a cell; None for a cell of the learner's own."""
    mark = cell.metadata.get("nbgrader")
    return mark.get("grade_id") if isinstance(mark, dict) else None
