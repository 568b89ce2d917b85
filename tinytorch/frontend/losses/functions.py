"""Losses as functions, under the names of torch.nn.functional."""

from __future__ import annotations

from collections.abc import Callable

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.layers.functions import one_hot
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import high
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Op, apply
from tinytorch.ir.operators.promotion import broadcast_shapes, promote
from tinytorch.ir.types import Shape, TensorType, bool_, i64

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]


def reduced(what: str, loss: Tensor, reduction: str, total: Tensor | None = None) -> Tensor:
    """The losses as they are, summed, or averaged; `total` is what a mean divides by, if not their number."""
    if arguments.choice(what, "reduction", reduction, "mean", "sum", "none") == "mean":
        return loss.mean() if total is None else loss.sum() / total
    return loss.sum() if reduction == "sum" else loss


def old_arguments(what: str, size_average: object, reduce: object) -> None:
    """An error where one of the arguments is given that `reduction` has replaced."""
    for name, value in (("size_average", size_average), ("reduce", reduce)):
        if value is not None:
            raise arguments.wrong_value(
                what, name, 'an old argument, left out here; say reduction="mean", "sum" or "none" by name', value
            )


# Classes.
@spelled(space="nn.functional")
@high
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: object = None,
    ignore_index: int | None = -100,
    reduce: object = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(logits) at the target.

    Of logits [C], [N, C] or [N, C, d1, …], and targets that are class indices (integers, the same shape without C)
    or probabilities (floats, the shape of logits). `weight` [C] scales each class, and the mean is then the weighted
    one; targets equal to `ignore_index` do not count (None: all do), and a mean over none is NaN. `label_smoothing`
    spreads that part of the weight evenly over all classes (Szegedy et al. 2016).
    """
    old_arguments("cross_entropy", size_average, reduce)
    logits, targets = input, target
    axis = _class_axis("cross_entropy", logits, targets)
    weight = _class_weight("cross_entropy", weight, logits, axis)
    label_smoothing = arguments.fraction("cross_entropy", "label_smoothing", label_smoothing)
    rows = _classes_last(logits, axis)
    if targets.dtype.is_float:
        ignored = class_ignored("cross_entropy", ignore_index)
        if ignored is not None and ignored >= 0:
            raise TinyTorchError("cross_entropy: ignore_index is for targets that are class indices", user_loc())
        losses = soft_losses(rows, _classes_last(targets, axis), weight, label_smoothing)
        return reduced("cross_entropy", losses, reduction)

    def of_classes(indices: Tensor) -> tuple[Tensor, Tensor | None]:
        if weight is None:
            return apply(ops.composite.cross_entropy, rows, indices, smoothing=float(label_smoothing)), None
        log_probabilities, share = rows.log_softmax(-1), weight[indices]
        losses = picked(log_probabilities, indices) * share
        if not label_smoothing:  # a product with 0 would be NaN where a logit is -inf
            return losses, share
        spread = -(log_probabilities * weight).sum(-1) * (label_smoothing / rows.shape[-1])
        return losses * (1 - label_smoothing) + spread, share

    return _over_classes("cross_entropy", of_classes, targets, ignore_index, reduction)


def soft_losses(rows: Tensor, targets: Tensor, weight: Tensor | None, smoothing: float) -> Tensor:
    """The cross entropy of probabilities along the last axis."""
    if smoothing:
        targets = targets * (1 - smoothing) + smoothing / rows.shape[-1]
    scaled = targets if weight is None else targets * weight
    return -(rows.log_softmax(-1) * scaled).sum(-1)


@spelled(space="nn.functional")
@high
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: object = None,
    ignore_index: int | None = -100,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log probability at the target class: [C], [N, C] or [N, C, d1, …] with integers of that shape without
    C."""
    old_arguments("nll_loss", size_average, reduce)
    log_probabilities, targets = input, target
    axis = _class_axis("nll_loss", log_probabilities, targets)
    if targets.dtype.is_float:
        raise ShapeError(f"nll_loss: targets are class indices, got {targets.type}", user_loc())
    rows = _classes_last(log_probabilities, axis)
    weight = _class_weight("nll_loss", weight, log_probabilities, axis)

    def of_classes(indices: Tensor) -> tuple[Tensor, Tensor | None]:
        share = None if weight is None else weight[indices]
        chosen = picked(rows, indices)
        return chosen if share is None else chosen * share, share

    return _over_classes("nll_loss", of_classes, targets, ignore_index, reduction)


