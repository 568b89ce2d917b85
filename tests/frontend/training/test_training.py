"""Module 07: steps, schedules, early stopping, and runs that are killed and resumed."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from tinytorch.compile import compile
from tinytorch.frontend.activations import ReLU
from tinytorch.frontend.autograd import no_grad
from tinytorch.frontend.data import DataLoader, TensorDataset
from tinytorch.frontend.functions.random import Generator, manual_seed
from tinytorch.frontend.layers import Dropout, Linear
from tinytorch.frontend.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from tinytorch.frontend.module import Parameter
from tinytorch.frontend.module.containers import Sequential
from tinytorch.frontend.optimizers import SGD, AdamW
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.training import (
    CosineSchedule,
    EarlyStopping,
    Metrics,
    Trainer,
    binary_hits,
    clip_grad_norm,
)
from tinytorch.ir.errors import ShapeError, TinyTorchError

BOTH = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])


def points(count=44, seed=0):
    """Points of three classes in four dimensions."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    x = rng.normal(size=(count, 4)).astype(np.float32) + 2 * np.eye(4, dtype=np.float32)[labels]
    return TensorDataset(x, labels)


def network(seed=0, dropout=0.0):
    generator = Generator(seed)
    layers = [Linear(4, 8, generator=generator), ReLU(), Linear(8, 3, generator=generator)]
    if dropout:
        layers.insert(2, Dropout(dropout, generator=generator))
    return Sequential(*layers)


def trainer_of(model, lr=0.05, **options):
    return Trainer(model, SGD(model.parameters(), lr=lr), CrossEntropyLoss(), **options)


def values(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# Epochs.
@BOTH
def test_an_epoch_is_what_its_steps_are_by_hand(compiled):
    model, twin = network(), network()
    trainer = trainer_of(model, compile=compiled)
    metrics = trainer.train_epoch(DataLoader(points(), 8))
    optimizer, loss_fn = SGD(twin.parameters(), lr=0.05), CrossEntropyLoss()
    total, hits, sizes = 0.0, 0, []
    for x, y in DataLoader(points(), 8):
        optimizer.zero_grad()
        scores = twin(x)
        loss = loss_fn(scores, y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
        hits += int((scores.numpy().argmax(1) == y.numpy()).sum())
        sizes.append(len(x))
    assert sizes == [8, 8, 8, 8, 8, 4]
    assert trainer.step == 6 and trainer.epoch == 1
    assert metrics.loss == pytest.approx(total / 44, rel=1e-6)
    assert metrics.accuracy == hits / 44
    for name, array in values(model).items():
        np.testing.assert_allclose(array, values(twin)[name], rtol=1e-5, atol=1e-6)


@BOTH
def test_training_learns_and_evaluation_changes_nothing(compiled):
    model = network(dropout=0.2)
    trainer = trainer_of(model, compile=compiled)
    loader = DataLoader(points(), 8, shuffle=True)
    first = trainer.train_epoch(loader)
    for _ in range(6):
        last = trainer.train_epoch(loader)
    assert last.loss < 0.6 * first.loss
    before = values(model)
    metrics = trainer.evaluate(DataLoader(points(60, 1), 16))
    assert metrics == trainer.evaluate(DataLoader(points(60, 1), 16))
    assert metrics.accuracy > 0.8
    assert all(module.training for module in model.modules())
    assert_same(values(model), before)


def test_evaluation_keeps_each_modules_mode():
    model = network(dropout=0.5)
    model[2].eval()
    trainer_of(model, compile=False).evaluate(DataLoader(points(), 8))
    assert [m.training for m in model] == [True, True, False, True]


def test_a_new_rate_and_the_last_batch_compile_nothing_anew():
    model = network()
    trainer = trainer_of(model, schedule=CosineSchedule(0.1, 0.01, 10), schedule_by="step")
    loader = DataLoader(points(), 8)
    trainer.train_epoch(loader)
    known = [id(item) for items in trainer.train_step._known.values() for item in items]
    trainer.train_epoch(loader)
    trainer.evaluate(loader)
    trainer.train_epoch(loader)
    assert len(known) == 2
    assert [id(item) for items in trainer.train_step._known.values() for item in items] == known


def test_regression_has_no_accuracy_and_binary_hits_give_one():
    x = np.linspace(-1, 1, 32, dtype=np.float32).reshape(-1, 1)
    model = Linear(1, 1, generator=Generator(0))
    trainer = Trainer(model, SGD(model.parameters(), lr=0.1), MSELoss())
    assert trainer.train_epoch(DataLoader(TensorDataset(x, 3 * x), 8)).accuracy is None
    labels = (x > 0).astype(np.float32)
    trainer = Trainer(model, SGD(model.parameters(), lr=0.5), BCEWithLogitsLoss(), hits=binary_hits(0.0))
    for _ in range(5):
        trainer.train_epoch(DataLoader(TensorDataset(x, labels), 8))
    assert trainer.evaluate(DataLoader(TensorDataset(x, labels), 8)).accuracy > 0.95


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_loss_that_is_not_finite_leaves_the_accuracy(value, compiled):
    model = Linear(2, 2)
    with no_grad():
        model.weight.copy_(Tensor([[1.0, 0.0], [-1.0, 0.0]]))
        model.bias.zero_()

    def loss(prediction, targets):
        return (prediction * 0).sum() + value

    trainer = Trainer(model, SGD(model.parameters(), lr=0.1), loss, compile=compiled)
    x, y = Tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]]), Tensor([0, 0, 1, 1])
    metrics = trainer.evaluate(DataLoader(TensorDataset(x, y), 2))
    assert metrics.accuracy == 0.75 and (metrics.loss == value or np.isnan([metrics.loss, value]).all())


