"""What functions of the standard have in common: their table, and operands of one dtype."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tinytorch.frontend.arguments import ArgumentTypeError
from tinytorch.frontend.binding import public, shown
from tinytorch.frontend.functions.creation import as_tensor
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import joined

Function = TypeVar("Function", bound=Callable[..., Any])
Axes = int | tuple[int, ...] | None

STANDARD: dict[str, Callable[..., Any]] = {}  # by the standard's names


def enter(name: str = "") -> Callable[[Function], Function]:
    """Enter a function under its own name or `name`."""

    def entered(function: Function) -> Function:
        known = name or function.__name__.rstrip("_")
        STANDARD[known] = public(function, known)
        return function

    return entered


def common(what: str, *values: Any) -> tuple[Tensor, ...]:
    """Tensors and numbers, at least one a tensor, as tensors of the dtype that the tensors promote to."""
    tensors = [v for v in values if isinstance(v, Tensor)]
    if not tensors:
        raise ArgumentTypeError(f"{what}: needs at least one tensor, got {', '.join(map(shown, values))}", user_loc())
    dtype = joined([t.dtype for t in tensors])
    return tuple(v.cast(dtype) if isinstance(v, Tensor) else tensors[0].cast(dtype)._like(v) for v in values)


def tensor_list(what: str, values: Any, least: int = 1) -> list[Tensor]:
    """A list or tuple of at least `least` tensors."""
    if not isinstance(values, (list, tuple)) or len(values) < least:
        raise ShapeError(f"{what}: needs a list of at least {least} tensors, got {shown(values)}", user_loc())
    return [as_tensor(v) for v in values]


def flat(x: Tensor) -> Tensor:
    return x.reshape((x.numel(),))
