"""Learning rate schedulers: the values of torch.optim.lr_scheduler, step by step, and by their formulas."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import optim
from tinytorch.ir.errors import TinyTorchError, TraceError
from tinytorch.optim import lr_scheduler

Make = Callable[[Any, Any], Any]  # a module of schedulers, and an optimizer


def _averages(module: Any) -> Any:
    """The module of averages beside one of schedulers."""
    return importlib.import_module(module.__name__.replace("lr_scheduler", "swa_utils"))


SCHEDULERS: dict[str, Make] = {
    "step": lambda m, o: m.StepLR(o, step_size=3, gamma=0.5),
    "multi": lambda m, o: m.MultiStepLR(o, [2, 5, 5], gamma=0.3),
    "constant": lambda m, o: m.ConstantLR(o, factor=0.25, total_iters=4),
    "linear": lambda m, o: m.LinearLR(o, start_factor=0.2, end_factor=0.9, total_iters=6),
    "exponential": lambda m, o: m.ExponentialLR(o, gamma=0.7),
    "polynomial": lambda m, o: m.PolynomialLR(o, total_iters=7, power=2.0),
    "cosine": lambda m, o: m.CosineAnnealingLR(o, T_max=5, eta_min=0.01),
    "restarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=0.001),
    "restarts-1": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=4),
    "one cycle": lambda m, o: m.OneCycleLR(o, max_lr=1.0, total_steps=20),
    "three phases": lambda m, o: m.OneCycleLR(
        o, [0.5, 1.0], epochs=4, steps_per_epoch=5, three_phase=True, anneal_strategy="linear", div_factor=10.0
    ),
    "cyclic": lambda m, o: m.CyclicLR(o, 0.1, [0.5, 0.7], step_size_up=3, step_size_down=5),
    "cyclic 2": lambda m, o: m.CyclicLR(o, 0.1, 0.5, step_size_up=4, mode="triangular2"),
    "cyclic exp": lambda m, o: m.CyclicLR(o, 0.1, 0.5, step_size_up=4, mode="exp_range", gamma=0.9),
    "cyclic own": lambda m, o: m.CyclicLR(o, 0.1, 0.5, 4, scale_fn=lambda x: 1 / x, cycle_momentum=False),
    "lambda": lambda m, o: m.LambdaLR(o, [lambda e: 1 / (1 + e), lambda e: 0.9**e]),
    "multiplicative": lambda m, o: m.MultiplicativeLR(o, lambda e: 1 - 1 / (2 + e)),
    "sequential": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, total_iters=4), m.CosineAnnealingLR(o, T_max=8), m.ExponentialLR(o, 0.5)], [4, 9]
    ),
    "swa": lambda m, o: _averages(m).SWALR(o, [0.05, 0.8], anneal_epochs=6),
    "swa linear": lambda m, o: _averages(m).SWALR(o, 0.05, 4, "linear"),
    "swa at once": lambda m, o: _averages(m).SWALR(o, 0.05, 0),
    "chained": lambda m, o: m.ChainedScheduler([m.ConstantLR(o, 0.5, 3), m.ExponentialLR(o, 0.9)], optimizer=o),
}
SETTINGS = ("lr", "momentum", "betas")


def optimizer_of(module: Any, tensor: Any, kind: str = "SGD") -> Any:
    groups = [{"params": [tensor([1.0], requires_grad=True)], "lr": lr} for lr in (0.3, 0.5)]
    return getattr(module, kind)(groups, **({"momentum": 0.9} if kind == "SGD" else {}))


def values(optimizer: Any) -> list[float]:
    found = [group[name] for group in optimizer.param_groups for name in SETTINGS if name in group]
    return [x for value in found for x in (value if isinstance(value, tuple) else (value,))]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_values_are_those_of_torch(name: str, kind: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = optimizer_of(optim, tt.tensor, kind), optimizer_of(torch.optim, torch.tensor, kind)
    scheduler = SCHEDULERS[name](lr_scheduler, ours)
    reference = SCHEDULERS[name](torch.optim.lr_scheduler, theirs)
    for _ in range(20):
        np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(scheduler.get_last_lr(), reference.get_last_lr(), rtol=1e-12, atol=1e-15)
        assert getattr(scheduler, "last_epoch", 0) == getattr(reference, "last_epoch", 0)
        theirs.step()
        scheduler.step()
        reference.step()


def rates(name: str, steps: int) -> list[float]:
    optimizer = optim.SGD([tt.tensor([1.0], requires_grad=True)], lr=0.3, momentum=0.9)
    scheduler, found = SCHEDULERS[name](lr_scheduler, optimizer), []
    for _ in range(steps):
        found.append(optimizer.lr)
        scheduler.step()
    return found


FORMULAS: dict[str, Callable[[int], float]] = {
    "step": lambda e: 0.3 * 0.5 ** (e // 3),
    "multi": lambda e: 0.3 * 0.3 ** ((e >= 2) + 2 * (e >= 5)),
    "constant": lambda e: 0.3 * (0.25 if e < 4 else 1),
    "linear": lambda e: 0.3 * (0.2 + 0.7 * min(e, 6) / 6),
    "exponential": lambda e: 0.3 * 0.7**e,
    "polynomial": lambda e: 0.3 * (1 - min(e, 7) / 7) ** 2,
    "cosine": lambda e: 0.01 + 0.29 * (1 + math.cos(math.pi * e / 5)) / 2,
    "restarts-1": lambda e: 0.3 * (1 + math.cos(math.pi * (e % 4) / 4)) / 2,
    "cyclic 2": lambda e: 0.1 + 0.4 * (1 - abs(e % 8 - 4) / 4) * 0.5 ** (e // 8),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_values_by_their_formulas(name: str) -> None:
    np.testing.assert_allclose(rates(name, 12), [FORMULAS[name](e) for e in range(12)], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_saved_schedule_goes_on(name: str) -> None:
    straight, first, second = (optimizer_of(optim, tt.tensor) for _ in range(3))
    whole, begun = SCHEDULERS[name](lr_scheduler, straight), SCHEDULERS[name](lr_scheduler, first)
    for _ in range(6):
        whole.step()
        begun.step()
    resumed = SCHEDULERS[name](lr_scheduler, second)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(begun.state_dict())
    for _ in range(6):
        assert values(second) == values(straight) and resumed.get_last_lr() == whole.get_last_lr()
        whole.step()
        resumed.step()


METRICS = [1.0, 0.9, 0.9, 0.91, 0.89999, 0.9, 0.95, 0.5, 0.5, 0.5, 0.5, 0.5, float("nan"), 0.6, 0.7]
PLATEAUS = [
    {"patience": 1},
    {"patience": 0, "factor": 0.5, "cooldown": 2, "min_lr": [0.01, 0.2]},
    {"mode": "max", "patience": 2, "threshold": 0.1, "threshold_mode": "abs"},
    {"patience": 1, "threshold_mode": "abs", "eps": 0.02},
]


@pytest.mark.parametrize("options", PLATEAUS)
def test_plateaus_are_those_of_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = optimizer_of(optim, tt.tensor), optimizer_of(torch.optim, torch.tensor)
    scheduler = lr_scheduler.ReduceLROnPlateau(ours, **options)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for metric in METRICS:
        scheduler.step(tt.tensor(metric, dtype="f64"))
        reference.step(metric)
        np.testing.assert_allclose(scheduler.get_last_lr(), reference.get_last_lr(), rtol=1e-12)
        assert (scheduler.num_bad_epochs, scheduler.best) == (reference.num_bad_epochs, reference.best)


def test_a_plateau_lowers_the_rate_once_patience_is_out() -> None:
    optimizer = optim.SGD([tt.tensor([1.0], requires_grad=True)], lr=0.4)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, min_lr=0.15)
    found = []
    for metric in (1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5):
        scheduler.step(metric)
        found.append(optimizer.lr)
    assert found == [0.4, 0.4, 0.2, 0.2, 0.15, 0.15, 0.15]


def test_restarts_are_placed_by_fractions_of_epochs() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = optimizer_of(optim, tt.tensor), optimizer_of(torch.optim, torch.tensor)
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(ours, 3, 2)
    reference = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, 3, 2)
    for epoch in (0.5, 2.9, 3.0, 8.75, 9.0, 20.5, 1.25):
        scheduler.step(epoch)
        reference.step(epoch)
        np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-12)


def test_a_compiled_step_follows_the_schedule_without_compiling_anew() -> None:
    p = tt.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)
    scheduler = lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

    @tt.compile
    def step() -> None:
        optimizer.zero_grad()
        p.sum().backward()
        optimizer.step()

    for wanted in (0.5, 0.25, 0.125):
        step()
        scheduler.step()
        assert p.item() == wanted
    assert sum(map(len, step._known.values())) == 1  # pyright: ignore
    with pytest.raises(TraceError, match="outside of the compiled function"):
        tt.compile(lambda: scheduler.step())()


def test_one_cycle_needs_two_compilations() -> None:
    """The momentum becomes state when it is first cycled, which is before the first step here."""
    p = tt.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.Adam([p], lr=0.5)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=8)

    @tt.compile
    def step() -> None:
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()

    for _ in range(8):
        step()
        scheduler.step()
    assert sum(map(len, step._known.values())) == 1  # pyright: ignore


def test_going_on_needs_the_initial_rates() -> None:
    optimizer = optimizer_of(optim, tt.tensor)
    with pytest.raises(TinyTorchError, match="initial_lr"):
        lr_scheduler.StepLR(optimizer, 3, last_epoch=4)
    optimizer.param_groups[0]["initial_lr"] = optimizer.param_groups[1]["initial_lr"] = 0.3
    assert lr_scheduler.StepLR(optimizer, 3, gamma=0.5, last_epoch=4).last_epoch == 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: lr_scheduler.StepLR(tt.nn.Linear(1, 1), 3), "an Optimizer"),
        (lambda o: lr_scheduler.StepLR(o, 0), "step_size"),
        (lambda o: lr_scheduler.StepLR(o, 2, gamma=-1.0), "gamma"),
        (lambda o: lr_scheduler.LinearLR(o, start_factor=0.0), "start_factor"),
        (lambda o: lr_scheduler.ConstantLR(o, factor=2.0), "factor"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=0), "T_max"),
        (lambda o: lr_scheduler.LambdaLR(o, 0.5), "lr_lambda"),
        (lambda o: lr_scheduler.LambdaLR(o, [lambda e: e] * 3), "one for each group"),
        (lambda o: optim.swa_utils.SWALR(o, 0.1, anneal_strategy="step"), "anneal_strategy"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1), "total_steps"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, 10, anneal_strategy="sin"), "anneal_strategy"),
        (lambda o: lr_scheduler.CyclicLR(o, 0.1, 0.2, mode="square"), "mode"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), "factor"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o).step(), "the metric"),
        (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 2)], [3]), "milestones"),
        (lambda o: lr_scheduler.ChainedScheduler([]), "no schedulers"),
        (lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(o)]), "metric"),
        (
            lambda o: lr_scheduler.CyclicLR(optim.Adagrad([tt.tensor([1.0], requires_grad=True)]), 0.1, 0.2),
            "cycle_momentum=False",
        ),
    ],
)
def test_bad_arguments(make: Any, message: str) -> None:
    with pytest.raises(TinyTorchError, match=message):
        make(optimizer_of(optim, tt.tensor))


def test_a_cycle_has_an_end() -> None:
    scheduler = lr_scheduler.OneCycleLR(optimizer_of(optim, tt.tensor), 0.1, total_steps=2)
    scheduler.step()
    scheduler.step()
    with pytest.raises(TinyTorchError, match="2 steps"):
        scheduler.step()
