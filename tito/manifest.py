"""The manifest of the course: `lessons/course.toml`, the one place of order, points, tests and milestones."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tito.errors import CourseError

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Exercise:
    """`definition` is `path of a file:name` or `…:Class.method`; without one the lesson has the solution itself, and
    nothing is exported. Methods in `keep` are shown to the learner as they are."""

    id: str
    points: float
    definition: str | None = None
    keep: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The file of the definition, below the folder of the framework."""
        assert self.definition is not None
        return self.definition.partition(":")[0]

    @property
    def path(self) -> str:
        """`Class.method`, or the name of a class or function."""
        assert self.definition is not None
        return self.definition.partition(":")[2]

    @property
    def name(self) -> str:
        """What the learner defines."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, eq=False)
class CourseModule:
    """A module of the course. `points`: of implementation and of systems analysis; `tests`: files of the framework's
    tests that are its checkpoint; `checklist`: where the lesson shows what SPEC asks of each."""

    number: int
    name: str
    title: str
    needs: tuple[int, ...]
    minutes: int
    implementation: float
    systems: float
    tests: tuple[str, ...]
    exercises: tuple[Exercise, ...]
    checklist: Mapping[str, str]

    @property
    def folder(self) -> str:
        """`02_activations`."""
        return f"{self.number:02}_{self.name}"

    @property
    def lesson(self) -> Path:
        return lessons() / self.folder / "lesson.py"

    @property
    def exported(self) -> list[Exercise]:
        return [e for e in self.exercises if e.definition is not None]

    def exercise(self, id: str) -> Exercise:
        found = next((e for e in self.exercises if e.id == id), None)
        if found is None:
            raise CourseError(f"{self.lesson}: exercise {id!r} does not stand in course.toml")
        return found


@dataclass(frozen=True)
class Milestone:
    """A milestone, the module of `milestones` that runs it, and the modules of the course that it stands on."""

    number: int
    module: str
    title: str
    needs: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    modules: tuple[CourseModule, ...]
    milestones: tuple[Milestone, ...]

    def module(self, given: str | int) -> CourseModule:
        """By number (`2`, `02`) or name."""
        text = str(given)
        for module in self.modules:
            if text == module.name or (text.isdecimal() and int(text) == module.number):
                return module
        known = ", ".join(f"{m.number:02} {m.name}" for m in self.modules)
        raise CourseError(f"there is no module {text!r}. There are: {known}")

    def milestone(self, number: int) -> Milestone:
        found = next((m for m in self.milestones if m.number == number), None)
        if found is None:
            numbers = ", ".join(str(m.number) for m in self.milestones)
            raise CourseError(f"there is no milestone {number}. There are: {numbers}")
        return found


@functools.cache
def root() -> Path:
    """The folder that holds `lessons` and `tests`: the checkout, or what the wheel brought."""
    checkout = _HERE.parent
    return checkout if (checkout / "lessons" / "course.toml").is_file() else _HERE / "data"


def lessons() -> Path:
    return root() / "lessons"


def framework() -> Path:
    """The folder that `definition` is below: that of the package."""
    import tinytorch

    return Path(tinytorch.__file__).resolve().parent.parent


@functools.cache
def manifest() -> Manifest:
    """The course, read and checked."""
    path = lessons() / "course.toml"
    try:
        text = path.read_text(encoding="utf-8")
        return parse(tomllib.loads(text))
    except FileNotFoundError:
        raise CourseError(f"the lessons are not installed: {path} is missing") from None
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise CourseError(f"{path}: {error}") from None


def parse(data: Mapping[str, Any]) -> Manifest:
    """The manifest that a TOML document says; CourseError where its sums are wrong or an order is broken."""
    modules = tuple(_module(entry) for entry in data["module"])
    milestones = tuple(
        Milestone(m["number"], m["module"], m["title"], tuple(m["needs"])) for m in data.get("milestone", ())
    )
    for module in modules:
        total = sum(e.points for e in module.exercises)
        if total != module.implementation:
            raise CourseError(
                f"course.toml: the exercises of {module.folder} have {total:g} points, not {module.implementation:g}"
            )
        late = [number for number in module.needs if number >= module.number]
        if late:
            raise CourseError(f"course.toml: {module.folder} needs module {late[0]}, which comes later")
    return Manifest(modules, milestones)


def _module(entry: Mapping[str, Any]) -> CourseModule:
    return CourseModule(
        number=int(entry["number"]),
        name=entry["name"],
        title=entry["title"],
        needs=tuple(int(n) for n in entry["needs"]),
        minutes=entry["minutes"],
        implementation=entry["points"]["implementation"],
        systems=entry["points"]["systems"],
        tests=tuple(entry["tests"]),
        exercises=tuple(
            Exercise(e["id"], e["points"], e.get("definition"), tuple(e.get("keep", ())))
            for e in entry.get("exercise", ())
        ),
        checklist=entry.get("checklist", {}),
    )
