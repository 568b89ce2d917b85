"""Tracing: running a Python function once with traced tensors, and keeping what it did as a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinytorch.frontend.module.tracked import record
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tensor.mode import TraceAgain, mode
from tinytorch.frontend.tracing.closing import Closing
from tinytorch.frontend.tracing.numbers import NeedsValue
from tinytorch.frontend.tracing.trace import Gradients, Joined, Trace
from tinytorch.frontend.tracing.traced import Traced
from tinytorch.ir.errors import ShapeError, TraceError, endings
from tinytorch.ir.graph import Builder
from tinytorch.ir.loc import user_loc


def trace(
    function: Callable[..., Any],
    args: Any,
    kwargs: Any,
    tensors: Sequence[Tensor],
    names: Sequence[str],
    gradients: Gradients,
    name: str,
) -> Traced:
    """Run `function(*args, **kwargs)` once; `tensors`, the argument tensors among its arguments, are the first
    inputs. Errors of the function pass through; no tensor from outside is changed, nor its gradient."""
    if mode.trace is not None:
        raise TraceError("a trace is running already", user_loc())
    joined: frozenset[int] = frozenset()
    grad, autocast = mode.grad, mode.autocast
    while True:
        running = Trace(gradients, joined, Builder(name))
        try:
            mode.trace = running
            for tensor, hint in zip(tensors, names, strict=True):
                running.argument(tensor, hint)
            return _closed(running, _run(function, args, kwargs))
        except Joined as again:
            joined |= {again.storage}
        except ShapeError as error:
            raise error if error.loc else ShapeError(str(error), user_loc()) from None
        finally:
            mode.trace, mode.grad, mode.autocast = None, grad, autocast
            running.restore()


def _run(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What the function returns. What it has caught of that which ends a trace is raised here, also in the place of an
    error that it made of it."""
    grad, autocast = mode.grad, mode.autocast
    result, caught = None, list[BaseException]()
    token = endings.set(caught)
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        if not caught or error is caught[0]:
            raise
    finally:
        endings.reset(token)
    if caught:
        raise caught[0] from None
    if (mode.grad, mode.autocast) != (grad, autocast):
        what = "autocast" if mode.grad is grad else "the recording of gradients"
        raise TraceError(
            f"the function leaves {what} switched to something else, which compiled would end with it. Switch it "
            "in a `with` block, or outside of the function",
            user_loc(),
        )
    return result


def _closed(running: Trace, result: Any) -> Traced:
    """The trace of a function that returned `result`."""
    if running.again:
        raise TraceAgain
    if running.needed:  # it has caught that error
        raise NeedsValue(running.needed)
    with record(None):
        with grad_mode(False):
            running.held.write(running.inputs)
        return Closing(running).build(result)
