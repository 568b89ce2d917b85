"""The rate at which averaged weights are trained."""

from __future__ import annotations

import math

from tinytorch.frontend import arguments
from tinytorch.frontend.optimizers.base import Optimizer
from tinytorch.frontend.schedulers.base import LRScheduler, for_each_group, optimizer_of


class SWALR(LRScheduler):
    """From the rate that is set to `swa_lr` (one for all groups, or one for each) in `anneal_epochs`, along half a
    cosine ("cos") or a straight line ("linear"), where it stays (Izmailov et al. 2018)."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = for_each_group("SWALR", "swa_lr", swa_lr, optimizer_of("SWALR", optimizer))
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = arguments.not_negative("SWALR", "swa_lr", rate)
        self._anneal_strategy = arguments.choice("SWALR", "anneal_strategy", anneal_strategy, "cos", "linear")
        self.anneal_epochs = arguments.integer("SWALR", "anneal_epochs", anneal_epochs, 0)
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of the rate is `swa_lr`."""
        part = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return part if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * part)) / 2

    def get_lr(self) -> list[float]:
        step = self._step_count - 1 if self.anneal_epochs else max(1, self._step_count - 1)
        before, now = self._share(step - 1), self._share(step)
        found: list[float] = []
        for group in self.groups:
            last = group["swa_lr"]
            first = last if before == 1 else (group["lr"] - before * last) / (1 - before)
            found.append(last * now + first * (1 - now))
        return found
