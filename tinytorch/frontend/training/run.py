"""The state of a training run: where it stands, how an interrupted step is taken back, and what is saved and loaded.

`Counts` has what is done. All that steps change is `_state`, so that a copy of it undoes a step, and a file of it goes
on with a run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict
from os import PathLike
from typing import Any

from tinytorch.frontend.module import Module
from tinytorch.frontend.module.tracked import recording
from tinytorch.frontend.optimizers import Optimizer
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.training.checkpoint import (
    Checkpoint,
    does_not_fit,
    generators_of,
    load_generators,
    load_optimizer_state,
    load_optimizers,
    optimizer_arrays,
    optimizer_groups,
    under,
)
from tinytorch.frontend.training.position import Counts, FinishedEpoch, Places, Undo
from tinytorch.frontend.training.schedule import EarlyStopping
from tinytorch.frontend.training.steps import (
    AccumulateStep,
    Totals,
)
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array

ANY_LOADER = object()  # a checkpoint goes on with whatever loader it is given


class Run:
    """A model and its optimizers, and how far training them is. `epoch` counts finished epochs, `step` updates;
    `history` and `seconds` are a trainer's."""

    def __init__(self, model: Module, optimizers: list[Optimizer], early_stopping: EarlyStopping | None) -> None:
        self.model, self.optimizers, self.early_stopping = model, optimizers, early_stopping
        self.epoch, self.seconds = 0, 0.0
        self.history: list[dict[str, Any]] = []
        self._totals, self._counts = Totals(), Counts()
        self._sums: AccumulateStep | None = None  # of gradients, where several batches make an update
        self._counted = -1  # the epoch whose batches `_counts` counts
        self._goes_on: Any = None  # the loader with which an interrupted epoch goes on; or ANY_LOADER
        self._skip = 0  # batches that a loader without a state must give again before a resumed epoch goes on
        self._places = Places()
        self._whole = False  # whether nothing can interrupt a step
        self._undo: Undo | None = None  # for the step that runs
        self._finished: FinishedEpoch | None = None  # until all of it is in its place
        self._best: dict[str, Array] = {}

    @property
    def step(self) -> int:
        """Updates of the weights."""
        return self._counts.updates

    @property
    def _batch(self) -> int:
        """Batches of this epoch that are done."""
        return self._counts.batches if self._counted == self.epoch else 0

    def _begin(self, dataloader: Iterable[Any]) -> None:
        """Start an epoch, or go on with the one of a checkpoint, or with an interrupted one."""
        self._settle()
        if self._goes_on is dataloader:
            self._skip = 0 if self._places.go_back(dataloader, self._batch) else self._batch
        elif self._goes_on is not ANY_LOADER:
            self._places.forget()
            self._counted = -1
        self._goes_on = None
        if self._counted != self.epoch:
            self._skip = 0
            self._totals.set([0, 0, 0, 0])
            self._counts.set(0, 0, self.step)
            if self._sums is not None:
                self._sums.clear()
            self._counted = self.epoch

    # Interruptions.
    def _run(self, step: Callable[..., None], *args: Any) -> None:
        """Run a step that counts itself last; `_settle` undoes what is left of one that was interrupted."""
        if not self._whole:
            self._undo = Undo(self._counts.values, {name: array.copy() for name, array in self._state().items()})
        step(*args)
        self._undo = None

    @contextmanager
    def _interruptible(self, dataloader: Iterable[Any]) -> Generator[None]:
        """Around the epochs with a loader: whatever interrupts them, they can be saved or gone on with afterwards."""
        with_grad, autocast = mode.grad, mode.autocast
        try:
            yield
        except BaseException as error:
            # What interrupted a clean-up has left these as they were inside.
            mode.trace, mode.grad, mode.autocast, recording.recorder = None, with_grad, autocast, None
            if not isinstance(error, Exception) and self._counted == self.epoch:
                self._goes_on = dataloader
            self._settle()
            raise

    def _settle(self) -> None:
        """Take back a step that was interrupted; put in place what an epoch that is done leaves. If this is
        interrupted in its turn, the next call does it."""
        undo, done = self._undo, self._finished
        if undo is not None:
            if undo.counts == self._counts.values:
                self._load_state(Checkpoint(undo.arrays, {}))
            self._undo = None
        if done is not None:
            self.history[:] = done.history
            if self.early_stopping is not None and done.stopping is not None:
                vars(self.early_stopping).update(vars(done.stopping))
            self._best = done.best
            self.epoch = done.epoch
            self._places.forget()
            self._finished = None

    def _state(self) -> dict[str, Array]:
        """The arrays that steps change."""
        parts = {
            "model": self.model.state_dict(),
            "optimizer": optimizer_arrays(self.optimizers),
            "generator": {name: g.state for name, g in generators_of(self.model).items()},
        }
        found = {f"{part}.{name}": t.numpy() for part, tensors in parts.items() for name, t in tensors.items()}
        sums = {} if self._sums is None else self._sums.arrays()
        return {**found, "totals": self._totals.values, **{f"sums.{name}": array for name, array in sums.items()}}

    def _load_state(self, saved: Checkpoint) -> None:
        """The inverse, but for the settings of the optimizers."""
        self.model.load_state_dict(saved.part("model"))
        load_optimizer_state(self.optimizers, saved.part("optimizer"))
        load_generators(generators_of(self.model), saved.part("generator"))
        self._totals.set(saved.arrays["totals"])
        if self._sums is not None:
            self._sums.load(saved.part("sums"))

    # Checkpoints.
    def save_checkpoint(
        self,
        path: str | PathLike[str],
        train_loader: Iterable[Any] | None = None,
        val_loader: Iterable[Any] | None = None,
    ) -> None:
        """Write the whole state of the run to `path`: model, optimizer, random generators, counters, history, early
        stopping and the positions of the loaders. The file appears whole or not at all, and the old one stays until
        then."""
        self._snapshot(train_loader, val_loader).save(path)

    def load_checkpoint(
        self,
        path: str | PathLike[str],
        train_loader: Iterable[Any] | None = None,
        val_loader: Iterable[Any] | None = None,
    ) -> None:
        """Go on exactly where `save_checkpoint` was called. On any error everything is as it was before."""
        loaders = (train_loader, val_loader)
        saved, before, goes_on, skip = Checkpoint.load(path), self._snapshot(*loaders), self._goes_on, self._skip
        try:
            self._restore(saved, *loaders)
        except BaseException as error:
            self._restore(before, *loaders)
            self._goes_on, self._skip = goes_on, skip
            if isinstance(error, Exception):
                raise does_not_fit(path, error) from error
            raise

    def _snapshot(self, *loaders: Any) -> Checkpoint:
        self._settle()
        pending = self._counts.pending if self._batch else 0
        arrays = under("best", self._best)
        for name, array in self._state().items():
            if pending or not name.startswith("sums."):
                arrays[name] = array.copy()
        state = {
            "epoch": self.epoch,
            "batch": self._batch,
            "pending": pending,
            "step": self.step,
            "seconds": self.seconds,
            "history": list(self.history),
            "param_groups": optimizer_groups(self.optimizers),
            "early_stopping": None if self.early_stopping is None else asdict(self.early_stopping),
            "loaders": [self._places.of(x, self._batch) for x in loaders],
        }
        return Checkpoint(arrays, state)

    def _restore(self, saved: Checkpoint, *loaders: Any) -> None:
        state = saved.state
        for loader, position in zip(loaders, state["loaders"], strict=True):
            if hasattr(loader, "load_state_dict") and position is not None:
                loader.load_state_dict(position)
        self.model.load_state_dict(saved.part("model"))
        load_optimizers(self.optimizers, saved.part("optimizer"), state["param_groups"])
        load_generators(generators_of(self.model), saved.part("generator"))
        self._totals.set(saved.arrays["totals"])
        self._load_sums(saved, state["pending"])
        self._best = saved.part("best")
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.history[:] = state["history"]
        batch = state["batch"]
        self._counts.set(batch, state["pending"], state["step"])
        self._counted, self._goes_on = (self.epoch, ANY_LOADER) if batch else (-1, None)
        placed = hasattr(loaders[0], "load_state_dict") and state["loaders"][0] is not None
        self._skip = 0 if placed else batch
        self._places.forget()
        if placed:
            self._places.note(loaders[0], batch, state["loaders"][0])
        if self.early_stopping is not None and state["early_stopping"] is not None:
            for name in ("best", "best_epoch", "waited"):
                setattr(self.early_stopping, name, state["early_stopping"][name])

    def _load_sums(self, saved: Checkpoint, pending: int) -> None:
        sums = saved.part("sums")
        if self._sums is not None:
            self._sums.load(sums) if sums else self._sums.clear()
        elif pending:
            raise TinyTorchError(
                f"{pending} batches wait for an update, but this run does not accumulate gradients", user_loc()
            )
