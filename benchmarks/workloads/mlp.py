"""An MLP 784-128-10 with ReLU: training steps (cross entropy, SGD with momentum 0.9) and inference."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import Case, Targets, Workload, random, register
from benchmarks.workloads.onnx_models import session_of

INPUTS, HIDDEN, CLASSES = 784, 128, 10
LEARNING_RATE, MOMENTUM = 0.01, 0.9
BATCHES = 8  # different batches, taken in turn: a step never sees the arrays of the step before

Array = NDArray[Any]


@functools.cache
def parameters() -> dict[str, Array]:
    """Weights as [out, in], so that every framework starts from the same."""
    return {
        "w1": random(HIDDEN, INPUTS, seed=1, scale=INPUTS**-0.5),
        "b1": random(HIDDEN, seed=2, scale=0.1),
        "w2": random(CLASSES, HIDDEN, seed=3, scale=HIDDEN**-0.5),
        "b2": random(CLASSES, seed=4, scale=0.1),
    }


@functools.cache
def batches(size: int) -> list[tuple[Array, Array]]:
    labels = np.random.default_rng(9).integers(0, CLASSES, (BATCHES, size))
    return [(random(size, INPUTS, seed=10 + i), labels[i]) for i in range(BATCHES)]


# ---- TinyTorch ----------------------------------------------------------------------------------------------


def _tinytorch_model() -> Any:
    import tinytorch as tt

    model = tt.Sequential(tt.Linear(INPUTS, HIDDEN), tt.ReLU(), tt.Linear(HIDDEN, CLASSES))
    start = parameters()
    model.load_state_dict(
        {"0.weight": start["w1"], "0.bias": start["b1"], "2.weight": start["w2"], "2.bias": start["b2"]}
    )
    return model


def tinytorch_train(size: int, compiled: bool = True) -> Case:
    import tinytorch as tt

    model = _tinytorch_model()
    loss_fn = tt.CrossEntropyLoss()
    optimizer = tt.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def train(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step = tt.compile(train) if compiled else train
    data = cycle([(tt.Tensor(x), tt.Tensor(y)) for x, y in batches(size)])
    names = ("w1", "b1", "w2", "b2")
    return Case(
        lambda: step(*next(data)),
        lambda: {name: p.numpy() for name, p in zip(names, model.parameters(), strict=True)},
    )


def tinytorch_infer(size: int, compiled: bool = True) -> Case:
    import tinytorch as tt

    model = _tinytorch_model()
    forward = tt.compile(model) if compiled else model
    x = tt.Tensor(batches(size)[0][0])

    def step() -> Any:
        with tt.no_grad():
            return forward(x)

    return Case(step, lambda: {"logits": step().numpy()})


# ---- numpy, by hand -----------------------------------------------------------------------------------------


def numpy_train(size: int) -> Case:
    """All intermediate arrays are allocated once; every operation writes in place."""
    w1, b1, w2, b2 = (array.copy() for array in parameters().values())
    moments = [np.zeros_like(array) for array in (w1, b1, w2, b2)]
    hidden, d_hidden = (np.empty((size, HIDDEN), np.float32) for _ in range(2))
    logits = np.empty((size, CLASSES), np.float32)
    d_w1, d_w2 = np.empty_like(w1), np.empty_like(w2)
    rows = np.arange(size)
    data = cycle(batches(size))
    scale, rate, momentum = np.float32(1 / size), np.float32(LEARNING_RATE), np.float32(MOMENTUM)

    def step() -> np.float32:
        x, y = next(data)
        np.matmul(x, w1.T, out=hidden)
        np.add(hidden, b1, out=hidden)
        np.maximum(hidden, 0, out=hidden)
        np.matmul(hidden, w2.T, out=logits)
        np.add(logits, b2, out=logits)
        np.subtract(logits, logits.max(1, keepdims=True), out=logits)
        chosen = logits[rows, y]
        np.exp(logits, out=logits)
        total = logits.sum(1, keepdims=True)
        loss = (np.log(total[:, 0]) - chosen).mean()
        np.divide(logits, total, out=logits)
        logits[rows, y] -= 1
        np.multiply(logits, scale, out=logits)
        np.matmul(logits.T, hidden, out=d_w2)
        np.matmul(logits, w2, out=d_hidden)
        np.multiply(d_hidden, hidden > 0, out=d_hidden)
        np.matmul(d_hidden.T, x, out=d_w1)
        gradients = (d_w1, d_hidden.sum(0), d_w2, logits.sum(0))
        for p, m, g in zip((w1, b1, w2, b2), moments, gradients, strict=True):
            m *= momentum
            m += g
            np.multiply(m, rate, out=g)
            p -= g
        return loss

    return Case(step, lambda: {"w1": w1, "b1": b1, "w2": w2, "b2": b2})


def numpy_infer(size: int) -> Case:
    start = parameters()
    w1, w2 = (np.ascontiguousarray(start[name].T) for name in ("w1", "w2"))
    b1, b2 = start["b1"], start["b2"]
    x = batches(size)[0][0]

    def step() -> Array:
        hidden = x @ w1
        hidden += b1
        np.maximum(hidden, 0, out=hidden)
        logits = hidden @ w2
        logits += b2
        return logits

    return Case(step, lambda: {"logits": step()})


# ---- torch --------------------------------------------------------------------------------------------------


def _torch_model() -> Any:
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), parameters().values(), strict=True):
            parameter.copy_(torch.from_numpy(value))
    return model


def _torch_data(size: int) -> cycle[Any]:
    import torch

    return cycle([(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches(size)])


def _torch_read(tensors: Sequence[Any]) -> Callable[[], dict[str, Array]]:
    names = ("w1", "b1", "w2", "b2")
    return lambda: {name: t.detach().numpy() for name, t in zip(names, tensors, strict=True)}


def torch_train(size: int) -> Case:
    """Eager, with the fused optimizer, which is faster here than the default."""
    import torch
    from torch import nn

    model = _torch_model()
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)
    data = _torch_data(size)

    def step() -> Any:
        x, y = next(data)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return Case(step, _torch_read(list(model.parameters())))


def torch_compile_train(size: int) -> Case:
    """Forward, backward and update in one graph (`fullgraph`), called through Inductor's C++ wrapper."""
    import torch
    import torch.nn.functional as F

    weights = [p.detach() for p in _torch_model().parameters()]
    moments = [torch.zeros_like(w) for w in weights]

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = weights
        return F.cross_entropy(F.linear(F.relu(F.linear(x, w1, b1)), w2, b2), y)

    def train(x: Any, y: Any) -> Any:
        gradients, loss = torch.func.grad_and_value(loss_of)(weights, x, y)
        for w, m, g in zip(weights, moments, gradients, strict=True):
            m.mul_(MOMENTUM).add_(g)
            w.sub_(LEARNING_RATE * m)
        return loss

    compiled = torch.compile(train, fullgraph=True, options={"cpp_wrapper": True})
    data = _torch_data(size)
    return Case(lambda: compiled(*next(data)), _torch_read(weights))


