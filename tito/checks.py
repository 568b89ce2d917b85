"""What a learner's definitions must be before they become part of the framework."""

from __future__ import annotations

import ast
import builtins
import importlib
import symtable
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tito.definitions import Definition, Function, find
from tito.errors import CourseError
from tito.lesson import cell_id
from tito.manifest import CourseModule, Exercise, framework, manifest

if TYPE_CHECKING:
    from nbformat import NotebookNode


def check(exercise: Exercise, source: str) -> None:
    """CourseError where the code of an exercise cannot be put in the place of the framework's own."""
    tree = _parsed(exercise, source)
    written = find(tree, exercise.name)
    if written is None:
        raise CourseError(f"exercise {exercise.id!r}: its cell must define {exercise.name}, under just this name")
    real = find(ast.parse((framework() / exercise.file).read_text(encoding="utf-8")), exercise.path)
    assert real is not None, "the manifest was checked when the lesson was built"
    _same_form(exercise, written, real)
    for name in _unknown(tree, source, exercise):
        raise CourseError(
            f"exercise {exercise.id!r}: {name} is not known in {exercise.file}, where {exercise.name} will stand; "
            "define or import it in the same cell"
        )


def check_order(module: CourseModule, exercise: Exercise, source: str) -> None:
    """CourseError where the code of an exercise is no Python, or reaches for a later module of the course."""
    for line, name, later in later_modules(_parsed(exercise, source), module):
        raise CourseError(
            f"exercise {exercise.id!r}, line {line}: {name} comes with module {later.folder}, which is later than "
            f"{module.folder}; write it with what there is so far"
        )


