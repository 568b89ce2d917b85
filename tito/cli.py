"""The `tito` command. What a command needs is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tinytorch.cli.program import Commands
from tito.errors import CourseError
from tito.manifest import CourseModule, Manifest, manifest

if TYPE_CHECKING:
    from tito.checkpoint import Checkpoint
    from tito.runs import NotebookResult
    from tito.workspace import Workspace

app = Commands("tito", no_args_is_help=True, help="The TinyTorch course.")
module_app = typer.Typer(no_args_is_help=True, help="Lessons: start, test and complete them.")
checkpoint_app = typer.Typer(no_args_is_help=True, help="The framework's own tests on your code.")
milestone_app = typer.Typer(no_args_is_help=True, help="Models of history, trained on your code.")
grading_app = typer.Typer(no_args_is_help=True, help="For teachers: assignments and grades, by nbgrader.")
app.add_typer(module_app, name="module")
app.add_typer(checkpoint_app, name="checkpoint")
app.add_typer(milestone_app, name="milestone")
app.add_typer(grading_app, name="nbgrader")

_FORWARDED = {"allow_extra_args": True, "ignore_unknown_options": True}
_MILESTONE_SECONDS = 4 * 3600.0
_MOST_FAILURES = 8  # that are printed
_INDENT = " " * 6
Number = Annotated[str, typer.Argument(help="The number or name of a module: 02, activations.")]
Folder = Annotated[Path, typer.Option(help="The teacher's folder.", file_okay=False)]
HERE = Path()


def _console() -> Console:
    return Console(soft_wrap=True, highlight=False, markup=False)


def _told(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose CourseErrors are told in a line, with status 2; so are files that cannot be used."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except CourseError as error:
            typer.echo(f"tito: {error}", err=True)
            raise typer.Exit(2) from None
        except OSError as error:
            if error.filename is None:  # no file's, such as that of an output whose reader is gone
                raise
            typer.echo(f"tito: {error.filename}: {error.strerror}", err=True)
            raise typer.Exit(2) from None

    return run


def _workspace() -> Workspace:
    from tito.workspace import Workspace

    return Workspace.find(Path.cwd())


@app.command()
@_told
def setup(folder: Annotated[Path, typer.Argument(help="The folder of your work.", file_okay=False)] = HERE) -> None:
    """Make a folder a workspace; nothing that is there is changed."""
    from tito.workspace import Workspace

    made = Workspace.create(folder.resolve())
    typer.echo(f"{made.folder} is your workspace. Begin with: tito module start 01")


@app.command()
@_told
def doctor() -> None:
    """What the course needs, and where your work stands."""
    import importlib.metadata
    import importlib.util

    from tito.manifest import root

    table = Table(show_header=False, box=None)
    table.add_row("python", sys.version.split()[0])
    table.add_row("lessons", str(root() / "lessons"))
    missing: list[str] = []
    for package in ("jupytext", "nbformat", "nbgrader", "nbclient", "pytest", "hypothesis"):
        there = importlib.util.find_spec(package) is not None
        table.add_row(package, importlib.metadata.version(package) if there else "missing")
        missing += [] if there else [package]
    try:
        work = _workspace()
    except CourseError as error:
        table.add_row("workspace", str(error))
    else:
        table.add_row("workspace", str(work.folder))
        for module in manifest().modules:
            if (work.overlay / f"{module.folder}.py").is_file():
                names = ", ".join(e.path for e in module.exported)
                table.add_row("overlay", f"{module.folder}: {names}")
    _console().print(table)
    if missing:
        raise CourseError(f"missing: {', '.join(missing)}; pip install '/path/of/the/checkout[course]' brings them")


@module_app.command("list")
@_told
def list_modules(
    checklist: Annotated[bool, typer.Option(help="Where each lesson shows what is asked of all.")] = False,
) -> None:
    """All modules in order."""
    if checklist:
        _print_checklist(manifest())
        return
    table = Table(box=None)
    for title in ("module", "title", "minutes", "points", "needs", "milestone after it"):
        table.add_column(title)
    behind = {max(m.needs): f"{m.number}: {m.title}" for m in manifest().milestones}
    for m in manifest().modules:
        points = f"{m.implementation:g} + {m.systems:g}"
        needs = ", ".join(f"{n:02}" for n in m.needs)
        table.add_row(m.folder, m.title, str(m.minutes), points, needs, behind.get(m.number, ""))
    _console().print(table)


def _print_checklist(course: Manifest) -> None:
    for module in course.modules:
        table = Table("asked", "where", title=module.folder, title_justify="left", box=None)
        for item, where in module.checklist.items():
            table.add_row(item.replace("_", " "), where)
        _console().print(table)
    asked = {item for module in course.modules for item in module.checklist}
    open_ = [f"{m.folder}: {item.replace('_', ' ')}" for m in course.modules for item in sorted(asked - {*m.checklist})]
    typer.echo(f"{len(asked)} items, asked of {len(course.modules)} modules; without an answer: {len(open_) or 'none'}")
    for missing in open_:
        typer.echo(indent(missing, _INDENT))


@module_app.command()
@_told
def start(number: Number) -> None:
    """Write the notebook of a module into your workspace; work that is there stays."""
    module, work = manifest().module(number), _workspace()
    made = work.start(module)
    path = work.notebook(module)
    typer.echo(f"{'written' if made else 'already there, and left as it is'}: {path}")
    open_ = sorted(set(module.needs) - work.completed())
    if open_:
        names = ", ".join(f"{n:02}" for n in open_)
        typer.echo(f"module {names} before it is not complete: the framework's own code runs in its place")
    typer.echo(f"open it in an editor for notebooks, or with: tito module view {module.number:02}")


@module_app.command()
@_told
def view(number: Number) -> None:
    """Open the notebook in Jupyter, where that is installed."""
    import importlib.util

    module, work = manifest().module(number), _workspace()
    path = work.started(module)
    if importlib.util.find_spec("jupyterlab") is None:
        raise CourseError(f"Jupyter is not installed (pip install jupyterlab); open {path} in an editor of your choice")
    import subprocess

    ended = subprocess.run([sys.executable, "-m", "jupyterlab", str(path)], check=False)
    if ended.returncode:
        raise CourseError(f"Jupyter ended with status {ended.returncode}; what it says is above")


@module_app.command()
@_told
def test(number: Number) -> None:
    """Run the notebook and count its points."""
    module, work = manifest().module(number), _workspace()
    result = _run(module, work, hidden=False)
    if not _print_points(module, result):
        raise typer.Exit(1)


def _run(module: CourseModule, work: Workspace, *, hidden: bool) -> NotebookResult:
    """The notebook, with the lesson's own tests in it, on what was exported of the modules before it."""
    from tito.checks import open_notebook
    from tito.exporting import prepare
    from tito.lesson import restore
    from tito.runs import run_notebook

    path = work.started(module)
    notebook = open_notebook(path)
    typer.echo(f"running {path.name} …")
    for cell in restore(module, notebook, hidden=hidden):
        name = _cell_named(cell.metadata.nbgrader["grade_id"], cell.source)
        typer.echo(f"{name} is not as it was given to you: the lesson's own runs instead. Use new cells for your code")
    return run_notebook(notebook, work.folder, prepare(module, work))


