"""How a command begins and ends: what its output can hold, and what is said where it ends before its time."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import typer
import typer.main

from tinytorch.ir.characters import PLAINLY
from tinytorch.ir.errors import TinyTorchError

# Exit statuses. Nobody reads the output any more; an error was told; Ctrl-C. A process that a signal ends has 128 and
# the number of the signal, which is 2 for Ctrl-C.
_UNREAD, FAILED, _INTERRUPTED = 1, 2, 130
_UNWRITTEN = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EBADF")}
_ENDING = ("SIGTERM", "SIGHUP")  # asked to end by the system, and by a terminal that is closed


class _Told(SystemExit):
    """The end of a program that has said why."""


class Commands(typer.Typer):
    """The commands of the program `name`."""

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(add_completion=False, **settings)
        self._name = name

    def __call__(self, *args: Any, **options: Any) -> Any:
        with program(self._name):
            return super().__call__(*args, **options)


def exit_with(name: str, main: Callable[[], int]) -> None:
    """Run `main` as the program `name`, and end with the exit status that it gives."""
    with program(name):
        raise SystemExit(main())


@contextmanager
def program(name: str) -> Generator[None]:
    """What is done in this block is the program `name`.

    Characters that its output cannot hold are written in ASCII. Ctrl-C, memory that runs out, errors of the framework,
    and files and outputs that cannot be written are told in a line. It ends without a word where nobody reads its
    output any more, and where the system asks it to end. What was begun (processes, temporary folders) is ended and
    removed before.
    """
    with _outputs(), _warnings_told(name), _ended_by_signals():
        try:
            try:
                yield
            finally:
                _flush()  # here, where an error can be told
        except SystemExit as end:
            if _is_interrupt(end):
                raise _told(name, "interrupted", _INTERRUPTED) from None
            raise
        except KeyboardInterrupt:
            raise _told(name, "interrupted", _INTERRUPTED) from None
        except BrokenPipeError:
            _give_up_output()
            raise _Told(_UNREAD) from None
        except MemoryError as error:
            raise _told(name, f"out of memory{f': {error}' if str(error) else ''}") from None
        except TinyTorchError as error:
            raise _told(name, in_words(error)) from None
        except OSError as error:
            raise _told(name, _said(error)) from None


def in_words(error: TinyTorchError) -> str:
    """An error of the framework, with the line of the user's program if one is to blame: a command's own are called by
    typer."""
    by_typer = error.loc is not None and error.loc.file == typer.main.__file__
    return f"{type(error).__name__}: {error.message if by_typer else error}"


@contextmanager
def _outputs() -> Generator[None]:
    """Outputs that take all that is written; where the process was started without one, it goes nowhere."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAINLY)
    missing = [name for name in ("stdout", "stderr") if getattr(sys, name) is None]
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        for name in missing:
            setattr(sys, name, nowhere)
        try:
            yield
        finally:
            for name in missing:
                setattr(sys, name, None)


@contextmanager
def _warnings_told(name: str) -> Generator[None]:
    """Warnings of what a command does itself, for which a line of typer would stand, are told without one."""
    show = warnings.showwarning

    def tell(message: Any, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        if filename == typer.main.__file__:
            print(f"{name}: {message}", file=sys.stderr)
        else:
            show(message, category, filename, lineno, *rest)

    warnings.showwarning = tell
    try:
        yield
    finally:
        warnings.showwarning = show


@contextmanager
def _ended_by_signals() -> Generator[None]:
    """The first request to end raises SystemExit in this block, so that what was begun is put away; a second one ends
    the process at once. Signals that are handled otherwise or ignored (`nohup`) stay so."""

    def end(number: int, _frame: object) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    heard = threading.current_thread() is threading.main_thread()
    ours = [number for number in numbers if heard and signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether an exit stands for Ctrl-C, as typer's do, of which nothing has been said yet."""
    while error is not None and not isinstance(error, _Told):
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False


def _told(name: str, what: str, status: int = FAILED) -> _Told:
    with suppress(OSError, ValueError):
        print(f"{name}: {what}", file=sys.stderr, flush=True)
    return _Told(status)


def _said(error: OSError) -> str:
    what = error.strerror or str(error)
    if error.filename is not None:
        return f"{error.filename}: {what}"
    if error.errno == errno.ENOENT:
        return "the current folder is not there any more"
    if error.errno in _UNWRITTEN:
        _give_up_output()
        return f"cannot write the output: {what}"
    return what


def _flush() -> None:
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


def _give_up_output() -> None:
    """What is left of it goes nowhere as the process ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
