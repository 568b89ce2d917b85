"""More losses as functions, under the names of torch.nn.functional: of distributions, and with margins.

`reduction` is "mean", "sum" or "none", and `size_average` and `reduce`, which it has replaced, are refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.activations import logsigmoid
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.layers.distances import pairwise_distance
from tinytorch.frontend.losses.functions import old_arguments, pair, reduced
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import high
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.operators.promotion import broadcast_shapes
from tinytorch.ir.types import bool_, i64


# Of distributions.
@spelled("kl_div", space="nn.functional")
@high
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """t (log t - x): of log probabilities x, and probabilities t, or their logarithms with `log_target`. The operands
    broadcast. "batchmean" is the sum divided by the size of the first axis, which makes it the KL divergence."""
    old_arguments("kl_div", size_average, reduce)
    arguments.choice("kl_div", "reduction", reduction, "mean", "sum", "none", "batchmean")
    broadcast_shapes("kl_div", require_tensor("kl_div", input).shape, require_tensor("kl_div", target).shape)
    if arguments.flag("kl_div", "log_target", log_target):
        loss = target.exp() * (target - input)
    else:
        nothing = target == 0  # 0 log 0 is 0, with a derivative of 0
        loss = where(nothing, 0.0, target * where(nothing, 1.0, target).log()) - target * input
    if reduction != "batchmean":
        return reduced("kl_div", loss, reduction)
    return loss.sum() / input.shape[0] if input.ndim else loss.sum()


@spelled("poisson_nll_loss", space="nn.functional")
@high
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: object = None,
    eps: float = 1e-8,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(x) - t x of logarithms x of a rate, or x - t log(x + eps) of the rate x itself; with `full`, plus Stirling's
    formula for log(t!), t log t - t + log(2 pi t) / 2, where t is above 1."""
    name = "poisson_nll_loss"
    old_arguments(name, size_average, reduce)
    broadcast_shapes(name, require_tensor(name, input).shape, require_tensor(name, target).shape)
    if arguments.flag(name, "log_input", log_input):
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + arguments.finite(name, "eps", eps)).log()
    if arguments.flag(name, "full", full):
        above = where(target > 1, target, 1.0)
        stirling = above * above.log() - above + (above * (2 * math.pi)).log() * 0.5
        loss = loss + where(target > 1, stirling, 0.0)
    return reduced(name, loss, reduction)


@spelled(space="nn.functional")
@high
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log v + (x - t)**2 / v) / 2 of means x and variances v, which are at least `eps` (and have their own derivative
    all the same); with `full`, plus log(2 pi) / 2. `var` is a number, of x's shape, or of size 1 along one axis, or
    without the last one (Nix & Weigend 1994)."""
    name = "gaussian_nll_loss"
    require_tensor(name, input)
    broadcast_shapes(name, input.shape, require_tensor(name, target).shape)
    least = arguments.positive(name, "eps", eps)
    variance = _variance(name, input, var)
    limited = variance + (variance.clamp(min=least) - variance).detach()
    loss = (limited.log() + (input - target).square() / limited) * 0.5
    if arguments.flag(name, "full", full):
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(name, loss, reduction)


def _variance(name: str, input: Tensor, var: Any) -> Tensor:
    if not isinstance(var, Tensor):
        return input.detach() * 0 + arguments.not_negative(name, "var", var)
    if mode.trace is None and bool((var < 0).any().item()):
        raise arguments.wrong_value(name, "var", "not negative anywhere", var.type)
    if var.shape == input.shape:
        return var
    if var.shape == input.shape[:-1]:
        return var.unsqueeze(-1)
    others = [b for a, b in zip(input.shape, var.shape, strict=False) if a != b]
    if var.ndim == input.ndim and others == [1]:
        return var
    raise ShapeError(f"{name}: var {var.type} does not fit the input {input.type}", user_loc())


# With margins.
@spelled("hinge_embedding_loss", space="nn.functional")
@high
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """x where the target is 1, max(0, margin - x) where it is -1; the operands broadcast."""
    name = "hinge_embedding_loss"
    old_arguments(name, size_average, reduce)
    broadcast_shapes(name, require_tensor(name, input).shape, require_tensor(name, target).shape)
    margin = arguments.finite(name, "margin", margin)
    apart = where(target == 1, 0.0, (margin - input).clamp(min=0))
    near = where(target == -1, 0.0, input)
    return reduced(name, apart + near, reduction)


@spelled("cosine_embedding_loss", space="nn.functional")
@high
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1: of [N, D] and targets [N], or
    of [D] and a target without axes."""
    name = "cosine_embedding_loss"
    old_arguments(name, size_average, reduce)
    for x in (input1, input2, target):
        require_tensor(name, x)
    if target.ndim > 1 or input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise ShapeError(
            f"{name}: inputs are [N, D] with a target [N], or [D] with a target []; got {input1.type}, {input2.type} "
            f"and {target.type}",
            user_loc(),
        )
    margin = arguments.finite(name, "margin", margin)
    squares = [(x * x).sum(-1) + 1e-12 for x in (input1, input2)]  # PyTorch's own addend, which keeps 0 / 0 away
    cosine = (input1 * input2).sum(-1) / (squares[0] * squares[1]).sqrt()
    same = where(target == 1, 1 - cosine, 0.0)
    apart = where(target == -1, (cosine - margin).clamp(min=0), 0.0)
    return reduced(name, same + apart, reduction)


