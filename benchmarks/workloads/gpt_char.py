"""A training step of the character model of milestone 4: rotary positions, QK-norm, ReLU², value residual, tied head,
dropout, Muon for the matrices and Adam for the rest.

Pre-RMSNorm blocks without biases. q, k, v and the projection are a matrix each. The projections start at zero, so the
first step moves them alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.allocator import keep_freed_memory
from benchmarks.registry import Case, Targets, Workload, random, register
from benchmarks.workloads.gpt import CHECKED, jax_attention, jax_dropout, noting, reader, tinytorch_case
from benchmarks.workloads.gpt_shapes import Shape, batches

Array = NDArray[Any]
CHAR = Shape(vocab=65, context=1024, layers=6, heads=5, width=160, batch=4, dropout=0.1)
MATRICES = ("q", "k", "v", "projection", "up", "down")
EPS = float(np.finfo(np.float32).eps)  # of RMSNorm
MUON_RATE, MUON_DECAY, MOMENTUM = 0.02, 0.1, 0.95
COEFFICIENTS, NS_STEPS, NS_EPS = (3.4445, -4.775, 2.0315), 5, 1e-7
ADAM_RATE, BETA1, BETA2, EPSILON = 6e-3, 0.9, 0.99, 1e-10


@functools.cache
def parameters(shape: Shape) -> dict[str, Array]:
    """Matrices as [out, in], by name."""
    d = shape.width
    found: dict[str, Array] = {"tokens": random(shape.vocab, d, scale=0.02)}
    for i in range(shape.layers):
        for part in ("q", "k", "v"):
            found[f"{i}.{part}"] = random(d, d, seed=len(found), scale=d**-0.5)
        found[f"{i}.projection"] = np.zeros((d, d), np.float32)
        found[f"{i}.up"] = random(4 * d, d, seed=len(found), scale=d**-0.5)
        found[f"{i}.down"] = np.zeros((d, 4 * d), np.float32)
        found[f"{i}.gain1"], found[f"{i}.gain2"] = np.ones((2, d), np.float32)
        found[f"{i}.scale"] = np.full((), shape.head_width**0.5, np.float32)
        if i:
            found[f"{i}.mix"] = np.full(2, 0.5, np.float32)
    found["gain"] = np.ones(d, np.float32)
    return found


def is_matrix(name: str) -> bool:
    """Whether Muon has a parameter."""
    return name.rpartition(".")[2] in MATRICES


@functools.cache
def rotation(shape: Shape) -> tuple[Array, Array]:
    """cos and sin of each position and pair of features (Su et al. 2021)."""
    half = shape.head_width // 2
    angles = np.arange(shape.context)[:, None] * 10_000.0 ** (-np.arange(half) / half)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def muon_flops(shape: Shape) -> float:
    """Of the products of Newton-Schulz."""
    total = 0.0
    for name, w in parameters(shape).items():
        if is_matrix(name):
            short, long = sorted(w.shape)
            total += NS_STEPS * 2.0 * (2 * short * short * long + short**3)
    return total


def by_shape(w: Mapping[str, Any]) -> list[list[str]]:
    """Names of matrices of equal shape, which are computed together."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for name in filter(is_matrix, w):
        groups.setdefault(tuple(w[name].shape), []).append(name)
    return list(groups.values())


# ---- TinyTorch ----------------------------------------------------------------------------------------------


_PARTS = {  # a block's names there: ours
    "q": "attention.query.weight",
    "k": "attention.key.weight",
    "v": "attention.value.weight",
    "projection": "attention.output.weight",
    "up": "feed_forward.up.weight",
    "down": "feed_forward.down.weight",
    "gain1": "norm1.weight",
    "gain2": "norm2.weight",
    "scale": "attention.qk_scale",
    "mix": "attention.value_mix",
}


def _ours(name: str) -> str:
    layer, _, part = name.rpartition(".")
    if layer:
        return f"blocks.{layer}.{_PARTS[part]}"
    return {"tokens": "token_embedding.weight", "gain": "norm.weight"}[name]


