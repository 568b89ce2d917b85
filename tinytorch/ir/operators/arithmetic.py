"""Arithmetic, comparisons and elementwise functions as operators and methods: what definitions of ops are written in.

Nothing here is a composite: composites are defined in these.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Op
from tinytorch.ir.operators.tensor_like import TensorLike
from tinytorch.ir.ops import core, elementwise
from tinytorch.ir.types import bool_, f32, i64


class Arithmetic(TensorLike):
    """What can be written with a tensor-like operand in elementwise ops alone."""

    __slots__ = ()

    # Arithmetic.
    def __add__(self, other: Any) -> Self:
        return self._binary(elementwise.add, other)

    def __radd__(self, other: Any) -> Self:
        return self._binary(elementwise.add, other, swap=True)

    def __sub__(self, other: Any) -> Self:
        return self._binary(elementwise.sub, other)

    def __rsub__(self, other: Any) -> Self:
        return self._binary(elementwise.sub, other, swap=True)

    def _scaled(self, op: Op, other: Any, swap: bool = False) -> Self:
        """Times or by a Python number, which 16-bit floats meet in f32, as in PyTorch: it may lie outside of them."""
        if self._would_round(other):
            return self.cast(f32)._binary(op, other, swap).cast(self.dtype)
        return self._binary(op, other, swap)

    def __mul__(self, other: Any) -> Self:
        return self._scaled(elementwise.mul, other)

    def __rmul__(self, other: Any) -> Self:
        return self._scaled(elementwise.mul, other, swap=True)

    def __truediv__(self, other: Any) -> Self:
        return self._float(other)._scaled(elementwise.div, other)

    def __rtruediv__(self, other: Any) -> Self:
        return self._float(other)._scaled(elementwise.div, other, swap=True)

    def __floordiv__(self, other: Any) -> Self:
        return self._binary(elementwise.floordiv, other)

    def __rfloordiv__(self, other: Any) -> Self:
        return self._binary(elementwise.floordiv, other, swap=True)

    def __mod__(self, other: Any) -> Self:
        return self._binary(elementwise.mod, other)

    def __rmod__(self, other: Any) -> Self:
        return self._binary(elementwise.mod, other, swap=True)

    def __pow__(self, other: Any) -> Self:
        """Integers to integer powers are integers, which wrap; a negative power of them must be a tensor's."""
        if isinstance(other, (int, np.integer)) and not self.dtype.is_float:
            if other < 0:
                raise ShapeError(
                    f"{self.type} ** {other}: integers have no negative powers; cast to a float", user_loc()
                )
            return self.cast(i64)._power(int(other)) if self.dtype == bool_ else self._power(int(other))
        if isinstance(other, (int, float, np.integer, np.floating)):
            x = self._float()
            special = {2.0: x.square, 0.5: x.sqrt, -0.5: x.rsqrt}.get(float(other))
            return x._binary(elementwise.pow_, other) if special is None else special()
        return self._binary(elementwise.pow_, other)

    def _power(self, exponent: int) -> Self:
        """By squaring."""
        out, square = self * 0 + 1, self
        while exponent:
            out = out * square if exponent & 1 else out
            exponent >>= 1
            square = square * square if exponent else square
        return out

    def __rpow__(self, other: Any) -> Self:
        return self._binary(elementwise.pow_, other, swap=True)

    def __neg__(self) -> Self:
        return self._apply(elementwise.neg)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self._apply(elementwise.abs_)

    # Comparison and logic.
    def __eq__(self, other: object) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare(elementwise.eq, other)

    def __ne__(self, other: object) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare(elementwise.ne, other)

    __hash__ = object.__hash__

    def __lt__(self, other: Any) -> Self:
        return self._compare(elementwise.lt, other)

    def __le__(self, other: Any) -> Self:
        return self._compare(elementwise.le, other)

    def __gt__(self, other: Any) -> Self:
        return self._compare(elementwise.gt, other)

    def __ge__(self, other: Any) -> Self:
        return self._compare(elementwise.ge, other)

    def __and__(self, other: Any) -> Self:
        return self._binary(elementwise.and_, other)

    def __rand__(self, other: Any) -> Self:
        return self._binary(elementwise.and_, other, swap=True)

    def __or__(self, other: Any) -> Self:
        return self._binary(elementwise.or_, other)

    def __ror__(self, other: Any) -> Self:
        return self._binary(elementwise.or_, other, swap=True)

    def __xor__(self, other: Any) -> Self:
        return self._binary(elementwise.xor, other)

    def __rxor__(self, other: Any) -> Self:
        return self._binary(elementwise.xor, other, swap=True)

    def __invert__(self) -> Self:
        return self._apply(elementwise.not_)

    def _shift(self, op: Op, other: Any) -> Self:
        """By a Python integer of any size: what is not in [0, width) is as good as the width. Bools by integers that
        are no tensor, or by bools, are i64."""
        plain = not isinstance(other, TensorLike) or other.dtype == bool_
        x = self.cast(i64) if self.dtype == bool_ and plain else self
        if isinstance(other, (int, np.integer)) and not 0 <= other < x.dtype.bits:
            other = x.dtype.bits
        return x._binary(op, other)

    def __lshift__(self, other: Any) -> Self:
        return self._shift(elementwise.shift_left, other)

    def __rlshift__(self, other: Any) -> Self:
        return self._binary(elementwise.shift_left, other, swap=True)

    def __rshift__(self, other: Any) -> Self:
        return self._shift(elementwise.shift_right, other)

    def __rrshift__(self, other: Any) -> Self:
        return self._binary(elementwise.shift_right, other, swap=True)

    def logical_not(self) -> Self:
        """Whether each element is false (0)."""
        return self.cast(bool_)._apply(elementwise.not_)

    # Elementwise functions.
    def abs(self) -> Self:
        """The absolute value of each element."""
        return abs(self)

    def exp(self) -> Self:
        """e to the power of each element."""
        return self._float()._apply(elementwise.exp)

    def expm1(self) -> Self:
        """`exp(x) - 1`, accurate near 0."""
        return self._float()._apply(elementwise.expm1)

    def log(self) -> Self:
        """The natural logarithm of each element."""
        return self._float()._apply(elementwise.log)

    def log1p(self) -> Self:
        """`log(1 + x)`, accurate near 0."""
        return self._float()._apply(elementwise.log1p)

    def sqrt(self) -> Self:
        """The square root of each element."""
        return self._float()._apply(elementwise.sqrt)

    def rsqrt(self) -> Self:
        """`1 / sqrt(x)` of each element."""
        return self._float()._apply(elementwise.rsqrt)

    def square(self) -> Self:
        """Each element times itself."""
        x = self.cast(i64) if self.dtype == bool_ else self
        return x * x

    def reciprocal(self) -> Self:
        """`1 / x` of each element."""
        return 1.0 / self

    def pow(self, exponent: Any) -> Self:
        """Each element to the power of `exponent`, a number or a tensor."""
        return self**exponent

    def tanh(self) -> Self:
        """The hyperbolic tangent of each element."""
        return self._float()._apply(elementwise.tanh)

    def erf(self) -> Self:
        """The error function of each element."""
        return self._float()._apply(elementwise.erf)

    def sin(self) -> Self:
        """The sine of each element."""
        return self._float()._apply(elementwise.sin)

    def cos(self) -> Self:
        """The cosine of each element."""
        return self._float()._apply(elementwise.cos)

    def sign(self) -> Self:
        """-1, 0 or 1, the sign of each element; 0 of NaN."""
        return self._apply(core.copy if self.dtype == bool_ else elementwise.sign)

    def floor(self) -> Self:
        """The largest integer that is not above each element."""
        return self._apply(elementwise.floor if self.dtype.is_float else core.copy)

    def ceil(self) -> Self:
        """The smallest integer that is not below each element."""
        return self._apply(elementwise.ceil if self.dtype.is_float else core.copy)

    def trunc(self) -> Self:
        """Each element without its fraction."""
        return self._apply(elementwise.trunc if self.dtype.is_float else core.copy)

    def round(self, *, decimals: int = 0) -> Self:
        """To the nearest number of that many decimals, halves to even; negative ones count from the point to the left.
        Integers are what they are."""
        if not self.dtype.is_float or decimals == 0:
            if decimals:
                raise ShapeError(f"round: integers have no decimals to round to, got decimals={decimals}", user_loc())
            return self._apply(elementwise.rint if self.dtype.is_float else core.copy)
        scale = 10.0 ** abs(decimals)
        return (self * scale).round() / scale if decimals > 0 else (self / scale).round() * scale

    def isnan(self) -> Self:
        """Whether each element is NaN."""
        return self != self

    def isinf(self) -> Self:
        """Whether each element is infinite."""
        return abs(self) == math.inf if self.dtype.is_float else self != self

    def isfinite(self) -> Self:
        """Whether each element is neither infinite nor NaN."""
        return self - self == 0 if self.dtype.is_float else self == self

    def maximum(self, other: Any) -> Self:
        """The larger of each pair of elements; NaN where one is NaN."""
        return self._with(elementwise.maximum, other)

    def minimum(self, other: Any) -> Self:
        """The smaller of each pair of elements; NaN where one is NaN."""
        return self._with(elementwise.minimum, other)

    def sigmoid(self) -> Self:
        """`1 / (1 + exp(-x))` of each element."""
        return self._float()._apply(elementwise.sigmoid)
