"""Norms of vectors along axes, whose derivatives at 0 are 0, and vectors divided by them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import f32

__all__ = ["normalize"]


@spelled(space="nn.functional")
def normalize(input: Tensor, p: float = 2.0, dim: int | Sequence[int] = 1, eps: float = 1e-12) -> Tensor:
    """x divided by its p-norm along `dim`, or by `eps` where that is larger. 16-bit floats are computed in f32.

    `p` is any number: infinity for the largest magnitude, 0 for how many elements are not 0. The norm of zeros has the
    derivative 0, so that of the result is 1 / eps there, as in PyTorch.
    """
    x = input
    if not require_tensor("normalize", x).dtype.is_float:
        raise ShapeError(f"normalize: needs a float dtype, got {x.type}; convert it, as in x.float()", user_loc())
    order = arguments.number("normalize", "p", p, lambda p: not math.isnan(p), "a number")
    least = arguments.not_negative("normalize", "eps", eps)
    wide = x if x.dtype.bits > 16 else x.cast(f32)
    norm = length(wide, float(order), dim, keepdim=True)
    return (wide / where(norm < least, least, norm)).cast(x.dtype)


def length(x: Tensor, p: float, dim: int | Sequence[int], keepdim: bool = False) -> Tensor:
    """The p-norm along `dim`, whose derivative at 0 is 0."""
    if p == 0:
        return (x != 0).cast(x.dtype).sum(dim, keepdim)
    size = abs(x)
    if p == 1:
        return size.sum(dim, keepdim)
    if math.isinf(p):
        return size.amax(dim, keepdim) if p > 0 else size.amin(dim, keepdim)
    if p == 2:
        return _power_above_zero((x * x).sum(dim, keepdim), 0.5)
    return _power_above_zero(_power_above_zero(size, p).sum(dim, keepdim), 1 / p)


def _power_above_zero(x: Tensor, exponent: float) -> Tensor:
    """x**exponent of what is not negative, with the derivative 0 where x is 0 (there it may be infinite)."""
    zero = x == 0
    inside = where(zero, 1.0, x)
    return where(zero, 0.0 if exponent > 0 else math.inf, inside.sqrt() if exponent == 0.5 else inside**exponent)