def tinytorch_model(shape: Shape, weights: Mapping[str, Array]) -> Any:
    import tinytorch as tt

    model = tt.GPT(
        shape.vocab, shape.width, shape.layers, shape.heads, shape.context, shape.dropout, bias=False,
        positions="rotary", norm="rms", activation="relu2", qk_norm=True, value_residual=True,
        initialization="identity",
    )  # fmt: skip
    model.load_state_dict({_ours(name): value for name, value in weights.items()})
    return model


def tinytorch_train(shape: Shape, compiled: bool = True) -> Case:
    import tinytorch as tt

    model = tinytorch_model(shape, parameters(shape))
    named = dict(model.named_parameters())
    w = {name: named[_ours(name)] for name in parameters(shape)}
    matrices, rest = ([p for name, p in w.items() if is_matrix(name) == wanted] for wanted in (True, False))
    muon = tt.Muon(matrices, lr=MUON_RATE, weight_decay=MUON_DECAY, momentum=MOMENTUM)
    adam = tt.Adam(rest, lr=ADAM_RATE, betas=(BETA1, BETA2), eps=EPSILON)
    return tinytorch_case(shape, model, (muon, adam), lambda: {name: p.numpy() for name, p in w.items()}, compiled)


# ---- torch --------------------------------------------------------------------------------------------------


def torch_logits(w: Mapping[str, Any], tokens: Any, turn: tuple[Any, Any], shape: Shape, dropout: float) -> Any:
    import torch
    import torch.nn.functional as F

    b, t, d = *tokens.shape, shape.width
    cos, sin = turn

    def rms(x: Any) -> Any:
        return F.rms_norm(x, (x.shape[-1],))

    def turned(x: Any) -> Any:
        a, c = x.chunk(2, -1)
        return torch.cat((a * cos - c * sin, a * sin + c * cos), -1)

    x, first = F.dropout(F.embedding(tokens, w["tokens"]), dropout), None
    for i in range(shape.layers):
        y = rms(x) * w[f"{i}.gain1"]
        parts = (F.linear(y, w[f"{i}.{part}"]) for part in ("q", "k", "v"))
        q, k, v = (p.view(b, t, shape.heads, shape.head_width).transpose(1, 2) for p in parts)
        if first is None:
            first = v
        else:
            v = w[f"{i}.mix"][0] * v + w[f"{i}.mix"][1] * first
        q, k = turned(rms(q) * (w[f"{i}.scale"] * shape.head_width**-0.5)), turned(rms(k))
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        x = x + F.dropout(F.linear(y.transpose(1, 2).reshape(b, t, d), w[f"{i}.projection"]), dropout)
        hidden = F.relu(F.linear(rms(x) * w[f"{i}.gain2"], w[f"{i}.up"])).square()
        x = x + F.dropout(F.linear(hidden, w[f"{i}.down"]), dropout)
    return F.linear(rms(x) * w["gain"], w["tokens"])


def _torch_update(w: Mapping[str, Any], state: Mapping[str, list[Any]], g: Mapping[str, Any], count: Any) -> None:
    """Muon in f32, in batches of equal shape (torch.optim.Muon takes one matrix after the other, in bf16), and Adam."""
    import torch

    a, b, c = COEFFICIENTS
    for names in by_shape(w):
        moments = torch.stack([state[n][0].lerp_(g[n], 1 - MOMENTUM) for n in names])
        x = torch.stack([g[n] for n in names]).lerp(moments, MOMENTUM)
        x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=NS_EPS)
        tall = x.shape[1] > x.shape[2]
        x = x.mT if tall else x
        for _ in range(NS_STEPS):
            gram = x @ x.mT
            x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        x = x.mT if tall else x
        rate = MUON_RATE * math.sqrt(max(1.0, x.shape[1] / x.shape[2]))
        for n, direction in zip(names, x, strict=True):
            w[n].mul_(1 - MUON_RATE * MUON_DECAY).sub_(rate * direction)
    count.add_(1)
    rate, correction = ADAM_RATE / (1 - BETA1**count), (1 - BETA2**count).rsqrt()
    for n, p in w.items():
        if not is_matrix(n):
            m, v = state[n]
            m.mul_(BETA1).add_((1 - BETA1) * g[n])
            v.mul_(BETA2).add_((1 - BETA2) * g[n] * g[n])
            p.sub_(rate * m / (v.sqrt() * correction + EPSILON))


