"""Gamma, Beta and Dirichlet distributions. Their samples are drawn by rejection, so they have no gradient, and there
are none under tt.compile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from tinytorch.frontend.distributions.base import Distribution, digamma, lgamma, together, xlogy
from tinytorch.frontend.distributions.constraints import NOT_NEGATIVE, POSITIVE, SIMPLEX, UNIT, Constraint
from tinytorch.frontend.functions.random import rand, randn
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.dtypes import finfo
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import ShapeError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import Shape


def _standard_gamma(what: str, concentration: Tensor, shape: Shape) -> Array:
    """Gamma numbers of rate 1, in f64 (Marsaglia & Tsang 2000): those below concentration 1 from one above, times
    u**(1 / concentration)."""
    if mode.trace is not None:
        raise TraceError(f"{what}: how often a sample is drawn again depends on values; draw outside", user_loc())
    given = np.broadcast_to(concentration.detach().numpy().astype(np.float64), shape).reshape(-1)
    small = given < 1
    d = given + small - 1 / 3
    c = 1 / np.sqrt(9 * d)
    drawn, pending = np.zeros(given.size), np.arange(given.size)
    while pending.size:
        x = randn(pending.size).numpy().astype(np.float64)
        u = 1 - rand(pending.size).numpy().astype(np.float64)
        v = (1 + c[pending] * x) ** 3
        with np.errstate(invalid="ignore", divide="ignore"):
            taken = (v > 0) & (np.log(u) < 0.5 * x * x + d[pending] * (1 - v + np.log(v)))
        drawn[pending[taken]] = d[pending[taken]] * v[taken]
        pending = pending[~taken]
    if small.any():
        u = 1 - rand(given.size).numpy().astype(np.float64)
        drawn = np.where(small, drawn * u ** (1 / given), drawn)
    return drawn.reshape(shape)


def _as_sample(drawn: Array, like: Tensor, most: float | None = None) -> Tensor:
    """As the dtype of the parameters, above 0 and, where there is a `most`, below it."""
    numbers = finfo(like.dtype)
    clipped = np.clip(drawn, numbers.tiny, None if most is None else most - numbers.eps / 2)
    return Tensor.wrap(clipped.astype(like.dtype.numpy))


class Gamma(Distribution):
    """Density rate**concentration * x**(concentration - 1) * exp(-rate * x) / gamma(concentration), x > 0."""

    parameters: ClassVar[Mapping[str, Constraint]] = {"concentration": POSITIVE, "rate": POSITIVE}
    support = NOT_NEGATIVE

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = together("Gamma", concentration=concentration, rate=rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def draw(self, shape: Shape) -> Tensor:
        return _as_sample(_standard_gamma("Gamma", self.concentration, shape) / self.rate.numpy(), self.rate)

    def log_prob(self, value: Any) -> Tensor:
        x, c = self.checked(value), self.concentration
        return xlogy(c, self.rate) + xlogy(c - 1.0, x) - self.rate * x - lgamma(c)

    def entropy(self) -> Tensor:
        c = self.concentration
        return c - self.rate.log() + lgamma(c) + (1.0 - c) * digamma(c)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1.0) / self.rate).clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate.square()


class Beta(Distribution):
    """Density x**(concentration1 - 1) * (1 - x)**(concentration0 - 1), over its integral, on [0, 1]."""

    parameters: ClassVar[Mapping[str, Constraint]] = {"concentration1": POSITIVE, "concentration0": POSITIVE}
    support = UNIT

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = together(
            "Beta", concentration1=concentration1, concentration0=concentration0
        )
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    def draw(self, shape: Shape) -> Tensor:
        a, b = (_standard_gamma("Beta", c, shape) for c in (self.concentration1, self.concentration0))
        return _as_sample(a / np.maximum(a + b, np.finfo(np.float64).tiny), self.concentration1, 1.0)

    def log_prob(self, value: Any) -> Tensor:
        x, a, b = self.checked(value), self.concentration1, self.concentration0
        return xlogy(a - 1.0, x) + xlogy(b - 1.0, 1.0 - x) + lgamma(a + b) - lgamma(a) - lgamma(b)

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        mass = lgamma(a) + lgamma(b) - lgamma(a + b)
        return mass - (a - 1.0) * digamma(a) - (b - 1.0) * digamma(b) + (a + b - 2.0) * digamma(a + b)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        return (self.concentration1 - 1.0) / (self.concentration1 + self.concentration0 - 2.0)

    @property
    def variance(self) -> Tensor:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.square() * (total + 1.0))


class Dirichlet(Distribution):
    """Vectors of probabilities: Gamma numbers of these concentrations, over their sum."""

    parameters: ClassVar[Mapping[str, Constraint]] = {"concentration": POSITIVE}
    event_dims: ClassVar[Mapping[str, int]] = {"concentration": 1}
    support = SIMPLEX

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        (self.concentration,) = together("Dirichlet", concentration=concentration)
        if not self.concentration.ndim:
            raise ShapeError("Dirichlet: concentration has an axis of classes, got a number", user_loc())
        super().__init__(self.concentration.shape[:-1], self.concentration.shape[-1:], validate_args)

    def draw(self, shape: Shape) -> Tensor:
        drawn = _standard_gamma("Dirichlet", self.concentration, shape)
        return _as_sample(drawn / np.maximum(drawn.sum(-1, keepdims=True), 1e-300), self.concentration)

    def log_prob(self, value: Any) -> Tensor:
        c = self.concentration
        return xlogy(c - 1.0, self.checked(value)).sum(-1) + lgamma(c.sum(-1)) - lgamma(c).sum(-1)

    def entropy(self) -> Tensor:
        c, count = self.concentration, float(self.event_shape[0])
        total = c.sum(-1)
        mass = lgamma(c).sum(-1) - lgamma(total)
        return mass - (count - total) * digamma(total) - ((c - 1.0) * digamma(c)).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total.square() * (total + 1.0))
