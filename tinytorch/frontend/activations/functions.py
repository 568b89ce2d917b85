"""More activations as functions, under the names of torch.nn.functional.

All are written in ops that exist, in a form whose derivative stays right where one of the branches is infinite.
"""

from __future__ import annotations

import math

from tinytorch.frontend import arguments
from tinytorch.frontend.activations.activations import elu, log_one_plus_exp
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.creation import arange
from tinytorch.frontend.functions.random import Generator, rand
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import low
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.tensor.inplace import changed
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc, warn
from tinytorch.ir.operators.promotion import normalize_axis

# The fixed point of mean 0 and variance 1 (Klambauer et al. 2017, "Self-normalizing neural networks", equation 14).
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


# Pieces of straight lines.
@spelled(space="nn.functional")
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]; the derivative is 1 between them, and 0 at them."""
    if not min_val <= max_val:
        raise arguments.wrong_value("hardtanh", "min_val", f"at most max_val {max_val}", min_val)
    return changed(
        "hardtanh",
        input,
        inplace,
        lambda x: where((x <= min_val) | (x >= max_val), x.detach().clamp(min_val, max_val).cast(x.dtype), x),
    )


@spelled(space="nn.functional")
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x limited to [0, 6] (Howard et al. 2017)."""
    return hardtanh(input, 0, 6, inplace)


@spelled("threshold", space="nn.functional", name="threshold")
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x above `threshold`, else `value`."""
    return changed("threshold", input, inplace, lambda x: where(x <= threshold, value, x).cast(x.dtype))


@spelled("nn.functional.hardshrink")
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """0 from -lambd to lambd, x elsewhere."""
    return where((input >= -lambd) & (input <= lambd), 0.0, input)


@spelled(space="nn.functional")
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by `lambd`, and 0 where that would pass it."""
    arguments.not_negative("softshrink", "lambd", lambd)
    return where(input > lambd, input - lambd, where(input < -lambd, input + lambd, input * 0.0))


@spelled(space="nn.functional")
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """(x + 3) / 6, limited to [0, 1]."""
    return changed("hardsigmoid", input, inplace, lambda x: hardtanh(x + 3, 0, 6) / 6)


@spelled(space="nn.functional")
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x (x + 3) / 6 from -3 to 3, 0 below, x above (Howard et al. 2019)."""
    return changed("hardswish", input, inplace, lambda x: x * hardtanh(x + 3, 0, 6) / 6)


@spelled("nn.functional.prelu")
@low
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where it is positive, else weight * x: one weight, or one for each channel, axis 1 (He et al. 2015)."""
    require_tensor("prelu", weight)
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise ShapeError(f"prelu: weight is [1], or [{channels}] for x {input.type}, got {weight.type}", user_loc())
    if weight.dtype != input.dtype or not input.dtype.is_float:
        raise ShapeError(f"prelu: x and weight are of one float dtype, got {input.type} and {weight.type}", user_loc())
    slope = weight.reshape((1, -1, *[1] * (input.ndim - 2)) if weight.numel() > 1 else ())
    return where(input > 0, input, input * slope)


@spelled("rrelu", space="nn.functional")
def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """x where it is positive, else x times a slope: in training one drawn for each element, uniformly between `lower`
    and `upper`, else their mean (Xu et al. 2015)."""
    if not lower <= upper:
        raise arguments.wrong_value("rrelu", "lower", f"at most upper {upper}", lower)
    slope = (lower + upper) / 2
    if arguments.flag("rrelu", "training", training):
        drawn = rand(input.shape, dtype=input.dtype, generator=generator)
        return changed("rrelu", input, inplace, lambda x: where(x > 0, x, x * (drawn * (upper - lower) + lower)))
    return changed("rrelu", input, inplace, lambda x: where(x > 0, x, x * slope))


