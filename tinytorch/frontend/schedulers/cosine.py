"""Rates that fall along half a cosine (Loshchilov & Hutter 2017)."""

from __future__ import annotations

import math

from tinytorch.frontend import arguments
from tinytorch.frontend.optimizers.base import Optimizer
from tinytorch.frontend.schedulers.base import LRScheduler


class CosineAnnealingLR(LRScheduler):
    """From the initial rate to `eta_min` in `T_max` epochs, and back:

        eta_min + (initial - eta_min) * (1 + cos(pi * epoch / T_max)) / 2

    As in PyTorch, a step goes on from the rate that is set, whoever changed it.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = arguments.integer("CosineAnnealingLR", "T_max", T_max, 1)
        self.eta_min = arguments.not_negative("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def _cosine(self, epoch: int) -> float:
        return 1 + math.cos(math.pi * epoch / self.T_max)

    def get_lr(self) -> list[float]:
        rates = [group["lr"] for group in self.groups]
        if self._initial:
            return rates
        if self._step_count == 1 and self.last_epoch > 0:
            return self.at_epoch()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # at the bottom: there is nothing to multiply
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [rate + (base - self.eta_min) * rise for rate, base in zip(rates, self.base_lrs, strict=True)]
        change = self._cosine(self.last_epoch) / self._cosine(self.last_epoch - 1)
        return [change * (rate - self.eta_min) + self.eta_min for rate in rates]

    def at_epoch(self) -> list[float]:
        return [self.eta_min + (base - self.eta_min) * self._cosine(self.last_epoch) / 2 for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """From the initial rate to `eta_min` along half a cosine, again and again: in `T_0` epochs, then in `T_mult` times
    as many as before. `step(epoch)` may be given a fraction, such as epoch + batch / batches."""

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_0 = arguments.integer("CosineAnnealingWarmRestarts", "T_0", T_0, 1)
        self.T_mult = arguments.integer("CosineAnnealingWarmRestarts", "T_mult", T_mult, 1)
        self.eta_min = arguments.not_negative("CosineAnnealingWarmRestarts", "eta_min", eta_min)
        self.T_i: float = self.T_0  # epochs between the last restart and the next
        self.T_cur: float = last_epoch  # epochs since the last restart
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        cosine = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * cosine / 2 for base in self.base_lrs]

    def go_to(self, epoch: float | None) -> None:
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = arguments.not_negative("CosineAnnealingWarmRestarts", "epoch", 0 if epoch is None else epoch)
            self._place(epoch)
        self.last_epoch = math.floor(epoch)
        self.set_rates(self.get_lr())

    def _place(self, epoch: float) -> None:
        """Where an epoch lies between restarts."""
        self.T_i, self.T_cur = self.T_0, epoch
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
