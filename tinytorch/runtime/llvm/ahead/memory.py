"""Where an object file has its data, and a caller's buffers theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinytorch.ir.types import TensorType
from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.entry import Areas

MAX_THREADS = 64  # of a pool: one bit each in the word of free scratch areas


@dataclass(frozen=True)
class Packed:
    """Arrays one behind the other, each aligned."""

    offsets: tuple[int, ...]
    bytes: int

    @staticmethod
    def of(types: Sequence[TensorType], start: int = 0) -> Packed:
        """Arrays of these types, behind `start` bytes."""
        offsets: list[int] = []
        end = start
        for type in types:
            offsets.append(end)
            end += aligned(type.bytes)
        return Packed(tuple(offsets), end)


@dataclass(frozen=True)
class Workspace:
    """The bytes of a caller's workspace: `base`, and `each` for every thread."""

    base: int
    each: int

    @staticmethod
    def of(areas: Areas) -> Workspace:
        return Workspace(areas.private, areas.private_bytes)