def torch_train(shape: Shape, compiled: bool = False) -> Case:
    """Compiled: forward, backward and update in one graph (`fullgraph`), called through Inductor's C++ wrapper."""
    import torch
    import torch.nn.functional as F

    keep_freed_memory()
    torch.compiler.reset()
    w = {name: torch.tensor(value, requires_grad=not compiled) for name, value in parameters(shape).items()}
    state = {name: [torch.zeros_like(p) for _ in range(1 if is_matrix(name) else 2)] for name, p in w.items()}
    turn = tuple(map(torch.from_numpy, rotation(shape)))
    count = torch.zeros(())

    def loss_of(w: Any, x: Any, y: Any, dropout: float = shape.dropout) -> Any:
        return F.cross_entropy(torch_logits(w, x, turn, shape, dropout).flatten(0, 1), y.flatten())

    def train(x: Any, y: Any) -> Any:
        if compiled:
            gradients, loss = torch.func.grad_and_value(loss_of)(w, x, y)
        else:
            loss = loss_of(w, x, y)
            gradients = dict(zip(w, torch.autograd.grad(loss, list(w.values())), strict=True))
        with torch.no_grad():
            _torch_update(w, state, gradients, count)
        return loss

    step = torch.compile(train, fullgraph=True, options={"cpp_wrapper": True}) if compiled else train
    data = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches(shape)]
    run, losses = noting(step, cycle(data))

    def evaluate() -> float:
        with torch.no_grad():
            return loss_of(w, *data[0], 0.0).item()

    return Case(run, reader(shape, lambda: {name: p.detach().numpy() for name, p in w.items()}, losses, evaluate))


# ---- jax ----------------------------------------------------------------------------------------------------


def jax_logits(w: Mapping[str, Any], tokens: Any, shape: Shape, dropout: float, key: Any) -> Any:
    import jax
    import jax.numpy as jnp

    b, t, d = *tokens.shape, shape.width
    cos, sin = rotation(shape)
    keys = iter(jax.random.split(key, 1 + 3 * shape.layers)) if dropout else cycle([None])

    def rms(x: Any) -> Any:
        return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + EPS)

    def turned(x: Any) -> Any:
        a, c = jnp.split(x, 2, -1)
        return jnp.concatenate((a * cos - c * sin, a * sin + c * cos), -1)

    x, first = jax_dropout(next(keys), w["tokens"][tokens], dropout), None
    for i in range(shape.layers):
        y = rms(x) * w[f"{i}.gain1"]
        parts = (y @ w[f"{i}.{part}"].T for part in ("q", "k", "v"))
        q, k, v = (p.reshape(b, t, shape.heads, shape.head_width).swapaxes(1, 2) for p in parts)
        if first is None:
            first = v
        else:
            v = w[f"{i}.mix"][0] * v + w[f"{i}.mix"][1] * first
        y = jax_attention(
            turned(rms(q) * (w[f"{i}.scale"] * shape.head_width**-0.5)), turned(rms(k)), v, dropout, next(keys)
        )
        y = y.swapaxes(1, 2).reshape(b, t, d) @ w[f"{i}.projection"].T
        x = x + jax_dropout(next(keys), y, dropout)
        hidden = jax.nn.relu((rms(x) * w[f"{i}.gain2"]) @ w[f"{i}.up"].T) ** 2
        x = x + jax_dropout(next(keys), hidden @ w[f"{i}.down"].T, dropout)
    return (rms(x) * w["gain"]) @ w["tokens"].T