def _print_points(module: CourseModule, result: NotebookResult) -> bool:
    """Whether all exercises have their points, and no other cell failed."""
    points = result.points(module)
    failed = {cell.id: cell for cell in result.failed()}
    for exercise in module.exercises:
        typer.echo(f"{points[exercise.id]:4g} of {exercise.points:g}  {exercise.id}")
        test = f"test_{exercise.id}"
        cell = failed.pop(exercise.id, None) or failed.get(test)
        failed.pop(test, None)
        if cell is not None:
            typer.echo(indent("not written yet" if cell.missing else str(cell), _INDENT))
        elif all(ran.id != test for ran in result.cells):
            typer.echo(indent("its tests were not reached", _INDENT))
    others = [cell for cell in failed.values() if not cell.missing]
    if others:
        typer.echo("other cells that failed, perhaps because of what is said above:")
    for cell in others:
        typer.echo(indent(cell.told(_cell_named(cell.id, cell.first)), _INDENT))
    total = sum(points.values())
    typer.echo(
        f"{total:g} of {module.implementation:g} points; the questions, {module.systems:g} more, are graded by hand"
    )
    if result.stopped:
        typer.echo(f"stopped: {result.stopped}")
    return total == module.implementation and not result.failed() and not result.stopped


def _cell_named(id: str, source: str) -> str:
    """Tests by their name; other cells, whose ids no notebook shows, by their first line."""
    first = next((line for line in source.splitlines() if line.strip()), "")
    return id if id.startswith("test_") or not first else f"the cell that begins with `{first}`"


