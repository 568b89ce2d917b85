"""Objects of classes from elsewhere: constants, random generators, what can be compared whole, what is refused."""

from __future__ import annotations

import concurrent.futures
import contextvars
import datetime
import decimal
import fractions
import io
import logging
import operator
import pathlib
import random
import re
import threading
import types
import typing
import uuid
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.frontend.guards.freeze import ABSENT, BUFFERS, CONTAINERS, PLAIN, parts_in

_LIMIT = 10_000  # objects in one that is compared whole

# What has no state that a result could depend on, or none that changes; as have descriptors.
_CONSTANT: tuple[type, ...] = (
    *PLAIN, slice, range, type(...), type(NotImplemented), np.generic, np.dtype, np.ufunc, np.finfo, np.iinfo,
    types.BuiltinFunctionType, types.WrapperDescriptorType, types.MethodDescriptorType, types.MethodWrapperType,
    types.ClassMethodDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType, types.CodeType,
    types.GenericAlias, types.UnionType, typing.TypeVar, typing.ParamSpec, operator.attrgetter, operator.itemgetter,
    operator.methodcaller, re.Pattern, pathlib.PurePath, datetime.date, datetime.time, datetime.timedelta,
    datetime.tzinfo, decimal.Decimal, fractions.Fraction, uuid.UUID, logging.Logger, logging.Handler, io.IOBase,
    type(threading.Lock()), type(threading.RLock()), threading.Thread, threading.Condition, threading.Event,
    concurrent.futures.Executor, type(typing.Any),
    type(np.sum), np.vectorize,
)  # fmt: skip


def is_constant(item: Any) -> bool:
    kind = type(item)
    if isinstance(item, (contextvars.ContextVar, threading.local)):
        return False
    plain = kind is object or isinstance(item, _CONSTANT)  # object(): a mark
    return plain or kind.__module__ in ("typing", "_thread") or hasattr(kind, "__get__")


def is_random(item: Any) -> bool:
    """Whether an object is a generator of random numbers, whose state is compared before and after the trace."""
    return isinstance(item, (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator))


def state_of(generator: Any) -> Any:
    """The state of a generator of random numbers, to be compared."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        state: Any = generator.get_state(legacy=True)
        return state[0], state[1].tobytes(), *state[2:]
    bits = generator.bit_generator if isinstance(generator, np.random.Generator) else generator
    return repr(bits.state)


def look_at(item: Any) -> Callable[[], Any] | None:
    """A function that gives everything of an object of a Python class that can be compared; None where it has parts
    that cannot."""
    if isinstance(item, contextvars.ContextVar):
        variable: contextvars.ContextVar[Any] = item
        return None if _state(variable.get(None)) is None else lambda: _state(variable.get(ABSENT))
    if not hasattr(item, "__dict__") or isinstance(item, weakref.ref) or _state(item) is None:
        return None
    return lambda: _state(item)


class _Opaque(Exception):
    """Something in an object cannot be compared."""


def _state(item: Any) -> Any:
    try:
        return _Look()(item)
    except (_Opaque, RecursionError):
        return None


class _Look:
    """Turns an object and what it holds into values and ids."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def __call__(self, item: Any) -> Any:
        if isinstance(item, float):
            return item.hex()
        if isinstance(item, PLAIN):
            return type(item), item
        if isinstance(item, (type, types.FunctionType, types.MethodType, types.ModuleType)) or is_constant(item):
            return id(item)
        if id(item) in self.seen:
            return "seen", id(item)
        self.seen.add(id(item))
        if len(self.seen) > _LIMIT:
            raise _Opaque
        return id(item), *self._parts(item)

    def _parts(self, item: Any) -> tuple[Any, ...]:
        if isinstance(item, np.ndarray) and not item.dtype.hasobject:
            return item.dtype, item.shape, item.tobytes()
        if isinstance(item, BUFFERS):
            return (bytes(item),)
        parts: list[Any] = []
        if isinstance(item, CONTAINERS):
            parts += map(self, parts_in(item))
        attributes = getattr(item, "__dict__", None)
        if attributes is None and not isinstance(item, CONTAINERS):
            raise _Opaque
        return (*parts, *((name, self(value)) for name, value in (attributes or {}).items()))


def refusal(label: str, item: Any) -> str:
    kind = type(item)
    return (
        f"{label} is {_article(kind.__name__)} ({kind.__module__}.{kind.__qualname__}), whose state a compiled "
        "function cannot watch; pass what is needed of it as an argument, or keep it in tensors, numbers or lists"
    )


def _article(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"