def picked(rows: Tensor, indices: Tensor) -> Tensor:
    """Minus the entry of each row that its index names."""
    chosen = one_hot(indices, rows.shape[-1], bool_)
    return -where(chosen, rows, 0.0).sum(-1)


def _class_axis(what: str, scores: Tensor, targets: Tensor) -> int:
    """The axis of the classes; ShapeError if the targets do not fit."""
    scores, targets = require_tensor(what, scores), require_tensor(what, targets)
    axis = min(1, scores.ndim - 1)
    if targets.dtype.is_float and not scores.dtype.is_float:
        raise ShapeError(
            f"{what}: the first argument is what the model gives, the second the targets; got {scores.type} and "
            f"{targets.type}, which look swapped",
            user_loc(),
        )
    if scores.ndim == 0 or scores.shape[axis] == 0 or not scores.dtype.is_float:
        raise ShapeError(f"{what}: needs floats with an axis of classes, got {scores.type}", user_loc())
    expected = scores.shape if targets.dtype.is_float else scores.shape[:axis] + scores.shape[axis + 1 :]
    if targets.shape != expected or targets.dtype.kind == "bool":
        raise ShapeError(
            f"{what}: {scores.type} needs integer targets of shape {[*scores.shape[:axis], *scores.shape[axis + 1 :]]} "
            f"or probabilities of shape {list(scores.shape)}, got {targets.type}{_hint(scores, targets, expected)}",
            user_loc(),
        )
    return axis


def _hint(scores: Tensor, targets: Tensor, expected: Shape) -> str:
    """What to do with targets that do not fit."""
    if targets.dtype.is_float and targets.ndim == scores.ndim - 1:
        return "; class indices are integers, as from targets.long()"
    if not targets.dtype.is_float and targets.shape == scores.shape:
        return "; one-hot vectors are probabilities, as from targets.float()"
    if targets.shape == (*expected, 1) or (targets.ndim == 2 and targets.shape == (*expected[:1], 1)):
        return "; targets.squeeze(1) drops the axis of size 1"
    return ""


def _class_weight(what: str, weight: Tensor | None, scores: Tensor, axis: int) -> Tensor | None:
    """The weights of the classes in the dtype of the scores; ShapeError unless there is one for each."""
    if weight is None:
        return None
    if require_tensor(what, weight).shape != (scores.shape[axis],):
        raise ShapeError(f"{what}: weight is [{scores.shape[axis]}], one for each class, got {weight.type}", user_loc())
    return weight.cast(scores.dtype)


def class_ignored(what: str, ignore_index: int | None) -> int | None:
    """`ignore_index`, if it is an integer or None."""
    return None if ignore_index is None else arguments.integer(what, "ignore_index", ignore_index)


def _classes_last(x: Tensor, axis: int) -> Tensor:
    order = [i for i in range(x.ndim) if i != axis]
    return x if axis == x.ndim - 1 else x.permute([*order, axis])


def _over_classes(
    what: str,
    losses: Callable[[Tensor], tuple[Tensor, Tensor | None]],
    targets: Tensor,
    ignore_index: int | None,
    reduction: str,
) -> Tensor:
    """`losses` of class indices (with what each counts in a mean), without those that are ignored."""
    indices, ignored = targets.cast(i64), class_ignored(what, ignore_index)
    if ignored is None:
        loss, share = losses(indices)
        return reduced(what, loss, reduction, None if share is None else share.sum())
    counted = indices != ignored
    loss, share = losses(where(counted, indices, 0))
    share = counted.cast(loss.dtype) if share is None else where(counted, share, 0.0)
    return reduced(what, where(counted, loss, 0.0), reduction, share.sum())


# Numbers.
def pair(what: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both of one shape: broadcasting [N] against [N, 1] would silently compare everything with everything."""
    input, target = require_tensor(what, input), require_tensor(what, target)
    if input.shape != target.shape:
        raise ShapeError(
            f"{what}: the input is {input.type}, the target {target.type}; give both one shape, as by reshape() or "
            "squeeze()",
            user_loc(),
        )
    if not input.dtype.is_float:
        swapped = "; the arguments look swapped" if target.dtype.is_float else "; convert it, as in x.float()"
        raise ShapeError(f"{what}: the input needs floats, got {input.type}{swapped}", user_loc())
    return input, target if target.dtype.is_float else target.cast(input.dtype)


def _weighted(what: str, loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Reduced, each loss times its weight; a mean is then the weighted one."""
    if weight is None:
        return reduced(what, loss, reduction)
    if require_tensor(what, weight).shape != loss.shape:
        raise ShapeError(f"{what}: weight has the input's shape {list(loss.shape)}, got {weight.type}", user_loc())
    return reduced(what, loss * weight, reduction, weight.sum())


@spelled(space="nn.functional")
@high
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)**2; with `weight`, of the input's shape, the mean is the weighted one."""
    old_arguments("mse_loss", size_average, reduce)
    input, target = pair("mse_loss", input, target)
    return _weighted("mse_loss", (input - target).square(), weight, reduction)


