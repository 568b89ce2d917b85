"""Schedules of several schedulers: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.optimizers.base import Optimizer
from tinytorch.frontend.schedulers.base import LRScheduler, optimizer_of, outside_of_traces, rates_of
from tinytorch.frontend.schedulers.plateau import ReduceLROnPlateau
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc


class _Composed(LRScheduler):
    _schedulers: list[LRScheduler]

    def _take(self, schedulers: Sequence[Any], optimizer: Any) -> None:
        """Keep schedulers, all of one optimizer."""
        name = type(self).__name__
        if not schedulers:
            raise TinyTorchError(f"{name}: there are no schedulers", user_loc())
        for scheduler in schedulers:
            if not isinstance(scheduler, LRScheduler):
                raise arguments.wrong_type(name, "schedulers", "a list of schedulers", scheduler)
            if isinstance(scheduler, ReduceLROnPlateau):
                raise TinyTorchError(
                    f"{name}: ReduceLROnPlateau needs a metric in each step; step it itself", user_loc()
                )
        self.optimizer = optimizer_of(name, schedulers[0].optimizer if optimizer is None else optimizer)
        if any(scheduler.optimizer is not self.optimizer for scheduler in schedulers):
            raise TinyTorchError(f"{name}: the schedulers are of several optimizers", user_loc())
        self._schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        for scheduler, saved in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(saved)
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})


class ChainedScheduler(_Composed):
    """Every step steps all `schedulers`, each of which goes on from the rate that the one before it set."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._take(schedulers, optimizer)
        self._last_lr = rates_of(self.optimizer)

    def step(self, epoch: int | None = None) -> None:
        outside_of_traces("ChainedScheduler")
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = rates_of(self.optimizer)


class SequentialLR(_Composed):
    """`schedulers` one after the other: the next one begins, at its epoch 0, at each of the epochs `milestones`."""

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        self._take(schedulers, optimizer)
        self._milestones = [arguments.integer("SequentialLR", "milestones", m) for m in milestones]
        if len(milestones) != len(schedulers) - 1:
            raise TinyTorchError(
                f"SequentialLR: {len(schedulers)} schedulers need {len(schedulers) - 1} milestones, got {milestones}",
                user_loc(),
            )
        self.last_epoch = last_epoch + 1
        # Each scheduler has set its first rate when it was made: only the one that comes first is to.
        for group in self.groups:
            group["lr"] = group["initial_lr"]
        _undo(self)
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first.begin()
        self._last_lr = first.get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        outside_of_traces("SequentialLR")
        self.last_epoch += 1
        number = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[number]
        if number > 0 and self._milestones[number - 1] == self.last_epoch:
            scheduler.go_to(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _undo(scheduler: LRScheduler) -> None:
    """Take back the count of the step in which the parts of a scheduler were made."""
    if isinstance(scheduler, _Composed):
        for part in scheduler._schedulers:  # pyright: ignore[reportPrivateUsage]
            _undo(part)
    else:
        scheduler.last_epoch -= 1