def torch_infer(size: int) -> Case:
    import torch

    model = _torch_model()
    x = torch.from_numpy(batches(size)[0][0])

    def step() -> Any:
        with torch.inference_mode():
            return model(x)

    return Case(step, lambda: {"logits": step().numpy()})


def torch_compile_infer(size: int) -> Case:
    import torch

    model = torch.compile(_torch_model(), fullgraph=True, options={"freezing": True})
    x = torch.from_numpy(batches(size)[0][0])

    def step() -> Any:
        with torch.no_grad():
            return model(x)

    return Case(step, lambda: {"logits": step().numpy()})


# ---- jax ----------------------------------------------------------------------------------------------------


def _jax_forward(weights: Any, x: Any) -> Any:
    import jax.numpy as jnp

    w1, b1, w2, b2 = weights
    return jnp.maximum(x @ w1.T + b1, 0) @ w2.T + b2


def jax_train(size: int) -> Case:
    import jax
    import jax.numpy as jnp

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        log_p = jax.nn.log_softmax(_jax_forward(weights, x))
        return -jnp.take_along_axis(log_p, y[:, None], axis=1).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def train(weights: Any, moments: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights, x, y)
        moments = [MOMENTUM * m + g for m, g in zip(moments, gradients, strict=True)]
        return [w - LEARNING_RATE * m for w, m in zip(weights, moments, strict=True)], moments, loss

    weights = [jnp.array(value) for value in parameters().values()]
    state: list[Any] = [weights, [jnp.zeros_like(w) for w in weights]]
    data = cycle([(jnp.asarray(x), jnp.asarray(y)) for x, y in batches(size)])

    def step() -> Any:
        state[0], state[1], loss = train(state[0], state[1], *next(data))
        return loss.block_until_ready()

    return Case(step, lambda: {n: np.asarray(w) for n, w in zip(parameters(), state[0], strict=True)})


