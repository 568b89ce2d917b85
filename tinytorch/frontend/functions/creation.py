"""Making tensors: filled, counted, from data. Under a trace they are constants of the graph."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.random import shape_of
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.frontend.tensor.conversions import as_array, has_values
from tinytorch.frontend.tensor.devices import require_cpu, require_plain_format
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, apply
from tinytorch.ir.operators.promotion import NUMBERS, held_array
from tinytorch.ir.types import MAX_BYTES, DType, TensorType, bool_, dtype_of, f32, f64, i64

__all__ = [
    "arange",
    "as_tensor",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "scalar_tensor",
    "tensor",
    "zeros",
    "zeros_like",
]


@spelled(method=False)
def tensor(data: Any, dtype: object = None, requires_grad: bool = False, device: object = None) -> Tensor:
    """A tensor with a copy of `data`: numbers, nested lists, arrays, tensors."""
    require_cpu(device)
    if mode.trace is None or not _has_traced(data):
        return Tensor(data, requires_grad, dtype)
    made = _of_traced(data).clone()
    return (made if dtype is None else made.cast(dtype)).requires_grad_(requires_grad)


def _has_traced(data: Any) -> bool:
    """Whether there are tensors of the trace among nested lists."""
    if isinstance(data, (list, tuple)):
        return any(map(_has_traced, cast("list[Any]", data)))
    return isinstance(data, Tensor) and not has_values(data)


def _of_traced(data: Any) -> Tensor:
    """Nested lists with tensors of the trace in them as one tensor, which has no history."""
    if not isinstance(data, (list, tuple)):
        return as_tensor(data).detach()
    parts = [_of_traced(item) for item in cast("list[Any]", data)]
    kinds = {part.dtype.kind for part in parts}
    common = f32 if "float" in kinds else bool_ if kinds == {"bool"} else i64  # as lists of numbers have it
    return apply(ops.view.concat, *(part.cast(common).unsqueeze(0) for part in parts), axis=0)


@spelled("asarray", method=False)
def as_tensor(data: Any, dtype: object = None, device: object = None) -> Tensor:
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
    fill = held_array(value, dtype) if isinstance(value, NUMBERS) else as_array(value, dtype)
    if mode.trace is not None and not requires_grad:
        return mode.trace.constant(fill).broadcast_to(shape).clone()
    return _finish(np.full(shape, fill, dtype.numpy), requires_grad)


@spelled(method=False)
def zeros(*size: Any, dtype: object = None, requires_grad: bool = False, device: object = None) -> Tensor:
    """0 everywhere in shape `size`; f32 where no `dtype` is given."""
    return _filled("zeros", size, 0, _float(dtype), requires_grad, device)


@spelled(method=False)
def ones(*size: Any, dtype: object = None, requires_grad: bool = False, device: object = None) -> Tensor:
    """1 everywhere in shape `size`; f32 where no `dtype` is given."""
    return _filled("ones", size, 1, _float(dtype), requires_grad, device)


@spelled(method=False)
def empty(*size: Any, dtype: object = None, requires_grad: bool = False, device: object = None) -> Tensor:
    """Zeros: memory without a value would make results depend on what was there before."""
    return _filled("empty", size, 0, _float(dtype), requires_grad, device)


@spelled(method=False)
def full(
    size: Any, fill_value: Any, dtype: object = None, requires_grad: bool = False, device: object = None
) -> Tensor:
    """`value` everywhere; without `dtype`, bools give bool, integers i64 and floats f32."""
    kind = bool_ if isinstance(fill_value, bool) else i64 if isinstance(fill_value, int) else f32
    shape = size if isinstance(size, (tuple, list)) else (size,)
    given = kind if dtype is None else dtype_of(dtype)
    return _filled("full", tuple(shape), fill_value, given, requires_grad, device)


def _float(dtype: object) -> DType:
    """`dtype`, or what floats are."""
    return f32 if dtype is None else dtype_of(dtype)


@spelled(method=False)
def scalar_tensor(s: Any, *, dtype: object = None, requires_grad: bool = False, device: object = None) -> Tensor:
    """The number `s` as a tensor without axes; f32 where no `dtype` is given."""
    return _filled("scalar_tensor", (), s, _float(dtype), requires_grad, device)


@spelled(method=False)
def zeros_like(
    input: Tensor,
    dtype: object = None,
    requires_grad: bool = False,
    device: object = None,
    memory_format: object = None,
) -> Tensor:
    """0 everywhere, with the shape of `input`, and its dtype where none is given."""
    require_plain_format("zeros_like", memory_format)
    return zeros(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad, device=device)


@spelled(method=False)
def ones_like(
    input: Tensor,
    dtype: object = None,
    requires_grad: bool = False,
    device: object = None,
    memory_format: object = None,
) -> Tensor:
    """1 everywhere, with the shape of `input`, and its dtype where none is given."""
    require_plain_format("ones_like", memory_format)
    return ones(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad, device=device)


@spelled(method=False)
def empty_like(
    input: Tensor,
    dtype: object = None,
    requires_grad: bool = False,
    device: object = None,
    memory_format: object = None,
) -> Tensor:
    """`empty` with the shape of `input`, and its dtype where none is given."""
    return zeros_like(input, dtype, requires_grad, device, memory_format)


@spelled(method=False)
def full_like(
    input: Tensor,
    fill_value: Any,
    dtype: object = None,
    requires_grad: bool = False,
    device: object = None,
    memory_format: object = None,
) -> Tensor:
    """`fill_value` everywhere, with the shape of `input`, and its dtype where none is given."""
    require_plain_format("full_like", memory_format)
    return full(input.shape, fill_value, dtype or input.dtype, requires_grad, device)


@spelled(method=False)
def arange(
    start: float | None = None,
    end: float | None = None,
    step: float = 1,
    dtype: object = None,
    requires_grad: bool = False,
    device: object = None,
) -> Tensor:
    """`start` (0 where only the end is given), `start + step`, … before `end`; i64 if all are integers, else f32.

    A `step` that leads away from `end` is an error, and so are fractions where `dtype` is an integer one.
    """
    require_cpu(device)
    if end is None:
        start, end = None, start
    if end is None:
        raise TinyTorchError("arange: needs an end", user_loc())
    start = 0 if start is None else start
    if step == 0:
        raise TinyTorchError("arange: step must not be 0", user_loc())
    given = (start, end, step)
    if not all(map(math.isfinite, given)):
        raise TinyTorchError(f"arange: start, end and step are finite, got {given}", user_loc())
    if (end > start) != (step > 0) and end != start:
        raise TinyTorchError(f"arange: a step of {step} does not lead from {start} to {end}", user_loc())
    whole = all(isinstance(x, (int, np.integer)) for x in given)
    target = (i64 if whole else f32) if dtype is None else dtype_of(dtype)
    if not (whole or target.is_float or all(float(x).is_integer() for x in given)):
        raise TinyTorchError(f"arange: start, end and step of {target} are integers, got {given}", user_loc())
    if mode.trace is not None and whole and not requires_grad:
        count = len(range(int(start), int(end), int(step)))
        return (counted(count) * step + start).cast(target)
    return _finish(np.arange(*given).astype(target.numpy), requires_grad)


def counted(count: int) -> Tensor:
    """0, 1, … count - 1, computed where it is used instead of stored."""
    if mode.trace is None:
        return from_numpy(np.arange(count))
    return mode.trace.apply(ops.core.iota, (), {"shape": (count,), "axis": 0})


@spelled(method=False)
def linspace(
    start: float, end: float, steps: int, dtype: object = None, requires_grad: bool = False, device: object = None
) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both included. Of an integer `dtype`, `start`, `end`
    and then the numbers between them are rounded towards 0."""
    require_cpu(device)
    (count,) = shape_of("linspace", (steps,))
    target = _float(dtype)
    if _are_traced(start, end):
        return _evenly("linspace", start, end, count, not target.is_float).cast(target)
    first, last = _ends("linspace", start, end)
    if not target.is_float:
        first, last = int(first), int(last)
        low, high = target.limits
        if not low <= min(first, last) <= max(first, last) <= high:
            raise ShapeError(f"linspace: {start} to {end} does not fit dtype {target}", user_loc())
    return _finish(np.linspace(first, last, count).astype(target.numpy), requires_grad)


