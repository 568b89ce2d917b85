"""Activations as functions, under the names of torch.nn.functional."""

from __future__ import annotations

from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor_functions import where


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return x.relu()


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return x.sigmoid()


def tanh(x: Tensor) -> Tensor:
    return x.tanh()


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x)."""
    return x.silu()


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x * Phi(x), by erf ("none") or "tanh"."""
    return x.gelu(approximate)


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where it is positive, else negative_slope * x."""
    return where(x > 0, x, x * negative_slope)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where it is positive, else alpha * (exp(x) - 1) (Clevert et al. 2015), whose slope at 0 is alpha."""
    return where(x <= 0, x.clamp(max=0).expm1() * alpha, x)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), which does not overflow: max(x, 0) + log(1 + exp(-|x|))."""
    return x.maximum(0) + (-abs(x)).exp().log1p()


def logsigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)), which does not overflow: min(x, 0) - log(1 + exp(-|x|))."""
    return x.minimum(0) - (-abs(x)).exp().log1p()


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""
    return x.softmax(dim)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, shifted by the maximum so that nothing overflows."""
    return x.log_softmax(dim)


def logsumexp(x: Tensor, dim: int = -1, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) along `dim`, shifted by the maximum."""
    return x.logsumexp(dim, keepdim)
