"""Exports: the learner's definitions of a module in one file of the overlay, which `tinytorch.overlay` reads."""

from __future__ import annotations

import shutil
from pathlib import Path

from tito.checks import check, check_order, read_notebook
from tito.errors import CourseError
from tito.manifest import CourseModule, manifest
from tito.pieces import alone, lines_of, needed, together
from tito.runs import run_python
from tito.workspace import Workspace

_SECONDS = 60.0  # that loading the framework may take


def export(module: CourseModule, notebook: Path, overlay: Path) -> list[str]:
    """Check the definitions of a notebook and write them; their names. Nothing is written if one cannot be taken."""
    cells = read_notebook(notebook)
    parts = [f"# Written by `tito export {module.number:02}` from {notebook.name}: change it there.\n"]
    for exercise in module.exercises:
        source = cells.get(exercise.id)
        if source is None:
            raise CourseError(
                f"{notebook} has no cell {exercise.id!r} any more; `tito module reset {module.number:02}` writes the "
                "lesson again, and keeps what is there under another name"
            )
        code = "\n".join("" if line.startswith("#|") else line for line in lines_of(source))
        check_order(module, exercise, code)
        if exercise.definition is not None:
            lines = needed(code, exercise.name)
            check(exercise, alone(code, lines))
            parts.append(f"# definition: {exercise.definition}\n{together(code, lines)}\n")
    overlay.mkdir(parents=True, exist_ok=True)
    Path(overlay, f"{module.folder}.py").write_text("\n\n".join(parts), encoding="utf-8")
    return [exercise.path for exercise in module.exported]


def prepare(module: CourseModule, work: Workspace) -> Path:
    """The folder for trying, with what was exported of the modules before this one: a lesson runs on it, so that no
    mistake in what was exported of the module itself, or later, stops it."""
    trial = work.trial(module)
    shutil.rmtree(trial, ignore_errors=True)
    trial.mkdir(parents=True)
    for earlier in manifest().modules:
        file = work.overlay / f"{earlier.folder}.py"
        if earlier.number < module.number and file.is_file():
            shutil.copyfile(file, trial / file.name)
    return trial


def try_out(module: CourseModule, work: Workspace) -> list[str]:
    """Export a module to the folder for trying, and load the framework with it; the names. CourseError says what the
    learner is to mend."""
    names = export(module, work.started(module), prepare(module, work))
    files = sorted({e.file.removesuffix(".py").replace("/", ".") for e in module.exported})
    ended = run_python(["-m", "tito.imports", "tinytorch", *files], work.folder, work.trial(module), _SECONDS)
    if ended.stopped is not None:
        said = (ended.printed.strip().splitlines() or [""])[-1]
        raise CourseError(f"the framework cannot be loaded with your code: {said or ended.stopped}")
    return names


def accept(module: CourseModule, work: Workspace) -> Path:
    """Make what was tried part of the learner's framework; its file."""
    file = work.overlay / f"{module.folder}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    return Path(work.trial(module) / file.name).replace(file)
