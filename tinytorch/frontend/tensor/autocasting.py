"""Mixed precision as ops and functions meet it: what a thread computes in 16-bit floats, and what in f32.

`ir/autocast.py` has the rule for a single op. A function of several ops is decorated with `low` or `high` where all of
it has one precision, as PyTorch's functions have: a bias is added in the dtype of the product, and the squares of a
loss are taken in f32.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.autocast import autocast_dtype
from tinytorch.ir.op import Op
from tinytorch.ir.operators.tensor_like import TensorLike
from tinytorch.ir.types import DType, f32

Function = TypeVar("Function", bound=Callable[..., Any])


@contextmanager
def autocast_mode(dtype: DType | None) -> Generator[None]:
    """Compute products in `dtype` (None: in what the operands are) in this thread until the block ends."""
    before, mode.autocast = mode.autocast, dtype
    try:
        yield
    finally:
        mode.autocast = before


def autocast_operands(op: Op, operands: Sequence[Any], low: DType) -> Sequence[Any]:
    """The operands of an op in the dtype that it is computed in; gradients come back in their own."""
    wanted = autocast_dtype(op, [x.type for x in operands], low)
    if wanted is None:
        return operands
    return [x.cast(wanted) if x.dtype.is_float else x for x in operands]


def low(function: Function) -> Function:
    """The function with tensors of floats, but of f64, in the dtype of the autocast that it is called under."""
    return _cast_arguments(function, lambda dtype: dtype.bits <= 32, lambda: mode.autocast)


def high(function: Function) -> Function:
    """The function with tensors of 16-bit floats in f32 where it is called under an autocast."""
    return _cast_arguments(function, lambda dtype: dtype.bits == 16, lambda: mode.autocast and f32)


def _cast_arguments(function: Function, fits: Callable[[DType], bool], wanted: Callable[[], DType | None]) -> Function:
    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        dtype = wanted()
        if dtype is None:
            return function(*args, **options)

        def cast(x: Any) -> Any:
            if isinstance(x, (tuple, list)):
                return type(x)(map(cast, x)) if any(isinstance(item, TensorLike) for item in x) else x
            floats = isinstance(x, TensorLike) and x.dtype.is_float and fits(x.dtype)
            return x.cast(dtype) if floats else x

        return function(*map(cast, args), **{key: cast(value) for key, value in options.items()})

    return call  # pyright: ignore[reportReturnType]
