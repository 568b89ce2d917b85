"""Objects whose attributes a trace reads: every assignment moves a counter, and every read can be recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol, Self, TypeVar

from tinytorch.frontend.constructors import clear_subclass

_T = TypeVar("_T")


class Epoch:
    """Counts changes to attributes of modules and optimizers; compiled functions look for changes when it moves."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0


epoch = Epoch()


class Recorder(Protocol):
    """What is told of the attributes that a trace reads and writes."""

    def read(self, owner: Any, name: str) -> None: ...
    def write(self, owner: Any, name: str) -> None: ...
    def made(self, owner: Any) -> None: ...
    def parts(self, owner: Any) -> None: ...


class _Recording(threading.local):
    """The recorder of the trace that runs in this thread."""

    recorder: Recorder | None = None


recording = _Recording()


@contextmanager
def record(recorder: Recorder | None) -> Generator[None]:
    """Tell `recorder` of reads and writes in this thread; None for bookkeeping that results do not depend on."""
    before, recording.recorder = recording.recorder, recorder
    try:
        yield
    finally:
        recording.recorder = before


class _Attributes:
    """Owns the slot for `__dict__`, which `Tracked` hides behind a property."""


attributes_of: Callable[[Any], dict[str, Any]] = vars(_Attributes)["__dict__"].__get__  # unnoticed, unlike vars()


class Tracked(_Attributes):
    """Base of modules and optimizers: a compiled function that read its attributes sees when they change.

    `unwatched` are attributes that no forward reads: `_last` is what a module keeps of its last call for backward().
    """

    unwatched: ClassVar[frozenset[str]] = frozenset({"_last"})

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        clear_subclass(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        if recording.recorder is not None:
            recording.recorder.made(made)
        return made

    def __setattr__(self, name: str, value: Any) -> None:
        epoch.now += 1
        if recording.recorder is not None:
            recording.recorder.write(self, name)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        epoch.now += 1
        if recording.recorder is not None:
            recording.recorder.write(self, name)
        object.__delattr__(self, name)

    @property
    def __dict__(self) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """All attributes; who asks for them may change them, so it counts as a change."""
        epoch.now += 1
        return attributes_of(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        attributes_of(self).update(state)


def parts_of(owner: Tracked) -> dict[str, Any]:
    """The attributes of `owner`, for looking among them for tensors and modules: plain values are not read."""
    if recording.recorder is not None:
        recording.recorder.parts(owner)
    return attributes_of(owner)


class Computed(Protocol):
    """How an attribute of a module is computed each time that it is read, and what assigning to it does."""

    def value(self, owner: Any) -> Any: ...
    def assign(self, owner: Any, value: Any) -> None: ...


def compute(owner: Any, name: str, how: Computed) -> None:
    """Have an attribute of a module computed from now on."""
    delattr(owner, name)
    owner._computed = {**owner._computed, name: how}


def compute_no_more(owner: Any, name: str) -> None:
    """Let an attribute be an ordinary one again, which is not there yet."""
    owner._computed = {other: how for other, how in owner._computed.items() if other != name}


class TrackedList(list[_T]):
    """A list whose changes count as those of attributes: optimizers keep what they hold in such."""

    __slots__ = ()


class TrackedDict(dict[str, _T]):
    """A dict whose changes count as those of attributes."""

    __slots__ = ()


def _counting(original: Any) -> Any:
    """A method that moves the epoch before it changes its container."""

    def change(self: Any, *args: Any, **kwargs: Any) -> Any:
        epoch.now += 1
        return original(self, *args, **kwargs)

    return change


_CHANGES = ("__setitem__", "__delitem__", "clear", "pop")
for _name in (*_CHANGES, "__iadd__", "__imul__", "append", "extend", "insert", "remove", "reverse", "sort"):
    setattr(TrackedList, _name, _counting(getattr(list, _name)))
for _name in (*_CHANGES, "__ior__", "popitem", "setdefault", "update"):
    setattr(TrackedDict, _name, _counting(getattr(dict, _name)))
