"""Functions that treat channels as units, under the names of torch.nn.functional: norms, and dropout."""

from __future__ import annotations

import math

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.creation import ones
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.layers.functions import dropout
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import high
from tinytorch.frontend.tensor.gradients import grad_mode, require_tensor
from tinytorch.frontend.tensor.inplace import changed
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply

_NEGATIVE = -1.7580993408473766  # what SELU gives far below 0: -scale * alpha (Klambauer et al. 2017, section 3)


# Norms.
@spelled("group_norm", space="nn.functional")
@high
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) of each group of channels of x [batch, channels, ...], times `weight` plus
    `bias`, which are [channels] (Wu & He 2018)."""
    groups = arguments.integer("group_norm", "num_groups", num_groups, 1)
    x = _channelled("group_norm", input, 2)
    if x.shape[1] % groups:
        raise ShapeError(f"group_norm: axis 1 of {x.type} is not a multiple of num_groups {groups}", user_loc())
    _per_channel("group_norm", x, weight=weight, bias=bias)
    eps = arguments.finite("group_norm", "eps", eps)
    if not x.numel():
        return _scaled(x, weight, bias)
    rows = x.reshape(x.shape[0], groups, -1)
    out = apply(ops.composite.layernorm, rows, axes=(2,), eps=eps).reshape(x.shape)
    return _scaled(out, weight, bias)


@spelled("instance_norm", space="nn.functional")
@high
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) of each channel of each image of x [batch, channels, ...], times `weight` plus
    `bias`, which are [channels] (Ulyanov et al. 2016).

    With `use_input_stats` mean and variance are those of x, and the running ones, if given, move a fraction `momentum`
    towards their averages over the batch, in place; else they are the running ones.
    """
    x = _channelled("instance_norm", input, 2)
    _per_channel("instance_norm", x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    eps = arguments.finite("instance_norm", "eps", eps)
    if not arguments.flag("instance_norm", "use_input_stats", use_input_stats):
        if running_mean is None or running_var is None:
            raise ShapeError("instance_norm: needs running_mean and running_var unless use_input_stats", user_loc())
        out = (x - _as_channels(running_mean, x)) * _as_channels((running_var + eps).rsqrt(), x)
        return _scaled(out, weight, bias)
    axes = tuple(range(2, x.ndim))
    size = math.prod(x.shape[2:])
    if size <= 1:
        raise ShapeError(f"instance_norm: needs more than one value for each channel, got {x.type}", user_loc())
    if running_mean is not None and running_var is not None:
        with grad_mode(False):
            mean, variance = x.mean(axes).mean(0), x.var(axes).mean(0)
            running_mean.copy_(running_mean * (1 - momentum) + mean * momentum)
            running_var.copy_(running_var * (1 - momentum) + variance * momentum)
    out = apply(ops.composite.layernorm, x, axes=axes, eps=eps)
    return _scaled(out, weight, bias)


@spelled(space="nn.functional")
@high
def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha · mean of x² over `size` neighbouring channels)**beta, of x [batch, channels, ...] (Krizhevsky et
    al. 2012, with the mean in place of the sum, as in PyTorch); channels beyond the ends count as zeros."""
    width = arguments.integer("local_response_norm", "size", size, 1)
    x = _channelled("local_response_norm", input, 3)
    if not x.numel():
        return x
    none = [(0, 0)] * (x.ndim - 2)
    squares = x.square().pad([(0, 0), (width // 2, (width - 1) // 2), *none])
    total = squares.narrow(1, 0, x.shape[1])
    for i in range(1, width):
        total = total + squares.narrow(1, i, x.shape[1])
    return x / (total * (alpha / width) + k) ** beta


def _channelled(what: str, x: Tensor, least: int) -> Tensor:
    if require_tensor(what, x).ndim < least or not x.dtype.is_float:
        raise ShapeError(f"{what}: x is floats [batch, channels, ...], {least} axes or more, got {x.type}", user_loc())
    return x


def _per_channel(what: str, x: Tensor, **given: Tensor | None) -> None:
    for name, tensor in given.items():
        if tensor is not None and (require_tensor(what, tensor).shape != x.shape[1:2] or tensor.dtype != x.dtype):
            raise ShapeError(
                f"{what}: {name} is {x.dtype}[{x.shape[1]}], one for each channel of x {x.type}, got {tensor.type}",
                user_loc(),
            )


def _as_channels(vector: Tensor, x: Tensor) -> Tensor:
    return vector.reshape((-1, *[1] * (x.ndim - 2)))


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * _as_channels(weight, x)
    return x if bias is None else x + _as_channels(bias, x)


# Dropout.
def _of_channels(
    what: str, x: Tensor, ranks: tuple[int, ...], p: float, training: bool, inplace: bool, generator: Generator | None
) -> Tensor:
    """Whole channels set to 0, the others scaled; x without a batch has channels first."""
    arguments.probability(what, "p", p)
    if require_tensor(what, x).ndim not in ranks:
        raise ShapeError(f"{what}: x has {' or '.join(map(str, ranks))} axes, got {x.type}", user_loc())
    if not arguments.flag(what, "training", training) or p == 0:
        return x
    lead = 1 if x.ndim == ranks[0] and what != "dropout2d" else 2
    kept = dropout(ones(*x.shape[:lead], *[1] * (x.ndim - lead), dtype=x.dtype), p, True, generator=generator)
    return changed(what, x, inplace, lambda x: x * kept)


@spelled(space="nn.functional")
def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Whole channels of [batch, channels, length] or [channels, length] set to 0 with probability `p`, the others
    divided by 1 - p (Tompson et al. 2015)."""
    return _of_channels("dropout1d", input, (2, 3), p, training, inplace, generator)


@spelled(space="nn.functional")
def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """As `dropout1d`, of [batch, channels, height, width]; three axes are [batch, channels, length], as in PyTorch."""
    return _of_channels("dropout2d", input, (3, 4), p, training, inplace, generator)


@spelled(space="nn.functional")
def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """As `dropout1d`, of [batch, channels, depth, height, width], or without the batch."""
    return _of_channels("dropout3d", input, (4, 5), p, training, inplace, generator)


@spelled("alpha_dropout", space="nn.functional")
def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Elements set to what SELU gives far below 0 with probability `p`, and all shifted and scaled so that mean 0 and
    variance 1 stay (Klambauer et al. 2017)."""
    return _alpha("alpha_dropout", input, input.shape, p, training, inplace, generator)


@spelled("feature_alpha_dropout", space="nn.functional")
def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """`alpha_dropout` of whole channels of [batch, channels, ...]."""
    shape = (*input.shape[:2], *[1] * (input.ndim - 2))
    if training and input.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout: x has 2 axes or more, got {input.type}", user_loc())
    return _alpha("feature_alpha_dropout", input, shape, p, training, inplace, generator)


def _alpha(
    what: str,
    x: Tensor,
    shape: tuple[int, ...],
    p: float,
    training: bool,
    inplace: bool,
    generator: Generator | None,
) -> Tensor:
    arguments.probability(what, "p", p)
    if not arguments.flag(what, "training", training) or p == 0:
        return x
    if p == 1:
        return changed(what, x, inplace, lambda x: x * 0.0)
    kept = dropout(ones(shape, dtype=x.dtype), p, True, generator=generator) * (1 - p)
    scale = 1 / math.sqrt((_NEGATIVE**2 * p + 1) * (1 - p))
    shift = (1 - kept) * (_NEGATIVE * scale) - _NEGATIVE * scale * p
    return changed(what, x, inplace, lambda x: x * (kept * scale) + shift)
