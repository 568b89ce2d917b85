"""Module 02: activations, as functions under the names of torch.nn.functional, and as modules.

`backward(grad)` of a module is the derivative at the input of the last `forward`, times `grad`, in closed form: what
autograd does by itself, in reach of the hand.

| activation | saturates | gradient at 0 | cost per element |
| --- | --- | --- | --- |
| sigmoid | both sides, gradient at most 1/4 | 1/4 | one exp, one division |
| tanh | both sides | 1 | about two exp |
| ReLU | below 0: half of the units are silent | 0 | one comparison |
| GELU | below, smoothly | 1/2 | one erf, or one tanh in the approximation, which is off by at most 5e-4 |
| SiLU | below, smoothly | 1/2 | one exp, one division |
"""

from __future__ import annotations

import math
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.module import Module
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.tensor.inplace import changed
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.types import f32

__all__ = [
    "GELU",
    "LogSoftmax",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "elu",
    "gelu",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "logsumexp",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]


# Functions.
@spelled("nn.functional.relu", in_place=True, name="relu")
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return changed("relu", input, inplace, lambda x: x.relu())


@spelled("special.expit", "nn.functional.sigmoid", in_place=True)
def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return input.sigmoid()


@spelled("nn.functional.tanh", in_place=True, standard="tanh")
def tanh(input: Tensor) -> Tensor:
    return input.tanh()


@spelled(space="nn.functional")
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x)."""
    return changed("silu", input, inplace, lambda x: x.silu())


@spelled(space="nn.functional")
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x * Phi(x), by erf ("none") or "tanh"."""
    return input.gelu(arguments.choice("gelu", "approximate", approximate, "none", "tanh"))


@spelled(space="nn.functional")
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where it is positive, else negative_slope * x."""
    slope = arguments.finite("leaky_relu", "negative_slope", negative_slope)
    return changed("leaky_relu", input, inplace, lambda x: where(x > 0, x, x * slope))


@spelled(space="nn.functional")
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, else alpha * (exp(x) - 1) (Clevert et al. 2015), whose slope at 0 is alpha."""
    alpha = arguments.finite("elu", "alpha", alpha)
    return changed("elu", input, inplace, lambda x: where(x <= 0, x.clamp(max=0).expm1() * alpha, x))


def log_one_plus_exp(x: Tensor) -> Tensor:
    """log(1 + exp(x)); integers are f32 first."""
    return apply(ops.losses.softplus, x if x.dtype.is_float else x.cast(f32))


@spelled(space="nn.functional")
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta, which does not overflow; x itself where beta x is above `threshold`."""
    beta = arguments.number("softplus", "beta", beta, lambda b: b != 0 and math.isfinite(b), "a finite number but 0")
    threshold = arguments.number("softplus", "threshold", threshold, lambda t: not math.isnan(t), "a number")
    scaled = input if beta == 1 else input * beta
    smooth = log_one_plus_exp(scaled)
    return where(scaled > threshold, input, smooth if beta == 1 else smooth / beta)


@spelled(space="nn.functional")
def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)), which does not overflow: min(x, 0) - log(1 + exp(-|x|))."""
    return 0 - log_one_plus_exp(-input)


