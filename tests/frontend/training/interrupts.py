"""Interruptions at a chosen instruction, and runs that have something to lose by them."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import tinytorch
from tinytorch.frontend.activations import ReLU
from tinytorch.frontend.data import DataLoader, TensorDataset
from tinytorch.frontend.functions.random import Generator, get_state, manual_seed, set_state
from tinytorch.frontend.layers import Dropout, Linear
from tinytorch.frontend.losses import CrossEntropyLoss
from tinytorch.frontend.module.containers import Sequential
from tinytorch.frontend.optimizers import AdamW
from tinytorch.frontend.spatial import BatchNorm2d
from tinytorch.frontend.training import CosineSchedule, EarlyStopping, Trainer

PACKAGE = os.path.dirname(tinytorch.__file__)
EPOCHS = 2


class Interruption:
    """Raises KeyboardInterrupt at event number `at` of the package's code in this thread, and counts the events.

    `lines`: before a line; else where Python looks for signals: when a function is entered, or has called another one.
    `files` are parts of paths: only code in such files counts.
    """

    def __init__(self, at: int, lines: bool, files: tuple[str, ...] = ("",)) -> None:
        self.at, self.lines, self.files = at, lines, files
        self.count = 0

    def _counts(self, frame: FrameType) -> bool:
        name = frame.f_code.co_filename
        return name.startswith(PACKAGE) and any(part in name for part in self.files)

    def _event(self) -> None:
        self.count += 1
        if self.count == self.at:
            raise KeyboardInterrupt

    def _trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if not self._counts(frame):
            return None
        if event == "line":
            self._event()
        return self._trace

    def _profile(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event in ("call", "c_return") and self._counts(frame):
            self._event()

    def run(self, work: Callable[[], object]) -> bool:
        """Do `work`; whether it was interrupted."""
        watch = (sys.gettrace, sys.settrace) if self.lines else (sys.getprofile, sys.setprofile)
        before = watch[0]()
        try:
            watch[1](self._trace if self.lines else self._profile)
            work()
        except KeyboardInterrupt:
            return True
        finally:
            watch[1](before)
        return False


def check(
    compiled: bool, accumulate: int, lines: bool, files: tuple[str, ...], points: int, path: Path, rng: random.Random
) -> None:
    """Interrupt a run at some points; each time it ends as one that was never interrupted: saved and resumed by a new
    trainer, and gone on with."""
    whole = Run(compiled, accumulate)
    events = Interruption(0, lines, files)
    assert not events.run(whole.fit)
    expected = whole.state()
    interrupted = 0
    for at in rng.sample(range(1, events.count + 1), points):
        run = Run(compiled, accumulate)
        if not Interruption(at, lines, files).run(run.fit):
            continue  # the last events are those of garbage
        interrupted += 1
        run.trainer.save_checkpoint(path, run.train, run.val)
        drawn = get_state()
        resumed = Run(compiled, accumulate)
        resumed.fit(checkpoint=path)
        assert resumed.state() == expected, f"resumed, interrupted at {at} of {events.count}"
        set_state(drawn)
        run.fit()
        assert run.state() == expected, f"gone on with, interrupted at {at} of {events.count}"
        path.unlink()
    assert interrupted > 0, f"none of {points} interruptions at one of {events.count} events came"


class Run:
    """A small run in which everything has a state: dropout, running statistics, moments, shuffling, a schedule, early
    stopping, and with `accumulate` sums of gradients."""

    def __init__(self, compiled: bool, accumulate: int = 1) -> None:
        manual_seed(7)
        generator = Generator(0)
        layers = [Linear(4, 8, generator=generator), ReLU(), Dropout(0.3, generator=generator), _Norm(), Dropout(0.1)]
        model = Sequential(*layers, Linear(8, 3, generator=generator))
        self.trainer = Trainer(
            model,
            AdamW(model.parameters(), lr=0.02),
            CrossEntropyLoss(),
            compile=compiled,
            accumulate=accumulate,
            max_norm=1.0,
            schedule=CosineSchedule(0.02, 0.001, 5, 1),
            schedule_by="step",
            early_stopping=EarlyStopping(patience=3),
        )
        self.train = DataLoader(_points(26, 0), 8, shuffle=True, seed=3, prefetch=0)
        self.val = DataLoader(_points(12, 1), 8, shuffle=True, prefetch=0)

    def fit(self, **options: Any) -> None:
        self.trainer.fit(self.train, self.val, epochs=EPOCHS, **options)

    def state(self) -> dict[str, Any]:
        """All that there is at the end, but for the time that it took."""
        snapshot = self.trainer._snapshot(self.train, self.val)
        return {**snapshot.state, "seconds": 0, **{name: array.tolist() for name, array in snapshot.arrays.items()}}


class _Norm(BatchNorm2d):
    """Batch normalization of rows."""

    def __init__(self) -> None:
        super().__init__(8)

    def forward(self, x: Any) -> Any:
        return super().forward(x.reshape(len(x), 8, 1, 1)).reshape(len(x), 8)


def _points(count: int, seed: int) -> TensorDataset:
    rng = np.random.default_rng(seed)
    return TensorDataset(rng.normal(size=(count, 4)).astype(np.float32), rng.integers(0, 3, count))
