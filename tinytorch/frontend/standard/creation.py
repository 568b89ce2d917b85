"""Creation as the standard has it: shapes are tuples, `device` is "cpu"."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.frontend.arguments import flag, integer, wrong_value
from tinytorch.frontend.functions import creation
from tinytorch.frontend.functions.basic import tril as lower
from tinytorch.frontend.functions.basic import triu as upper
from tinytorch.frontend.standard.shared import enter
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.frontend.tensor import from_dlpack as shared_memory
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.frontend.tensor.devices import require_cpu
from tinytorch.ir.operators.promotion import joined
from tinytorch.ir.types import bool_, dtype_of, f32, i64

Shape = Any  # an int or a tuple of ints


def _default(*values: Any) -> Any:
    """The dtype of Python numbers: the standard has one default for each kind."""
    if all(isinstance(v, (bool, np.bool_)) for v in values):
        return bool_
    return i64 if all(isinstance(v, (int, np.integer)) for v in values) else f32


@enter()
def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor of numbers, nested lists, an array or a tensor; copied if `copy`, and if needed where it is None."""
    require_cpu(device)
    if copy is not None:
        flag("asarray", "copy", copy)
    if copy is False and not (isinstance(obj, (Tensor, np.ndarray)) and dtype in (None, obj.dtype)):
        raise wrong_value("asarray", "copy", "None or True where the elements have to be converted", copy)
    if isinstance(obj, Tensor):
        out = obj if dtype is None else obj.cast(dtype)
        return out.clone() if copy and out is obj else out
    return from_numpy(as_array(obj, dtype, copy=bool(copy)))


@enter()
def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor in the memory of an object with `__dlpack__`, or a copy if `copy`."""
    require_cpu(device)
    out = shared_memory(x)
    return out.clone() if copy else out


@enter()
def arange(
    start: float, /, stop: float | None = None, step: float = 1, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """`start`, `start + step`, … before `stop`; nothing where `step` leads away from it."""
    if stop is None:
        start, stop = 0, start
    target = _default(start, stop, step) if dtype is None else dtype_of(dtype)
    if (step > 0) != (stop > start) and step != 0:
        return creation.zeros(0, dtype=target)
    return creation.arange(start, stop, step, dtype=target, device=device)


@enter()
def linspace(
    start: float, stop: float, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Tensor:
    """`num` numbers at equal distances from `start` to `stop`, which is the last of them if `endpoint`."""
    if not flag("linspace", "endpoint", endpoint):
        count = integer("linspace", "num", num, 0)
        return creation.linspace(start, stop, count + 1, dtype or f32, device=device)[:count]
    return creation.linspace(start, stop, num, dtype or f32, device=device)


@enter()
def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Tensor:
    """[n_rows, n_cols] with ones on diagonal `k`, counted from the main one upwards."""
    require_cpu(device)
    rows = integer("eye", "n_rows", n_rows, 0)
    columns = rows if n_cols is None else integer("eye", "n_cols", n_cols, 0)
    k = integer("eye", "k", k)
    return (creation.band(rows, columns, k) & ~creation.band(rows, columns, k - 1)).cast(dtype or f32)


@enter()
def empty(shape: Shape, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Zeros: memory without a value would make results depend on what was there before."""
    return creation.zeros(shape, dtype=dtype or f32, device=device or "cpu")


@enter()
def zeros(shape: Shape, *, dtype: Any = None, device: Any = None) -> Tensor:
    """0 everywhere; f32 where no `dtype` is given."""
    return creation.zeros(shape, dtype=dtype or f32, device=device or "cpu")


@enter()
def ones(shape: Shape, *, dtype: Any = None, device: Any = None) -> Tensor:
    """1 everywhere; f32 where no `dtype` is given."""
    return creation.ones(shape, dtype=dtype or f32, device=device or "cpu")


@enter()
def full(shape: Shape, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`fill_value` everywhere; bools give bool, integers i64 and floats f32 where no `dtype` is given."""
    return creation.full(shape, fill_value, dtype or _default(fill_value), device=device or "cpu")


@enter()
def empty_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`empty` with the shape of `x`, and its dtype where none is given."""
    return empty(x.shape, dtype=dtype or x.dtype, device=device)


@enter()
def zeros_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """0 everywhere, with the shape of `x`, and its dtype where none is given."""
    return zeros(x.shape, dtype=dtype or x.dtype, device=device)


@enter()
def ones_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """1 everywhere, with the shape of `x`, and its dtype where none is given."""
    return ones(x.shape, dtype=dtype or x.dtype, device=device)


@enter()
def full_like(x: Tensor, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`fill_value` everywhere, with the shape of `x`, and its dtype where none is given."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device)


@enter()
def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The lower triangles of the matrices in the last two axes, 0 above diagonal `k`."""
    return lower(x, k)


@enter()
def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The upper triangles of the matrices in the last two axes, 0 below diagonal `k`."""
    return upper(x, k)


@enter()
def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Vectors broadcast against each other: the i-th varies along axis i; with "xy" the first two are exchanged."""
    if indexing not in ("xy", "ij"):
        raise wrong_value("meshgrid", "indexing", '"xy" or "ij"', indexing)
    if not arrays:
        return []
    vectors = [creation.as_tensor(a).reshape((-1,)) for a in arrays]
    dtype = joined([v.dtype for v in vectors])
    order = [1, 0, *range(2, len(vectors))] if indexing == "xy" and len(vectors) > 1 else [*range(len(vectors))]
    shape = tuple(vectors[i].shape[0] for i in order)
    out: list[Tensor] = []
    for i, vector in enumerate(vectors):
        own = tuple(shape[axis] if order[axis] == i else 1 for axis in range(len(order)))
        out.append(vector.cast(dtype).reshape(own).broadcast_to(shape).clone())
    return out
