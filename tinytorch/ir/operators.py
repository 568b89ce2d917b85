"""The operators: `+`, `@`, `.sum()` … as one mixin over `apply`, for tensors, expressions and patterns alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Op
from tinytorch.ir.ops import composite, contract, core, elementwise, view
from tinytorch.ir.promotion import broadcast_shapes, integers, normalize_axis, promote
from tinytorch.ir.reductions import Axis, Reductions, ValuesAndIndices
from tinytorch.ir.tensor_like import TensorLike
from tinytorch.ir.types import bool_, f32, i64

__all__ = ["Operators", "ValuesAndIndices", "broadcast_shapes", "normalize_axis", "promote"]


class Operators(Reductions):
    """What can be written with a tensor-like operand. Subclasses give `type`, `apply_op` and `constant`."""

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
        return self.cast(bool_)._apply(elementwise.not_)

    # Elementwise functions.
    def abs(self) -> Self:
        return abs(self)

    def exp(self) -> Self:
        return self._float()._apply(elementwise.exp)

    def expm1(self) -> Self:
        return self._float()._apply(elementwise.expm1)

    def log(self) -> Self:
        return self._float()._apply(elementwise.log)

    def log1p(self) -> Self:
        return self._float()._apply(elementwise.log1p)

    def sqrt(self) -> Self:
        return self._float()._apply(elementwise.sqrt)

    def rsqrt(self) -> Self:
        return self._float()._apply(elementwise.rsqrt)

    def square(self) -> Self:
        x = self.cast(i64) if self.dtype == bool_ else self
        return x * x

    def reciprocal(self) -> Self:
        return 1.0 / self

    def pow(self, exponent: Any) -> Self:
        return self**exponent

    def tanh(self) -> Self:
        return self._float()._apply(elementwise.tanh)

    def erf(self) -> Self:
        return self._float()._apply(elementwise.erf)

    def sin(self) -> Self:
        return self._float()._apply(elementwise.sin)

    def cos(self) -> Self:
        return self._float()._apply(elementwise.cos)

    def sign(self) -> Self:
        return self if self.dtype == bool_ else self._apply(elementwise.sign)

    def floor(self) -> Self:
        return self._apply(elementwise.floor) if self.dtype.is_float else self

    def ceil(self) -> Self:
        return self._apply(elementwise.ceil) if self.dtype.is_float else self

    def trunc(self) -> Self:
        return self._apply(elementwise.trunc) if self.dtype.is_float else self

    def round(self) -> Self:
        return self._apply(elementwise.rint) if self.dtype.is_float else self

    def isnan(self) -> Self:
        return self != self

    def isinf(self) -> Self:
        return abs(self) == math.inf if self.dtype.is_float else self != self

    def isfinite(self) -> Self:
        return self - self == 0 if self.dtype.is_float else self == self

    def maximum(self, other: Any) -> Self:
        return self._with(elementwise.maximum, other)

    def minimum(self, other: Any) -> Self:
        return self._with(elementwise.minimum, other)

    def clamp(self, min: Any = None, max: Any = None) -> Self:
        """Limited to [min, max], numbers or tensors, and `max` where `min` is larger; NaN stays. The derivative is 1
        up to the limits."""
        if min is None and max is None:
            raise ShapeError("clamp: needs min, max or both", user_loc())
        low = self if min is None else self._with(composite.clamp_min, min)
        return low if max is None else low._with(composite.clamp_max, max)

    clip = clamp

    def relu(self) -> Self:
        return self.clamp(min=0) if self.dtype.kind in ("int", "uint") else self._float()._apply(composite.relu)

    def sigmoid(self) -> Self:
        return self._float()._apply(elementwise.sigmoid)

    def silu(self) -> Self:
        return self._float()._apply(composite.silu)

    def gelu(self, approximate: str = "none") -> Self:
        """`approximate` is "none" (erf) or "tanh"."""
        if approximate not in ("none", "tanh"):
            raise ValueError(f'gelu: approximate is "none" or "tanh", got {approximate!r}')
        return self._float()._apply(composite.gelu, approximate=approximate == "tanh")

    def detach(self) -> Self:
        """The same values, through which no gradient flows."""
        return self._apply(core.detach)

    # Views.
    view = Reductions.reshape

    def permute(self, *axes: Any) -> Self:
        order = tuple(normalize_axis("permute", a, self.ndim) for a in integers(axes))
        return self._apply(view.permute, axes=order)

    def transpose(self, dim0: int, dim1: int) -> Self:
        """Axes `dim0` and `dim1` exchanged."""
        order = list(range(self.ndim))
        a, b = (normalize_axis("transpose", d, self.ndim) for d in (dim0, dim1))
        order[a], order[b] = b, a
        return self._apply(view.permute, axes=tuple(order))

    swapaxes = transpose

    def t(self) -> Self:
        """The transpose of a matrix; vectors and single elements as they are."""
        if self.ndim > 2:
            raise ShapeError(f"t: needs at most two axes, got {self.type}; mT exchanges the last two", user_loc())
        return self.transpose(0, 1) if self.ndim == 2 else self

    @property
    def T(self) -> Self:
        return self.permute(tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Self:
        return self.transpose(-1, -2)

    def unsqueeze(self, dim: int) -> Self:
        at = normalize_axis("unsqueeze", dim, self.ndim + 1)
        return self.reshape((*self.shape[:at], 1, *self.shape[at:]))

    def squeeze(self, dim: Axis = None) -> Self:
        """Axes of size 1 dropped: all of them, or those of `dim` that have it."""
        axes = self._axes("squeeze", dim)
        return self.reshape(tuple(d for i, d in enumerate(self.shape) if d != 1 or i not in axes))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        if self.ndim == 0:
            return self.reshape((1,))
        a, b = (normalize_axis("flatten", d, self.ndim) for d in (start_dim, end_dim))
        return self.reshape((*self.shape[:a], math.prod(self.shape[a : b + 1]), *self.shape[b + 1 :]))

    def flip(self, *dims: Any) -> Self:
        axes = tuple(normalize_axis("flip", a, self.ndim) for a in integers(dims))
        return self._apply(view.flip, axes=axes)

    def pad(self, amounts: Sequence[tuple[int, int]], value: float = 0.0) -> Self:
        """`value`, which the dtype must be able to hold, put (before, after) each axis."""
        if self.dtype.kind in ("int", "uint") and not self.dtype.limits[0] <= value <= self.dtype.limits[1]:
            raise ShapeError(f"pad: {value} does not fit dtype {self.dtype}", user_loc())
        low, high = zip(*amounts, strict=True) if amounts else ((), ())
        return self._apply(view.pad, low=tuple(low), high=tuple(high), interior=(0,) * self.ndim, value=value)

    def __getitem__(self, index: Any) -> Self:
        from tinytorch.ir.indexing import basic_index

        return basic_index(self, index if isinstance(index, tuple) else (index,))

    # Products.
    def matmul(self, other: Any) -> Self:
        """Matrix product with numpy's rules: 1-D operands are vectors, leading axes are broadcast batches."""
        that = self._like(other)
        dtype = promote(self.type, that.type)
        a, b = self.cast(dtype), that.cast(dtype)
        if 0 in (a.ndim, b.ndim):
            raise ShapeError(f"matmul: operands need at least one axis, got {a.type} and {b.type}", user_loc())
        inner = max(b.ndim - 2, 0)
        if a.shape[-1] != b.shape[inner]:
            raise ShapeError(
                f"matmul: lhs axis {a.ndim - 1} is {a.shape[-1]}, rhs axis {inner} is {b.shape[inner]}", user_loc()
            )
        drop = tuple(i for i, x in ((-2, a), (-1, b)) if x.ndim == 1)
        a = a.unsqueeze(0) if a.ndim == 1 else a
        b = b.unsqueeze(1) if b.ndim == 1 else b
        if b.ndim == 2 and a.ndim > 2:  # one product of all rows instead of a batch of small ones
            out = a.reshape((math.prod(a.shape[:-1]), a.shape[-1]))._apply(contract.matmul, b)
            out = out.reshape((*a.shape[:-1], b.shape[-1]))
        else:
            batch = broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2])
            a, b = a.broadcast_to((*batch, *a.shape[-2:])), b.broadcast_to((*batch, *b.shape[-2:]))
            out = a._apply(contract.matmul, b)
        return out._dropping([i + out.ndim for i in drop], False) if drop else out

    def __matmul__(self, other: Any) -> Self:
        try:
            return self.matmul(other)
        except TypeError:
            return NotImplemented

    def __rmatmul__(self, other: Any) -> Self:
        return self._like(other).matmul(self)
