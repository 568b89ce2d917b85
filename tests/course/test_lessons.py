"""Every lesson: solved it earns all points and runs; to be solved it fails just at its exercises; its definitions pass
the framework's own tests; and the milestones train on all of them."""

from __future__ import annotations

import os

import pytest

from tests.course.learner import MODULES, solutions, tito, with_code
from tito.lesson import left_solutions, stripped
from tito.manifest import CourseModule, manifest
from tito.runs import run_module, run_notebook
from tito.workspace import Workspace

_NEEDS_DATA = pytest.mark.skipif("TINYTORCH_DATA" not in os.environ, reason="needs TINYTORCH_DATA")


@pytest.mark.parametrize("module", MODULES)
def test_solved_it_earns_all_points_and_the_frameworks_own_tests_pass_on_it(
    module: CourseModule, everything: Workspace
) -> None:
    assert module.exported, "nothing of this module becomes part of the framework"
    said = tito(everything.folder, "module", "complete", f"{module.number}")
    assert said.status == 0, said.text
    for exercise in module.exercises:
        assert f"{exercise.points:4g} of {exercise.points:g}  {exercise.id}\n" in said.text
    assert f"{module.implementation:g} of {module.implementation:g} points" in said.text
    assert f"exported: {', '.join(e.path for e in module.exported)}\n" in said.text and " 0 failed" in said.text


@pytest.mark.parametrize("module", MODULES)
def test_to_be_solved_it_fails_at_its_exercises_alone(module: CourseModule, everything: Workspace) -> None:
    """Cells in between show what is missing, or what follows from that."""
    notebook = stripped(module)
    result = run_notebook(notebook, everything.folder)
    assert not result.stopped
    assert set(result.points(module).values()) == {0.0}
    defined = {e.id for e in module.exercises}
    assert not [cell for cell in result.failed() if cell.id in defined], "an exercise fails before it is tested"
    assert left_solutions(module, notebook) == []
    graded_by_hand = [c.source for c in notebook.cells if c.cell_type == "markdown" and c.metadata.nbgrader["grade"]]
    assert all("**Question" in text and "YOUR ANSWER HERE" in text for text in graded_by_hand)


@_NEEDS_DATA
@pytest.mark.parametrize("milestone", [pytest.param(m, id=m.module) for m in manifest().milestones])
def test_milestones_train_on_the_learners_code(milestone, everything: Workspace) -> None:
    name = f"milestones.{milestone.module}"
    assert run_module(name, ["--smoke"], everything.folder, everything.overlay, 300) == 0


def test_a_learner_goes_from_an_empty_folder_to_a_complete_module(work: Workspace) -> None:
    module = manifest().module(2)
    assert tito(work.folder, "setup").status == 0
    assert "written" in tito(work.folder, "module", "start", "02").text
    open_ = tito(work.folder, "module", "complete", "02")
    assert open_.status == 2 and "0 of 15 points" in open_.text and "not written yet" in open_.text
    assert not list(work.overlay.iterdir()), "nothing is exported that was not solved"
    notebook = with_code(stripped(module), solutions(module))
    import nbformat

    nbformat.write(notebook, work.notebook(module))
    done = tito(work.folder, "module", "complete", "activations")
    assert done.status == 0 and "15 of 15 points" in done.text and "is complete" in done.text
    assert "exported: Sigmoid, ReLU, GELU" in done.text and " 0 failed" in done.text
    assert "complete: 15 of 15 points" in tito(work.folder, "module", "status", "02").text
    assert "needs modules that are not complete: 01, 03, 04" in tito(work.folder, "milestone", "run", "1").text
