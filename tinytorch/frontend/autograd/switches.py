"""Module 05: recording for gradients, switched off and on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any, Self

from tinytorch.frontend.constructors import clearly_made
from tinytorch.frontend.tensor.mode import mode


class set_grad_enabled(ContextDecorator):
    """Record for gradients or not: at once, and until the end of the block where it is used with `with`.

    The switch belongs to the thread. Also a decorator of functions.
    """

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._before = mode.grad
        mode.grad = enabled

    def _recreate_cm(self) -> Self:
        return type(self)(self._enabled)

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        mode.grad = self._before
        return super().__call__(func)

    def __enter__(self) -> Self:
        mode.grad = self._enabled
        return self

    def __exit__(self, *error: object) -> None:
        mode.grad = self._before


@clearly_made
class _Switch(ContextDecorator):
    """Sets the mode inside a block; blocks of one object may be nested."""

    enabled: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def _recreate_cm(self) -> Self:
        return type(self)()

    def __enter__(self) -> Self:
        self._before.append(mode.grad)
        mode.grad = self.enabled
        return self

    def __exit__(self, *error: object) -> None:
        mode.grad = self._before.pop()


class no_grad(_Switch):
    """Results inside the block (or the decorated function) do not require grad, and no tape is kept."""

    enabled = False


class inference_mode(no_grad):
    """`no_grad` under PyTorch's other name; tensors that were made in it may be used outside."""


class enable_grad(_Switch):
    """Gradients are recorded inside the block, also within `no_grad`."""

    enabled = True


def is_grad_enabled() -> bool:
    return mode.grad
