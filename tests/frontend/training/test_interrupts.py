"""Ctrl-C in `Trainer.fit`: wherever it comes, the run can be saved and resumed, or gone on with, to the same bits.

A few points of interruption in each kind of run; `pytest tests/frontend/training/test_interrupts.py --stress 50`
tries fifty times as many.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from tests.frontend.training.interrupts import EPOCHS, Interruption, Run, check
from tinytorch.frontend.data import DataLoader, TensorDataset
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.losses import MSELoss
from tinytorch.frontend.optimizers import SGD
from tinytorch.frontend.training import Trainer

TRAINING = (
    "frontend/training",
    "frontend/data/loader.py",
    "frontend/data/prefetch.py",
    "tinytorch/compiled/function.py",
)


@pytest.mark.parametrize(
    ("kind", "accumulate", "lines", "files"),
    [
        ("eager", 2, True, TRAINING),
        ("eager", 1, False, ("",)),
        ("llvm", 1, False, TRAINING),
        ("llvm", 2, True, TRAINING),
        ("interpreter", 1, True, TRAINING),
    ],
)
def test_an_interrupted_run_loses_nothing(
    kind: str,
    accumulate: int,
    lines: bool,
    files: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if kind != "eager":
        monkeypatch.setenv("TT_BACKEND", kind)
    points = 3 * request.config.getoption("--stress")
    check(kind != "eager", accumulate, lines, files, points, tmp_path / "run", random.Random(points))


@pytest.mark.parametrize("second", [1, 40, 400])
def test_what_an_interruption_leaves_is_made_good_also_after_a_second_one(
    second: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second Ctrl-C comes while what the first one left is taken back."""
    whole = Run(False)
    whole.fit()
    run = Run(False)
    settle, again = Trainer._settle, Interruption(second, True)

    def interrupted(trainer: Trainer) -> None:
        if trainer._undo is not None and not again.count:
            if again.run(lambda: settle(trainer)):
                raise KeyboardInterrupt
            raise AssertionError("the second interruption did not come")
        settle(trainer)

    monkeypatch.setattr(Trainer, "_settle", interrupted)
    step, done = run.trainer.optimizer.step, 0

    def interrupt() -> None:
        nonlocal done
        done += 1
        step()
        if done == 2:
            raise KeyboardInterrupt

    object.__setattr__(run.trainer.optimizer, "step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    assert again.count == second
    run.trainer.save_checkpoint(tmp_path / "run", run.train, run.val)
    resumed = Run(False)
    resumed.fit(checkpoint=tmp_path / "run")
    assert resumed.state() == whole.state()


def test_an_interrupted_epoch_goes_on_with_its_loader_only() -> None:
    x = np.ones((12, 1), np.float32)
    model = Linear(1, 1)
    trainer = Trainer(model, SGD(model.parameters(), lr=0.01), MSELoss(), compile=False)
    loader, other = (DataLoader(TensorDataset(x, x), 2) for _ in range(2))

    class Stops:
        def __iter__(self):
            for i, batch in enumerate(loader):
                if i == 2:
                    raise KeyboardInterrupt
                yield batch

    stops = Stops()
    with pytest.raises(KeyboardInterrupt):
        trainer.train_epoch(stops)
    assert (trainer.epoch, trainer.step) == (0, 2)
    trainer.train_epoch(other)
    assert (trainer.epoch, trainer.step) == (1, 8)


def test_a_loader_without_a_position_goes_on_behind_what_is_done() -> None:
    batches = list(DataLoader(TensorDataset(np.arange(12, dtype=np.float32).reshape(6, 2), np.zeros((6, 1), "f4")), 1))
    model = Linear(2, 1)
    seen: list[float] = []

    def loss(prediction, targets):
        seen.append(float(prediction.numpy()[0, 0]))
        if len(seen) == 4:
            raise KeyboardInterrupt
        return MSELoss()(prediction, targets)

    trainer = Trainer(model, SGD(model.parameters(), lr=0.0), loss, compile=False)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(batches, epochs=1)
    assert (trainer.epoch, trainer.step) == (0, 3)
    trainer.fit(batches, epochs=1)
    assert (trainer.epoch, trainer.step, len(seen)) == (1, 6, 7)
    assert seen[3] == seen[4]


def test_validation_that_is_interrupted_is_done_again(tmp_path: Path) -> None:
    whole = Run(False)
    whole.fit()
    run, evaluate = Run(False), 0

    def interrupt(*_batch: object) -> None:
        nonlocal evaluate
        evaluate += 1
        if evaluate == 2:
            raise KeyboardInterrupt
        step(*_batch)

    step, run.trainer.evaluate_step = run.trainer.evaluate_step, interrupt
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    assert (run.trainer.epoch, run.trainer.step, run.trainer.history) == (0, 4, [])
    run.trainer.save_checkpoint(tmp_path / "run", run.train, run.val)
    resumed = Run(False)
    resumed.fit(checkpoint=tmp_path / "run")
    assert resumed.state() == whole.state()
    assert len(resumed.trainer.history) == EPOCHS and os.path.exists(tmp_path / "run")
