"""Bernoulli, Categorical, OneHotCategorical, Geometric and Poisson distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from tinytorch.frontend.activations import log_softmax, softmax
from tinytorch.frontend.distributions.base import Distribution, lgamma, one_of_two, together, xlogy
from tinytorch.frontend.distributions.constraints import (
    BOOLEAN,
    COUNT,
    NOT_NEGATIVE,
    ONE_HOT,
    REAL,
    UNIT,
    WEIGHTS,
    Constraint,
    below,
)
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.creation import arange
from tinytorch.frontend.functions.random import default_generator, rand
from tinytorch.frontend.losses.functions import binary_cross_entropy_with_logits
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.dtypes import finfo
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import Shape, f64, i64


def _inner(probs: Tensor) -> Tensor:
    """Probabilities as far from 0 and 1 as their dtype tells apart, so that logarithms are finite."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(eps, 1 - eps)


class _OfProbabilities(Distribution):
    """Distributions that are given by probabilities or by logits; the others follow from these."""

    def probabilities(self, probs: Any, logits: Any) -> None:
        name, value = one_of_two(type(self).__name__, probs=probs, logits=logits)
        self._from_logits = name == "logits"
        if self._from_logits:
            self.logits, self.probs = value, value.sigmoid()
        else:
            inner = _inner(value)
            self.logits, self.probs = inner.log() - (-inner).log1p(), value

    def expand(self, batch_shape: Any) -> Any:
        name = "logits" if self._from_logits else "probs"
        value: Tensor = getattr(self, name)
        axes = self.event_dims.get(name, 0)
        grown = value.broadcast_to((*tuple(batch_shape), *value.shape[value.ndim - axes :]))
        parameters: dict[str, Any] = {name: grown, "validate_args": False}
        return type(self)(**parameters)


class Bernoulli(_OfProbabilities):
    """1 with the probability `probs` = sigmoid(logits), else 0."""

    parameters: ClassVar[Mapping[str, Constraint]] = {"probs": UNIT, "logits": REAL}
    support = BOOLEAN

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self.probabilities(probs, logits)
        super().__init__(self.probs.shape, validate_args=validate_args)

    def draw(self, shape: Shape) -> Tensor:
        return (rand(shape, dtype=self.probs.dtype) < self.probs).cast(self.probs.dtype)

    def log_prob(self, value: Any) -> Tensor:
        x = self.checked(value)
        shape = np.broadcast_shapes(x.shape, self.logits.shape)
        return -binary_cross_entropy_with_logits(
            self.logits.broadcast_to(shape), x.broadcast_to(shape).cast(self.logits.dtype), reduction="none"
        )

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        most = (self.probs >= 0.5).cast(self.probs.dtype)
        return where(self.probs == 0.5, math.nan, most)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1.0 - self.probs)


class Geometric(_OfProbabilities):
    """How many trials fail before the first that succeeds, with the probability `probs`."""

    parameters: ClassVar[Mapping[str, Constraint]] = {"probs": UNIT, "logits": REAL}
    support = COUNT

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self.probabilities(probs, logits)
        super().__init__(self.probs.shape, validate_args=validate_args)

    def draw(self, shape: Shape) -> Tensor:
        drawn = 1.0 - rand(shape, dtype=self.probs.dtype)  # in (0, 1]
        return (drawn.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Any) -> Tensor:
        return xlogy(self.checked(value), 1.0 - self.probs) + self.probs.log()

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        return self.probs * 0.0

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs


class _OfClasses(_OfProbabilities):
    """Distributions over classes, along the last axis of `probs` (scaled to add up to 1) or `logits`."""

    parameters: ClassVar[Mapping[str, Constraint]] = {"probs": WEIGHTS, "logits": REAL}
    event_dims: ClassVar[Mapping[str, int]] = {"probs": 1, "logits": 1}

    def probabilities(self, probs: Any, logits: Any) -> None:
        name, value = one_of_two(type(self).__name__, probs=probs, logits=logits)
        if not value.ndim or not value.shape[-1]:
            raise ShapeError(f"{type(self).__name__}: {name} has an axis of classes, got {value.type}", user_loc())
        self._from_logits = name == "logits"
        if self._from_logits:
            self.logits, self.probs = log_softmax(value), softmax(value)
        else:
            self.probs = value / value.sum(-1, keepdim=True)
            self.logits = _inner(self.probs).log()

    @property
    def param_shape(self) -> Shape:
        return self.probs.shape

    @property
    def classes(self) -> int:
        return self.probs.shape[-1]

    def drawn_classes(self, shape: Shape) -> Tensor:
        """The first class up to which the probabilities add up to more than a uniform number."""
        ends = self.probs.detach().cast(f64).cumsum(-1)
        levels = rand(shape, dtype=f64).unsqueeze(-1) * ends[..., -1:]
        return (levels >= ends).cast(i64).sum(-1).clamp(max=self.classes - 1)

    def entropy(self) -> Tensor:
        least = finfo(self.logits.dtype).min
        return -(self.logits.clamp(min=least) * self.probs).sum(-1)


class Categorical(_OfClasses):
    """One of the classes, as its number (i64)."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self.probabilities(probs, logits)
        self.support = below(self.classes)
        super().__init__(self.probs.shape[:-1], validate_args=validate_args)

    def draw(self, shape: Shape) -> Tensor:
        return self.drawn_classes(shape)

    def log_prob(self, value: Any) -> Tensor:
        chosen = self.checked(value).cast(i64).unsqueeze(-1) == arange(self.classes)
        return where(chosen, self.logits, 0.0).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All classes along a new first axis."""
        values = arange(self.classes).reshape(-1, *(1 for _ in self.batch_shape))
        return values.broadcast_to((self.classes, *self.batch_shape)) if expand else values

    @property
    def mean(self) -> Tensor:
        return self.probs.sum(-1) * math.nan

    @property
    def variance(self) -> Tensor:
        return self.mean

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)


class OneHotCategorical(_OfClasses):
    """One of the classes, as a vector with 1 in its place."""

    support = ONE_HOT

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self.probabilities(probs, logits)
        super().__init__(self.probs.shape[:-1], self.probs.shape[-1:], validate_args)

    def draw(self, shape: Shape) -> Tensor:
        return (self.drawn_classes(shape[:-1]).unsqueeze(-1) == arange(self.classes)).cast(self.probs.dtype)

    def log_prob(self, value: Any) -> Tensor:
        return where(self.checked(value) == 1.0, self.logits, 0.0).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1.0 - self.probs)


class Poisson(Distribution):
    """Counts with the probability rate**k * exp(-rate) / k!. Samples are drawn by numpy, not under tt.compile."""

    parameters: ClassVar[Mapping[str, Constraint]] = {"rate": NOT_NEGATIVE}
    support = COUNT

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together("Poisson", rate=rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def draw(self, shape: Shape) -> Tensor:
        if mode.trace is not None:
            raise TraceError("Poisson: samples are drawn by numpy; draw outside of the compiled function", user_loc())
        seed = default_generator.take(1).numpy().view(np.uint64).tolist()
        drawn = np.random.default_rng(seed).poisson(self.rate.detach().numpy(), shape)
        return Tensor.wrap(drawn.astype(self.rate.dtype.numpy))

    def log_prob(self, value: Any) -> Tensor:
        x = self.checked(value)
        return xlogy(x, self.rate) - self.rate - lgamma(x + 1.0)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        return self.rate

    def entropy(self) -> Tensor:
        raise TinyTorchError("Poisson: the entropy has no closed form", user_loc())
