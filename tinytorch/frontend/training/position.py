"""Where a run stands, so that an interruption between any two instructions leaves it before a step or behind it.

A step counts itself in one tensor of state: as the last of what it changes, and in a compiled step in the same native
call as all the rest. What that tensor says is so; all else of a run is noted for both answers beforehand.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.training.schedule import EarlyStopping
from tinytorch.ir.op import Array


class Counts:
    """i64[3]: batches of the epoch that are done, those among them whose gradients wait for an update, and updates in
    all."""

    def __init__(self) -> None:
        self.tensor = Tensor.wrap(np.zeros(3, np.int64))
        self.tensor.name = "counts"

    def add(self, batches: int = 0, pending: int = 0, updates: int | Tensor | None = None) -> None:
        """Count in a step; an update leaves nothing pending, also one that was left out and so counts as 0."""
        kept = np.array([1, 1 if updates is None else 0, 1])
        with grad_mode(False):
            counted = self.tensor * kept + np.array([batches, pending, 0])
            if updates is not None:
                counted = counted + np.array([0, 0, 1]) * updates
            self.tensor.copy_(counted)

    def set(self, batches: int, pending: int, updates: int) -> None:
        self.tensor.copy_(Tensor(np.array([batches, pending, updates])))

    @property
    def values(self) -> list[int]:
        return self.tensor.numpy().tolist()

    @property
    def batches(self) -> int:
        return self.values[0]

    @property
    def pending(self) -> int:
        return self.values[1]

    @property
    def updates(self) -> int:
        return self.values[2]


def runs_as_one(step: Callable[..., Any], state: Iterable[Array]) -> bool:
    """Whether a step changes all of `state` in one native call, which nothing interrupts; eagerly it does not."""
    native = not getattr(step, "interruptible", True)
    return native and all(array.flags.c_contiguous and array.flags.aligned for array in state)


@dataclass(frozen=True)
class Undo:
    """Copies of all that a step may change, from before it; and what had been counted."""

    counts: list[int]
    arrays: dict[str, Array]


@dataclass(frozen=True)
class FinishedEpoch:
    """What an epoch leaves when it is done: putting it in place can be begun again."""

    epoch: int
    history: list[dict[str, Any]]
    stopping: EarlyStopping | None
    best: dict[str, Array]


class Places:
    """Positions of the loaders in an epoch, as they were when the batches that count were done."""

    def __init__(self) -> None:
        self._training: tuple[Any, dict[int, Any]] | None = None  # by number of batches
        self._testing: tuple[Any, Any] | None = None

    def training(self, loader: Iterable[Any], done: int, skip: int) -> Iterator[Any]:
        """The batches of an epoch of which `done` are done, without the first `skip`; notes where the loader is."""
        batches = iter(loader)
        for _ in islice(batches, skip):
            pass
        before = _position(loader)
        self._training = loader, {done: before}
        for batch in batches:
            after = _position(loader)
            self._training = loader, {done: before, done + 1: after}
            yield batch
            before, done = after, done + 1

    def testing(self, loader: Iterable[Any]) -> Iterator[Any]:
        """The batches of a validation, which begins anew if it was interrupted."""
        if self._testing is not None and self._testing[0] is loader:
            _go_to(loader, self._testing[1])
        batches = iter(loader)
        self._testing = loader, _position(loader)
        yield from batches

    def go_back(self, loader: Iterable[Any], done: int) -> bool:
        """Put a loader where it was when `done` batches of the epoch were done; False if that cannot be."""
        if self._training is None or self._training[0] is not loader:
            return False
        return _go_to(loader, self._training[1].get(done))

    def of(self, loader: Any, done: int) -> Any:
        """The position to save for a loader in the midst of an epoch."""
        if self._training is not None and self._training[0] is loader and done in self._training[1]:
            return self._training[1][done]
        if self._testing is not None and self._testing[0] is loader:
            return self._testing[1]
        return _position(loader)

    def note(self, loader: Any, done: int, position: Any) -> None:
        """A loader was put where it was when `done` batches of the epoch were done."""
        self._training = loader, {done: position}

    def forget(self) -> None:
        """The epoch is done: the loaders are where they should be."""
        self._training = self._testing = None


def _position(loader: Any) -> Any:
    return copy.copy(loader.state_dict()) if hasattr(loader, "state_dict") else None


def _go_to(loader: Any, position: Any) -> bool:
    if position is None or not hasattr(loader, "load_state_dict"):
        return False
    loader.load_state_dict(position)
    return True
