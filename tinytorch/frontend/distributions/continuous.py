"""Normal, LogNormal, Uniform, Exponential and Laplace distributions: noise that is moved and stretched."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from tinytorch.frontend.distributions.base import HALF_LOG_2PI, Distribution, together
from tinytorch.frontend.distributions.constraints import NOT_NEGATIVE, POSITIVE, REAL, Constraint, inside
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.random import rand, randn
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir import ops
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.types import Shape


class Normal(Distribution):
    """Density exp(-((x - loc) / scale)**2 / 2) / (scale * sqrt(2 pi))."""

    has_rsample = True
    parameters: ClassVar[Mapping[str, Constraint]] = {"loc": REAL, "scale": POSITIVE}
    support = REAL

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = together("Normal", loc=loc, scale=scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def draw(self, shape: Shape) -> Tensor:
        return self.loc + self.scale * randn(shape, dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Tensor:
        distance = self.checked(value) - self.loc
        return -(distance * distance) / (self.scale * self.scale * 2.0) - self.scale.log() - HALF_LOG_2PI

    def cdf(self, value: Any) -> Tensor:
        return (((self.checked(value) - self.loc) / (self.scale * math.sqrt(2))).erf() + 1.0) * 0.5

    def icdf(self, value: Any) -> Tensor:
        (probability,) = together("icdf", value=value)
        return self.loc + self.scale * math.sqrt(2) * apply(ops.special.erfinv, probability * 2.0 - 1.0)

    def entropy(self) -> Tensor:
        return self.scale.log() + (0.5 + HALF_LOG_2PI)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale

    @property
    def stddev(self) -> Tensor:
        return self.scale


class LogNormal(Distribution):
    """exp of a normal number with these parameters."""

    has_rsample = True
    parameters: ClassVar[Mapping[str, Constraint]] = {"loc": REAL, "scale": POSITIVE}
    support = POSITIVE

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = together("LogNormal", loc=loc, scale=scale)
        self.base_dist = Normal(self.loc, self.scale, validate_args=False)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def draw(self, shape: Shape) -> Tensor:
        return self.base_dist.draw(shape).exp()

    def log_prob(self, value: Any) -> Tensor:
        logarithm = self.checked(value).log()
        return self.base_dist.log_prob(logarithm) - logarithm

    def cdf(self, value: Any) -> Tensor:
        return self.base_dist.cdf(self.checked(value).log())

    def icdf(self, value: Any) -> Tensor:
        return self.base_dist.icdf(value).exp()

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() + self.loc

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale * self.scale / 2.0).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale * self.scale).exp()

    @property
    def variance(self) -> Tensor:
        square = self.scale * self.scale
        return square.expm1() * (self.loc * 2.0 + square).exp()


class Uniform(Distribution):
    """Any number in [low, high) alike."""

    has_rsample = True
    parameters: ClassVar[Mapping[str, Constraint]] = {"low": REAL, "high": REAL}

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = together("Uniform", low=low, high=high)
        self.support = inside(self.low, self.high) if mode.trace is None else None
        super().__init__(self.low.shape, validate_args=validate_args)
        if self.validate_args and mode.trace is None and not (self.low.numpy() < self.high.numpy()).all():
            raise TinyTorchError(f"Uniform: needs low < high, got {low} and {high}", user_loc())

    def draw(self, shape: Shape) -> Tensor:
        return self.low + rand(shape, dtype=self.low.dtype) * (self.high - self.low)

    def log_prob(self, value: Any) -> Tensor:
        x = self.checked(value)
        known = -(self.high - self.low).log()
        return where((self.low <= x) & (x < self.high), known, -math.inf)

    def cdf(self, value: Any) -> Tensor:
        return ((self.checked(value) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)

    def icdf(self, value: Any) -> Tensor:
        (probability,) = together("icdf", value=value)
        return self.low + probability * (self.high - self.low)

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()

    @property
    def mean(self) -> Tensor:
        return (self.high + self.low) / 2.0

    @property
    def stddev(self) -> Tensor:
        return (self.high - self.low) / math.sqrt(12)

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).square() / 12.0


class Exponential(Distribution):
    """Density rate * exp(-rate * x), x >= 0."""

    has_rsample = True
    parameters: ClassVar[Mapping[str, Constraint]] = {"rate": POSITIVE}
    support = NOT_NEGATIVE

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together("Exponential", rate=rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def draw(self, shape: Shape) -> Tensor:
        return -(-rand(shape, dtype=self.rate.dtype)).log1p() / self.rate

    def log_prob(self, value: Any) -> Tensor:
        return self.rate.log() - self.rate * self.checked(value)

    def cdf(self, value: Any) -> Tensor:
        return -(-self.rate * self.checked(value)).expm1()

    def icdf(self, value: Any) -> Tensor:
        (probability,) = together("icdf", value=value)
        return -(-probability).log1p() / self.rate

    def entropy(self) -> Tensor:
        return 1.0 - self.rate.log()

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.rate

    @property
    def stddev(self) -> Tensor:
        return 1.0 / self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate * 0.0

    @property
    def variance(self) -> Tensor:
        return 1.0 / self.rate.square()


class Laplace(Distribution):
    """Density exp(-|x - loc| / scale) / (2 scale)."""

    has_rsample = True
    parameters: ClassVar[Mapping[str, Constraint]] = {"loc": REAL, "scale": POSITIVE}
    support = REAL

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = together("Laplace", loc=loc, scale=scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def draw(self, shape: Shape) -> Tensor:
        """An exponential number with a sign: the sign in the first half of [0, 1), the size in both."""
        drawn = rand(shape, dtype=self.loc.dtype) * 2.0
        right = drawn >= 1.0
        size = -(-where(right, drawn - 1.0, drawn)).log1p()
        return self.loc + self.scale * where(right, size, -size)

    def log_prob(self, value: Any) -> Tensor:
        return -(self.scale * 2.0).log() - (self.checked(value) - self.loc).abs() / self.scale

    def cdf(self, value: Any) -> Tensor:
        distance = self.checked(value) - self.loc
        return 0.5 - distance.sign() * (-(distance.abs()) / self.scale).expm1() * 0.5

    def icdf(self, value: Any) -> Tensor:
        (probability,) = together("icdf", value=value)
        term = probability - 0.5
        return self.loc - self.scale * term.sign() * (term.abs() * -2.0).log1p()

    def entropy(self) -> Tensor:
        return (self.scale * 2.0).log() + 1.0

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * 2.0

    @property
    def stddev(self) -> Tensor:
        return self.scale * math.sqrt(2)
