"""The training step of the second network of milestone 3: six convolutions behind a fixed whitening one, Muon.

The model is that of `milestones/whitened.py`, of widths 48-160-256, on 1,000 images of 3×32×32: cross entropy with
smoothed labels, Muon with normalized filters, SGD with Nesterov momentum for head and biases. "torch channels_last",
torch.compile and jax get images and filters in the channels-last layout in which they are faster, converted before the
clock starts; their Muon is written by hand, since torch.optim.Muon refuses filters.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.allocator import keep_freed_memory
from benchmarks.registry import Case, Targets, Workload, random, register
from milestones import whitened as recipe

IMAGE = (3, 32, 32)
BATCHES = 2  # different batches, taken in turn
COEFFICIENTS = (3.4445, -4.775, 2.0315)

Array = NDArray[Any]


@functools.cache
def parameters(widths: Sequence[int]) -> dict[str, Array]:
    """Every tensor of the model's state under its name; every framework starts from the same."""
    import tinytorch as tt

    tt.manual_seed(1)
    filters = recipe.whitening_filters(random(50, *IMAGE, seed=1))
    return {name: t.numpy().copy() for name, t in recipe.make_model(widths, filters).state_dict().items()}


@functools.cache
def batches(size: int) -> list[tuple[Array, Array]]:
    labels = np.random.default_rng(9).integers(0, 10, (BATCHES, size))
    return [(random(size, *IMAGE, seed=30 + i), labels[i]) for i in range(BATCHES)]


def groups(names: Sequence[str], start: Mapping[str, Array]) -> tuple[list[str], list[str], list[str]]:
    """The names of trained filters, of the head, and of trained biases: all but the first filters and the scales."""
    filters = [n for n in names if start[n].ndim == 4 and n != "0.weight"]
    head = [n for n in names if start[n].ndim == 2]
    return filters, head, [n for n in names if n.endswith("bias")]


def trained(widths: Sequence[int]) -> list[str]:
    start = parameters(widths)
    return [name for group in groups(list(start), start) for name in group]


# ---- TinyTorch ----------------------------------------------------------------------------------------------


def tinytorch_train(size: int, widths: Sequence[int], compiled: bool = True) -> Case:
    import tinytorch as tt

    start = parameters(widths)
    model = recipe.make_model(widths, start["0.weight"])
    model.load_state_dict(start)
    loss_fn = tt.CrossEntropyLoss(label_smoothing=recipe.SMOOTHING)
    optimizers, _ = recipe.optimizers(model)

    def train(x: Any, y: Any) -> Any:
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        return loss

    step = tt.compile(train) if compiled else train
    data = cycle([(tt.Tensor(x), tt.Tensor(y)) for x, y in batches(size)])
    names = trained(widths)
    return Case(lambda: step(*next(data)), lambda: {n: t.numpy() for n, t in model.state_dict().items() if n in names})


# ---- torch --------------------------------------------------------------------------------------------------


def _torch_model(widths: Sequence[int], channels_last: bool) -> Any:
    import torch
    from torch import nn

    start = parameters(widths)
    layers: list[Any] = [nn.Conv2d(3, len(start["0.weight"]), recipe.PATCH), nn.GELU()]
    channels = len(start["0.weight"])
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.MaxPool2d(2), _torch_norm(width), nn.GELU()]
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), _torch_norm(width), nn.GELU()]
        channels = width
    model = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(channels, 10, bias=False))
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in start.items()})
    names = trained(widths)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
    if channels_last:
        keep_freed_memory()
        return model.to(memory_format=torch.channels_last)
    return model


def _torch_norm(width: int) -> Any:
    from torch import nn

    return nn.BatchNorm2d(width, eps=recipe.NORM_EPS, momentum=recipe.NORM_MOMENTUM)


