"""Objects that stand for a function: as it, as a method, in copies and in pickles."""

from __future__ import annotations

import copy
import sys
import types
from collections.abc import Callable
from typing import Any, Self

from tinytorch.compiled.options import Options
from tinytorch.frontend.module.tracked import Tracked, attributes_of
from tinytorch.frontend.tensor.mode import mode


class StandIn:
    """Made of `function` and options; has the attributes of the function. In a class, each object gets one of its
    own."""

    function: Callable[..., Any]
    compile_options: Options

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.function, name)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method of an object: one that is made for that object, which keeps it."""
        if instance is None or not isinstance(self.function, types.FunctionType):
            return self
        if mode.trace is not None or isinstance(instance, type) or not hasattr(instance, "__dict__"):
            return types.MethodType(self, instance)
        attributes = attributes_of(instance) if isinstance(instance, Tracked) else vars(instance)
        name = f"_compiled_{self.function.__qualname__}"  # a method that overrides another one may call it
        method, known = types.MethodType(self.function, instance), attributes.get(name)
        if known is None or known.function != method:
            if known is not None:  # of the object that this one was copied from
                attributes.pop(name, None)
            made = type(self)(method, self.compile_options)
            known = attributes.setdefault(name, made)  # another thread may have been faster
        return known

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(copy.deepcopy(self.function, memo), self.compile_options)

    def __copy__(self) -> Self:
        return type(self)(self.function, self.compile_options)

    def __reduce__(self) -> Any:
        """A decorated function or method is found again by its name; anything else is made anew."""
        function = self.function
        if isinstance(function, types.MethodType):
            return getattr, (function.__self__, function.__name__)
        if isinstance(function, types.FunctionType) and _named(function) is self:
            return function.__qualname__
        return type(self), (function, self.compile_options)


def _named(function: types.FunctionType) -> Any:
    """What stands under the name of a function."""
    found: Any = sys.modules.get(function.__module__)
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found