# Accumulation and clipping.
@BOTH
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_accumulation_equals_a_large_batch(compiled, reduction):
    def run(batch, accumulate, **options):
        model = network()
        optimizer = SGD(model.parameters(), lr=0.05 if reduction == "mean" else 0.002)
        trainer = Trainer(model, optimizer, CrossEntropyLoss(reduction=reduction), accumulate=accumulate, **options)
        for _ in range(2):
            metrics = trainer.train_epoch(DataLoader(points(), batch))
        return trainer, metrics, values(model)

    large, expected, weights = run(24, 1, compile=False, max_norm=0.5)
    small, metrics, got = run(6, 4, compile=compiled, max_norm=0.5)
    assert small.step == large.step == 4
    assert metrics.loss == pytest.approx(expected.loss, rel=1e-5)
    for name in weights:
        np.testing.assert_allclose(got[name], weights[name], rtol=2e-5, atol=2e-6)


@BOTH
def test_accumulation_leaves_unused_parameters_alone(compiled):
    model = network()
    model.unused = Parameter(np.ones(3, np.float32))
    optimizer = SGD(model.parameters(), lr=0.1, weight_decay=0.5)
    trainer = Trainer(model, optimizer, CrossEntropyLoss(), accumulate=2, compile=compiled)
    trainer.train_epoch(DataLoader(points(), 8))
    np.testing.assert_array_equal(model.unused.numpy(), 1)


CLIPPED = [
    [[3.0, 4.0], [[1.0, -2.0], [0.5, 0.0]]],
    [[1e-3, 2e-3], [[0.0, 0.0], [0.0, 1e-4]]],
    [[math.inf, 1.0], [[1.0, 2.0], [3.0, 4.0]]],
    [[math.nan, 1.0], [[1.0, 2.0], [3.0, 4.0]]],
]


@BOTH
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("gradients", CLIPPED)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_clipping_equals_torch(compiled, norm_type, gradients):
    torch = pytest.importorskip("torch")
    arrays = [np.array(g, np.float32) for g in gradients]
    params = [Tensor(np.zeros_like(a), requires_grad=True) for a in arrays]
    others = [torch.zeros(a.shape, requires_grad=True) for a in arrays]
    for p, q, a in zip(params, others, arrays, strict=True):
        p.grad, q.grad = Tensor(a), torch.tensor(a)
    clip = compile(clip_grad_norm) if compiled else clip_grad_norm
    ours = clip([*params, Tensor([1.0], requires_grad=True)], 1.5, norm_type)
    theirs = torch.nn.utils.clip_grad_norm_(others, 1.5, norm_type)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
    for p, q in zip(params, others, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-6)


