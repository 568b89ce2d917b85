"""Losses as functions, under the names of torch.nn.functional."""

from __future__ import annotations

from collections.abc import Callable

from tinytorch.frontend.gradients import require_tensor
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor_functions import where
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.types import bool_, i64


def _reduced(what: str, loss: Tensor, reduction: str, total: Tensor | None = None) -> Tensor:
    """The losses as they are, summed, or averaged; `total` is what a mean divides by, if not their number."""
    if reduction == "mean":
        return loss.mean() if total is None else loss.sum() / total
    if reduction not in ("sum", "none"):
        raise TinyTorchError(f'{what}: reduction is "mean", "sum" or "none", got {reduction!r}', user_loc())
    return loss.sum() if reduction == "sum" else loss


# Classes.
def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(logits) at the target.

    logits [C], [N, C] or [N, C, d1, …]; targets either class indices (integers, the same shape without C) or
    probabilities (floats, the shape of logits). `weight` [C] scales each class, and the mean is then the weighted
    one; targets equal to `ignore_index` do not count. `label_smoothing` spreads that part of the weight evenly over
    all classes (Szegedy et al. 2016).
    """
    axis = _class_axis("cross_entropy", logits, targets)
    if not 0 <= label_smoothing <= 1:
        raise TinyTorchError(f"cross_entropy: label_smoothing is between 0 and 1, got {label_smoothing}", user_loc())
    rows = _classes_last(logits, axis)
    if targets.dtype.is_float:
        if ignore_index is not None:
            raise TinyTorchError("cross_entropy: ignore_index is for targets that are class indices", user_loc())
        losses = _soft_losses(rows, _classes_last(targets, axis), weight, label_smoothing)
        return _reduced("cross_entropy", losses, reduction)

    def of_classes(indices: Tensor) -> tuple[Tensor, Tensor | None]:
        if weight is None:
            return apply(ops.composite.cross_entropy, rows, indices, smoothing=float(label_smoothing)), None
        log_probabilities, scale = rows.log_softmax(-1), weight.cast(rows.dtype)
        share = scale[indices]
        spread = -(log_probabilities * scale).sum(-1) * (label_smoothing / rows.shape[-1])
        return _picked(log_probabilities, indices) * share * (1 - label_smoothing) + spread, share

    return _over_classes("cross_entropy", of_classes, targets, ignore_index, reduction)


def _soft_losses(rows: Tensor, targets: Tensor, weight: Tensor | None, smoothing: float) -> Tensor:
    """The cross entropy of probabilities along the last axis."""
    if smoothing:
        targets = targets * (1 - smoothing) + smoothing / rows.shape[-1]
    scaled = targets if weight is None else targets * weight
    return -(rows.log_softmax(-1) * scaled).sum(-1)


def nll_loss(
    log_probabilities: Tensor,
    targets: Tensor,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-log_probabilities at the target class: [C], [N, C] or [N, C, d1, …] with integers of that shape without C."""
    axis = _class_axis("nll_loss", log_probabilities, targets)
    if targets.dtype.is_float:
        raise ShapeError(f"nll_loss: targets are class indices, got {targets.type}", user_loc())
    rows = _classes_last(log_probabilities, axis)

    def of_classes(indices: Tensor) -> tuple[Tensor, Tensor | None]:
        share = None if weight is None else weight.cast(rows.dtype)[indices]
        picked = _picked(rows, indices)
        return picked if share is None else picked * share, share

    return _over_classes("nll_loss", of_classes, targets, ignore_index, reduction)


def _picked(rows: Tensor, indices: Tensor) -> Tensor:
    """Minus the entry of each row that its index names."""
    chosen = apply(ops.composite.one_hot, indices, size=rows.shape[-1], dtype=bool_)
    return -where(chosen, rows, 0.0).sum(-1)


