"""Causal attention alone, forward and forward with backward. FLOPs count the lower triangle only: two products forward,
five backward, since the weights are computed again (Dao et al. 2022)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.allocator import keep_freed_memory
from benchmarks.registry import Case, Targets, Workload, random, register
from benchmarks.workloads import gpt
from benchmarks.workloads.onnx_models import attention_nodes, openvino_of, session_of

Array = NDArray[Any]


@dataclass(frozen=True)
class Shape:
    """q, k and v are [batch, heads, length, width]."""

    batch: int
    heads: int
    length: int
    width: int

    @property
    def name(self) -> str:
        return f"b{self.batch}_h{self.heads}_t{self.length}_d{self.width}"

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return self.batch, self.heads, self.length, self.width

    @property
    def product_flops(self) -> float:
        """Of one product over the lower triangle."""
        return float(self.batch * self.heads * self.length**2 * self.width)


@functools.cache
def operands(shape: Shape) -> tuple[Array, Array, Array, Array]:
    """q, k, v and the cotangent of the result."""
    q, k, v, g = (random(*shape.sizes, seed=seed) for seed in range(4))
    return q, k, v, g


def _named(result: Any, *gradients: Any) -> dict[str, Array]:
    names = ("y", "dq", "dk", "dv")
    return {name: np.asarray(a) for name, a in zip(names, (result, *gradients), strict=False)}


# ---- TinyTorch ----------------------------------------------------------------------------------------------


def tinytorch_attention(q: Any, k: Any, v: Any) -> Any:
    import tinytorch as tt

    return tt.scaled_dot_product_attention(q, k, v, is_causal=True)


def tinytorch_forward(shape: Shape, compiled: bool = True) -> Case:
    import tinytorch as tt

    attend = tt.compile(tinytorch_attention) if compiled else tinytorch_attention
    q, k, v, _ = map(tt.Tensor, operands(shape))

    def step() -> Any:
        with tt.no_grad():
            return attend(q, k, v)

    return Case(step, lambda: _named(step().numpy()))


def tinytorch_both(shape: Shape, compiled: bool = True) -> Case:
    import tinytorch as tt

    *inputs, g = (tt.Tensor(a) for a in operands(shape))

    def both(q: Any, k: Any, v: Any, g: Any) -> Any:
        leaves = [t.detach().requires_grad_() for t in (q, k, v)]
        y = tinytorch_attention(*leaves)
        y.backward(g)
        return y.detach(), *(leaf.grad for leaf in leaves)

    run = tt.compile(both) if compiled else both
    return Case(lambda: run(*inputs, g), lambda: _named(*(t.numpy() for t in run(*inputs, g))))


# ---- torch --------------------------------------------------------------------------------------------------


def _torch_attention(q: Any, k: Any, v: Any) -> Any:
    import torch.nn.functional as F

    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def torch_forward(shape: Shape, compiled: bool = False) -> Case:
    import torch

    keep_freed_memory()
    torch.compiler.reset()
    attend = torch.compile(_torch_attention, fullgraph=True) if compiled else _torch_attention
    q, k, v, _ = map(torch.from_numpy, operands(shape))

    def step() -> Any:
        with torch.no_grad():
            return attend(q, k, v)

    return Case(step, lambda: _named(step().numpy()))


def torch_both(shape: Shape, compiled: bool = False) -> Case:
    """Compiled: forward and backward are one graph each."""
    import torch

    keep_freed_memory()
    torch.compiler.reset()
    attend = torch.compile(_torch_attention, fullgraph=True) if compiled else _torch_attention
    *inputs, g = map(torch.from_numpy, operands(shape))
    leaves = [t.requires_grad_() for t in inputs]

    def step() -> Any:
        y = attend(*leaves)
        return y, *torch.autograd.grad(y, leaves, g)

    return Case(step, lambda: _named(*(t.detach().numpy() for t in step())))


# ---- jax ----------------------------------------------------------------------------------------------------


def jax_forward(shape: Shape) -> Case:
    import jax
    import jax.numpy as jnp

    keep_freed_memory()
    attend = jax.jit(gpt.jax_attention)
    q, k, v, _ = map(jnp.asarray, operands(shape))
    return Case(lambda: attend(q, k, v).block_until_ready(), lambda: _named(attend(q, k, v)))


def jax_both(shape: Shape) -> Case:
    import jax
    import jax.numpy as jnp

    keep_freed_memory()
    inputs = tuple(map(jnp.asarray, operands(shape)))

    @jax.jit
    def both(q: Any, k: Any, v: Any, g: Any) -> Any:
        y, backward = jax.vjp(gpt.jax_attention, q, k, v)
        return y, *backward(g)

    return Case(lambda: jax.block_until_ready(both(*inputs)), lambda: _named(*both(*inputs)))


# ---- ONNX Runtime and OpenVINO ------------------------------------------------------------------------------


def onnx_forward(shape: Shape, run_of: Any) -> Case:
    q, k, v, _ = operands(shape)
    nodes, constants = attention_nodes("q", "k", "v", "y", shape.length, shape.width)
    run = run_of(nodes, {"q": q, "k": k, "v": v}, shape.sizes, constants)
    return Case(run, lambda: _named(run()))


# ---- rows ---------------------------------------------------------------------------------------------------


def _register(shape: Shape, torch: float) -> None:
    register(
        Workload(
            f"attention_{shape.name}_forward",
            {
                "tinytorch": functools.partial(tinytorch_forward, shape),
                "tinytorch eager": functools.partial(tinytorch_forward, shape, False),
                "torch": functools.partial(torch_forward, shape),
                "torch.compile": functools.partial(torch_forward, shape, True),
                "jax": functools.partial(jax_forward, shape),
                "onnxruntime": functools.partial(onnx_forward, shape, session_of),
                "openvino": functools.partial(onnx_forward, shape, openvino_of),
            },
            flops=2 * shape.product_flops,
            limit="fma",
            prepare=lambda: operands(shape),
            suites=("language",),
            targets=Targets(limit=0.55),
        )
    )
    register(
        Workload(
            f"attention_{shape.name}_both",
            {
                "tinytorch": functools.partial(tinytorch_both, shape),
                "tinytorch eager": functools.partial(tinytorch_both, shape, False),
                "torch": functools.partial(torch_both, shape),
                "torch.compile": functools.partial(torch_both, shape, True),
                "jax": functools.partial(jax_both, shape),
            },
            flops=7 * shape.product_flops,
            limit="fma",
            prepare=lambda: operands(shape),
            suites=("language",),
            targets=Targets(torch=torch),
        )
    )


_register(Shape(8, 6, 256, 64), torch=2.0)
_register(Shape(1, 8, 2048, 64), torch=1.5)
