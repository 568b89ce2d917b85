"""An LSTM: a training step (mean squared error of all outputs, SGD) of one layer, 64 steps of a batch of 32.

Sequences are [steps, batch, features], which every framework takes as they are. PyTorch's module is no graph that
torch.compile could take, so that compiles the same steps written out, with one product for the inputs of all steps;
jax scans over them.
"""

from __future__ import annotations

import functools
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import Case, Targets, Workload, random, register

STEPS, BATCH, INPUTS, HIDDEN = 64, 32, 256, 256
LEARNING_RATE, BATCHES = 0.1, 4
NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")

Array = NDArray[Any]


@functools.cache
def parameters() -> dict[str, Array]:
    """In PyTorch's layout, [4 hidden, …], gates in the order i, f, g, o."""
    shapes = ((4 * HIDDEN, INPUTS), (4 * HIDDEN, HIDDEN), (4 * HIDDEN,), (4 * HIDDEN,))
    return {name: random(*s, seed=i, scale=HIDDEN**-0.5) for i, (name, s) in enumerate(zip(NAMES, shapes, strict=True))}


@functools.cache
def batches() -> list[tuple[Array, Array]]:
    return [
        (random(STEPS, BATCH, INPUTS, seed=10 + i), random(STEPS, BATCH, HIDDEN, seed=20 + i, scale=0.3))
        for i in range(BATCHES)
    ]


def tinytorch_step(compiled: bool = True) -> Case:
    import tinytorch as tt

    model = tt.LSTM(INPUTS, HIDDEN)
    model.load_state_dict(parameters())
    optimizer = tt.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.0)

    def train(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = ((model(x)[0] - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    step = tt.compile(train) if compiled else train
    data = cycle([(tt.Tensor(x), tt.Tensor(y)) for x, y in batches()])
    return Case(lambda: step(*next(data)), lambda: {name: p.numpy() for name, p in model.state_dict().items()})


def torch_step() -> Case:
    import torch

    model = torch.nn.LSTM(INPUTS, HIDDEN)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in parameters().items()})
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, fused=True)
    data = cycle([(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches()])

    def step() -> Any:
        x, y = next(data)
        optimizer.zero_grad(set_to_none=True)
        loss = ((model(x)[0] - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return Case(step, lambda: {name: p.detach().numpy() for name, p in model.named_parameters()})


def torch_compile_step() -> Case:
    import torch

    weights = [torch.from_numpy(value.copy()).requires_grad_() for value in parameters().values()]

    def loss_of(x: Any, y: Any) -> Any:
        w_ih, w_hh, b_ih, b_hh = weights
        products = torch.nn.functional.linear(x, w_ih, b_ih + b_hh)
        h = c = torch.zeros(BATCH, HIDDEN)
        outputs: list[Any] = []
        for step in range(STEPS):
            i, f, g, o = (products[step] + h @ w_hh.T).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return ((torch.stack(outputs) - y) ** 2).mean()

    optimizer = torch.optim.SGD(weights, lr=LEARNING_RATE, fused=True)
    compiled = torch.compile(loss_of, fullgraph=True)
    data = cycle([(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches()])

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = compiled(*next(data))
        loss.backward()
        optimizer.step()
        return loss

    return Case(step, lambda: {name: w.detach().numpy() for name, w in zip(NAMES, weights, strict=True)})


def jax_step() -> Case:
    import jax
    import jax.numpy as jnp

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        w_ih, w_hh, b_ih, b_hh = weights

        def one(states: Any, products: Any) -> Any:
            h, c = states
            i, f, g, o = jnp.split(products + h @ w_hh.T, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((BATCH, HIDDEN))
        _, outputs = jax.lax.scan(one, (zeros, zeros), x @ w_ih.T + b_ih + b_hh)
        return ((outputs - y) ** 2).mean()

    @functools.partial(jax.jit, donate_argnums=(0,))
    def train(weights: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights, x, y)
        return [w - LEARNING_RATE * g for w, g in zip(weights, gradients, strict=True)], loss

    state = [[jnp.array(value) for value in parameters().values()]]
    data = cycle([(jnp.asarray(x), jnp.asarray(y)) for x, y in batches()])

    def step() -> Any:
        state[0], loss = train(state[0], *next(data))
        return loss.block_until_ready()

    return Case(step, lambda: {name: np.asarray(w) for name, w in zip(NAMES, state[0], strict=True)})


# Products of the inputs forward and for their weights; of the hidden states forward, back, and for their weights.
_FLOPS = 2.0 * STEPS * BATCH * 4 * HIDDEN * (2 * INPUTS + 3 * HIDDEN)

register(
    Workload(
        "lstm",
        {
            "tinytorch": tinytorch_step,
            "tinytorch eager": functools.partial(tinytorch_step, False),
            "torch": torch_step,
            "torch.compile": torch_compile_step,
            "jax": jax_step,
        },
        flops=_FLOPS,
        limit="fma",
        check_steps=3,
        suites=("language",),
        targets=Targets(torch=1.5),
    )
)
