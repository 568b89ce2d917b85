"""What a trainer is told about time: the learning rate over epochs, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tinytorch.frontend import arguments
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc


class Schedule(Protocol):
    """A learning rate for each epoch, which may be a fraction."""

    def get_lr(self, epoch: float) -> float: ...


def one_for_each(given: Any, count: int) -> list[Schedule | None]:
    """The schedules of `count` optimizers: `given` is None for no schedule at all, a list, or that of the only one."""
    schedules: list[Any] = [None] * count if given is None else [given]
    if isinstance(given, (list, tuple)):
        schedules = [*given]
    if len(schedules) != count:
        wanted = f"a list of {count}, one for each optimizer (None where the rate stays)"
        raise arguments.wrong_type("Trainer", "schedule", wanted, given)
    for schedule in schedules:
        if schedule is not None and not hasattr(schedule, "get_lr"):
            raise arguments.wrong_type("Trainer", "schedule", "an object with get_lr(epoch), or None", schedule)
    return schedules


class Metrics(NamedTuple):
    """Means over the samples of an epoch; `accuracy` is None where there are no classes."""

    loss: float
    accuracy: float | None

    def __str__(self) -> str:
        return f"loss {self.loss:.4f}" + ("" if self.accuracy is None else f", accuracy {self.accuracy:.2%}")


@dataclass(frozen=True)
class CosineSchedule:
    """A learning rate that rises in a straight line for `warmup_epochs`, then falls along half a cosine (Loshchilov &
    Hutter 2017, without restarts) from `max_lr` to `min_lr` at `total_epochs`, where it stays:

        max_lr * (epoch + 1) / (warmup_epochs + 1)                          in warm-up
        min_lr + (max_lr - min_lr) * (1 + cos(pi * done)) / 2               after it, done in [0, 1]

    The first epoch has a rate above 0, and both parts meet at max_lr.
    """

    max_lr: float = 0.1
    min_lr: float = 0.01
    total_epochs: float = 100
    warmup_epochs: float = 0

    def __post_init__(self) -> None:
        for name in ("max_lr", "min_lr", "total_epochs", "warmup_epochs"):
            arguments.not_negative("CosineSchedule", name, getattr(self, name))
        if not 0 <= self.min_lr <= self.max_lr < math.inf:
            raise TinyTorchError(f"CosineSchedule: needs 0 <= min_lr <= max_lr, got {self}", user_loc())
        if not 0 <= self.warmup_epochs < self.total_epochs:
            raise TinyTorchError(f"CosineSchedule: needs 0 <= warmup_epochs < total_epochs, got {self}", user_loc())

    def get_lr(self, epoch: float) -> float:
        """The rate at an epoch, counted from 0; fractions are allowed: 2.5 is halfway through the third epoch."""
        if epoch < self.warmup_epochs:
            return self.max_lr * (epoch + 1) / (self.warmup_epochs + 1)
        done = min((epoch - self.warmup_epochs) / (self.total_epochs - self.warmup_epochs), 1.0)
        return self.min_lr + (self.max_lr - self.min_lr) * (1 + math.cos(math.pi * done)) / 2


@dataclass
class EarlyStopping:
    """Stop after `patience` epochs in which "loss" or "accuracy" (`monitor`) got no better by more than `min_delta`.

    With `restore_best` the model ends with the weights of its best epoch. `best`, `best_epoch` and `waited` are where
    it stands; they belong to a checkpoint.
    """

    patience: int = 3
    monitor: str = "loss"
    min_delta: float = 0.0
    restore_best: bool = True
    best: float | None = None
    best_epoch: int = -1
    waited: int = 0

    def __post_init__(self) -> None:
        arguments.choice("EarlyStopping", "monitor", self.monitor, "loss", "accuracy")
        arguments.integer("EarlyStopping", "patience", self.patience, 1)
        arguments.not_negative("EarlyStopping", "min_delta", self.min_delta)
        arguments.flag("EarlyStopping", "restore_best", self.restore_best)

    @property
    def stopped(self) -> bool:
        return self.waited >= self.patience

    def update(self, metrics: Metrics, epoch: int) -> bool:
        """Take in the metrics of an epoch; whether it is the best so far."""
        value = metrics.loss if self.monitor == "loss" else metrics.accuracy
        if value is None:
            raise TinyTorchError("EarlyStopping: there is no accuracy to monitor; give the Trainer hits", user_loc())
        gain = math.inf if self.best is None else self.best - value if self.monitor == "loss" else value - self.best
        if gain > self.min_delta:
            self.best, self.best_epoch, self.waited = value, epoch, 0
            return True
        self.waited += 1
        return False
