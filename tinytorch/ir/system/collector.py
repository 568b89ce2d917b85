"""Pausing Python's garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def paused() -> Generator[None, None, None]:
    """Without the collector of cycles, in this process, until the end of the block; also a decorator.

    For code that makes many objects and drops few: the collector would look through all of them again and again, and
    time would grow faster than what is made.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
