"""Distributions of vectors: independent parts taken together, and normal vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.distributions.base import HALF_LOG_2PI, Distribution, joint_shape, together
from tinytorch.frontend.distributions.constraints import LOWER_CHOLESKY, REAL, Constraint
from tinytorch.frontend.functions.basic import stack
from tinytorch.frontend.functions.random import randn
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import Shape


class Independent(Distribution):
    """The last `reinterpreted_batch_ndims` axes of a batch as axes of one event, whose parts are independent."""

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        arguments.instance("Independent", "base_distribution", base_distribution, Distribution)
        count = arguments.integer("Independent", "reinterpreted_batch_ndims", reinterpreted_batch_ndims, 0)
        shape = base_distribution.batch_shape
        if count > len(shape):
            raise ShapeError(f"Independent: {count} axes of a batch {list(shape)}", user_loc())
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, count
        self.support, cut = base_distribution.support, len(shape) - count
        super().__init__(shape[:cut], (*shape[cut:], *base_distribution.event_shape), validate_args)

    @property
    def has_rsample(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.base_dist.has_rsample

    def draw(self, shape: Shape) -> Tensor:
        return self.base_dist.draw(shape)

    def summed(self, x: Tensor) -> Tensor:
        axes = tuple(range(-self.reinterpreted_batch_ndims, 0))
        return x.sum(axes) if axes else x

    def log_prob(self, value: Any) -> Tensor:
        return self.summed(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        return self.summed(self.base_dist.entropy())

    def expand(self, batch_shape: Any) -> Independent:
        events = self.event_shape[: self.reinterpreted_batch_ndims]
        return Independent(self.base_dist.expand((*batch_shape, *events)), self.reinterpreted_batch_ndims)

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


class MultivariateNormal(Distribution):
    """Normal vectors with the mean `loc` [..., n] and a covariance, L @ L.T of `scale_tril` = L [..., n, n].

    Given as `covariance_matrix` or `precision_matrix`, it is factored by numpy, without a gradient and not under
    tt.compile.
    """

    has_rsample = True
    parameters: ClassVar[Mapping[str, Constraint]] = {"loc": REAL, "scale_tril": LOWER_CHOLESKY}
    event_dims: ClassVar[Mapping[str, int]] = {"loc": 1, "scale_tril": 2}
    support = REAL

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        known = {name: value for name, value in given.items() if value is not None}
        if len(known) != 1:
            raise TinyTorchError(f"MultivariateNormal: needs one of {', '.join(given)}", user_loc())
        ((name, value),) = known.items()
        (mean,), (matrix,) = together("MultivariateNormal", loc=loc), together("MultivariateNormal", **{name: value})
        if not mean.ndim or matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] != mean.shape[-1]:
            raise ShapeError(
                f"MultivariateNormal: loc is [..., n] and {name} [..., n, n], got {mean.type} and {matrix.type}",
                user_loc(),
            )
        batch = joint_shape("MultivariateNormal", mean.shape[:-1], matrix.shape[:-2])
        lower = matrix if name == "scale_tril" else _factor(name, matrix)
        self.loc = mean.broadcast_to((*batch, *mean.shape[-1:]))
        self.scale_tril = lower.broadcast_to((*batch, *matrix.shape[-2:]))
        super().__init__(batch, mean.shape[-1:], validate_args)

    @property
    def covariance_matrix(self) -> Tensor:
        return self.scale_tril @ self.scale_tril.mT

    @property
    def precision_matrix(self) -> Tensor:
        size = self.event_shape[0]
        inverse = _solved(self.scale_tril, Tensor.wrap(np.eye(size, dtype=self.loc.dtype.numpy)))
        return inverse.mT @ inverse

    def draw(self, shape: Shape) -> Tensor:
        noise = randn(shape, dtype=self.loc.dtype)
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Tensor:
        distance = self.checked(value) - self.loc
        white = _solved(self.scale_tril, distance.unsqueeze(-1)).squeeze(-1)
        return -white.square().sum(-1) * 0.5 - self.half_log_determinant() - self.event_shape[0] * HALF_LOG_2PI

    def entropy(self) -> Tensor:
        return self.half_log_determinant() + self.event_shape[0] * (0.5 + HALF_LOG_2PI)

    def half_log_determinant(self) -> Tensor:
        return stack([self.scale_tril[..., i, i].log() for i in range(self.event_shape[0])]).sum(0)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale_tril.square().sum(-1)


def _factor(name: str, matrix: Tensor) -> Tensor:
    """The lower Cholesky factor of a covariance, or of the inverse of a precision."""
    if mode.trace is not None or matrix.requires_grad:
        raise (TraceError if mode.trace is not None else TinyTorchError)(
            f"MultivariateNormal: {name} is factored by numpy, without a gradient and not under tt.compile; "
            "give scale_tril",
            user_loc(),
        )
    values = matrix.numpy().astype(np.float64)
    try:
        lower = np.linalg.cholesky(np.linalg.inv(values) if name == "precision_matrix" else values)
    except np.linalg.LinAlgError:
        raise TinyTorchError(f"MultivariateNormal: {name} is not positive definite", user_loc()) from None
    return Tensor.wrap(lower.astype(matrix.dtype.numpy))


def _solved(lower: Tensor, right: Tensor) -> Tensor:
    """x with lower @ x = right, row by row (forward substitution)."""
    rows: list[Tensor] = []
    for i in range(lower.shape[-1]):
        row = right[..., i, :]
        for j, before in enumerate(rows):
            row = row - lower[..., i, j].unsqueeze(-1) * before
        rows.append(row / lower[..., i, i].unsqueeze(-1))
    return stack(rows, -2)
