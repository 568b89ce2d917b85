"""Definitions of the framework as exercises: the signature and the docstring stay, the bodies are the solution.

def relu(x):                      def relu(x):
    \"\"\"max(x, 0).\"\"\"                  \"\"\"max(x, 0).\"\"\"
    return x.maximum(0)    -->        ### BEGIN SOLUTION
                                      return x.maximum(0)
                                      ### END SOLUTION
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Collection, Iterator
from pathlib import Path

from tito.errors import CourseError
from tito.manifest import Exercise, framework

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


def find(tree: ast.Module, path: str) -> Definition | None:
    """The definition of that name, or of a method as `Class.method`."""
    body: list[ast.stmt] = tree.body
    found: Definition | None = None
    for name in path.split("."):
        found = next((n for n in body if isinstance(n, Definition) and n.name == name), None)
        if found is None:
            return None
        body = found.body
    return found


def exercise_text(exercise: Exercise) -> str:
    """The framework's definition with its bodies between the marks of a solution."""
    path = framework() / exercise.file
    if not path.is_file():
        raise CourseError(f"course.toml: exercise {exercise.id!r}: there is no file {exercise.file}")
    return marked(path, exercise.path, exercise.keep)


def marked(file: Path, path: str, keep: Collection[str] = ()) -> str:
    """The definition `path` of a file, its bodies marked but for those of the methods in `keep`."""
    text = file.read_text(encoding="utf-8")
    node = find(ast.parse(text), path)
    if node is None:
        raise CourseError(f"course.toml: {file} has no definition {path}")
    lines = text.splitlines()
    regions = [_region(f, lines) for f in _to_solve(node, keep)]
    if not regions:
        raise CourseError(f"course.toml: nothing of {path} in {file} is left to solve")
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    assert node.end_lineno is not None
    out: list[str] = []
    for number in range(first, node.end_lineno + 1):
        out += [f"{_indent(lines, start)}{BEGIN}" for start, _ in regions if start == number]
        out.append(lines[number - 1])
        out += [f"{_indent(lines, start)}{END}" for start, end in regions if end == number]
    return textwrap.dedent("\n".join(out))


def _to_solve(node: Definition, keep: Collection[str]) -> Iterator[Function]:
    if isinstance(node, Function):
        yield node
        return
    for part in node.body:
        if isinstance(part, Function) and part.name not in keep and _statements(part):
            yield part


def _statements(function: Function) -> list[ast.stmt]:
    """The body without the docstring."""
    return function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body


def _region(function: Function, lines: list[str]) -> tuple[int, int]:
    """The first and the last line of the body, with the comments in front of it."""
    statements = _statements(function)
    start, end = statements[0].lineno, statements[-1].end_lineno
    decorated = getattr(statements[0], "decorator_list", [])
    start = min([start, *(d.lineno for d in decorated)])
    assert end is not None
    while lines[start - 2].lstrip().startswith("#"):
        start -= 1
    return start, end


def _indent(lines: list[str], number: int) -> str:
    line = lines[number - 1]
    return line[: len(line) - len(line.lstrip())]
