"""Hooks in classes that tell the recorder of this thread which attributes are read and written.

They are there only while a trace runs. Other threads pass through them and are not recorded. In a forked child only
traces of the thread that forked go on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from tinytorch.frontend.guards.freeze import ABSENT
from tinytorch.frontend.module.tracked import recording
from tinytorch.ir.system import locks

_NAMES = ("__getattribute__", "__setattr__", "__delattr__", "__init__")
_lock = threading.Lock()
locks.hold_across_forks(_lock)
_hooked: dict[type, tuple[int, dict[str, Any]]] = {}  # how many traces need the hooks of a class, and what was there


def install(kind: type) -> bool:
    """Hook a class; False if it cannot be changed."""
    with _lock:
        count, before = _hooked.get(kind, (0, {}))
        if not count:
            hooks = {"__getattribute__": _reading(kind.__getattribute__), "__setattr__": _writing(kind.__setattr__)}
            hooks |= {"__delattr__": _writing(kind.__delattr__), "__init__": _making(kind.__init__)}
            before = {name: vars(kind)[name] for name in hooks if name in vars(kind)}
            try:
                for name, hook in hooks.items():
                    type.__setattr__(kind, name, hook)
            except TypeError:
                return False
        _hooked[kind] = (count + 1, before)
        return True


def remove(kinds: Iterable[type]) -> None:
    """Leave the classes as they were."""
    with _lock:
        for kind in kinds:
            count, before = _hooked.pop(kind)
            if count > 1:
                _hooked[kind] = (count - 1, before)
            else:
                _unhook(kind, before)


def _unhook(kind: type, before: dict[str, Any]) -> None:
    for name in _NAMES:
        if name in before:
            type.__setattr__(kind, name, before[name])
        elif name in vars(kind):
            type.__delattr__(kind, name)


class _Others:
    """Traces of other threads, which a forked child has not."""

    def forget_parent(self) -> None:
        if recording.recorder is None:
            for kind, (_, before) in _hooked.items():
                _unhook(kind, before)
            _hooked.clear()


_others = _Others()
locks.renew_in_child(_others)


def attribute_of(kind: type, name: str) -> Any:
    """What a class itself has under a name, behind the hooks; ABSENT if nothing."""
    known = _hooked.get(kind) if name in _NAMES else None
    return vars(kind).get(name, ABSENT) if known is None else known[1].get(name, ABSENT)


def has_own_lookup(kind: type) -> bool:
    """Whether a class finds attributes in a way of its own, behind the hook."""
    return attribute_of(kind, "__getattribute__") is not ABSENT


def _reading(original: Any) -> Any:
    def __getattribute__(self: Any, name: str) -> Any:
        recorder = recording.recorder
        if recorder is None:
            return original(self, name)
        try:
            return original(self, name)
        finally:  # also of an attribute that is not there; and after a cached property has stored itself
            recorder.read(self, name)

    return __getattribute__


def _making(original: Any) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if recording.recorder is not None:
            recording.recorder.made(self)
        if original is not object.__init__:  # which refuses what a __new__ has taken
            original(self, *args, **kwargs)

    return __init__


def _writing(original: Any) -> Any:
    def change(self: Any, name: str, *value: Any) -> None:
        if recording.recorder is not None:
            recording.recorder.write(self, name)
        original(self, name, *value)

    return change
