"""Questions about `tt.compile`, under the names of torch.compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinytorch.frontend.tensor.mode import mode

__all__ = ["cudagraph_mark_step_begin", "disable", "is_compiling"]


def is_compiling() -> bool:
    """Whether this is a trace of `tt.compile`, whose tensors have no values yet."""
    return mode.trace is not None


def disable(fn: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function as it is, or a decorator that gives it: a compiled function that calls it has it in its graph, as
    there is one graph for a call."""
    return (lambda fn: fn) if fn is None else fn


def cudagraph_mark_step_begin() -> None:
    """Nothing: results have memory of their own."""
