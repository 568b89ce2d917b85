"""How many weights of a model are zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.compression.targets import prunable
from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.types import i8

__all__ = ["Sparsity", "measure_sparsity"]


@dataclass(frozen=True)
class Zeros:
    """How many elements of a parameter are zero."""

    zeros: int
    elements: int

    @property
    def share(self) -> float:
        return self.zeros / self.elements if self.elements else 0.0


class Sparsity(float):
    """The share of zeros among the weights that pruning is for, a number from 0 to 1.

    `parameters` has the zeros of every parameter by name, biases and norms included, `overall` the share of zeros among
    all their elements. It prints as a table.
    """

    parameters: Mapping[str, Zeros]
    weights: tuple[str, ...]

    def __new__(cls, parameters: Mapping[str, Zeros], weights: tuple[str, ...]) -> Sparsity:
        made = super().__new__(cls, _share([parameters[name] for name in weights]))
        made.parameters, made.weights = dict(parameters), weights
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies and pickles."""
        return type(self), (self.parameters, self.weights)

    @property
    def overall(self) -> float:
        """The share of zeros among all parameters."""
        return _share(list(self.parameters.values()))

    def __str__(self) -> str:
        names = [*self.parameters, "weights of products", "all parameters"]
        width = max(map(len, names))
        chosen = [self.parameters[name] for name in self.weights]
        rows = [*self.parameters.values(), _total(chosen), _total(list(self.parameters.values()))]
        return "\n".join(
            f"{name:{width}}  {row.zeros:>12,} of {row.elements:>12,} are zero  {row.share:>7.2%}"
            for name, row in zip(names, rows, strict=True)
        )


def _total(rows: list[Zeros]) -> Zeros:
    return Zeros(sum(row.zeros for row in rows), sum(row.elements for row in rows))


def _share(rows: list[Zeros]) -> float:
    return _total(rows).share


def measure_sparsity(model: Module) -> Sparsity:
    """The share of zeros among the weights of products and convolutions of a model, which is what `magnitude_prune`
    makes of it; 0 where it has none. The result is a float that also has the counts of every parameter, and prints as a
    table. Shared parameters count once, and -0.0 is a zero. Weights that quantized layers keep in buffers of 8 bits
    count too (those of 4 bits, two in a byte, do not)."""
    arguments.instance("measure_sparsity", "model", model, Module)
    quantized = {name: b for name, b in model.named_buffers() if b.dtype == i8 and b.ndim >= 2}
    tensors = {**dict(model.named_parameters()), **quantized}
    return Sparsity({name: zeros_of(t) for name, t in tensors.items()}, (*prunable(model), *quantized))


def zeros_of(tensor: Tensor) -> Zeros:
    """How many elements of a tensor are 0 or -0.0, and how many there are; NaN is no zero."""
    return Zeros(tensor.numel() - int(np.count_nonzero(tensor.numpy().astype(np.float64))), tensor.numel())
