"""Rates that rise and fall, and momentum against them (Smith 2017; Smith & Topin 2019)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.optimizers.base import Optimizer
from tinytorch.frontend.schedulers.base import LRScheduler, for_each_group, optimizer_of
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc


class _Cycle(LRScheduler):
    """Schedules that cycle momentum, or the first of betas, beside the rate."""

    cycle_momentum: bool
    use_beta1 = False

    def set_momentum(self, group: Any, momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum

    def start_momentum(self, base: Any, largest: Any, last_epoch: int) -> tuple[list[float], list[float]]:
        """The smallest and the largest momentum of each group, which begins with the largest."""
        name, optimizer = type(self).__name__, self.optimizer
        if not {"momentum", "betas"} & set(optimizer.defaults):
            raise TinyTorchError(
                f"{name}: {type(optimizer).__name__} has no momentum to cycle; pass cycle_momentum=False", user_loc()
            )
        self.use_beta1 = "betas" in optimizer.defaults
        bases = for_each_group(name, "base_momentum", base, optimizer)
        most = for_each_group(name, "max_momentum", largest, optimizer)
        for low, high, group in zip(bases, most, optimizer.param_groups, strict=True):
            for which, value in (("base_momentum", low), ("max_momentum", high)):
                arguments.number(name, which, value, lambda x: 0 <= x < 1, "a number in [0, 1)")
            if not self.use_beta1 and not group["momentum"]:
                raise TinyTorchError(
                    f"{name}: the optimizer was made without momentum; give it one, or pass cycle_momentum=False",
                    user_loc(),
                )
            if last_epoch == -1:
                self.set_momentum(group, high)
                group["max_momentum"], group["base_momentum"] = high, low
        return bases, most


class CyclicLR(_Cycle):
    """From `base_lr` to `max_lr` in `step_size_up` steps and back in `step_size_down`, in straight lines. The height
    of a cycle is as it is ("triangular"), half of that of the cycle before ("triangular2"), or gamma**step
    ("exp_range"); or what `scale_fn` gives, for the number of the cycle or (`scale_mode` "iterations") of the step."""

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: float = 2000,
        step_size_down: float | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        name = "CyclicLR"
        self.optimizer = optimizer_of(name, optimizer)
        bases = for_each_group(name, "base_lr", base_lr, optimizer)
        self.max_lrs = for_each_group(name, "max_lr", max_lr, optimizer)
        if last_epoch == -1:
            for rate, group in zip(bases, optimizer.param_groups, strict=True):
                group["lr"] = rate
        up = float(arguments.positive(name, "step_size_up", step_size_up))
        down = up if step_size_down is None else float(arguments.positive(name, "step_size_down", step_size_down))
        self.total_size, self.step_ratio = up + down, up / (up + down)
        arguments.function(name, "scale_fn", scale_fn, optional=True)
        if scale_fn is None:
            arguments.choice(name, "mode", mode, "triangular", "triangular2", "exp_range")
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.mode, self.gamma, self._scale_fn = mode, gamma, scale_fn
        self.scale_mode = arguments.choice(name, "scale_mode", scale_mode, "cycle", "iterations")
        self.cycle_momentum = arguments.flag(name, "cycle_momentum", cycle_momentum)
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self.start_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = bases

    def scale_fn(self, x: float) -> float:
        """The height of the cycle, or at the step, x."""
        if self._scale_fn is not None:
            return self._scale_fn(x)
        return {"triangular": 1.0, "triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}[self.mode]

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        done = 1.0 + self.last_epoch / self.total_size - cycle
        part = done / self.step_ratio if done <= self.step_ratio else (done - 1) / (self.step_ratio - 1)
        part *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            limits = zip(self.groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in limits:
                self.set_momentum(group, high - (high - low) * part)
        bases = self.base_lrs if not self._initial else [group["lr"] for group in self.groups]
        return [base + (high - base) * part for base, high in zip(bases, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """A function that scales is not saved."""
        return {name: value for name, value in super().state_dict().items() if name != "_scale_fn"}


class OneCycleLR(_Cycle):
    """One cycle over the whole run of `total_steps` (or epochs * steps_per_epoch): from max_lr / div_factor up to
    `max_lr` in the part `pct_start` of the steps, then down to max_lr / div_factor / final_div_factor; with
    `three_phase` down to where it began first, as fast as up. Momentum goes from `max_momentum` to `base_momentum` and
    back. `anneal_strategy` is "cos" or "linear"."""

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        name = "OneCycleLR"
        self.optimizer = optimizer_of(name, optimizer)
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise TinyTorchError(f"{name}: needs total_steps, or epochs and steps_per_epoch", user_loc())
        if total_steps is None:
            epochs = arguments.integer(name, "epochs", epochs, 1)
            total_steps = epochs * arguments.integer(name, "steps_per_epoch", steps_per_epoch, 1)
        self.total_steps = arguments.integer(name, "total_steps", total_steps, 1)
        self.pct_start = arguments.fraction(name, "pct_start", pct_start)
        self.anneal_strategy = arguments.choice(name, "anneal_strategy", anneal_strategy, "cos", "linear")
        for which, divisor in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            arguments.positive(name, which, divisor)
        self.three_phase = arguments.flag(name, "three_phase", three_phase)
        largest = for_each_group(name, "max_lr", max_lr, optimizer)
        if last_epoch == -1:
            for group, most in zip(optimizer.param_groups, largest, strict=True):
                group["initial_lr"], group["max_lr"] = most / div_factor, most
                group["min_lr"] = most / div_factor / final_div_factor
        self.cycle_momentum = arguments.flag(name, "cycle_momentum", cycle_momentum)
        if cycle_momentum:
            self.start_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _phases(self) -> list[tuple[float, str, str, str, str]]:
        """The last step of each phase, with the names of the rates and of the momenta between which it goes."""
        turn, last = float(self.pct_start * self.total_steps) - 1, float(self.total_steps - 1)
        up = (turn, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if not self.three_phase:
            return [up, (last, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        down = (2 * turn, "max_lr", "initial_lr", "base_momentum", "max_momentum")
        return [up, down, (last, "initial_lr", "min_lr", "max_momentum", "max_momentum")]

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise TinyTorchError(
                f"OneCycleLR: this is step {self.last_epoch}, the cycle has {self.total_steps} steps", user_loc()
            )
        phases, start = self._phases(), 0.0
        while len(phases) > 1 and self.last_epoch > phases[0][0]:
            start = phases.pop(0)[0]
        end, *names = phases[0]
        done = (self.last_epoch - start) / (end - start)
        rates: list[float] = []
        for group in self.groups:
            rates.append(self._between(group[names[0]], group[names[1]], done))
            if self.cycle_momentum:
                self.set_momentum(group, self._between(group[names[2]], group[names[3]], done))
        return rates

    def _between(self, start: float, end: float, done: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * done + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)
