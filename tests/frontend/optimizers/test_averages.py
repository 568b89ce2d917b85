"""Averages of weights: those of PyTorch, eager and compiled, and batch norms whose statistics are computed anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.optim import swa_utils

RNG = np.random.default_rng(3)
X = RNG.normal(size=(4, 8, 3)).astype("f4")
STATE = {
    "0.weight": RNG.normal(size=(4, 3)).astype("f4"), "0.bias": np.zeros(4, "f4"), "1.weight": np.ones(4, "f4"),
    "1.bias": np.zeros(4, "f4"), "1.running_mean": np.zeros(4, "f4"), "1.running_var": np.ones(4, "f4"),
    "1.num_batches_tracked": np.array(0),
}  # fmt: skip


def model_of(library: Any, tensor: Any) -> Any:
    model = library.Sequential(library.Linear(3, 4), library.BatchNorm1d(4))
    model.load_state_dict({name: tensor(value) for name, value in STATE.items()})
    return model


OPTIONS: dict[str, Any] = {
    "mean": lambda swa: {},
    "mean of lists": lambda swa: {"multi_avg_fn": swa.get_swa_multi_avg_fn()},
    "moving": lambda swa: {"avg_fn": swa.get_ema_avg_fn(0.7)},
    "moving, of lists": lambda swa: {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.7), "use_buffers": True},
    "own": lambda swa: {"avg_fn": lambda averaged, model, n: 0.25 * averaged + 0.75 * model / n},
}


def averaged(name: str, library: Any = tt, x: Any = None, compile: Any = lambda step: step) -> dict[str, Any]:
    """The state of the average after three steps."""
    model = model_of(library.nn, library.tensor)
    swa = library.optim.swa_utils
    average = swa.AveragedModel(model, **OPTIONS[name](swa))
    optimizer = library.optim.SGD(model.parameters(), lr=0.5)

    @compile
    def step(x: Any) -> None:
        optimizer.zero_grad()
        (model(x) ** 3).mean().backward()
        optimizer.step()
        average.update_parameters(model)

    for x in X[:3]:
        step(library.tensor(x))
    return {name: np.array(value.numpy()) for name, value in average.state_dict().items()}


def assert_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert list(one) == list(other)
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", OPTIONS)
def test_averages_are_those_of_pytorch_and_of_compiled_steps(name: str) -> None:
    mine = averaged(name)
    assert_alike(averaged(name, compile=tt.compile), mine)
    assert_alike(averaged(name, pytest.importorskip("torch")), mine)


def test_the_mean_and_a_forward_of_it() -> None:
    model = nn.Linear(2, 2, bias=False)
    average = swa_utils.AveragedModel(model)
    for value in (1.0, 2.0, 6.0):
        with tt.no_grad():
            model.weight.fill_(value)
        average.update_parameters(model)
    assert average.n_averaged.item() == 3
    np.testing.assert_allclose(average(tt.ones(1, 2)).detach().numpy(), [[6, 6]])
    assert model.weight.tolist() == [[6, 6], [6, 6]]


def test_statistics_of_batch_norms_are_computed_anew() -> None:
    model = model_of(nn, tt.tensor).eval()
    model[1].running_mean.fill_(7)
    swa_utils.update_bn([(tt.tensor(x), None) for x in X], model)
    assert (model[1].momentum, model.training) == (0.1, False)
    hidden = X @ STATE["0.weight"].T
    np.testing.assert_allclose(model[1].running_mean.numpy(), hidden.mean((0, 1)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model[1].running_var.numpy(), hidden.var(1, ddof=1).mean(0), rtol=1e-5)
    plain = nn.Linear(3, 1)
    swa_utils.update_bn([None], plain)  # without batch norms, nothing runs
    assert plain.training


def test_errors() -> None:
    average = swa_utils.AveragedModel(nn.Linear(2, 2))
    with pytest.raises(tt.TinyTorchError, match="other parameters"):
        average.update_parameters(nn.Linear(2, 3))
    with pytest.raises(tt.TinyTorchError, match="not both"):
        swa_utils.AveragedModel(nn.Linear(2, 2), avg_fn=max, multi_avg_fn=max)
    with pytest.raises(ValueError, match="decay"):
        swa_utils.get_ema_avg_fn(1.5)
