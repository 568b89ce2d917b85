"""Guards: what a trace read of Python, and whether it is still so.

A trace runs Python once, so everything that the function took from Python (flags of modules, numbers in closures
and globals) is fixed in its graph. These are recorded here and looked at again before each call.
"""

from __future__ import annotations

import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import is_
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.trace import Epoch, Tracked
from tinytorch.frontend.tree import Slot
from tinytorch.ir.errors import TraceError

_PACKAGE = str(Path(__file__).resolve().parent.parent)
_FOREIGN = tuple({_PACKAGE, *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))})
_NAMESPACES = (("types", "SimpleNamespace"), ("argparse", "Namespace"))  # of Python's, but with the user's attributes
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def freeze(item: Any) -> Any:
    """What of `item` can be compared later: plain values by value, everything else by identity."""
    if isinstance(item, Slot):
        return item
    if isinstance(item, float):
        return (float, item.hex())  # NaN is itself, and -0.0 is not 0.0
    if isinstance(item, _PLAIN):
        return (type(item), item)
    if isinstance(item, (list, tuple)):
        return (type(item), tuple(map(freeze, item)))
    if isinstance(item, set):
        return (set, frozenset(map(freeze, item)))
    if isinstance(item, dict):
        return (dict, tuple((key, freeze(value)) for key, value in item.items()))
    if isinstance(item, np.ndarray) and not item.dtype.hasobject:
        return (np.ndarray, item.dtype, item.shape, item.tobytes())
    return _Identity(item)


@dataclass(frozen=True, eq=False)
class _Identity:
    """An object, equal to itself only; holding it keeps its id from being used again."""

    item: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.item is self.item

    def __hash__(self) -> int:
        return id(self.item)


class _Slots:
    """The attributes of an object that keeps them in slots."""

    def __init__(self, item: Any) -> None:
        self.item = item

    def get(self, name: str) -> Any:
        return getattr(self.item, name, None)


_VARIABLES = (dict, types.MappingProxyType, _Slots)


@dataclass(frozen=True)
class _Place:
    """Where a function finds something: a name in a dict of variables or attributes, or a closure's cell."""

    owner: Any
    name: str
    private: bool = False  # an attribute of a class of this package, which replaces containers instead of changing them

    def read(self) -> Any:
        if isinstance(self.owner, _VARIABLES):
            return self.owner.get(self.name)
        try:
            return self.owner.cell_contents
        except ValueError:
            return None


@dataclass
class Guards:
    """A snapshot of attributes and variables; `changed` names the first that differs now."""

    attributes: list[tuple[Any, dict[str, Any]]]
    names: list[tuple[_Place, Any]]  # with what was there, frozen
    epoch: int
    tensors: frozenset[int]  # ids of the tensors that were found

    def __post_init__(self) -> None:
        self._remember()

    def _remember(self) -> None:
        """What the quick look compares with: the very objects, and the content of containers that hold values."""
        cells = [place for place, _ in self.names if not isinstance(place.owner, _VARIABLES)]
        self._cells = [(place.owner, place.read()) for place in cells if hasattr(place.owner, "cell_contents")]
        self._globals = [(p.owner, p.name, p.read()) for p, _ in self.names if isinstance(p.owner, _VARIABLES)]
        places = [p for p, _ in self.names]
        places += [
            _Place(vars(owner), name, private=_is_foreign(owner)) for owner, known in self.attributes for name in known
        ]
        containers = [(p, p.read()) for p in places]
        containers = [(p, item) for p, item in containers if _is_mutable(item)]
        self._contents = [(p, freeze(item)) for p, item in containers if _holds_values(item)]
        others = [(p, item) for p, item in containers if not _holds_values(item)]
        self._lengths = [(item, len(item)) for _, item in others]
        self._items = [(item, _items(item)) for p, item in others if not p.private]

    def unchanged(self) -> bool:
        """The quick look: no attribute was set, every variable is the same object, no container has changed."""
        if Epoch.now != self.epoch:
            return False
        for cell, item in self._cells:
            if cell.cell_contents is not item:
                return False
        for variables, name, item in self._globals:
            if variables.get(name) is not item:
                return False
        for container, length in self._lengths:
            if len(container) != length:
                return False
        for container, items in self._items:
            if not all(map(is_, _items(container), items)):
                return False
        return not self._contents or all(freeze(place.read()) == content for place, content in self._contents)

    def changed(self) -> str | None:
        """The slow look: which attribute or variable has another value, or None."""
        for owner, known in self.attributes:
            now = vars(owner)
            for name, value in known.items():
                if name not in now or freeze(now[name]) != value:
                    return f"{type(owner).__name__}.{name} changed"
        for place, frozen in self.names:
            if freeze(place.read()) != frozen:
                return f"{place.name} changed"
        self._remember()
        self.epoch = Epoch.now
        return None

    def check_untouched(self) -> None:
        """TraceError if the trace itself changed what it read: that would happen in no later call."""
        reason = self.changed()
        if reason is not None:
            raise TraceError(
                f"the function changes Python state while it is traced ({reason}); compiled, that happens once and "
                "not in every call. Keep what changes in a Tensor and use copy_()"
            )


def _is_mutable(item: Any) -> bool:
    return isinstance(item, (list, dict, set, np.ndarray)) or (isinstance(item, tuple) and any(map(_is_mutable, item)))


def _items(container: Any) -> Any:
    return tuple(container.values() if isinstance(container, dict) else container)


def _holds_values(item: Any) -> bool:
    """Whether a container holds plain values, at any depth, which can change without an attribute being set."""
    if isinstance(item, dict):
        return any(map(_holds_values, item.values()))
    if isinstance(item, (list, tuple, set)):
        return any(map(_holds_values, item))
    return isinstance(item, (*_PLAIN, np.ndarray)) and item is not None


