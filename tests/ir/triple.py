"""An op with three results, and graphs of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir.op import Op, apply
from tinytorch.ir.ops.reduce import argmax, mean_of, sum_
from tinytorch.ir.ops.view import broadcast
from tinytorch.ir.types import TensorType, i64

RNG = np.random.default_rng(0)


# An op of x and y [rows, columns]: x less its mean in each row; the sum of that times y; where x is largest (i64).
def _type(x: TensorType, y: TensorType) -> tuple[TensorType, ...]:
    column = (x.shape[0], 1)
    return x, TensorType(y.dtype, column), TensorType(i64, column)


def _wide(x: Any, like: Any) -> Any:
    return apply(broadcast, x, shape=like.type.shape)


def _definition(x: Any, y: Any) -> tuple[Any, Any, Any]:
    centred = x - _wide(mean_of(x, (1,)), x)
    return centred, apply(sum_, centred * y, axes=(1,)), apply(argmax, x, axes=(1,))


def _of_x(cts: Sequence[Any], n: Any) -> Any:
    """That of the second result comes by way of the first."""
    parts = [cts[0]] if cts[0] is not None else []
    parts += [_wide(cts[1], n.inputs[1]) * n.inputs[1]] if cts[1] is not None else []
    total = parts[0] if len(parts) == 1 else parts[0] + parts[1]
    return total - _wide(mean_of(total, (1,)), total)


def _of_y(cts: Sequence[Any], n: Any) -> Any:
    return None if cts[1] is None else _wide(cts[1], n.inputs[1]) * n.outputs[0]


def operands(rows: int = 3, columns: int = 5, dtype: str = "f64") -> tuple[np.ndarray, np.ndarray]:
    x, y = RNG.normal(size=(2, rows, columns)).astype(dtype.replace("f", "float"))
    return x, y


def loss_of(triple: Op, x: Any, y: Any, weights: Sequence[float], by_parts: bool) -> Any:
    """A number that depends on those results whose weight is not 0."""
    centred, total, _ = _definition(x, y) if by_parts else apply(triple, x, y)
    found = x.sum() * 0.5
    for result, weight in zip((centred, total), weights, strict=True):
        if weight:
            found = found + (result * result * x[:, :1]).sum() * weight
    return found
