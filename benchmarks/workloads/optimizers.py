"""AdamW on ten million parameters: reads p, g, m and v, writes p, m and v."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from benchmarks.registry import Case, Targets, Workload, random, register

TENSORS, SHAPE = 10, (1000, 1000)
COUNT = TENSORS * SHAPE[0] * SHAPE[1]
LEARNING_RATE, BETA1, BETA2, EPSILON, DECAY = 1e-3, 0.9, 0.999, 1e-8, 0.01
BLOCK = 1 << 16  # elements that numpy takes at a time, so that its temporaries stay in the cache


def starts() -> list[Any]:
    return [random(*SHAPE, seed=seed) for seed in range(TENSORS)]


def gradients() -> list[Any]:
    return [random(*SHAPE, seed=100 + seed, scale=0.01) for seed in range(TENSORS)]


def _named(arrays: list[Any]) -> dict[str, Any]:
    return {f"p{i}": array for i, array in enumerate(arrays)}


def tinytorch_adamw() -> Case:
    import tinytorch as tt

    parameters = [tt.Tensor(p, requires_grad=True) for p in starts()]
    optimizer = tt.AdamW(parameters, lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=DECAY)
    grads = [tt.Tensor(g) for g in gradients()]

    @tt.compile
    def update(grads: list[Any]) -> None:
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        optimizer.step()

    return Case(lambda: update(grads), lambda: _named([p.numpy() for p in parameters]))


def numpy_adamw() -> Case:
    parameters, grads = ([array.reshape(-1) for array in arrays] for arrays in (starts(), gradients()))
    first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    count = 0
    t, u = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    beta1, beta2, eps = (np.float32(v) for v in (BETA1, BETA2, EPSILON))

    def block(p: Any, g: Any, m: Any, v: Any, t: Any, u: Any, rate: np.float32, correction: np.float32) -> None:
        p *= np.float32(1 - LEARNING_RATE * DECAY)
        m *= beta1
        np.multiply(g, 1 - beta1, out=t)
        m += t
        v *= beta2
        np.multiply(g, g, out=t)
        t *= 1 - beta2
        v += t
        np.sqrt(v, out=t)
        t *= correction
        t += eps
        np.divide(m, t, out=u)
        u *= rate
        p -= u

    def step() -> None:
        nonlocal count
        count += 1
        rate = np.float32(LEARNING_RATE / (1 - BETA1**count))
        correction = np.float32((1 - BETA2**count) ** -0.5)
        for p, g, m, v in zip(parameters, grads, first, second, strict=True):
            for start in range(0, p.size, BLOCK):
                part = slice(start, start + BLOCK)
                size = p[part].size
                block(p[part], g[part], m[part], v[part], t[:size], u[:size], rate, correction)

    return Case(step, lambda: _named([p.reshape(SHAPE) for p in parameters]))


def torch_adamw(compiled: bool = False) -> Case:
    """Eager: the fused kernel. Compiled: the step of the optimizer that works on lists of tensors."""
    import torch

    parameters = [torch.from_numpy(p).requires_grad_() for p in starts()]
    for parameter, grad in zip(parameters, gradients(), strict=True):
        parameter.grad = torch.from_numpy(grad)
    kind = {"foreach": True} if compiled else {"fused": True}
    optimizer = torch.optim.AdamW(
        parameters, lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=DECAY, **kind
    )
    step = torch.compile(optimizer.step, options={"cpp_wrapper": True}) if compiled else optimizer.step
    return Case(lambda: step(), lambda: _named([p.detach().numpy() for p in parameters]))


def jax_adamw() -> Case:
    import jax
    import jax.numpy as jnp

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def update(ps: Any, ms: Any, vs: Any, gs: Any, count: Any) -> Any:
        rate = LEARNING_RATE / (1 - BETA1**count)
        correction = jax.lax.rsqrt(1 - BETA2**count)
        ms = [BETA1 * m + (1 - BETA1) * g for m, g in zip(ms, gs, strict=True)]
        vs = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(vs, gs, strict=True)]
        ps = [
            p * (1 - LEARNING_RATE * DECAY) - rate * m / (jnp.sqrt(v) * correction + EPSILON)
            for p, m, v in zip(ps, ms, vs, strict=True)
        ]
        return ps, ms, vs

    ps = [jnp.array(p) for p in starts()]
    gs = [jnp.array(g) for g in gradients()]
    state: list[Any] = [ps, [jnp.zeros_like(p) for p in ps], [jnp.zeros_like(p) for p in ps], 0]

    def step() -> None:
        state[3] += 1
        state[:3] = update(*state[:3], gs, np.float32(state[3]))
        jax.block_until_ready(state[:3])

    return Case(step, lambda: _named([np.asarray(p) for p in state[0]]))


register(
    Workload(
        "adamw_10M",
        {
            "tinytorch": tinytorch_adamw,
            "numpy": numpy_adamw,
            "torch": torch_adamw,
            "torch.compile": functools.partial(torch_adamw, True),
            "jax": jax_adamw,
        },
        flops=16.0 * COUNT,
        bytes=7.0 * 4 * COUNT,
        limit="copy",
        check_steps=3,
        targets=Targets(limit=0.85),
    )
)
