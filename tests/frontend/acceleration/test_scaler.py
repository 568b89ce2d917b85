"""`GradScaler` and `MixedPrecisionTrainer`: the scale, steps that are left out, and runs that go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.nn import functional as F

X = np.random.default_rng(0).standard_normal((32, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


class Run:
    """A model with AdamW, and what a step changes."""

    def __init__(self, **options: Any) -> None:
        tt.manual_seed(1)
        self.model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
        self.optimizer = tt.AdamW(self.model.parameters(), lr=0.01)
        self.scaler = tt.amp.GradScaler(**options)

    def step(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        with tt.autocast("cpu", dtype=tt.float16):
            loss = F.cross_entropy(self.model(x), y)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss, norm

    def state(self) -> list[np.ndarray[Any, Any]]:
        states = [t for state in self.optimizer.state for t in state.values()]
        return [t.numpy().copy() for t in (*self.model.parameters(), *states)]


@pytest.mark.parametrize("compiled", [False, True])
def test_the_scale_grows_halves_and_leaves_out_steps(compiled: bool) -> None:
    run = Run(init_scale=1024.0, growth_interval=3)
    step = tt.compile(run.step) if compiled else run.step
    x, y = tt.tensor(X), tt.tensor(Y)
    first = [float(step(x, y)[0]) for _ in range(4)]
    assert run.scaler.get_scale() == 2048.0 and first == sorted(first, reverse=True)
    before = run.state()
    infinite = x.clone()
    infinite[0, 0] = float("inf")
    step(infinite, y)
    assert run.scaler.get_scale() == 1024.0
    for old, new in zip(before, run.state(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert run.scaler.state_dict()["_growth_tracker"] == 0
    for _ in range(3):
        step(x, y)
    assert run.scaler.get_scale() == 2048.0
    assert any((old != new).any() for old, new in zip(before, run.state(), strict=True))


def test_eager_and_compiled_steps_are_alike_and_gradients_unscaled_before_clipping() -> None:
    x, y = tt.tensor(X), tt.tensor(Y)
    runs = [Run(init_scale=512.0) for _ in range(2)]
    compiled = tt.compile(runs[1].step)
    for _ in range(3):
        eager, traced = runs[0].step(x, y), compiled(x, y)
        np.testing.assert_allclose(traced[1].numpy(), eager[1].numpy(), rtol=1e-2)
        assert float(eager[1]) < 2  # scaled it would be hundreds
    for a, b in zip(runs[0].state(), runs[1].state(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=2e-3)


def test_only_an_enabled_scaler_asks_for_the_cpu() -> None:
    assert tt.amp.GradScaler("cuda", enabled=False).get_scale() == 1
    with pytest.raises(tt.TinyTorchError, match='the only device is "cpu"'):
        tt.amp.GradScaler("cuda")


def test_parts_of_a_step_in_compiled_functions() -> None:
    """Tensors say how far a step is: gradients that one function has unscaled are not divided again by another."""
    run, plain = Run(init_scale=64.0), Run(enabled=False)
    x, y = tt.tensor(X), tt.tensor(Y)

    @tt.compile
    def gradients() -> None:
        run.scaler.scale(F.cross_entropy(run.model(x), y)).backward()

    unscale, step = (
        tt.compile(lambda: run.scaler.unscale_(run.optimizer)),
        tt.compile(lambda: run.scaler.step(run.optimizer)),
    )
    for _ in range(2):
        for each in (run, plain):
            each.optimizer.zero_grad()
        plain.scaler.scale(F.cross_entropy(plain.model(x), y)).backward()
        plain.scaler.step(plain.optimizer)
        gradients()
        unscale()
        np.testing.assert_allclose(
            run.model[0].weight.grad.numpy(), plain.model[0].weight.grad.numpy(), rtol=1e-4, atol=1e-6
        )
        step()
        run.scaler.update()
    for a, b in zip(run.state(), plain.state(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_torch_has_the_same_scales() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (
        t.amp.GradScaler(device="cpu", init_scale=4.0, growth_factor=3.0, backoff_factor=0.25, growth_interval=2)
        for t in (tt, torch)
    )
    scales: list[list[float]] = []
    for t, scaler in ((tt, ours), (torch, theirs)):
        p = t.ones(2, requires_grad=True)
        optimizer = t.optim.SGD([p], lr=0.5)
        found: list[float] = []
        for factor in (1.0, 2.0, float("inf"), 1.0, 1.0, float("nan"), 3.0):
            optimizer.zero_grad()
            scaler.scale((p * factor).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
            found += [scaler.get_scale(), *p.detach().numpy().tolist()]
        scales.append([*found, *scaler.state_dict().values()])
    assert scales[0] == scales[1]
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ours.load_state_dict(theirs.state_dict())


def test_wrong_uses() -> None:
    run = Run()
    run.optimizer.zero_grad()
    with pytest.raises(tt.TinyTorchError, match="no parameter has a gradient"):
        run.scaler.step(run.optimizer)
    with pytest.raises(tt.TinyTorchError, match="no gradient was looked at"):
        run.scaler.update()
    F.cross_entropy(run.model(tt.tensor(X)), tt.tensor(Y)).backward()
    run.scaler.unscale_(run.optimizer)
    with pytest.raises(tt.TinyTorchError, match="unscaled since the last update"):
        run.scaler.unscale_(run.optimizer)
    run.scaler.step(run.optimizer)
    with pytest.raises(tt.TinyTorchError, match="since the last update"):
        run.scaler.step(run.optimizer)
    half = nn.Linear(2, 2).half()
    half(tt.ones(1, 2, dtype=tt.float16)).sum().backward()
    with pytest.raises(tt.TinyTorchError, match="gradients are f16"):
        run.scaler.unscale_(tt.SGD(half.parameters()))
    with pytest.raises(tt.TinyTorchError, match="growth_factor"):
        tt.amp.GradScaler(growth_factor=1.0)
    with pytest.raises(tt.TinyTorchError, match="init_scale"):
        tt.amp.GradScaler(init_scale=float("inf"))
    with pytest.raises(tt.TinyTorchError, match="a state has"):
        run.scaler.load_state_dict({"scale": 2.0})


# The trainer.
def loader() -> Any:
    return tt.DataLoader(tt.TensorDataset(tt.tensor(X), tt.tensor(Y)), 8)


def trainer(**options: Any) -> tt.MixedPrecisionTrainer:
    tt.manual_seed(2)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    return tt.MixedPrecisionTrainer(model, tt.AdamW(model.parameters(), lr=0.02), progress=False, **options)


def weights(t: tt.MixedPrecisionTrainer) -> list[np.ndarray[Any, Any]]:
    return [p.numpy().copy() for p in t.model.parameters()]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [tt.bfloat16, tt.float16])
def test_it_trains(compiled: bool, dtype: Any) -> None:
    t = trainer(dtype=dtype, compile=compiled, max_norm=1.0, growth_interval=4)
    first = t.train_epoch(loader())
    for _ in range(4):
        last = t.train_epoch(loader())
    assert last.loss < first.loss - 0.1 and t.step == 20 and t.loss_scale == 1024 * 2**5
    assert t.evaluate(loader()).accuracy > 0.8
    assert all(p.dtype is tt.float32 for p in t.model.parameters())


@pytest.mark.parametrize("accumulate", [1, 2])
def test_overflow_leaves_everything_as_it_was(accumulate: int) -> None:
    t = trainer(loss_scale=2.0**126, dtype=tt.float16, accumulate=accumulate)
    before, moments = weights(t), [m.numpy().copy() for s in t.optimizer.state for m in s.values()]
    t.train_epoch(loader())
    assert t.step == 0 and t.loss_scale == 2.0 ** (126 - 4 // accumulate)
    for old, new in zip(before, weights(t), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, m in zip(moments, (m for s in t.optimizer.state for m in s.values()), strict=True):
        np.testing.assert_array_equal(old, m.numpy())


def test_runs_go_on(tmp_path: Path) -> None:
    """From a checkpoint, and from `state_dict`, with the same bits."""
    whole = trainer(growth_interval=3)
    whole.fit(loader(), epochs=2)
    whole.save_checkpoint(tmp_path / "run")
    kept = {
        "model": {k: v.clone() for k, v in whole.model.state_dict().items()},
        "optimizers": [
            {**o.state_dict(), "state": {i: {k: v.clone() for k, v in s.items()} for i, s in enumerate(o.state)}}
            for o in whole.optimizers
        ],
        **{k: v for k, v in whole.state_dict().items() if k not in ("model", "optimizers")},
    }
    whole.fit(loader(), epochs=3)
    for how in ("checkpoint", "state_dict"):
        again = trainer(growth_interval=3)
        if how == "checkpoint":
            again.load_checkpoint(tmp_path / "run")
        else:
            again.load_state_dict(kept)
        again.fit(loader(), epochs=3)
        assert (again.loss_scale, again.step, again.epoch) == (whole.loss_scale, whole.step, whole.epoch)
        for a, b in zip(weights(again), weights(whole), strict=True):
            np.testing.assert_array_equal(a, b)


def test_wrong_trainers(tmp_path: Path) -> None:
    narrow = nn.Linear(2, 2).to(tt.bfloat16)
    with pytest.raises(tt.TinyTorchError, match="f32 master weights"):
        tt.MixedPrecisionTrainer(narrow, tt.SGD(narrow.parameters()))
    with pytest.raises(tt.TinyTorchError, match="loss_scale"):
        trainer(loss_scale=0)
    plain = nn.Linear(6, 2)
    other = tt.Trainer(plain, tt.SGD(plain.parameters()), nn.CrossEntropyLoss(), progress=False)
    other.train_epoch(loader())
    other.save_checkpoint(tmp_path / "plain")
    with pytest.raises(tt.TinyTorchError, match="no loss scale"):
        trainer().load_checkpoint(tmp_path / "plain")
