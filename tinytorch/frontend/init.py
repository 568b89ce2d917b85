"""Initialisation of weights.

A layer y = W x keeps the variance of the activations if the entries of W have variance 1 / fan_in, that of the
gradients if 1 / fan_out. Xavier (Glorot & Bengio 2010) takes the mean of both, for activations like tanh; He
(He et al. 2015) doubles 1 / fan_in, because ReLU drops half of the signal. Weights are [out, in, ...].
"""

from __future__ import annotations

import math

from tinytorch.frontend import arguments
from tinytorch.frontend.gradients import grad_mode
from tinytorch.frontend.random import Generator, normal_, uniform_
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc

__all__ = [
    "constant_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_", "uniform_", "xavier_normal_",
    "xavier_uniform_", "zeros_",
]  # fmt: skip

_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}


def gain(nonlinearity: str, slope: float = 0.0) -> float:
    """How much larger weights have to be in front of a nonlinearity for the signal to keep its size."""
    if nonlinearity == "leaky_relu":
        arguments.finite("gain", "slope", slope)
        return math.sqrt(2 / (1 + slope**2))
    if not isinstance(nonlinearity, str) or nonlinearity not in _GAINS:  # pyright: ignore[reportUnnecessaryIsInstance]
        names = ", ".join([*_GAINS, "leaky_relu"])
        raise TinyTorchError(f"gain: {nonlinearity!r} is not one of {names}", user_loc())
    return _GAINS[nonlinearity]


def fans(weight: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of weights [out, in, ...]: how many values each output sums, and each input reaches."""
    if weight.ndim < 2:
        raise ShapeError(f"fans: weights have at least two axes, got {weight.type}", user_loc())
    window = math.prod(weight.shape[2:])
    return weight.shape[1] * window, weight.shape[0] * window


def _he_std(weight: Tensor, fan: str, nonlinearity: str, slope: float) -> float:
    arguments.choice("kaiming", "mode", fan, "fan_in", "fan_out")
    size = fans(weight)[fan == "fan_out"]
    return gain(nonlinearity, slope) / math.sqrt(max(size, 1))


def kaiming_uniform_(
    weight: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """He: uniform with variance gain**2 / fan; `a` is the slope of leaky_relu."""
    bound = math.sqrt(3) * _he_std(weight, mode, nonlinearity, a)
    return uniform_(weight, -bound, bound, generator)


def kaiming_normal_(
    weight: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """He: normal with variance gain**2 / fan."""
    return normal_(weight, 0.0, _he_std(weight, mode, nonlinearity, a), generator)


def _xavier_std(weight: Tensor, scale: float) -> float:
    arguments.finite("xavier", "gain", scale)
    return scale * math.sqrt(2 / max(sum(fans(weight)), 1))


def xavier_uniform_(weight: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Xavier: uniform with variance gain**2 * 2 / (fan_in + fan_out)."""
    bound = math.sqrt(3) * _xavier_std(weight, gain)
    return uniform_(weight, -bound, bound, generator)


def xavier_normal_(weight: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Xavier: normal with variance gain**2 * 2 / (fan_in + fan_out)."""
    return normal_(weight, 0.0, _xavier_std(weight, gain), generator)


def constant_(tensor: Tensor, value: float) -> Tensor:
    with grad_mode(False):
        return tensor.fill_(value)


def zeros_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 1.0)


def initialize_(
    name: str, weight: Tensor, bias: Tensor | None, initialization: str, generator: Generator | None = None
) -> None:
    """The weights of layer `name`: "default" as in PyTorch, uniform with bound 1 / sqrt(fan_in), as the bias; "xavier"
    or "he", uniform with the variances given above, and the bias left as it is. TinyTorchError for another name."""
    arguments.choice(name, "initialization", initialization, "default", "xavier", "he")
    arguments.instance(name, "generator", generator, Generator, optional=True)
    if initialization == "xavier":
        xavier_uniform_(weight, generator=generator)
    elif initialization == "he":
        kaiming_uniform_(weight, nonlinearity="relu", generator=generator)
    else:
        bound = 1 / math.sqrt(fans(weight)[0])
        uniform_(weight, -bound, bound, generator)
        if bias is not None:
            uniform_(bias, -bound, bound, generator)