@module_app.command()
@_told
def complete(number: Number) -> None:
    """Test the notebook, put its definitions into the framework, and run the framework's own tests on them."""
    from tito.checkpoint import run_checkpoint
    from tito.exporting import accept, try_out

    module, work = manifest().module(number), _workspace()
    result = _run(module, work, hidden=True)
    if not _print_points(module, result):
        raise CourseError("nothing was exported: mend what is said above, and complete the module again")
    names = try_out(module, work)
    typer.echo("running the framework's own tests on your code …")
    done = _print_checkpoint(run_checkpoint([module], work.trial(module)))
    if not done.ok:
        raise CourseError(
            f"the framework's tests fail on your code, so nothing was exported; what ran is in {work.trial(module)}"
        )
    accept(module, work)
    work.complete(module, sum(result.points(module).values()), done.passed)
    typer.echo(f"exported: {', '.join(names)}\nmodule {module.folder} is complete")
    for milestone in manifest().milestones:
        if module.number in milestone.needs and work.completed().issuperset(milestone.needs):
            typer.echo(f"your framework can train {milestone.title}: tito milestone run {milestone.number}")
    following = [m for m in manifest().modules if m.number not in work.completed()]
    if following:
        typer.echo(f"next: tito module start {following[0].number:02}")


def _print_checkpoint(done: Checkpoint) -> Checkpoint:
    counts = f"{done.passed} passed, {done.failed} failed, {done.skipped} skipped in {done.seconds:.0f} s"
    typer.echo(f"checkpoint: {counts}")
    for failure in done.failures[:_MOST_FAILURES]:
        typer.echo(f"  {failure}")
    return done


@module_app.command()
@_told
def status(number: Annotated[str | None, typer.Argument(help="One module; all without it.")] = None) -> None:
    """What is started and what is complete."""
    work = _workspace()
    done = work.progress()
    modules = manifest().modules if number is None else (manifest().module(number),)
    for module in modules:
        entry = done.get(f"{module.number:02}")
        if entry:
            text = f"complete: {entry['points']:g} of {entry['of']:g} points, {entry['tests']} tests, {entry['date']}"
        else:
            text = "started" if work.notebook(module).is_file() else "not started"
        typer.echo(f"{module.folder:20} {text}")


@module_app.command()
@_told
def reset(number: Number) -> None:
    """Begin a module again; what you wrote is kept under a name with the date."""
    module, work = manifest().module(number), _workspace()
    typer.echo(f"your work is kept in {work.reset(module)}; {work.notebook(module)} is new")


@app.command()
@_told
def export(number: Number) -> None:
    """Put your definitions of a module into the framework, as the commands of `tito` run it."""
    from tito.exporting import accept, try_out

    module, work = manifest().module(number), _workspace()
    names = try_out(module, work)
    typer.echo(f"exported to {accept(module, work)}: {', '.join(names)}")


