"""What models are called with while they are profiled, and how: in evaluation mode, without gradients."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.embeddings import Embedding
from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import DType, dtype_of, f32, i64

Model = Callable[..., Any]


def examples(what: str, model: Model, given: Any, dtype: Any = None) -> tuple[Any, ...]:
    """The arguments of a call of `model`. `given` is one input, or a list or tuple of several: each is a tensor, an
    array, or a shape with its batch axis.

    A shape stands for normally distributed f32, the same in every call; for i64 zeros, which every table has a row for,
    where the first module with parameters is an `Embedding`, which reads tokens. `dtype` (or a list with one for each
    input) says otherwise; integers are always zeros.
    """
    single = _is_shape(given) or not isinstance(given, (tuple, list))
    items: list[Any] = [given] if single else list(cast("Sequence[Any]", given))
    kinds = _dtypes(what, dtype, len(items))
    default = i64 if _reads_tokens(model) else f32
    made: list[Any] = []
    for i, (item, kind) in enumerate(zip(items, kinds, strict=True)):
        made.append(_example(what, item, kind or (default if i == 0 else f32)))
    return tuple(made)


def _is_shape(x: Any) -> TypeGuard[Sequence[int]]:
    return isinstance(x, (tuple, list)) and all(_is_integer(d) for d in cast("Sequence[Any]", x))


def _is_integer(x: Any) -> bool:
    return isinstance(x, (int, np.integer)) and not isinstance(x, bool)


def _dtypes(what: str, dtype: Any, count: int) -> list[DType | None]:
    if not isinstance(dtype, (tuple, list)):
        return [None if dtype is None else dtype_of(dtype)] * count
    listed = list(cast("Sequence[Any]", dtype))
    if len(listed) != count:
        raise arguments.wrong_value(what, "dtype", f"one dtype, or one for each of {count} inputs", listed)
    return [None if kind is None else dtype_of(kind) for kind in listed]


def _reads_tokens(model: Any) -> bool:
    """Whether the first module with parameters is a table of embeddings."""
    if not isinstance(model, Module):
        return False
    first = next((module for module in model.modules() if module.parameters(recurse=False)), None)
    return isinstance(first, Embedding)


def _example(what: str, item: Any, dtype: DType) -> Any:
    if isinstance(item, Tensor):
        return item
    if isinstance(item, np.ndarray):
        return Tensor(item)
    if not _is_shape(item):
        raise arguments.wrong_type(what, "an input", "a shape (with its batch axis), a tensor or an array", item)
    shape = tuple(arguments.integer(what, "an axis of the input's shape", size, 0) for size in item)
    try:
        if not dtype.is_float:
            return Tensor(np.zeros(shape, dtype.numpy))
        return Tensor(np.random.default_rng(0).standard_normal(shape, np.float32).astype(dtype.numpy))
    except (MemoryError, ValueError, OverflowError):
        message = f"{what}: an input of {dtype}{list(shape)} does not fit into memory"
        raise arguments.ArgumentMemoryError(message, user_loc()) from None


@contextmanager
def evaluating(model: Any) -> Generator[None]:
    """No gradients, and all modules of `model`, if it is one, in evaluation mode; afterwards as it was."""
    training = [module for module in model.modules() if module.training] if isinstance(model, Module) else []
    for module in training:
        module.training = False
    try:
        with grad_mode(False):
            yield
    finally:
        for module in training:
            module.training = True


def is_compiled(model: Any) -> bool:
    """Whether `model` is what `tt.compile` returns."""
    return hasattr(type(model), "traced_graph")


def plain(model: Any) -> Any:
    """What was compiled, where `model` is compiled; else the model itself."""
    return model.function if is_compiled(model) else model


def name_of(model: Any) -> str:
    """The class of a module, the name of a function."""
    found = plain(model)
    return getattr(found, "__name__", type(found).__name__)


def tensors_in(result: Any) -> list[Tensor]:
    """The tensors in what a model gave."""
    if isinstance(result, Tensor):
        return [result]
    parts: Any = result.values() if isinstance(result, dict) else result if isinstance(result, (tuple, list)) else ()  # pyright: ignore[reportUnknownVariableType]
    return [tensor for part in parts for tensor in tensors_in(part)]
