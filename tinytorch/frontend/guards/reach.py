"""What a function can reach: variables that its code names, what they hold, and the functions among it."""

from __future__ import annotations

import abc
import builtins
import enum
import functools
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tinytorch.frontend.guards.code import NO_NAMES, Names, asks_type, codes_in, loads_of, names_in, uses_global
from tinytorch.frontend.guards.freeze import ABSENT, BUFFERS, CONTAINERS, PLAIN, factory_of, parts_in
from tinytorch.frontend.guards.hooks import attribute_of
from tinytorch.frontend.guards.lookups import (
    Bases,
    Code,
    Content,
    Elements,
    InCell,
    InClass,
    InDict,
    InSlot,
    Kind,
    Lookup,
    Whole,
)
from tinytorch.frontend.guards.opaque import is_constant, is_random, look_at, refusal, state_of
from tinytorch.frontend.guards.outside import environment_of, modules_of, underlying
from tinytorch.frontend.guards.places import is_foreign, is_foreign_file, is_namespace, is_package, is_package_code
from tinytorch.frontend.module.tracked import Tracked, TrackedDict, TrackedList, attributes_of
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tree import Slot
from tinytorch.ir.errors import TraceError
from tinytorch.ir.loc import Loc

Loads = Sequence[tuple[types.CodeType, int]]  # the instructions that push a value

# Methods that Python calls without looking an attribute up, but that do not run in a call of the function.
_UNCALLED = frozenset(
    f"__{name}__"
    for name in (
        "init", "new", "init_subclass", "class_getitem", "subclasshook", "repr", "str", "del", "reduce", "reduce_ex",
        "getstate", "setstate", "sizeof", "set_name", "annotate", "annotate_func", "post_init", "getattribute",
        "setattr", "delattr",
    )
)  # fmt: skip


_CONSTRUCTORS = ("__new__", "__init__", "__post_init__")
_CACHES = frozenset({"dispatch_cache", "cache_token"})  # of functools.singledispatch, which follow from its registry