def _check_ends(what: str, start: Any, end: Any) -> None:
    for name, value in (("start", start), ("end", end)):
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ShapeError(f"{what}: {name} is one number, got {value.type}", user_loc())


def _are_traced(*numbers: Any) -> bool:
    return mode.trace is not None and any(isinstance(x, Tensor) for x in numbers)


def _evenly(what: str, start: Any, end: Any, count: int, whole: bool) -> Tensor:
    """f64 numbers at equal distances between tensors of one element, without their fractions if `whole`."""
    _check_ends(what, start, end)
    ends = (x if isinstance(x, Tensor) else full((), x, dtype=f64) for x in (start, end))
    first, last = (x.cast(f64).reshape(()) for x in ends)
    if whole:
        first, last = first.trunc(), last.trunc()
    places = counted(count)
    numbers = places.cast(f64) * ((last - first) / max(count - 1, 1)) + first
    return apply(ops.core.where, places == max(count - 1, 1), last.broadcast_to((count,)), numbers)


def _ends(what: str, start: Any, end: Any) -> tuple[float, float]:
    """Both as floats; tensors of one element among them."""
    _check_ends(what, start, end)
    return arguments.finite(what, "start", float(start)), arguments.finite(what, "end", float(end))


@spelled(method=False)
def eye(
    n: int, m: int | None = None, dtype: object = None, requires_grad: bool = False, device: object = None
) -> Tensor:
    """[n, m] with ones on the diagonal."""
    require_cpu(device)
    rows, columns = shape_of("eye", (n, n if m is None else m))
    if mode.trace is not None and not requires_grad:
        return (band(rows, columns, 0) & ~band(rows, columns, -1)).cast(_float(dtype))
    return _finish(np.eye(rows, columns, dtype=_float(dtype).numpy), requires_grad)


@spelled(method=False)
def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    dtype: object = None,
    requires_grad: bool = False,
    device: object = None,
) -> Tensor:
    """`base` to the powers of `steps` numbers at equal distances from `start` to `end`, both included; of an integer
    `dtype`, rounded towards 0."""
    require_cpu(device)
    (count,) = shape_of("logspace", (steps,))
    if _are_traced(start, end):
        return (float(base) ** _evenly("logspace", start, end, count, False)).cast(_float(dtype))
    first, last = _ends("logspace", start, end)
    with np.errstate(all="ignore"):
        powers = np.power(float(base), np.linspace(first, last, count))
    return _finish(as_array(powers, _float(dtype)), requires_grad)


def band(rows: int, columns: int, diagonal: int) -> Tensor:
    """bool[rows, columns]: true on and below the `diagonal`, counted from the main one upwards."""
    return counted(rows).unsqueeze(1) + diagonal >= counted(columns).unsqueeze(0)
