"""An elementwise chain, gelu(x·a + b)·c + x on 16 M floats: one read and one write, if it is fused."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from benchmarks.registry import Case, Targets, Workload, random, register
from benchmarks.workloads.onnx_models import session_of

ROWS = COLUMNS = 4096
BLOCK = 16  # rows that numpy takes at a time, so that its temporaries stay in the cache


def operands() -> tuple[Any, ...]:
    """x, and the vectors a, b and c along its rows."""
    return (random(ROWS, COLUMNS, seed=1), *(random(COLUMNS, seed=seed, scale=0.5) for seed in (2, 3, 4)))


def tinytorch_chain() -> Case:
    import tinytorch as tt

    function = tt.compile(lambda x, a, b, c: tt.gelu(x * a + b) * c + x)
    tensors = tuple(map(tt.Tensor, operands()))
    return Case(lambda: function(*tensors), lambda: {"y": function(*tensors).numpy()})


def numpy_chain() -> Case:
    """In blocks; erf by Abramowitz and Stegun 7.1.26 (error below 1.5e-7), since numpy has none."""
    x, a, b, c = operands()
    y = np.empty_like(x)
    u, t, e = (np.empty((BLOCK, COLUMNS), np.float32) for _ in range(3))
    coefficients = [np.float32(v) for v in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)]

    def step() -> None:
        for start in range(0, ROWS, BLOCK):
            block, out = x[start : start + BLOCK], y[start : start + BLOCK]
            np.multiply(block, a, out=u)
            np.add(u, b, out=u)
            np.abs(u, out=e)
            np.multiply(e, np.float32(0.3275911 * 0.5**0.5), out=t)
            np.add(t, 1, out=t)
            np.reciprocal(t, out=t)
            np.multiply(e, e, out=out)
            np.multiply(out, np.float32(-0.5), out=out)
            np.exp(out, out=out)
            np.multiply(t, coefficients[0], out=e)
            for coefficient in coefficients[1:]:
                np.add(e, coefficient, out=e)
                np.multiply(e, t, out=e)
            np.multiply(e, out, out=e)  # erfc(|u| / √2)
            np.subtract(1, e, out=e)
            np.copysign(e, u, out=e)
            np.add(e, 1, out=e)
            np.multiply(e, u, out=e)
            np.multiply(e, np.float32(0.5), out=e)
            np.multiply(e, c, out=e)
            np.add(e, block, out=out)

    return Case(step, lambda: {"y": y})


def torch_chain(compiled: bool = False) -> Case:
    import torch

    def function(x: Any, a: Any, b: Any, c: Any) -> Any:
        return torch.nn.functional.gelu(x * a + b) * c + x

    if compiled:
        function = torch.compile(function, fullgraph=True, options={"cpp_wrapper": True})
    tensors = tuple(map(torch.from_numpy, operands()))
    return Case(lambda: function(*tensors), lambda: {"y": function(*tensors).numpy()})


def jax_chain() -> Case:
    import jax
    import jax.numpy as jnp

    function = jax.jit(lambda x, a, b, c: jax.nn.gelu(x * a + b, approximate=False) * c + x)
    arrays = tuple(map(jnp.asarray, operands()))
    return Case(lambda: function(*arrays).block_until_ready(), lambda: {"y": np.asarray(function(*arrays))})


def onnxruntime_chain() -> Case:
    from onnx import helper

    x, a, b, c = operands()
    nodes = [
        helper.make_node("Mul", ["x", "a"], ["t"]),
        helper.make_node("Add", ["t", "b"], ["u"]),
        helper.make_node("Gelu", ["u"], ["g"]),
        helper.make_node("Mul", ["g", "c"], ["v"]),
        helper.make_node("Add", ["v", "x"], ["y"]),
    ]
    run = session_of(nodes, {"x": x}, x.shape, {"a": a, "b": b, "c": c})
    return Case(run, lambda: {"y": run()})


register(
    Workload(
        "chain_gelu_16M",
        {
            "tinytorch": tinytorch_chain,
            "numpy": numpy_chain,
            "torch": torch_chain,
            "torch.compile": functools.partial(torch_chain, True),
            "jax": jax_chain,
            "onnxruntime": onnxruntime_chain,
        },
        flops=12.0 * ROWS * COLUMNS,
        bytes=2.0 * 4 * ROWS * COLUMNS,
        limit="copy",
        targets=Targets(limit=0.85),
    )
)