# Curves.
@spelled("celu", space="nn.functional")
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, else alpha * (exp(x / alpha) - 1), whose slope at 0 is 1 (Barron 2017)."""
    alpha = arguments.number("celu", "alpha", alpha, lambda a: a != 0 and math.isfinite(a), "a finite number but 0")
    return changed("celu", input, inplace, lambda x: where(x <= 0, (x.clamp(max=0) / alpha).expm1() * alpha, x))


@spelled("selu", space="nn.functional")
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale * elu(x, alpha), with the two constants that keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    return changed("selu", input, inplace, lambda x: elu(x, SELU_ALPHA) * SELU_SCALE)


@spelled(space="nn.functional")
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(log(1 + exp(x))) (Misra 2019)."""
    return changed("mish", input, inplace, lambda x: x * log_one_plus_exp(x).tanh())


@spelled(space="nn.functional")
def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input / (abs(input) + 1)


@spelled(space="nn.functional")
def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - input.tanh()


# Along an axis.
@spelled(space="nn.functional")
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a sigmoid(b), where a and b are the halves of x along `dim` (Dauphin et al. 2016)."""
    if not input.ndim:
        raise ShapeError("glu: needs an axis to halve, got a tensor without axes", user_loc())
    axis = normalize_axis("glu", dim, input.ndim)
    if input.shape[axis] % 2:
        raise ShapeError(f"glu: axis {axis} of {input.type} is halved, so its size must be even", user_loc())
    half = input.shape[axis] // 2
    return input.narrow(axis, 0, half) * input.narrow(axis, half, half).sigmoid()


def default_axis(what: str, dim: int | None, rank: int) -> int:
    """`dim`; without one, the axis that PyTorch takes: 0 of 0, 1 or 3 axes, else 1. It warns, as PyTorch does."""
    if dim is not None:
        return dim
    chosen = 0 if rank in (0, 1, 3) else 1
    warn(f"{what}: without dim it takes axis {chosen} of {rank}; say which one is meant")
    return chosen


@spelled(space="nn.functional", name="softmax")
def softmax_along(input: Tensor, dim: int | None = None, *, dtype: object = None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`, computed in `dtype` where that is given."""
    return input.softmax(default_axis("softmax", dim, input.ndim), dtype)


@spelled(space="nn.functional", name="log_softmax")
def log_softmax_along(input: Tensor, dim: int | None = None, *, dtype: object = None) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, computed in `dtype` where that is given."""
    return input.log_softmax(default_axis("log_softmax", dim, input.ndim), dtype)


@spelled(space="nn.functional")
def softmin(input: Tensor, dim: int | None = None, *, dtype: object = None) -> Tensor:
    """softmax(-x) along `dim`, computed in `dtype` where that is given."""
    return (-input if dtype is None else -input.cast(dtype)).softmax(default_axis("softmin", dim, input.ndim))


@spelled(space="nn.functional")
def gumbel_softmax(
    logits: Tensor,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """softmax((logits + noise) / tau), the noise drawn from the Gumbel distribution: a sample of categories that has a
    gradient (Jang et al. 2016, Maddison et al. 2016). `hard`: one-hot vectors, with the gradient of the soft ones.
    `eps` has no effect, as in PyTorch."""
    if not require_tensor("gumbel_softmax", logits).dtype.is_float:
        raise ShapeError(f"gumbel_softmax: needs a float dtype, got {logits.type}", user_loc())
    arguments.positive("gumbel_softmax", "tau", tau)
    axis = normalize_axis("gumbel_softmax", dim, logits.ndim)
    drawn = 1 - rand(logits.shape, dtype=logits.dtype, generator=generator)  # in (0, 1]
    exponential = (-drawn.log()).clamp(min=2.0**-24)
    soft = ((logits - exponential.log()) / tau).softmax(axis)
    if not arguments.flag("gumbel_softmax", "hard", hard):
        return soft
    chosen = soft.argmax(axis, keepdim=True)
    steps = arange(soft.shape[axis]).reshape((-1, *[1] * (soft.ndim - axis - 1)))
    return (steps == chosen).cast(soft.dtype) - soft.detach() + soft
