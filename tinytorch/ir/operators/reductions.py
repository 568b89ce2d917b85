"""Reductions as methods: sums, means, extremes and their positions, running sums, softmax and its relatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Op
from tinytorch.ir.operators.arithmetic import Arithmetic
from tinytorch.ir.operators.promotion import flag, normalize_axis
from tinytorch.ir.operators.tensor_like import TensorLike
from tinytorch.ir.ops import composite, core, elementwise, reduce, scan, view
from tinytorch.ir.types import DType, bool_, dtype_of, i64

Axis = int | Sequence[int] | None


class ValuesAndIndices(NamedTuple):
    """What `max` and `min` find along an axis."""

    values: Any
    indices: Any


def _not_bool(dtype: object) -> DType:
    """What sums are in: a sum of bools is their number, in PyTorch whether there is one."""
    found = dtype_of(dtype)
    if found == bool_:
        raise ShapeError("a sum or product has a dtype of numbers, got bool; `any` and `all` give bools", user_loc())
    return found


class Reductions(Arithmetic):
    """Reductions of a tensor-like operand. `dim` and `axis`, `keepdim` and `keepdims` are names for the same."""

    __slots__ = ()

    def _axes(self, name: str, axis: Axis) -> tuple[int, ...]:
        """`axis` counted from the front and in order. Of a tensor without axes 0 and -1 may be named, as in PyTorch."""
        given = range(self.ndim) if axis is None else axis if isinstance(axis, (tuple, list, range)) else (axis,)
        axes = sorted(normalize_axis(name, a, max(self.ndim, 1)) for a in given)
        if len(set(axes)) != len(axes):
            raise ShapeError(f"{name}: axis {axis} names one axis twice", user_loc())
        return tuple(axes) if self.ndim else ()

    def _reduced_axes(self, name: str, axis: Axis) -> tuple[int, ...]:
        """No axes at all mean every axis, as in PyTorch."""
        given = () if axis is None else self._axes(name, axis)
        return given or tuple(range(self.ndim))

    def _reduce(self, op: Op, axis: Axis, keepdims: bool) -> Self:
        axes = self._reduced_axes(op.name, axis)
        return self._apply(op, axes=axes)._dropping(axes, flag(op.name, "keepdim", keepdims))

    def _dropping(self, axes: Sequence[int], keepdims: bool) -> Self:
        return self if keepdims else self.reshape(tuple(d for i, d in enumerate(self.shape) if i not in axes))

    def _summed(self, dtype: object) -> Self:
        """This as it is summed: in `dtype`, or integers and bools in i64."""
        if dtype is not None:
            return self.cast(_not_bool(dtype))
        return self if self.dtype.is_float else self.cast(i64)

    def sum(
        self,
        dim: Axis = None,
        keepdim: bool = False,
        *,
        dtype: object = None,
        axis: Axis = None,
        keepdims: bool = False,
    ) -> Self:
        """Sum over `dim` (or `axis`), all by default, of what the elements are in `dtype`; small integers and bools are
        summed as i64."""
        return self._summed(dtype)._reduce(reduce.sum_, dim if axis is None else axis, keepdim or keepdims)

    def _of_floats(self, what: str) -> Self:
        """This, if it is of floats."""
        if not self.dtype.is_float:
            raise ShapeError(f"{what}: needs floats, got {self.type}; x.float() makes it f32", user_loc())
        return self

    def mean(
        self,
        dim: Axis = None,
        keepdim: bool = False,
        *,
        dtype: object = None,
        axis: Axis = None,
        keepdims: bool = False,
    ) -> Self:
        """Mean over `dim` (or `axis`), all by default, of floats, or of what the elements are in `dtype`, a float."""
        x = self._of_floats("mean") if dtype is None else self.cast(dtype)
        return x._reduce(composite.mean, dim if axis is None else axis, keepdim or keepdims)

    def cumsum(self, dim: int, *, dtype: object = None) -> Self:
        """Sums of all elements up to each, along `dim`, of what they are in `dtype`; small integers and bools are
        summed as i64."""
        wide = self._summed(dtype)
        if not self.ndim:
            normalize_axis("cumsum", dim, 1)
            return wide._apply(core.copy)
        return wide._apply(scan.cumsum, axis=normalize_axis("cumsum", dim, self.ndim), reverse=False)

    def var(
        self, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
    ) -> Self:
        """Variance: the squares of the distances from the mean, divided by n - `correction` (1 by default, 0 if not
        `unbiased`) or by 0 where that is negative. `var(False)` is short for `var(unbiased=False)`."""
        if isinstance(dim, bool) and unbiased is None:
            dim, unbiased = None, dim
        if correction is not None and (unbiased is not None or isinstance(correction, (bool, np.bool_))):
            raise ShapeError("var: takes `unbiased`, a bool, or `correction`, a number", user_loc())
        if correction is None:
            correction = 1 if unbiased is None else int(flag("var", "unbiased", unbiased))
        axes = self._reduced_axes("var", dim)
        out = self._of_floats("var")._apply(composite.variance, axes=axes, correction=float(correction))
        return out._dropping(axes, flag("var", "keepdim", keepdim))

    def std(
        self, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
    ) -> Self:
        """The square root of `var`. Where all elements are equal, its derivative is 0."""
        variance = self._of_floats("std").var(dim, unbiased, keepdim, correction=correction)
        return variance._apply(composite.root)

    def amax(self, dim: Axis = None, keepdim: bool = False) -> Self:
        """The largest element along `dim`, one axis or several, of all by default."""
        return self._reduce(reduce.max_, dim, keepdim)

    def amin(self, dim: Axis = None, keepdim: bool = False) -> Self:
        """The smallest element along `dim`, one axis or several, of all by default."""
        return self._reduce(reduce.min_, dim, keepdim)

    def max(self, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
        """The largest element; along one `dim`, (values, indices), the gradient of which goes to the first of equals;
        of a tensor and another, `maximum`. `amax` gives values alone, and takes several axes."""
        pair = reduce.max_, reduce.argmax
        return self._extreme(pair, elementwise.maximum, dim if axis is None else axis, keepdim or keepdims)

    def min(self, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
        """The smallest element; along one `dim`, (values, indices); of a tensor and another, `minimum`. See `max`."""
        pair = reduce.min_, reduce.argmin
        return self._extreme(pair, elementwise.minimum, dim if axis is None else axis, keepdim or keepdims)

    def _extreme(self, pair: tuple[Op, Op], pairwise: Op, dim: Any, keepdim: bool) -> Any:
        reduction, position = pair
        if isinstance(dim, (TensorLike, np.ndarray)):
            return self._with(pairwise, dim)
        if dim is None:
            return self._reduce(reduction, None, keepdim)
        if isinstance(dim, (tuple, list)):
            name = reduction.name
            raise ShapeError(f"{name}: takes one axis, got {dim}; a{name} takes several", user_loc())
        axes, keep = self._axes(reduction.name, dim), flag(reduction.name, "keepdim", keepdim)
        if not axes:
            return self.reshape((1,))._extreme(pair, pairwise, 0, False)
        indices = self._apply(position, axes=axes)
        if self.dtype.is_float:  # what stands at the index, so that its gradient goes there alone
            steps = self.apply_op(core.iota, (), {"shape": self.shape, "axis": axes[0]})
            chosen = indices.broadcast_to(self.shape)._apply(elementwise.eq, steps)
            values = chosen._apply(core.where, self, core.zeros_like(self))._apply(reduce.sum_, axes=axes)
        else:
            values = self._apply(reduction, axes=axes)
        return ValuesAndIndices(values._dropping(axes, keep), indices._dropping(axes, keep))

    def all(self, dim: Axis = None, keepdim: bool = False) -> Self:
        """Whether every element is true (not 0), which is so of nothing."""
        return self._truth(reduce.min_, "all", dim, keepdim)

    def any(self, dim: Axis = None, keepdim: bool = False) -> Self:
        """Whether an element is true (not 0), which is not so of nothing."""
        return self._truth(reduce.max_, "any", dim, keepdim)

    def _truth(self, op: Op, name: str, dim: Axis, keepdim: bool) -> Self:
        axes, keep = self._axes(name, dim), flag(name, "keepdim", keepdim)
        if any(self.shape[a] == 0 for a in axes):
            shape = tuple(1 if i in axes else d for i, d in enumerate(self.shape))
            return self.constant(np.asarray(op is reduce.min_)).broadcast_to(shape)._dropping(axes, keep)
        return self.cast(bool_)._apply(op, axes=axes)._dropping(axes, keep)

    def _position(self, op: Op, dim: int | None, keepdim: bool) -> Self:
        axes, keep = self._axes(op.name, dim), flag(op.name, "keepdim", keepdim)
        if dim is None or not axes:
            return self.reshape((self.numel(),))._apply(op, axes=(0,)).reshape((1,) * self.ndim if keep else ())
        return self._apply(op, axes=axes)._dropping(axes, keep)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Self:
        """Index of the first largest element (i64) along `dim`, or in the flattened tensor."""
        return self._position(reduce.argmax, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Self:
        """Index of the first smallest element (i64) along `dim`, or in the flattened tensor."""
        return self._position(reduce.argmin, dim, keepdim)

    def _along(self, op: Op, dim: int) -> Self:
        """`op` along `dim`, of floats. A tensor without axes is one with a single element, as in PyTorch."""
        axis = normalize_axis(op.name, dim, max(self.ndim, 1))
        x = self._float()
        return x._apply(op, axis=axis) if self.ndim else x.reshape((1,))._apply(op, axis=axis).reshape(())

    def softmax(self, dim: int = -1, dtype: object = None) -> Self:
        """exp(x) / sum(exp(x)) along `dim`, computed in `dtype` where that is given."""
        return (self if dtype is None else self.cast(dtype))._along(composite.softmax, dim)

    def log_softmax(self, dim: int = -1, dtype: object = None) -> Self:
        """The logarithm of `softmax`, computed in `dtype` where that is given."""
        return (self if dtype is None else self.cast(dtype))._along(composite.log_softmax, dim)

    def logsumexp(self, dim: Axis = -1, keepdim: bool = False) -> Self:
        """log(sum(exp(x))) over one axis or several; of no elements -inf."""
        axes, keep = self._reduced_axes("logsumexp", dim), flag("logsumexp", "keepdim", keepdim)
        if len(axes) < 2:
            return self._along(composite.logsumexp, *(axes or (0,)))._dropping(axes, keep)
        others = tuple(a for a in range(self.ndim) if a not in axes)
        kept = tuple(self.shape[a] for a in others)
        joined = self._apply(view.permute, axes=(*others, *axes)).reshape(
            (*kept, math.prod(self.shape[a] for a in axes))
        )
        out = joined._along(composite.logsumexp, -1)
        return out.reshape(tuple(1 if a in axes else d for a, d in enumerate(self.shape)) if keep else kept)
