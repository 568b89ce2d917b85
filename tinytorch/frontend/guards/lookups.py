"""Lookups: how a trace found something, what it found, and the test that the same lookup still finds it."""

from __future__ import annotations

import gc
import types
from collections.abc import Callable, Iterator
from operator import is_
from typing import Any

import numpy as np

from tinytorch.frontend.guards.freeze import ABSENT, factory_of, freeze, raw_items, raw_values
from tinytorch.frontend.guards.hooks import attribute_of
from tinytorch.frontend.guards.places import is_foreign
from tinytorch.frontend.module.tracked import Tracked, attributes_of
from tinytorch.frontend.tensor import Tensor

Name = Callable[[Any], str]  # gives an object a name in the code of the quick look
_INLINE = 8  # containers up to this size are compared by an expression of their own
_BLOCK = 1 << 16


class Lookup:
    """`now()` looks again; `test` writes that as a Python expression, true where exactly the same object is found."""

    label: str
    found: Any = None  # the object
    frozen: Any  # and its content, where it has any

    def now(self) -> Any:
        raise NotImplementedError

    def same(self) -> bool:
        """Whether exactly the same object is found."""
        return self.now() is self.found

    def test(self, name: Name) -> str:
        return f"{name(self.same)}()"

    def changed(self) -> bool:
        """The slow look: by value. What is found now is remembered."""
        now = self.now()
        if now is self.found:
            return False
        if freeze(now) != self.frozen:
            return True
        self.found = now
        return False


class InDict(Lookup):
    """A name in a dict of variables or attributes."""

    def __init__(self, label: str, variables: Any, key: str) -> None:
        self.label, self.variables, self.key = label, variables, key
        self.found = self.now()
        self.frozen = freeze(self.found)

    def now(self) -> Any:
        return self.variables.get(self.key, ABSENT)

    def test(self, name: Name) -> str:
        if self.found is ABSENT:
            return f"{self.key!r} not in {name(self.variables)}"
        return f"{name(self.variables)}[{self.key!r}] is {name(self.found)}"


class InCell(Lookup):
    """A variable of a closure."""

    def __init__(self, label: str, cell: types.CellType) -> None:
        self.label, self.cell = label, cell
        self.found = self.now()
        self.frozen = freeze(self.found)

    def now(self) -> Any:
        try:
            return self.cell.cell_contents
        except ValueError:
            return ABSENT

    def test(self, name: Name) -> str:
        if self.found is ABSENT:
            return f"{name(_is_empty)}({name(self.cell)})"
        return f"{name(self.cell)}.cell_contents is {name(self.found)}"


def _is_empty(cell: types.CellType) -> bool:
    return cell == types.CellType()


class InSlot(Lookup):
    """An attribute that the object's class keeps in a slot."""

    def __init__(self, label: str, owner: Any, slot: types.MemberDescriptorType) -> None:
        self.label, self.owner, self.slot = label, owner, slot
        self.found = self.now()
        self.frozen = freeze(self.found)

    def now(self) -> Any:
        try:
            return self.slot.__get__(self.owner)
        except AttributeError:
            return ABSENT

    def test(self, name: Name) -> str:
        if self.found is ABSENT:
            return f"{name(self.now)}() is {name(ABSENT)}"
        return f"{name(self.slot.__get__)}({name(self.owner)}) is {name(self.found)}"


class InClass(Lookup):
    """A name that is looked up in a class and its bases."""

    def __init__(self, label: str, kind: type, key: str) -> None:
        self.label, self.kind, self.key = label, kind, key
        self.worlds: list[Any] = []  # where it is not, among classes that a user may change, and where it is
        self.found: Any = ABSENT
        for base in kind.__mro__:
            world = _dict_of(base)
            self.found = attribute_of(base, key)
            if self.found is not ABSENT:
                self.worlds.append(world)
                break
            if not is_foreign(base):
                self.worlds.append(world)
        self.frozen = freeze(self.found)

    def now(self) -> Any:
        for base in self.kind.__mro__:
            found = attribute_of(base, self.key)
            if found is not ABSENT:
                return found
        return ABSENT

    def test(self, name: Name) -> str:
        worlds = self.worlds if self.found is ABSENT else self.worlds[:-1]
        tests = [f"{self.key!r} not in {name(world)}" for world in worlds]
        if self.found is not ABSENT:
            tests.append(f"{name(self.worlds[-1])}[{self.key!r}] is {name(self.found)}")
        return " and ".join(tests) or "True"


