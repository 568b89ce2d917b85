"""Functions that a module calls before or after its forward, or before its state is loaded."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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


@dataclass(frozen=True, eq=False)
class LoadHook:
    """A function that a module calls before its state is loaded."""

    function: Callable[..., Any]
    with_module: bool


def before_loading(
    state_dict: Mapping[str, Any], modules: Iterable[tuple[str, Any]], strict: bool
) -> tuple[Mapping[str, Any], list[str], list[str], list[str]]:
    """A state as the hooks of the modules, which have paths, leave it, and what they say is missing, unexpected, or
    wrong in other ways."""
    state, missing, unexpected, wrong = state_dict, list[str](), list[str](), list[str]()
    for path, module in modules:
        for hook in module._load_hooks:
            state = dict(state) if state is state_dict else state
            given = (state, f"{path}." if path else "", {}, strict, missing, unexpected, wrong)
            hook.function(*((module, *given) if hook.with_module else given))
    return state, missing, unexpected, wrong


@dataclass(frozen=True)
class Handle:
    """A hook that has been registered, among those of a module that the attribute `kept` holds."""

    module: Any
    hook: Hook | LoadHook
    kept: str = "_hooks"

    def remove(self) -> None:
        """Have the module call the hook no more."""
        left = tuple(hook for hook in getattr(self.module, self.kept) if hook is not self.hook)
        setattr(self.module, self.kept, left)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def drop_hook(module: Any, function: Callable[..., Any]) -> None:
    """Have a module call this function no more, before or after its forward."""
    module._hooks = tuple(hook for hook in module._hooks if hook.function is not function)
