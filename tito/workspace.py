"""A learner's folder: notebooks, what was exported, and how far they are.

tito.toml                      marks the folder
notebooks/02_activations.ipynb
exported/02_activations.py     the overlay
trial/02_activations/          what is being tried of a module, with copies of those before it
progress.json                  points and dates
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from tito.errors import CourseError
from tito.lesson import stripped
from tito.manifest import CourseModule

_MARK = "tito.toml"
_NOTED = {"points", "of", "tests", "date"}  # of a module that is complete


@dataclass(frozen=True)
class Workspace:
    folder: Path

    @staticmethod
    def create(folder: Path) -> Workspace:
        """A new one, or the one that is there."""
        for part in ("notebooks", "exported"):
            Path(folder, part).mkdir(parents=True, exist_ok=True)
        mark = folder / _MARK
        if not mark.exists():
            mark.write_text('# A workspace of the TinyTorch course.\nversion = "1"\n', encoding="utf-8")
        return Workspace(folder)

    @staticmethod
    def find(start: Path) -> Workspace:
        """That of a folder, or of one around it."""
        for folder in (start, *start.parents):
            if (folder / _MARK).is_file():
                return Workspace(folder)
        raise CourseError(f"{start} is no workspace of the course; `tito setup` makes one of it")

    @property
    def overlay(self) -> Path:
        return self.folder / "exported"

    def trial(self, module: CourseModule) -> Path:
        return self.folder / "trial" / module.folder

    def notebook(self, module: CourseModule) -> Path:
        return self.folder / "notebooks" / f"{module.folder}.ipynb"

    def started(self, module: CourseModule) -> Path:
        """The notebook; CourseError if it has not been started."""
        path = self.notebook(module)
        if not path.is_file():
            raise CourseError(f"module {module.folder} has not been started; `tito module start {module.number:02}`")
        return path

    def start(self, module: CourseModule) -> bool:
        """Write the notebook; False if there is one, which is left as it is."""
        path = self.notebook(module)
        if path.exists():
            return False
        _write_new(path, stripped(module))
        return True

    def reset(self, module: CourseModule) -> Path:
        """A new notebook; where the old one went."""
        path, new = self.started(module), stripped(module)
        kept = path.with_name(f"{path.stem}_{time.strftime('%Y%m%d_%H%M%S')}.ipynb")
        number = 1
        while kept.exists():
            kept = kept.with_name(f"{kept.stem}_{number}.ipynb")
            number += 1
        path.rename(kept)
        _write_new(path, new)
        return kept

    def progress(self) -> dict[str, Any]:
        """What was noted of each module that is done, by its number as text."""
        path = self.folder / "progress.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            if not all(number.isdecimal() and done.keys() >= _NOTED for number, done in found.items()):
                raise ValueError("something else is in it")
        except (OSError, ValueError, AttributeError) as error:
            raise CourseError(f"{path} cannot be read ({error}); remove it and complete the modules again") from None
        return found

    def completed(self) -> set[int]:
        return {int(number) for number in self.progress()}

    def complete(self, module: CourseModule, points: float, tests: int) -> None:
        """Note that a module is done."""
        done = {"points": points, "of": module.implementation, "tests": tests, "date": time.strftime("%Y-%m-%d")}
        text = json.dumps({**self.progress(), f"{module.number:02}": done}, indent=1, sort_keys=True)
        path = self.folder / "progress.json"
        path.with_suffix(".tmp").write_text(text, encoding="utf-8")
        path.with_suffix(".tmp").replace(path)


def _write_new(path: Path, notebook: NotebookNode) -> None:
    """Write a file that is not there yet; FileExistsError where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        nbformat.write(notebook, file)
