"""A rate that falls when a metric gets no better."""

from __future__ import annotations

import math
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.optimizers.base import Optimizer
from tinytorch.frontend.schedulers.base import (
    LRScheduler,
    for_each_group,
    optimizer_of,
    outside_of_traces,
    rates_of,
)
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc


class ReduceLROnPlateau(LRScheduler):
    """The rate times `factor`, but not below `min_lr`, once `step(metrics)` was given more than `patience` values in
    a row that are no better than the best one by `threshold` (of it, "rel", or as it is, "abs"). `mode`: a metric
    that is to fall ("min") or to rise ("max"). For `cooldown` steps after a change nothing is counted; changes of at
    most `eps` are left out."""

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        self.optimizer = optimizer_of(name, optimizer)
        self.factor = arguments.number(name, "factor", factor, lambda x: 0 <= x < 1, "a number in [0, 1)")
        self.min_lrs = for_each_group(name, "min_lr", min_lr, optimizer)
        self.mode = arguments.choice(name, "mode", mode, "min", "max")
        self.threshold_mode = arguments.choice(name, "threshold_mode", threshold_mode, "rel", "abs")
        self.patience = arguments.integer(name, "patience", patience, 0)
        self.cooldown = arguments.integer(name, "cooldown", cooldown, 0)
        self.threshold = arguments.finite(name, "threshold", threshold)
        self.eps = arguments.not_negative(name, "eps", eps)
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = 0
        self._last_lr = rates_of(optimizer)

    @property
    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0

    def is_better(self, a: float, best: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "abs":
            needed = best + sign * self.threshold
        else:
            needed = best * (1 + sign * self.threshold)
        return sign * a > sign * needed

    def step(self, metrics: Any = None, epoch: int | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take in the metric of an epoch, a number or a tensor of one."""
        outside_of_traces("ReduceLROnPlateau")
        if metrics is None:
            raise TinyTorchError("ReduceLROnPlateau: step needs the metric: scheduler.step(loss)", user_loc())
        value = metrics.item() if isinstance(metrics, Tensor) else float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(value, self.best):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = rates_of(self.optimizer)

    def _reduce(self) -> None:
        for group, least in zip(self.groups, self.min_lrs, strict=True):
            old, new = group["lr"], max(group["lr"] * self.factor, least)
            if old - new > self.eps:
                group["lr"] = new
