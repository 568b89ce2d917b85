"""numpy's other functions, under its names and with its arguments."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinytorch.frontend.binding import public
from tinytorch.frontend.functions.algebra.einsum import einsum
from tinytorch.frontend.functions.basic import outer
from tinytorch.frontend.functions.basic import where as chosen
from tinytorch.frontend.functions.creation import as_tensor
from tinytorch.frontend.numpy_functions.ufuncs import on_arrays
from tinytorch.frontend.spelling import names_in
from tinytorch.frontend.standard import creation, manipulation, products, searching, statistics
from tinytorch.frontend.standard.shared import flat
from tinytorch.frontend.tensor import Tensor

# Other functions, under numpy's names and with its arguments.
_FUNCTIONS: dict[str, Callable[..., Any]] = {}


def _numpy(*others: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def entered(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__.rstrip("_")
        for each in (name, *others):
            _FUNCTIONS[each] = public(function, f"np.{each}")
        return function

    return entered


@_numpy()
def sum(a: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Tensor:
    return statistics.sum(as_tensor(a), axis=axis, dtype=dtype, keepdims=keepdims)


@_numpy()
def prod(a: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Tensor:
    return statistics.prod(as_tensor(a), axis=axis, dtype=dtype, keepdims=keepdims)


@_numpy()
def mean(a: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Tensor:
    x = as_tensor(a)._float() if dtype is None else as_tensor(a).cast(dtype)
    return statistics.mean(x, axis=axis, keepdims=keepdims)


@_numpy()
def var(a: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False, correction: float = 0) -> Tensor:
    return statistics.var(as_tensor(a)._float(), axis=axis, correction=float(ddof or correction), keepdims=keepdims)


@_numpy()
def std(a: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False, correction: float = 0) -> Tensor:
    return statistics.std(as_tensor(a)._float(), axis=axis, correction=float(ddof or correction), keepdims=keepdims)


@_numpy("amax")
def max(a: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    return statistics.max(as_tensor(a), axis=axis, keepdims=keepdims)


@_numpy("amin")
def min(a: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    return statistics.min(as_tensor(a), axis=axis, keepdims=keepdims)


@_numpy()
def all(a: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    return statistics.all(as_tensor(a), axis=axis, keepdims=keepdims)


@_numpy()
def any(a: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    return statistics.any(as_tensor(a), axis=axis, keepdims=keepdims)


@_numpy()
def argmax(a: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    return searching.argmax(as_tensor(a), axis=axis, keepdims=keepdims)


@_numpy()
def argmin(a: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    return searching.argmin(as_tensor(a), axis=axis, keepdims=keepdims)


@_numpy()
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    return statistics.count_nonzero(as_tensor(a), axis=axis, keepdims=keepdims)


@_numpy()
def cumsum(a: Any, axis: Any = None, dtype: Any = None) -> Tensor:
    x = flat(as_tensor(a)) if axis is None else as_tensor(a)
    return statistics.cumulative_sum(x, axis=axis, dtype=dtype)


@_numpy()
def cumprod(a: Any, axis: Any = None, dtype: Any = None) -> Tensor:
    x = flat(as_tensor(a)) if axis is None else as_tensor(a)
    return statistics.cumulative_prod(x, axis=axis, dtype=dtype)


@_numpy()
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    return statistics.diff(as_tensor(a), axis=axis, n=n, prepend=prepend, append=append)


@_numpy("concat")
def concatenate(arrays: Any, axis: int | None = 0, *, dtype: Any = None) -> Tensor:
    out = manipulation.concat([as_tensor(x) for x in arrays], axis=axis)
    return out if dtype is None else out.cast(dtype)


@_numpy()
def stack(arrays: Any, axis: int = 0) -> Tensor:
    return manipulation.stack([as_tensor(x) for x in arrays], axis=axis)


@_numpy()
def expand_dims(a: Any, axis: Any) -> Tensor:
    return manipulation.expand_dims(as_tensor(a), axis=axis)


@_numpy()
def squeeze(a: Any, axis: Any = None) -> Tensor:
    return as_tensor(a).squeeze() if axis is None else manipulation.squeeze(as_tensor(a), axis)


@_numpy("permute_dims")
def transpose(a: Any, axes: Any = None) -> Tensor:
    x = as_tensor(a)
    return manipulation.permute_dims(x, tuple(reversed(range(x.ndim))) if axes is None else axes)


@_numpy()
def swapaxes(a: Any, axis1: int, axis2: int) -> Tensor:
    return as_tensor(a).transpose(axis1, axis2)


@_numpy()
def moveaxis(a: Any, source: Any, destination: Any) -> Tensor:
    return manipulation.moveaxis(as_tensor(a), source, destination)


@_numpy()
def reshape(a: Any, shape: Any) -> Tensor:
    return as_tensor(a).reshape(shape)


@_numpy()
def ravel(a: Any) -> Tensor:
    return flat(as_tensor(a))


@_numpy()
def flip(m: Any, axis: Any = None) -> Tensor:
    return manipulation.flip(as_tensor(m), axis=axis)


@_numpy()
def roll(a: Any, shift: Any, axis: Any = None) -> Tensor:
    return manipulation.roll(as_tensor(a), shift, axis=axis)


@_numpy()
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Tensor:
    return manipulation.repeat(as_tensor(a), repeats, axis=axis)


@_numpy()
def tile(A: Any, reps: Any) -> Tensor:
    return manipulation.tile(as_tensor(A), reps)


@_numpy()
def broadcast_to(array: Any, shape: Any) -> Tensor:
    return manipulation.broadcast_to(as_tensor(array), shape)


@_numpy()
def broadcast_arrays(*args: Any) -> list[Tensor]:
    return manipulation.broadcast_arrays(*map(as_tensor, args))


@_numpy()
def where(condition: Any, x: Any, y: Any) -> Tensor:
    return chosen(condition, x, y)


@_numpy()
def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Tensor:
    return as_tensor(a).clamp(a_min if min is None else min, a_max if max is None else max)


@_numpy("around")
def round(a: Any, decimals: int = 0) -> Tensor:
    if decimals:
        return names_in("")["round"](as_tensor(a), decimals=decimals)
    return as_tensor(a).round()


@_numpy("fix")
def trunc(x: Any) -> Tensor:
    return as_tensor(x).trunc()


@_numpy()
def dot(a: Any, b: Any) -> Tensor:
    x, y = as_tensor(a), as_tensor(b)
    if 0 in (x.ndim, y.ndim):
        return x * y
    return x.matmul(y) if y.ndim < 3 else products.tensordot(x, y, axes=((-1,), (-2,)))


@_numpy("linalg.outer")
def outer_(a: Any, b: Any) -> Tensor:
    return outer(flat(as_tensor(a)), flat(as_tensor(b)))


@_numpy("linalg.tensordot")
def tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    return products.tensordot(as_tensor(a), as_tensor(b), axes=axes)


@_numpy("einsum")
def einsum_(subscripts: str, *operands: Any) -> Tensor:
    return einsum(subscripts, *map(as_tensor, operands))


@_numpy()
def sort(a: Any, axis: int | None = -1) -> Tensor:
    return searching.sort(flat(as_tensor(a)) if axis is None else as_tensor(a), axis=-1 if axis is None else axis)


@_numpy()
def argsort(a: Any, axis: int | None = -1) -> Tensor:
    return searching.argsort(flat(as_tensor(a)) if axis is None else as_tensor(a), axis=-1 if axis is None else axis)


@_numpy()
def take(a: Any, indices: Any, axis: int | None = None) -> Tensor:
    x, chosen = flat(as_tensor(a)) if axis is None else as_tensor(a), as_tensor(indices)
    at = (axis or 0) % x.ndim
    found = searching.take(x, flat(chosen), axis=at)
    return found.reshape((*x.shape[:at], *chosen.shape, *x.shape[at + 1 :]))


@_numpy()
def take_along_axis(arr: Any, indices: Any, axis: int = -1) -> Tensor:
    return searching.take_along_axis(as_tensor(arr), as_tensor(indices), axis=axis)


@_numpy()
def tril(m: Any, k: int = 0) -> Tensor:
    return creation.tril(as_tensor(m), k=k)


@_numpy()
def triu(m: Any, k: int = 0) -> Tensor:
    return creation.triu(as_tensor(m), k=k)


@_numpy()
def zeros_like(a: Any, dtype: Any = None) -> Tensor:
    return creation.zeros_like(as_tensor(a), dtype=dtype)


@_numpy()
def ones_like(a: Any, dtype: Any = None) -> Tensor:
    return creation.ones_like(as_tensor(a), dtype=dtype)


@_numpy()
def full_like(a: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    return creation.full_like(as_tensor(a), fill_value, dtype=dtype)


def apply_function(self: Tensor, function: Any, types: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What numpy asks the tensor to do for `function(*args, **options)`."""
    module = function.__module__.partition(".")[2]
    name = f"{module}.{function.__name__}" if module else function.__name__
    if name in _FUNCTIONS:
        return _FUNCTIONS[name](*args, **options)
    return on_arrays(name, function, args, options)
