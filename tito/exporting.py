"""Exports: the learner's definitions of a module in one file of the overlay, which `tinytorch.overlay` reads."""

from __future__ import annotations

from pathlib import Path

from tito.checks import check, read_notebook
from tito.errors import CourseError
from tito.manifest import CourseModule


def export(module: CourseModule, notebook: Path, overlay: Path) -> list[str]:
    """Check the definitions of a notebook and write them; their names. Nothing is written if one cannot be taken."""
    cells = read_notebook(notebook)
    parts = [f"# Written by `tito export {module.number:02}` from {notebook.name}: change it there.\n"]
    for exercise in module.exported:
        source = cells.get(exercise.id)
        if source is None:
            raise CourseError(f"{notebook} has no cell {exercise.id!r} any more; `tito module reset` makes a new copy")
        code = "\n".join(line for line in source.splitlines() if not line.startswith("#|"))
        check(module, exercise, code)
        parts.append(f"# definition: {exercise.definition}\n{code.rstrip()}\n")
    overlay.mkdir(parents=True, exist_ok=True)
    Path(overlay, f"{module.folder}.py").write_text("\n\n".join(parts), encoding="utf-8")
    return [exercise.path for exercise in module.exported]