def jax_infer(size: int) -> Case:
    import jax
    import jax.numpy as jnp

    weights = [jnp.asarray(value) for value in parameters().values()]
    forward = jax.jit(lambda x: _jax_forward(weights, x))
    x = jnp.asarray(batches(size)[0][0])
    return Case(lambda: forward(x).block_until_ready(), lambda: {"logits": np.asarray(forward(x))})


# ---- ONNX Runtime -------------------------------------------------------------------------------------------


def onnxruntime_infer(size: int) -> Case:
    from onnx import helper

    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["a"], transB=1),
        helper.make_node("Relu", ["a"], ["h"]),
        helper.make_node("Gemm", ["h", "w2", "b2"], ["y"], transB=1),
    ]
    x = batches(size)[0][0]
    run = session_of(nodes, {"x": x}, (size, CLASSES), parameters())
    return Case(run, lambda: {"logits": run()})


# ---- rows ---------------------------------------------------------------------------------------------------

_WEIGHTS = INPUTS * HIDDEN + HIDDEN * CLASSES


def _register_training(size: int, targets: Targets) -> None:
    flops = 2.0 * size * (2 * INPUTS * HIDDEN + 3 * HIDDEN * CLASSES)  # no gradient of the input
    register(
        Workload(
            f"mlp_train_b{size}",
            {
                "tinytorch": functools.partial(tinytorch_train, size),
                "tinytorch eager": functools.partial(tinytorch_train, size, False),
                "numpy": functools.partial(numpy_train, size),
                "torch": functools.partial(torch_train, size),
                "torch.compile": functools.partial(torch_compile_train, size),
                "jax": functools.partial(jax_train, size),
            },
            flops=flops,
            limit="fma",
            check_steps=5,
            prepare=lambda: (parameters(), batches(size)),
            targets=targets,
        )
    )


def _register_inference(size: int, limit: bool) -> None:
    register(
        Workload(
            f"mlp_infer_b{size}",
            {
                "tinytorch": functools.partial(tinytorch_infer, size),
                "tinytorch eager": functools.partial(tinytorch_infer, size, False),
                "numpy": functools.partial(numpy_infer, size),
                "torch": functools.partial(torch_infer, size),
                "torch.compile": functools.partial(torch_compile_infer, size),
                "jax": functools.partial(jax_infer, size),
                "onnxruntime": functools.partial(onnxruntime_infer, size),
            },
            flops=2.0 * size * _WEIGHTS,
            limit="fma" if limit else None,
            targets=Targets(best=1.2),
        )
    )


_register_training(64, Targets(best=2.5, torch=4.5))
_register_training(512, Targets(best=1.35, torch=2.3))
_register_inference(1, limit=False)
_register_inference(64, limit=True)
