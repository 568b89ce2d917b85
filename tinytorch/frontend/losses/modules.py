"""More losses as modules, under PyTorch's names and with its arguments: each calls the function of its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.losses import functions as loss_functions
from tinytorch.frontend.losses import margins as functions
from tinytorch.frontend.losses.sequences import ctc_loss
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.calling import Calling
from tinytorch.frontend.tensor import Tensor

__all__ = [
    "CTCLoss",
    "CosineEmbeddingLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class _Loss(Calling):
    """A loss of an input and a target."""

    reduction: str

    def _prepare(
        self, reduction: str, size_average: object = None, reduce: object = None, *others: str, **settings: Any
    ) -> None:
        loss_functions.old_arguments(type(self).__name__, size_average, reduce)
        self.reduction = arguments.choice(type(self).__name__, "reduction", reduction, "mean", "sum", "none", *others)
        for name, value in settings.items():
            if name in ("full", "log_input", "log_target", "swap"):
                arguments.flag(type(self).__name__, name, value)
            elif name == "weight":
                arguments.instance(type(self).__name__, name, value, Tensor, optional=True)
                self.register_buffer(name, value)
                continue
            elif name != "distance_function":
                arguments.finite(type(self).__name__, name, value)
            setattr(self, name, value)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return type(self).function(input, target, **self._settings())


class _Reducing(_Loss):
    def __init__(self, size_average: object = None, reduce: object = None, reduction: str = "mean") -> None:
        super().__init__()
        self._prepare(reduction, size_average, reduce)


class SoftMarginLoss(_Reducing):
    """log(1 + exp(-t x)), with targets of 1 and -1."""

    function = functions.soft_margin_loss


class MultiLabelMarginLoss(_Reducing):
    """max(0, 1 - (x[j] - x[i])) over the listed classes j and all others i."""

    function = functions.multilabel_margin_loss


class SmoothL1Loss(_Loss):
    """d**2 / (2 beta) where |d| < beta, else |d| - beta / 2, d being the difference."""

    function = loss_functions.smooth_l1_loss

    def __init__(
        self, size_average: object = None, reduce: object = None, reduction: str = "mean", beta: float = 1.0
    ) -> None:
        super().__init__()
        self._prepare(reduction, size_average, reduce, beta=beta)


class HuberLoss(_Loss):
    """d**2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d being the difference."""

    function = loss_functions.huber_loss

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__()
        self._prepare(reduction, delta=arguments.positive("HuberLoss", "delta", delta))


class KLDivLoss(_Loss):
    """t (log t - x), of log probabilities x and probabilities t; "batchmean" makes it the KL divergence."""

    function = functions.kl_div

    def __init__(
        self, size_average: object = None, reduce: object = None, reduction: str = "mean", log_target: bool = False
    ) -> None:
        super().__init__()
        self._prepare(reduction, size_average, reduce, "batchmean", log_target=log_target)


class PoissonNLLLoss(_Loss):
    """exp(x) - t x of logarithms x of a rate, or of the rate itself x - t log(x + eps)."""

    function = functions.poisson_nll_loss

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: object = None,
        eps: float = 1e-8,
        reduce: object = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self._prepare(reduction, size_average, reduce, log_input=log_input, full=full, eps=eps)

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return functions.poisson_nll_loss(log_input, target, **self._settings())


class GaussianNLLLoss(_Loss):
    """(log v + (x - t)**2 / v) / 2 of means x and variances v."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__()
        self._prepare(reduction, full=full, eps=eps)

    def forward(self, input: Tensor, target: Tensor, var: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return functions.gaussian_nll_loss(input, target, var, **self._settings())


class HingeEmbeddingLoss(_Loss):
    """x where the target is 1, max(0, margin - x) where it is -1."""

    function = functions.hinge_embedding_loss

    def __init__(
        self, margin: float = 1.0, size_average: object = None, reduce: object = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self._prepare(reduction, size_average, reduce, margin=margin)


class _OfTwo(_Loss):
    """A loss of two inputs and a target."""

    def __init__(
        self, margin: float = 0.0, size_average: object = None, reduce: object = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self._prepare(reduction, size_average, reduce, margin=margin)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return type(self).function(input1, input2, target, **self._settings())


class CosineEmbeddingLoss(_OfTwo):
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1."""

    function = functions.cosine_embedding_loss


class MarginRankingLoss(_OfTwo):
    """max(0, margin - t (x1 - x2))."""

    function = functions.margin_ranking_loss


class MultiMarginLoss(_Loss):
    """max(0, margin - x[t] + x[i])**p over the classes i other than the target t."""

    function = functions.multi_margin_loss

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: object = None,
        reduce: object = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if p not in (1, 2):
            raise arguments.wrong_value("MultiMarginLoss", "p", "1 or 2", p)
        self._prepare(reduction, size_average, reduce, p=p, margin=margin, weight=weight)


class MultiLabelSoftMarginLoss(_Loss):
    """Binary cross entropy of sigmoid(x), averaged over the classes."""

    function = functions.multilabel_soft_margin_loss

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: object = None,
        reduce: object = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self._prepare(reduction, size_average, reduce, weight=weight)


class _OfThree(_Loss):
    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return type(self).function(anchor, positive, negative, **self._settings())


class TripletMarginLoss(_OfThree):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin)."""

    function = functions.triplet_margin_loss

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: object = None,
        reduce: object = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        arguments.positive("TripletMarginLoss", "margin", margin)
        self._prepare(reduction, size_average, reduce, margin=margin, p=p, eps=eps, swap=swap)


class TripletMarginWithDistanceLoss(_OfThree):
    """`TripletMarginLoss` with another distance of two tensors."""

    function = functions.triplet_margin_with_distance_loss

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        name = "TripletMarginWithDistanceLoss"
        arguments.function(name, "distance_function", distance_function, optional=True)
        arguments.positive(name, "margin", margin)
        self._prepare(reduction, distance_function=distance_function, margin=margin, swap=swap)


class CTCLoss(Module):
    """`F.ctc_loss` of log probabilities [steps, batch, classes] and targets of other lengths."""

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__()
        self.blank = arguments.integer("CTCLoss", "blank", blank, 0)
        self.reduction = arguments.choice("CTCLoss", "reduction", reduction, "mean", "sum", "none")
        self.zero_infinity = arguments.flag("CTCLoss", "zero_infinity", zero_infinity)

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        return ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
