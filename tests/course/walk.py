"""The whole course, as a learner goes through it: `python tests/course/walk.py [FOLDER] [--milestones 1] [--smoke]`.

In an empty folder (a temporary one by default) it makes a virtual environment, installs the checkout with its extra
`course`, and there starts, solves (the solution is pasted into the notebook) and completes each module; then it runs
the framework's own tests of all modules once, and trains milestones 1 and 2 on the result. The first command that
fails ends it, with its status. Milestone 2 reads MNIST from TINYTORCH_DATA, or downloads it.

It needs Python alone: what is installed is what is tried.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
MILESTONES = ("1", "2")


def main() -> int:
    options = arguments()
    if options.paste:
        paste(*options.paste)
        return 0
    if options.folder:
        return walk(options.folder.resolve(), options.milestones, options.smoke)
    with tempfile.TemporaryDirectory() as folder:
        return walk(Path(folder), options.milestones, options.smoke)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The whole course, as a learner goes through it.")
    parser.add_argument("folder", type=Path, nargs="?", help="an empty folder, a temporary one by default")
    parser.add_argument("--milestones", nargs="*", choices=MILESTONES, default=MILESTONES, help="1 and 2 by default")
    parser.add_argument("--smoke", action="store_true", help="a few steps of the milestones, and no criterion")
    parser.add_argument("--paste", nargs=2, metavar=("NUMBER", "NOTEBOOK"), help=argparse.SUPPRESS)
    return parser.parse_args()


def walk(folder: Path, milestones: Sequence[str], smoke: bool) -> int:
    start = time.monotonic()
    work = folder / "work"
    work.mkdir(parents=True)  # fails where there is one: a walk begins with nothing
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "TT_OVERLAY")}
    environment.setdefault("TT_CACHE_DIR", str(folder / "cache"))

    def run(*command: str | Path) -> None:
        print(f"\n[{time.monotonic() - start:4.0f} s] {' '.join(map(str, command))}", flush=True)
        subprocess.run(command, cwd=work, env=environment, check=True)

    try:
        run(sys.executable, "-m", "venv", folder / "venv")
        programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        python, tito = programs / "python", programs / "tito"
        run(python, "-m", "pip", "install", "--quiet", f"{CHECKOUT}[course]")
        run(tito, "setup")
        for number, name in modules():
            run(tito, "module", "start", number)
            run(python, __file__, "--paste", number, work / "notebooks" / f"{name}.ipynb")
            run(tito, "module", "complete", number)
        run(tito, "module", "status")
        run(tito, "checkpoint", "run", "all")
        for milestone in milestones:
            run(tito, "milestone", "run", milestone, *(["--smoke"] if smoke else []))
    except subprocess.CalledProcessError as error:
        print(f"\nended with status {error.returncode}: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return error.returncode
    print(f"\nall of it in {time.monotonic() - start:.0f} s")
    return 0


def modules() -> list[tuple[str, str]]:
    """Numbers and names of notebooks, in order."""
    course = tomllib.loads((CHECKOUT / "lessons" / "course.toml").read_text(encoding="utf-8"))
    return [(f"{m['number']:02}", f"{m['number']:02}_{m['name']}") for m in course["module"]]


def paste(number: str, notebook: str) -> None:
    """Solve a learner's notebook, in the environment where the course is installed."""
    import nbformat

    from tito.lesson import solved
    from tito.manifest import manifest

    marks = [(c.metadata.nbgrader, c.source) for c in solved(manifest().module(number)).cells if c.cell_type == "code"]
    solutions = {mark["grade_id"]: source for mark, source in marks if mark["solution"]}
    learners = nbformat.read(notebook, as_version=4)
    for cell in learners.cells:
        cell.source = solutions.get(cell.metadata.nbgrader["grade_id"], cell.source)
    nbformat.write(learners, notebook)


if __name__ == "__main__":
    sys.exit(main())
