"""Values in a form that can be compared later."""

from __future__ import annotations

import array
import dataclasses
import enum
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tinytorch.frontend.tree import Slot
from tinytorch.ir.errors import TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import DType

PLAIN = (bool, int, float, complex, str, bytes, type(None))
CONTAINERS = (list, tuple, OrderedDict, dict, set, frozenset, deque)
BUFFERS = (bytearray, array.array)


class Absent:
    """Stands for what is not there."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT = Absent()


def freeze(item: Any) -> Any:
    """What of `item` can be compared later: values and containers of them by content, everything else by identity.

    The result is hashable: the static arguments of a call become its key in this way. Arrays count by identity too,
    since their elements are watched where they lie.
    """
    try:
        return _frozen(item)
    except RecursionError:
        raise TraceError("a container holds itself, or is nested too deeply to be compared", user_loc()) from None


def _frozen(item: Any) -> Any:
    kind = type(item)
    if kind in _RULES:
        return _RULES[kind](item)
    for base, rule in _BASES:
        if isinstance(item, base):
            return rule(item)
    if isinstance(item, enum.Enum) or not _is_frozen_dataclass(item):
        return Identity(item)
    return _fields(item)


@dataclass(frozen=True, eq=False)
class Identity:
    """An object, equal to itself only; holding it keeps its id from being used again."""

    item: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and other.item is self.item

    def __hash__(self) -> int:
        return id(self.item)


def _is_frozen_dataclass(item: Any) -> bool:
    parameters = getattr(type(item), "__dataclass_params__", None)
    return parameters is not None and parameters.frozen and parameters.eq


def _fields(item: Any) -> Any:
    """An equal frozen dataclass is as good, unless it holds more than its fields."""
    names = [field.name for field in dataclasses.fields(item)]
    more = getattr(item, "__dict__", {}).keys() - set(names)
    return Identity(item) if more else (type(item), *(_frozen(getattr(item, name)) for name in names))


def _value(item: Any) -> Any:
    return Identity(item) if getattr(item, "__dict__", None) else (type(item), item)  # a subclass may keep more


def _float(item: float) -> Any:
    if getattr(item, "__dict__", None):
        return Identity(item)
    return (type(item), item.hex())  # NaN is itself, and -0.0 is not 0.0


def _complex(item: complex) -> Any:
    return (type(item), item.real.hex(), item.imag.hex())


def _items(item: Iterable[Any]) -> Any:
    return (type(item), tuple(map(_frozen, raw_items(item))), *_extra(item))


def _set(item: Any) -> Any:
    return (type(item), frozenset(map(_frozen, raw_items(item))), *_extra(item))


def _dict(item: Any) -> Any:
    pairs = zip(raw_items(item), raw_values(item), strict=True)
    return (type(item), tuple((_frozen(key), _frozen(value)) for key, value in pairs), *_extra(item))


def _extra(item: Any) -> tuple[Any, ...]:
    """What a container is besides its items: the factory of a defaultdict; itself, where a subclass has attributes."""
    return (Identity(factory_of(item)), *((Identity(item),) if getattr(item, "__dict__", None) else ()))


def factory_of(container: Any) -> Any:
    """What a defaultdict makes its values with; None of any other container."""
    return container.default_factory if isinstance(container, defaultdict) else None


def _slice(item: slice) -> Any:
    return (slice, _frozen(item.start), _frozen(item.stop), _frozen(item.step))


def _partial(item: partial[Any]) -> Any:
    return (type(item), _frozen(item.func), _frozen(item.args), _frozen(item.keywords))


def _method(item: types.MethodType) -> Any:
    return (types.MethodType, Identity(item.__self__), Identity(item.__func__))


def _scalar(item: np.generic) -> Any:
    return (type(item), item.dtype, item.tobytes())


def raw_items(container: Any) -> Iterable[Any]:
    """The items of a container, the keys of a dict, whatever a subclass makes of iteration."""
    base: Any = next(kind for kind in CONTAINERS if isinstance(container, kind))
    return base.__iter__(container)


def raw_values(container: Any) -> Iterable[Any]:
    """The values of a dict, in the order of its keys."""
    if isinstance(container, OrderedDict):
        return [dict.__getitem__(container, key) for key in raw_items(container)]
    return dict.values(container)


def parts_in(container: Any) -> list[Any]:
    """The items of a container; of a dict, its keys and values."""
    return [*raw_items(container), *(raw_values(container) if isinstance(container, dict) else ())]


_RULES: dict[type, Callable[[Any], Any]] = {
    **dict.fromkeys((bool, int, str, bytes, type(None), DType, type(...), range), _value),
    float: _float,
    complex: _complex,
    Slot: lambda item: item,
    slice: _slice,
    types.MethodType: _method,
    partial: _partial,
}
_BASES: list[tuple[Any, Callable[[Any], Any]]] = [
    (enum.Enum, Identity),
    (np.generic, _scalar),
    (np.dtype, _value),
    (float, _float),
    (complex, _complex),
    ((int, str, bytes), _value),
    (dict, _dict),
    ((set, frozenset), _set),
    ((list, tuple, deque), _items),
    (partial, _partial),
]
