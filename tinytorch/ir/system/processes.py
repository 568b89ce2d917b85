"""Processes that only help another one, such as those that load batches: what each room does as one of them begins."""

from __future__ import annotations

from collections.abc import Callable

_beginnings: list[Callable[[], None]] = []


def in_helpers(begin: Callable[[], None]) -> None:
    """Call `begin()` in every helping process, before it does anything else."""
    _beginnings.append(begin)


def begin_to_help() -> None:
    """From now on, this process helps another one."""
    for begin in _beginnings:
        begin()
