"""The operators: `+`, `@`, `.sum()` … as one mixin over `apply`, for tensors, expressions and patterns alike.

Broadcasting and type promotion happen here; the ops below see operands of one shape and dtype.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.types import DType, Shape, TensorType, bool_, dtype_of, f32, i64

Axis = int | Sequence[int] | None
RANK = {"bool": 0, "uint": 1, "int": 1, "float": 2}
core, elementwise, reduce, view, composite = ops.core, ops.elementwise, ops.reduce, ops.view, ops.composite


def promote(a: TensorType, b: TensorType) -> DType:
    """The dtype of a result: floats win over integers over bools, then the wider; an operand of rank 0 only
    counts where it is of a higher kind, as in PyTorch."""
    x, y = a.dtype, b.dtype
    if RANK[x.kind] != RANK[y.kind]:
        return x if RANK[x.kind] > RANK[y.kind] else y
    if (a.rank == 0) != (b.rank == 0):
        return y if a.rank == 0 else x
    if x == y:
        return x
    if x.bits == y.bits:  # bf16 with f16, i8 with u8: neither holds the other
        return f32 if x.is_float else dtype_of("i32")
    return x if x.bits > y.bits else y


def broadcast_shapes(name: str, a: Shape, b: Shape) -> Shape:
    """numpy's rule; ShapeError names the axis that does not fit."""
    if a == b:
        return a
    rank = max(len(a), len(b))
    x, y = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    for axis, (m, n) in enumerate(zip(x, y, strict=True)):
        if m != n and 1 not in (m, n):
            raise ShapeError(
                f"{name}: shapes {list(a)} and {list(b)} do not broadcast: axis {axis - rank} is {m} and {n}",
                user_loc(),
            )
    return tuple(n if m == 1 else m for m, n in zip(x, y, strict=True))


def normalize_axis(name: str, axis: int, rank: int) -> int:
    """`axis` counted from the front; ShapeError with the user's line if it is out of range."""
    try:
        return core.normalize_axis(name, axis, rank)
    except ShapeError as error:
        raise ShapeError(str(error), user_loc()) from None