def _class_axis(what: str, scores: Tensor, targets: Tensor) -> int:
    """The axis of the classes; ShapeError if the targets do not fit."""
    scores, targets = require_tensor(what, scores), require_tensor(what, targets)
    axis = min(1, scores.ndim - 1)
    if scores.ndim == 0 or scores.shape[axis] == 0 or not scores.dtype.is_float:
        raise ShapeError(f"{what}: needs floats with an axis of classes, got {scores.type}", user_loc())
    expected = scores.shape if targets.dtype.is_float else scores.shape[:axis] + scores.shape[axis + 1 :]
    if targets.shape != expected or targets.dtype.kind == "bool":
        raise ShapeError(
            f"{what}: {scores.type} needs integer targets of shape {[*scores.shape[:axis], *scores.shape[axis + 1 :]]} "
            f"or probabilities of shape {list(scores.shape)}, got {targets.type}",
            user_loc(),
        )
    return axis


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
    indices = targets.cast(i64)
    if ignore_index is None:
        loss, share = losses(indices)
        return _reduced(what, loss, reduction, None if share is None else share.sum())
    counted = indices != ignore_index
    loss, share = losses(where(counted, indices, 0))
    share = counted.cast(loss.dtype) if share is None else where(counted, share, 0.0)
    return _reduced(what, where(counted, loss, 0.0), reduction, share.sum())


# Numbers.
def _pair(what: str, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both of one shape: broadcasting [N] against [N, 1] would silently compare everything with everything."""
    prediction, target = require_tensor(what, prediction), require_tensor(what, target)
    if prediction.shape != target.shape:
        raise ShapeError(f"{what}: the input is {prediction.type}, the target {target.type}", user_loc())
    if not prediction.dtype.is_float:
        raise ShapeError(f"{what}: needs floats, got {prediction.type}", user_loc())
    return prediction, target if target.dtype.is_float else target.cast(prediction.dtype)


def mse_loss(prediction: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(prediction - target)**2."""
    prediction, target = _pair("mse_loss", prediction, target)
    return _reduced("mse_loss", (prediction - target).square(), reduction)


def l1_loss(prediction: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|prediction - target|."""
    prediction, target = _pair("l1_loss", prediction, target)
    return _reduced("l1_loss", abs(prediction - target), reduction)


def smooth_l1_loss(prediction: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d**2 / (2 beta) where |d| < beta, else |d| - beta / 2, d being the difference (Girshick 2015)."""
    if beta <= 0:
        raise TinyTorchError(f"smooth_l1_loss: beta is positive, got {beta}", user_loc())
    prediction, target = _pair("smooth_l1_loss", prediction, target)
    distance = abs(prediction - target)
    loss = where(distance < beta, distance.square() * (0.5 / beta), distance - 0.5 * beta)
    return _reduced("smooth_l1_loss", loss, reduction)


def binary_cross_entropy(
    probabilities: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(y log p + (1 - y) log(1 - p)); logarithms are not below -100, as in PyTorch.

    Where p is exactly 0 or 1 the logarithm of that 0 has no gradient; with logits there is always one.
    """
    p, y = _pair("binary_cross_entropy", probabilities, target)
    loss = -(y * _bounded_log(p) + (1 - y) * _bounded_log(1 - p))
    return _reduced("binary_cross_entropy", loss if weight is None else loss * weight, reduction)


def _bounded_log(p: Tensor) -> Tensor:
    """log p, at least -100; NaN outside of [0, 1]."""
    return where(p == 0, -100.0, where(p == 0, 1.0, p).log().maximum(-100.0))


def binary_cross_entropy_with_logits(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross entropy of sigmoid(logits), without the overflow: max(x, 0) - x y + log(1 + exp(-|x|)).

    `pos_weight` scales the part of the targets that are 1.
    """
    x, y = _pair("binary_cross_entropy_with_logits", logits, target)
    tail = (-abs(x)).exp().log1p()
    if pos_weight is None:
        loss = x.maximum(0) - x * y + tail
    else:
        loss = (1 - y) * x + (1 + (pos_weight - 1) * y) * (tail + (-x).maximum(0))
    return _reduced("binary_cross_entropy_with_logits", loss if weight is None else loss * weight, reduction)
