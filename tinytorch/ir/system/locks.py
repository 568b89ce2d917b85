"""Locks and forks: a forked child has a copy of every lock, and only the thread that forked.

What another thread was doing at that moment is never finished in the child. Short work on what all threads share is
waited for: its lock is held while the process forks, so that the child finds it free and what it protects whole. Long
work is not waited for: its locks are new in the child, where it is as if it had not been begun.
"""

from __future__ import annotations

import importlib
import os
import threading
import weakref
from collections.abc import Callable
from typing import Protocol


class Lock(Protocol):
    """A lock as `threading` has them."""

    def acquire(self) -> bool: ...
    def release(self) -> None: ...


class Renewed(Protocol):
    """An object with locks that are new in a forked child."""

    def forget_parent(self) -> None: ...


# Held by whoever imports modules when they are first needed: a module that another thread was importing could never be
# imported in the child. It is the first in the order in which locks are taken.
importing = threading.RLock()
_held: list[Lock] = [importing]
_taken: list[Lock] = []  # by the fork that is going on
_renewed: weakref.WeakSet[Renewed] = weakref.WeakSet()


def hold_across_forks(lock: Lock) -> None:
    """Let forks wait until nobody holds `lock`. Who holds it takes none that was given before it."""
    _held.append(lock)


def renew_in_child(owner: Renewed) -> None:
    """Call `owner.forget_parent()` in forked children for as long as it lives."""
    _renewed.add(owner)


def _take() -> None:
    for lock in _held:  # which may grow while this waits
        lock.acquire()
        _taken.append(lock)


def _give_back() -> None:
    while _taken:
        _taken.pop().release()


def _begin_child() -> None:
    _give_back()
    for owner in tuple(_renewed):
        owner.forget_parent()


def _register(at_fork: Callable[..., None] | None) -> None:
    if at_fork is not None:  # a system with forks
        at_fork(before=_take, after_in_parent=_give_back, after_in_child=_begin_child)


# What modules register to run before a fork runs the last one first. That of logging takes a lock which modules want
# while they are imported, so it comes before this one, to run after `importing` is held.
importlib.import_module("logging")
_register(getattr(os, "register_at_fork", None))