def _dict_of(kind: type) -> Any:
    """The dict behind the read-only view of a class's attributes, which takes three times as long; only to read."""
    found = gc.get_referents(vars(kind))
    return found[0] if len(found) == 1 and type(found[0]) is dict else vars(kind)


class Bases(Lookup):
    """The order in which a class and its bases are searched."""

    def __init__(self, kind: type) -> None:
        self.label, self.kind = f"the bases of {kind.__name__}", kind
        self.found = self.now()
        self.frozen = freeze(self.found)

    def now(self) -> Any:
        return self.kind.__mro__

    def test(self, name: Name) -> str:
        return f"{name(self.kind)}.__mro__ is {name(self.found)}"


class Kind(Lookup):
    """The class of an object, and the dict that holds its attributes."""

    def __init__(self, label: str, owner: Any, world: Any) -> None:
        self.label, self.owner, self.world = label, owner, world
        self.found = type(owner)
        self.frozen = freeze(self.found)

    def now(self) -> Any:
        known = self.world is None or object.__getattribute__(self.owner, "__dict__") is self.world
        return type(self.owner) if known else ABSENT

    def test(self, name: Name) -> str:
        owner = name(self.owner)
        place = "" if self.world is None else f" and {owner}.__dict__ is {name(self.world)}"
        return f"{name(type)}({owner}) is {name(self.found)}{place}"


class Code(Lookup):
    """The code and the defaults of a function, which tools that reload modules replace."""

    def __init__(self, function: types.FunctionType) -> None:
        self.label, self.function = f"{function.__name__}()", function
        self.found = (function.__code__, function.__defaults__, function.__kwdefaults__)
        self.frozen = freeze(self.found)

    def now(self) -> Any:
        parts = (self.function.__code__, self.function.__defaults__, self.function.__kwdefaults__)
        return self.found if all(map(is_, parts, self.found)) else parts

    def test(self, name: Name) -> str:
        function = name(self.function)
        names = ("__code__", "__defaults__", "__kwdefaults__")
        parts = [(n, p) for n, p in zip(names, self.found, strict=True) if p is not None]  # calls did without others
        return " and ".join(f"{function}.{n} is {name(p)}" for n, p in parts)


class Content(Lookup):
    """What is in a container, by identity at first and by value if that fails."""

    def __init__(self, label: str, container: Any) -> None:
        self.label, self.container = label, container
        self._remember()
        self.frozen = freeze(container)

    def _remember(self) -> None:
        self.keys = list(raw_items(self.container))
        self.values = list(raw_values(self.container)) if isinstance(self.container, dict) else None
        self.factory = factory_of(self.container)
        self.found = (*self.keys, *(self.values or ()))

    def changed(self) -> bool:
        if self.same():
            return False
        if freeze(self.container) != self.frozen:
            return True
        self._remember()
        return False

    def same(self) -> bool:
        """Whether the very same objects are in it, in the same order."""
        container = self.container
        if len(self.keys) != len(container) or not all(map(is_, raw_items(container), self.keys)):
            return False
        if factory_of(container) is not self.factory:
            return False
        return self.values is None or all(map(is_, raw_values(container), self.values))

    def test(self, name: Name) -> str:
        container = name(self.container)
        small = len(self.keys) <= _INLINE
        if small and type(self.container) is list:
            tests = [f"{container}[{i}] is {name(item)}" for i, item in enumerate(self.keys)]
            return " and ".join([f"len({container}) == {len(self.keys)}", *tests])
        if small and type(self.container) is dict and all(type(key) is str for key in self.keys):
            items = zip(self.keys, self.values or (), strict=True)
            tests = [f"{container}[{key!r}] is {name(value)}" for key, value in items]
            first = (
                f"[*{container}] == {name(self.keys)}" if len(self.keys) > 1 else f"len({container}) == {len(tests)}"
            )
            return " and ".join([first, *tests])
        return f"{name(self.same)}()"


