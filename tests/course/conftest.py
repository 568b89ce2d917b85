from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="the course needs the extra `course`")
pytest.importorskip("jupytext", reason="the course needs the extra `course`")

from tests.course.learner import solutions, write
from tito.exporting import export
from tito.manifest import manifest
from tito.workspace import Workspace


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which every module is solved and exported."""
    work = Workspace.create(tmp_path_factory.mktemp("course"))
    for module in manifest().modules:
        write(work, module, solutions(module))
        export(module, work.notebook(module), work.overlay)
    return work


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path)
