"""Whose code it is: the user's, or that of Python, an installed package or this one."""

from __future__ import annotations

import builtins
import os
import sys
import sysconfig
import types
from typing import Any

_NAME = __name__.partition(".")[0]
PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # as Python found it: over links, or with `//`
_SITES = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
_INSTALLED = {
    PACKAGE,
    os.path.dirname(os.__file__),
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
}
_FOREIGN = tuple(path + os.sep for path in _INSTALLED)
_MADE = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_NAMESPACES = (("types", "SimpleNamespace"), ("argparse", "Namespace"))  # of Python's, but with the user's attributes
_unused: dict[str, int] = {}  # by an installed package: how many modules were loaded when none used this one, or 0


def is_foreign_file(path: str) -> bool:
    """Whether a file is not the user's. Code of notebooks and `exec` stands in no file and is; so is that of an
    installed package that uses this one, as a package of models does."""
    if path.startswith(PACKAGE + os.sep):
        return True
    for site in _SITES:
        if site in path:
            return not _uses_tensors(path.rpartition(site)[2].partition(os.sep)[0].removesuffix(".py"))
    return path.startswith((*_FOREIGN, "<frozen"))


def _uses_tensors(package: str) -> bool:
    """Whether a module of a package that was loaded has something of this package among its variables."""
    loaded = len(sys.modules)
    if _unused.get(package) not in (0, loaded):
        modules = [module for name, module in tuple(sys.modules.items()) if name.partition(".")[0] == package]
        items = (item for module in modules for item in tuple(getattr(module, "__dict__", {}).values()))
        _unused[package] = 0 if any(map(_is_ours, items)) else loaded
    return not _unused[package]


def _is_ours(item: Any) -> bool:
    if isinstance(item, types.ModuleType):
        name = item.__name__
    else:
        name = item.__module__ if isinstance(item, (type, types.FunctionType)) else None
    return isinstance(name, str) and name.partition(".")[0] == _NAME


def is_package_code(code: types.CodeType) -> bool:
    return code.co_filename.startswith(PACKAGE + os.sep)


def is_foreign(item: Any) -> bool:
    """Whether a module, a class or the class of an object comes from elsewhere."""
    if isinstance(item, types.ModuleType):
        return _is_foreign_module(item)
    kind: type = item if isinstance(item, type) else type(item)
    if is_namespace(kind) or _is_of_nameless_code(kind):
        return False
    home = sys.modules.get(kind.__module__)
    return home is not None and _is_foreign_module(home)


def _is_of_nameless_code(kind: type) -> bool:
    """Whether a class comes from `exec` with variables that have no `__name__`: it then looks as if it were built in,
    where no class is made when the program runs."""
    is_made = bool(kind.__flags__ & _MADE)
    return is_made and kind.__module__ == "builtins" and getattr(builtins, kind.__name__, None) is not kind


def _is_foreign_module(module: types.ModuleType) -> bool:
    path = getattr(module, "__file__", None)
    if path is None:  # built in, or made by a notebook or a test
        return module.__name__.partition(".")[0] in sys.stdlib_module_names and module.__name__ != "__main__"
    return is_foreign_file(path)


def is_package(kind: type) -> bool:
    """Whether a class is of this package."""
    return kind.__module__.partition(".")[0] == _NAME and is_foreign(kind)


def is_namespace(kind: type) -> bool:
    return (kind.__module__, kind.__name__) in _NAMESPACES