@spelled("special.softmax")
def softmax(input: Tensor, dim: int = -1, dtype: object = None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`, computed in `dtype` where that is given."""
    return input.softmax(dim, dtype)


@spelled("special.log_softmax")
def log_softmax(input: Tensor, dim: int = -1, dtype: object = None) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, shifted by the maximum so that nothing overflows."""
    return input.log_softmax(dim, dtype)


@spelled("special.logsumexp")
def logsumexp(input: Tensor, dim: Any = -1, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) along `dim`, one axis or several, shifted by the maximum."""
    return input.logsumexp(dim, keepdim)


# Modules.
class Activation(Module):
    """A function of one tensor, and its derivative in closed form. Results have the shape and dtype of the input (f32
    for integers).

    Each class says what the function is, and what `gradient(x, grad)`: the cotangent of x, for that of the result.
    """

    __slots__ = ("_last",)  # beside the attributes, so that a compiled function does not take it for a setting
    _last: Tensor

    def function(self, x: Tensor) -> Tensor:
        raise TinyTorchError(f"{type(self).__name__} has no function()", user_loc())

    def gradient(self, x: Tensor, grad: Tensor) -> Tensor:
        raise TinyTorchError(f"{type(self).__name__} has no gradient()", user_loc())

    def forward(self, x: Tensor) -> Tensor:
        x = require_tensor(type(self).__name__, x)
        x = x if x.dtype.is_float else x.cast(f32)
        object.__setattr__(self, "_last", x.detach())
        return self.function(x)

    def backward(self, grad: Tensor) -> Tensor:
        """The cotangent of the last input, for the cotangent `grad` of its result."""
        x = getattr(self, "_last", None)
        if x is None:
            raise TinyTorchError(f"{type(self).__name__}.backward: forward has not been called", user_loc())
        if require_tensor(f"{type(self).__name__}.backward", grad).shape != x.shape:
            raise ShapeError(f"{type(self).__name__}.backward: {grad.type} does not fit {x.type}", user_loc())
        return self.gradient(x, grad.cast(x.dtype))


class Sigmoid(Activation):
    """1 / (1 + exp(-x)), without overflow; s' = s (1 - s)."""

    def function(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def gradient(self, x: Tensor, grad: Tensor) -> Tensor:
        s = x.sigmoid()
        return grad * s * (1.0 - s)


class Tanh(Activation):
    """tanh(x); t' = 1 - t**2."""

    def function(self, x: Tensor) -> Tensor:
        return x.tanh()

    def gradient(self, x: Tensor, grad: Tensor) -> Tensor:
        t = x.tanh()
        return grad * (1.0 - t * t)


class InPlaceActivation(Activation):
    """An activation that may write its result over its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = arguments.flag(type(self).__name__, "inplace", inplace)

    def forward(self, x: Tensor) -> Tensor:
        if not self.inplace:
            return super().forward(x)
        return changed(type(self).__name__, require_tensor(type(self).__name__, x), True, super().forward)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(InPlaceActivation):
    """max(x, 0); its derivative is 1 above 0, and 0 at and below it."""

    def function(self, x: Tensor) -> Tensor:
        return x.relu()

    def gradient(self, x: Tensor, grad: Tensor) -> Tensor:
        return where(x <= 0.0, 0.0, grad)


class SiLU(InPlaceActivation):
    """x sigmoid(x) (Elfwing, Uchibe & Doya 2017)."""

    def function(self, x: Tensor) -> Tensor:
        return x.silu()

    def gradient(self, x: Tensor, grad: Tensor) -> Tensor:
        s = x.sigmoid()
        return grad * (s + x.silu() * (1.0 - s))


class GELU(Activation):
    """x Phi(x), Phi being the normal distribution function (Hendrycks & Gimpel 2016).

    `approximate`: "none" computes Phi by erf, "tanh" by 0.5 (1 + tanh(sqrt(2/pi) (x + 0.044715 x**3))).
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = arguments.choice("GELU", "approximate", approximate, "none", "tanh")

    def function(self, x: Tensor) -> Tensor:
        return x.gelu(self.approximate)

    def gradient(self, x: Tensor, grad: Tensor) -> Tensor:
        if self.approximate == "tanh":
            scale, cubic = math.sqrt(2 / math.pi), 0.044715
            t = (x * (x * x * (cubic * scale) + scale)).tanh()
            slope = (1.0 - t * t) * (x * x * (3 * cubic) + 1.0) * scale
            return grad * ((t + 1.0) * 0.5 + x * 0.5 * slope)
        density = (x * x * -0.5).exp() * (1 / math.sqrt(2 * math.pi))
        return grad * (((x * math.sqrt(0.5)).erf() + 1.0) * 0.5 + x * density)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class _Along(Activation):
    """An activation along one axis, the last by default."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = arguments.integer(type(self).__name__, "dim", dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_Along):
    """exp(x) / sum(exp(x)) along `dim`, shifted by the maximum."""

    def function(self, x: Tensor) -> Tensor:
        return x.softmax(self.dim)

    def gradient(self, x: Tensor, grad: Tensor) -> Tensor:
        y = x.softmax(self.dim)
        weighted = grad * y
        return weighted - y * weighted.sum(self.dim, True)


class LogSoftmax(_Along):
    """x - log(sum(exp(x))) along `dim`, shifted by the maximum."""

    def function(self, x: Tensor) -> Tensor:
        return x.log_softmax(self.dim)

    def gradient(self, x: Tensor, grad: Tensor) -> Tensor:
        return grad - x.log_softmax(self.dim).exp() * grad.sum(self.dim, True)
