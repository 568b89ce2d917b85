"""Functions of tensors that much else is written in: joining, choosing, products."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from tinytorch.frontend.functions import creation
from tinytorch.frontend.functions.creation import as_tensor
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, apply
from tinytorch.ir.operators.promotion import broadcast_shapes, integer, integers, normalize_axis, promote
from tinytorch.ir.types import bool_

__all__ = [
    "allclose",
    "cat",
    "chunk",
    "dot",
    "equal",
    "outer",
    "split",
    "split_with_sizes",
    "stack",
    "tensor_split",
    "tril",
    "triu",
    "where",
]


# Joining.
@spelled("concat", "concatenate", method=False, standard="concat")
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their dtypes are promoted to one. Vectors without elements may stand
    among tensors of any rank."""
    parts = listed_tensors("cat", tensors)
    ranks = {p.ndim for p in parts}
    if len(ranks) > 1:
        parts = [p for p in parts if p.shape != (0,)]
    axis = normalize_axis("cat", dim, parts[0].ndim)
    widest = reduce(lambda a, b: a if promote(a.type, b.type) == a.dtype else b.cast(promote(a.type, b.type)), parts)
    return apply(ops.view.concat, *(p.cast(widest.dtype) for p in parts), axis=axis)


def listed_tensors(what: str, tensors: Any) -> list[Tensor]:
    """A list or tuple of at least one tensor."""
    if isinstance(tensors, Tensor) or not isinstance(tensors, (list, tuple)) or not tensors:
        raise ShapeError(f"{what}: needs a list of at least one tensor", user_loc())
    return [require_tensor(what, t) for t in tensors]


@spelled(method=False, standard="stack")
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis `dim`."""
    parts = listed_tensors("stack", tensors)
    shapes = {t.shape for t in parts}
    if len(shapes) > 1:
        raise ShapeError(f"stack: tensors must have one shape, got {' and '.join(map(str, shapes))}", user_loc())
    return cat([t.unsqueeze(dim) for t in parts], normalize_axis("stack", dim, parts[0].ndim + 1))


# Parts.
@spelled("unsafe_split")
def split(input: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts of `split_size` along `dim`, the last one perhaps smaller; or of parts of the sizes in a list."""
    axis = normalize_axis("split", dim, input.ndim)
    if isinstance(split_size, (list, tuple)):
        return split_with_sizes(input, split_size, axis)
    length, size = input.shape[axis], integer("split", "the size of a part", split_size)
    if size < 0 or (size == 0 and length):
        raise ShapeError(f"split: the size of a part is at least 1, got {size}", user_loc())
    return _between(input, axis, [*range(0, length, size), length] if length else [0, 0])


