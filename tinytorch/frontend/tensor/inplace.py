"""What changes a tensor in place: the methods with an underscore, and `+=` and its kind.

Each computes the result as the operator does and writes it over the tensor, with its gradient. As in PyTorch, the
dtype stays, a leaf that requires grad is changed under `no_grad` only, and every view sees the change.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.operators.indexing import assign
from tinytorch.ir.operators.operators import Operators
from tinytorch.ir.operators.promotion import RANK, normalize_axis, promote
from tinytorch.ir.ops.core import copy
from tinytorch.ir.ops.index import update_slice


class InPlace(Operators):
    """Changes in place, for whatever can say `_writable` (or raises) and can `_become` other values of its type."""

    __slots__ = ()

    def _writable(self, what: str) -> None:
        raise TypeError(f"{what}: {type(self).__name__} cannot be changed")

    def _recorded(self, *operands: Any) -> bool:
        """Whether gradients are recorded of what is computed from `operands`."""
        return False

    def _before(self, *others: Any) -> Self:
        """This as an operand of its new value, beside `others`: a copy where a gradient may ask for the old values."""
        return apply(copy, self) if self._recorded(self, *others) else self

    def _become(self, value: Any) -> Self:
        """Have the values of `value`, which no one else holds, from now on; and its history, if gradients are on."""
        raise TypeError(f"{type(self).__name__} cannot be changed")

    def _updated(self, what: str, value: Any) -> Self:
        """Become `value`; ShapeError if a tensor of this shape and kind of dtype cannot hold it."""
        if value is NotImplemented:
            return value
        if value.shape != self.shape:
            raise ShapeError(f"{what}: the result has shape {list(value.shape)}, not {list(self.shape)}", user_loc())
        if RANK[value.dtype.kind] > RANK[self.dtype.kind]:
            hint = f"use a tensor of {value.dtype}, or copy_() the result to convert it"
            raise ShapeError(
                f"{what}: a tensor of {self.dtype} cannot hold the result in {value.dtype}; {hint}", user_loc()
            )
        return self._become(apply(copy, self) if value is self else value.cast(self.dtype))

    # Assignment.
    def copy_(self, value: Any) -> Self:
        """Take the values of `value`, converted to this dtype and broadcast to this shape."""
        self._writable("copy_")
        new = self._held(value).cast(self.dtype).broadcast_to(self.shape)
        if not self._recorded(self, new):
            return self._become(new)
        # As an update of the whole: what the old values were computed from gets a gradient of zeros.
        return self._become(apply(update_slice, self, new, starts=(0,) * self.ndim, steps=(1,) * self.ndim))

    def fill_(self, value: Any) -> Self:
        """Have `value`, a number or a tensor with one element, everywhere."""
        new = self._held(value)
        if new.shape != ():
            raise ShapeError(f"fill_: needs a number or a tensor without axes, got {new.type}", user_loc())
        return self.copy_(new)

    def zero_(self) -> Self:
        return self.copy_(0)

    def index_copy_(self, dim: int, index: Any, source: Any) -> Self:
        """Take the slices of `source` at the places in `dim` that the integers of the vector `index` name."""
        self._writable("index_copy_")
        axis, chosen, new = normalize_axis("index_copy_", dim, self.ndim), self._like(index), self._like(source)
        shape = (*self.shape[:axis], chosen.numel(), *self.shape[axis + 1 :])
        if chosen.ndim > 1 or new.shape != shape or new.dtype != self.dtype:
            raise ShapeError(
                f"index_copy_: for {self.type} and an index of {chosen.type} along axis {axis} the source is "
                f"{self.dtype}{list(shape)}, got {new.type}",
                user_loc(),
            )
        return self._become(assign(self, (slice(None),) * axis + (chosen.reshape((chosen.numel(),)),), new))

    # Arithmetic.
    def add_(self, other: Any, alpha: Any = 1) -> Self:
        """Add `alpha * other`."""
        self._writable("add_")
        return self._updated("add_", self + self._times(other, alpha))

    def sub_(self, other: Any, alpha: Any = 1) -> Self:
        """Subtract `alpha * other`."""
        self._writable("sub_")
        return self._updated("sub_", self - self._times(other, alpha))

    def _times(self, other: Any, alpha: Any) -> Any:
        """`alpha * other` in the dtype of a sum with it, in which small integers do not wrap and floats not round."""
        if isinstance(alpha, (int, float)) and alpha == 1:
            return other
        that = self._like(other)
        return that.cast(promote(self.type, that.type)) * alpha

    def mul_(self, other: Any) -> Self:
        self._writable("mul_")
        return self._updated("mul_", self._before(other) * other)

    def div_(self, other: Any) -> Self:
        self._writable("div_")
        return self._updated("div_", self._before(other) / other)

    def pow_(self, exponent: Any) -> Self:
        self._writable("pow_")
        return self._updated("pow_", self._before(exponent) ** exponent)

    def clamp_(self, min: Any = None, max: Any = None) -> Self:
        self._writable("clamp_")
        return self._updated("clamp_", self._before(min, max).clamp(min, max))

    # Operators.
    def __iadd__(self, other: Any) -> Self:
        self._writable("+=")
        return self._updated("+=", self + other)

    def __isub__(self, other: Any) -> Self:
        self._writable("-=")
        return self._updated("-=", self - other)

    def __imul__(self, other: Any) -> Self:
        self._writable("*=")
        return self._updated("*=", self._before(other) * other)

    def __itruediv__(self, other: Any) -> Self:
        self._writable("/=")
        return self._updated("/=", self._before(other) / other)

    def __ifloordiv__(self, other: Any) -> Self:
        self._writable("//=")
        return self._updated("//=", self._before(other) // other)

    def __imod__(self, other: Any) -> Self:
        self._writable("%=")
        return self._updated("%=", self._before(other) % other)

    def __ipow__(self, other: Any) -> Self:
        self._writable("**=")
        return self._updated("**=", self._before(other) ** other)

    def __iand__(self, other: Any) -> Self:
        self._writable("&=")
        return self._updated("&=", self & other)

    def __ior__(self, other: Any) -> Self:
        self._writable("|=")
        return self._updated("|=", self | other)

    def __ixor__(self, other: Any) -> Self:
        self._writable("^=")
        return self._updated("^=", self ^ other)

    def __ilshift__(self, other: Any) -> Self:
        self._writable("<<=")
        return self._updated("<<=", self << other)

    def __irshift__(self, other: Any) -> Self:
        self._writable(">>=")
        return self._updated(">>=", self >> other)


Changing = TypeVar("Changing", bound=InPlace)


def changed(what: str, input: Changing, inplace: bool, function: Callable[[Changing], Changing]) -> Changing:
    """`function` of the input; `inplace` writes it over the input, and gives that."""
    if not inplace:
        return function(input)
    input._writable(what)
    return input._updated(what, function(input._before()))
