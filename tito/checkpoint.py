"""A checkpoint: the framework's own tests of a module, on the learner's code."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from xml.etree import ElementTree

from tito.errors import CourseError
from tito.manifest import CourseModule, root
from tito.runs import run_python

LIMIT = 600.0  # seconds that the tests of a module may take
_LONGEST = 200  # characters of a failure


@dataclass(frozen=True)
class Checkpoint:
    """How many tests passed, failed and were skipped, and the failures, each in a line."""

    passed: int
    failed: int
    skipped: int
    failures: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        return self.failed == 0 and self.passed > 0


def run_checkpoint(modules: list[CourseModule], overlay: Path, limit: float = LIMIT) -> Checkpoint:
    """Run the tests of these modules once, all of them on the overlay."""
    files = list(dict.fromkeys(test for module in modules for test in module.tests))
    missing = [file for file in files if not (root() / file).exists()]
    if missing:
        raise CourseError(f"the tests of the course are not installed: {root() / missing[0]} is missing")
    with tempfile.TemporaryDirectory() as temporary:
        report, place = Path(temporary, "report.xml"), _as_a_users(Path(temporary))
        command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "-c", str(_settings(Path(temporary)))]
        command += ["--rootdir", str(place), f"--junitxml={report}", *(str(place / file) for file in files)]
        ended = run_python(command, place, overlay, limit)
        if not report.is_file():
            raise CourseError(f"the tests were not run to their end: {ended.stopped}\n{_tail(ended.printed)}")
        return _read(report)


def _as_a_users(folder: Path) -> Path:
    """The folder of the tests. Those of a wheel are copied: tests are a user's code, and what lies among installed
    packages is none to the compiler, which watches less of it."""
    if root().name != "data":
        return root()
    return Path(shutil.copytree(root(), folder / "course", ignore=shutil.ignore_patterns("__pycache__")))


def _settings(folder: Path) -> Path:
    """An empty configuration: that of a folder above the learner's means nothing here."""
    path = folder / "pytest.ini"
    path.write_text("[pytest]\n", encoding="utf-8")
    return path


def _read(report: Path) -> Checkpoint:
    suite = next(ElementTree.parse(report).iter("testsuite"))
    total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    failures: list[str] = []
    for case in suite.iter("testcase"):
        for found in (*case.findall("failure"), *case.findall("error")):
            said = (found.get("message") or found.text or "failed").split()
            file = f"{case.get('classname', '').replace('.', '/')}.py"
            failures.append(f"{file}: {case.get('name')}: {shorten(' '.join(said), _LONGEST, placeholder=' …')}")
    return Checkpoint(total - failed - skipped, failed, skipped, tuple(failures), float(suite.get("time", 0)))


def _tail(text: str) -> str:
    return "\n".join(re.sub(r"\x1b\[[0-9;]*m", "", text).strip().splitlines()[-20:])
