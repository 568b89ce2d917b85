"""Which lines of a learner's cell become part of the framework: the definition, and what it needs of the cell."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator


def lines_of(source: str) -> list[str]:
    """The lines as Python counts them: a form feed and the like, which `splitlines` splits at, end none."""
    return re.split("\r\n?|\n", source)


def needed(source: str, name: str) -> list[range]:
    """The lines, from 1, of the definition `name` and of all at the top of the cell that it uses; not what was tried
    out beside it, and what prints."""
    tree, lines = ast.parse(source), lines_of(source)
    kept: list[ast.stmt] = []
    wanted, seen = [name], set[str]()
    while wanted:
        seen.add(looked_for := wanted.pop())
        for statement in tree.body:
            if statement not in kept and looked_for in _bound(statement):
                kept.append(statement)
                wanted += sorted(_used(statement) - seen)
    return [_lines(statement, lines) for statement in sorted(kept, key=lambda s: s.lineno)]


def alone(source: str, parts: list[range]) -> str:
    """The cell with empty lines for all other ones, so that lines keep their numbers."""
    numbers = {number for part in parts for number in part}
    return "\n".join(line if number in numbers else "" for number, line in enumerate(lines_of(source), 1))


def together(source: str, parts: list[range]) -> str:
    """These parts of a cell, one behind the other."""
    lines = lines_of(source)
    return "\n\n".join("\n".join(lines[number - 1] for number in part) for part in parts)


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement at the top of a cell gives a meaning."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield statement.name
        case ast.Import() | ast.ImportFrom():
            for alias in statement.names:
                yield alias.asname or alias.name.partition(".")[0]
        case ast.Expr():
            return
        case _:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id


def _used(statement: ast.stmt) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def _lines(statement: ast.stmt, lines: list[str]) -> range:
    """Those of a statement, with its decorators, the comments right above it, and those that end its body."""
    first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
    last = statement.end_lineno or statement.lineno
    while first > 1 and lines[first - 2].startswith("#"):
        first -= 1
    while last < len(lines) and lines[last].startswith((" ", "\t")):
        last += 1
    return range(first, last + 1)
