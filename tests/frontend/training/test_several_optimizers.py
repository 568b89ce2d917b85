"""Module 07: a Trainer with an optimizer for each kind of parameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.training.test_training import BOTH, Killed, assert_same, kill_after, network, points, values
from tinytorch.frontend.data import DataLoader


def optimizers_of(model: Any, rate: float = 0.02) -> list[Any]:
    """Muon for the matrices, Adam for the rest."""
    matrices = [p for p in model.parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    return [tt.Muon(matrices, lr=rate), tt.Adam(rest, lr=rate / 4, betas=(0.9, 0.99), eps=1e-10)]


def schedules() -> list[Any]:
    return [tt.CosineSchedule(0.02, 0.001, 5, 1), tt.CosineSchedule(0.005, 0.0, 4)]


def new_run(accumulate: int = 1, compiled: bool = True) -> tuple[Any, DataLoader]:
    tt.manual_seed(7)
    model = tt.Sequential(network(dropout=0.3), tt.Dropout(0.1))
    options: dict[str, Any] = {"compile": compiled, "accumulate": accumulate, "max_norm": 1.0, "schedule_by": "step"}
    trainer = tt.Trainer(model, optimizers_of(model), tt.CrossEntropyLoss(), schedule=schedules(), **options)
    return trainer, DataLoader(points(), 8, shuffle=True, seed=3)


@BOTH
def test_an_epoch_is_what_its_steps_are_by_hand(compiled: bool) -> None:
    model, twin = network(), network()
    trainer = tt.Trainer(model, optimizers_of(model), tt.CrossEntropyLoss(), compile=compiled, max_norm=0.1)
    trainer.train_epoch(DataLoader(points(), 8))
    muon, adam = optimizers_of(twin)
    for x, y in DataLoader(points(), 8):
        tt.CrossEntropyLoss()(twin(x), y).backward()
        tt.clip_grad_norm(twin.parameters(), 0.1)
        for optimizer in (muon, adam):
            optimizer.step()
            optimizer.zero_grad()
    for name, array in values(model).items():
        np.testing.assert_allclose(array, values(twin)[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert trainer.optimizer is trainer.optimizers[0] and len(trainer.optimizers) == 2


@BOTH
def test_each_has_its_schedule(compiled: bool) -> None:
    trainer, train = new_run(compiled=compiled)
    rates: list[list[float]] = []
    step = trainer.train_step

    def watched(*batch: Any) -> None:
        rates.append([optimizer.lr for optimizer in trainer.optimizers])
        step(*batch)

    trainer.train_step = watched
    history = trainer.fit(train, epochs=2)
    wanted = [[s.get_lr(i / len(train)) for s in schedules()] for i in range(2 * len(train))]
    np.testing.assert_allclose(rates, wanted, rtol=1e-6)
    assert [record["lr"] for record in history] == pytest.approx([rates[len(train) - 1][0], rates[-1][0]])
    if compiled:
        assert sum(map(len, step._known.values())) == 2  # the last batch is smaller


def test_a_schedule_for_one_of_them_leaves_the_other_rate() -> None:
    model = network()
    trainer = tt.Trainer(
        model, optimizers_of(model), tt.CrossEntropyLoss(), compile=False, schedule=[tt.CosineSchedule(0.3), None]
    )
    trainer.train_epoch(DataLoader(points(), 8))
    assert [optimizer.lr for optimizer in trainer.optimizers] == [0.3, 0.005]


@pytest.mark.parametrize(("accumulate", "saves", "compiled"), [(1, 1, True), (2, 2, True), (1, 3, False)])
def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path, accumulate: int, saves: int, compiled: bool) -> None:
    path = tmp_path / "run.safetensors"
    whole, train = new_run(accumulate, compiled)
    expected = whole.fit(train, epochs=3)
    state = whole._snapshot(train)
    killed, train = new_run(accumulate, compiled)
    kill_after(killed, saves)
    with pytest.raises(Killed):
        killed.fit(train, epochs=3, checkpoint=path, checkpoint_every=2)
    resumed, train = new_run(accumulate, compiled)
    tt.manual_seed(98)
    assert resumed.fit(train, epochs=3, checkpoint=path) == expected
    assert_same(resumed._snapshot(train).arrays, state.arrays)


def test_an_interrupted_step_is_taken_back_in_both() -> None:
    whole, train = new_run(compiled=False)
    whole.fit(train, epochs=1)
    trainer, train = new_run(compiled=False)
    adam = trainer.optimizers[1]
    step, done = adam.step, 0

    def interrupt() -> None:
        nonlocal done
        done += 1
        if done == 2:  # Muon has stepped, Adam has not
            raise KeyboardInterrupt
        step()

    object.__setattr__(adam, "step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(train, epochs=1)
    trainer.fit(train, epochs=1)
    assert_same(trainer._snapshot().arrays, whole._snapshot().arrays)


def test_a_checkpoint_of_other_optimizers_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    trainer, train = new_run(compiled=False)
    trainer.fit(train, epochs=1, checkpoint=path)
    for arrange in (
        lambda muon, adam: [adam, muon],
        lambda muon, adam: muon,
        lambda muon, adam: [muon, tt.Adam([{"params": [p]} for g in adam.param_groups for p in g.params])],
    ):
        model = tt.Sequential(network(dropout=0.3, seed=5), tt.Dropout(0.1))
        other = tt.Trainer(model, arrange(*optimizers_of(model)), tt.CrossEntropyLoss(), compile=False)
        before = other._snapshot()
        with pytest.raises(tt.TinyTorchError, match="does not fit this run"):
            other.load_checkpoint(path)
        after = other._snapshot()
        assert_same(after.arrays, before.arrays)
        assert after.state == before.state


def test_settings_given_as_lists_are_those_of_a_checkpoint(tmp_path: Path) -> None:
    """JSON knows no tuples."""
    model = network()

    def run() -> Any:
        rest = [p for p in model.parameters() if p.ndim < 2]
        muon = tt.Muon([p for p in model.parameters() if p.ndim == 2], ns_coefficients=[1.5, -0.5, 0.0])  # pyright: ignore
        return tt.Trainer(model, [muon, tt.AdamW(rest, betas=[0.9, 0.99])], tt.CrossEntropyLoss(), compile=False)  # pyright: ignore

    run().save_checkpoint(tmp_path / "run")
    trainer = run()
    trainer.load_checkpoint(tmp_path / "run")
    assert trainer.optimizers[1].param_groups[0]["betas"] == (0.9, 0.99)
