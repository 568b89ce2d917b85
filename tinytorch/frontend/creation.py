"""Making tensors: filled, counted, from data. Under a trace they are constants of the graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.conversions import as_array
from tinytorch.frontend.devices import require_cpu
from tinytorch.frontend.mode import mode
from tinytorch.frontend.random import shape_of
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.ops.core import array_as
from tinytorch.ir.types import MAX_BYTES, DType, TensorType, bool_, dtype_of, f32, i64

__all__ = [
    "arange",
    "as_tensor",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
]


def tensor(data: Any, dtype: object = None, requires_grad: bool = False, device: str = "cpu") -> Tensor:
    """A tensor with a copy of `data`: numbers, nested lists, arrays, tensors."""
    require_cpu(device)
    return Tensor(data, requires_grad, dtype)


def as_tensor(data: Any, dtype: object = None, device: str = "cpu") -> Tensor:
    """`data` as a tensor; tensors as they are, arrays without a copy where the dtype allows."""
    require_cpu(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.cast(dtype)
    return from_numpy(as_array(data, dtype))


def _finish(array: Array, requires_grad: bool) -> Tensor:
    out = from_numpy(array)
    return out.requires_grad_() if requires_grad else out


def _filled(what: str, size: tuple[Any, ...], value: Any, dtype: DType, requires_grad: bool, device: object) -> Tensor:
    require_cpu(device)
    shape = shape_of(what, size)
    if TensorType(dtype, shape).bytes > MAX_BYTES:
        raise ShapeError(f"{what}: {TensorType(dtype, shape)} is larger than any memory", user_loc())
    if mode.trace is not None and not requires_grad:
        return mode.trace.constant(array_as(np.asarray(value), dtype.numpy)).broadcast_to(shape).clone()
    fill = array_as(np.asarray(value), dtype.numpy) if dtype.is_float else value
    return _finish(np.full(shape, fill, dtype.numpy), requires_grad)


def zeros(*size: Any, dtype: object = f32, requires_grad: bool = False, device: str = "cpu") -> Tensor:
    return _filled("zeros", size, 0, dtype_of(dtype), requires_grad, device)


def ones(*size: Any, dtype: object = f32, requires_grad: bool = False, device: str = "cpu") -> Tensor:
    return _filled("ones", size, 1, dtype_of(dtype), requires_grad, device)


def empty(*size: Any, dtype: object = f32, requires_grad: bool = False, device: str = "cpu") -> Tensor:
    """Zeros: memory without a value would make results depend on what was there before."""
    return _filled("empty", size, 0, dtype_of(dtype), requires_grad, device)


def full(size: Any, value: Any, dtype: object = None, requires_grad: bool = False, device: str = "cpu") -> Tensor:
    """`value` everywhere; without `dtype`, bools give bool, integers i64 and floats f32."""
    kind = bool_ if isinstance(value, bool) else i64 if isinstance(value, int) else f32
    shape = size if isinstance(size, (tuple, list)) else (size,)
    return _filled("full", tuple(shape), value, kind if dtype is None else dtype_of(dtype), requires_grad, device)


def zeros_like(x: Tensor, dtype: object = None, requires_grad: bool = False) -> Tensor:
    return zeros(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad)


def ones_like(x: Tensor, dtype: object = None, requires_grad: bool = False) -> Tensor:
    return ones(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad)


def empty_like(x: Tensor, dtype: object = None, requires_grad: bool = False) -> Tensor:
    return zeros_like(x, dtype, requires_grad)


def full_like(x: Tensor, value: Any, dtype: object = None, requires_grad: bool = False) -> Tensor:
    return full(x.shape, value, dtype or x.dtype, requires_grad)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: object = None,
    requires_grad: bool = False,
    device: str = "cpu",
) -> Tensor:
    """`start` (0 where only the end is given), `start + step`, … before `stop`; i64 if all are integers, else f32.

    A `step` that leads away from `stop` is an error, and so are fractions where `dtype` is an integer one.
    """
    require_cpu(device)
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise TinyTorchError("arange: step must not be 0", user_loc())
    given = (start, stop, step)
    if not all(map(math.isfinite, given)):
        raise TinyTorchError(f"arange: start, stop and step are finite, got {given}", user_loc())
    if (stop > start) != (step > 0) and stop != start:
        raise TinyTorchError(f"arange: a step of {step} does not lead from {start} to {stop}", user_loc())
    whole = all(isinstance(x, (int, np.integer)) for x in given)
    target = (i64 if whole else f32) if dtype is None else dtype_of(dtype)
    if not (whole or target.is_float or all(float(x).is_integer() for x in given)):
        raise TinyTorchError(f"arange: start, stop and step of {target} are integers, got {given}", user_loc())
    if mode.trace is not None and whole and not requires_grad:
        count = len(range(int(start), int(stop), int(step)))
        return (counted(count) * step + start).cast(target)
    return _finish(np.arange(*given).astype(target.numpy), requires_grad)


def counted(count: int) -> Tensor:
    """0, 1, … count - 1, computed where it is used instead of stored."""
    if mode.trace is None:
        return from_numpy(np.arange(count))
    return mode.trace.apply(ops.core.iota, (), {"shape": (count,), "axis": 0})


def linspace(
    start: float, end: float, steps: int, dtype: object = f32, requires_grad: bool = False, device: str = "cpu"
) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both included. Of an integer `dtype`, `start`, `end`
    and then the numbers between them are rounded towards 0."""
    require_cpu(device)
    (count,) = shape_of("linspace", (steps,))
    target = dtype_of(dtype)
    first, last = (arguments.finite("linspace", "start or end", float(x)) for x in (start, end))
    if not target.is_float:
        first, last = int(first), int(last)
        low, high = target.limits
        if not low <= min(first, last) <= max(first, last) <= high:
            raise ShapeError(f"linspace: {start} to {end} does not fit dtype {target}", user_loc())
    return _finish(np.linspace(first, last, count).astype(target.numpy), requires_grad)


def eye(n: int, m: int | None = None, dtype: object = f32, requires_grad: bool = False, device: str = "cpu") -> Tensor:
    """[n, m] with ones on the diagonal."""
    require_cpu(device)
    rows, columns = shape_of("eye", (n, n if m is None else m))
    if mode.trace is not None and not requires_grad:
        return (band(rows, columns, 0) & ~band(rows, columns, -1)).cast(dtype)
    return _finish(np.eye(rows, columns, dtype=dtype_of(dtype).numpy), requires_grad)


def band(rows: int, columns: int, diagonal: int) -> Tensor:
    """bool[rows, columns]: true on and below the `diagonal`, counted from the main one upwards."""
    return counted(rows).unsqueeze(1) + diagonal >= counted(columns).unsqueeze(0)
