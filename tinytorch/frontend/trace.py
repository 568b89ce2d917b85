"""Tracing: running a Python function once with traced tensors, and keeping what it did as a graph."""

from __future__ import annotations

from typing import Any


class Epoch:
    """Counts changes to attributes of modules and optimizers; compiled functions look for changes when it moves."""

    now = 0


class Tracked:
    """Base of modules and optimizers: a compiled function that read its attributes sees when they change."""

    def __setattr__(self, name: str, value: Any) -> None:
        Epoch.now += 1
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        Epoch.now += 1
        object.__delattr__(self, name)
