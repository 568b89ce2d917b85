"""Products as the standard has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinytorch.frontend.standard.shared import common, enter
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import broadcast_shapes, integer, integers, normalize_axis


@enter()
def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The matrix product; a tensor with one axis is a vector, more than two are a batch."""
    a, b = common("matmul", x1, x2)
    return a.matmul(b)


@enter()
def matrix_transpose(x: Tensor, /) -> Tensor:
    """The matrices in the last two axes transposed."""
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: needs at least two axes, got {x.type}", user_loc())
    return x.mT


@enter()
def tensordot(x1: Tensor, x2: Tensor, /, *, axes: Any = 2) -> Tensor:
    """Products summed over `axes`: the last of `x1` and the first of `x2`, so many; or those in two lists."""
    a, b = common("tensordot", x1, x2)
    if isinstance(axes, (tuple, list)):
        first, second = (integers((each,)) if isinstance(each, Sequence) else (each,) for each in axes)
    else:
        count = integer("tensordot", "axes", axes)
        first, second = range(a.ndim - count, a.ndim), range(count)
    rows = [normalize_axis("tensordot", i, a.ndim) for i in first]
    columns = [normalize_axis("tensordot", i, b.ndim) for i in second]
    sizes = [a.shape[i] for i in rows], [b.shape[i] for i in columns]
    if sizes[0] != sizes[1]:
        raise ShapeError(f"tensordot: axes {rows} of {a.type} and {columns} of {b.type} differ in size", user_loc())
    left = [i for i in range(a.ndim) if i not in rows]
    right = [i for i in range(b.ndim) if i not in columns]
    inner = 1
    for size in sizes[0]:
        inner *= size
    outer = tuple(a.shape[i] for i in left), tuple(b.shape[i] for i in right)
    m, n = (_size(shape) for shape in outer)
    product = a.permute((*left, *rows)).reshape((m, inner)).matmul(b.permute((*columns, *right)).reshape((inner, n)))
    return product.reshape((*outer[0], *outer[1]))


def _size(shape: tuple[int, ...]) -> int:
    out = 1
    for size in shape:
        out *= size
    return out


@enter()
def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The inner products of vectors along `axis`; the other axes broadcast."""
    a, b = common("vecdot", x1, x2)
    if not -min(a.ndim, b.ndim) <= integer("vecdot", "axis", axis) <= -1:
        raise ShapeError(f"vecdot: axis is counted from the end of both, from -1 on, got {axis}", user_loc())
    if a.shape[axis] != b.shape[axis]:
        raise ShapeError(f"vecdot: axis {axis} of {a.type} and {b.type} differ in size", user_loc())
    shape = broadcast_shapes("vecdot", a.shape, b.shape)
    rows, columns = (x.broadcast_to(shape).transpose(axis, -1) for x in (a, b))
    return rows.unsqueeze(-2).matmul(columns.unsqueeze(-1)).squeeze((-2, -1))
