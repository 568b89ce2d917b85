"""Norms of vectors and matrices, and distances."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.frontend.arguments import wrong_type, wrong_value
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.creation import as_tensor
from tinytorch.frontend.linear_algebra.calls import batched, matrices
from tinytorch.frontend.linear_algebra.solving import inv
from tinytorch.frontend.linear_algebra.spectra import svdvals
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import zeros_like
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import integers, normalize_axis
from tinytorch.ir.types import dtype_of, f32


def _order(what: str, name: str, value: Any) -> float:
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float)):
        raise wrong_type(what, name, "a number", value)
    return float(value)


def _floats(what: str, x: Tensor, dtype: Any) -> Tensor:
    """x, in `dtype` if that is given, which is a float one no narrower than that of x."""
    if not x.dtype.is_float:
        raise ShapeError(f"{what}: needs floats, got {x.type}", user_loc())
    if dtype is None:
        return x
    target = dtype_of(dtype)
    if not target.is_float or target.bits < x.dtype.bits:
        raise ShapeError(f"{what}: dtype is a float one no narrower than {x.dtype}, got {target}", user_loc())
    return x.cast(target)


# Vectors.
@spelled(space="linalg", method=False)
def vector_norm(x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """(sum |x|^ord)^(1/ord) over `dim`, one axis or several, or all; the largest of |x| for infinity, the smallest for
    minus infinity, how many are not 0 for 0. The gradient where an element or the norm is 0 is 0."""
    order = _order("vector_norm", "ord", ord)
    a = _floats("vector_norm", x, dtype)
    axes = a._reduced_axes("vector_norm", dim)
    if any(a.shape[i] == 0 for i in axes) and (order < 0 or order == math.inf):
        raise ShapeError(f"vector_norm: ord {ord} has no meaning for the empty dim {dim} of {x.type}", user_loc())
    return _norm(a, order, dim, keepdim)


def _norm(x: Tensor, order: float, dim: Any, keepdim: bool) -> Tensor:
    if x.dtype.bits == 16:  # whose powers soon leave the range
        return _norm(x.cast(f32), order, dim, keepdim).cast(x.dtype)
    if order == 0:
        return (x != 0).cast(x.dtype).sum(dim, keepdim)
    if order == 2:
        return x.square().sum(dim, keepdim)._apply(ops.composite.root)
    size = x.abs()
    if order == math.inf:
        return size.amax(dim, keepdim)
    if order == -math.inf:
        return size.amin(dim, keepdim)
    if order == 1:
        return size.sum(dim, keepdim)
    nought = size == 0
    powers = where(nought, 0.0 if order > 0 else math.inf, where(nought, 1.0, size) ** order)
    total = powers.sum(dim, keepdim)
    none = (total == 0) | (total == math.inf)
    return where(none, where(total == 0, 0.0, total) ** (1 / order), where(none, 1.0, total) ** (1 / order))


# Matrices.
@spelled(space="linalg", method=False)
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm of the matrices in the two axes `dim`: "fro", the root of the sum of squares; "nuc", the sum of singular
    values; 2 and -2, the largest and smallest of them; 1 and -1, the largest and smallest sum of a column's absolute
    values; infinity and minus infinity, of a row's. What needs singular values calls numpy, in eager mode only."""
    known = ("fro", "nuc", 2, -2, 1, -1, math.inf, -math.inf)
    if isinstance(ord, bool) or ord not in known:
        raise wrong_value("matrix_norm", "ord", "one of fro, nuc, 2, -2, 1, -1, inf, -inf", ord)
    x = _floats("matrix_norm", A, dtype)
    given = integers((dim,)) if isinstance(dim, (tuple, list)) else (dim,)
    if x.ndim < 2 or len(given) != 2:
        raise ShapeError(f"matrix_norm: dim names two axes of A, got {dim} of {A.type}", user_loc())
    rows, columns = (normalize_axis("matrix_norm: dim", d, x.ndim) for d in given)
    if rows == columns:
        raise ShapeError(f"matrix_norm: dim names two different axes, got {dim}", user_loc())
    if ord == "fro":
        return _norm(x, 2, (rows, columns), keepdim)
    if ord in (1, -1, math.inf, -math.inf):
        summed, other = (rows, columns) if ord in (1, -1) else (columns, rows)
        if x.shape[other] == 0:
            raise ShapeError(
                f"matrix_norm: ord {ord} has no meaning for the empty axis {other} of {A.type}", user_loc()
            )
        sums = x.abs().sum(summed, True)
        found = sums.amax(other, True) if ord > 0 else sums.amin(other, True)
    else:
        rest = [i for i in range(x.ndim) if i not in (rows, columns)]
        values = svdvals(x.permute([*rest, rows, columns]))
        if ord != "nuc" and values.shape[-1] == 0:
            raise ShapeError(f"matrix_norm: ord {ord} has no meaning for an empty matrix, got {A.type}", user_loc())
        one = values.sum(-1) if ord == "nuc" else values.amax(-1) if ord == 2 else values.amin(-1)
        shape = [1 if i in (rows, columns) else d for i, d in enumerate(x.shape)]
        found = one.reshape(shape)
    return found if keepdim else found.reshape([d for i, d in enumerate(x.shape) if i not in (rows, columns)])