@spelled("margin_ranking_loss", space="nn.functional")
@high
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - t (x1 - x2)): with a target of 1 the first is to be larger, with -1 the second."""
    name = "margin_ranking_loss"
    old_arguments(name, size_average, reduce)
    for x in (input1, input2, target):
        require_tensor(name, x)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            f"{name}: all three have equally many axes, got {input1.type}, {input2.type} and {target.type}", user_loc()
        )
    margin = arguments.finite(name, "margin", margin)
    return reduced(name, (target * (input2 - input1) + margin).clamp(min=0), reduction)


@spelled(space="nn.functional")
@high
def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: object = None, reduce: object = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-t x)), with targets of 1 and -1."""
    old_arguments("soft_margin_loss", size_average, reduce)
    x, y = pair("soft_margin_loss", input, target)
    return reduced("soft_margin_loss", -logsigmoid(x * y), reduction)


@spelled(space="nn.functional")
@high
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross entropy of sigmoid(x), averaged over the classes, the last axis; `weight` [C] scales them."""
    name = "multilabel_soft_margin_loss"
    old_arguments(name, size_average, reduce)
    x, y = pair(name, input, target)
    if not x.ndim:
        raise ShapeError(f"{name}: needs an axis of classes, got {x.type}", user_loc())
    loss = -(y * logsigmoid(x) + (1 - y) * logsigmoid(-x))
    loss = loss if weight is None else loss * require_tensor(name, weight)
    return reduced(name, loss.sum(-1) / x.shape[-1], reduction)


@spelled(space="nn.functional")
@high
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - x[t] + x[i])**p summed over the classes i other than the target t, divided by their number C, and
    scaled by `weight` [C] at the target: of [N, C] and integers [N], or of [C] and one integer."""
    name = "multi_margin_loss"
    old_arguments(name, size_average, reduce)
    if p not in (1, 2):
        raise arguments.wrong_value(name, "p", "1 or 2", p)
    margin = arguments.finite(name, "margin", margin)
    rows, one = _rows_of(name, input)
    if require_tensor(name, target).dtype.is_float or target.numel() != rows.shape[0] or target.ndim > 1:
        raise ShapeError(
            f"{name}: the target is an integer for each row of {input.type}, got {target.type}", user_loc()
        )
    index = apply(ops.elementwise.checked_index, target.cast(i64).reshape(-1), size=rows.shape[1], wrap=False)
    chosen = _one_hot(index, rows.shape[1])
    own = where(chosen, rows, 0.0).sum(-1, keepdim=True)
    distance = (margin - own + rows).clamp(min=0)
    loss = distance if p == 1 else distance.square()
    if weight is not None:
        if require_tensor(name, weight).shape != rows.shape[1:]:
            raise ShapeError(f"{name}: weight is [{rows.shape[1]}], one for each class, got {weight.type}", user_loc())
        loss = loss * weight[index].unsqueeze(-1)
    loss = where(chosen, 0.0, loss).sum(-1) / rows.shape[1]
    return reduced(name, loss.reshape(()) if one and not target.ndim else loss, reduction)


