"""Training steps of small GPTs (cross entropy, AdamW), with dropout and without.

Dropout draws other masks in each framework: there, what is compared are losses, to a percent: those of the steps, and
the one that the trained model has without dropout.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.allocator import keep_freed_memory
from benchmarks.registry import Arrays, Case, Targets, Workload, register
from benchmarks.workloads.gpt_shapes import BASE, BASE_DROPOUT, EPS, SMALL, Shape, batches, parameters

LEARNING_RATE, BETA1, BETA2, DECAY = 1e-3, 0.9, 0.999, 0.01
EPSILON = 1e-4  # well above the rounding errors of gradients, so that the contestants' steps can be compared
CHECKED = 3  # steps behind which they are


def noting(step: Callable[..., Any], turns: Iterator[Any]) -> tuple[Callable[[], Any], list[float]]:
    """A step on the batches in turn, and the losses of the first ones."""
    losses: list[float] = []

    def run() -> Any:
        loss = step(*next(turns))
        if len(losses) < CHECKED:
            losses.append(loss.item())
        return loss

    return run, losses


def reader(
    shape: Shape, weights: Callable[[], Mapping[str, Any]], losses: list[float], evaluate: Callable[[], float]
) -> Callable[[], Arrays]:
    """What is compared: the weights, or with dropout the losses."""
    if not shape.dropout:
        return lambda: {name: np.asarray(w) for name, w in weights().items()}
    return lambda: {"trained": np.array([np.mean(losses[:CHECKED])]), "evaluated": np.array([evaluate()])}


# ---- TinyTorch ----------------------------------------------------------------------------------------------


_PARTS = {  # a block's names there: ours
    "norm1.gain": "norm1.weight",
    "norm1.bias": "norm1.bias",
    "projection": "attention.output.weight",
    "projection.bias": "attention.output.bias",
    "norm2.gain": "norm2.weight",
    "norm2.bias": "norm2.bias",
    "up": "feed_forward.up.weight",
    "up.bias": "feed_forward.up.bias",
    "down": "feed_forward.down.weight",
    "down.bias": "feed_forward.down.bias",
}
_OUTSIDE = {
    "tokens": "token_embedding.weight",
    "positions": "positions.weight",
    "norm.gain": "norm.weight",
    "norm.bias": "norm.bias",
    "head": "head.weight",
}
_QKV = ("query", "key", "value")


def tinytorch_model(shape: Shape, weights: Arrays) -> Any:
    """`weights` as in `parameters`."""
    import tinytorch as tt

    model = tt.GPT(
        shape.vocab, shape.width, shape.layers, shape.heads, shape.context, dropout=shape.dropout, tied=False
    )
    state = {name: weights[theirs] for theirs, name in _OUTSIDE.items()}
    for i in range(shape.layers):
        state |= {f"blocks.{i}.{name}": weights[f"{i}.{theirs}"] for theirs, name in _PARTS.items()}
        for end in ("weight", "bias"):
            joined = weights[f"{i}.qkv" + ".bias" * (end == "bias")]
            state |= {
                f"blocks.{i}.attention.{part}.{end}": piece
                for part, piece in zip(_QKV, np.split(joined, 3), strict=True)
            }
    model.load_state_dict(state)
    return model


def tinytorch_weights(model: Any, shape: Shape) -> dict[str, Any]:
    """The inverse."""
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    found = {theirs: state[name] for theirs, name in _OUTSIDE.items()}
    for i in range(shape.layers):
        found |= {f"{i}.{theirs}": state[f"blocks.{i}.{name}"] for theirs, name in _PARTS.items()}
        for end in ("weight", "bias"):
            parts = [state[f"blocks.{i}.attention.{part}.{end}"] for part in _QKV]
            found[f"{i}.qkv" + ".bias" * (end == "bias")] = np.concatenate(parts)
    return found


def tinytorch_case(
    shape: Shape, model: Any, optimizers: Sequence[Any], weights: Callable[[], Arrays], compiled: bool
) -> Case:
    import tinytorch as tt

    def train(tokens: Any, targets: Any) -> Any:
        loss = model(tokens, targets)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    step = tt.compile(train) if compiled else train
    data = [(tt.Tensor(x), tt.Tensor(y)) for x, y in batches(shape)]
    run, losses = noting(step, cycle(data))

    def evaluate() -> float:
        with tt.no_grad():
            loss = model.eval()(*data[0]).item()
        model.train()
        return loss

    return Case(run, reader(shape, weights, losses, evaluate))


def tinytorch_train(shape: Shape, compiled: bool = True) -> Case:
    import tinytorch as tt

    model = tinytorch_model(shape, parameters(shape))
    optimizer = tt.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=DECAY)
    return tinytorch_case(shape, model, [optimizer], lambda: tinytorch_weights(model, shape), compiled)


# ---- torch --------------------------------------------------------------------------------------------------


def torch_logits(w: Mapping[str, Any], tokens: Any, shape: Shape, dropout: float = 0.0) -> Any:
    import torch.nn.functional as F

    b, t, d = *tokens.shape, shape.width

    def norm(x: Any, name: str) -> Any:
        return F.layer_norm(x, (d,), w[f"{name}.gain"], w[f"{name}.bias"], EPS)

    def linear(x: Any, name: str) -> Any:
        return F.linear(x, w[name], w[f"{name}.bias"])

    x = F.dropout(F.embedding(tokens, w["tokens"]) + w["positions"][:t], dropout)
    for i in range(shape.layers):
        qkv = linear(norm(x, f"{i}.norm1"), f"{i}.qkv").view(b, t, 3, shape.heads, shape.head_width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True).transpose(1, 2).reshape(b, t, d)
        x = x + F.dropout(linear(y, f"{i}.projection"), dropout)
        hidden = F.gelu(linear(norm(x, f"{i}.norm2"), f"{i}.up"), approximate="tanh")
        x = x + F.dropout(linear(hidden, f"{i}.down"), dropout)
    return F.linear(norm(x, "norm"), w["head"])


def _torch_case(shape: Shape, w: Mapping[str, Any], train: Callable[[Any, Any], Any]) -> Case:
    import torch
    import torch.nn.functional as F

    data = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches(shape)]
    run, losses = noting(train, cycle(data))

    def evaluate() -> float:
        x, y = data[0]
        with torch.no_grad():
            return F.cross_entropy(torch_logits(w, x, shape).flatten(0, 1), y.flatten()).item()

    return Case(run, reader(shape, lambda: {name: p.detach().numpy() for name, p in w.items()}, losses, evaluate))


def torch_train(shape: Shape) -> Case:
    """Eager, with the fused optimizer, which is faster here than the default."""
    import torch
    import torch.nn.functional as F

    keep_freed_memory()
    w = {name: torch.tensor(value, requires_grad=True) for name, value in parameters(shape).items()}
    optimizer = torch.optim.AdamW(
        w.values(), lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=DECAY, fused=True
    )

    def train(x: Any, y: Any) -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(torch_logits(w, x, shape, shape.dropout).flatten(0, 1), y.flatten())
        loss.backward()
        optimizer.step()
        return loss

    return _torch_case(shape, w, train)


def torch_compile_train(shape: Shape) -> Case:
    """Forward, backward and update in one graph (`fullgraph`), called through Inductor's C++ wrapper."""
    import torch
    import torch.nn.functional as F

    keep_freed_memory()
    w = {name: torch.tensor(value) for name, value in parameters(shape).items()}
    first, second = ({name: torch.zeros_like(p) for name, p in w.items()} for _ in range(2))
    count = torch.zeros(())

    def loss_of(w: Any, x: Any, y: Any) -> Any:
        return F.cross_entropy(torch_logits(w, x, shape, shape.dropout).flatten(0, 1), y.flatten())

    def train(x: Any, y: Any) -> Any:
        gradients, loss = torch.func.grad_and_value(loss_of)(w, x, y)
        count.add_(1)
        rate, correction = LEARNING_RATE / (1 - BETA1**count), (1 - BETA2**count).rsqrt()
        for name, p in w.items():
            m, v, g = first[name], second[name], gradients[name]
            m.mul_(BETA1).add_((1 - BETA1) * g)
            v.mul_(BETA2).add_((1 - BETA2) * g * g)
            p.mul_(1 - LEARNING_RATE * DECAY).sub_(rate * m / (v.sqrt() * correction + EPSILON))
        return loss

    torch.compiler.reset()
    return _torch_case(shape, w, torch.compile(train, fullgraph=True, options={"cpp_wrapper": True}))


