"""A network of three convolutions on 3×32×32 images: training steps (cross entropy, AdamW) and inference.

Conv 3×3 (3→32, 32→64, 64→128; padding 1), each with ReLU and 2×2 max-pooling, then Linear 2048-256, ReLU, 256-10.
TinyTorch, eager torch and ONNX Runtime take the images as [batch, channels, height, width]; "torch channels_last",
torch.compile and jax get them, and their weights, in the channels-last layout in which they are faster, converted
before the clock starts. All but eager torch as it comes keep freed memory (`allocator.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.allocator import keep_freed_memory
from benchmarks.registry import Arrays, Case, Targets, Workload, random, register
from benchmarks.workloads.networks.training import ATOL, RTOL, shadows
from benchmarks.workloads.onnx_models import model_of, session_on

IMAGE = (3, 32, 32)
CHANNELS = (3, 32, 64, 128)
MAP = (4, 4)  # height and width after the last pooling
FEATURES, HIDDEN, CLASSES = CHANNELS[-1] * MAP[0] * MAP[1], 256, 10
LEARNING_RATE, BETA1, BETA2, DECAY = 1e-3, 0.9, 0.999, 0.01
EPSILON = 1e-4  # well above the rounding errors of gradients, so that the contestants' steps can be compared
BATCHES = 4  # different batches, taken in turn

Array = NDArray[Any]


@functools.cache
def parameters() -> dict[str, Array]:
    """Convolution weights as [out, in, height, width], others as [out, in]; every framework starts from the same."""
    found: dict[str, Array] = {}
    for i, (inputs, outputs) in enumerate(pairwise(CHANNELS), 1):
        found[f"k{i}"] = random(outputs, inputs, 3, 3, seed=2 * i, scale=(2 / (9 * inputs)) ** 0.5)
        found[f"c{i}"] = random(outputs, seed=2 * i + 1, scale=0.1)
    for i, (inputs, outputs) in enumerate(((FEATURES, HIDDEN), (HIDDEN, CLASSES)), 1):
        found[f"w{i}"] = random(outputs, inputs, seed=20 + 2 * i, scale=inputs**-0.5)
        found[f"b{i}"] = random(outputs, seed=21 + 2 * i, scale=0.1)
    return found


@functools.cache
def batches(size: int) -> list[tuple[Array, Array]]:
    labels = np.random.default_rng(9).integers(0, CLASSES, (BATCHES, size))
    return [(random(size, *IMAGE, seed=30 + i), labels[i]) for i in range(BATCHES)]


def _changes(now: Sequence[Array]) -> Arrays:
    """What is compared: how far parameters have moved. Their elements would not do: a rounding error decides which of
    two nearly equal elements of a window is the largest, and Adam makes whole steps of the smallest gradients."""
    return shadows(list(parameters().values()), now)


# ---- TinyTorch ----------------------------------------------------------------------------------------------


def tinytorch_model() -> Any:
    import tinytorch as tt

    layers: list[Any] = []
    for inputs, outputs in pairwise(CHANNELS):
        layers += [tt.Conv2d(inputs, outputs, 3, padding=1), tt.ReLU(), tt.MaxPool2d(2)]
    model = tt.Sequential(*layers, tt.Flatten(), tt.Linear(FEATURES, HIDDEN), tt.ReLU(), tt.Linear(HIDDEN, CLASSES))
    model.load_state_dict(dict(zip(model.state_dict(), parameters().values(), strict=True)))
    return model


def tinytorch_train(size: int, compiled: bool = True) -> Case:
    import tinytorch as tt

    model = tinytorch_model()
    loss_fn = tt.CrossEntropyLoss()
    optimizer = tt.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=DECAY)

    def train(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step = tt.compile(train) if compiled else train
    data = cycle([(tt.Tensor(x), tt.Tensor(y)) for x, y in batches(size)])
    return Case(
        lambda: step(*next(data)),
        lambda: _changes([p.numpy() for p in model.parameters()]),
    )


def tinytorch_infer(size: int, **options: Any) -> Case:
    """With `freeze=True` the weights are constants of the compiled graph."""
    import tinytorch as tt

    return _tinytorch_inference(size, tt.compile(tinytorch_model(), **options))


def tinytorch_eager_infer(size: int) -> Case:
    return _tinytorch_inference(size, tinytorch_model())


def _tinytorch_inference(size: int, forward: Callable[[Any], Any]) -> Case:
    import tinytorch as tt

    x = tt.Tensor(batches(size)[0][0])

    def step() -> Any:
        with tt.no_grad():
            return forward(x)

    return Case(step, lambda: {"logits": step().numpy()})


# ---- torch --------------------------------------------------------------------------------------------------


def _torch_model(channels_last: bool) -> Any:
    import torch
    from torch import nn

    layers: list[Any] = []
    for inputs, outputs in pairwise(CHANNELS):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), parameters().values(), strict=True):
            parameter.copy_(torch.from_numpy(value))
    if channels_last:
        keep_freed_memory()
        return model.to(memory_format=torch.channels_last)
    return model


def _torch_images(x: Array, channels_last: bool) -> Any:
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    return torch.from_numpy(x).contiguous(memory_format=layout)


def _torch_data(size: int, channels_last: bool) -> cycle[Any]:
    import torch

    return cycle([(_torch_images(x, channels_last), torch.from_numpy(y)) for x, y in batches(size)])


def _torch_read(tensors: Sequence[Any]) -> Callable[[], Arrays]:
    return lambda: _changes([t.detach().numpy() for t in tensors])


def torch_train(size: int, channels_last: bool = False) -> Case:
    """Eager, with the fused optimizer, which is faster here than the default."""
    import torch
    from torch import nn

    model = _torch_model(channels_last)
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=DECAY, fused=True
    )
    data = _torch_data(size, channels_last)

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

    model = _torch_model(channels_last=True)
    weights = [p.detach() for p in model.parameters()]
    first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    count = torch.zeros(())

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        *convolutions, w1, b1, w2, b2 = weights
        for kernel, bias in zip(convolutions[::2], convolutions[1::2], strict=True):
            x = F.max_pool2d(F.relu(F.conv2d(x, kernel, bias, padding=1)), 2)
        return F.cross_entropy(F.linear(F.relu(F.linear(x.flatten(1), w1, b1)), w2, b2), y)

    def train(x: Any, y: Any) -> Any:
        gradients, loss = torch.func.grad_and_value(loss_of)(weights, x, y)
        count.add_(1)
        rate, correction = LEARNING_RATE / (1 - BETA1**count), (1 - BETA2**count).rsqrt()
        for w, m, v, g in zip(weights, first, second, gradients, strict=True):
            m.mul_(BETA1).add_((1 - BETA1) * g)
            v.mul_(BETA2).add_((1 - BETA2) * g * g)
            w.mul_(1 - LEARNING_RATE * DECAY).sub_(rate * m / (v.sqrt() * correction + EPSILON))
        return loss

    torch.compiler.reset()
    compiled = torch.compile(train, fullgraph=True, options={"cpp_wrapper": True})
    data = _torch_data(size, channels_last=True)
    return Case(lambda: compiled(*next(data)), _torch_read(weights))


def torch_infer(size: int, channels_last: bool = False) -> Case:
    import torch

    model = _torch_model(channels_last)
    x = _torch_images(batches(size)[0][0], channels_last)

    def step() -> Any:
        with torch.inference_mode():
            return model(x)

    return Case(step, lambda: {"logits": step().numpy()})


def torch_compile_infer(size: int) -> Case:
    import torch

    torch.compiler.reset()  # else, it compiles the second batch size for any
    model = torch.compile(_torch_model(channels_last=True), fullgraph=True, options={"freezing": True})
    x = _torch_images(batches(size)[0][0], channels_last=True)

    def step() -> Any:
        with torch.no_grad():
            return model(x)

    return Case(step, lambda: {"logits": step().numpy()})


# ---- jax ----------------------------------------------------------------------------------------------------


def _jax_start() -> dict[str, Any]:
    """Kernels as [height, width, in, out]; the first dense layer reads features in the order height, width, channel."""
    import jax.numpy as jnp

    start = dict(parameters())
    for name in ("k1", "k2", "k3"):
        start[name] = start[name].transpose(2, 3, 1, 0)
    start["w1"] = start["w1"].reshape(HIDDEN, -1, *MAP).transpose(0, 2, 3, 1).reshape(HIDDEN, FEATURES)
    return {name: jnp.array(value) for name, value in start.items()}


def _jax_read(weights: Mapping[str, Any]) -> dict[str, Array]:
    """The weights in the layout of `parameters`."""
    found = {name: np.asarray(weights[name]) for name in parameters()}
    for name in ("k1", "k2", "k3"):
        found[name] = found[name].transpose(3, 2, 0, 1)
    found["w1"] = found["w1"].reshape(HIDDEN, *MAP, -1).transpose(0, 3, 1, 2).reshape(HIDDEN, FEATURES)
    return found


def _jax_forward(weights: Mapping[str, Any], x: Any) -> Any:
    import jax.numpy as jnp
    from jax import lax

    window = (1, 2, 2, 1)
    for i in (1, 2, 3):
        x = lax.conv_general_dilated(x, weights[f"k{i}"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = lax.reduce_window(jnp.maximum(x + weights[f"c{i}"], 0), -jnp.inf, lax.max, window, window, "VALID")
    hidden = jnp.maximum(x.reshape(len(x), -1) @ weights["w1"].T + weights["b1"], 0)
    return hidden @ weights["w2"].T + weights["b2"]


def jax_train(size: int) -> Case:
    import jax
    import jax.numpy as jnp

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        log_p = jax.nn.log_softmax(_jax_forward(weights, x))
        return -jnp.take_along_axis(log_p, y[:, None], axis=1).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def train(weights: Any, first: Any, second: Any, count: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights, x, y)
        rate, correction = LEARNING_RATE / (1 - BETA1**count), jax.lax.rsqrt(1 - BETA2**count)
        first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradients)
        second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradients)
        weights = jax.tree.map(
            lambda w, m, v: w * (1 - LEARNING_RATE * DECAY) - rate * m / (jnp.sqrt(v) * correction + EPSILON),
            weights,
            first,
            second,
        )
        return weights, first, second, loss

    keep_freed_memory()
    weights = _jax_start()
    state: list[Any] = [weights, *(jax.tree.map(jnp.zeros_like, weights) for _ in range(2)), 0]
    data = cycle([(jnp.asarray(x.transpose(0, 2, 3, 1)), jnp.asarray(y)) for x, y in batches(size)])

    def step() -> Any:
        state[3] += 1
        *state[:3], loss = train(*state[:3], np.float32(state[3]), *next(data))
        return loss.block_until_ready()

    return Case(step, lambda: _changes(list(_jax_read(state[0]).values())))


def jax_infer(size: int) -> Case:
    import jax
    import jax.numpy as jnp

    keep_freed_memory()
    weights = _jax_start()
    forward = jax.jit(lambda x: _jax_forward(weights, x))
    x = jnp.asarray(batches(size)[0][0].transpose(0, 2, 3, 1))
    return Case(lambda: forward(x).block_until_ready(), lambda: {"logits": np.asarray(forward(x))})


# ---- ONNX Runtime -------------------------------------------------------------------------------------------


def onnx_model(size: int) -> bytes:
    from onnx import helper

    nodes: list[Any] = []
    for i, name in enumerate(("x", "p1", "p2"), 1):
        nodes += [
            helper.make_node("Conv", [name, f"k{i}", f"c{i}"], [f"y{i}"], kernel_shape=(3, 3), pads=(1, 1, 1, 1)),
            helper.make_node("Relu", [f"y{i}"], [f"r{i}"]),
            helper.make_node("MaxPool", [f"r{i}"], [f"p{i}"], kernel_shape=(2, 2), strides=(2, 2)),
        ]
    nodes += [
        helper.make_node("Flatten", ["p3"], ["f"]),
        helper.make_node("Gemm", ["f", "w1", "b1"], ["a"], transB=1),
        helper.make_node("Relu", ["a"], ["h"]),
        helper.make_node("Gemm", ["h", "w2", "b2"], ["y"], transB=1),
    ]
    return model_of(nodes, {"x": (np.float32, (size, *IMAGE))}, {"y": (size, CLASSES)}, parameters())


def onnxruntime_infer(size: int) -> Case:
    run = session_on(onnx_model(size), {"x": batches(size)[0][0]}, (size, CLASSES))
    return Case(run, lambda: {"logits": run()})


# ---- rows ---------------------------------------------------------------------------------------------------

# Multiply-adds of one image: each convolution runs at the size of its input.
_CONVOLUTIONS = [
    9 * inputs * outputs * (IMAGE[1] >> i) * (IMAGE[2] >> i) for i, (inputs, outputs) in enumerate(pairwise(CHANNELS))
]
FORWARD = sum(_CONVOLUTIONS) + FEATURES * HIDDEN + HIDDEN * CLASSES


def _register_training(size: int) -> None:
    register(
        Workload(
            f"cnn_train_b{size}",
            {
                "tinytorch": functools.partial(tinytorch_train, size),
                "tinytorch eager": functools.partial(tinytorch_train, size, False),
                "torch": functools.partial(torch_train, size),
                "torch channels_last": functools.partial(torch_train, size, True),
                "torch.compile": functools.partial(torch_compile_train, size),
                "jax": functools.partial(jax_train, size),
            },
            flops=2.0 * size * (3 * FORWARD - _CONVOLUTIONS[0]),  # no gradient of the images
            limit="fma",
            check_steps=3,
            prepare=lambda: (parameters(), batches(size)),
            rtol=RTOL,
            atol=ATOL,
            suites=("vision",),
            targets=Targets(best=1.5, torch=2.5),
        )
    )


def _register_inference(size: int, frozen: bool, best: float) -> None:
    """The same peers twice: they have weights frozen where they can; ours once as arguments, once frozen."""
    ours = functools.partial(tinytorch_infer, size, freeze=True) if frozen else functools.partial(tinytorch_infer, size)
    register(
        Workload(
            f"cnn_infer_b{size}" + "_frozen" * frozen,
            {
                "tinytorch": ours,
                "tinytorch eager": functools.partial(tinytorch_eager_infer, size),
                "torch": functools.partial(torch_infer, size),
                "torch channels_last": functools.partial(torch_infer, size, True),
                "torch.compile": functools.partial(torch_compile_infer, size),
                "jax": functools.partial(jax_infer, size),
                "onnxruntime": functools.partial(onnxruntime_infer, size),
            },
            flops=2.0 * size * FORWARD,
            limit="fma" if size > 1 else None,
            suites=("vision",),
            targets=Targets(best=best),
        )
    )


_register_training(128)
for _frozen in (False, True):
    _register_inference(1, _frozen, best=1.15)
    _register_inference(128, _frozen, best=1.1)