class Reach:
    """Collects lookups. `lookups` are to be tested in every call, `counted` (attributes of modules and optimizers)
    only if the epoch has moved, or if a class changed."""

    def __init__(self) -> None:
        self.lookups: dict[Any, Lookup] = {}
        self.counted: dict[Any, Lookup] = {}
        self.arrays: dict[int, tuple[Elements, list[Loads | None]]] = {}
        self.tensors: set[int] = set()
        self.random: dict[int, tuple[str, Any, Any]] = {}  # generators, and the states they were found in
        self.seen: dict[int, Any] = {}  # by id; holding the objects keeps their ids from being used again
        self.draws = False
        self.loc: Loc | None = None
        self._named_only: dict[int, Any] = {}  # what is watched by the names that code spells
        self._named_with: set[tuple[int, Names]] = set()
        self._all_names = NO_NAMES
        self._instances: list[Any] = []
        self._kinds: set[type] = set()
        self._class_names = NO_NAMES  # read from classes of objects: type(x).name
        self._static = False
        self._holders: list[tuple[Any, dict[str, Any], dict[str, Any]]] = []  # functions: attributes now, and at first
        self._imports: list[tuple[types.FunctionType, str]] = []  # modules that were not there yet
        self.asks_type = False  # some code calls type() on what may be an argument

    def start(self, function: Callable[..., Any], arguments: Any) -> None:
        """Visit what `function` names, and static arguments: the containers among them are compared by the call."""
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        self.loc = Loc(code.co_filename, code.co_firstlineno) if isinstance(code, types.CodeType) else None
        names = names_in(code) if isinstance(code, types.CodeType) else NO_NAMES
        self.visit(function, names, "the function")
        self._static = True
        self.visit(arguments, names, "an argument")
        self._static = False
        self._spread()

    # Hooks for what looks deeper.
    def instance(self, item: Any, names: Names, label: str) -> bool:
        """Told of an object of a class written in Python; whether its attributes are taken care of."""
        return isinstance(item, Tracked)

    def kind(self, item: type) -> None:
        """Told of a class."""

    def whole(self, item: Any) -> None:
        """Watch all attributes of an object."""
        world = attributes_in(item)
        if world is not None:
            label = f"{type(item).__name__}.__dict__"
            self.lookups[id(world), "content"] = Content(label, world)
            for value in tuple(world.values()):
                self.visit(value, NO_NAMES, label)

    def where(self) -> Loc | None:
        """The line that an error names."""
        return self.loc

    # Adding lookups.
    def add(self, key: Any, make: Callable[[], Lookup], names: Names, loads: Loads | None = None) -> None:
        """Watch what a lookup finds, and visit that."""
        known = self.lookups.get(key)
        if known is None:
            known = self.lookups[key] = make()
        self.visit(known.found, names, known.label, loads)

    def in_dict(self, label: str, variables: Any, key: str, names: Names, loads: Loads | None = None) -> None:
        self.add((id(variables), key), lambda: InDict(label, variables, key), names, loads)

    def in_class(self, kind: type, key: str, names: Names) -> Any:
        """Watch what a class gives for a name; the raw attribute, which may be a descriptor."""
        place = (kind, key)
        known = self.lookups.get(place)
        if known is None:
            if not is_foreign(kind) and (kind, "bases") not in self.lookups:
                self.lookups[kind, "bases"] = Bases(kind)
            known = self.lookups[place] = InClass(f"{kind.__name__}.{key}", kind, key)
            self.visit(known.found, names, known.label)
            function = getattr(known.found, "__func__", None)
            takes_class = isinstance(known.found, classmethod) or key == "__new__"
            if takes_class and isinstance(function, types.FunctionType):
                self._named(kind, names_in(function.__code__))
        return known.found

    def places(self, label: str, array: Any) -> list[Loads | None]:
        """Where code reads an array, to be added to; None is a place that is not known."""
        if id(array) not in self.arrays:
            self.arrays[id(array)] = (Elements(label, array), [])
        return self.arrays[id(array)][1]

    # Visiting.
    def visit(self, item: Any, names: Names, label: str, loads: Loads | None = None) -> None:
        """Look at an object that code with these `names` reads attributes of."""
        if isinstance(item, np.ndarray):
            self.places(label, item).append(loads)
            for part in item.flat if item.dtype == object else ():
                self.visit(part, names, label)
            return
        if isinstance(item, Tensor):
            self.tensors.add(id(item))
            return
        if isinstance(item, (*PLAIN, Slot)) and (is_foreign(item) or type(item) in PLAIN):
            return
        if isinstance(item, (type, types.ModuleType, types.SimpleNamespace)) or is_namespace(type(item)):
            self.seen[id(item)] = self._named_only[id(item)] = item
            if isinstance(item, type):
                self.kind(item)
                self._metaclass(item, names)
                if any("__class_getitem__" in vars(base) for base in item.__mro__ if not is_foreign(base)):
                    self.in_class(item, "__class_getitem__", names)
            self._named(item, names)
            self._spread_to(item, self._all_names)
            return
        if id(item) not in self.seen:
            self.seen[id(item)] = item
            self._visit_new(item, names, label)

    def _visit_new(self, item: Any, names: Names, label: str) -> None:
        if isinstance(item, types.FunctionType):
            self._function(item, names)
        elif isinstance(item, CONTAINERS):
            self._container(item, names, label)
            if not is_foreign(item):
                self._instance(item, names, label)
        elif isinstance(item, types.MethodType):
            self.visit(item.__func__, names, label)
            self.visit(item.__self__, names, label)
        elif isinstance(item, functools.partial):
            self._container(item.keywords, names, label)
            self._whole(item, label, lambda: (id(item.func), tuple(map(id, item.args))))
            for part in (item.func, *item.args):
                self.visit(part, names, label)
        elif isinstance(item, (classmethod, staticmethod)):
            self.visit(item.__func__, names, label)
        elif isinstance(item, (property, functools.cached_property)):
            self.visit(item.fget if isinstance(item, property) else item.func, names, label)
        elif isinstance(item, enum.Enum):
            self.visit(item.value, names, label)
            self.visit(type(item), names, label)
            self._holders.append((item, vars(item), dict(vars(item))))
        elif isinstance(item, BUFFERS):
            self._whole(item, label, lambda: bytes(item))
        elif is_random(item):
            self.random[id(item)] = (label, item, state_of(item))
        elif (inner := underlying(item)) is not None:
            self.visit(inner, names, label)
        elif isinstance(item, Tracked) or not is_foreign(item):
            self._instance(item, names, label)
        else:
            self._foreign(item, names, label)

    def _whole(self, item: Any, label: str, look: Callable[[], Any]) -> None:
        self.lookups[id(item), "whole"] = Whole(label, look)

    def _container(self, item: Any, names: Names, label: str) -> None:
        if not isinstance(item, (tuple, frozenset)) and not self._static:
            counts = isinstance(item, (TrackedList, TrackedDict))
            (self.counted if counts else self.lookups)[id(item), "content"] = Content(label, item)
        self.visit(factory_of(item), names, label)
        for part in parts_in(item):
            self.visit(part, names, label)

    def _foreign(self, item: Any, names: Names, label: str) -> None:
        """An object of a class from elsewhere: its function, if it wraps one; its state, if that can be compared."""
        wrapped = getattr(item, "__wrapped__", None) or (
            vars(item).get("function") if is_package(type(item)) and hasattr(item, "__dict__") else None
        )
        if isinstance(wrapped, (types.FunctionType, types.MethodType, Tracked)):
            self.visit(wrapped, names, label)
        elif not (is_package(type(item)) or is_constant(item)):
            look = look_at(item)
            if look is None:
                raise TraceError(refusal(label, item), self.where())
            self._whole(item, label, look)

    def _metaclass(self, item: type, names: Names) -> None:
        """A class whose class is the user's is an object of it."""
        kind = type(item)
        if not is_foreign(kind):
            for name in self._specials(kind):
                self.in_class(kind, name, names)
            for value in self._descriptors(kind):
                self.visit(value, names, kind.__name__)
        elif isinstance(item, abc.ABCMeta) and not is_foreign(item):
            self.lookups["registered classes"] = Whole("a class registered with an abstract one", abc.get_cache_token)

    def constructed(self, kind: type) -> None:
        """The trace calls a class: what its constructors read is read."""
        for name in _CONSTRUCTORS:
            bases = [base for base in kind.__mro__ if not is_foreign(base)]
            if any(attribute_of(base, name) is not ABSENT for base in bases):
                self.in_class(kind, name, NO_NAMES)

    # Functions.
    def _function(self, item: types.FunctionType, names: Names) -> None:
        code = item.__code__
        if is_package_code(code):  # a wrapper, maybe
            for cell in item.__closure__ or ():
                self.visit(InCell("", cell).found, NO_NAMES, item.__name__)
            return
        for name, cell in zip(code.co_freevars, item.__closure__ or (), strict=True):
            if code.co_filename != functools.__file__ or name not in _CACHES:
                self._cell(item, name, cell)
        self.lookups[id(item), "code"] = Code(item)
        for part in (item.__defaults__, item.__kwdefaults__):
            self.visit(part, names_in(code), f"a default of {item.__name__}()")
        wrapped = getattr(item, "__wrapped__", None)
        self.visit(wrapped, names, item.__name__)
        self._holders.append((item, vars(item), dict(vars(item))))
        if is_foreign_file(code.co_filename):
            return
        for name in sorted(names_in(code).variables):
            self._global(item, name)
        self._all_names |= names_in(code)
        for holder in tuple(self._named_only.values()):  # before the trace reads what is in them
            self._spread_to(holder, names_in(code))
        if {"type", "__class__"} & (names_in(code).variables | names_in(code).attributes):
            self._class_names |= names_in(code)
            for kind in tuple(self._kinds):
                self._named_class(kind)
        for module in modules_of(item):
            self._module(item, module)
        for content in environment_of(item):
            self.lookups[id(content), "content"] = Content("the environment", content)
        self.asks_type |= asks_type(code)

    def _cell(self, item: types.FunctionType, name: str, cell: types.CellType) -> None:
        names = names_in(item.__code__)
        loads = [(part, at) for part in codes_in(item.__code__) for at in loads_of(part, name, local=True)]
        self.add(id(cell), lambda: InCell(name, cell), names, loads)
        kind = self.lookups[id(cell)].found
        if name == "__class__" and isinstance(kind, type):  # super() looks in the bases
            for base in kind.__mro__[1:-1]:
                self._named(base, names)

    def _global(self, item: types.FunctionType, name: str) -> None:
        code, variables = item.__code__, item.__globals__
        names = names_in(code)
        self._note_randomness(name, variables.get(name), names)
        if name in variables:
            loads = [(part, at) for part in codes_in(code) for at in loads_of(part, name, local=False)]
            self.in_dict(name, variables, name, names, loads)
        elif hasattr(builtins, name) or uses_global(code, name):  # the global comes first, should there be one later
            self.in_dict(name, variables, name, NO_NAMES)
            self.in_dict(name, vars(builtins), name, NO_NAMES)

    def _module(self, item: types.FunctionType, name: str) -> None:
        """Watch a module that a function imports when it runs."""
        names = names_in(item.__code__)
        if name not in sys.modules:
            self._imports.append((item, name))
            return
        self._note_randomness(name, sys.modules[name], names)
        if not is_foreign(sys.modules[name]):
            self.in_dict(f"the module {name}", sys.modules, name, names)

    def _note_randomness(self, name: str, value: Any, names: Names) -> None:
        module = value if isinstance(value, types.ModuleType) else None
        home = module.__name__ if module else getattr(value, "__module__", None) or ""
        self.draws |= home in ("random", "numpy.random", "numpy.random.mtrand") or (
            home == "numpy" and "random" in names.attributes
        )
        owner = getattr(value, "__self__", None)
        self.draws |= owner is not None and is_random(owner)

    # Objects.
    def _instance(self, item: Any, names: Names, label: str) -> None:
        kind = type(item)
        for name in self._specials(kind):
            self.in_class(kind, name, names)
        for value in self._descriptors(kind):
            self.visit(value, names, kind.__name__)
        self.note_kind(kind)
        self._instances.append(item)
        if not self.instance(item, names, label):
            self._named_only[id(item)] = item
            self._named(item, names)

    def note_kind(self, kind: type) -> None:
        """Told of the class of an object."""
        if kind not in self._kinds:
            self._kinds.add(kind)
            self._named_class(kind)

    def _named_class(self, kind: type) -> None:
        """What code reads as type(x).name, and so of the class of any object."""
        if self._class_names is not NO_NAMES and not is_foreign(kind):
            self._named(kind, self._class_names)

    def _specials(self, kind: type) -> Iterable[str]:
        """The user's methods that Python calls by itself, such as __call__."""
        worlds = [vars(base) for base in kind.__mro__ if not is_foreign(base)]
        return {
            name
            for world in worlds
            for name, value in world.items()
            if name.startswith("__") and name not in _UNCALLED and callable(value)
        }

    def _descriptors(self, kind: type) -> list[Any]:
        """Objects of the user's in a class that give the values of attributes."""
        values = (value for base in kind.__mro__ if not is_foreign(base) for value in vars(base).values())
        return [value for value in values if hasattr(type(value), "__get__") and not is_foreign(value)]

    def _named(self, item: Any, names: Names) -> None:
        """A module, a class, or an object whose reads are not recorded: the attributes that the code names."""
        if is_foreign(item) and not isinstance(item, type):
            self._added(item, names)
            return
        place = (id(item), names)
        if place in self._named_with:
            return
        self._named_with.add(place)
        world = attributes_in(item)
        keys = set(names.attributes)
        if names.computed and isinstance(item, types.ModuleType):
            self.lookups[id(world), "content"] = Content(f"a variable of {item.__name__}", world)
        elif names.computed and world is not None:
            keys |= {key for key in world if not key.startswith("__")}
        label = getattr(item, "__name__", type(item).__name__)
        for key in sorted(keys):
            if isinstance(item, type):
                self._class_attribute(item, key, names)
            else:
                self.attribute(item, world, key, names, label)

    def _added(self, item: Any, names: Names) -> None:
        """Functions of the user's in a module from elsewhere."""
        if isinstance(item, types.ModuleType):
            for key in names.attributes & vars(item).keys():
                if _is_users(vars(item)[key]):
                    self.in_dict(f"{item.__name__}.{key}", vars(item), key, names)

    def _class_attribute(self, kind: type, key: str, names: Names) -> None:
        """Classes of Python and of packages are taken to stay as they are, but for the methods of this one."""
        if not is_foreign(kind) or (is_package(kind) and key in vars(kind)):
            self.in_class(kind, key, names)
        if not is_foreign(type(kind)):
            self.in_class(type(kind), key, names)

    def attribute(self, item: Any, world: Any, key: str, names: Names, label: str, loads: Loads | None = None) -> None:
        """Watch an attribute of an object: first its class is asked, then the object, then the class again."""
        kind = type(item)
        raw = ABSENT if isinstance(item, types.ModuleType) else self._of_class(kind, world, key, names)
        if isinstance(raw, types.MemberDescriptorType):
            self.add((id(item), key), lambda: InSlot(f"{label}.{key}", item, raw), names, loads)
        elif world is not None and not hasattr(type(raw), "__set__"):
            self.in_dict(f"{label}.{key}", world, key, names, loads)

    def _of_class(self, kind: type, world: Any, key: str, names: Names) -> Any:
        if is_foreign(kind) and not is_package(kind):
            return ABSENT
        if is_package(kind) and ((world is not None and key in world) or key.startswith("_")):
            return ABSENT  # classes of this package keep their insides
        return self.in_class(kind, key, names)

    def finish(self) -> None:
        """What is watched by name may have been handed on to other code than that which found it."""
        if "__getattribute__" in self._all_names.attributes:  # object.__getattribute__(x, name) passes the hooks by
            for item in self._instances:
                self.whole(item)
        self._spread()
        for item, name in self._imports:
            if name in sys.modules:
                self._module(item, name)
        for key in self._all_names.attributes & vars(Tensor).keys():
            if _is_users(vars(Tensor)[key]):
                self.in_class(Tensor, key, self._all_names)
        for item, now, before in self._holders:
            self._attributes_of(item, now, before)
        self._spread()

    def _attributes_of(self, item: Any, now: dict[str, Any], before: dict[str, Any]) -> None:
        """Watch what functions and members of enums keep in attributes; those that the trace added have changed."""
        label = getattr(item, "__name__", type(item).__name__)
        for key in now.keys() - before.keys():
            added = InDict(f"{label}.{key}", before, key)
            added.variables = now
            self.lookups[id(now), key] = added
        for key in self._all_names.attributes & before.keys():
            self.in_dict(f"{label}.{key}", now, key, self._all_names)

    def _spread(self) -> None:
        """Apply the names of all code that was found to what is watched by name."""
        names = None
        while names != self._all_names:
            names = self._all_names
            for item in tuple(self._named_only.values()):
                self._spread_to(item, names)

    def _spread_to(self, item: Any, names: Names) -> None:
        only_spelled = isinstance(item, (type, types.ModuleType))
        self._named(item, Names(names.variables, names.attributes) if only_spelled else names)

    def watch_kind(self, item: Any, label: str, world: Any) -> None:
        self.lookups[id(item), "kind"] = Kind(label, item, world)


def _is_users(item: Any) -> bool:
    return isinstance(item, types.FunctionType) and not is_foreign_file(item.__code__.co_filename)


def attributes_in(item: Any) -> Any:
    """The dict of an object's attributes, without asking the object; None for one without."""
    if isinstance(item, Tracked):
        return attributes_of(item)
    if isinstance(item, types.ModuleType):
        return vars(item)
    if isinstance(item, type):
        return vars(item)
    try:
        return object.__getattribute__(item, "__dict__")
    except AttributeError:
        return None
