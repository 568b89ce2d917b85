"""What parameters and values of distributions may be. Values are looked at where they are known: not in a trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinytorch.frontend.arguments import ArgumentValueError
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array


class Constraint(NamedTuple):
    """A condition on every number of a tensor, or on every vector of it; `wanted` says it."""

    wanted: str
    accepts: Callable[[Array], Array]


def _simplex(x: Array) -> Array:
    return (x >= 0).all(-1) & (np.abs(x.sum(-1) - 1) < 1e-6 * max(1, x.shape[-1]))


def _whole(x: Array) -> Array:
    return x == np.floor(x)


REAL = Constraint("numbers", lambda x: ~np.isnan(x))
POSITIVE = Constraint("positive numbers", lambda x: x > 0)
NOT_NEGATIVE = Constraint("numbers that are not negative", lambda x: x >= 0)
UNIT = Constraint("numbers between 0 and 1", lambda x: (x >= 0) & (x <= 1))
SIMPLEX = Constraint("vectors of probabilities that add up to 1", _simplex)
WEIGHTS = Constraint("vectors that are not negative, with a sum above 0", lambda x: (x >= 0).all(-1) & (x.sum(-1) > 0))
BOOLEAN = Constraint("0 or 1", lambda x: (x == 0) | (x == 1))
COUNT = Constraint("integers that are not negative", lambda x: _whole(x) & (x >= 0))
ONE_HOT = Constraint("vectors with one 1 and zeros", lambda x: ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1))
LOWER_CHOLESKY = Constraint(
    "lower triangular matrices with a positive diagonal",
    lambda x: (np.triu(x, 1) == 0).all((-1, -2)) & (np.diagonal(x, axis1=-2, axis2=-1) > 0).all(-1),
)


def below(count: int) -> Constraint:
    return Constraint(f"integers from 0 to {count - 1}", lambda x: _whole(x) & (x >= 0) & (x < count))


def inside(low: Tensor, high: Tensor) -> Constraint:
    a, b = low.detach().numpy(), high.detach().numpy()
    return Constraint("numbers between low and high", lambda x: (x >= a) & (x <= b))


def require(what: str, name: str, constraint: Constraint, value: Tensor) -> None:
    """An error where a value that is known breaks a constraint."""
    if mode.trace is None and not constraint.accepts(value.detach().numpy()).all():
        raise ArgumentValueError(f"{what}: {name} are {constraint.wanted}, got {value.detach()}", user_loc())
