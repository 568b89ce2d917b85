"""Diagonals and triangles of matrices, and parts of tensors replaced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch.frontend.arguments import flag, wrong_value
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.creation import arange
from tinytorch.frontend.functions.manipulation.shapes import affine, as_strided, distinct_axes, select, unit
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.devices import require_cpu
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.operators.promotion import integer, normalize_axis
from tinytorch.ir.types import TensorType, i64


# Diagonals.
@spelled()
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The elements (i, i + offset) of axes `dim1` and `dim2`, as the last axis: a view."""
    a, b = distinct_axes("diagonal", (dim1, dim2), input.ndim)
    if input.ndim < 2:
        raise ShapeError(f"diagonal: needs two axes, got {input.type}", user_loc())
    offset = integer("diagonal", "offset", offset)
    down, right = max(-offset, 0), max(offset, 0)
    length = max(0, min(input.shape[a] - down, input.shape[b] - right))
    rest = [axis for axis in range(input.ndim) if axis not in (a, b)]
    starts = [0] * input.ndim
    if length:
        starts[a], starts[b] = down, right
    both = [int(axis in (a, b)) for axis in range(input.ndim)]
    shape = (*(input.shape[axis] for axis in rest), length)
    return affine(input, shape, starts, [*(unit(input.ndim, axis) for axis in rest), both])


@spelled(space="linalg", name="diagonal")
def matrix_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices: a view."""
    return diagonal(A, offset, dim1, dim2)


@spelled()
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices of zeros, in the axes `dim1` and `dim2`, with the last axis of `input` on the diagonal `offset`."""
    if not input.ndim:
        raise ShapeError(f"diag_embed: needs an axis, got {input.type}", user_loc())
    a, b = distinct_axes("diag_embed", (dim1, dim2), input.ndim + 1)
    size = input.shape[-1] + abs(integer("diag_embed", "offset", offset))
    zeros = ops.core.filled(input, 0, TensorType(input.dtype, (*input.shape[:-1], size, size)))
    out = diagonal_scatter(zeros, input, offset if a < b else -offset, -2, -1)
    order = [axis for axis in range(out.ndim) if axis not in (a, b)]
    places = {**{axis: i for i, axis in enumerate(order)}, min(a, b): out.ndim - 2, max(a, b): out.ndim - 1}
    return out.permute([places[axis] for axis in range(out.ndim)]).contiguous()


@spelled()
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """Of a vector, the matrix with it on the diagonal; of a matrix, a copy of the diagonal."""
    if input.ndim not in (1, 2):
        raise ShapeError(f"diag: needs a vector or a matrix, got {input.type}", user_loc())
    return diag_embed(input, diagonal) if input.ndim == 1 else _diagonal_copy(input, diagonal)


def _diagonal_copy(x: Tensor, offset: int) -> Tensor:
    return diagonal(x, offset).clone()


@spelled()
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with the elements of `input` on the diagonal `offset`."""
    return diag_embed(input.reshape((input.numel(),)), offset)


@spelled(method=False)
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = i64, device: Any = "cpu") -> Tensor:
    """The coordinates [2, count] of the lower triangle of a [row, col] matrix, up to the diagonal `offset`."""
    return _triangle(np.tri(*_sides("tril_indices", row, col, offset), dtype=bool), dtype, device)


@spelled(method=False)
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = i64, device: Any = "cpu") -> Tensor:
    """The coordinates [2, count] of the upper triangle of a [row, col] matrix, from the diagonal `offset` on."""
    rows, columns, above = _sides("triu_indices", row, col, offset)
    return _triangle(~np.tri(rows, columns, above - 1, dtype=bool), dtype, device)


def _sides(what: str, row: Any, col: Any, offset: Any) -> tuple[int, int, int]:
    sides = integer(what, "row", row), integer(what, "col", col)
    if min(sides) < 0:
        raise wrong_value(what, "row and col", "not negative", sides)
    return (*sides, integer(what, "offset", offset))


def _triangle(chosen: Array, dtype: Any, device: Any) -> Tensor:
    require_cpu(device)
    return Tensor(np.stack(np.nonzero(chosen)), dtype=dtype)


# Parts replaced.
def _replaced(what: str, input: Tensor, src: Tensor, view: Callable[[Tensor], Tensor]) -> Tensor:
    """A copy of `input` with `src` in place of what `view` gives of it."""
    out = input.clone()
    part = view(out)
    if src.shape != part.shape:
        raise ShapeError(f"{what}: src has the shape of the slice, {list(part.shape)}, got {src.type}", user_loc())
    part.copy_(src)
    return out


@spelled()
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """`input` with `src` in place of the slice at `index` along `dim`."""
    return _replaced("select_scatter", input, src, lambda x: select(x, dim, index))


@spelled()
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """`input` with `src` in place of the slice `start:end:step` along `dim`."""
    axis = normalize_axis("slice_scatter", dim, input.ndim)
    if integer("slice_scatter", "step", step) < 1:
        raise wrong_value("slice_scatter", "step", "a positive integer", step)
    return _replaced("slice_scatter", input, src, lambda x: x[(*(slice(None),) * axis, slice(start, end, step))])


@spelled()
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """`input` with `src` in place of the diagonal that `diagonal` gives."""
    return _replaced("diagonal_scatter", input, src, lambda x: diagonal(x, offset, dim1, dim2))


@spelled(in_place=True)
def fill_diagonal(input: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """`input` with `fill_value` on its main diagonal: of a matrix, or of axes of one size, where all indices are equal.
    With `wrap`, the diagonal of a tall matrix begins again one row below its end."""
    if input.ndim < 2 or (input.ndim > 2 and len(set(input.shape)) > 1):
        raise ShapeError(f"fill_diagonal: needs a matrix, or axes of one size, got {input.type}", user_loc())
    first, *others = [arange(size).reshape((-1, *[1] * (input.ndim - 1 - i))) for i, size in enumerate(input.shape)]
    if flag("fill_diagonal", "wrap", wrap):
        first = first % (input.shape[1] + 1)
    chosen = first == others[0]
    for other in others[1:]:
        chosen = chosen & (first == other)
    return where(chosen, fill_value, input)


@spelled()
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """`input` with `src` in place of what `as_strided` gives."""
    view = lambda x: as_strided(x, size, stride, storage_offset)  # noqa: E731
    return _replaced("as_strided_scatter", input, src, view)
