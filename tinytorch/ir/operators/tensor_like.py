"""What tensors, expressions and patterns have in common beneath their operators: facts, casts, and pairs of operands.

Broadcasting and type promotion happen here; the ops below see operands of one shape and dtype.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.operators.promotion import (
    NUMBERS,
    broadcast_shapes,
    held_array,
    integers,
    normalize_axis,
    operand_array,
    promote,
    scalar_array,
)
from tinytorch.ir.ops import core, view
from tinytorch.ir.types import DType, Shape, TensorType, dtype_of, f32, f64, i64


class TensorLike:
    """What every operand has. Subclasses give `type`, `apply_op` and `constant`."""

    __slots__ = ()
    __array_priority__ = 100  # numpy leaves `array + tensor` to the tensor
    __array_ufunc__ = None

    @property
    def type(self) -> TensorType:
        raise AttributeError("type")

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Self:
        raise TypeError(f"{type(self).__name__} cannot apply {op.name}")

    def constant(self, array: Array) -> Self:
        """`array` in this operand's world."""
        raise TypeError(f"{type(self).__name__} has no constants")

    def array_operand(self, array: Array) -> Self:
        """An array that somebody may change later, as an operand."""
        return self.constant(operand_array(array))

    def _apply(self, op: Op, *others: Any, **attrs: Any) -> Self:
        return self.apply_op(op, (self, *others), attrs)

    # As an index.
    def as_position(self) -> Self | None:
        """This integer as i64 without axes, if it is one and its value is known only when the graph runs."""
        fits = self.dtype.kind in ("int", "uint") and self.numel() == 1
        return self.cast(i64).reshape(()) if fits else None

    def known_difference(self, other: Any) -> int | None:
        """`self - other`, of integers with one element, if that is the same whenever the graph runs."""
        return None

    # Facts.
    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return self.type.rank

    def dim(self) -> int:
        return self.type.rank

    ndimension = dim

    def numel(self) -> int:
        return self.type.size

    nelement = numel

    def size(self, dim: int | None = None) -> Any:
        """The shape, or how many elements there are along `dim`."""
        return self.shape if dim is None else self.shape[normalize_axis("size", dim, self.ndim)]

    def element_size(self) -> int:
        """The bytes of an element."""
        return self.dtype.size

    @property
    def itemsize(self) -> int:
        return self.dtype.size

    @property
    def nbytes(self) -> int:
        return self.type.bytes

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor of rank 0 has no length")
        return self.shape[0]

    # Casting and broadcasting.
    def cast(self, dtype: object) -> Self:
        """The values converted to `dtype`."""
        target, own = dtype_of(dtype), self.dtype
        return self if target is own or target == own else self._apply(core.cast, dtype=target)

    def broadcast_to(self, *shape: Any, size: Sequence[int] | None = None) -> Self:
        """A view in which axes of size 1, and new ones in front, are repeated to `size`."""
        target = integers(shape if size is None else (size,))
        return self if target == self.shape else self._apply(view.broadcast, shape=target)

    def repeated(self, shape: Shape) -> Self:
        """A number that was written in Python, broadcast: nobody else has it, so it needs no history."""
        return self.broadcast_to(shape)

    def expand(self, *sizes: Any, size: Sequence[int] | None = None) -> Self:
        """Broadcast, -1 keeping an axis."""
        target = integers(sizes if size is None else (size,))
        if -1 in target[: max(len(target) - self.ndim, 0)]:
            raise ShapeError(f"expand: -1 in {list(target)} stands for no axis of {self.type}", user_loc())
        own = (1,) * (len(target) - self.ndim) + self.shape
        return self.broadcast_to(tuple(o if t == -1 else t for o, t in zip(own, target, strict=False)))

    def _like(self, other: Any) -> Self:
        """`other` as an operand: Python and numpy scalars take this dtype where it can hold their kind."""
        if isinstance(other, TensorLike):
            return other  # pyright: ignore[reportReturnType]
        if hasattr(other, "as_operand"):  # a number that is an input of the graph
            return other.as_operand(self)
        if isinstance(other, NUMBERS):
            return self.constant(scalar_array(other, self.dtype))
        if isinstance(other, np.ndarray):
            return self.array_operand(other)
        if isinstance(other, (list, tuple)):
            return self.constant(operand_array(other))
        raise TypeError(f"cannot use {type(other).__name__} as a tensor operand")

    def _held(self, other: Any) -> Self:
        """`other` as what is kept in a tensor of this dtype, as by an assignment: an operand which is then cast to it.
        Of a float, integers take all digits."""
        if not isinstance(other, NUMBERS) or isinstance(other, TensorLike):
            return self._like(other)
        if hasattr(other, "as_operand"):
            is_cut = isinstance(other, float) and not self.dtype.is_float
            return (core.filled(self, 0.0, TensorType(f64, ())) if is_cut else self)._like(other)
        return self.constant(held_array(other, self.dtype))

    def _would_round(self, other: Any) -> bool:
        """Whether `other` is a number that these 16-bit floats do not hold, as far as it is known."""
        if hasattr(other, "as_operand"):
            return self.dtype.is_float and self.dtype.bits <= 16
        if not isinstance(other, (int, float, np.integer, np.floating)) or self.dtype.bits > 16:
            return False
        return self.dtype.is_float and float(core.rounded(other, self.dtype)) != other

    def _pair(self, name: str, other: Any, dtype: DType | None = None) -> tuple[Self, Self]:
        """Both operands in one shape and dtype."""
        that = self._like(other)
        own, its = self.type, that.type
        if own is its and dtype in (None, own.dtype):
            return self, that
        target = dtype or promote(own, its)
        if that is not other and not its.shape:
            return self.cast(target), that.cast(target).repeated(own.shape)
        shape = broadcast_shapes(name, own.shape, its.shape)
        return self.cast(target).broadcast_to(shape), that.cast(target).broadcast_to(shape)

    def _binary(self, op: Op, other: Any, swap: bool = False) -> Self:
        try:
            return self._with(op, other, swap)
        except TypeError:
            return NotImplemented

    def _with(self, op: Op, other: Any, swap: bool = False) -> Self:
        a, b = self._pair(op.name, other)
        return b._apply(op, a) if swap else a._apply(op, b)

    def _compare(self, op: Op, other: Any) -> Self:
        """Integers are compared as what they are, also with Python's that their dtype does not hold."""
        if isinstance(other, (int, np.integer)) and not isinstance(other, bool) and self.dtype.kind in ("int", "uint"):
            low, high = self.dtype.limits
            if not low <= other <= high:
                truth = op.eval(np.asarray(0), np.asarray(1 if other > high else -1))
                return self.constant(np.asarray(truth)).broadcast_to(self.shape)
        return self._binary(op, other)

    def _float(self, beside: Any = None) -> Self:
        """Integers and bools as f32, floats as they are; and so all that stands `beside` a tensor of floats, whose
        dtype it will take."""
        promoted = isinstance(beside, TensorLike) and beside.dtype.is_float
        return self if self.dtype.is_float or promoted else self.cast(f32)

    def reshape(self, *sizes: Any, shape: Sequence[int] | None = None) -> Self:
        """The elements in row-major order under `shape`; one dimension may be -1."""
        target = integers(sizes if shape is None else (shape,))
        if target.count(-1) == 1:
            known = -math.prod(target)
            if known == 0 or self.numel() % known:
                raise ShapeError(f"reshape: {self.type} does not divide into {list(target)}", user_loc())
            target = tuple(self.numel() // known if d == -1 else d for d in target)
        return self if target == self.shape else self._apply(view.reshape, shape=target)
