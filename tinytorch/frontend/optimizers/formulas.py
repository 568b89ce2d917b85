"""Parts of updates that several optimizers have."""

from __future__ import annotations

from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.optimizers.groups import ParamGroup
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.types import DType, f64


def fraction(what: str, name: str, value: Any) -> None:
    arguments.number(what, name, value, lambda x: 0 <= x < 1, "a number in [0, 1)")


def as_dtype(number: float | Tensor, dtype: DType) -> float | Tensor:
    """A number of a formula as a factor of tensors of `dtype`."""
    return number.cast(dtype) if isinstance(number, Tensor) else number


def with_penalty(group: ParamGroup, value: Tensor, g: Tensor) -> Tensor:
    """The gradient with weight decay as an L2 penalty."""
    decay = group.live("weight_decay")
    return g if decay is None else g + decay.cast(g.dtype) * value


def with_weight_decay(group: ParamGroup, value: Tensor, g: Tensor, decoupled: bool) -> tuple[Tensor, Tensor]:
    """The parameter and its gradient with weight decay: `decoupled`, p = p - lr * weight_decay * p, else a penalty."""
    decay = group.live("weight_decay")
    if decay is None or not decoupled:
        return value, with_penalty(group, value, g)
    return value * (1.0 - group.rate.cast(f64) * decay.cast(f64)).cast(value.dtype), g
