"""Module 09 on empty batches, infinities and NaNs: eager, interpreted and compiled, as PyTorch has them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import Tensor

BACKENDS = ["eager", "interpreter", "llvm"]
INF, NAN = math.inf, math.nan
Array = np.ndarray


def result_and_gradient(
    backend: str, function: Callable[[Tensor], Tensor], x: Array, seed: Array
) -> tuple[Array, Array]:
    """f(x), and the gradient of sum(f(x) * seed)."""

    def both(x: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        def total(x: Tensor) -> tuple[Tensor, Tensor]:
            out = function(x)
            return (out * seed).sum(), out

        (_, out), gradient = tt.value_and_grad(total, has_aux=True)(x)
        return out, gradient

    run = both if backend == "eager" else tt.compile(both, backend=backend)
    out, gradient = run(Tensor(x), Tensor(seed))
    return out.numpy(), gradient.numpy()


# Empty batches.
LAYERS: dict[str, tuple[Callable[[], Module], tuple[int, ...], tuple[int, ...]]] = {  # layer, input, result
    "Linear": (lambda: tt.Linear(3, 4), (0, 3), (0, 4)),
    "Linear of a sequence": (lambda: tt.Linear(3, 4), (2, 0, 3), (2, 0, 4)),
    "LayerNorm": (lambda: tt.LayerNorm(3), (0, 3), (0, 3)),
    "Conv1d": (lambda: tt.Conv1d(4, 6, 3, padding=1), (0, 4, 5), (0, 6, 5)),
    "Conv2d": (lambda: tt.Conv2d(4, 6, 3, stride=2), (0, 4, 7, 6), (0, 6, 3, 2)),
    "grouped": (lambda: tt.Conv2d(4, 6, 3, groups=2, dilation=2), (0, 4, 7, 6), (0, 6, 3, 2)),
    "depthwise": (lambda: tt.Conv2d(4, 8, 3, padding="same", groups=4), (0, 4, 7, 6), (0, 8, 7, 6)),
    "pointwise": (lambda: tt.Conv2d(4, 8, 1, bias=False), (0, 4, 7, 6), (0, 8, 7, 6)),
    "ConvTranspose1d": (lambda: tt.ConvTranspose1d(4, 6, 3, stride=2), (0, 4, 5), (0, 6, 11)),
    "ConvTranspose2d": (lambda: tt.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2), (0, 4, 5, 3), (0, 6, 10, 6)),
    "MaxPool1d": (lambda: tt.MaxPool1d(2), (0, 4, 5), (0, 4, 2)),
    "MaxPool2d": (lambda: tt.MaxPool2d(3, 2, 1), (0, 4, 5, 6), (0, 4, 3, 3)),
    "AvgPool1d": (lambda: tt.AvgPool1d(2), (0, 4, 5), (0, 4, 2)),
    "AvgPool2d": (lambda: tt.AvgPool2d(3, 2, 1), (0, 4, 5, 6), (0, 4, 3, 3)),
    "tiled": (lambda: tt.AvgPool2d(2), (0, 4, 5, 6), (0, 4, 2, 3)),
    "AdaptiveAvgPool1d": (lambda: tt.AdaptiveAvgPool1d(3), (0, 4, 5), (0, 4, 3)),
    "AdaptiveAvgPool2d": (lambda: tt.AdaptiveAvgPool2d((2, 3)), (0, 4, 5, 6), (0, 4, 2, 3)),
    "GlobalAvgPool2d": (lambda: tt.GlobalAvgPool2d(), (0, 4, 5, 6), (0, 4)),
    "Dropout2d": (lambda: tt.Dropout2d(), (0, 4, 5, 6), (0, 4, 5, 6)),
    "Dropout": (lambda: tt.Dropout(), (0, 4), (0, 4)),
    "BatchNorm1d": (lambda: tt.BatchNorm1d(4), (0, 4), (0, 4)),
    "BatchNorm1d of sequences": (lambda: tt.BatchNorm1d(4), (2, 4, 0), (2, 4, 0)),
    "BatchNorm2d": (lambda: tt.BatchNorm2d(4), (0, 4, 5, 6), (0, 4, 5, 6)),
    "BatchNorm2d that is not affine": (lambda: tt.BatchNorm2d(4, affine=False), (0, 4, 5, 6), (0, 4, 5, 6)),
    "BatchNorm2d without state": (lambda: tt.BatchNorm2d(4, track_running_stats=False), (0, 4, 2, 2), (0, 4, 2, 2)),
    "Softmax": (lambda: tt.Softmax(), (0, 3), (0, 3)),
    "LogSoftmax": (lambda: tt.LogSoftmax(), (0, 3), (0, 3)),
    "GELU": (lambda: tt.GELU(), (0, 3), (0, 3)),
    "Flatten": (lambda: tt.Flatten(), (0, 4, 5, 6), (0, 120)),
    "a network": (
        lambda: tt.Sequential(
            tt.Conv2d(3, 4, 3), tt.BatchNorm2d(4), tt.ReLU(), tt.MaxPool2d(2), tt.Conv2d(4, 5, 3), tt.ReLU(),
            tt.GlobalAvgPool2d(), tt.Linear(5, 2),
        ),
        (0, 3, 12, 12), (0, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", LAYERS)
def test_layers_take_empty_batches(case: str, training: bool, backend: str) -> None:
    make, shape, result = LAYERS[case]
    layer = make().train(training)
    before = {name: t.numpy().copy() for name, t in layer.named_buffers()}

    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        x.requires_grad_()
        out = layer(x)
        out.sum().backward()
        assert x.grad is not None
        return out, x.grad

    out, gradient = (step if backend == "eager" else tt.compile(step, backend=backend))(tt.zeros(shape))
    assert out.shape == result and gradient.shape == shape
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        np.testing.assert_array_equal(parameter.grad.numpy(), np.zeros(parameter.shape), err_msg=name)
    for name, tensor in layer.named_buffers():
        wanted = before[name] + training if name.endswith("num_batches_tracked") else before[name]
        np.testing.assert_array_equal(tensor.numpy(), wanted, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_training_step_on_an_empty_batch_leaves_the_weights(backend: str) -> None:
    model = tt.Sequential(tt.Conv2d(3, 4, 3, padding=1), tt.BatchNorm2d(4), tt.ReLU(), tt.Flatten(), tt.Linear(64, 2))
    optimizer = tt.SGD(model.parameters(), lr=0.1)

    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y, reduction="sum")
        loss.backward()
        optimizer.step()
        return loss

    run = step if backend == "eager" else tt.compile(step, backend=backend)
    before = [p.numpy().copy() for p in model.parameters()]
    assert run(tt.zeros(0, 3, 4, 4), Tensor(np.zeros(0, np.int64))).item() == 0
    for old, new in zip(before, model.parameters(), strict=True):
        np.testing.assert_array_equal(old, new.numpy())


# Infinities and NaNs.
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("value", [INF, -INF, NAN])
def test_means_keep_what_is_not_finite_in_its_window(value: float, backend: str) -> None:
    x = np.arange(7, dtype=np.float32).reshape(1, 1, 7)
    x[0, 0, 6] = value
    means: list[tuple[Callable[[Tensor], Tensor], list[float], list[float]]] = [
        (lambda x: F.adaptive_avg_pool1d(x, 3), [1.0, 3.0, value], [1 / 3, 1 / 3, 2 / 3, 1 / 3, 2 / 3, 1 / 3, 1 / 3]),
        (lambda x: F.adaptive_avg_pool1d(x, 2), [1.5, value], [0.25, 0.25, 0.25, 0.5, 0.25, 0.25, 0.25]),
        (lambda x: F.avg_pool1d(x, 3, 2, 1), [1 / 3, 2.0, 4.0, value], [1 / 3, 2 / 3] * 3 + [1 / 3]),
        (lambda x: F.avg_pool1d(x, 3, 3, 1, False, False), [0.5, 3.0, value], [0.5, 0.5, *[1 / 3] * 3, 0.5, 0.5]),
    ]
    for mean, wanted, gradient in means:
        found = result_and_gradient(backend, mean, x, np.ones(1, np.float32))
        np.testing.assert_allclose(found[0].ravel(), wanted, rtol=1e-6)
        np.testing.assert_allclose(found[1].ravel(), gradient, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_max_pooling_of_what_is_not_finite(backend: str) -> None:
    """-inf is chosen where there is nothing else, padding never, and of NaNs the last."""
    x = np.array([[-INF, -INF, 1, NAN], [-INF, -INF, NAN, 2], [0, -0.0, INF, -1], [-1, 0, INF, -2]], np.float32)
    wanted, chosen = [[-INF, NAN], [0, INF]], np.zeros((4, 4), np.float32)
    for seed, place in zip((1, 2, 3, 4), ((0, 0), (1, 2), (2, 0), (2, 2)), strict=True):
        chosen[place] = seed
    seed = np.array([[1, 2], [3, 4]], np.float32).reshape(1, 1, 2, 2)
    out, gradient = result_and_gradient(backend, lambda x: F.max_pool2d(x, 2), x.reshape(1, 1, 4, 4), seed)
    np.testing.assert_array_equal(out[0, 0], wanted)
    np.testing.assert_array_equal(gradient[0, 0], chosen)
    pool = partial(F.max_pool2d, kernel_size=3, stride=3, padding=1)
    out, _ = result_and_gradient(backend, pool, np.full((1, 1, 4, 4), -INF, np.float32), np.ones(1, np.float32))
    np.testing.assert_array_equal(out, np.full((1, 1, 2, 2), -INF))


# Against PyTorch.
def _calls() -> list[tuple[str, tuple[int, ...], dict[str, Any], float, list[float]]]:
    """(function, shape, options, how many elements are special, which values they have)"""
    calls: list[tuple[str, tuple[int, ...], dict[str, Any], float, list[float]]] = []
    everything = [INF, -INF, NAN]
    for shape in ((1, 2, 7, 5), (2, 16, 9, 10), (3, 7, 5), (0, 3, 8, 8)):
        for size in (1, 2, 3, 5, (3, 4), (None, 2), 11):
            calls.append(("adaptive_avg_pool2d", shape, {"output_size": size}, 0.04, everything))
        for kernel, stride, padding, ceil in itertools.product((2, 3), (1, 2, 3), (0, 1), (False, True)):
            options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil}
            calls.append(("avg_pool2d", shape, {**options, "count_include_pad": ceil}, 0.04, everything))
            calls.append(("max_pool2d", shape, options, 0.4, [-INF]))
            calls.append(("max_pool2d", shape, options, 0.2, everything))
    for shape in ((2, 3, 11), (3, 11), (0, 3, 11)):
        calls += [("adaptive_avg_pool1d", shape, {"output_size": size}, 0.04, everything) for size in (1, 4, 5, 11)]
        calls += [
            (f"{kind}_pool1d", shape, {"kernel_size": 3, "stride": 2}, 0.1, everything) for kind in ("max", "avg")
        ]
    return calls


@pytest.mark.parametrize("backend", BACKENDS)
def test_pools_of_special_values_match_torch(backend: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    calls = _calls()
    for name, shape, options, share, values in calls if backend != "llvm" else calls[::3]:
        x = rng.normal(size=shape).astype(np.float32)
        special = rng.random(shape) < share
        x[special] = rng.choice(values, special.sum())
        given = torch.tensor(x, requires_grad=True)
        wanted = getattr(torch.nn.functional, name)(given, **options)
        seed = rng.normal(size=tuple(wanted.shape)).astype(np.float32)
        wanted.backward(torch.tensor(seed))
        call = partial(getattr(F, name), **options)
        out, gradient = result_and_gradient(backend, call, x, seed)
        what = f"{name} {shape} {options}"
        np.testing.assert_allclose(out, wanted.detach().numpy(), rtol=1e-5, atol=1e-5, err_msg=what)
        np.testing.assert_allclose(gradient, given.grad.numpy(), rtol=1e-5, atol=1e-5, err_msg=what)


# Constants.
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e4 / 3, 1e20, 1e30])
def test_normalised_constants_are_zeros(value: float, backend: str) -> None:
    x = np.full((4, 3, 5, 7), value, np.float32)
    functions: list[Callable[[Tensor], Tensor]] = [
        lambda x: F.batch_norm(x, None, None, training=True),
        lambda x: F.batch_norm(x, None, None, tt.ones(3), tt.zeros(3), training=True),
        lambda x: F.layer_norm(x, (5, 7)),
        lambda x: F.layer_norm(x, (3, 5, 7)),
    ]
    for function in functions:
        out, gradient = result_and_gradient(backend, function, x, np.ones(1, np.float32))
        np.testing.assert_array_equal(out, np.zeros_like(x))
        np.testing.assert_allclose(gradient, np.zeros_like(x), atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_running_statistics_of_constants_are_exact(backend: str) -> None:
    norm = tt.BatchNorm2d(3, momentum=1.0)
    (norm if backend == "eager" else tt.compile(norm, backend=backend))(Tensor(np.full((4, 3, 5, 7), 0.1, np.float32)))
    assert norm.running_mean is not None and norm.running_var is not None
    np.testing.assert_array_equal(norm.running_mean.numpy(), np.full(3, 0.1, np.float32))
    assert (norm.running_var.numpy() >= 0).all() and norm.running_var.numpy().max() < 1e-20


@pytest.mark.parametrize("backend", BACKENDS)
def test_small_differences_of_large_numbers_are_normalised(backend: str) -> None:
    x = (1e5 + np.random.default_rng(1).normal(size=(8, 1000))).astype(np.float32)
    wide = x.astype(np.float64)
    wanted = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    out, _ = result_and_gradient(backend, lambda x: F.layer_norm(x, 1000), x, np.ones(1, np.float32))
    np.testing.assert_allclose(out, wanted, atol=0.005)
