"""Random numbers: tensors overwritten with them, and new ones.

Uniform bits come from the generator (`random`); the distributions follow by the inverse of their distribution
function. Gradients of what stood in a tensor before are zeros.
"""

from __future__ import annotations

import math
from typing import Any

from tinytorch.frontend.arguments import finite, number, positive, wrong_value
from tinytorch.frontend.creation import as_tensor
from tinytorch.frontend.random import Generator, rand, randint, randn
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.promotion import broadcast_shapes
from tinytorch.ir.types import DType, f32, f64

_HALF_STEP = 2.0**-25  # `rand` gives multiples of 2**-24 below 1


def _wide(x: Tensor) -> DType:
    """The dtype to draw in; narrower floats are rounded once, at the end."""
    return f64 if x.dtype == f64 else f32


def _inside(x: Tensor, generator: Generator | None) -> Tensor:
    """Uniform numbers in (0, 1), without the ends."""
    return rand(x.shape, dtype=_wide(x), generator=generator) + _HALF_STEP


# Tensors overwritten.
@spelled(name="normal_")
def normal_(input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Normal numbers over this tensor."""
    scale = number("normal_", "std", std, lambda s: s >= 0, "a number that is not negative")
    drawn = randn(input.shape, dtype=_wide(input), generator=generator)
    return input.copy_(drawn * scale + finite("normal_", "mean", mean))


@spelled(name="uniform_")
def uniform_(input: Tensor, low: float = 0.0, high: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Uniform numbers in [low, high) over this tensor."""
    first, last = finite("uniform_", "low", low), finite("uniform_", "high", high)
    if first > last:
        raise wrong_value("uniform_", "high", f"at least low, which is {low}", high)
    return input.copy_(rand(input.shape, dtype=_wide(input), generator=generator) * (last - first) + first)


@spelled(name="bernoulli_")
def bernoulli_(input: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """1 with probability `p`, a number or a tensor, else 0, over this tensor."""
    if not isinstance(p, Tensor):
        p = number("bernoulli_", "p", p, lambda x: 0 <= x <= 1, "a probability")
    return input.copy_(rand(input.shape, dtype=f32, generator=generator) < p)


@spelled(name="exponential_")
def exponential_(input: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Numbers of the exponential distribution, whose mean is `1 / lambd`, over this tensor."""
    rate = positive("exponential_", "lambd", lambd)
    return input.copy_(-_inside(input, generator).log() / rate)


@spelled(name="geometric_")
def geometric_(input: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """How often one tries, up to the first success of probability `p`, over this tensor."""
    chance = number("geometric_", "p", p, lambda x: 0 < x < 1, "a number between 0 and 1")
    return input.copy_((_inside(input, generator).log() / math.log1p(-chance)).ceil())


@spelled(name="cauchy_")
def cauchy_(input: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Numbers of the Cauchy distribution over this tensor."""
    scale = positive("cauchy_", "sigma", sigma)
    angle = (_inside(input, generator) - 0.5) * math.pi
    return input.copy_(angle.sin() / angle.cos() * scale + finite("cauchy_", "median", median))


@spelled(name="log_normal_")
def log_normal_(input: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """exp of normal numbers over this tensor."""
    drawn = randn(input.shape, dtype=_wide(input), generator=generator)
    return input.copy_((drawn * positive("log_normal_", "std", std) + finite("log_normal_", "mean", mean)).exp())


# New tensors.
@spelled(method=False)
def normal(
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers: of `size` for numbers `mean` and `std`; where one is a tensor, each with its own."""
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        if size is None:
            raise wrong_value("normal", "size", "a shape, where mean and std are numbers", size)
        scale = number("normal", "std", std, lambda s: s >= 0, "a number that is not negative")
        return randn(size, dtype=dtype, device=device, generator=generator) * scale + finite("normal", "mean", mean)
    center, scale = as_tensor(mean), as_tensor(std)
    shape = broadcast_shapes("normal", center.shape, scale.shape)
    given = mean if isinstance(mean, Tensor) else scale
    drawn = randn(shape, dtype=dtype or (given.dtype if given.dtype.is_float else f32), generator=generator)
    return (drawn * scale + center).cast(drawn.dtype)


@spelled(method=False)
def randint_like(
    input: Tensor, low: int, high: int | None = None, *, dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """Integers from `low` (0 where only `high` is given) to `high` - 1, with the shape and the dtype of `input`."""
    first, last = (0, low) if high is None else (low, high)
    return randint(first, last, input.shape, dtype=dtype or input.dtype, generator=generator)
