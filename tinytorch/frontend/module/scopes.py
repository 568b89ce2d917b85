"""Which module runs while a trace does: nodes of a graph bear its path."""

from __future__ import annotations

import threading


class Scopes(threading.local):
    """The modules that run in this thread while tracing, outermost first, and their names."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.names: dict[int, str] = {}


scopes = Scopes()


def scope() -> str:
    """The path of the module that is being traced, such as `GPT.blocks.0`; empty outside of modules."""
    return scopes.paths[-1] if scopes.paths else ""
