"""A weight divided by its largest singular value (Miyato et al. 2018), which a power iteration estimates.

The vectors u and v of the iteration are buffers, and a forward in training moves them on before it uses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.random import randn
from tinytorch.frontend.layers.norms import normalize
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.hooks import drop_hook
from tinytorch.frontend.module.parameter_functions import own_parameter
from tinytorch.frontend.module.tracked import compute
from tinytorch.frontend.parametrizations.parametrize import current, register_parametrization
from tinytorch.frontend.parametrizations.weight_norms import PartsBeside, parts_beside
from tinytorch.frontend.spatial.conv_layers import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.ir.operators.promotion import normalize_axis

AnyModule = TypeVar("AnyModule", bound=Module)

_FIRST_STEPS = 15  # of the power iteration, before there is a weight: torch.nn.utils.parametrizations.spectral_norm


@dataclass(frozen=True)
class _Power:
    """A power iteration of a weight as a matrix, whose rows are the indices of `dim`."""

    dim: int
    steps: int
    eps: float

    def matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).reshape(weight.shape[self.dim], -1)

    def start(self, weight: Tensor) -> list[Tensor]:
        """u and v at random."""
        return [normalize(randn(n).to(weight.dtype), dim=0, eps=self.eps) for n in self.matrix(weight).shape]

    def advance(self, matrix: Tensor, left: Tensor, right: Tensor, steps: int) -> None:
        """Move two vectors on, in place: first `left`, then `right`."""
        with grad_mode(False):
            for _ in range(steps):
                left.copy_(normalize(matrix @ right, dim=0, eps=self.eps))
                right.copy_(normalize(left @ matrix, dim=0, eps=self.eps))

    def divided(self, weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
        # Copies: a backward pass may come after the next forward, which writes into the buffers.
        return weight / (u.clone() * (self.matrix(weight) @ v.clone())).sum()


@dataclass(frozen=True)
class _SpectralNorm(PartsBeside):
    power: _Power
    suffixes = ("orig", "u", "v")

    def __call__(self, owner: Module, args: Any) -> None:
        """Before a forward."""
        if owner.training:
            weight, u, v = self.parts(owner)
            self.power.advance(self.power.matrix(weight).mT, v, u, self.power.steps)

    def value(self, owner: Module) -> Tensor:
        return self.power.divided(*self.parts(owner))


def spectral_norm(
    module: AnyModule, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> AnyModule:
    """Compute the weight `name` as the parameter `<name>_orig` / σ, with σ = u · (W v) of the buffers `<name>_u` and
    `<name>_v`. W is a matrix whose rows are the indices of `dim`: by default 1 for transposed convolutions and 0 for
    others. Returns the module."""
    weight = own_parameter("spectral_norm", module, name)
    how = _SpectralNorm(name, _power(module, weight, n_power_iterations, eps, dim))
    compute(module, name, how)
    module.register_parameter(f"{name}_orig", weight)
    with grad_mode(False):
        for suffix, vector in zip("uv", how.power.start(weight), strict=True):
            module.register_buffer(f"{name}_{suffix}", vector)
    module.register_forward_pre_hook(how)
    return module


def remove_spectral_norm(module: AnyModule, name: str = "weight") -> AnyModule:
    """Make the weight that `spectral_norm` computes a parameter again, with the value that it has."""
    how = parts_beside("remove_spectral_norm", module, name, _SpectralNorm)
    how.remove(module)
    drop_hook(module, how)
    return module


class _SpectralNormModule(Module):
    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, power: _Power) -> None:
        super().__init__()
        self.power = power
        if weight.ndim > 1:
            with grad_mode(False):
                for name, vector in zip(("_u", "_v"), power.start(weight), strict=True):
                    self.register_buffer(name, vector)
            power.advance(power.matrix(weight), self._u, self._v, _FIRST_STEPS)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return normalize(weight, dim=0, eps=self.power.eps)
        if self.training:
            self.power.advance(self.power.matrix(weight), self._u, self._v, self.power.steps)
        return self.power.divided(weight, self._u, self._v)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


def parametrized_spectral_norm(
    module: AnyModule, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> AnyModule:
    """`spectral_norm` of `parametrizations.<name>.original`, with buffers that begin near the singular vectors and
    move on whenever the weight is read in training. A vector is divided by its length."""
    weight = current("spectral_norm", module, name)
    norm = _SpectralNormModule(weight, _power(module, weight, n_power_iterations, eps, dim))
    return register_parametrization(module, name, norm, unsafe=True)


def _power(module: Module, weight: Tensor, steps: Any, eps: Any, dim: Any) -> _Power:
    what = "spectral_norm"
    rows = int(isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d))) if dim is None else dim
    axis = normalize_axis(what, rows, weight.ndim)
    count = arguments.integer(what, "n_power_iterations", steps, 1)
    return _Power(axis, count, arguments.not_negative(what, "eps", eps))
