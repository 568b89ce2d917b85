"""How modules, losses, optimizers, schedulers and the like are made: an error names the class that the user wrote, and
its arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from tinytorch.frontend.binding import explained, of_user
from tinytorch.ir.errors import TinyTorchError

_Class = TypeVar("_Class", bound=type)


def clearly_made(cls: _Class) -> _Class:
    """A decorator for classes of the package whose constructor users call: what is wrong with its arguments becomes an
    error that names the class, the arguments that there are, and the user's line."""
    if "__init__" in vars(cls):
        cls.__init__ = _clear(cls.__init__)
    return cls


def clear_subclass(cls: type) -> None:
    """`clearly_made` for a subclass, if the package defines it: users' classes stay as they are."""
    if cls.__module__.startswith("tinytorch."):
        clearly_made(cls)


def _clear(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **options: Any) -> None:
        try:
            init(self, *args, **options)
        except (TypeError, ValueError, AttributeError, OverflowError, LookupError, MemoryError) as error:
            if isinstance(error, TinyTorchError) or of_user(error):
                raise
            raise explained(_signature(init), _known(type(self)), args, options, error) from error

    return __init__


def _known(cls: type) -> str:
    """The first class that the package gives to users."""
    own = (base.__name__ for base in cls.__mro__ if base.__module__.startswith("tinytorch."))
    return next(name for name in own if not name.startswith("_"))


def _signature(init: Callable[..., None]) -> inspect.Signature:
    """Of the constructor, as it is called: without `self`."""
    signature = inspect.signature(init)
    return signature.replace(parameters=list(signature.parameters.values())[1:])
