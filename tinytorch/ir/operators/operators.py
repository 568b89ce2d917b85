"""The operators: `+`, `@`, `.sum()` … as one mixin over `apply`, for tensors, expressions and patterns alike.

Beneath them lie, in this order: `tensor_like` (facts and pairs of operands), `arithmetic` (what needs elementwise ops
alone) and `reductions`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.indexing import basic_index
from tinytorch.ir.operators.promotion import broadcast_shapes, integers, normalize_axis, promote
from tinytorch.ir.operators.reductions import Axis, Reductions
from tinytorch.ir.ops import composite, contract, core, view
from tinytorch.ir.types import dtype_of


class Operators(Reductions):
    """What can be written with a tensor-like operand. Subclasses give `type`, `apply_op` and `constant`."""

    __slots__ = ()

    # Elementwise functions.
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

    def permute(self, *axes: Any, dims: Sequence[int] | None = None) -> Self:
        """Axis i of the result is axis `dims[i]`: a view."""
        order = tuple(normalize_axis("permute", a, self.ndim) for a in integers(axes if dims is None else (dims,)))
        return self._apply(view.permute, axes=order)

    def transpose(self, dim0: int, dim1: int) -> Self:
        """Axes `dim0` and `dim1` exchanged."""
        order = list(range(self.ndim))
        a, b = (normalize_axis("transpose", d, max(self.ndim, 1)) for d in (dim0, dim1))
        if order:
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

    @property
    def mH(self) -> Self:
        """`mT`, since numbers are real."""
        return self.mT

    @property
    def H(self) -> Self:
        """The transpose of a matrix, since numbers are real."""
        if self.ndim not in (0, 2):
            raise ShapeError(f"H: needs a matrix, got {self.type}; mH exchanges the last two axes", user_loc())
        return self.permute(tuple(reversed(range(self.ndim))))

    def unsqueeze(self, dim: int) -> Self:
        """A new axis of size 1 at `dim`, a view."""
        at = normalize_axis("unsqueeze", dim, self.ndim + 1)
        return self.reshape((*self.shape[:at], 1, *self.shape[at:]))

    def squeeze(self, dim: Axis = None) -> Self:
        """Axes of size 1 dropped: all of them, or those of `dim` that have it."""
        axes = self._axes("squeeze", dim)
        return self.reshape(tuple(d for i, d in enumerate(self.shape) if d != 1 or i not in axes))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        """The axes from `start_dim` to `end_dim` as one."""
        if self.ndim == 0:
            return self.reshape((1,))
        a, b = (normalize_axis("flatten", d, self.ndim) for d in (start_dim, end_dim))
        if a > b:
            raise ShapeError(f"flatten: start_dim {start_dim} lies behind end_dim {end_dim} of {self.type}", user_loc())
        return self.reshape((*self.shape[:a], math.prod(self.shape[a : b + 1]), *self.shape[b + 1 :]))

    def flip(self, *axes: Any, dims: Sequence[int] | int | None = None) -> Self:
        """The order along `dims` reversed."""
        named = integers(axes if dims is None else (dims,))
        axes = tuple(normalize_axis("flip", a, max(self.ndim, 1)) for a in named) if self.ndim else ()
        return self._apply(view.flip, axes=axes)

    def pad(self, amounts: Sequence[tuple[int, int]], value: float = 0.0) -> Self:
        """`value`, which the dtype must be able to hold, put (before, after) each axis."""
        if self.dtype.kind in ("int", "uint") and not self.dtype.limits[0] <= value <= self.dtype.limits[1]:
            raise ShapeError(f"pad: {value} does not fit dtype {self.dtype}", user_loc())
        low, high = zip(*amounts, strict=True) if amounts else ((), ())
        return self._apply(view.pad, low=tuple(low), high=tuple(high), interior=(0,) * self.ndim, value=value)

    def narrow(self, dim: int, start: Any, length: int) -> Self:
        """`length` elements along `dim` from `start` on, a view: a number, or a tensor of one integer, counted from the
        end if negative. IndexError where they do not lie in the axis."""
        from tinytorch.ir.operators.indexing import narrow

        return narrow(self, normalize_axis("narrow", dim, self.ndim), start, *integers((length,)))

    def __getitem__(self, index: Any) -> Self:
        return basic_index(self, index if isinstance(index, tuple) else (index,))

    # Products.
    def matmul(self, other: Any, *, dtype: object = None) -> Self:
        """Matrix product with numpy's rules: 1-D operands are vectors, leading axes are broadcast batches.

        With `dtype` the result is what the sums are kept in, i32 for bytes (i8 and u8, which may meet each other) and
        f32 for 16-bit floats, and nothing is cast before or after. ShapeError for another one.
        """
        that = self._like(other)
        own, its = self.type, that.type
        plain = len(own.shape) == len(its.shape) == 2 and own.dtype is its.dtype and own.shape[1] == its.shape[0]
        if plain and dtype is None:
            return self._apply(contract.matmul, that)  # what most products are
        a, b, attrs = self, that, {} if dtype is None else {"dtype": dtype_of(dtype)}
        if dtype is None:
            common = promote(own, its)
            a, b = self.cast(common), that.cast(common)
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
            out = a.reshape((math.prod(a.shape[:-1]), a.shape[-1]))._apply(contract.matmul, b, **attrs)
            out = out.reshape((*a.shape[:-1], b.shape[-1]))
        else:
            batch = broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2])
            a, b = a.broadcast_to((*batch, *a.shape[-2:])), b.broadcast_to((*batch, *b.shape[-2:]))
            out = a._apply(contract.matmul, b, **attrs)
        return out._dropping([i + out.ndim for i in drop], False) if drop else out

    def __matmul__(self, other: Any) -> Self:
        try:
            return self.matmul(other)
        except TypeError:
            return NotImplemented

    def __rmatmul__(self, other: Any) -> Self:
        return self._like(other).matmul(self)
