"""Tensors filled anew: with a number, or at random in place. Draws come from a generator's counter, so a compiled
function draws what an eager one does."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tinytorch.frontend.arguments import number, probability
from tinytorch.frontend.functions import creation
from tinytorch.frontend.functions.manipulation.shapes import as_strided, listed
from tinytorch.frontend.functions.random import Generator, bits_of, rand, randint, randn
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import broadcast_shapes, integer
from tinytorch.ir.types import f32, f64


# Numbers.
@spelled(method=False)
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like `input` with `value`, a number or a tensor without axes, everywhere."""
    return input.clone().fill_(value)


@spelled(method=False)
def empty_strided(
    size: Sequence[int], stride: Sequence[int], *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of shape `size` whose neighbours along each axis are `stride` elements apart in memory."""
    shape, steps = listed("empty_strided", "size", size), listed("empty_strided", "stride", stride)
    if len(shape) != len(steps) or min((*shape, *steps), default=0) < 0:
        raise ShapeError(
            f"empty_strided: needs sizes and strides that are not negative, got {list(shape)} and {list(steps)}",
            user_loc(),
        )
    count = 0 if 0 in shape else 1 + sum((d - 1) * s for d, s in zip(shape, steps, strict=True))
    out = as_strided(creation.zeros(count, dtype=dtype, device=device), shape, steps)
    return out.detach().requires_grad_() if requires_grad else out


@spelled()
def new_empty_strided(
    input: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`empty_strided` in the dtype of `input`, where none is given."""
    return empty_strided(size, stride, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


@spelled(method=False)
def empty_permuted(
    size: Sequence[int],
    physical_layout: Sequence[int],
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros of shape `size` whose axes lie in memory in the order `physical_layout`, the last one most densely."""
    shape, order = listed("empty_permuted", "size", size), listed("empty_permuted", "physical_layout", physical_layout)
    if sorted(order) != list(range(len(shape))):
        raise ShapeError(f"empty_permuted: {list(order)} is not an order of {len(shape)} axes", user_loc())
    laid = creation.zeros(tuple(shape[axis] for axis in order), dtype=dtype, device=device)
    out = laid.permute([order.index(axis) for axis in range(len(shape))])
    return out.detach().requires_grad_() if requires_grad else out


# At random.
def _drawn(x: Tensor) -> Any:
    """The dtype to draw in: f64 for itself, f32 for all others."""
    return f64 if x.dtype == f64 else f32


def _uniform(x: Tensor, generator: Generator | None) -> Tensor:
    return rand(x.shape, dtype=_drawn(x), generator=generator)


def _floats(what: str, x: Tensor) -> None:
    if not x.dtype.is_float:
        raise ShapeError(f"{what}: needs a tensor of floats, got {x.type}", user_loc())


def _filled(what: str, x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
    """Write what `draw` gives over `x`, if that can be written to."""
    x._writable(what)
    return x.copy_(draw())


@spelled(name="uniform_")
def uniform(input: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with uniform numbers in [from_, to)."""
    _floats("uniform_", input)
    low, high = (number("uniform_", "from and to", x, math.isfinite, "finite numbers") for x in (from_, to))
    if low > high:
        raise TinyTorchError(f"uniform_: needs from <= to, got {low} and {high}", user_loc())
    return _filled("uniform_", input, lambda: _uniform(input, generator) * (high - low) + low)


@spelled(name="normal_")
def normal_in_place(
    input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Overwritten with normal numbers."""
    _floats("normal_", input)
    _scale("normal_", "std", std)
    return _filled("normal_", input, lambda: randn(input.shape, dtype=_drawn(input), generator=generator) * std + mean)


@spelled(name="log_normal_")
def log_normal(input: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with numbers whose logarithms are normal."""
    _floats("log_normal_", input)
    number("log_normal_", "std", std, lambda x: 0 < x < math.inf, "a positive number")
    return _filled(
        "log_normal_", input, lambda: (randn(input.shape, dtype=_drawn(input), generator=generator) * std + mean).exp()
    )


def _scale(what: str, name: str, value: Any) -> None:
    number(what, name, value, lambda x: 0 <= x < math.inf, "a number that is not negative")


@spelled(name="exponential_")
def exponential(input: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with positive numbers of the density lambd * exp(-lambd * x)."""
    _floats("exponential_", input)
    number("exponential_", "lambd", lambd, lambda x: x > 0, "a positive number")
    least = 2.0**-25  # below which no draw lies but 0
    return _filled("exponential_", input, lambda: -(-_uniform(input, generator).clamp(min=least)).log1p() / lambd)


@spelled(name="cauchy_")
def cauchy(input: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with numbers of the density 1 / (pi * sigma * (1 + ((x - median) / sigma) ** 2))."""
    _floats("cauchy_", input)
    number("cauchy_", "sigma", sigma, lambda x: x > 0, "a positive number")

    def draw() -> Tensor:
        angle = (_uniform(input, generator) - 0.5) * math.pi
        return angle.sin() / angle.cos() * sigma + median

    return _filled("cauchy_", input, draw)


@spelled(name="geometric_")
def geometric(input: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with the number of trials of probability `p` up to the first success: 1, 2, …"""
    number("geometric_", "p", p, lambda x: 0 < x < 1, "a number between 0 and 1")
    scale = 1 / math.log1p(-p)
    return _filled("geometric_", input, lambda: ((-_uniform(input, generator)).log1p() * scale).floor() + 1)


@spelled(name="bernoulli_")
def bernoulli_in_place(input: Tensor, p: float | Tensor = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with 1, with the probability `p`, a number or a tensor that broadcasts, else 0."""
    if not isinstance(p, Tensor):
        probability("bernoulli_", "p", p)
    return _filled("bernoulli_", input, lambda: (_uniform(input, generator) < p).cast(input.dtype))


@spelled(name="random_")
def random(
    input: Tensor, from_: int | None = None, to: int | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Overwritten with integers from `from_` (0) up to `to` - 1, of which one alone is `to`. Without them, up to the
    largest of the dtype, of floats up to the largest below which none is left out. At most 2**31 different ones of
    which both ends are given."""
    if from_ is not None and to is None:
        from_, to = 0, from_
    if to is not None:
        low, high = integer("random_", "from", from_ or 0), integer("random_", "to", to)
        return _filled("random_", input, lambda: randint(low, high, input.shape, generator=generator))
    digits = {"f32": 24, "f64": 53, "f16": 11, "bf16": 8, "bool": 1}.get(input.dtype.name)
    count = digits if digits is not None else input.dtype.limits[1].bit_length()
    return _filled("random_", input, lambda: bits_of(input.shape, count, generator))


@spelled(method=False)
def normal(
    mean: float | Tensor, std: float | Tensor = 1.0, size: Any = None, *, generator: Generator | None = None,
    dtype: Any = None, device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Normal numbers of `mean` and `std`: tensors, which broadcast, or numbers, of which `size` is the shape."""
    if not isinstance(std, Tensor):
        _scale("normal", "std", std)
    tensors = [t for t in (mean, std) if isinstance(t, Tensor)]
    if bool(tensors) == (size is not None):
        raise TinyTorchError("normal: needs a tensor of means or deviations, or two numbers and a size", user_loc())
    if not tensors:
        shape = tuple(size) if isinstance(size, (tuple, list)) else (size,)
        out = randn(shape, dtype=dtype, generator=generator, device=device) * std + mean
        return out.requires_grad_() if requires_grad else out
    shape = broadcast_shapes("normal", tensors[0].shape, tensors[-1].shape)
    kind = f64 if any(t.dtype == f64 for t in tensors) else tensors[0].dtype
    with_mean, with_std = (t.detach() if isinstance(t, Tensor) else t for t in (mean, std))
    drawn = randn(shape, dtype=f64 if kind == f64 else f32, generator=generator)
    return (drawn * with_std + with_mean).cast(kind if kind.is_float else f32)