# ---- jax ----------------------------------------------------------------------------------------------------


def jax_dropout(key: Any, x: Any, p: float) -> Any:
    import jax
    import jax.numpy as jnp

    return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0.0) if p else x


def jax_attention(q: Any, k: Any, v: Any, dropout: float = 0.0, key: Any = None) -> Any:
    """Causal: q, k, v [batch, heads, length, head width]."""
    import jax
    import jax.numpy as jnp

    length = q.shape[-2]
    scores = jnp.einsum("bhid,bhjd->bhij", q, k) * q.shape[-1] ** -0.5
    earlier = jnp.tril(jnp.ones((length, length), bool))
    weights = jax.nn.softmax(jnp.where(earlier, scores, -jnp.inf), axis=-1)
    return jnp.einsum("bhij,bhjd->bhid", jax_dropout(key, weights, dropout), v)


def jax_logits(w: Mapping[str, Any], tokens: Any, shape: Shape, dropout: float = 0.0, key: Any = None) -> Any:
    import jax
    import jax.numpy as jnp

    b, t, d = *tokens.shape, shape.width
    keys = iter(jax.random.split(key, 1 + 3 * shape.layers)) if dropout else cycle([None])

    def norm(x: Any, name: str) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        scale = jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + EPS)
        return centred * scale * w[f"{name}.gain"] + w[f"{name}.bias"]

    def linear(x: Any, name: str) -> Any:
        return x @ w[name].T + w[f"{name}.bias"]

    x = jax_dropout(next(keys), w["tokens"][tokens] + w["positions"][:t], dropout)
    for i in range(shape.layers):
        qkv = linear(norm(x, f"{i}.norm1"), f"{i}.qkv").reshape(b, t, 3, shape.heads, shape.head_width)
        y = jax_attention(*jnp.transpose(qkv, (2, 0, 3, 1, 4)), dropout, next(keys))
        y = linear(y.swapaxes(1, 2).reshape(b, t, d), f"{i}.projection")
        x = x + jax_dropout(next(keys), y, dropout)
        hidden = jax.nn.gelu(linear(norm(x, f"{i}.norm2"), f"{i}.up"), approximate=True)
        x = x + jax_dropout(next(keys), linear(hidden, f"{i}.down"), dropout)
    return norm(x, "norm") @ w["head"].T


