"""A weight as a length times a direction: w = g v / |v| (Salimans & Kingma 2016)."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from tinytorch.frontend import arguments
from tinytorch.frontend.layers.norms import length
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.module.parameter_functions import own_parameter
from tinytorch.frontend.module.tracked import compute, compute_no_more
from tinytorch.frontend.parametrizations.parametrize import current, register_parametrization
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import normalize_axis

AnyModule = TypeVar("AnyModule", bound=Module)


@dataclass(frozen=True)
class PartsBeside:
    """A weight that is computed of parts which lie beside it in the module, such as `weight_g` and `weight_v`."""

    name: str
    suffixes: ClassVar[tuple[str, ...]]

    def parts(self, owner: Module) -> list[Tensor]:
        return [getattr(owner, f"{self.name}_{suffix}") for suffix in self.suffixes]

    def value(self, owner: Module) -> Tensor:
        raise NotImplementedError

    def assign(self, owner: Module, value: Any) -> None:
        names = ", ".join(f"{self.name}_{suffix}" for suffix in self.suffixes)
        raise TinyTorchError(
            f"{self.name} of {type(owner).__name__} is computed of {names}: change these, or remove the norm first",
            user_loc(),
        )

    def remove(self, owner: Module) -> None:
        """Make the weight a parameter again, with the value that it has."""
        with grad_mode(False):
            weight = Parameter(self.value(owner))
        for suffix in self.suffixes:
            delattr(owner, f"{self.name}_{suffix}")
        compute_no_more(owner, self.name)
        owner.register_parameter(self.name, weight)


def parts_beside(what: str, module: Module, name: str, kind: type[PartsBeside]) -> Any:
    """How `kind` computes the weight `name`; an error if it does not."""
    arguments.instance(what, "module", module, Module)
    how = module._computed.get(name)
    if not isinstance(how, kind):
        raise arguments.wrong_value(what, "name", f"that of a weight with such a norm in {type(module).__name__}", name)
    return how


@dataclass(frozen=True)
class _WeightNorm(PartsBeside):
    dim: int | None
    suffixes = ("g", "v")

    def value(self, owner: Module) -> Tensor:
        g, v = self.parts(owner)
        return _product(g, v, self.dim)


def weight_norm(module: AnyModule, name: str = "weight", dim: int | None = 0) -> AnyModule:
    """Compute the weight `name` of the parameters `<name>_g`, a length for each index of `dim`, and `<name>_v`, of its
    own shape. With None or -1 for `dim` there is one length for all. Returns the module."""
    weight = own_parameter("weight_norm", module, name)
    axis = _axis(dim, weight)
    compute(module, name, _WeightNorm(name, axis))
    with grad_mode(False):
        module.register_parameter(f"{name}_g", Parameter(_lengths(weight, axis)))
        module.register_parameter(f"{name}_v", Parameter(weight))
    return module


def remove_weight_norm(module: AnyModule, name: str = "weight") -> AnyModule:
    """Make the weight that `weight_norm` computes a parameter again, with the value that it has."""
    parts_beside("remove_weight_norm", module, name, _WeightNorm).remove(module)
    return module


class _WeightNormModule(Module):
    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        return _product(g, v, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return _lengths(weight, self.dim), weight


def parametrized_weight_norm(module: AnyModule, name: str = "weight", dim: int | None = 0) -> AnyModule:
    """`weight_norm` with the lengths in `parametrizations.<name>.original0` and the directions in `original1`."""
    norm = _WeightNormModule(_axis(dim, current("weight_norm", module, name)))
    return register_parametrization(module, name, norm, unsafe=True)


def _axis(dim: int | None, weight: Tensor) -> int | None:
    return None if dim is None or dim == -1 else normalize_axis("weight_norm", dim, weight.ndim)


def _lengths(v: Tensor, dim: int | None) -> Tensor:
    """|v| at each index of `dim`, with axes of size 1 for the others; a number for all without one."""
    if dim is None:
        return length(v, 2, tuple(range(v.ndim)))
    others = tuple(axis for axis in range(v.ndim) if axis != dim)
    return length(v, 2, others, keepdim=True) if others else abs(v)


def _product(g: Tensor, v: Tensor, dim: int | None) -> Tensor:
    return v * (g / _lengths(v, dim))