class Whole(Lookup):
    """An object that is compared whole: `look` gives what of it can be compared."""

    def __init__(self, label: str, look: Callable[[], Any]) -> None:
        self.label, self.look = label, look
        self.frozen = look()

    def changed(self) -> bool:
        return not self.same()

    def same(self) -> bool:
        return self.look() == self.frozen

    def test(self, name: Name) -> str:
        return f"{name(self.same)}()"


class Parts(Lookup):
    """The modules and tensors among the attributes of a module, and containers of such."""

    def __init__(self, owner: Tracked) -> None:
        self.label = f"{type(owner).__name__}: a part"
        self.world = attributes_of(owner)
        self.names, self.values = self._parts()

    def _parts(self) -> tuple[list[str], list[Any]]:
        found = [(key, value) for key, value in self.world.items() if holds_parts(value)]
        return [key for key, _ in found], [value for _, value in found]

    def changed(self) -> bool:
        return not self.same()

    def same(self) -> bool:
        names, values = self._parts()
        return names == self.names and all(map(is_, values, self.values))


def holds_parts(item: Any) -> bool:
    if isinstance(item, (Tracked, Tensor)):
        return True
    if isinstance(item, (list, tuple, dict)):
        return any(map(holds_parts, item.values() if isinstance(item, dict) else item))
    return False


class Elements(Lookup):
    """The elements of an array that Python code reads, compared without a copy of those that are there now."""

    def __init__(self, label: str, array: Any) -> None:
        self.label, self.array = label, array
        self.saved = array.copy()
        self.layout = (array.dtype, array.shape)

    def changed(self) -> bool:
        return not self.same()

    def same(self) -> bool:
        array = self.array
        return (array.dtype, array.shape) == self.layout and same_bits(array, self.saved)

    def test(self, name: Name) -> str:
        return f"{name(self.same)}()"


def same_bits(a: Any, b: Any) -> bool:
    """Whether two arrays of one dtype and shape hold the same bits; compared in blocks, which stay in caches."""
    if a.dtype.hasobject:
        return all(map(is_, a.flat, b.flat))
    if a.nbytes <= 512:
        return a.tobytes() == b.tobytes()
    if a.flags.c_contiguous and b.flags.c_contiguous:
        return all(np.array_equal(x, y) for x, y in _blocks(a, b))
    if a.nbytes <= _BLOCK:
        return same_bits(np.ascontiguousarray(a), np.ascontiguousarray(b))
    if a.shape[0] == 1:
        return same_bits(a[0], b[0])
    half = a.shape[0] // 2
    return same_bits(a[:half], b[:half]) and same_bits(a[half:], b[half:])


def _blocks(a: Any, b: Any) -> Iterator[tuple[Any, Any]]:
    """The bytes of two contiguous arrays, side by side."""
    a, b = (x.reshape(-1).view(np.uint8) for x in (a, b))
    words = a.size // 8 * 8 if a.ctypes.data % 8 == 0 and b.ctypes.data % 8 == 0 else 0
    wide = [x[:words].view(np.uint64) for x in (a, b)]
    yield from _slices(*wide, step=_BLOCK // 8)
    yield from _slices(a[words:], b[words:], step=_BLOCK)


def _slices(a: Any, b: Any, step: int) -> Iterator[tuple[Any, Any]]:
    return ((a[at : at + step], b[at : at + step]) for at in range(0, a.size, step))
