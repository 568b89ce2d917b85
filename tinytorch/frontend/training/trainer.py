"""The Trainer, and what training costs.

What a batch of b samples costs, of a model with n parameters and a activations per sample, in elements:

| kept in memory | elements | grows with the batch |
| --- | --- | --- |
| parameters, gradients, moments of the optimizer | 2 n to 4 n | no |
| activations for the backward pass | a b | yes |
| sums of gradients, with accumulation over k micro-batches | n | no: the batch counts as k b, the memory as b |

A larger batch has less noisy gradients and takes fewer, faster steps per epoch; it needs a larger rate, which warm-up
makes safe (Goyal et al. 2017), and converges in more epochs.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

from tinytorch.compile import compile as compiled
from tinytorch.frontend import arguments
from tinytorch.frontend.module import Module
from tinytorch.frontend.optimizers import Optimizer
from tinytorch.frontend.training.position import FinishedEpoch, runs_as_one
from tinytorch.frontend.training.progress import progress
from tinytorch.frontend.training.run import Run
from tinytorch.frontend.training.schedule import EarlyStopping, Metrics, Schedule, one_for_each
from tinytorch.frontend.training.steps import (
    AccumulateStep,
    EvaluateStep,
    Hits,
    LossFunction,
    Precision,
    Totals,
    TrainStep,
    UpdateStep,
    class_hits,
    listed,
    require_batches,
)
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc


class Trainer(Run):
    """Trains and evaluates `model` on batches (inputs, targets); each step is one compiled graph.

    optimizer: one, or a list of several, such as Muon for the matrices and AdamW for the rest; each updates parameters
        of its own.
    loss_fn: (prediction, targets) -> scalar Tensor; a mean over samples, or a Loss with reduction "sum".
    compile: False runs the same steps eagerly; each keeps a copy of all that it changes while it runs.
    accumulate: micro-batches per update, whose gradients make one of the larger batch. An epoch's last update takes
        what is left.
    max_norm: clip the norm of all gradients together to this before each update.
    schedule, schedule_by: sets `optimizer.lr`, before every "epoch", or before every "step" at the fraction of the
        epoch that is done. Of several optimizers, a list with one for each, or None where the rate stays.
    early_stopping: ends `fit` early.
    hits: (prediction, targets) -> bool Tensor that `accuracy` is the mean of, or None for no accuracy.
    progress: bars on stderr; by default if that is a terminal.

    `optimizers` lists all of them; the rate in the history is that of the first, which `optimizer` is.
    `epoch` and `step` count finished epochs and updates, `history` has one dict per epoch of `fit`, `seconds` is the
    time in training epochs, compilation included.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer | Sequence[Optimizer],
        loss_fn: LossFunction,
        *,
        compile: bool = True,
        accumulate: int = 1,
        max_norm: float | None = None,
        schedule: Schedule | Sequence[Schedule | None] | None = None,
        schedule_by: str = "epoch",
        early_stopping: EarlyStopping | None = None,
        hits: Hits | None = class_hits,
        progress: bool | None = None,
    ) -> None:
        _check(model, loss_fn, hits, early_stopping)
        super().__init__(model, listed(optimizer), early_stopping)
        self.loss_fn = loss_fn
        self.optimizer, self.schedules = self.optimizers[0], one_for_each(schedule, len(self.optimizers))
        self.accumulate = arguments.integer("Trainer", "accumulate", accumulate, 1)
        self.schedule_by = arguments.choice("Trainer", "schedule_by", schedule_by, "epoch", "step")
        self.progress = None if progress is None else arguments.flag("Trainer", "progress", progress)
        if max_norm is not None:
            arguments.number("Trainer", "max_norm", max_norm, lambda x: x >= 0, "a number that is not negative")
        self._tested = Totals()
        self._wrap: Callable[[Any], Any] = compiled if arguments.flag("Trainer", "compile", compile) else _as_it_is
        precision = self._precision()
        steps = (model, loss_fn, hits, self._totals, precision, self.optimizers, max_norm, self._counts)
        self._sums = AccumulateStep(*steps) if accumulate > 1 else None
        self.train_step = self._wrap(self._sums or TrainStep(*steps))
        self.update_step = self._wrap(UpdateStep(self._sums)) if self._sums else None
        self.evaluate_step = self._wrap(EvaluateStep(model, loss_fn, hits, self._tested, precision))

    def _precision(self) -> Precision:
        """What the steps compute in."""
        return Precision()

    # Epochs.
    def train_epoch(self, dataloader: Iterable[Any]) -> Metrics:
        """One pass over the batches of `dataloader`, with an update after each (or after every `accumulate`).

        Returns the means of loss and accuracy over its samples, each at the weights that it met. TinyTorchError,
        with the number of the step, where the loss is not finite.
        """
        require_batches("train_epoch", dataloader)
        with self._interruptible(dataloader):
            metrics = self._train_epoch(dataloader, None)
            self._finished = FinishedEpoch(self.epoch + 1, list(self.history), self.early_stopping, self._best)
            self._settle()
        return metrics

    def evaluate(self, dataloader: Iterable[Any]) -> Metrics:
        """The means of loss and accuracy over all samples of `dataloader`, in evaluation mode; changes nothing."""
        require_batches("evaluate", dataloader)
        return self._evaluate(dataloader, dataloader)

    def _evaluate(self, dataloader: Iterable[Any], batches: Iterable[Any]) -> Metrics:
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        self._tested.set([0, 0, 0, 0])
        try:
            with progress("evaluating", _length(dataloader), self.progress) as advance:
                for done, batch in enumerate(batches, 1):
                    self.evaluate_step(*_pair(batch))
                    if advance is not None:
                        advance(done, self._tested.loss)
        finally:
            for module, training in modes:
                if module.training != training:
                    module.training = training
        return _means("evaluate", self._tested)

    def _train_epoch(self, dataloader: Iterable[Any], after_update: Callable[[], None] | None) -> Metrics:
        self.model.train()
        self._begin(dataloader)
        self._whole = runs_as_one(self.train_step, self._state().values())
        length = _length(dataloader)
        if self.schedule_by == "epoch":
            self._set_rate(0.0)
        started = time.perf_counter()
        before = self.seconds
        batches = self._places.training(dataloader, self._batch, self._skip)
        self._skip = 0
        with progress(f"epoch {self.epoch + 1}", length, self.progress) as advance:
            self._update_if_full()
            for batch in batches:
                inputs, targets = _pair(batch)
                if self.schedule_by == "step":
                    self._set_rate(self._fraction(length))
                self._train_batch(inputs, targets)
                if self._counts.pending == 0 and after_update is not None:
                    self.seconds = before + time.perf_counter() - started
                    after_update()
                if advance is not None:
                    advance(self._batch, self._totals.loss)
            if self._counts.pending:
                self._update()
        self.seconds = before + time.perf_counter() - started
        return _means("train_epoch", self._totals)

    def _train_batch(self, inputs: Any, targets: Any) -> None:
        self._run(self.train_step, inputs, targets)
        if not math.isfinite(self._totals.values[0]):
            raise TinyTorchError(
                f"the loss is not finite (NaN or infinity) at step {self.step + bool(self._counts.pending)}: epoch "
                f"{self.epoch + 1}, batch {self._batch}. Lower the learning rate, clip the gradients (max_norm) or "
                "look at this batch; the weights may be spoilt, so go on from a checkpoint",
                user_loc(),
            )
        self._update_if_full()

    def _update_if_full(self) -> None:
        if self._sums is not None and self._counts.pending >= self.accumulate:
            self._update()

    def _update(self) -> None:
        if self._sums is not None and self.update_step is not None:
            self._run(self.update_step, tuple(self._sums.reached.tolist()))

    def _set_rate(self, fraction: float) -> None:
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            if schedule is not None:
                optimizer.lr = schedule.get_lr(self.epoch + fraction)

    def _fraction(self, length: int | None) -> float:
        if length is None:
            raise TinyTorchError('Trainer: schedule_by="step" needs a loader with a length', user_loc())
        return self._batch / length

    # Whole runs.
    def fit(
        self,
        train_loader: Iterable[Any],
        val_loader: Iterable[Any] | None = None,
        epochs: int = 10,
        *,
        checkpoint: str | PathLike[str] | None = None,
        checkpoint_every: int = 0,
        resume: bool = True,
        on_epoch: Callable[[dict[str, Any]], None] | None = None,
        before_epoch: Callable[[int], None] | None = None,
    ) -> list[dict[str, Any]]:
        """Train until `epochs` epochs are done in all, or early stopping says so; the history, one dict per epoch.

        With `checkpoint`, the run is saved there after every epoch, and after every `checkpoint_every` updates; if
        the file is there and `resume` is set, the run goes on from it, and ends with the same bits as one that was
        never interrupted. The same holds for a run that Ctrl-C ended and `save_checkpoint` saved, and for one that goes
        on with another call of `fit`: a step that was interrupted counts wholly or not at all. Early stopping looks at
        `val_loader` if there is one, else at the training epoch; after the last checkpoint it puts the best weights
        back. `on_epoch` gets the dict of each epoch; `before_epoch` is called with the number of each, counted from 0,
        before its first batch, and again where an interrupted one goes on.
        """
        arguments.integer("fit", "epochs", epochs, 0)
        arguments.integer("fit", "checkpoint_every", checkpoint_every, 0)
        arguments.function("fit", "on_epoch", on_epoch, optional=True)
        arguments.function("fit", "before_epoch", before_epoch, optional=True)
        if checkpoint is not None and arguments.flag("fit", "resume", resume) and Path(checkpoint).exists():
            self.load_checkpoint(checkpoint, train_loader, val_loader)

        def save() -> None:
            if checkpoint is not None:
                self.save_checkpoint(checkpoint, train_loader, val_loader)

        def save_sometimes() -> None:
            if self.step % checkpoint_every == 0:
                save()

        stopping = self.early_stopping
        with self._interruptible(train_loader):
            self._settle()
            while self.epoch < epochs and not (stopping is not None and stopping.stopped):
                if before_epoch is not None:
                    before_epoch(self.epoch)
                trained = self._train_epoch(train_loader, save_sometimes if checkpoint_every and checkpoint else None)
                tested = None if val_loader is None else self._evaluate(val_loader, self._places.testing(val_loader))
                self._finish(trained, tested)
                save()
                if on_epoch is not None:
                    on_epoch(self.history[-1])
        if stopping is not None and stopping.restore_best and self._best:
            self.model.load_state_dict(self._best)
        return self.history

    def _finish(self, trained: Metrics, tested: Metrics | None) -> None:
        """The epoch is done."""
        epoch, best = self.epoch + 1, self._best
        record: dict[str, Any] = {"epoch": epoch, "lr": self.optimizer.lr}
        record |= {f"train_{name}": value for name, value in trained._asdict().items()}
        record |= {f"val_{name}": value for name, value in (tested._asdict() if tested else {}).items()}
        stopping = copy.copy(self.early_stopping)
        if stopping is not None and stopping.update(tested or trained, epoch) and stopping.restore_best:
            best = {name: t.numpy().copy() for name, t in self.model.state_dict().items()}
        self._finished = FinishedEpoch(epoch, [*self.history, record], stopping, best)
        self._settle()


def _check(model: Any, loss_fn: Any, hits: Any, early_stopping: Any) -> None:
    """The parts of a trainer are what they are called."""
    arguments.function("Trainer", "model", model)
    arguments.function("Trainer", "loss_fn", loss_fn)
    arguments.function("Trainer", "hits", hits, optional=True)
    arguments.instance("Trainer", "early_stopping", early_stopping, EarlyStopping, optional=True)


def _as_it_is(step: Any) -> Any:
    return step


def _length(dataloader: Iterable[Any]) -> int | None:
    """The number of batches, if the loader knows it."""
    return len(cast(Any, dataloader)) if hasattr(dataloader, "__len__") else None


def _pair(batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, (tuple, list)) or len(cast(Any, batch)) != 2:
        kind = type(batch).__name__
        raise TinyTorchError(f"Trainer: a batch is a pair (inputs, targets), got {kind}", user_loc())
    inputs, targets = cast(Any, batch)
    return inputs, targets


def _means(what: str, totals: Totals) -> Metrics:
    if not totals.samples:
        raise TinyTorchError(
            f"{what}: the loader has no batches; is the data set empty, or smaller than a batch with drop_last?",
            user_loc(),
        )
    return Metrics(totals.loss, totals.accuracy)