def snapshot(function: Callable[..., Any], arguments: Any) -> Guards:
    """Everything of Python that a call of `function` with `arguments` may read and that can be watched.

    Slots stand in `arguments` for the tensors among them.
    """
    found = _Reachable({}, {}, set(), set())
    named = _names_in(_code_of(function))
    found.visit(function, named)
    found.visit(arguments, named)
    watched = [(place, freeze(place.read())) for place in found.names.values()]
    return Guards(list(found.attributes.values()), watched, Epoch.now, frozenset(found.tensors))


@dataclass
class _Reachable:
    """What can be reached from a function: attributes of modules, and the variables and attributes that code names."""

    attributes: dict[int, tuple[Any, dict[str, Any]]]
    names: dict[tuple[int, str], _Place]
    seen: set[int]
    tensors: set[int]

    def visit(self, item: Any, named: frozenset[str]) -> None:
        """Look at `item`, whose attributes are read under the names `named`."""
        if isinstance(item, Tensor):
            self.tensors.add(id(item))
        if id(item) in self.seen or isinstance(item, (*_PLAIN, Tensor, Slot, np.ndarray)):
            return
        self.seen.add(id(item))
        if isinstance(item, Tracked):
            self._tracked(item)
        elif isinstance(item, (list, tuple, set)):
            for part in item:
                self.visit(part, named)
        elif isinstance(item, dict):
            self.visit(list(item.values()), named)
        elif isinstance(item, types.MethodType):
            self.visit(item.__self__, _names_in(_code_of(item.__func__)))
            self.visit(item.__func__, named)
        elif isinstance(item, types.FunctionType):
            self._function(item)
        elif isinstance(item, partial):
            self.visit((item.func, item.args, item.keywords), named)
            self._place(_Place({"partial": (item.args, item.keywords)}, "partial"), named)
        elif not _is_foreign(item):
            self._object(item, named)

    def _tracked(self, item: Tracked) -> None:
        known = {name: value for name, value in vars(item).items() if name not in item.unwatched}
        self.attributes[id(item)] = (item, {name: freeze(value) for name, value in known.items()})
        named = self._methods(item, frozenset(["forward"]))
        for value in known.values():
            self.visit(value, named)

    def _methods(self, item: Any, named: frozenset[str]) -> frozenset[str]:
        """Visit the methods that code names, and those that they name; all names in their code and in `named`."""
        methods = [getattr(type(item), name, None) for name in named]
        methods = [m.fget if isinstance(m, property) else m for m in methods]
        new = [m for m in methods if isinstance(m, types.FunctionType) and id(m) not in self.seen]
        for method in new:
            self.visit(method, named)
        found = named.union(*(_names_in(m.__code__) for m in methods if isinstance(m, types.FunctionType)))
        return found if found == named else self._methods(item, found)

    def _function(self, item: types.FunctionType) -> None:
        if item.__code__.co_filename.startswith(_PACKAGE):
            return
        defaults = [_Place(_Slots(item), name) for name in ("__defaults__", "__kwdefaults__") if getattr(item, name)]
        for place in (*_variables(item), *defaults):
            self._place(place, _names_in(item.__code__))

    def _object(self, item: Any, named: frozenset[str]) -> None:
        """A module, a class, or an object of a class of the user's: the attributes that the code names."""
        if not isinstance(item, types.ModuleType):
            named = self._methods(item, named | {"__call__"})
        worlds = [vars(item)] if hasattr(item, "__dict__") else []
        worlds += [vars(kind) for kind in (item if isinstance(item, type) else type(item)).__mro__]
        for name in named:
            found = [world for world in worlds if name in world and _is_watched(world[name])]
            slot = any(isinstance(world[name], types.MemberDescriptorType) for world in found)
            for world in [_Slots(item)] if slot else [*worlds[:1], *found] if found else []:
                self._place(_Place(world, name), named)

    def _place(self, place: _Place, named: frozenset[str]) -> None:
        self.names[id(place.owner), place.name] = place
        self.visit(place.read(), named)


def _is_foreign(item: Any) -> bool:
    """Whether a module, or what an object is made of, comes from Python, an installed package or this one."""
    if isinstance(item, types.ModuleType):
        return (getattr(item, "__file__", None) or _PACKAGE).startswith(_FOREIGN)
    kind: type = item if isinstance(item, type) else type(item)
    if (kind.__module__, kind.__name__) in _NAMESPACES:
        return False
    home = sys.modules.get(kind.__module__)
    return home is None or (getattr(home, "__file__", None) or "").startswith(_FOREIGN) or home.__name__ == "builtins"


def _is_watched(value: Any) -> bool:
    """Whether an attribute is data or a function; other callables and properties belong to their class."""
    return isinstance(value, types.FunctionType) or not (callable(value) or isinstance(value, property))


def _code_of(function: Any) -> types.CodeType | None:
    function = getattr(function, "__func__", function)
    return getattr(function, "__code__", None)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of a function, and of the functions in it."""
    yield code
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _codes(part)


def _names_in(code: types.CodeType | None) -> frozenset[str]:
    """The names of globals and attributes in a piece of code."""
    return frozenset() if code is None else frozenset(name for part in _codes(code) for name in part.co_names)


def _variables(function: types.FunctionType) -> list[_Place]:
    """The globals and closure cells that the code of `function`, and of functions in it, names."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    variables = function.__globals__
    return [
        *(_Place(cell, name) for name, cell in cells),
        *(_Place(variables, name) for name in sorted(_names_in(function.__code__)) if name in variables),
    ]