def _ints(args: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    items = args[0] if len(args) == 1 and isinstance(args[0], (tuple, list, Sequence)) else args
    try:
        return tuple(map(operator.index, items))
    except TypeError:
        raise ShapeError(f"expected integers, got {args}", user_loc()) from None


class Operators:
    """What can be written with a tensor-like operand. Subclasses give `type`, `apply_op` and `constant`."""

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
        return self.constant(np.asarray(array))

    def _apply(self, op: Op, *others: Any, **attrs: Any) -> Self:
        return self.apply_op(op, (self, *others), attrs)

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

    def numel(self) -> int:
        return self.type.size

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor of rank 0 has no length")
        return self.shape[0]

    # Casting and broadcasting.
    def cast(self, dtype: object) -> Self:
        """The values converted to `dtype`."""
        target = dtype_of(dtype)
        return self if target == self.dtype else self._apply(core.cast, dtype=target)

    def broadcast_to(self, *shape: Any) -> Self:
        target = _ints(shape)
        return self if target == self.shape else self._apply(view.broadcast, shape=target)

    def expand(self, *shape: Any) -> Self:
        """Broadcast, -1 keeping an axis."""
        target = _ints(shape)
        own = (1,) * (len(target) - self.ndim) + self.shape
        return self.broadcast_to(tuple(o if t == -1 else t for o, t in zip(own, target, strict=False)))

    def _like(self, other: Any) -> Self:
        """`other` as an operand: Python and numpy scalars take this dtype where it can hold their kind."""
        if isinstance(other, Operators):
            return other  # pyright: ignore[reportReturnType]
        if hasattr(other, "as_operand"):  # a number that is an input of the graph
            return other.as_operand(self)
        if isinstance(other, (bool, int, float, np.generic)):
            kind = (
                "bool"
                if isinstance(other, (bool, np.bool_))
                else "int"
                if isinstance(other, (int, np.integer))
                else "float"
            )
            if RANK[kind] <= RANK[self.dtype.kind]:
                return self.constant(self._scalar(other))
            return self.constant(np.asarray(other, i64.numpy if kind == "int" else f32.numpy))
        if isinstance(other, np.ndarray):
            return self.array_operand(other)
        if isinstance(other, (list, tuple)):
            return self.constant(np.asarray(other))
        raise TypeError(f"cannot use {type(other).__name__} as a tensor operand")

    def _scalar(self, value: Any) -> Array:
        if self.dtype.kind in ("int", "uint"):
            low, high = self.dtype.limits
            if not low <= int(value) <= high:
                raise ShapeError(f"{value} does not fit dtype {self.dtype}", user_loc())
        return np.asarray(value).astype(self.dtype.numpy)

    def _pair(self, name: str, other: Any, dtype: DType | None = None) -> tuple[Self, Self]:
        """Both operands in one shape and dtype."""
        that = self._like(other)
        target = dtype or promote(self.type, that.type)
        shape = broadcast_shapes(name, self.shape, that.shape)
        return self.cast(target).broadcast_to(shape), that.cast(target).broadcast_to(shape)

    def _binary(self, op: Op, other: Any, swap: bool = False) -> Self:
        try:
            a, b = self._pair(op.name, other)
        except TypeError:
            return NotImplemented
        return b._apply(op, a) if swap else a._apply(op, b)

    def _float(self) -> Self:
        """Integers and bools as f32, floats as they are."""
        return self if self.dtype.is_float else self.cast(f32)

    # Arithmetic.
    def __add__(self, other: Any) -> Self:
        return self._binary(elementwise.add, other)

    def __radd__(self, other: Any) -> Self:
        return self._binary(elementwise.add, other, swap=True)

    def __sub__(self, other: Any) -> Self:
        return self._binary(elementwise.sub, other)

    def __rsub__(self, other: Any) -> Self:
        return self._binary(elementwise.sub, other, swap=True)

    def __mul__(self, other: Any) -> Self:
        return self._binary(elementwise.mul, other)

    def __rmul__(self, other: Any) -> Self:
        return self._binary(elementwise.mul, other, swap=True)

    def __truediv__(self, other: Any) -> Self:
        return self._float()._binary(elementwise.div, other)

    def __rtruediv__(self, other: Any) -> Self:
        return self._float()._binary(elementwise.div, other, swap=True)

    def __floordiv__(self, other: Any) -> Self:
        return self._binary(elementwise.floordiv, other)

    def __rfloordiv__(self, other: Any) -> Self:
        return self._binary(elementwise.floordiv, other, swap=True)

    def __mod__(self, other: Any) -> Self:
        return self._binary(elementwise.mod, other)

    def __rmod__(self, other: Any) -> Self:
        return self._binary(elementwise.mod, other, swap=True)

    def __pow__(self, other: Any) -> Self:
        if isinstance(other, int) and not isinstance(other, bool) and other >= 0 and not self.dtype.is_float:
            return math.prod([self] * other, start=self * 0 + 1)
        if isinstance(other, (int, float)) and float(other) == 2.0:
            return self * self
        return self._float()._binary(elementwise.pow_, other)

    def __rpow__(self, other: Any) -> Self:
        return self._float()._binary(elementwise.pow_, other, swap=True)

    def __neg__(self) -> Self:
        return self._apply(elementwise.neg)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self._apply(elementwise.abs_)

    # Comparison and logic.
    def __eq__(self, other: object) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._binary(elementwise.eq, other)

    def __ne__(self, other: object) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._binary(elementwise.ne, other)

    __hash__ = object.__hash__

    def __lt__(self, other: Any) -> Self:
        return self._binary(elementwise.lt, other)

    def __le__(self, other: Any) -> Self:
        return self._binary(elementwise.le, other)

    def __gt__(self, other: Any) -> Self:
        return self._binary(elementwise.gt, other)

    def __ge__(self, other: Any) -> Self:
        return self._binary(elementwise.ge, other)

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

    def __lshift__(self, other: Any) -> Self:
        return self._binary(elementwise.shift_left, other)

    def __rshift__(self, other: Any) -> Self:
        return self._binary(elementwise.shift_right, other)

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
        return self * self

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
        return self._apply(elementwise.sign)

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
        return self - self == 0

    def maximum(self, other: Any) -> Self:
        return self._binary(elementwise.maximum, other)

    def minimum(self, other: Any) -> Self:
        return self._binary(elementwise.minimum, other)

    def clamp(self, min: Any = None, max: Any = None) -> Self:
        """Limited to [min, max]; NaN stays."""
        low = self if min is None else self.maximum(min)
        return low if max is None else low.minimum(max)

    clip = clamp

    def relu(self) -> Self:
        return self._float()._apply(composite.relu)

    def sigmoid(self) -> Self:
        return self._float()._apply(composite.sigmoid)

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

    # Reductions.
    def _axes(self, name: str, axis: Axis) -> tuple[int, ...]:
        given = range(self.ndim) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        axes = sorted(normalize_axis(name, a, self.ndim) for a in given)
        if len(set(axes)) != len(axes):
            raise ShapeError(f"{name}: axis {axis} names one axis twice", user_loc())
        return tuple(axes)

    def _reduce(self, op: Op, axis: Axis, keepdims: bool) -> Self:
        axes = self._axes(op.name, axis)
        return self._apply(op, axes=axes)._dropping(axes, keepdims)

    def _dropping(self, axes: Sequence[int], keepdims: bool) -> Self:
        return self if keepdims else self.reshape(tuple(d for i, d in enumerate(self.shape) if i not in axes))

    def sum(self, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False) -> Self:
        """Sum over `dim` (or `axis`), all by default; small integers and bools are summed as i64."""
        wide = self if self.dtype.is_float else self.cast(i64)
        return wide._reduce(reduce.sum_, dim if axis is None else axis, keepdim or keepdims)

    def mean(self, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False) -> Self:
        return self._float()._reduce(composite.mean, dim if axis is None else axis, keepdim or keepdims)

    def var(self, dim: Axis = None, keepdim: bool = False, correction: int = 1) -> Self:
        """Variance, by default unbiased: divided by n - correction."""
        x = self._float()
        axes = x._axes("var", dim)
        count = math.prod(x.shape[a] for a in axes)
        centred = x - x.mean(axes, keepdim=True)
        divisor = count - correction
        return (centred * centred).sum(axes, keepdim) * (1.0 / divisor if divisor > 0 else math.nan)

    def std(self, dim: Axis = None, keepdim: bool = False, correction: int = 1) -> Self:
        return self.var(dim, keepdim, correction).sqrt()

    def amax(self, dim: Axis = None, keepdim: bool = False) -> Self:
        return self._reduce(reduce.max_, dim, keepdim)

    def amin(self, dim: Axis = None, keepdim: bool = False) -> Self:
        return self._reduce(reduce.min_, dim, keepdim)

    def max(self, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False) -> Self:
        return self.amax(dim if axis is None else axis, keepdim or keepdims)

    def min(self, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False) -> Self:
        return self.amin(dim if axis is None else axis, keepdim or keepdims)

    def all(self, dim: Axis = None, keepdim: bool = False) -> Self:
        return self.cast(bool_)._reduce(reduce.min_, dim, keepdim)

    def any(self, dim: Axis = None, keepdim: bool = False) -> Self:
        return self.cast(bool_)._reduce(reduce.max_, dim, keepdim)

    def _position(self, op: Op, dim: int | None, keepdim: bool) -> Self:
        if dim is None:
            return self.reshape((self.numel(),))._apply(op, axes=(0,)).reshape((1,) * self.ndim if keepdim else ())
        axes = self._axes(op.name, dim)
        return self._apply(op, axes=axes)._dropping(axes, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Self:
        """Index of the first largest element (i64) along `dim`, or in the flattened tensor."""
        return self._position(reduce.argmax, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Self:
        return self._position(reduce.argmin, dim, keepdim)

    def softmax(self, dim: int = -1) -> Self:
        return self._float()._apply(composite.softmax, axis=normalize_axis("softmax", dim, self.ndim))

    def log_softmax(self, dim: int = -1) -> Self:
        return self._float()._apply(composite.log_softmax, axis=normalize_axis("log_softmax", dim, self.ndim))

    def logsumexp(self, dim: int = -1, keepdim: bool = False) -> Self:
        axis = normalize_axis("logsumexp", dim, self.ndim)
        return self._float()._apply(composite.logsumexp, axis=axis)._dropping((axis,), keepdim)

    # Views.
    def reshape(self, *shape: Any) -> Self:
        """The elements in row-major order under `shape`; one dimension may be -1."""
        target = _ints(shape)
        if target.count(-1) == 1:
            known = -math.prod(target)
            if known == 0 or self.numel() % known:
                raise ShapeError(f"reshape: {self.type} does not divide into {list(target)}", user_loc())
            target = tuple(self.numel() // known if d == -1 else d for d in target)
        return self if target == self.shape else self._apply(view.reshape, shape=target)

    view = reshape

    def permute(self, *axes: Any) -> Self:
        order = tuple(normalize_axis("permute", a, self.ndim) for a in _ints(axes))
        return self._apply(view.permute, axes=order)

    def transpose(self, dim0: int, dim1: int) -> Self:
        """Axes `dim0` and `dim1` exchanged."""
        order = list(range(self.ndim))
        a, b = (normalize_axis("transpose", d, self.ndim) for d in (dim0, dim1))
        order[a], order[b] = b, a
        return self._apply(view.permute, axes=tuple(order))

    swapaxes = transpose

    def t(self) -> Self:
        return self.transpose(0, 1) if self.ndim > 1 else self

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
        axes = tuple(normalize_axis("flip", a, self.ndim) for a in _ints(dims))
        return self._apply(view.flip, axes=axes)

    def pad(self, amounts: Sequence[tuple[int, int]], value: float = 0.0) -> Self:
        """`value` put (before, after) each axis."""
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
            out = a.reshape((math.prod(a.shape[:-1]), a.shape[-1]))._apply(ops.contract.matmul, b)
            out = out.reshape((*a.shape[:-1], b.shape[-1]))
        else:
            batch = broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2])
            a, b = a.broadcast_to((*batch, *a.shape[-2:])), b.broadcast_to((*batch, *b.shape[-2:]))
            out = a._apply(ops.contract.matmul, b)
        return out._dropping([i + out.ndim for i in drop], False) if drop else out

    def __matmul__(self, other: Any) -> Self:
        try:
            return self.matmul(other)
        except TypeError:
            return NotImplemented

    def __rmatmul__(self, other: Any) -> Self:
        return self._like(other).matmul(self)