def _torch_update(widths: Sequence[int]) -> Callable[..., None]:
    """(parameters, gradients, moments) in the order of `trained`, all changed in place."""
    start = parameters(widths)
    filters, head, biases = (len(group) for group in groups(list(start), start))
    rates = [recipe.HEAD_RATE] * head + [recipe.BIAS_RATE] * biases

    def orthogonal(g: Any) -> Any:
        a, b, c = COEFFICIENTS
        x = g / g.norm().clamp(min=1e-7)
        for _ in range(recipe.MUON_STEPS):
            gram = x @ x.T
            x = a * x + (b * gram + c * gram @ gram) @ x
        return x

    def update(weights: Sequence[Any], gradients: Sequence[Any], moments: Sequence[Any]) -> None:
        momentum = recipe.MUON_MOMENTUM
        for w, g, m in zip(weights[:filters], gradients, moments, strict=False):
            m.mul_(momentum).add_(g, alpha=1 - momentum)
            direction = orthogonal((m * momentum + g * (1 - momentum)).flatten(1))
            w.mul_(math.sqrt(len(w)) / w.norm()).sub_(recipe.MUON_RATE * direction.reshape(w.shape))
        rest = (weights[filters:], gradients[filters:], moments[filters:], rates)
        for w, g, m, rate in zip(*rest, strict=True):
            g = g + recipe.DECAY / rate * w
            m.mul_(recipe.SGD_MOMENTUM).add_(g)
            w.sub_(rate * (g + recipe.SGD_MOMENTUM * m))

    return update


def torch_train(size: int, widths: Sequence[int], channels_last: bool = False, compiled: bool = False) -> Case:
    """Eager, or with forward and backward as one compiled function and the update as another."""
    import torch
    from torch.nn import functional as F

    model = _torch_model(widths, channels_last)
    found = dict(model.named_parameters())
    names = trained(widths)
    weights = [found[name] for name in names]
    moments = [torch.zeros_like(w) for w in weights]
    update = _torch_update(widths)

    def loss_of(x: Any, y: Any) -> Any:
        return F.cross_entropy(model(x) / 9, y, label_smoothing=recipe.SMOOTHING)

    if compiled:
        torch.compiler.reset()
        loss_of, update = torch.compile(loss_of, fullgraph=True), torch.compile(update, fullgraph=True)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    pairs = [(torch.from_numpy(x).contiguous(memory_format=layout), torch.from_numpy(y)) for x, y in batches(size)]
    data = cycle(pairs)

    def step() -> Any:
        loss = loss_of(*next(data))
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            update(weights, gradients, moments)
        return loss

    return Case(step, lambda: {n: w.detach().contiguous().numpy() for n, w in zip(names, weights, strict=True)})


# ---- jax ----------------------------------------------------------------------------------------------------


