"""Functions that a module calls before or after its forward, in the backward pass, or before its state is loaded."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from tinytorch.frontend import arguments
from tinytorch.frontend.module.tracked import Tracked


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
class BackwardHook:
    """A function that a module calls in the backward pass: with the gradients of its results alone, or `of_results`
    False, with those of its arguments, too."""

    function: Callable[..., Any]
    of_results: bool


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
    hook: Hook | BackwardHook | LoadHook
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


class Hooked(Tracked):
    """What modules know of hooks: how they are registered. Every handle removes its hook."""

    _hooks: tuple[Hook | BackwardHook, ...]
    _load_hooks: tuple[LoadHook, ...]

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call `hook(module, args)` before every forward; what it returns, if not None, takes the place of the
        arguments. With `with_kwargs` it is `hook(module, args, kwargs)`, and returns both."""
        return self._register(Hook(hook, True, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call `hook(module, args, result)` after every forward; what it returns, if not None, takes the place of the
        result. With `with_kwargs` it is `hook(module, args, kwargs, result)`."""
        return self._register(Hook(hook, False, with_kwargs), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call `hook(module, grad_output)` in the backward pass of every forward, with a tuple of the gradients of its
        results; what it returns, if not None, takes their place."""
        return self._register(BackwardHook(hook, True), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call `hook(module, grad_input, grad_output)` in the backward pass of every forward, when the gradients of its
        positional arguments are known, too; what it returns, if not None, takes the place of `grad_input`.

        Both are tuples, with None for what has no gradient. Where no argument requires grad, the hook is called when
        the gradients of the results are known. The result of the forward is a tensor or a tuple.
        """
        return self._register(BackwardHook(hook, False), prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(module, state, prefix, {}, strict, missing, unexpected, errors)` before `load_state_dict` reads
        the state, a dict that the hook may change: what is the module's has names that begin with `prefix`. What it
        adds to the three lists is reported."""
        return self._register_load_state_dict_pre_hook(hook, True)

    def _register_load_state_dict_pre_hook(self, hook: Callable[..., Any], with_module: bool = False) -> Handle:
        """The same for a hook that is called without the module; PyTorch's older name."""
        arguments.function(type(self).__name__, "hook", hook)
        self._load_hooks = (*self._load_hooks, LoadHook(hook, with_module))
        return Handle(self, self._load_hooks[-1], "_load_hooks")

    def _register(self, hook: Hook | BackwardHook, prepend: bool) -> Handle:
        arguments.function(type(self).__name__, "hook", hook.function)
        self._hooks = (hook, *self._hooks) if prepend else (*self._hooks, hook)
        return Handle(self, hook)

    @property
    def has_hooks(self) -> bool:
        """Whether calls run hooks, beside `forward`."""
        return bool(self._hooks)

    def take_hooks(self, other: Hooked) -> None:
        """Run the hooks of another module, in whose place this one comes."""
        self._hooks = other._hooks
