"""A perceptron in two dimensions: Linear(2, 1), sigmoid, binary cross entropy, SGD; batch 64.

The arithmetic is nothing; the row measures what a training step costs around it.
"""

from __future__ import annotations

import functools
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.registry import Case, Targets, Workload, random, register

BATCH, LEARNING_RATE, BATCHES = 64, 0.1, 8
WEIGHT, BIAS = np.array([[0.3, -0.2]], np.float32), np.array([0.1], np.float32)


@functools.cache
def batches() -> list[tuple[Any, Any]]:
    points = [random(BATCH, 2, seed=seed) for seed in range(BATCHES)]
    return [(x, (x[:, :1] + x[:, 1:] > 0.2).astype(np.float32)) for x in points]


def tinytorch_step(compiled: bool = True) -> Case:
    import tinytorch as tt

    model = tt.Sequential(tt.Linear(2, 1), tt.Sigmoid())
    model.load_state_dict({"0.weight": WEIGHT, "0.bias": BIAS})
    loss_fn = tt.BCELoss()
    optimizer = tt.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.0)

    def train(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step = tt.compile(train) if compiled else train
    data = cycle([(tt.Tensor(x), tt.Tensor(y)) for x, y in batches()])
    weight, bias = model.parameters()
    return Case(lambda: step(*next(data)), lambda: {"weight": weight.numpy(), "bias": bias.numpy()})


def numpy_step() -> Case:
    w, b = WEIGHT[0].copy(), BIAS.copy()
    data = cycle([(x, y[:, 0]) for x, y in batches()])
    rate = np.float32(LEARNING_RATE / BATCH)

    def step() -> np.float32:
        x, y = next(data)
        p = x @ w
        p += b
        np.negative(p, out=p)
        np.exp(p, out=p)
        p += 1
        np.reciprocal(p, out=p)
        loss = -np.log(np.where(y, p, 1 - p)).sum() / BATCH
        p -= y
        p *= rate
        w.__isub__(p @ x)
        b.__isub__(p.sum())
        return loss

    return Case(step, lambda: {"weight": w[None], "bias": b})


def torch_step() -> Case:
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(WEIGHT))
        model[0].bias.copy_(torch.from_numpy(BIAS))
    loss_fn = nn.BCELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, fused=True)
    data = cycle([(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches()])

    def step() -> Any:
        x, y = next(data)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return Case(step, lambda: {"weight": model[0].weight.detach().numpy(), "bias": model[0].bias.detach().numpy()})


def torch_compile_step() -> Case:
    import torch
    import torch.nn.functional as F

    weights = [torch.from_numpy(WEIGHT.copy()), torch.from_numpy(BIAS.copy())]

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        return F.binary_cross_entropy(torch.sigmoid(F.linear(x, *weights)), y)

    def train(x: Any, y: Any) -> Any:
        gradients, loss = torch.func.grad_and_value(loss_of)(weights, x, y)
        for w, g in zip(weights, gradients, strict=True):
            w.sub_(LEARNING_RATE * g)
        return loss

    compiled = torch.compile(train, fullgraph=True, options={"cpp_wrapper": True})
    data = cycle([(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches()])
    return Case(lambda: compiled(*next(data)), lambda: {"weight": weights[0].numpy(), "bias": weights[1].numpy()})


def jax_step() -> Case:
    import jax
    import jax.numpy as jnp

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        w, b = weights
        p = jax.nn.sigmoid(x @ w.T + b)
        return -(y * jnp.log(p) + (1 - y) * jnp.log(1 - p)).mean()

    @functools.partial(jax.jit, donate_argnums=(0,))
    def train(weights: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights, x, y)
        return [w - LEARNING_RATE * g for w, g in zip(weights, gradients, strict=True)], loss

    state = [[jnp.array(WEIGHT), jnp.array(BIAS)]]
    data = cycle([(jnp.asarray(x), jnp.asarray(y)) for x, y in batches()])

    def step() -> Any:
        state[0], loss = train(state[0], *next(data))
        return loss.block_until_ready()

    return Case(step, lambda: {"weight": np.asarray(state[0][0]), "bias": np.asarray(state[0][1])})


register(
    Workload(
        "perceptron_train",
        {
            "tinytorch": tinytorch_step,
            "tinytorch eager": functools.partial(tinytorch_step, False),
            "numpy": numpy_step,
            "torch": torch_step,
            "torch.compile": torch_compile_step,
            "jax": jax_step,
        },
        flops=BATCH * 20.0,
        check_steps=5,
        targets=Targets(best=3.0),
    )
)
