"""Memory for time under the names of torch.utils.checkpoint. `tt.checkpoint` is the same without its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.autograd.checkpoints import checkpoint as _checkpoint
from tinytorch.frontend.module import Module

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    determinism_check: str = "default",
    debug: bool = False,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, whose intermediate results are computed again during `backward` instead of kept.

    The settings have no effect: there is one way to do it, which takes all arguments, follows what the function
    captures, and draws the same random numbers again.
    """
    return _checkpoint(function, *args, **kwargs)


def checkpoint_sequential(
    functions: Module | Iterable[Callable[..., Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """The functions, or the modules of an `nn.Sequential`, one after the other, in `segments` pieces of about the same
    length: all but the last are checkpoints. The other settings have no effect, as in `checkpoint`."""
    each: list[Callable[..., Any]] = list(functions.children() if isinstance(functions, Module) else functions)
    count = arguments.integer("checkpoint_sequential", "segments", segments, 1)
    if count > len(each):
        raise arguments.wrong_value("checkpoint_sequential", "segments", f"at most {len(each)}, one a function", count)
    length = len(each) // count
    for start in range(0, length * (count - 1), length):
        input = _checkpoint(_chain(each[start : start + length]), input)
    return _chain(each[length * (count - 1) :])(input)


def _chain(functions: list[Callable[..., Any]]) -> Callable[..., Any]:
    def run(input: Any) -> Any:
        for function in functions:
            input = function(input)
        return input

    return run