@BOTH
@pytest.mark.parametrize(("norm_type", "norm"), [(2.0, 13.0), (1.0, 19.0), (3.0, 1819 ** (1 / 3)), (math.inf, 12.0)])
def test_clipping_keeps_the_direction_and_lengthens_nothing(compiled, norm_type, norm):
    arrays = [np.array([[3.0, 0.0]], np.float32), np.array([4.0, -12.0], np.float32)]
    clip = compile(clip_grad_norm) if compiled else clip_grad_norm
    for most, factor in ((norm / 4, 0.25), (2 * norm, 1.0)):
        params = [Tensor(np.zeros_like(a), requires_grad=True) for a in arrays]
        for p, a in zip(params, arrays, strict=True):
            p.grad = Tensor(a.copy())
        held = [p.grad for p in params]
        assert clip(params, most, norm_type).item() == pytest.approx(norm, rel=1e-6)
        for grad, a in zip(held, arrays, strict=True):  # in place
            np.testing.assert_allclose(grad.numpy(), factor * a, rtol=1e-5)


def test_the_norm_of_narrow_gradients_is_added_up_in_f32():
    p = Tensor(np.zeros(4096), requires_grad=True, dtype="bf16")
    p.grad = Tensor(np.ones(4096), dtype="bf16")
    norm = clip_grad_norm([p], 32.0)
    assert norm.item() == 64.0 and str(norm.dtype) == "f32"
    assert p.grad.float().tolist() == [0.5] * 4096


def test_clipping_refuses_what_makes_no_sense():
    p = Tensor([1.0, 2.0], requires_grad=True)
    assert clip_grad_norm(p, 1.0).item() == 0
    p.grad = Tensor([math.nan, 1.0])
    with pytest.raises(TinyTorchError, match="norm of the gradients is nan"):
        clip_grad_norm([p], 1.0, error_if_nonfinite=True)
    assert p.grad.numpy()[1] == 1
    with pytest.raises(TinyTorchError, match="max_norm"):
        clip_grad_norm([p], -1.0)


