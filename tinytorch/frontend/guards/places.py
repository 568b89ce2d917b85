"""Whose code it is: the user's, or that of Python, an installed package or this one."""

from __future__ import annotations

import os
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

PACKAGE = str(Path(__file__).resolve().parent.parent.parent)
_INSTALLED = {PACKAGE, *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))}
_FOREIGN = tuple(path + os.sep for path in _INSTALLED)
_NAMESPACES = (("types", "SimpleNamespace"), ("argparse", "Namespace"))  # of Python's, but with the user's attributes


def is_foreign_file(path: str) -> bool:
    """Whether a file is not the user's. Code of notebooks and `exec` stands in no file and is."""
    return path.startswith((*_FOREIGN, "<frozen"))


def is_package_code(code: types.CodeType) -> bool:
    return code.co_filename.startswith(PACKAGE + os.sep)


def is_foreign(item: Any) -> bool:
    """Whether a module, a class or the class of an object comes from elsewhere."""
    if isinstance(item, types.ModuleType):
        return _is_foreign_module(item)
    kind: type = item if isinstance(item, type) else type(item)
    if is_namespace(kind):
        return False
    home = sys.modules.get(kind.__module__)
    return home is not None and _is_foreign_module(home)


def _is_foreign_module(module: types.ModuleType) -> bool:
    path = getattr(module, "__file__", None)
    if path is None:  # built in, or made by a notebook or a test
        return module.__name__.partition(".")[0] in sys.stdlib_module_names and module.__name__ != "__main__"
    return is_foreign_file(path)


def is_package(kind: type) -> bool:
    """Whether a class is of this package."""
    return kind.__module__.partition(".")[0] == __name__.partition(".")[0] and is_foreign(kind)


def is_namespace(kind: type) -> bool:
    return (kind.__module__, kind.__name__) in _NAMESPACES
