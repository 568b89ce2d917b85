"""Covariances and correlations of the rows of a matrix."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from typing import Any

from tinytorch.frontend.arguments import integer, wrong_type, wrong_value
from tinytorch.frontend.functions.pointwise.operands import tensor
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import bool_


def _rows(what: str, input: Tensor) -> Tensor:
    """The input as a matrix of floats with a variable in each row."""
    if input.ndim > 2:
        raise ShapeError(f"{what}: needs at most two axes, got {input.type}", user_loc())
    if input.dtype == bool_:
        raise wrong_type(what, "input", "a tensor of numbers", input.dtype)
    x = input._float()
    return x if x.ndim == 2 else x.reshape((1, x.numel()))


def _weights(name: str, given: Any, count: int, floats: bool) -> Tensor | None:
    if given is None:
        return None
    weights = tensor("cov", name, given)
    if weights.ndim > 1 or weights.numel() != count:
        raise ShapeError(
            f"cov: {name} is a vector of {count}, a weight for each column, got {weights.type}", user_loc()
        )
    if weights.dtype.is_float is not floats or weights.dtype == bool_:
        raise wrong_type("cov", name, f"a tensor of {'floats' if floats else 'integers'}", weights.dtype)
    if mode.trace is None and bool((weights < 0).any()):
        raise wrong_value("cov", name, "not negative", weights)
    return weights


def _centred(x: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return x - x.mean(1, keepdim=True)
    return x - (x * weights).sum(1, keepdim=True) / weights.sum()


@spelled()
def cov(input: Tensor, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """Covariances [n, n] of n rows, or the variance of a vector. `fweights` (integers) say how often a column counts,
    `aweights` (floats) how much; `correction` is taken off the number of columns."""
    x = _rows("cov", input)
    count, correction = x.shape[1], integer("cov", "correction", correction)
    often, much = _weights("fweights", fweights, count, False), _weights("aweights", aweights, count, True)
    weights = much if often is None else often.cast(x.dtype) if much is None else often.cast(x.dtype) * much
    around = _centred(x, weights)
    if weights is None:
        return (around.matmul(around.transpose(0, 1)) / max(count - correction, 0)).squeeze()
    total = weights.sum()
    off = correction if much is None else (weights * much).sum() / total * correction
    return ((around * weights).matmul(around.transpose(0, 1)) / (total - off).clamp(min=0)).squeeze()


@spelled()
def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlations [n, n] of n rows, in [-1, 1]."""
    x = _rows("corrcoef", input)
    around = _centred(x, None)
    products, spread = around.matmul(around.transpose(0, 1)), around.square().sum(1).sqrt()
    return (products / spread.unsqueeze(1) / spread.unsqueeze(0)).clamp(-1, 1).squeeze()