# Schedules and stopping.
def test_the_cosine_schedule_warms_up_and_falls():
    schedule = CosineSchedule(max_lr=1.0, min_lr=0.1, total_epochs=14, warmup_epochs=4)
    rates = [schedule.get_lr(epoch) for epoch in range(20)]
    np.testing.assert_allclose(rates[:5], [0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[9] == pytest.approx(0.55)
    assert (np.diff(rates[4:15]) < 0).all()
    assert rates[14:] == [pytest.approx(0.1)] * 6
    assert schedule.get_lr(3.999) == pytest.approx(schedule.get_lr(4.0), abs=1e-3)
    for wrong in ({"min_lr": 2.0}, {"total_epochs": 0}, {"warmup_epochs": 100}):
        with pytest.raises(TinyTorchError, match="CosineSchedule"):
            CosineSchedule(max_lr=1.0, **wrong)


def test_the_schedule_sets_the_rate():
    schedule = CosineSchedule(0.1, 0.0, 4, 1)
    trainer = trainer_of(network(), schedule=schedule, compile=False)
    history = trainer.fit(DataLoader(points(), 8), epochs=4)
    assert [h["lr"] for h in history] == pytest.approx([schedule.get_lr(e) for e in range(4)])


def test_early_stopping_restores_the_best_weights():
    model = network()
    stopping = EarlyStopping(patience=2)
    trainer = trainer_of(model, lr=0.05, early_stopping=stopping, compile=False)
    seen = []

    def spoil(record):
        seen.append(values(model))
        trainer.optimizer.lr = 0.05 if record["epoch"] < 3 else 5.0

    history = trainer.fit(DataLoader(points(), 8), DataLoader(points(60, 1), 60), epochs=50, on_epoch=spoil)
    losses = [h["val_loss"] for h in history]
    best = int(np.argmin(losses))
    assert len(history) == best + 3 < 50
    assert stopping.stopped and stopping.best_epoch == best + 1 and stopping.best == losses[best]
    assert_same(values(model), seen[best])
    assert trainer.evaluate(DataLoader(points(60, 1), 60)).loss == losses[best]


def test_early_stopping_waits_for_more_than_min_delta():
    losses = EarlyStopping(patience=2, min_delta=0.1)
    found = [losses.update(Metrics(loss, None), epoch) for epoch, loss in enumerate([1.0, 0.95, 0.8, 0.85, 0.75])]
    assert found == [True, False, True, False, False]
    assert (losses.best, losses.best_epoch, losses.waited, losses.stopped) == (0.8, 2, 2, True)
    hits = EarlyStopping(patience=1, monitor="accuracy")
    assert [hits.update(Metrics(0.0, a), 0) for a in (0.5, 0.6, 0.6)] == [True, True, False]


@BOTH
def test_gradients_left_behind_do_not_count_in_a_step(compiled):
    models = network(), network()
    for p in models[1].parameters():
        p.grad = Tensor(np.full(p.shape, 100.0, np.float32))
    for model in models:
        trainer_of(model, compile=compiled).train_epoch(DataLoader(points(), 8))
    assert_same(values(models[0]), values(models[1]))


def test_early_stopping_on_accuracy_needs_one():
    stopping = EarlyStopping(monitor="accuracy")
    model = Linear(1, 1)
    trainer = Trainer(model, SGD(model.parameters()), MSELoss(), early_stopping=stopping, compile=False)
    x = np.ones((4, 1), np.float32)
    with pytest.raises(TinyTorchError, match="no accuracy"):
        trainer.fit(DataLoader(TensorDataset(x, x), 2), epochs=1)
    with pytest.raises(TinyTorchError, match="monitor"):
        EarlyStopping(monitor="f1")


# Checkpoints.
class Killed(Exception):
    pass


def new_run(accumulate=1, compiled=True):
    """A run in which everything has a state: dropout, momentum, moments, shuffling, schedule, early stopping."""
    manual_seed(7)
    model = Sequential(network(dropout=0.3), Dropout(0.1))
    trainer = Trainer(
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
    return trainer, DataLoader(points(), 8, shuffle=True, seed=3), DataLoader(points(30, 1), 16, shuffle=True)


def kill_after(trainer, saves):
    """Raise from the checkpoint that comes after `saves` ones."""
    write, count = trainer.save_checkpoint, 0

    def save(*args):
        nonlocal count
        if count == saves:
            raise Killed
        count += 1
        write(*args)

    trainer.save_checkpoint = save


@pytest.mark.parametrize(("accumulate", "saves"), [(1, 1), (1, 3), (1, 6), (2, 2), (2, 3)])
def test_a_killed_run_resumes_bit_for_bit(tmp_path, accumulate, saves):
    path = tmp_path / "run.safetensors"
    whole, train, val = new_run(accumulate)
    expected = whole.fit(train, val, epochs=4)
    state = whole._snapshot(train, val)

    killed, train, val = new_run(accumulate)
    kill_after(killed, saves)
    with pytest.raises(Killed):
        killed.fit(train, val, epochs=4, checkpoint=path, checkpoint_every=2)

    manual_seed(99)
    resumed, train, val = new_run(accumulate)
    manual_seed(98)
    assert resumed.fit(train, val, epochs=4, checkpoint=path) == expected
    got = resumed._snapshot(train, val)
    assert_same(got.arrays, state.arrays)
    assert {**got.state, "seconds": 0} == {**state.state, "seconds": 0}


def test_a_loader_without_a_position_skips_what_is_done(tmp_path):
    path = tmp_path / "run.safetensors"
    batches = list(DataLoader(points(), 8))
    whole = new_run()[0]
    whole.fit(batches, epochs=2)
    killed = new_run()[0]
    kill_after(killed, 1)
    with pytest.raises(Killed):
        killed.fit(batches, epochs=2, checkpoint=path, checkpoint_every=4)
    resumed = new_run()[0]
    assert resumed.fit(batches, epochs=2, checkpoint=path) == whole.history
    assert_same(values(resumed.model), values(whole.model))


def test_a_write_that_is_killed_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    trainer, train, val = new_run()
    trainer.fit(train, val, epochs=1, checkpoint=path)
    old, replace = path.read_bytes(), os.replace

    def killed(*args):
        raise Killed

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Killed):
        trainer.fit(train, val, epochs=2, checkpoint=path)
    monkeypatch.setattr(os, "replace", replace)
    assert path.read_bytes() == old and os.listdir(tmp_path) == [path.name]
    resumed, train, val = new_run()
    resumed.load_checkpoint(path, train, val)
    assert resumed.epoch == 1 and resumed.step == 6


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_truncated_checkpoint_is_an_error_that_changes_nothing(tmp_path, keep):
    path = tmp_path / "run.safetensors"
    trainer, train, val = new_run(compiled=False)
    trainer.fit(train, val, epochs=1, checkpoint=path)
    path.write_bytes(path.read_bytes()[:keep])
    before = trainer._snapshot(train, val)
    with pytest.raises(TinyTorchError, match="not a whole safetensors file"):
        trainer.load_checkpoint(path, train, val)
    assert_same(trainer._snapshot(train, val).arrays, before.arrays)


def test_a_checkpoint_of_something_else_changes_nothing(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer, train, val = new_run(compiled=False)
    trainer.fit(train, val, epochs=1, checkpoint=path)
    other = trainer_of(Sequential(network(dropout=0.3, seed=5), Dropout(0.1)), compile=False)
    before = other._snapshot(None, None)
    with pytest.raises(TinyTorchError, match="SGD: "):
        other.load_checkpoint(path)
    after = other._snapshot(None, None)
    assert_same(after.arrays, before.arrays)
    assert after.state == before.state
    other.model.save(path)
    with pytest.raises(TinyTorchError, match="no checkpoint"):
        other.load_checkpoint(path)
    with pytest.raises(TinyTorchError, match="cannot read"):
        other.load_checkpoint(tmp_path / "missing")


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    trainer = trainer_of(network(), compile=False)
    with pytest.raises(TinyTorchError, match="cannot write"):
        trainer.save_checkpoint(Path(tmp_path) / "missing" / "run.safetensors")


# Bad input.
@BOTH
def test_a_loss_that_is_not_finite_names_the_step(compiled):
    x, y = points().arrays
    x = x.copy()
    x[21] = np.nan
    trainer = trainer_of(network(), compile=compiled)
    with pytest.raises(TinyTorchError, match=r"not finite.*step 3: epoch 1, batch 3"):
        trainer.fit(DataLoader(TensorDataset(x, y), 8), epochs=2)


def test_empty_loaders_say_so():
    trainer = trainer_of(network(), compile=False)
    with pytest.raises(TinyTorchError, match="train_epoch: the loader has no batches"):
        trainer.train_epoch(DataLoader(points(4), 8, drop_last=True))
    with pytest.raises(TinyTorchError, match="evaluate: the loader has no batches"):
        trainer.evaluate([])


def test_batches_and_losses_of_the_wrong_kind_say_so():
    trainer = trainer_of(network(), compile=False)
    with pytest.raises(TinyTorchError, match=r"pair \(inputs, targets\), got Tensor"):
        trainer.train_epoch([Tensor(np.zeros((2, 4), np.float32))])
    model = network()
    trainer = Trainer(model, SGD(model.parameters()), CrossEntropyLoss(reduction="none"), compile=False)
    with pytest.raises(ShapeError, match="loss is a scalar"):
        trainer.train_epoch(DataLoader(points(), 8))
    with pytest.raises(TinyTorchError, match="accumulate"):
        trainer_of(model, accumulate=0)


def test_bars_are_drawn_only_where_asked_for(capsys):
    trainer_of(network(), compile=False).train_epoch(DataLoader(points(), 8))
    assert capsys.readouterr().err == ""
    trainer = trainer_of(network(), compile=False, progress=True)
    trainer.fit(DataLoader(points(), 8), DataLoader(points(), 8), epochs=1)
    assert "epoch 1" in capsys.readouterr().err