@checkpoint_app.command("run")
@_told
def run_checkpoints(
    number: Annotated[str, typer.Argument(help="A module, or all: those of all modules that you exported.")],
) -> None:
    """Run the framework's own tests of a module on your code."""
    from tito.checkpoint import run_checkpoint

    work = _workspace()
    exported = [m for m in manifest().modules if (work.overlay / f"{m.folder}.py").is_file()]
    modules = exported if number == "all" else [manifest().module(number)]
    if not modules or not set(modules) <= set(exported):
        raise CourseError("nothing of it was exported yet; `tito module complete NN` does that")
    if not _print_checkpoint(run_checkpoint(modules, work.overlay)).ok:
        raise typer.Exit(1)


@milestone_app.command("list")
@_told
def list_milestones() -> None:
    """All milestones and what they stand on."""
    for m in manifest().milestones:
        typer.echo(f"{m.number}  {m.title}; needs modules up to {max(m.needs):02}")


@milestone_app.command("run", context_settings=_FORWARDED)
@_told
def run_milestone(context: typer.Context, number: Annotated[int, typer.Argument(help="1 to 5.")]) -> None:
    """Train a milestone on your code; its options follow."""
    from tito.runs import run_module

    milestone, work = manifest().milestone(number), _workspace()
    open_ = sorted(set(milestone.needs) - work.completed())
    if open_:
        raise CourseError(
            f"milestone {number} needs modules that are not complete: {', '.join(f'{n:02}' for n in open_)}"
        )
    status = run_module(f"milestones.{milestone.module}", context.args, work.folder, work.overlay, _MILESTONE_SECONDS)
    if status:
        raise typer.Exit(status)


@grading_app.command()
@_told
def generate(number: Number, folder: Folder = HERE) -> None:
    """Make the assignment of a module: with solutions for you, without them for students."""
    from tito import grading

    typer.echo(f"written: {grading.generate(manifest().module(number), folder.resolve())}")


@grading_app.command()
@_told
def release(number: Number, folder: Folder = HERE) -> None:
    """Release an assignment into the exchange, unless a solution is left in it."""
    from tito import grading

    grading.release(manifest().module(number), folder.resolve())
    typer.echo(f"released: students fetch it from {folder.resolve() / 'exchange'}")


@grading_app.command()
@_told
def collect(number: Number, folder: Folder = HERE) -> None:
    """Collect what was submitted to the exchange."""
    from tito import grading

    count = grading.collect(manifest().module(number), folder.resolve())
    typer.echo(f"in {folder.resolve() / 'submitted'} are now {count} submissions of it")


@grading_app.command()
@_told
def autograde(number: Number, folder: Folder = HERE) -> None:
    """Grade all submissions of a module."""
    from tito import grading

    module = manifest().module(number)
    failed = grading.autograde(module, folder.resolve())
    _print_grades(folder.resolve(), module)
    if failed:
        raise CourseError(
            f"could not be run, and have no points of this run: {', '.join(failed)} (no notebook, or one that ends its "
            f"own process); `nbgrader autograde {module.folder} --student STUDENT` says more"
        )


@grading_app.command()
@_told
def feedback(number: Number, folder: Folder = HERE) -> None:
    """Write the feedback of a module, a page for each student."""
    from tito import grading

    grading.feedback(manifest().module(number), folder.resolve())
    typer.echo(f"written below {folder.resolve() / 'feedback'}")


@grading_app.command()
@_told
def report(folder: Folder = HERE) -> None:
    """All points in the gradebook."""
    _print_grades(folder.resolve(), None)


def _print_grades(folder: Path, module: CourseModule | None) -> None:
    from tito import grading

    table = Table("student", "assignment", "points", "of", "", box=None)
    for grade in grading.grades(folder):
        if module is None or grade.assignment == module.folder:
            by_hand = "questions to be graded by hand" if grade.needs_grading else ""
            table.add_row(grade.student, grade.assignment, f"{grade.score:g}", f"{grade.most:g}", by_hand)
    _console().print(table)


if __name__ == "__main__":
    app()
