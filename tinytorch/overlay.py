"""A learner's definitions in the place of the framework's own: `TT_OVERLAY=folder`.

Each file of the folder holds definitions behind lines of the form

    # definition: tinytorch/frontend/activations/activations.py:ReLU

An import hook loads the real source of such a file and puts the learner's definition where the real one stands in its
syntax tree, so that all that is imported later sees it: in the module's own namespace, with the learner's file and
lines in tracebacks. Without the variable, this file is not even imported.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

_MARK = re.compile(r"^# definition: (\S+):(\S+)$", re.MULTILINE)
_ABOVE = 1_000_000  # lines of the learner's code are counted from multiples of this until the code is compiled
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Piece:
    """The learner's code for the definition `path` (`Class.method`) of a `target` file of the framework: its text, and
    where it begins."""

    target: str
    path: str
    text: str
    file: Path
    line: int


def read(folder: Path) -> list[Piece]:
    """All definitions of a folder, file by file."""
    pieces: list[Piece] = []
    for file in sorted(folder.glob("*.py")):
        text = file.read_text(encoding="utf-8")
        marks = list(_MARK.finditer(text))
        ends = [mark.start() for mark in marks[1:]] + [len(text)]
        for mark, end in zip(marks, ends, strict=False):  # a file without definitions has an end all the same
            line = text.count("\n", 0, mark.end()) + 2
            pieces.append(Piece(mark[1], mark[2], text[mark.end() + 1 : end], file, line))
    return pieces


def place(folder: Path, file: Path, line: int) -> tuple[Path, int]:
    """The learner's file and line behind those of a traceback. Code outside of functions keeps the framework's file."""
    number, own = divmod(line, _ABOVE)
    if not number:
        return file, line
    return [piece for piece in read(folder) if _ROOT / piece.target == file.resolve()][number - 1].file, own


def install(folder: Path) -> None:
    """Let what is imported from now on be what the folder says; ImportError where there is no such folder."""
    if not folder.is_dir():
        raise ImportError(f"TT_OVERLAY: there is no folder {folder}")
    by_file: dict[Path, list[Piece]] = {}
    for piece in read(folder):
        by_file.setdefault(_ROOT / piece.target, []).append(piece)
    sys.meta_path.insert(0, _Finder(by_file))


class _Finder(MetaPathFinder):
    def __init__(self, pieces: Mapping[Path, Sequence[Piece]]) -> None:
        self._pieces = pieces

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("tinytorch."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        pieces = self._pieces.get(Path(spec.origin).resolve()) if spec and spec.origin else None
        if spec is None or spec.origin is None or not pieces:
            return None
        spec.loader = _Loader(fullname, spec.origin, pieces)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, pieces: Sequence[Piece]) -> None:
        super().__init__(name, path)
        self._pieces_of_code = pieces

    def get_code(self, fullname: str) -> CodeType:
        """The code of the real source with the learner's definitions in it; it is never cached."""
        tree = ast.parse(self.get_data(self.path), self.path)
        for number, piece in enumerate(self._pieces_of_code, 1):
            _replace(tree, piece, number * _ABOVE)
        return _placed(compile(tree, self.path, "exec"), self._pieces_of_code)


def _replace(tree: ast.Module, piece: Piece, lines: int) -> None:
    """Put a definition in the place of the real one; what else the learner's cell holds stands in front of it."""
    written = ast.parse(piece.text, str(piece.file))
    ast.increment_lineno(written, lines + piece.line - 1)
    *classes, name = piece.path.split(".")
    body, outermost = tree.body, 0
    for depth, owner in enumerate(classes):
        at = _index(body, owner, piece)
        outermost = at if depth == 0 else outermost
        found = body[at]
        assert isinstance(found, ast.ClassDef), f"{owner} has no parts"
        body = found.body
    at = _index(body, name, piece)
    outermost = outermost if classes else at
    body[at] = written.body[_index(written.body, name, piece)]
    tree.body[outermost:outermost] = [s for s in written.body if s is not body[at]]


def _index(body: Sequence[ast.stmt], name: str, piece: Piece) -> int:
    for index, node in enumerate(body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return index
    raise ImportError(f"{piece.file}: no definition of {name} for {piece.target}:{piece.path}")


def _placed(code: CodeType, pieces: Sequence[Piece]) -> CodeType:
    """The same code, in which functions of the learner say their own file and line."""
    constants = tuple(_placed(c, pieces) if isinstance(c, CodeType) else c for c in code.co_consts)
    number, line = divmod(code.co_firstlineno, _ABOVE)
    if not number:
        return code.replace(co_consts=constants)
    return code.replace(co_consts=constants, co_filename=str(pieces[number - 1].file), co_firstlineno=line)
