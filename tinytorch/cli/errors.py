"""What commands say where they fail."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from contextlib import contextmanager

import typer

from tinytorch.cli.program import FAILED, in_words
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import Loc, is_package_file, is_program_file


def fail(message: str) -> typer.Exit:
    """Say it; the exit with status 2."""
    typer.echo(f"tinytorch: {message}", err=True)
    return typer.Exit(FAILED)


@contextmanager
def told() -> Generator[None]:
    """Tell errors of the framework in words, with the line of the user's program if one is to blame, and errors of
    that program with its last line. Others, which are mistakes of the framework, stay as they are."""
    try:
        yield
    except TinyTorchError as error:
        raise fail(in_words(error)) from None
    except Exception as error:
        loc = _raised_at(error)
        if loc is None:
            raise
        said = error.msg if isinstance(error, SyntaxError) else error
        raise fail(f"{type(error).__name__}: {said}\n  {loc.describe()}") from None


def _raised_at(error: Exception) -> Loc | None:
    """The user's line that raised an error, or that called the library which did; None where this package did."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return Loc(error.filename, error.lineno or 1)
    found: Loc | None = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if is_package_file(file):
            found = None
        elif is_program_file(file):
            found = Loc(file, line)
    return found
