"""Python numbers that are inputs of a graph: a trace computes with them as long as Python does not need the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.types import f32, f64, i64

EXACT = 2**53  # integers up to here are f64 numbers, too
SMALL = 2**31  # the largest integer that is an input: the square of one is an i64
END = 2**63


class NeedsValue(BaseException):
    """Raised in a trace where Python needs the value of the numbers at these places of the arguments: they are static.

    It is no Exception, so that a function which catches those does not catch it; the trace remembers it for those that
    catch everything.
    """

    def __init__(self, places: frozenset[int]) -> None:
        self.places = places
        if mode.trace is not None:
            mode.trace.needed |= places


class Number:
    """Stands for an int or float among the arguments, or what was computed from such: `tensor` is f64 or i64 without
    axes. As an operand of a tensor it takes that one's dtype, as Python's numbers do. An int is at most `bound` from 0,
    since Python's have no end."""

    __slots__ = ("bound", "kind", "places", "tensor")

    def __init__(self, tensor: Tensor, kind: type, places: frozenset[int], bound: int = SMALL) -> None:
        self.tensor, self.kind, self.places, self.bound = tensor, kind, places, bound

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        """`isinstance(k, float)` is what it is of the number itself."""
        return self.kind

    def as_operand(self, like: Tensor) -> Tensor:
        """The number as an operand of `like`."""
        own = like.dtype
        if own.is_float and self.kind is int and self.bound > EXACT:  # numpy rounds to f64 first
            return self.tensor.cast(f64).cast(own) if own in (f32, f64) else self._needed()
        if own.is_float or (self.kind is int and own == i64):
            return self.tensor.cast(own)
        if own.kind in ("int", "uint") and self.kind is int:
            self._needed()  # whether the value fits
        return self.tensor.cast(f32 if self.kind is float else i64)

    def as_position(self) -> Tensor | None:
        """The number as an index, or as where a slice begins."""
        return self.tensor if self.kind is int else self._needed()

    def _needed(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise NeedsValue(self.places)

    def __getattr__(self, name: str) -> NoReturn:
        self._needed()

    # Arithmetic that has a result for every value.
    def _combined(self, other: Any, compute: Any, bounds: Callable[[int, int], int] = int.__add__) -> Any:
        if type(other) is not Number and type(other) not in (int, float):
            return NotImplemented if isinstance(other, Tensor) else self._needed()
        kind = float if float in (self.kind, other.kind if type(other) is Number else type(other)) else int
        dtype = f64 if kind is float else i64
        size: Any = other.bound if type(other) is Number else other
        bound = bounds(self.bound, abs(size)) if kind is int else SMALL
        if bound >= END or (type(other) is int and abs(other) >= END):
            self._needed()
        that = other.tensor if type(other) is Number else self.tensor.constant(np.asarray(other, dtype.numpy))
        places = self.places | (other.places if type(other) is Number else frozenset())
        return Number(compute(self.tensor.cast(dtype), that.cast(dtype)), kind, places, bound)

    def __add__(self, other: Any) -> Any:
        return self._combined(other, lambda a, b: a + b)

    def __radd__(self, other: Any) -> Any:
        return self._combined(other, lambda a, b: b + a)

    def __sub__(self, other: Any) -> Any:
        return self._combined(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        return self._combined(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Any:
        return self._combined(other, lambda a, b: a * b, int.__mul__)

    def __rmul__(self, other: Any) -> Any:
        return self._combined(other, lambda a, b: b * a, int.__mul__)

    def __truediv__(self, other: Any) -> Any:
        """By a number that is not 0, which would be an error."""
        if isinstance(other, Tensor):
            return NotImplemented
        if type(other) not in (int, float) or other == 0:
            self._needed()
        if self.kind is type(other) is int and max(self.bound, abs(other)) > EXACT:  # Python rounds the quotient alone
            self._needed()
        return Number(self.tensor.cast(f64), float, self.places)._combined(float(other), lambda a, b: a / b)

    def __neg__(self) -> Number:
        return Number(-self.tensor, self.kind, self.places, self.bound)

    def __pos__(self) -> Number:
        return self


def _needs_value(self: Number, *args: Any, **kwargs: Any) -> NoReturn:
    raise NeedsValue(self.places)


_NEED_THE_VALUE = (
    "abs and array bool ceil complex divmod eq float floor floordiv format ge gt hash index int invert le lshift lt "
    "mod ne or pow rand rdivmod reduce_ex repr rfloordiv rlshift rmod ror round rpow rrshift rshift rtruediv rxor str "
    "trunc xor"
)
for _name in _NEED_THE_VALUE.split(" "):
    setattr(Number, f"__{_name}__", _needs_value)
