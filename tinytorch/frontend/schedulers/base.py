"""What all schedulers share: the optimizer, the count of epochs, the rates that were set last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tinytorch.frontend import arguments
from tinytorch.frontend.constructors import clear_subclass, clearly_made
from tinytorch.frontend.optimizers.base import Optimizer
from tinytorch.frontend.optimizers.groups import ParamGroup
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc


@clearly_made
class LRScheduler:
    """Base of schedulers: `get_lr` gives the rates of all groups at `last_epoch`, and `step` sets them for the next.

    Creating a scheduler sets the rates of epoch 0. `last_epoch` other than -1 goes on from there, with an optimizer
    whose groups have "initial_lr" (from a saved state). An "epoch" is whatever lies between two calls of `step`.
    """

    last_epoch: int
    _initial = False  # whether the first rates are set
    _step_count = 0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        clear_subclass(cls)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = optimizer_of(type(self).__name__, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise TinyTorchError(
                    f"{type(self).__name__}: group {i} of the optimizer has no initial_lr; load the optimizer's saved "
                    f"state before going on from last_epoch={last_epoch}",
                    user_loc(),
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.begin()

    @property
    def groups(self) -> list[ParamGroup]:
        return self.optimizer.param_groups

    def begin(self) -> None:
        """Set the first rates."""
        self._step_count, self._initial = 0, True
        try:
            self.step()
        finally:
            self._initial = False

    def get_lr(self) -> list[float]:
        """The rates of all groups at `last_epoch`, from those before it."""
        raise TinyTorchError(f"{type(self).__name__} has no get_lr()", user_loc())

    def at_epoch(self) -> list[float]:
        """The rates at `last_epoch`, whatever came before it, where there is a formula for that."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The rates that were set last."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Set the rates of the next epoch (or of `epoch`); call it behind `optimizer.step()`. TraceError under
        tt.compile."""
        outside_of_traces(type(self).__name__)
        self._step_count += 1
        self.go_to(epoch)

    def go_to(self, epoch: int | None) -> None:
        if epoch is None:
            self.last_epoch += 1
            self.set_rates(self.get_lr())
        else:
            self.last_epoch = epoch
            self.set_rates(self.at_epoch())

    def set_rates(self, rates: list[float]) -> None:
        for group, rate in zip(self.groups, rates, strict=True):
            group.schedule_rate(rate)
        self._last_lr: list[float] = rates_of(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """All that the scheduler knows, but for the optimizer."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        vars(self).update(state_dict)


def outside_of_traces(name: str) -> None:
    if mode.trace is not None:
        raise TraceError(
            f"{name}: step() counts in Python; call it outside of the compiled function (the rate is state, so that "
            "nothing is compiled anew)",
            user_loc(),
        )


def optimizer_of(name: str, optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise arguments.wrong_type(name, "optimizer", "an Optimizer", optimizer)
    return optimizer


def rates_of(optimizer: Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def for_each_group(what: str, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """A setting of each group: a list of them, or one for all."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    values = cast("list[Any]", value)
    if len(values) != count:
        raise arguments.wrong_value(what, name, f"one number, or {count}, one for each group", value)
    return list(values)
