"""Calls of numpy whose gradients are written in ops."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch.frontend.functions.custom_gradients import with_gradient
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.operators.promotion import broadcast_shapes
from tinytorch.ir.types import f32, f64

# (cotangents of the results, the results as they stand on the tape) -> the cotangents of the inputs.
Rule = Callable[[list[Tensor], list[Tensor]], Sequence[Tensor | None]]


def known(what: str, x: Tensor) -> Array:
    """The values of a tensor; TraceError under a trace."""
    return x._concrete(f"linalg.{what}, which calls numpy and so works eagerly only,")


def by_numpy(what: str, compute: Callable[..., Any], rule: Rule | None, *inputs: Tensor) -> list[Tensor]:
    """The results of `compute(*arrays)`, an array or a tuple of them, as functions of the inputs."""
    arrays = [known(what, x) for x in inputs]
    try:
        with np.errstate(all="ignore"):
            made = compute(*arrays)
    except np.linalg.LinAlgError as error:
        raise TinyTorchError(f"{what}: {str(error).lower()}", user_loc()) from None
    results = [
        Tensor.wrap(np.ascontiguousarray(a).reshape(np.shape(a)))
        for a in (made if isinstance(made, tuple) else (made,))
    ]
    if rule is None or not mode.grad or not any(x.requires_grad for x in inputs):
        return results
    final: list[Tensor] = []
    final += with_gradient(results, inputs, lambda cts: rule(cts, final))
    return final


def matrices(what: str, square: bool = False, **tensors: Tensor) -> None:
    """ShapeError unless each is f32 or f64 with at least two axes (the last two of one size, if `square`)."""
    for name, x in tensors.items():
        if x.dtype not in (f32, f64):
            raise ShapeError(f"{what}: {name} is f32 or f64, got {x.type}", user_loc())
        if x.ndim < 2:
            raise ShapeError(f"{what}: {name} has at least two axes, got {x.type}", user_loc())
        if square and x.shape[-1] != x.shape[-2]:
            raise ShapeError(f"{what}: {name} is a square matrix or a batch of them, got {x.type}", user_loc())


def same_dtype(what: str, **tensors: Tensor) -> None:
    (first, one), *rest = tensors.items()
    for name, x in rest:
        if x.dtype != one.dtype:
            raise ShapeError(f"{what}: {first} is {one.dtype}, {name} {x.dtype}; cast one of them", user_loc())


def batched(what: str, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the axes in front of their matrices broadcast against each other."""
    lead = broadcast_shapes(what, a.shape[:-2], b.shape[:-2])
    return a.broadcast_to((*lead, *a.shape[-2:])), b.broadcast_to((*lead, *b.shape[-2:]))


def column(x: Tensor) -> Tensor:
    """A number for each matrix, to multiply it with."""
    return x.unsqueeze(-1).unsqueeze(-1)