def _parsed(exercise: Exercise, source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise CourseError(
            f"exercise {exercise.id!r}, line {error.lineno}: {error.msg}: {(error.text or '').strip()}"
        ) from None


def _same_form(exercise: Exercise, written: Definition, real: Definition) -> None:
    """A class stays one, with its bases and methods; each takes what the framework will give it. Decorators stay."""
    if isinstance(written, ast.ClassDef) != isinstance(real, ast.ClassDef):
        kind = "class" if isinstance(real, ast.ClassDef) else "function"
        raise CourseError(f"exercise {exercise.id!r}: {exercise.name} must be a {kind}")
    _same_decorators(exercise, exercise.name, written, real)
    if isinstance(written, ast.ClassDef) and isinstance(real, ast.ClassDef):
        ours, theirs = ([ast.unparse(b) for b in node.bases] for node in (written, real))
        if ours != theirs:
            raise CourseError(
                f"exercise {exercise.id!r}: {exercise.name} must have the bases ({', '.join(theirs)}), got "
                f"({', '.join(ours)})"
            )
        found = {n.name: n for n in written.body if isinstance(n, Function)}
        for method in (n for n in real.body if isinstance(n, Function)):
            if method.name not in found:
                raise CourseError(f"exercise {exercise.id!r}: {exercise.name} has no {method.name} any more")
            name, own = f"{exercise.name}.{method.name}", found[method.name]
            _same_decorators(exercise, name, own, method)
            _same_signature(exercise, name, own, method)
    elif isinstance(written, Function) and isinstance(real, Function):
        _same_signature(exercise, exercise.name, written, real)


def _same_decorators(exercise: Exercise, name: str, written: Definition, real: Definition) -> None:
    ours, theirs = ([ast.unparse(d) for d in node.decorator_list] for node in (written, real))
    for lost in theirs:
        if lost not in ours:
            raise CourseError(f"exercise {exercise.id!r}, line {written.lineno}: {name} must keep its line @{lost}")


def _same_signature(exercise: Exercise, name: str, written: Function, real: Function) -> None:
    ours, theirs = _parameters(written), _parameters(real)
    if ours != theirs:
        raise CourseError(
            f"exercise {exercise.id!r}, line {written.lineno}: {name}({ours}) must stay {name}({theirs}), since the "
            "framework calls it so"
        )


def _parameters(function: Function) -> str:
    """Without annotations."""
    bare = ast.parse(f"def f({ast.unparse(function.args)}): pass").body[0]
    assert isinstance(bare, ast.FunctionDef)
    for argument in ast.walk(bare.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    return ast.unparse(bare.args)


def later_modules(tree: ast.AST, module: CourseModule) -> Iterator[tuple[int, str, CourseModule]]:
    """What code takes from modules of the course that come later: (line, name, module)."""
    known = _names_of_the_framework(tree)
    for node in ast.walk(tree):
        for name in _taken(node, known):
            later = _module_of(name)
            if later is not None and later.number > module.number:
                yield getattr(node, "lineno", 0), name, later


def _names_of_the_framework(tree: ast.AST) -> dict[str, str]:
    """What the package and parts of it are called in this code: {"tt": "tinytorch", …}."""
    known = {"tt": "tinytorch", "tinytorch": "tinytorch"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            inside = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                name = inside + alias.name
                if name.startswith("tinytorch") and (inside or alias.asname):
                    known[alias.asname or alias.name] = name
    return known


def _taken(node: ast.AST, known: Mapping[str, str]) -> list[str]:
    """The dotted names of the framework that a node takes."""
    match node:
        case ast.ImportFrom(module=str(module)) if module.partition(".")[0] == "tinytorch":
            return [f"{module}.{alias.name}" for alias in node.names]
        case ast.Import():
            return [alias.name for alias in node.names if alias.name.startswith("tinytorch.")]
        case ast.Attribute():
            first, _, rest = ast.unparse(node).partition(".")
            return [f"{known[first]}.{rest}"] if first in known else []
        case _:
            return []


def _module_of(name: str) -> CourseModule | None:
    """The module of the course that a dotted name of the framework comes with."""
    import tinytorch

    found: object = tinytorch
    for part in name.split(".")[1:]:
        found = getattr(found, part, None)
    home = found.__name__ if isinstance(found, ModuleType) else getattr(found, "__module__", None)
    parts = str(home or name).split(".")
    if parts[:2] != ["tinytorch", "frontend"] or len(parts) < 3:
        return None
    return next((m for m in manifest().modules if m.name == parts[2]), None)


def _unknown(tree: ast.Module, source: str, exercise: Exercise) -> list[str]:
    """Names that are neither built in, nor defined in the cell or in the file where the definition will stand."""
    there = vars(importlib.import_module(exercise.file.removesuffix(".py").replace("/", ".")))
    here = {node.name for node in ast.walk(tree) if isinstance(node, Function | ast.ClassDef)}
    imports = [alias for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) for alias in n.names]
    here |= {alias.asname or alias.name.partition(".")[0] for alias in imports}
    here |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    text = "from __future__ import annotations\n" + source  # annotations are not evaluated there either
    used = _globals(symtable.symtable(text, exercise.id, "exec"))
    special = {"__class__", "__name__", "__file__"}
    return sorted(used - set(there) - here - set(dir(builtins)) - special - _annotated(tree))


def _annotated(tree: ast.Module) -> set[str]:
    """Names that stand in annotations alone."""
    inside: set[int] = set()
    names: set[str] = set()
    for node in ast.walk(tree):
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(part, ast.AST):
                for name in ast.walk(part):
                    if isinstance(name, ast.Name):
                        inside.add(id(name))
                        names.add(name.id)
    outside = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in inside}
    return names - outside


def _globals(table: symtable.SymbolTable) -> set[str]:
    """The names that code looks for outside of its functions."""
    outermost = table.get_type() == "module"
    used = [symbol for symbol in table.get_symbols() if symbol.is_referenced()]
    found = {symbol.get_name() for symbol in used if outermost or symbol.is_global()}
    for child in table.get_children():
        found |= _globals(child)
    return found


def open_notebook(path: Path) -> NotebookNode:
    """A learner's notebook; CourseError where it is none."""
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook, relax_add_props=True)
    except (OSError, ValueError, TypeError, AttributeError, nbformat.ValidationError) as error:
        raise CourseError(f"{path} is no notebook that can be read: {str(error).splitlines()[0]}") from None
    return notebook


def read_notebook(path: Path) -> dict[str, str]:
    """The code of a learner's notebook by the ids of cells."""
    code = [cell for cell in open_notebook(path).cells if cell.cell_type == "code"]
    return {id: cell.source for cell in code if (id := cell_id(cell)) is not None}
