"""Source locations: the user's file and line behind each node, and the module it belongs to."""

from __future__ import annotations

import functools
import linecache
import os
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

# As the files of code are called: by the path that Python found the package under, which may go over links, or `//`.
_PACKAGE = os.path.dirname(os.path.dirname(__file__))
_FOLDERS = tuple(folder + os.sep for folder in (_PACKAGE, os.path.abspath(os.environ.get("TT_OVERLAY") or _PACKAGE)))
_LIBRARY = os.path.dirname(os.__file__) + os.sep  # Python's own
_SITES = tuple(_LIBRARY + name for name in ("site-packages", "dist-packages"))
_BACKGROUND = ("threading", "multiprocessing.process")  # modules that call what runs beside the program
GRADIENT = "′"  # behind the name of the op whose gradient a node is a part of
_shown: dict[str, dict[Any, Any]] = {}  # by file, what warnings of its lines are not shown again
_SAMPLES = os.path.join(_PACKAGE, "samples.py")  # models as users write them


@dataclass(frozen=True)
class Loc:
    """A line of the user's program, and what a node that comes from it is for.

    `scope` is the path of the module that ran the line, such as `model.layers.0`. `phase` is "backward" for a node of
    gradients, "update" for one of an optimizer's step, and empty for all others, which are forward. `part_of` names the
    op that the node is a part of: a composite that was spelled out, `relu′` if it is the gradient of relu, or the
    optimizer.
    """

    file: str
    line: int
    scope: str = ""
    phase: str = ""
    part_of: str = ""

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"

    def during(self, phase: str, part_of: str = "") -> Loc:
        """The same line in another phase, for a part of an op."""
        return _during(self, phase, part_of)

    def inside(self, composite: str) -> Loc:
        """The same line for a node of a composite's definition. The outermost composite has the name."""
        return self if self.part_of else _during(self, self.phase, composite)

    def describe(self) -> str:
        """`model.py:14: h = x @ self.w1`, with the source text where it can be read."""
        return f"{self}: {self.source}" if self.source else str(self)

    @property
    def source(self) -> str:
        """The text of the line; "" where it cannot be read."""
        lines = source_lines(self.file)
        return lines[self.line - 1].strip() if 0 < self.line <= len(lines) else ""


def source_lines(path: str) -> list[str]:
    """The lines of a file, or of a notebook's cell, which Python keeps under a name; none where it cannot be read."""
    readable = path in linecache.cache or os.path.isfile(path)  # a name in text may be a device
    return linecache.getlines(path) if readable else []


@functools.lru_cache(maxsize=4096)  # equal ones are one object, as the nodes of a line are many
def _during(loc: Loc, phase: str, part_of: str) -> Loc:
    return replace(loc, phase=phase, part_of=part_of)


@functools.lru_cache(maxsize=4096)
def is_package_file(path: str) -> bool:
    """Whether code is of this package, or stands in the place of some; its samples stand for the user's."""
    return path.startswith(_FOLDERS) and path != _SAMPLES


@functools.lru_cache(maxsize=4096)
def _is_librarys_file(path: str) -> bool:
    """Whether a file is of Python itself, where no line is the user's (`contextlib` calls what it wraps)."""
    return path.startswith((_LIBRARY, "<frozen ")) and not path.startswith(_SITES)


def is_program_file(path: str) -> bool:
    """Whether a file is of the user's program: not of this package, of Python itself, or of what was installed."""
    installed = any(f"{os.sep}{name}{os.sep}" in path for name in ("site-packages", "dist-packages"))
    return not (is_package_file(path) or _is_librarys_file(path) or installed)


def _is_generated(frame: FrameType) -> bool:
    """Whether this is the __init__ of a dataclass of the package."""
    return frame.f_code.co_filename == "<string>" and frame.f_globals.get("__name__", "").startswith("tinytorch.")


def user_loc(scope: str = "", phase: str = "", part_of: str = "") -> Loc | None:
    """The first frame outside the package and Python itself, or None where there is none: in threads and processes
    of the package."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if not is_package_file(file := frame.f_code.co_filename):
            if frame.f_globals.get("__name__") in _BACKGROUND:
                return None
            if not (_is_librarys_file(file) or _is_generated(frame)):
                return Loc(file, frame.f_lineno, scope, phase, part_of)
        frame = frame.f_back
    return None


def warn(message: str, kind: type[Warning] = UserWarning) -> None:
    """Warn of the user's line, once for each unless filters say otherwise."""
    loc = user_loc()
    if loc is None:
        warnings.warn(message, kind, stacklevel=2)
    else:
        warnings.warn_explicit(message, kind, loc.file, loc.line, registry=_shown.setdefault(loc.file, {}))
