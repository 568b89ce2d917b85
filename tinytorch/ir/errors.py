"""Errors that say what, what it got, where, and what to do."""

from __future__ import annotations

from contextvars import ContextVar

from tinytorch.ir.loc import Loc

# What was raised to end the trace that runs in this thread, in order; None where none runs.
endings: ContextVar[list[BaseException] | None] = ContextVar("endings", default=None)


def remember(error: BaseException) -> None:
    """Let the running trace end with `error`, also where the function that is traced catches it."""
    known = endings.get()
    if known is not None:
        known.append(error)


class TinyTorchError(Exception):
    """Base of all errors that TinyTorch raises; `message` is without `loc`, the user's line where it is known."""

    def __init__(self, message: str, loc: Loc | None = None) -> None:
        self.message, self.loc = message, loc
        super().__init__(message if loc is None else f"{message}\n  {loc.describe()}")


class ShapeError(TinyTorchError, ValueError):
    """Shapes, axes or dtypes of operands do not fit together."""


class RangeError(TinyTorchError, IndexError):
    """An index names a place that does not exist."""


class SettingError(TinyTorchError, ValueError):
    """A setting of the process or of its environment makes no sense."""


class NumberError(TinyTorchError, ArithmeticError):
    """A number that an op cannot take, such as NaN where an integer is to stand for it."""


class TraceError(TinyTorchError):
    """Python code did something under `tt.compile` that a static graph cannot hold.

    In eager mode it would not be raised. So a function that catches it would do something else compiled: the trace
    ends with it nevertheless.
    """

    def __init__(self, message: str, loc: Loc | None = None) -> None:
        super().__init__(message, loc)
        remember(self)


class VerifyError(TinyTorchError):
    """A graph breaks a rule of the IR, or two ways of running it disagree."""


class PassError(TinyTorchError):
    """A pass was given a graph that it cannot transform."""


class CompileError(TinyTorchError):
    """A graph could not be turned into machine code."""
