"""Errors that say what, what it got, where, and what to do."""

from __future__ import annotations

from tinytorch.ir.loc import Loc


class TinyTorchError(Exception):
    """Base of all errors that TinyTorch raises; `message` is without `loc`, the user's line where it is known."""

    def __init__(self, message: str, loc: Loc | None = None) -> None:
        self.message, self.loc = message, loc
        super().__init__(message if loc is None else f"{message}\n  {loc.describe()}")


class ShapeError(TinyTorchError, ValueError):
    """Shapes, axes or dtypes of operands do not fit together."""


class RangeError(TinyTorchError, IndexError):
    """An index names a place that does not exist."""


class NumberError(TinyTorchError, ArithmeticError):
    """A number that an op cannot take, such as NaN where an integer is to stand for it."""


class TraceError(TinyTorchError):
    """Python code did something under `tt.compile` that a static graph cannot hold."""


class VerifyError(TinyTorchError):
    """A graph breaks a rule of the IR, or two ways of running it disagree."""


class PassError(TinyTorchError):
    """A pass was given a graph that it cannot transform."""


class CompileError(TinyTorchError):
    """A graph could not be turned into machine code."""
