"""Guards: what a trace read of Python, and whether it is still so.

A trace runs Python once, so everything that the function took from Python (flags of modules, numbers in closures
and globals) is fixed in its graph. These are recorded here and looked at again before each call.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.trace import Epoch, Slot, Tracked
from tinytorch.ir.errors import TraceError

_PACKAGE = str(Path(__file__).resolve().parent.parent)
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def freeze(item: Any) -> Any:
    """What of `item` can be compared later: plain values by value, everything else by identity."""
    if isinstance(item, Slot):
        return item
    if isinstance(item, _PLAIN):
        return (type(item), item if item == item else "nan")
    if isinstance(item, (list, tuple)):
        return (type(item), tuple(map(freeze, item)))
    if isinstance(item, set):
        return (set, frozenset(map(freeze, item)))
    if isinstance(item, dict):
        return (dict, tuple((key, freeze(value)) for key, value in item.items()))
    return _Identity(item)


@dataclass(frozen=True, eq=False)
class _Identity:
    """An object, equal to itself only; holding it keeps its id from being used again."""

    item: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.item is self.item

    def __hash__(self) -> int:
        return id(self.item)


@dataclass(frozen=True)
class _Place:
    """Where a function finds something: a name in a dict of variables or attributes, or a closure's cell."""

    owner: Any
    name: str

    def read(self) -> Any:
        if isinstance(self.owner, dict):
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

    def __post_init__(self) -> None:
        self._remember()

    def _remember(self) -> None:
        """What the quick look compares with: the very objects, and the content of containers that hold values."""
        cells = [place for place, _ in self.names if not isinstance(place.owner, dict)]
        self._cells = [(place.owner, place.read()) for place in cells if hasattr(place.owner, "cell_contents")]
        self._globals = [(p.owner, p.name, p.read()) for p, _ in self.names if isinstance(p.owner, dict)]
        places = [p for p, _ in self.names]
        places += [_Place(vars(owner), name) for owner, known in self.attributes for name in known]
        containers = [(p, p.read()) for p in places]
        containers = [(p, item) for p, item in containers if isinstance(item, (list, dict, set))]
        self._contents = [(p, freeze(item)) for p, item in containers if _holds_values(item)]
        self._lengths = [(item, len(item)) for _, item in containers if not _holds_values(item)]

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


def _holds_values(item: Any) -> bool:
    """Whether a container holds plain values, at any depth, which can change without an attribute being set."""
    if isinstance(item, dict):
        return any(map(_holds_values, item.values()))
    if isinstance(item, (list, tuple, set)):
        return any(map(_holds_values, item))
    return isinstance(item, _PLAIN) and item is not None


def snapshot(function: Callable[..., Any], arguments: Any) -> Guards:
    """Everything of Python that a call of `function` with `arguments` may read and that can be watched."""
    attributes: dict[int, tuple[Any, dict[str, Any]]] = {}
    names: dict[tuple[int, str], _Place] = {}
    _visit(function, attributes, names, set())
    _visit(arguments, attributes, names, set())
    watched = [(place, freeze(place.read())) for place in names.values()]
    return Guards(list(attributes.values()), watched, Epoch.now)


def _visit(item: Any, attributes: dict[int, Any], names: dict[tuple[int, str], _Place], seen: set[int]) -> None:
    if id(item) in seen or isinstance(item, (*_PLAIN, Tensor)):
        return
    seen.add(id(item))
    if isinstance(item, Tracked):
        attributes[id(item)] = (
            item,
            {name: freeze(value) for name, value in vars(item).items() if name not in item.unwatched},
        )
        for name, value in vars(item).items():
            if name in item.unwatched:
                continue
            _visit(value, attributes, names, seen)
        forward = getattr(type(item), "forward", None)
        _visit(forward, attributes, names, seen)
    elif isinstance(item, (list, tuple)):
        for part in item:
            _visit(part, attributes, names, seen)
    elif isinstance(item, dict):
        _visit(list(item.values()), attributes, names, seen)
    elif isinstance(item, types.MethodType):
        _visit(item.__self__, attributes, names, seen)
        _visit(item.__func__, attributes, names, seen)
    elif isinstance(item, types.FunctionType) and not item.__code__.co_filename.startswith(_PACKAGE):
        for name in _variables(item):
            names[id(name.owner), name.name] = name
            _visit(name.read(), attributes, names, seen)


def _variables(function: types.FunctionType) -> list[_Place]:
    """The globals and closure cells that the code of `function`, and of functions in it, names."""
    found = [
        _Place(cell, name) for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    ]
    codes = [function.__code__]
    for code in codes:
        codes += [c for c in code.co_consts if isinstance(c, types.CodeType)]
        found += [_Place(function.__globals__, n) for n in code.co_names if n in function.__globals__]
    return found