def _jax_update(w: Any, state: Any, g: Any, count: Any) -> tuple[Any, Any]:
    import jax
    import jax.numpy as jnp

    a, b, c = COEFFICIENTS
    w, state = dict(w), dict(state)
    for names in by_shape(w):
        moments = jnp.stack([MOMENTUM * state[n][0] + (1 - MOMENTUM) * g[n] for n in names])
        x = MOMENTUM * moments + (1 - MOMENTUM) * jnp.stack([g[n] for n in names])
        x = x / jnp.maximum(jnp.sqrt((x * x).sum((1, 2), keepdims=True)), NS_EPS)
        tall = x.shape[1] > x.shape[2]
        x = x.swapaxes(1, 2) if tall else x
        for _ in range(NS_STEPS):
            gram = x @ x.swapaxes(1, 2)
            x = a * x + (b * gram + c * gram @ gram) @ x
        x = x.swapaxes(1, 2) if tall else x
        rate = MUON_RATE * math.sqrt(max(1.0, x.shape[1] / x.shape[2]))
        for n, moment, direction in zip(names, moments, x, strict=True):
            state[n] = [moment]
            w[n] = w[n] * (1 - MUON_RATE * MUON_DECAY) - rate * direction
    rate, correction = ADAM_RATE / (1 - BETA1**count), jax.lax.rsqrt(1 - BETA2**count)
    for n in [n for n in w if not is_matrix(n)]:
        m = BETA1 * state[n][0] + (1 - BETA1) * g[n]
        v = BETA2 * state[n][1] + (1 - BETA2) * g[n] * g[n]
        state[n] = [m, v]
        w[n] = w[n] - rate * m / (jnp.sqrt(v) * correction + EPSILON)
    return w, state


def jax_train(shape: Shape) -> Case:
    import jax
    import jax.numpy as jnp

    def loss_of(w: Any, x: Any, y: Any, dropout: float, key: Any = None) -> Any:
        log_p = jax.nn.log_softmax(jax_logits(w, x, shape, dropout, key))
        return -jnp.take_along_axis(log_p, y[..., None], axis=-1).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def train(w: Any, state: Any, count: Any, key: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(w, x, y, shape.dropout, key)
        return *_jax_update(w, state, gradients, count), loss

    keep_freed_memory()
    w: Any = {name: jnp.array(value) for name, value in parameters(shape).items()}
    state: Any = {name: [jnp.zeros_like(p) for _ in range(1 if is_matrix(name) else 2)] for name, p in w.items()}
    keys = [jax.random.key(i) for i in range(CHECKED + 1)]
    data = [(jnp.asarray(x), jnp.asarray(y)) for x, y in batches(shape)]
    count = 0

    def step(x: Any, y: Any) -> Any:
        nonlocal w, state, count
        count += 1
        w, state, loss = train(w, state, np.float32(count), keys[count % len(keys)], x, y)
        return loss.block_until_ready()

    run, losses = noting(step, cycle(data))

    def evaluate() -> float:
        return jax.jit(functools.partial(loss_of, dropout=0.0))(w, *data[0]).item()

    return Case(run, reader(shape, lambda: {name: np.asarray(p) for name, p in w.items()}, losses, evaluate))


# ---- the row ------------------------------------------------------------------------------------------------

_BUILDERS: dict[str, Callable[[], Case]] = {
    "tinytorch": functools.partial(tinytorch_train, CHAR),
    "tinytorch eager": functools.partial(tinytorch_train, CHAR, False),
    "torch": functools.partial(torch_train, CHAR),
    "torch.compile": functools.partial(torch_train, CHAR, True),
    "jax": functools.partial(jax_train, CHAR),
}
register(
    Workload(
        "gpt_char_train",
        _BUILDERS,
        flops=CHAR.training_flops + muon_flops(CHAR),
        limit="fma",
        check_steps=CHECKED,
        prepare=lambda: (parameters(CHAR), batches(CHAR)),
        rtol=1e-2,
        atol=0.0,
        suites=("language",),
        targets=Targets(best=2.0, limit=0.65),
    )
)