def jax_train(shape: Shape) -> Case:
    import jax
    import jax.numpy as jnp

    def loss_of(w: Any, x: Any, y: Any, dropout: float, key: Any = None) -> Any:
        log_p = jax.nn.log_softmax(jax_logits(w, x, shape, dropout, key))
        return -jnp.take_along_axis(log_p, y[..., None], axis=-1).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def train(w: Any, first: Any, second: Any, count: Any, key: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(w, x, y, shape.dropout, key)
        rate, correction = LEARNING_RATE / (1 - BETA1**count), jax.lax.rsqrt(1 - BETA2**count)
        first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradients)
        second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradients)
        w = jax.tree.map(
            lambda p, m, v: p * (1 - LEARNING_RATE * DECAY) - rate * m / (jnp.sqrt(v) * correction + EPSILON),
            w,
            first,
            second,
        )
        return w, first, second, loss

    keep_freed_memory()
    w = {name: jnp.array(value) for name, value in parameters(shape).items()}
    state: list[Any] = [w, *(jax.tree.map(jnp.zeros_like, w) for _ in range(2))]
    keys = [jax.random.key(i) for i in range(CHECKED + 1)]
    data = [(jnp.asarray(x), jnp.asarray(y)) for x, y in batches(shape)]
    count = 0

    def step(x: Any, y: Any) -> Any:
        nonlocal count
        count += 1
        *state[:], loss = train(*state, np.float32(count), keys[count % len(keys)], x, y)
        return loss.block_until_ready()

    run, losses = noting(step, cycle(data))

    def evaluate() -> float:
        return loss_of(state[0], *data[0], 0.0).item()

    return Case(run, reader(shape, lambda: {name: np.asarray(p) for name, p in state[0].items()}, losses, evaluate))


# ---- rows ---------------------------------------------------------------------------------------------------


def _register(name: str, shape: Shape, targets: Targets) -> None:
    register(
        Workload(
            name,
            {
                "tinytorch": functools.partial(tinytorch_train, shape),
                "tinytorch eager": functools.partial(tinytorch_train, shape, False),
                "torch": functools.partial(torch_train, shape),
                "torch.compile": functools.partial(torch_compile_train, shape),
                "jax": functools.partial(jax_train, shape),
            },
            flops=shape.training_flops,
            limit="fma",
            check_steps=CHECKED,
            prepare=lambda: (parameters(shape), batches(shape)),
            rtol=1e-2 if shape.dropout else 1e-4,
            atol=0.0 if shape.dropout else 3e-5,
            suites=("language",),
            targets=targets,
        )
    )


_register("gpt_small_train", SMALL, Targets(best=2.0))
_register("gpt_base_train", BASE, Targets(best=1.5, limit=0.75))
_register("gpt_base_train_dropout", BASE_DROPOUT, Targets(best=1.8))
