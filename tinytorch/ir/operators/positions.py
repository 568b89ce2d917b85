"""Items of an index whose values are known when the graph runs, as places where windows of a known size begin.

`x[t]` and `x[t:t + 4]`, where t is an integer of a trace, take 1 and 4 elements: the shape is known, the place is not.
Negative ones count from the end, as Python has it. What does not lie in the axis is an error when the graph runs.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from tinytorch.ir import ops
from tinytorch.ir.errors import RangeError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.types import i64

_KNOWN = (int, type(None))
_LENGTH = (
    "needs a length that is known before: write x[t:t + n] with a number n, or x.narrow(dim, t, n); in the place of "
    "x[:t], take all of x and mask the rest"
)


@dataclass(frozen=True, eq=False)
class RuntimeSlice:
    """`count` elements of an axis, `step` apart, from `start` on, an operand of i64[]. A `single` one loses its axis,
    as an integer does."""

    start: Any
    count: int
    step: int
    single: bool

    @property
    def range(self) -> range:
        """The indices, counted from `start`."""
        return range(0, (self.count - 1) * self.step + 1, self.step)


def is_number(item: Any) -> bool:
    """Whether an item is a Python number that is an input of the graph."""
    return hasattr(item, "as_operand")


def checked(index: Any, size: int) -> Any:
    """Operands of integers as i64 in [0, size), those from the end counted from the front."""
    if index.dtype.kind not in ("int", "uint"):
        raise RangeError(f"an index needs an integer dtype, got {index.type}", user_loc())
    return apply(ops.elementwise.checked_index, index.cast(i64), size=size)


def window(start: Any, count: int, size: int) -> RuntimeSlice:
    """`count` elements of an axis of `size` from `start` on, an operand of one integer, from the end if negative."""
    at = start.cast(i64).reshape(())
    return RuntimeSlice(apply(ops.core.where, at < 0, at + size, at), count, 1, single=False)


def with_positions(x: Any, items: Sequence[Any], operands: bool = False) -> tuple[Any, ...]:
    """The items, each but None for one axis of `x`, with a RuntimeSlice in the place of what is known when the graph
    runs: slices and numbers, and integer `operands` without axes if these are meant."""
    if not any(_is_runtime(item, operands) for item in items):
        return tuple(items)
    axes = iter(x.shape)
    sizes = [1 if item is None else next(axes) for item in items]
    return tuple(
        _resolved(item, size) if _is_runtime(item, operands) else item for item, size in zip(items, sizes, strict=True)
    )


def _is_runtime(item: Any, operands: bool) -> bool:
    if type(item) in _KNOWN:
        return False
    if type(item) is slice:
        ends = (item.start, item.stop)
        return any(type(end) not in _KNOWN and position(end) is not None for end in ends)
    return is_number(item) or (operands and hasattr(item, "apply_op"))


def position(item: Any) -> Any:
    """An operand of i64[] for what is known when the graph runs, or None."""
    return item.as_position() if hasattr(type(item), "as_position") else None


def _resolved(item: Any, size: int) -> Any:
    if type(item) is slice:
        return _slice(item, size)
    at = position(item)
    if at is None and item.dtype.kind in ("int", "uint"):
        return operator.index(item)  # it is known after all
    at = item if at is None else at
    return RuntimeSlice(checked(at, size), 1, 1, single=True) if size else _refuse([item], "is in an axis of size 0")


def _slice(item: slice, size: int) -> RuntimeSlice | slice:
    start, stop = position(item.start), position(item.stop)
    step: int = 1 if item.step is None else operator.index(item.step)
    ends = [item.start, item.stop]
    length = None if start is None or stop is None else stop.known_difference(start)
    if start is None or length is None or length < 0 or step < 1:
        _refuse(ends, _LENGTH)
    if length == 0:
        return slice(0, 0)
    found = RuntimeSlice(None, -(-length // step), step, single=False)
    if found.range[-1] >= size:
        _refuse(ends, f"takes {length} elements of an axis of size {size}")
    # From the end, x[-2:0] is empty: not `length` elements, which is an error here.
    end = apply(ops.core.where, start < -length, start + size, start._like(size))
    return RuntimeSlice(apply(ops.core.where, start < 0, end, start), found.count, step, single=False)


def _refuse(items: Sequence[Any], why: str) -> NoReturn:
    """A TraceError; or numbers, whose values can be known, are asked for them."""
    for item in items:
        if is_number(item):
            operator.index(item)
    raise TraceError(f"an index that is known when the graph runs {why}", user_loc())
