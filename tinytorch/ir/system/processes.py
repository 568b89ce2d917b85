"""Processes that only help another one, such as those that load batches: how they are started, and what each room does
as one of them begins."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

_beginnings: list[Callable[[], None]] = []


def in_helpers(begin: Callable[[], None]) -> None:
    """Call `begin()` in every helping process, before it does anything else."""
    _beginnings.append(begin)


def begin_to_help() -> None:
    """From now on, this process helps another one."""
    for begin in _beginnings:
        begin()


@contextmanager
def interrupts_wait(context: Any) -> Generator[None]:
    """A process that is started in this block, by a context of multiprocessing, does not hear of Ctrl-C until it has
    said what it does then."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    if context.get_start_method() != "fork":
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # which lets interrupts through where it must begin
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