@spelled()
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts of these sizes along `dim`, one after the other."""
    axis = normalize_axis("split", dim, input.ndim)
    sizes = integers((tuple(split_sizes),))
    if sum(sizes) != input.shape[axis] or min(sizes, default=0) < 0:
        raise ShapeError(f"split: sizes {list(sizes)} do not add up to axis {axis} of {input.type}", user_loc())
    return _between(input, axis, [0, *accumulate(sizes)])


def _between(x: Tensor, axis: int, bounds: Sequence[int]) -> tuple[Tensor, ...]:
    """The parts of an axis between neighbouring bounds."""
    lead = (slice(None),) * axis
    return tuple(x[(*lead, slice(a, b))] for a, b in pairwise(bounds))


@spelled("unsafe_chunk")
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` parts of equal size along `dim`, the last one perhaps smaller; of an empty axis
    `chunks`."""
    if integer("chunk", "the number of chunks", chunks) < 1:
        raise ShapeError(f"chunk: needs at least one chunk, got {chunks}", user_loc())
    length = input.shape[normalize_axis("chunk", dim, input.ndim)]
    return split(input, -(-length // chunks) if length else [0] * chunks, dim)


@spelled()
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts along `dim`: as many as a number says, the first ones one larger where it does not divide the
    size; or those that end before each of the indices in a list, and the rest."""
    axis = normalize_axis("tensor_split", dim, input.ndim)
    length, where_to = input.shape[axis], indices_or_sections
    if isinstance(where_to, Tensor):
        where_to = where_to.tolist()
    if isinstance(where_to, (list, tuple)):
        cuts = [min(max(i + length if i < 0 else i, 0), length) for i in integers((tuple(where_to),))]
        starts, stops = [0, *cuts], [*cuts, length]
        lead = (slice(None),) * axis
        return tuple(input[(*lead, slice(a, max(a, b)))] for a, b in zip(starts, stops, strict=True))
    count = integer("tensor_split", "the number of parts", where_to)
    if count < 1:
        raise ShapeError(f"tensor_split: needs at least one part, got {count}", user_loc())
    small, larger = divmod(length, count)
    return split_with_sizes(input, [small + 1] * larger + [small] * (count - larger), axis)


# Choosing.
@spelled(standard="where", method=False)
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition is true, else `other`; all three broadcast, both may be numbers. Of a condition
    alone, the places where it is true, a vector of coordinates for each axis; not under tt.compile."""
    if (input is None) != (other is None):
        raise TinyTorchError("where: needs both input and other, or the condition alone", user_loc())
    if input is None:
        return tuple(map(from_numpy, positions("where", as_tensor(condition))))
    chosen = as_tensor(condition).cast(bool_)
    left, right = _operand(input, other), _operand(other, input)
    dtype = promote(left.type, right.type)
    shape = broadcast_shapes("where", chosen.shape, broadcast_shapes("where", left.shape, right.shape))
    return apply(
        ops.core.where,
        chosen.broadcast_to(shape),
        left.cast(dtype).broadcast_to(shape),
        right.cast(dtype).broadcast_to(shape),
    )


def positions(what: str, x: Tensor) -> tuple[Array, ...]:
    """The coordinates of the elements that are not 0, by axis; without axes, as of a vector. They need values."""
    if x._expr is not None or (mode.trace is not None and mode.trace.holds(x)):
        raise TraceError(
            f"{what}: how many elements it finds depends on values, and shapes of a compiled function do not; use "
            "tt.where to choose, or call it eagerly, outside of the compiled function",
            user_loc(),
        )
    return tuple(map(np.ascontiguousarray, np.nonzero(x._data if x.ndim else x._data.reshape((1,)))))


_KINDS = {"bool": 0, "int": 1, "uint": 1, "float": 2}


def _operand(value: Any, other: Any) -> Tensor:
    """`value` as a tensor; a number takes the dtype of `other` where that can hold its kind."""
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, (int, float)) or not isinstance(other, Tensor):
        return as_tensor(value)
    own = creation.full((), value)
    return own if _KINDS[own.dtype.kind] > _KINDS[other.dtype.kind] else creation.full((), value, other.dtype)


@spelled(in_place=True, standard="tril")
def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of the matrices in the last two axes, 0 above the `diagonal`."""
    return where(creation.band(*_matrix("tril", x), integer("tril", "diagonal", diagonal)), x, creation.zeros_like(x))


@spelled(in_place=True, standard="triu")
def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of the matrices in the last two axes, 0 below the `diagonal`."""
    return where(
        creation.band(*_matrix("triu", x), integer("triu", "diagonal", diagonal) - 1), creation.zeros_like(x), x
    )


def _matrix(what: str, x: Tensor) -> tuple[int, int]:
    if x.ndim < 2:
        raise ShapeError(f"{what}: needs at least two axes, got {x.type}", user_loc())
    return x.shape[-2], x.shape[-1]


# Products.
@spelled()
def dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of two vectors."""
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"dot: needs two vectors, got {a.type} and {b.type}", user_loc())
    return a.matmul(b)


@spelled("ger")
def outer(a: Tensor, b: Tensor) -> Tensor:
    """Every product of an element of vector `a`, by rows, with one of vector `b`."""
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"outer: needs two vectors, got {a.type} and {b.type}", user_loc())
    return a.unsqueeze(1) * b.unsqueeze(0)


@spelled()
def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |a - b| <= atol + rtol * |b| everywhere; needs values, so not under tt.compile."""
    x, y = (as_tensor(t).numpy() for t in (a, b))
    broadcast_shapes("allclose", x.shape, y.shape)
    wide = [t.astype(np.float64) if t.dtype.kind in "fV" else t for t in (x, y)]
    return bool(np.allclose(*wide, rtol=rtol, atol=atol, equal_nan=equal_nan))


@spelled()
def equal(a: Any, b: Any) -> bool:
    """Whether shapes and all values are the same; needs values, so not under tt.compile."""
    return bool(np.array_equal(as_tensor(a).numpy(), as_tensor(b).numpy()))