@spelled(space="nn.functional")
@high
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|; with `weight`, of the input's shape, the mean is the weighted one."""
    old_arguments("l1_loss", size_average, reduce)
    input, target = pair("l1_loss", input, target)
    return _weighted("l1_loss", abs(input - target), weight, reduction)


@spelled(space="nn.functional")
@high
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d**2 / (2 beta) where |d| < beta, else |d| - beta / 2, d being the difference (Girshick 2015); |d| if beta is
    0."""
    old_arguments("smooth_l1_loss", size_average, reduce)
    if arguments.not_negative("smooth_l1_loss", "beta", beta) == 0:
        return l1_loss(input, target, reduction=reduction)
    input, target = pair("smooth_l1_loss", input, target)
    return reduced("smooth_l1_loss", _bent(input - target, beta, 1 / beta), reduction)


@spelled(space="nn.functional")
@high
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d**2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d being the difference (Huber 1964). `weight`, of the
    input's shape, scales the losses; their mean divides by their number, as in PyTorch."""
    arguments.positive("huber_loss", "delta", delta)
    input, target = pair("huber_loss", input, target)
    loss = _bent(input - target, delta, 1.0)
    if weight is not None and require_tensor("huber_loss", weight).shape != loss.shape:
        raise ShapeError(f"huber_loss: weight has the input's shape, got {weight.type} for {loss.type}", user_loc())
    return reduced("huber_loss", loss if weight is None else loss * weight, reduction)


def _bent(difference: Tensor, limit: float, scale: float) -> Tensor:
    """scale d**2 / 2 up to the limit, and the tangent of that beyond."""
    # One branch that is always taken, so that no infinity meets a 0 on the way back; |d| of what is beyond alone, since
    # its derivative at d = 0 is none of d**2's.
    near = difference.clamp(-limit, limit)
    return near.square() * (0.5 * scale) + abs(difference - near) * (limit * scale)


@spelled(space="nn.functional")
@high
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """-(y log p + (1 - y) log(1 - p)); as in PyTorch, logarithms are not below -100, and in the derivative p (1 - p) is
    not below 1e-12. NaN where p is not in [0, 1]; targets are not checked. `weight` broadcasts to the losses."""
    old_arguments("binary_cross_entropy", size_average, reduce)
    p, y = pair("binary_cross_entropy", input, target)
    loss = _of_one_type(ops.losses.binary_cross_entropy, p, y)
    return reduced("binary_cross_entropy", _scaled("binary_cross_entropy", loss, weight), reduction)


@spelled(space="nn.functional")
@high
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross entropy of sigmoid(logits), without the overflow: (1 - y) x - log sigmoid(x).

    `pos_weight` scales the part of the targets that are 1, `weight` the losses; both broadcast to them. Infinite logits
    have the losses and derivatives that this formula has, as in PyTorch: infinity where the target is 0, and NaN where
    infinity meets infinity or 0.
    """
    name = "binary_cross_entropy_with_logits"
    old_arguments(name, size_average, reduce)
    x, y = pair(name, input, target)
    loss = _of_one_type(ops.losses.logistic_loss, x, 1 - y, _scaled(name, y, pos_weight, "pos_weight"))
    return reduced(name, _scaled(name, loss, weight), reduction)


def _of_one_type(op: Op, *operands: Tensor) -> Tensor:
    """`op` of operands of one shape, their dtypes promoted to one."""
    dtype = operands[0].dtype
    for other in operands[1:]:
        dtype = promote(TensorType(dtype, other.shape), other.type)
    return apply(op, *(x.cast(dtype) for x in operands))


def _scaled(what: str, values: Tensor, weight: Tensor | None, name: str = "weight") -> Tensor:
    """`values` times a weight that broadcasts to them, in their dtype."""
    if weight is None:
        return values
    if broadcast_shapes(what, values.shape, require_tensor(what, weight).shape) != values.shape:
        raise ShapeError(f"{what}: {name} {weight.type} does not broadcast to {values.type}", user_loc())
    return (values * weight).cast(values.dtype)
