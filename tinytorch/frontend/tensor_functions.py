"""Functions of tensors that much else is written in: joining, choosing, products."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np

from tinytorch.frontend import creation
from tinytorch.frontend.creation import as_tensor
from tinytorch.frontend.gradients import require_tensor
from tinytorch.frontend.mode import mode
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, apply
from tinytorch.ir.promotion import broadcast_shapes, integer, integers, normalize_axis, promote
from tinytorch.ir.types import bool_

__all__ = [
    "allclose",
    "cat",
    "chunk",
    "dot",
    "equal",
    "outer",
    "pad",
    "split",
    "stack",
    "tril",
    "triu",
    "where",
]


# Joining.
@spelled("concat", "concatenate", method=False, standard="concat")
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their dtypes are promoted to one."""
    if isinstance(tensors, Tensor) or not tensors:
        raise ShapeError("cat: needs a list of at least one tensor", user_loc())
    parts = [require_tensor("cat", t) for t in tensors]
    axis = normalize_axis("cat", dim, parts[0].ndim)
    widest = reduce(lambda a, b: a if promote(a.type, b.type) == a.dtype else b.cast(promote(a.type, b.type)), parts)
    return apply(ops.view.concat, *(p.cast(widest.dtype) for p in parts), axis=axis)


@spelled(method=False, standard="stack")
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis `dim`."""
    if isinstance(tensors, Tensor) or not tensors:
        raise ShapeError("stack: needs a list of at least one tensor", user_loc())
    shapes = {require_tensor("stack", t).shape for t in tensors}
    if len(shapes) > 1:
        raise ShapeError(f"stack: tensors must have one shape, got {' and '.join(map(str, shapes))}", user_loc())
    return cat([t.unsqueeze(dim) for t in tensors], normalize_axis("stack", dim, tensors[0].ndim + 1))


@spelled()
def split(x: Tensor, size: int | Sequence[int], dim: int = 0) -> list[Tensor]:
    """Parts of `size` along `dim`, the last one perhaps smaller; or parts of the sizes in a list."""
    axis = normalize_axis("split", dim, x.ndim)
    length = x.shape[axis]
    if not isinstance(size, (list, tuple)):
        size = integer("split", "the size of a part", size)
        if size < 1:
            raise ShapeError(f"split: the size of a part is at least 1, got {size}", user_loc())
        bounds = [*range(0, length, size), length] if length else [0, 0]
    else:
        bounds = [0, *np.cumsum(integers((size,))).tolist()]
        if bounds[-1] != length or np.min(size) < 0:
            raise ShapeError(f"split: sizes {list(size)} do not add up to axis {axis} of {x.type}", user_loc())
    lead = (slice(None),) * axis
    return [x[(*lead, slice(a, b))] for a, b in pairwise(bounds)]


@spelled()
def chunk(x: Tensor, chunks: int, dim: int = 0) -> list[Tensor]:
    """At most `chunks` parts of equal size along `dim`, the last one perhaps smaller; of an empty axis `chunks`."""
    if integer("chunk", "the number of chunks", chunks) < 1:
        raise ShapeError(f"chunk: needs at least one chunk, got {chunks}", user_loc())
    length = x.shape[normalize_axis("chunk", dim, x.ndim)]
    return split(x, -(-length // chunks) if length else [0] * chunks, dim)


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
            "tt.where to choose, or call it outside of the compiled function",
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


@spelled(space="nn.functional")
def pad(x: Tensor, amounts: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """`value` around the last axes; `amounts` are (before, after) of the last axis, then of the one before it, …

    The only `mode` is "constant".
    """
    if mode != "constant":
        raise TinyTorchError(f'pad: the only mode is "constant", got {mode!r}; a number is `value=`', user_loc())
    amounts = integers((tuple(amounts),))
    pairs = list(zip(amounts[::2], amounts[1::2], strict=False))
    if len(amounts) % 2 or len(pairs) > x.ndim:
        raise ShapeError(f"pad: needs pairs for at most the {x.ndim} axes of {x.type}, got {list(amounts)}", user_loc())
    return x.pad([(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1], value)
