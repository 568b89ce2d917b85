"""Analyses by number or name of their module, as `tinytorch analyze` runs them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from analyses.record import Analysis
from tito.errors import CourseError
from tito.manifest import CourseModule, manifest


def chosen(given: Sequence[str]) -> list[CourseModule]:
    """Modules by number (`2`, `02`) or name, or `all`; CourseError for anything else."""
    course = manifest()
    return list(course.modules) if list(given) == ["all"] else [course.module(text) for text in given]


def analyze(module: CourseModule, quick: bool = False) -> Analysis:
    """The analysis of a module; CourseError where there is none yet."""
    name = f"analyses.{module.name}"
    if importlib.util.find_spec(name) is None:
        raise CourseError(f"there is no analysis of module {module.folder} yet")
    return importlib.import_module(name).analyze(quick=quick)


def default_folder() -> Path:
    """The pages of the docs in a checkout, else the current folder."""
    docs = Path(__file__).parent.parent / "docs"
    return docs / "analysis" if (docs / "architecture.md").is_file() else Path.cwd()
