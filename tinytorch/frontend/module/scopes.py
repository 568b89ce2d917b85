"""Which module runs while a trace does, and in which phase: nodes of a graph bear both."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager


class Scopes(threading.local):
    """The modules that run in this thread while tracing, outermost first, and their names."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.names: dict[int, str] = {}
        self.phase = ""
        self.part_of = ""


scopes = Scopes()


@contextmanager
def during(phase: str, part_of: str = "") -> Generator[None]:
    """What is traced in the block belongs to `phase`, "backward" or "update", and is `part_of` an optimizer."""
    before = scopes.phase, scopes.part_of
    scopes.phase, scopes.part_of = phase, part_of
    try:
        yield
    finally:
        scopes.phase, scopes.part_of = before


def scope() -> str:
    """The path of the module that is being traced, such as `GPT.blocks.0`; empty outside of modules."""
    return scopes.paths[-1] if scopes.paths else ""
