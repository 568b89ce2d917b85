"""Pieces of an axis, the last of which may be smaller."""

from __future__ import annotations

from collections.abc import Callable

from tinytorch.runtime.llvm.text.builder import Function, Register

LINE = 64  # bytes that a cache fetches together, at least


def least(value: Register, most: Register | int) -> Register:
    """min(value, most)."""
    fn = value.fn
    limit = fn.value(most)
    if isinstance(value.literal, int) and isinstance(limit.literal, int):
        return fn.const(min(value.literal, limit.literal))
    return fn.select(fn.compare("slt", value, limit), value, limit)


def where_differ(fn: Function, a: Register, b: Register, body: Callable[[], None]) -> None:
    """`body` where a and b differ, decided here if both are known."""
    if isinstance(a.literal, int) and isinstance(b.literal, int):
        if a.literal != b.literal:
            body()
    else:
        fn.if_(fn.compare("ne", a, b), body)


def over_vectors(fn: Function, size: int, lanes: int, vector: Callable[..., None]) -> None:
    """`vector(index)` for each whole vector along an axis, then `vector(index, mask)` for the rest."""
    whole = size // lanes * lanes
    fn.loop(whole, [], vector, step=lanes)
    if size - whole:
        vector(fn.const(whole), fn.lane_mask(lanes, size - whole))