def _jax_forward(weights: Mapping[str, Any], widths: Sequence[int], x: Any) -> tuple[Any, list[Any]]:
    """Scores, and mean and unbiased variance of the batch at each norm; filters are [height, width, in, out]."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    statistics: list[Any] = []

    def conv(x: Any, w: Any, padding: str) -> Any:
        return lax.conv_general_dilated(x, w, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def activated(x: Any, bias: Any) -> Any:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        count = x.size // x.shape[-1]
        statistics.append((mean, variance * count / (count - 1)))
        return jax.nn.gelu((x - mean) * lax.rsqrt(variance + recipe.NORM_EPS) + bias, approximate=False)

    x = jax.nn.gelu(conv(x, weights["0.weight"], "VALID") + weights["0.bias"], approximate=False)
    for i in range(len(widths)):
        at = 2 + 7 * i
        x = conv(x, weights[f"{at}.weight"], "SAME")
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = activated(x, weights[f"{at + 2}.bias"])
        x = activated(conv(x, weights[f"{at + 4}.weight"], "SAME"), weights[f"{at + 5}.bias"])
    return x.max((1, 2)) @ weights[f"{4 + 7 * len(widths)}.weight"].T / 9, statistics


def jax_train(size: int, widths: Sequence[int]) -> Case:
    import jax
    import jax.numpy as jnp

    start = parameters(widths)
    filters, head, biases = groups(list(start), start)
    rates = dict.fromkeys(head, recipe.HEAD_RATE) | dict.fromkeys(biases, recipe.BIAS_RATE)
    fixed = {"0.weight": jnp.asarray(start["0.weight"].transpose(2, 3, 1, 0))}

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        scores, statistics = _jax_forward({**weights, **fixed}, widths, x)
        log_p = jax.nn.log_softmax(scores)
        right = jnp.take_along_axis(log_p, y[:, None], axis=1).mean()
        return -((1 - recipe.SMOOTHING) * right + recipe.SMOOTHING * log_p.mean()), statistics

    def orthogonal(g: Any) -> Any:
        a, b, c = COEFFICIENTS
        x = g.reshape(-1, g.shape[-1]).T
        x = x / jnp.maximum(jnp.linalg.norm(x), 1e-7)
        for _ in range(recipe.MUON_STEPS):
            gram = x @ x.T
            x = a * x + (b * gram + c * gram @ gram) @ x
        return x.T.reshape(g.shape)

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def train(weights: Any, moments: Any, running: Any, x: Any, y: Any) -> Any:
        (loss, statistics), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights, x, y)
        for n in filters:
            m = recipe.MUON_MOMENTUM
            moments[n] = m * moments[n] + (1 - m) * gradients[n]
            move = orthogonal(m * moments[n] + (1 - m) * gradients[n])
            scale = math.sqrt(weights[n].shape[-1]) / jnp.linalg.norm(weights[n])
            weights[n] = weights[n] * scale - recipe.MUON_RATE * move
        for n, rate in rates.items():
            g = gradients[n] + recipe.DECAY / rate * weights[n]
            moments[n] = recipe.SGD_MOMENTUM * moments[n] + g
            weights[n] = weights[n] - rate * (g + recipe.SGD_MOMENTUM * moments[n])
        fraction = recipe.NORM_MOMENTUM
        running = jax.tree.map(lambda old, new: old + fraction * (new - old), running, statistics)
        return weights, moments, running, loss

    keep_freed_memory()
    names = trained(widths)
    weights = {n: jnp.asarray(start[n].transpose(2, 3, 1, 0) if n in filters else start[n]) for n in names}
    zeros = jax.tree.map(jnp.zeros_like, weights)
    running = [(jnp.zeros(w), jnp.ones(w)) for width in widths for w in (width, width)]
    state: list[Any] = [weights, zeros, running]
    data = cycle([(jnp.asarray(x.transpose(0, 2, 3, 1)), jnp.asarray(y)) for x, y in batches(size)])

    def step() -> Any:
        *state[:3], loss = train(*state, *next(data))
        return loss.block_until_ready()

    def read() -> dict[str, Array]:
        found = {name: np.asarray(value) for name, value in state[0].items()}
        return {name: value.transpose(3, 2, 0, 1) if name in filters else value for name, value in found.items()}

    return Case(step, read)


# ---- the row ------------------------------------------------------------------------------------------------


def _register(size: int, widths: tuple[int, ...]) -> None:
    first = 2 * (32 - recipe.PATCH + 1) ** 2 * 3 * recipe.PATCH**2 * 2 * 3 * recipe.PATCH**2
    register(
        Workload(
            f"whitened_train_b{size}",
            {
                "tinytorch": functools.partial(tinytorch_train, size, widths),
                "tinytorch eager": functools.partial(tinytorch_train, size, widths, False),
                "torch": functools.partial(torch_train, size, widths),
                "torch channels_last": functools.partial(torch_train, size, widths, True),
                "torch.compile": functools.partial(torch_train, size, widths, True, True),
                "jax": functools.partial(jax_train, size, widths),
            },
            flops=recipe.step_operations(widths, size) - 2.0 * size * first,  # the first filters are not trained
            limit="fma",
            prepare=lambda: (parameters(widths), batches(size)),
            # Of the 20 million windows of a batch, in some the two largest elements are equal but for rounding, and
            # Muon makes small parts of a gradient large: tests compare steps of small batches, to 1e-5.
            atol=5e-3,
            suites=("vision",),
            targets=Targets(best=1.5),
        )
    )


_register(recipe.BATCH, recipe.BUDGETS[False].widths)
