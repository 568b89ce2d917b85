"""Records what a trace reads: lookups of attributes as they happen, variables as the code names them."""

from __future__ import annotations

import copy
import enum
import functools
import os
import random
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
from numpy.random import get_state  # now: what numpy imports at the first use, a fork could cut in two

from tinytorch.frontend.guards import hooks
from tinytorch.frontend.guards.code import NO_NAMES, Names
from tinytorch.frontend.guards.freeze import ABSENT
from tinytorch.frontend.guards.lookups import InDict, Kind, Parts, holds_parts
from tinytorch.frontend.guards.opaque import state_of
from tinytorch.frontend.guards.places import is_foreign
from tinytorch.frontend.guards.reach import Loads, Reach, attributes_in
from tinytorch.frontend.module.tracked import Tracked, attributes_of, record
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TraceError
from tinytorch.ir.loc import Loc, is_package_file, user_loc


class Watch(Reach):
    """The lookups of one trace. `written`: attributes that the trace set before it read them, as they were."""

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        self._done: set[tuple[int, str]] = set()
        self._made: dict[int, Any] = {}  # objects of the trace itself, whose attributes nobody had set before
        self._hooked: list[type] = []
        self._tracing = False
        self._array_reads: dict[tuple[int, str], list[Loads | None]] = {}

    @contextmanager
    def running(self, function: Callable[..., Any], arguments: Any) -> Generator[None]:
        """Around the trace of `function(*arguments)`."""
        states = _draws()
        try:
            self._hook(Tracked)
            self.start(function, arguments)
            with record(self):
                self._tracing = True
                yield
            self.finish()
            self._refuse_draws(states)
        finally:
            hooks.remove(self._hooked)

    def where(self) -> Loc | None:
        return user_loc() if self._tracing else self.loc

    def _hook(self, kind: type) -> bool:
        if kind not in self._hooked:
            if not hooks.install(kind):
                return False
            self._hooked.append(kind)
        return True

    def instance(self, item: Any, names: Names, label: str) -> bool:
        if isinstance(item, Tracked) or id(item) in self._made:
            return True
        if not self._hook(type(item)):
            return False
        self.watch_kind(item, label, attributes_in(item))
        return True

    def kind(self, item: type) -> None:
        if not (is_foreign(item) or issubclass(item, (Tracked, Tensor, enum.Enum, BaseException))):
            self._hook(item)  # so that objects which the trace makes of it are known

    # Told by the hooks.
    def read(self, owner: Any, name: str) -> None:
        if name.startswith("__") and name.endswith("__") and name != "__dict__":
            return
        key = (id(owner), name)
        if name == "__dict__" and _reader().f_code is _COPIES:
            self.made(owner)
        if id(owner) in self._made:
            return
        if key in self._array_reads:  # every instruction that reads an array counts
            self._array_reads[key].append(_loads())
        if key in self._done or key in self.written or name in getattr(type(owner), "unwatched", ()):
            return
        self._done.add(key)
        self.seen.setdefault(id(owner), owner)
        with record(None):
            if hooks.has_own_lookup(type(owner)):
                self.whole(owner)
            if name == "__dict__":
                if _reader().f_code.co_filename != functools.__file__:  # where cached_property keeps values there
                    self.whole(owner)
            else:
                self._read(owner, name)

    def _read(self, owner: Any, name: str) -> None:
        world = attributes_in(owner)
        kind = type(owner)
        label = kind.__name__
        self.note_kind(kind)
        loads = None
        if world is not None and isinstance(world.get(name), np.ndarray):
            array, loads = world[name], _loads()
            self._array_reads[id(owner), name] = self.places(f"{label}.{name}", array)
        if not isinstance(owner, Tracked):
            self.attribute(owner, world, name, NO_NAMES, label, loads)
            return
        if (id(owner), "kind") not in self.counted:
            self.counted[id(owner), "kind"] = Kind(f"the class of {label}", owner, None)
        raw = self._of_class(kind, world, name, NO_NAMES)
        if not hasattr(type(raw), "__set__"):
            lookup = self.counted.setdefault((id(owner), name), InDict(f"{label}.{name}", world, name))
            self.visit(lookup.found, NO_NAMES, lookup.label, loads)

    def made(self, owner: Any) -> None:
        with record(None):
            self.constructed(type(owner))
        if id(owner) not in self.seen:  # else its __init__ is called once more
            self._made[id(owner)] = owner

    def parts(self, owner: Any) -> None:
        key = (id(owner), "parts of")
        if key in self._done or id(owner) in self._made:
            return
        self._done.add(key)
        with record(None):
            self.seen.setdefault(id(owner), owner)
            self.counted[key] = Parts(owner)
            for value in tuple(attributes_of(owner).values()):
                if holds_parts(value):
                    self.visit(value, NO_NAMES, f"{type(owner).__name__}: a part")

    def write(self, owner: Any, name: str) -> None:
        key = (id(owner), name)
        if key in self._done or name in getattr(type(owner), "unwatched", ()):
            return
        world = attributes_in(owner)
        if id(owner) in self.seen and world is not None:  # not made in the trace
            self.written.setdefault(key, (owner, name, world.get(name, ABSENT)))

    # Random numbers.
    def _refuse_draws(self, states: dict[str, Any]) -> None:
        names = [thread.name for thread in threading.enumerate()]
        others = [name for name in names if not name.startswith("tinytorch-") or name == "tinytorch-prefetch"]
        trusted = self.draws or len(others) == 1  # another thread may have drawn
        moved = [name for name, state in _draws().items() if trusted and state != states[name]]
        moved += [label for label, item, state in self.random.values() if state_of(item) != state]
        if moved:
            raise TraceError(
                f"the function draws random numbers from {moved[0]} while it is traced: compiled, every call would "
                "have the same ones. Draw from tt.rand(), tt.randn() … or a tt.Generator, or pass the numbers as "
                "arguments",
                self.loc,
            )


def _draws() -> dict[str, Any]:
    """The states of the generators of Python and numpy that everybody shares."""
    state: Any = get_state(legacy=True)
    return {"`random`": random.getstate(), "`np.random`": (state[1].tobytes(), *state[2:])}


def _reader() -> FrameType:
    """The frame that reads an attribute, behind those of hooks and recorders."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_code.co_filename.startswith(_HERE) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _loads() -> Loads | None:
    """The instruction of the user's that reads an attribute."""
    frame = _reader()
    return None if is_package_file(frame.f_code.co_filename) else [(frame.f_code, frame.f_lasti)]


_HERE = os.path.dirname(__file__)
_COPIES = vars(copy)["_reconstruct"].__code__  # fills a copy's dict


def tracked_in(function: Callable[..., Any], arguments: Any) -> list[Tracked]:
    """Every module and optimizer that a call may reach."""
    walk = _Deep()
    walk.start(function, arguments)
    return walk.found


class _Deep(Reach):
    """Follows attributes without waiting for somebody to read them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tracked] = []

    def instance(self, item: Any, names: Names, label: str) -> bool:
        if isinstance(item, Tracked):
            self.found.append(item)
        for value in tuple((attributes_in(item) or {}).values()):
            self.visit(value, names, label)
        return isinstance(item, Tracked)
