"""Tensors and arguments of PyTorch as ours, and whether two results are equal."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray

import tinytorch as tt
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tree import Slot, unflatten

Array = NDArray[Any]
_DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
_NAMES: dict[torch.dtype, str] = {getattr(torch, name): name for name in _DTYPES if hasattr(tt, name)}
Tolerance = tuple[float, float]  # relative, absolute


class NotOurs(Exception):
    """An argument has no counterpart here, such as a complex or sparse tensor."""


def tensor_of(x: torch.Tensor) -> Tensor:
    """Ours with the same dtype, shape and values."""
    if x.layout != torch.strided:
        raise NotOurs(f"layout {x.layout}")
    if x.dtype not in _NAMES:
        raise NotOurs(f"dtype {x.dtype}")
    if x.device.type != "cpu":
        raise NotOurs(f"device {x.device}")
    if x.ndim > 32:
        raise NotOurs(f"{x.ndim} axes")
    made = tt.from_numpy(np.array(array_of(x)))
    return made.requires_grad_() if x.requires_grad else made


def array_of(x: Any) -> Array:
    """A tensor of either side, or a Python number, as an array."""
    if isinstance(x, Tensor):
        return np.asarray(x.detach().numpy())
    if not isinstance(x, torch.Tensor):
        return np.asarray(x)
    x = x.detach().resolve_conj().resolve_neg()
    if x.layout != torch.strided:
        raise NotOurs(f"layout {x.layout}")
    return (
        x.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        if x.dtype == torch.bfloat16
        else x.numpy(force=True)
    )


def is_tensor(x: Any) -> bool:
    return isinstance(x, (Tensor, torch.Tensor))


def mapped(x: Any, of_tensor: Callable[[Any], Any]) -> Any:
    """Arguments of PyTorch as ours: `of_tensor` of each tensor, dtypes and devices by name, containers item by item."""
    if is_tensor(x):
        return of_tensor(x)
    if isinstance(x, torch.dtype):
        if x not in _NAMES:
            raise NotOurs(f"dtype {x}")
        return getattr(tt, _NAMES[x])
    if isinstance(x, torch.Size):
        return tuple(x)
    if isinstance(x, (list, tuple)):
        return type(x)(mapped(item, of_tensor) for item in x)
    if isinstance(x, dict):
        return {key: mapped(item, of_tensor) for key, item in x.items()}
    if isinstance(x, slice):
        return slice(*(mapped(item, of_tensor) for item in (x.start, x.stop, x.step)))
    if isinstance(x, torch.device):
        return str(x)
    if isinstance(x, (complex, torch.memory_format)) or (isinstance(x, torch.layout) and x != torch.strided):
        raise NotOurs(f"argument {x!r}")
    if isinstance(x, (torch.nn.Module, types.BuiltinFunctionType)):  # a layer or a function of PyTorch's
        raise NotOurs(f"argument {type(x).__name__}")
    if isinstance(x, torch.layout):
        return "strided"
    return x


def tensors_in(x: Any) -> list[Any]:
    """All tensors in nested containers."""
    if is_tensor(x):
        return [x]
    items = x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else ()
    return [tensor for item in items for tensor in tensors_in(item)]


def results_in(x: Any) -> list[Any]:
    """All tensors and numbers in what a function returned."""
    if isinstance(x, (list, tuple)):
        return [result for item in x for result in results_in(item)]
    return [x]


def tolerance(op: Any) -> Tolerance:
    """`torch.testing.assert_close`'s for float32, or the op's own where the database asks for a wider one."""
    relative, absolute = 1.3e-6, 1e-5
    for each in getattr(op, "decorators", ()):
        if getattr(each, "device_type", None) in (None, "cpu"):
            for decorator in getattr(each, "decorators", ()):
                own = getattr(decorator, "d", {}).get(torch.float32, 0.0)
                relative = max(relative, getattr(own, "rtol", 0.0))
                absolute = max(absolute, getattr(own, "atol", own))
    return relative, absolute


_LEAST: dict[str, Tolerance] = {"float64": (1e-7, 1e-7), "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5)}


def difference(mine: Any, theirs: Any, within: Tolerance, exact: Any = None, values: bool = True) -> str | None:
    """What differs between two results in shape, dtype and, unless `values` is False, values; None if nothing does.

    Floats are equal within the tolerance. Where they are not, `exact`, PyTorch's result in float64, judges: ours may be
    as far from it as the tolerance, or as PyTorch's own largest error.
    """
    a, b = array_of(mine), array_of(theirs)
    if is_tensor(mine) != is_tensor(theirs):
        return f"gives {type(mine).__name__}, PyTorch {type(theirs).__name__}"
    if a.shape != b.shape:
        return f"shape {list(a.shape)}, PyTorch's {list(b.shape)}"
    if is_tensor(mine) and a.dtype != b.dtype:
        return f"dtype {a.dtype}, PyTorch's {b.dtype}"
    if not values or a.size == 0:
        return None
    if a.dtype.kind in "biu?":
        return None if np.array_equal(a, b) else _shown(a, b, a != b)
    relative, absolute = _LEAST.get(a.dtype.name, within)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        x, y = a.astype(np.float64), b.astype(np.float64)
        wrong = ~np.isclose(x, y, rtol=max(relative, within[0]), atol=max(absolute, within[1]), equal_nan=True)
        if wrong.any() and exact is not None:
            z = array_of(exact).astype(np.float64)
            if z.shape == x.shape and np.isfinite(z).all() and np.isfinite(y).all():
                own = np.max(np.abs(y - z))
                wrong = ~(np.abs(x - z) <= np.maximum(own, absolute + relative * np.abs(z)))
    return _shown(a, b, wrong) if wrong.any() else None


def shares(result: Any, given: Sequence[Any]) -> bool:
    """Whether a result lies in the memory of one of the tensors `given`."""
    return is_tensor(result) and any(np.may_share_memory(_memory(result), _memory(x)) for x in given)


def _memory(x: Any) -> Array:
    """The memory of a tensor of either side; none where it is not strided."""
    if isinstance(x, Tensor):
        return x.detach().numpy()
    return array_of(x) if x.layout == torch.strided else np.empty(0)


def memory_difference(mine: Any, theirs: Any, given: Sequence[Any], shared: bool) -> str | None:
    """What differs between the memory of our result and that of PyTorch's, which is `shared` with an argument or not;
    None if nothing does. Ours may be new where theirs is a view."""
    if not (is_tensor(mine) and is_tensor(theirs)) or theirs.layout != torch.strided:
        return None
    if not shared and shares(mine, given):
        return "lies in the memory of an argument, PyTorch's does not"
    if theirs.is_contiguous():
        try:
            mine.view(-1)
        except tt.ShapeError:
            return "is not laid out to be viewed as a vector, PyTorch's is"
    return None


def _shown(a: Array, b: Array, wrong: Array) -> str:
    at = tuple(np.argwhere(wrong)[0]) if wrong.ndim else ()
    place = f" at {list(map(int, at))}" if at else ""
    return f"{a[at]!s}, PyTorch's {b[at]!s}{place} ({int(wrong.sum())} of {wrong.size} differ)"


def described(sample: Any) -> str:
    """The arguments of a sample, short."""
    return shown([sample.input, *sample.args], sample.kwargs)[:160]


def shown(args: Sequence[Any], options: Mapping[str, Any]) -> str:
    """Arguments, with dtypes and shapes of tensors."""

    def show(x: Any) -> str:
        if isinstance(x, torch.Tensor):
            return f"{str(x.dtype).removeprefix('torch.')}{list(x.shape)}"
        if isinstance(x, (list, tuple)):
            return f"({', '.join(map(show, x))})"
        return repr(x)

    return ", ".join([*map(show, args), *(f"{key}={show(value)}" for key, value in options.items())])


def flat_call(
    args: Sequence[Any], options: Mapping[str, Any], function: Callable[..., Any]
) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """(The tensors among arguments of PyTorch, the function of such a list that calls `function` with them in their
    places)."""
    tensors: list[torch.Tensor] = []

    def place(x: torch.Tensor) -> Slot:
        tensors.append(x)
        return Slot(len(tensors) - 1)

    placed, named = mapped(list(args), place), mapped(dict(options), place)

    def call(given: Sequence[Any]) -> Any:
        return function(*unflatten(placed, given), **unflatten(named, given))

    return tensors, call
