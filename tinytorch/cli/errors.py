"""What commands say where they fail."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import typer

from tinytorch.cli.program import FAILED, in_words
from tinytorch.ir.errors import TinyTorchError


def fail(message: str) -> typer.Exit:
    """Say it; the exit with status 2."""
    typer.echo(f"tinytorch: {message}", err=True)
    return typer.Exit(FAILED)


@contextmanager
def told() -> Generator[None]:
    """Tell errors of the framework in words, with the line of the user's program if one is to blame."""
    try:
        yield
    except TinyTorchError as error:
        raise fail(in_words(error)) from None