@spelled(space="nn.functional")
@high
def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: object = None, reduce: object = None, reduction: str = "mean"
) -> Tensor:
    """max(0, 1 - (x[j] - x[i])) summed over the target classes j and all others i, divided by the number of classes.
    Each row of the target, of x's shape, lists classes, and ends at the first -1."""
    name = "multilabel_margin_loss"
    old_arguments(name, size_average, reduce)
    if require_tensor(name, target).shape != require_tensor(name, input).shape or target.dtype.is_float:
        raise ShapeError(
            f"{name}: the target has integers in the input's shape {list(input.shape)}, got {target.type}", user_loc()
        )
    rows, one = _rows_of(name, input)
    listed, count = target.cast(i64).reshape(rows.shape), rows.shape[1]
    inside = (listed < 0).cast(i64).cumsum(1) == 0
    index = apply(ops.elementwise.checked_index, where(inside, listed, 0), size=count, wrap=False)
    chosen = _one_hot(index, count) & inside.unsqueeze(-1)  # [row, place, class]
    wanted = chosen.any(1)
    own = where(chosen, rows.unsqueeze(1), 0.0).sum(-1, keepdim=True)  # [row, place, 1]
    counted = inside.unsqueeze(-1) & ~wanted.unsqueeze(1)
    loss = where(counted, (1 - own + rows.unsqueeze(1)).clamp(min=0), 0.0).sum((1, 2)) / count
    return reduced(name, loss.reshape(()) if one else loss, reduction)


def _one_hot(index: Tensor, count: int) -> Tensor:
    return apply(ops.composite.one_hot, index, size=count, dtype=bool_)


def _rows_of(name: str, input: Tensor) -> tuple[Tensor, bool]:
    """[N, C]; of [C] the only row, and True. A tensor without axes has one class."""
    if require_tensor(name, input).ndim > 2 or not input.dtype.is_float or 0 in input.shape[-1:]:
        raise ShapeError(f"{name}: the input is floats [N, C] or [C], got {input.type}", user_loc())
    return (input, False) if input.ndim == 2 else (input.reshape(1, -1), True)


# Of three.
@spelled("triplet_margin_loss", space="nn.functional")
@high
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d being `pairwise_distance` (Schroff et al. 2015).
    `swap`: with d(positive, negative) where that is smaller than d(anchor, negative) (Balntas et al. 2016)."""
    old_arguments("triplet_margin_loss", size_average, reduce)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return _triplet("triplet_margin_loss", anchor, positive, negative, distance, margin, swap, reduction)


@spelled(space="nn.functional")
@high
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with another distance of two tensors."""
    name = "triplet_margin_with_distance_loss"
    arguments.function(name, "distance_function", distance_function, optional=True)
    return _triplet(name, anchor, positive, negative, distance_function or pairwise_distance, margin, swap, reduction)


def _triplet(
    name: str,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    types = [require_tensor(name, x).type for x in (anchor, positive, negative)]
    if len({len(t.shape) for t in types}) > 1:
        raise ShapeError(
            f"{name}: all three have equally many axes, got {types[0]}, {types[1]} and {types[2]}", user_loc()
        )
    arguments.positive(name, "margin", margin)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if arguments.flag(name, "swap", swap):
        far = far.minimum(distance(positive, negative))
    return reduced(name, (near - far + margin).clamp(min=0), reduction)
