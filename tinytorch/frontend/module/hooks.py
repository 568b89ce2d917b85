"""Functions that a module calls before or after its forward."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, eq=False)
class Hook:
    """A function that a module calls before or after its forward."""

    function: Callable[..., Any]
    before: bool
    with_kwargs: bool

    def arguments(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        new = self.function(module, args, kwargs) if self.with_kwargs else self.function(module, args)
        if new is None:
            return args, kwargs
        if self.with_kwargs:
            return new
        return new if isinstance(new, tuple) else (new,), kwargs

    def result(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
        given = (args, kwargs, result) if self.with_kwargs else (args, result)
        new = self.function(module, *given)
        return result if new is None else new


@dataclass(frozen=True)
class Handle:
    """A hook that has been registered."""

    module: Any
    hook: Hook

    def remove(self) -> None:
        """Have the module call the hook no more."""
        self.module._hooks = tuple(hook for hook in self.module._hooks if hook is not self.hook)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def drop_hook(module: Any, function: Callable[..., Any]) -> None:
    """Have a module call this function no more, before or after its forward."""
    module._hooks = tuple(hook for hook in module._hooks if hook.function is not function)
