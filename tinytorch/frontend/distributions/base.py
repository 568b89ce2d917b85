"""What all distributions share: shapes, samples, and the checks of what users pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.constructors import clear_subclass
from tinytorch.frontend.distributions.constraints import Constraint, require
from tinytorch.frontend.functions.creation import as_tensor
from tinytorch.frontend.functions.random import shape_of
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.types import Shape, f32


class Distribution:
    """Base of distributions, of which there is one for each place of `batch_shape`; a sample has `event_shape`.

    `sample(shape)` gives [*shape, *batch_shape, *event_shape], without a gradient; `rsample(shape)` one with a gradient
    to the parameters, where `has_rsample` says so. Draws come from the default generator. With `validate_args` (None
    means True), parameters and values that make no sense are an error where they are known: not under tt.compile.
    """

    has_rsample: ClassVar[bool] = False
    event_dims: ClassVar[Mapping[str, int]] = {}  # axes of parameters that belong to one event
    parameters: ClassVar[Mapping[str, Constraint]] = {}  # names of parameters, and what these may be
    support: Constraint | None = None  # what values may be

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        clear_subclass(cls)

    def __init__(self, batch_shape: Shape = (), event_shape: Shape = (), validate_args: bool | None = None) -> None:
        self.batch_shape, self.event_shape = tuple(batch_shape), tuple(event_shape)
        self.validate_args = validate_args is not False
        if self.validate_args:
            for name, constraint in self.parameters.items():
                value = vars(self).get(name)
                if value is not None:
                    require(type(self).__name__, name, constraint, value)

    # Samples.
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw, without a gradient."""
        with grad_mode(False):
            return self.draw(self.extended(sample_shape)).detach()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw by a function of the parameters and of noise, with a gradient to the parameters."""
        if not self.has_rsample:
            raise TinyTorchError(
                f"{type(self).__name__}: samples have no gradient to the parameters; use sample() and log_prob()",
                user_loc(),
            )
        return self.draw(self.extended(sample_shape))

    def draw(self, shape: Shape) -> Tensor:
        """A sample of a whole shape."""
        raise TinyTorchError(f"{type(self).__name__} has no samples", user_loc())

    def extended(self, sample_shape: Any) -> Shape:
        return (*shape_of(type(self).__name__, (tuple(sample_shape),)), *self.batch_shape, *self.event_shape)

    # Densities.
    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density, or of the probability, at `value`."""
        raise TinyTorchError(f"{type(self).__name__} has no log_prob", user_loc())

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is not above `value`."""
        raise TinyTorchError(f"{type(self).__name__} has no cdf", user_loc())

    def icdf(self, value: Any) -> Tensor:
        """The inverse of `cdf`."""
        raise TinyTorchError(f"{type(self).__name__} has no icdf", user_loc())

    def entropy(self) -> Tensor:
        raise TinyTorchError(f"{type(self).__name__} has no entropy", user_loc())

    def perplexity(self) -> Tensor:
        return self.entropy().exp()

    @property
    def mean(self) -> Tensor:
        raise TinyTorchError(f"{type(self).__name__} has no mean", user_loc())

    @property
    def variance(self) -> Tensor:
        raise TinyTorchError(f"{type(self).__name__} has no variance", user_loc())

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    @property
    def mode(self) -> Tensor:
        raise TinyTorchError(f"{type(self).__name__} has no mode", user_loc())

    # Shapes.
    def expand(self, batch_shape: Any) -> Self:
        """The same distribution at each place of a larger batch."""
        shape = shape_of("expand", (tuple(batch_shape),))
        known = {name: vars(self)[name] for name in self.parameters if vars(self).get(name) is not None}
        grown: dict[str, Any] = {}
        for name, value in known.items():
            axes = self.event_dims.get(name, 0)
            grown[name] = value.broadcast_to((*shape, *value.shape[value.ndim - axes :]))
        return type(self)(**grown, validate_args=False)

    # What users pass.
    def checked(self, value: Any) -> Tensor:
        """A value as a tensor, which fits the shape and the support."""
        like = next(v for v in (vars(self).get(name) for name in self.parameters) if isinstance(v, Tensor))
        given = value if isinstance(value, Tensor) else as_tensor(value, like.dtype)
        whole = (*self.batch_shape, *self.event_shape)
        joint_shape(type(self).__name__, given.shape, whole)
        if self.validate_args and self.support is not None:
            require(type(self).__name__, "values", self.support, given)
        return given if given.dtype.is_float else given.cast(like.dtype)

    def __repr__(self) -> str:
        known = {name: vars(self)[name] for name in self.parameters if vars(self).get(name) is not None}
        parts = [f"{n}: {v.item() if v.numel() == 1 else list(v.shape)}" for n, v in known.items()]
        return f"{type(self).__name__}({', '.join(parts)})"


def joint_shape(what: str, *shapes: Shape) -> Shape:
    try:
        return tuple(np.broadcast_shapes(*shapes))
    except ValueError:
        listed = " and ".join(str(list(shape)) for shape in shapes)
        raise ShapeError(f"{what}: shapes {listed} do not broadcast together", user_loc()) from None


def together(what: str, **given: Any) -> list[Tensor]:
    """Parameters, tensors or numbers, as float tensors of one shape and dtype."""
    tensors = [v for v in given.values() if isinstance(v, Tensor) and v.dtype.is_float]
    dtype = max((t.dtype for t in tensors), key=lambda d: d.bits, default=f32)
    found: list[Tensor] = []
    for name, value in given.items():
        if isinstance(value, (str, bytes)) or value is None or isinstance(value, bool):
            raise arguments.wrong_type(what, name, "a tensor or a number", value)
        found.append(as_tensor(value).cast(dtype))
    shape = joint_shape(what, *(t.shape for t in found))
    return [t.broadcast_to(shape) for t in found]


def one_of_two(what: str, **given: Any) -> tuple[str, Tensor]:
    """The one of two parameters that is given."""
    known = {name: value for name, value in given.items() if value is not None}
    if len(known) != 1:
        raise TinyTorchError(f"{what}: needs one of {' and '.join(given)}", user_loc())
    ((name, value),) = known.items()
    return name, together(what, **{name: value})[0]


# Functions that tensors do not have by operators.
def lgamma(x: Tensor) -> Tensor:
    return apply(ops.special.lgamma, x)


def digamma(x: Tensor) -> Tensor:
    return apply(ops.special.digamma, x)


def xlogy(x: Tensor, y: Tensor) -> Tensor:
    """x * log(y), 0 where x is."""
    shape = joint_shape("xlogy", x.shape, y.shape)
    return apply(ops.mathematics.xlogy, x.broadcast_to(shape), y.broadcast_to(shape))


HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
