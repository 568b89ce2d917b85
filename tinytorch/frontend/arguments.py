"""Arguments of layers, losses, optimizers and loaders, checked: an error names the argument, what it got, and the
user's line."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc


class ArgumentTypeError(TinyTorchError, TypeError):
    """An argument is of the wrong kind, such as a bool where a number is meant."""


class ArgumentValueError(TinyTorchError, ValueError):
    """An argument is of the right kind, but makes no sense."""


class ArgumentIndexError(TinyTorchError, IndexError):
    """An argument names a place that does not exist."""


class ArgumentMemoryError(ShapeError, MemoryError):
    """A result would not fit into memory."""


def shown(value: Any) -> str:
    """A value in a message: tensors and arrays by their types, the rest as Python writes it, if that is short."""
    if hasattr(value, "dtype") and getattr(value, "shape", ()) != () and not isinstance(value, type):
        return f"{type(value).__name__} {value.dtype}{list(value.shape)}"
    text = repr(value)
    return text if len(text) <= 200 and "\n" not in text else f"a {type(value).__name__}"


def wrong_type(what: str, name: str, wanted: str, value: Any) -> ArgumentTypeError:
    return ArgumentTypeError(f"{what}: {name} is {wanted}, got {shown(value)}", user_loc())


def wrong_value(what: str, name: str, wanted: str, value: Any) -> ArgumentValueError:
    return ArgumentValueError(f"{what}: {name} is {wanted}, got {shown(value)}", user_loc())


def integer(what: str, name: str, value: Any, least: int | None = None) -> int:
    """`value` as an int, of at least `least`. True and 2.0 are none."""
    wanted = {None: "an integer", 0: "an integer that is not negative", 1: "a positive integer"}
    described = wanted.get(least, f"an integer of at least {least}")
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise wrong_type(what, name, described, value)
    try:
        number = operator.index(value)
    except TypeError:  # an array of several integers has the method too
        raise wrong_type(what, name, described, value) from None
    if least is not None and number < least:
        raise wrong_value(what, name, described, value)
    return number


def number(what: str, name: str, value: Any, accepts: Callable[[float], bool], wanted: str) -> float:
    """`value`, a number (no bool) that `accepts` takes; `wanted` describes it. NaN must fail in `accepts`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise wrong_type(what, name, wanted, value)
    if not accepts(float(value)):
        raise wrong_value(what, name, wanted, value)
    return value  # pyright: ignore[reportReturnType]


def not_negative(what: str, name: str, value: Any) -> float:
    return number(what, name, value, lambda x: 0 <= x < math.inf, "a number that is not negative")


def positive(what: str, name: str, value: Any) -> float:
    return number(what, name, value, lambda x: x > 0, "a positive number")


def finite(what: str, name: str, value: Any) -> float:
    return number(what, name, value, math.isfinite, "a finite number")


def fraction(what: str, name: str, value: Any) -> float:
    return number(what, name, value, lambda x: 0 <= x <= 1, "a number between 0 and 1")


def probability(what: str, name: str, value: Any) -> float:
    return number(what, name, value, lambda x: 0 <= x <= 1, "a probability")


def flag(what: str, name: str, value: Any) -> bool:
    """`value`, if it is True or False: a word or a number in its place would be read as True."""
    if not isinstance(value, (bool, np.bool_)):
        raise wrong_type(what, name, "True or False", value)
    return bool(value)


def choice(what: str, name: str, value: Any, *choices: str) -> str:
    """`value`, if it is one of these words."""
    if not isinstance(value, str) or value not in choices:
        *others, last = (f'"{word}"' for word in choices)
        raise wrong_value(what, name, f"{', '.join(others)} or {last}", value)
    return value


def instance(what: str, name: str, value: Any, kind: type, *, optional: bool = False) -> None:
    """An error unless `value` is a `kind` (or, if `optional`, None)."""
    if not isinstance(value, kind) and not (optional and value is None):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise wrong_type(what, name, f"{article} {kind.__name__}{' or None' if optional else ''}", value)


def function(what: str, name: str, value: Any, *, optional: bool = False) -> None:
    """An error unless `value` can be called (or, if `optional`, is None)."""
    if not callable(value) and not (optional and value is None):
        raise wrong_type(what, name, f"a function{' or None' if optional else ''}", value)
