"""Schedules whose rate is the one before, times a factor: two that are chained multiply."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.optimizers.base import Optimizer
from tinytorch.frontend.schedulers.base import LRScheduler, for_each_group, optimizer_of


class _Factor(LRScheduler):
    """Rates that `change` multiplies from epoch to epoch, and that are `base * total()` at any."""

    def change(self) -> float:
        """What the rate before becomes the rate of `last_epoch` by."""
        raise NotImplementedError

    def total(self) -> float:
        """What the initial rate becomes the rate of `last_epoch` by."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        change = self.change()
        return [group["lr"] * change for group in self.groups]

    def at_epoch(self) -> list[float]:
        total = self.total()
        return [base * total for base in self.base_lrs]


class StepLR(_Factor):
    """The rate times `gamma` every `step_size` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = arguments.integer("StepLR", "step_size", step_size, 1)
        self.gamma = arguments.not_negative("StepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def change(self) -> float:
        return self.gamma if self.last_epoch and self.last_epoch % self.step_size == 0 else 1.0

    def total(self) -> float:
        return self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(_Factor):
    """The rate times `gamma` at each of the epochs `milestones`."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(arguments.integer("MultiStepLR", "milestones", m) for m in milestones)
        self.gamma = arguments.not_negative("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def change(self) -> float:
        return self.gamma ** self.milestones[self.last_epoch]

    def total(self) -> float:
        return self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)


class ConstantLR(_Factor):
    """The rate times `factor` until epoch `total_iters`."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.factor = arguments.fraction("ConstantLR", "factor", factor)
        self.total_iters = arguments.integer("ConstantLR", "total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch)

    def change(self) -> float:
        if self.last_epoch == 0:
            return self.factor
        return 1.0 / self.factor if self.last_epoch == self.total_iters else 1.0

    def total(self) -> float:
        return 1.0 if self.last_epoch >= self.total_iters else self.factor


class LinearLR(_Factor):
    """The rate times a factor that goes from `start_factor` to `end_factor` in a straight line, for `total_iters`
    epochs."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = arguments.number(
            "LinearLR", "start_factor", start_factor, lambda x: 0 < x <= 1, "a number above 0, at most 1"
        )
        self.end_factor = arguments.fraction("LinearLR", "end_factor", end_factor)
        self.total_iters = arguments.integer("LinearLR", "total_iters", total_iters, 1)
        super().__init__(optimizer, last_epoch)

    def change(self) -> float:
        if self.last_epoch == 0:
            return self.start_factor
        if self._initial or self.last_epoch > self.total_iters:
            return 1.0
        rise = self.end_factor - self.start_factor
        return 1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)

    def total(self) -> float:
        done = min(self.total_iters, self.last_epoch) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ExponentialLR(_Factor):
    """The rate times `gamma` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = arguments.not_negative("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def change(self) -> float:
        return 1.0 if self._initial else self.gamma

    def total(self) -> float:
        return self.gamma**self.last_epoch


class PolynomialLR(_Factor):
    """The rate times (1 - epoch / total_iters)**power, which ends at 0."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = arguments.integer("PolynomialLR", "total_iters", total_iters, 1)
        self.power = arguments.not_negative("PolynomialLR", "power", power)
        super().__init__(optimizer, last_epoch)

    def change(self) -> float:
        if self._initial or self.last_epoch > self.total_iters:
            return 1.0
        left, before = (1.0 - epoch / self.total_iters for epoch in (self.last_epoch, self.last_epoch - 1))
        return (left / before) ** self.power

    def total(self) -> float:
        return (1.0 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power


Lambda = Callable[[int], float]


class _Lambdas(LRScheduler):
    """Schedules by functions of the epoch, one for each group or one for all."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Lambda | list[Lambda], last_epoch: int = -1) -> None:
        name = type(self).__name__
        self.lr_lambdas: list[Any] = for_each_group(name, "lr_lambda", lr_lambda, optimizer_of(name, optimizer))
        for function in self.lr_lambdas:
            arguments.function(name, "lr_lambda", function)
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Functions are not saved; of objects that can be called, their attributes are."""
        saved = [None if isinstance(f, FunctionType) else dict(vars(f)) for f in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        for function, saved in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if saved is not None:
                vars(function).update(saved)
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "lr_lambdas"})


class LambdaLR(_Lambdas):
    """The initial rate times `lr_lambda(epoch)`."""

    def get_lr(self) -> list[float]:
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(_Lambdas):
    """The rate before, times `lr_lambda(epoch)`."""

    def get_lr(self) -> list[float]:
        factors = [1.0 if self._initial else f(self.last_epoch) for f in self.lr_lambdas]
        return [group["lr"] * factor for group, factor in zip(self.groups, factors, strict=True)]
