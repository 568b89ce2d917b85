"""Module 04: losses.

Cross entropy is -log softmax(x)[target] = logsumexp(x) - x[target], which needs no softmax in memory: one pass finds
the maximum, one the sum of exp(x - max), which cannot overflow. Its gradient is softmax(x) - onehot(target). The
entropy of the targets and the KL divergence add up to it: H(t, p) = H(t) + KL(t || p).
"""

from __future__ import annotations

from tinytorch.frontend import arguments
from tinytorch.frontend.activations import log_softmax
from tinytorch.frontend.losses.functions import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    class_ignored,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
    old_arguments,
)
from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode, gradients, ones_like, require_tensor, variable
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "L1Loss", "Loss", "MSELoss", "NLLLoss", "log_softmax"]


class Loss(Module):
    """A loss of a prediction and a target. `reduction` over all elements: "mean", "sum" or "none".

    `backward()` is the gradient of the last result with respect to its prediction.
    """

    __slots__ = ("_last",)  # beside the attributes, so that a compiled function does not take it for a setting
    _last: tuple[Tensor, Tensor]
    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, size_average: object = None, reduce: object = None, reduction: str = "mean") -> None:
        super().__init__()
        old_arguments(self._name, size_average, reduce)
        self.reduction = arguments.choice(self._name, "reduction", reduction, "mean", "sum", "none")

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _weights(self, name: str, value: Tensor | None) -> None:
        """Keep a tensor of weights, or None, as a buffer."""
        arguments.instance(self._name, name, value, Tensor, optional=True)
        self.register_buffer(name, value)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        raise TinyTorchError(f"{type(self).__name__} has no loss()", user_loc())

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        result = self.loss(input, target)
        object.__setattr__(self, "_last", (input.detach(), target.detach()))
        return result

    def backward(self, grad: Tensor | None = None) -> Tensor:
        """The cotangent of the last prediction, for the cotangent `grad` of the loss (1 by default)."""
        last = getattr(self, "_last", None)
        if last is None:
            raise TinyTorchError(f"{type(self).__name__}.backward: forward has not been called", user_loc())
        prediction, target = variable(last[0]), last[1]
        with grad_mode(True):
            result = self.loss(prediction, target)
        if grad is not None and require_tensor(f"{type(self).__name__}.backward", grad).shape != result.shape:
            raise ShapeError(f"{type(self).__name__}.backward: {grad.type} does not fit {result.type}", user_loc())
        seed = ones_like(result) if grad is None else grad.cast(result.dtype)
        (gradient,) = gradients(result, [prediction], seed, create_graph=False)
        assert gradient is not None, "a loss depends on its prediction"
        return gradient

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class CrossEntropyLoss(Loss):
    """-log softmax(logits) at the target, as `functional.cross_entropy`: logits [N, C] or [N, C, d1, …], targets class
    indices without the axis C, or probabilities with it."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: object = None,
        ignore_index: int | None = -100,
        reduce: object = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._weights("weight", weight)
        self.ignore_index = class_ignored(self._name, ignore_index)
        self.label_smoothing = arguments.fraction(self._name, "label_smoothing", label_smoothing)

    def forward(
        self,
        input: Tensor | None = None,
        target: Tensor | None = None,
        *,
        logits: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> Tensor:
        """Of `input` and `target`, which may be called `logits` and `targets`."""
        name = "CrossEntropyLoss"
        given = require_tensor(name, logits if input is None else input)
        return super().forward(given, require_tensor(name, targets if target is None else target))

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(
            prediction, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )  # fmt: skip


class NLLLoss(Loss):
    """-log_probabilities at the target class, for the results of log_softmax."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: object = None,
        ignore_index: int | None = -100,
        reduce: object = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._weights("weight", weight)
        self.ignore_index = class_ignored(self._name, ignore_index)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        return nll_loss(prediction, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(Loss):
    """(prediction - target)**2."""

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        return mse_loss(prediction, target, reduction=self.reduction)


class L1Loss(Loss):
    """|prediction - target|."""

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        return l1_loss(prediction, target, reduction=self.reduction)


class BCELoss(Loss):
    """-(y log p + (1 - y) log(1 - p)) of probabilities p, with logarithms not below -100."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: object = None,
        reduce: object = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._weights("weight", weight)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy(prediction, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Loss):
    """BCELoss of sigmoid(logits), without overflow; `pos_weight` scales the targets that are 1."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: object = None,
        reduce: object = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._weights("weight", weight)
        self._weights("pos_weight", pos_weight)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(
            prediction, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )
