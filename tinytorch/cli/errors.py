"""What commands say where they fail."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import typer
import typer.main

from tinytorch.ir.errors import TinyTorchError


def fail(message: str) -> typer.Exit:
    """Say it; the exit with status 2."""
    typer.echo(f"tinytorch: {message}", err=True)
    return typer.Exit(2)


@contextmanager
def told() -> Generator[None]:
    """Tell errors of the framework in words, with the line of the user's program if one is to blame: a command's own
    are called by typer."""
    try:
        yield
    except TinyTorchError as error:
        by_typer = error.loc is not None and error.loc.file == typer.main.__file__
        raise fail(f"{type(error).__name__}: {error.message if by_typer else error}") from None
