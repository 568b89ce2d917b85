"""What models say to TorchScript, which is not here: they are never scripted, and what is said of that has no effect.
`script` and `trace` are missing; `tt.compile` is what traces."""

from __future__ import annotations

from typing import Final as Final
from typing import TypeVar

__all__ = ["Final", "export", "ignore", "is_scripting", "is_tracing", "unused"]

_T = TypeVar("_T")


def is_scripting() -> bool:
    return False


def is_tracing() -> bool:
    """False: that is for traces by TorchScript. `tt.compiler.is_compiling` asks about `tt.compile`."""
    return False


def ignore(drop: _T) -> _T:
    """The function itself."""
    return drop


unused = export = ignore
