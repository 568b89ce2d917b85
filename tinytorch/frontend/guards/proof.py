"""Which arrays Python code itself reads, so that their elements are fixed in the graph."""

from __future__ import annotations

from collections.abc import Iterable

from tinytorch.frontend.guards.code import consumer, instruction
from tinytorch.frontend.guards.reach import Loads
from tinytorch.frontend.tracing.arrays import Meeting


def only_meets_tensors(places: Iterable[Loads | None], meetings: Iterable[Meeting]) -> bool:
    """Whether every instruction that pushes an array is known, and what consumes it is one by which the array became
    an operand of a tensor in this trace. In doubt, False: then its elements are compared before each call."""
    found = list(meetings)
    if not found or any(meeting.read for meeting in found):
        return False
    met = {(code, instruction(code, at)) for meeting in found for code, at in meeting.places}
    return all(
        loads is not None and all((code, consumer(code, instruction(code, at))) in met for code, at in loads)
        for loads in places
    )
