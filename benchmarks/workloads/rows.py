"""Row kernels on 4096 × 1024: softmax and layer normalisation, one read and one write of the array at best."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import Case, Targets, Workload, random, register
from benchmarks.workloads.onnx_models import session_of

ROWS, COLUMNS = 4096, 1024
BLOCK = 64  # rows that numpy takes at a time, so that its temporaries stay in the cache
EPSILON = 1e-5


def softmax_operands() -> tuple[NDArray[Any], ...]:
    return (random(ROWS, COLUMNS, seed=1, scale=3.0),)


def layernorm_operands() -> tuple[NDArray[Any], ...]:
    return random(ROWS, COLUMNS, seed=1, scale=3.0), 1 + random(COLUMNS, seed=2, scale=0.1), random(COLUMNS, seed=3)


def _of_function(function: Callable[..., Any], operands: tuple[Any, ...], numpy: Callable[[Any], Any]) -> Case:
    return Case(lambda: function(*operands), lambda: {"y": numpy(function(*operands))})


def tinytorch_softmax() -> Case:
    import tinytorch as tt

    function = tt.compile(lambda x: tt.softmax(x, dim=-1))
    return _of_function(function, tuple(map(tt.Tensor, softmax_operands())), lambda y: y.numpy())


def tinytorch_layernorm() -> Case:
    import tinytorch as tt

    function = tt.compile(lambda x, weight, bias: tt.layer_norm(x, (COLUMNS,), weight, bias, EPSILON))
    return _of_function(function, tuple(map(tt.Tensor, layernorm_operands())), lambda y: y.numpy())


def _in_blocks(block: Callable[..., None], operands: tuple[Any, ...]) -> Case:
    x, *rest = operands
    y = np.empty_like(x)

    def step() -> None:
        for start in range(0, ROWS, BLOCK):
            block(x[start : start + BLOCK], y[start : start + BLOCK], *rest)

    return Case(step, lambda: {"y": y})


def numpy_softmax() -> Case:
    def block(x: Any, y: Any) -> None:
        np.subtract(x, x.max(1, keepdims=True), out=y)
        np.exp(y, out=y)
        np.divide(y, y.sum(1, keepdims=True), out=y)

    return _in_blocks(block, softmax_operands())


def numpy_layernorm() -> Case:
    def block(x: Any, y: Any, weight: Any, bias: Any) -> None:
        np.subtract(x, x.mean(1, keepdims=True), out=y)
        variance = np.einsum("ij,ij->i", y, y)[:, None] / np.float32(COLUMNS)
        np.multiply(y, 1 / np.sqrt(variance + np.float32(EPSILON)), out=y)
        np.multiply(y, weight, out=y)
        np.add(y, bias, out=y)

    return _in_blocks(block, layernorm_operands())


def torch_softmax(compiled: bool = False) -> Case:
    import torch

    def function(x: Any) -> Any:
        return torch.softmax(x, dim=-1)

    if compiled:
        function = torch.compile(function, fullgraph=True, options={"cpp_wrapper": True})
    return _of_function(function, tuple(map(torch.from_numpy, softmax_operands())), lambda y: y.numpy())


def torch_layernorm(compiled: bool = False) -> Case:
    import torch

    def function(x: Any, weight: Any, bias: Any) -> Any:
        return torch.nn.functional.layer_norm(x, (COLUMNS,), weight, bias, EPSILON)

    if compiled:
        function = torch.compile(function, fullgraph=True, options={"cpp_wrapper": True})
    return _of_function(function, tuple(map(torch.from_numpy, layernorm_operands())), lambda y: y.numpy())


def jax_softmax() -> Case:
    import jax
    import jax.numpy as jnp

    function = jax.jit(lambda x: jax.nn.softmax(x, axis=-1))
    return _of_function(
        lambda *xs: function(*xs).block_until_ready(), tuple(map(jnp.asarray, softmax_operands())), np.asarray
    )


def jax_layernorm() -> Case:
    import jax
    import jax.numpy as jnp

    def normalise(x: Any, weight: Any, bias: Any) -> Any:
        mean = x.mean(-1, keepdims=True)
        variance = x.var(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + EPSILON) * weight + bias

    function = jax.jit(normalise)
    return _of_function(
        lambda *xs: function(*xs).block_until_ready(), tuple(map(jnp.asarray, layernorm_operands())), np.asarray
    )


def onnxruntime_softmax() -> Case:
    from onnx import helper

    (x,) = softmax_operands()
    run = session_of([helper.make_node("Softmax", ["x"], ["y"], axis=-1)], {"x": x}, x.shape)
    return Case(run, lambda: {"y": run()})


def onnxruntime_layernorm() -> Case:
    from onnx import helper

    x, weight, bias = layernorm_operands()
    node = helper.make_node("LayerNormalization", ["x", "weight", "bias"], ["y"], axis=-1, epsilon=EPSILON)
    run = session_of([node], {"x": x}, x.shape, {"weight": weight, "bias": bias})
    return Case(run, lambda: {"y": run()})


def _register(name: str, builders: dict[str, Callable[[], Case]], flops_per_element: float) -> None:
    register(
        Workload(
            f"{name}_{ROWS}x{COLUMNS}",
            builders,
            flops=flops_per_element * ROWS * COLUMNS,
            bytes=2.0 * 4 * ROWS * COLUMNS,
            limit="copy",
            targets=Targets(limit=0.85),
        )
    )


_register(
    "softmax",
    {
        "tinytorch": tinytorch_softmax,
        "numpy": numpy_softmax,
        "torch": torch_softmax,
        "torch.compile": functools.partial(torch_softmax, True),
        "jax": jax_softmax,
        "onnxruntime": onnxruntime_softmax,
    },
    5.0,
)
_register(
    "layernorm",
    {
        "tinytorch": tinytorch_layernorm,
        "numpy": numpy_layernorm,
        "torch": torch_layernorm,
        "torch.compile": functools.partial(torch_layernorm, True),
        "jax": jax_layernorm,
        "onnxruntime": onnxruntime_layernorm,
    },
    8.0,
)
