"""Activations as modules, under PyTorch's names, and with its arguments: each calls the function of its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.activations import activations, functions
from tinytorch.frontend.functions.creation import full
from tinytorch.frontend.functions.random import require_cpu
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.module.calling import Calling
from tinytorch.frontend.module.init import constant_
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import dtype_of, f32

__all__ = [
    "CELU",
    "ELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU6",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanhshrink",
    "Threshold",
]


class _Plain(Calling):
    def __init__(self) -> None:
        super().__init__()


class _InPlace(Calling):
    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self._keep(inplace=inplace)


class _Alpha(Calling):
    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self._keep(alpha=alpha, inplace=inplace)


class _Lambda(Calling):
    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self._keep(lambd=lambd)


class _Axis(Calling):
    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self._keep(dim=dim)


class ReLU6(_InPlace):
    """x limited to [0, 6]."""

    function = functions.relu6


class Hardsigmoid(_InPlace):
    """(x + 3) / 6, limited to [0, 1]."""

    function = functions.hardsigmoid


class Hardswish(_InPlace):
    """x (x + 3) / 6 from -3 to 3, 0 below, x above."""

    function = functions.hardswish


class SELU(_InPlace):
    """scale * elu(x, alpha), which keeps mean 0 and variance 1."""

    function = functions.selu


class Mish(_InPlace):
    """x tanh(log(1 + exp(x)))."""

    function = functions.mish


class ELU(_Alpha):
    """x where it is positive, else alpha * (exp(x) - 1)."""

    function = activations.elu


class CELU(_Alpha):
    """x where it is positive, else alpha * (exp(x / alpha) - 1)."""

    function = functions.celu


class Hardshrink(_Lambda):
    """0 from -lambd to lambd, x elsewhere."""

    function = functions.hardshrink


class Softshrink(_Lambda):
    """x moved towards 0 by `lambd`, and 0 where that would pass it."""

    function = functions.softshrink


class LogSigmoid(_Plain):
    """log(sigmoid(x))."""

    function = activations.logsigmoid


class Softsign(_Plain):
    """x / (1 + |x|)."""

    function = functions.softsign


class Tanhshrink(_Plain):
    """x - tanh(x)."""

    function = functions.tanhshrink


class Softmax(_Axis):
    """exp(x) / sum(exp(x)) along `dim`; without one, along the axis that PyTorch takes, with a warning."""

    function = functions.softmax_along


class LogSoftmax(_Axis):
    """log(softmax(x)) along `dim`; without one, along the axis that PyTorch takes, with a warning."""

    function = functions.log_softmax_along


class Softmin(_Axis):
    """softmax(-x) along `dim`; without one, along the axis that PyTorch takes, with a warning."""

    function = functions.softmin


class GLU(Calling):
    """a sigmoid(b), where a and b are the halves of x along `dim`."""

    function = functions.glu

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self._keep(dim=dim)


class LeakyReLU(Calling):
    """x where it is positive, else negative_slope * x."""

    function = activations.leaky_relu

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self._keep(negative_slope=negative_slope, inplace=inplace)


class RReLU(Calling):
    """x where it is positive, else times a slope: in training one drawn for each element, else their mean."""

    function = functions.rrelu
    lower: float
    upper: float
    inplace: bool

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__()
        self._keep(lower=lower, upper=upper, inplace=inplace)

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"training": self.training}

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}{', inplace=True' if self.inplace else ''}"


class Hardtanh(Calling):
    """x limited to [min_val, max_val]."""

    function = functions.hardtanh

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self._keep(min_val=min_val, max_val=max_val, inplace=inplace)
        if not min_val < max_val:
            raise arguments.wrong_value("Hardtanh", "min_val", f"less than max_val {max_val}", min_val)


class Threshold(Calling):
    """x above `threshold`, else `value`."""

    function = functions.threshold

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self._keep(threshold=threshold, value=value, inplace=inplace)


class Softplus(Calling):
    """log(1 + exp(beta x)) / beta; x itself where beta x is above `threshold`."""

    function = activations.softplus

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self._keep(beta=beta, threshold=threshold)


class PReLU(Module):
    """x where it is positive, else weight * x, of one weight or one for each channel, which is axis 1."""

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: object = None, dtype: object = None
    ) -> None:
        super().__init__()
        require_cpu(device)
        self.num_parameters = arguments.integer("PReLU", "num_parameters", num_parameters, 1)
        self.init = arguments.finite("PReLU", "init", init)
        kind = f32 if dtype is None else dtype_of(dtype)
        self.weight = Parameter(full((self.num_parameters,), float(self.init), dtype=kind))

    def reset_parameters(self) -> None:
        """The slopes as they were at first."""
        constant_(self.weight, float(self.init))

    def forward(self, input: Tensor) -> Tensor:
        return functions.prelu(require_tensor("PReLU", input), self.weight)

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        self.num_parameters = self.weight.shape[0]

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Softmax2d(Module):
    """Softmax over the channels of images [batch, channels, height, width] or [channels, height, width]."""

    def forward(self, input: Tensor) -> Tensor:
        if require_tensor("Softmax2d", input).ndim not in (3, 4):
            raise ShapeError(f"Softmax2d: images have 3 or 4 axes, got {input.type}", user_loc())
        return input.softmax(-3)
