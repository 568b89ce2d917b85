"""The steps that a trainer runs, each a whole that can be compiled: train, accumulate, update, evaluate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.parameter_functions import clip_grad_norm
from tinytorch.frontend.module.tracked import Tracked, TrackedList
from tinytorch.frontend.optimizers import Optimizer
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.training.position import Counts
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import f32, f64

LossFunction: TypeAlias = Callable[[Any, Any], Any]
Hits: TypeAlias = Callable[[Any, Any], Tensor | None]


def class_hits(prediction: Any, targets: Any) -> Tensor | None:
    """Where the largest score is that of the target class: scores [N, C, …], integer targets [N, …].

    None, which means that there is no accuracy, for anything else.
    """
    if not isinstance(prediction, Tensor) or not isinstance(targets, Tensor):
        return None
    if targets.dtype.kind not in ("int", "uint") or prediction.ndim != targets.ndim + 1:
        return None
    axis = min(1, prediction.ndim - 1)
    return prediction.detach().argmax(axis) == targets


def binary_hits(threshold: float = 0.5) -> Hits:
    """Accuracy of one score per sample: a hit where it lies on the side of `threshold` that the target 0 or 1 asks
    for. The threshold of probabilities is 0.5, that of logits 0."""

    def hits(prediction: Any, targets: Any) -> Tensor | None:
        return (prediction.detach() > threshold) == (targets > 0.5)

    return hits


def require_batches(what: str, dataloader: Any) -> None:
    """An error unless batches can be taken from it, one after the other."""
    if not isinstance(dataloader, Iterable) and not hasattr(dataloader, "__getitem__"):
        raise arguments.wrong_type(what, "dataloader", "batches, such as a DataLoader or a list gives them", dataloader)


def samples_in(inputs: Any) -> int:
    """The length of the first axis of the first tensor or array in a nested container."""
    item = inputs
    while isinstance(item, (tuple, list, dict)) and item:
        item = next(iter(cast(Any, item).values())) if isinstance(item, dict) else cast(Any, item)[0]
    shape = getattr(item, "shape", None)
    if not shape:
        found = getattr(item, "type", type(item).__name__)
        raise ShapeError(f"a batch needs a first axis of samples, got {found}", user_loc())
    return int(shape[0])


class Totals:
    """Sums over batches: loss times samples, samples, hits, predictions; f64[4] in one tensor of state, so that a
    compiled step adds to them and nothing has to be returned."""

    def __init__(self) -> None:
        self.tensor = Tensor.wrap(np.zeros(4))
        self.tensor.name = "totals"
        self.values = self.tensor.numpy()

    def add(self, loss: Tensor, weight: float, samples: int, hits: Tensor | None) -> None:
        constant = self.tensor.constant
        counts = constant(np.array([0, samples, 0, 0 if hits is None else hits.numel()], np.float64))
        with grad_mode(False):
            # Put in their places, not multiplied by 0 elsewhere: a loss of infinity leaves the counts alone.
            added = where(constant(np.arange(4) == 0), loss.detach().cast(f64) * weight, counts)
            if hits is not None:
                added = where(constant(np.arange(4) == 2), hits.cast(f32).sum().cast(f64), added)
            self.tensor.copy_(self.tensor + added)

    def set(self, values: Any) -> None:
        self.tensor.copy_(Tensor(np.asarray(values, np.float64)))

    @property
    def samples(self) -> int:
        return int(self.values[1])

    @property
    def loss(self) -> float:
        """The mean over samples."""
        return float(self.values[0] / self.values[1])

    @property
    def accuracy(self) -> float | None:
        return float(self.values[2] / self.values[3]) if self.values[3] else None


class Precision(Tracked):
    """What steps compute in: here, in the dtype of the model. Mixed precision overrides all three."""

    def region(self) -> AbstractContextManager[Any]:
        """Around the model and its loss."""
        return nullcontext()

    def scaled(self, loss: Tensor) -> Tensor:
        """What `backward()` begins with."""
        return loss

    def update(self, optimizers: Sequence[Optimizer], max_norm: float | None) -> int | Tensor:
        """Clip the gradients, step, and forget them; how many updates that was: 0 if it was left out."""
        if max_norm is not None:
            clip_grad_norm(parameters_of(optimizers), max_norm)
        for optimizer in optimizers:
            optimizer.step()
        zero_grad(optimizers)  # no gradient outlives its step: the next begins as this one did
        return 1


class Step(Tracked):
    """A model applied to a batch, with its loss and hits added to the totals. Tracked, so that a compiled step sees
    when an attribute of the model or the optimizer changes."""

    def __init__(
        self, model: Module, loss_fn: LossFunction, hits: Hits | None, totals: Totals, precision: Precision
    ) -> None:
        self.model, self.loss_fn, self.hits, self.totals, self.precision = model, loss_fn, hits, totals, precision
        self.means = getattr(loss_fn, "reduction", "mean") == "mean"

    def weight(self, samples: int) -> int:
        """What makes the losses of batches add up: a mean counts once per sample, a sum once."""
        return samples if self.means else 1

    def forward(self, inputs: Any, targets: Any) -> Tensor:
        """The loss of a batch."""
        samples = samples_in(inputs)
        with self.precision.region():
            prediction = self.model(inputs)
            loss = self.loss_fn(prediction, targets)
        if not isinstance(loss, Tensor) or loss.shape != ():
            got = loss.type if isinstance(loss, Tensor) else type(loss).__name__
            raise ShapeError(f'the loss is a scalar Tensor (reduction "mean" or "sum"), got {got}', user_loc())
        self.totals.add(loss, self.weight(samples), samples, self.hits and self.hits(prediction, targets))
        return loss


class TrainStep(Step):
    """Forward, backward, clipping and update."""

    def __init__(
        self,
        model: Module,
        loss_fn: LossFunction,
        hits: Hits | None,
        totals: Totals,
        precision: Precision,
        optimizers: Sequence[Optimizer],
        max_norm: float | None,
        counts: Counts,
    ) -> None:
        super().__init__(model, loss_fn, hits, totals, precision)
        self.optimizers, self.max_norm, self.counts = TrackedList(optimizers), max_norm, counts

    def __call__(self, inputs: Any, targets: Any) -> None:
        loss = self.forward(inputs, targets)
        zero_grad(self.optimizers)
        self.precision.scaled(loss).backward()
        self.counts.add(batches=1, updates=self.precision.update(self.optimizers, self.max_norm))


def zero_grad(optimizers: Sequence[Optimizer]) -> None:
    for optimizer in optimizers:
        optimizer.zero_grad()


def listed(given: Any) -> list[Optimizer]:
    """One optimizer, or a list of some that share no parameter, as a list."""
    optimizers: list[Any] = [*given] if isinstance(given, (list, tuple)) and given else [given]
    for optimizer in optimizers:
        arguments.instance("Trainer", "optimizer", optimizer, Optimizer)
    found = parameters_of(optimizers)
    if len({id(p) for p in found}) != len(found):
        raise TinyTorchError("Trainer: a parameter is in more than one optimizer", user_loc())
    return optimizers


def parameters_of(optimizers: Sequence[Optimizer]) -> list[Tensor]:
    """Everything that the optimizers update."""
    return [p for optimizer in optimizers for group in optimizer.param_groups for p in group.params]


class AccumulateStep(TrainStep):
    """Forward and backward; gradients are added up, weighted so that micro-batches make one large batch.

    `reached` notes which parameters the loss depends on: the others must stay without a gradient. A trace may write to
    it: what the loss reaches is the same in every call of a compiled step.
    """

    unwatched: ClassVar[frozenset[str]] = frozenset({"reached"})

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        params = parameters_of(self.optimizers)
        self.sums = [Tensor.wrap(np.zeros(p.shape, p.dtype.numpy)) for p in params]
        self.weights = Tensor.wrap(np.zeros(()))
        self.reached = np.zeros(len(params), np.bool_)

    def __call__(self, inputs: Any, targets: Any) -> None:
        loss = self.forward(inputs, targets)
        weight = self.weight(samples_in(inputs))
        zero_grad(self.optimizers)
        self.precision.scaled(loss * weight).backward()
        with grad_mode(False):
            self.weights.add_(weight)
            for i, (p, total) in enumerate(zip(parameters_of(self.optimizers), self.sums, strict=True)):
                if p.grad is not None:
                    self.reached[i] = True
                    total.add_(p.grad)
        zero_grad(self.optimizers)
        self.counts.add(batches=1, pending=1)

    def clear(self) -> None:
        """Forget what has been added up."""
        for tensor in (*self.sums, self.weights):
            tensor.zero_()

    def arrays(self) -> dict[str, Array]:
        """What has been added up: the arrays themselves."""
        sums = {str(i): total.numpy() for i, total in enumerate(self.sums)}
        return {**sums, "weights": self.weights.numpy(), "reached": self.reached}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Go on with what was added up; TinyTorchError where it is of other parameters."""
        own = self.arrays()
        if {name: a.shape for name, a in own.items()} != {name: a.shape for name, a in arrays.items()}:
            raise TinyTorchError("the sums of gradients are of other parameters", user_loc())
        for name, array in own.items():
            np.copyto(array, arrays[name])


class UpdateStep(Tracked):
    """The update with accumulated gradients, which start from zero again. `reached` says which are there at all."""

    def __init__(self, source: AccumulateStep) -> None:
        self.source = source

    def __call__(self, reached: tuple[bool, ...]) -> None:
        source = self.source
        for p, total, there in zip(parameters_of(source.optimizers), source.sums, reached, strict=True):
            divisor = source.weights.cast(p.dtype) if source.means else 1
            p.grad = total / divisor if there else None
        done = source.precision.update(source.optimizers, source.max_norm)
        with grad_mode(False):
            source.clear()
        source.counts.add(updates=done)


class EvaluateStep(Step):
    """Forward and the totals."""

    def __call__(self, inputs: Any, targets: Any) -> None:
        with grad_mode(False):
            self.forward(inputs, targets)
