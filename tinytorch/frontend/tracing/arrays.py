"""Numpy arrays that meet tensors in a trace: inputs of the graph, read where they lie."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.sharing import over
from tinytorch.ir.errors import TraceError
from tinytorch.ir.graph import Builder, Node, Value
from tinytorch.ir.loc import Loc, is_package_file, user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.ops.core import constant
from tinytorch.ir.types import dtype_of


@dataclass(eq=False)
class Meeting:
    """An array, the tensor over its memory that is bound to an input, and the elements that it had.

    `places` are the user's instructions by which it became an operand; `read`: Python code has seen its elements too.
    """

    array: Array
    tensor: Tensor
    value: Value
    elements: Array
    loc: Loc | None
    places: set[tuple[types.CodeType, int]] = field(default_factory=set[tuple[types.CodeType, int]])
    read: bool = False


class Meetings:
    """The arrays that met tensors in one trace. `sources`: of which array a tensor was made, by the tensor's id."""

    def __init__(self) -> None:
        self.known: dict[int, list[Meeting]] = {}
        self.sources: dict[int, Meeting] = {}
        self.kept: tuple[Meeting, ...] = ()

    def __iter__(self) -> Iterator[Meeting]:
        return (meeting for found in self.known.values() for meeting in found)

    def meet(self, array: Array, make_input: Callable[[Tensor], Value]) -> Meeting | None:
        """The input for an array; None for an array whose memory cannot be an operand."""
        plain = np.asarray(array)  # subclasses have operators of their own
        if dtype_of(plain.dtype).numpy != plain.dtype:
            return None
        known = self.known.setdefault(id(array), [])
        if not known or not same_elements(known[-1].elements, plain):
            tensor = over(plain)
            known.append(Meeting(array, tensor, make_input(tensor), plain.copy(), user_loc()))
        place = _user_place()
        if place is not None:
            known[-1].places.add(place)
        return known[-1]

    def note_read(self, tensor: Tensor) -> None:
        """Python code looks at the elements of a tensor that may have been made of an array."""
        if id(tensor) in self.sources:
            self.sources[id(tensor)].read = True

    def finish(self, builder: Builder, tensors: Iterable[Tensor]) -> tuple[Meeting, ...]:
        """Arrays that nobody else holds become constants; the others, which stay inputs.

        TraceError if the function itself changed one of these: that would happen in no later call.
        """
        held = [id(tensor._data) for tensor in tensors]  # pyright: ignore[reportPrivateUsage]
        kept: list[Meeting] = []
        for meeting in self:
            again = len(self.known[id(meeting.array)]) - 1
            if _references(meeting) == held.count(id(meeting.array)) + again:
                builder.inputs.remove(meeting.value)
                builder.nodes.insert(0, Node(constant, (), {"value": meeting.elements}, (meeting.value,)))
            elif not same_elements(meeting.elements, np.asarray(meeting.array)):
                raise TraceError(
                    "the function changes a numpy array while it is traced; compiled, that happens once and not in "
                    "every call. Keep what changes in a Tensor and use copy_()",
                    meeting.loc,
                )
            else:
                kept.append(meeting)
        self.kept = tuple(kept)
        return self.kept


def same_elements(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _references(meeting: Meeting) -> int:
    """How many references there are to an array, or to the one whose memory it shows, besides that of `meeting`."""
    base = meeting.array.base
    if base is None:
        return sys.getrefcount(meeting.array) - _ALONE
    return sys.maxsize if sys.getrefcount(base) > _ALONE_BASE else sys.getrefcount(meeting.array) - _ALONE


def _count() -> tuple[int, int]:
    """What `_references` counts of an array that nobody else holds, and of its base."""
    tensor = Tensor.wrap(np.zeros(()))
    meeting = Meeting(np.zeros(()), tensor, Value(tensor.type), np.zeros(()), None)
    alone = sys.getrefcount(meeting.array)
    view = np.zeros(2)[:1]
    base: Any = view.base
    return alone, sys.getrefcount(base)


_ALONE, _ALONE_BASE = _count()


def _user_place() -> tuple[types.CodeType, int] | None:
    """The user's instruction that runs now."""
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if not is_package_file(frame.f_code.co_filename):
            return frame.f_code, frame.f_lasti
        frame = frame.f_back
    return None