@spelled(space="linalg", name="norm", method=False)
def linalg_norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`vector_norm` along one axis, `matrix_norm` of two; without `ord`, the root of the sum of squares over `dim`, or
    all. Without `dim`, `ord` is that of a vector or a matrix, as A is one."""
    axes = None if dim is None else integers((dim,)) if isinstance(dim, (tuple, list)) else (dim,)
    if ord is None:
        return vector_norm(A, 2, axes, keepdim, dtype=dtype)
    if axes is None and A.ndim not in (1, 2):
        raise ShapeError(f"norm: with ord and no dim, A is a vector or a matrix, got {A.type}", user_loc())
    count = A.ndim if axes is None else len(axes)
    if count == 2:
        return matrix_norm(A, ord, (0, 1) if axes is None else axes, keepdim, dtype=dtype)
    if count != 1:
        raise ShapeError(f"norm: dim names one axis or two, got {dim}", user_loc())
    return vector_norm(A, ord, axes, keepdim, dtype=dtype)


@spelled()
def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The `p`-norm over `dim`, one axis or several, or all, as of a vector; "nuc" as of a matrix. See `linalg.norm`."""
    if p == "nuc":
        return matrix_norm(input, "nuc", tuple(range(input.ndim)) if dim is None else dim, keepdim, dtype=dtype)
    if isinstance(p, str) and p != "fro":
        raise wrong_value("norm", "p", '"fro", "nuc" or a number', p)
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


@spelled(space="linalg", method=False)
def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number of each matrix in the norm `p` (see `matrix_norm`; by default 2): its norm times that of its
    inverse. Calls numpy, in eager mode only."""
    matrices("cond", square=p not in (None, 2, -2), A=A)
    if p not in (None, 2, -2):
        return matrix_norm(A, p) * matrix_norm(inv(A), p)
    values = svdvals(A)
    largest, smallest = values[..., 0], values[..., values.shape[-1] - 1]
    return smallest / largest if p == -2 else largest / smallest


# Distances.
@spelled()
def dist(input: Tensor, other: Any, p: float = 2) -> Tensor:
    """The `p`-norm of `input` - `other`, which broadcast."""
    return _norm((input - as_tensor(other))._float(), _order("dist", "p", p), None, False)


def _distance_order(what: str, p: Any) -> float:
    order = _order(what, "p", p)
    if not order >= 0:
        raise wrong_value(what, "p", "a number that is not negative", p)
    return order


@spelled(method=False)
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary"
) -> Tensor:
    """[..., n, m]: the `p`-norm of the difference of each row of x1 [..., n, d] and each of x2 [..., m, d]. It always
    comes from differences, so `compute_mode` changes nothing."""
    order = _distance_order("cdist", p)
    for name, x in (("x1", x1), ("x2", x2)):
        if x.ndim < 2 or not x.dtype.is_float:
            raise ShapeError(f"cdist: {name} is a matrix of floats or a batch of them, got {x.type}", user_loc())
    modes = (None, "use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
    if compute_mode not in modes:
        raise wrong_value("cdist", "compute_mode", f"one of {', '.join(map(str, modes))}", compute_mode)
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"cdist: rows of x1 {x1.type} and of x2 {x2.type} differ in size", user_loc())
    a, b = batched("cdist", x1, x2)
    apart = a.unsqueeze(-2) - b.unsqueeze(-3)
    return _norm(apart, order, -1, False) if apart.shape[-1] else apart.sum(-1)


@spelled("nn.functional.pdist", method=False)
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """[n (n - 1) / 2]: the `p`-norms of the differences of rows i < j of a matrix [n, d]."""
    order = _distance_order("pdist", p)
    if input.ndim != 2 or not input.dtype.is_float:
        raise ShapeError(f"pdist: input is a matrix of floats, got {input.type}", user_loc())
    first, second = np.triu_indices(input.shape[0], 1)
    if not len(first) or not input.shape[1]:
        return zeros_like(input).sum() * as_tensor(np.zeros(len(first), input.dtype.numpy))
    apart = input.index_select(0, as_tensor(first)) - input.index_select(0, as_tensor(second))
    return _norm(apart, order, -1, False)
