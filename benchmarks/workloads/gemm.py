"""Matrix products A·B (nn), A·Bᵀ (nt) and Aᵀ·B (tn); row-major storage, sizes (M, N, K).

The suite `products` has more of them: sizes that the code was not tuned on, powers of two, odd, tall and flat; and few
rows against weights that are frozen (fw), so laid out while compiling, where the peers hold them as they like.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from benchmarks.registry import Case, Targets, Workload, random, register
from benchmarks.workloads.onnx_models import session_of

SIZES = (
    (64, 128, 784),
    (512, 128, 784),
    (2048, 384, 384),
    (2048, 1536, 384),
    (2048, 384, 1536),
    (1024, 1024, 1024),
    (2048, 2048, 2048),
)
ODD_SIZES = ((333, 777, 129), (127, 131, 257), (1000, 1001, 999), (65, 10, 130))
GOALS = {"nn": 0.90, "nt": 0.85, "tn": 0.85}
ODD_GOAL = 0.70
FURTHER_SIZES = (
    (256, 256, 256),
    (320, 448, 384),
    (333, 777, 555),
    (512, 512, 512),
    (640, 900, 1100),
    (768, 768, 768),
    (1000, 1000, 1000),
    (1021, 1531, 517),
    (1536, 1536, 1536),
    (8192, 256, 256),
    (256, 8192, 256),
    (4096, 512, 2048),
)
WEIGHT_GRADIENTS = (  # of linear layers: k is the rows of a batch
    (128, 512, 4096),
    (512, 128, 4096),
    (160, 640, 4096),
    (384, 1536, 2048),
    (256, 1024, 8192),
    (333, 777, 5000),
    (130, 500, 4000),
)
LARGE = 512  # all sides of products with the higher goals
FURTHER_GOALS = {"nn": (0.88, 0.94), "nt": (0.90, 0.90), "tn": (0.90, 0.90)}  # below and from LARGE
FEW_ROWS = (
    (1, 4096, 4096),
    (2, 4096, 4096),
    (4, 3001, 2047),
    (8, 4096, 4096),
    (16, 1024, 1024),
    (32, 4096, 1024),
    (64, 768, 768),
    (96, 3072, 768),
    (96, 1000, 777),
)
READ_ROWS = 8  # so few that reading the weights is the limit


def operands(kind: str, m: int, n: int, k: int) -> tuple[Any, Any]:
    """A and B as they are stored."""
    a = random(*((k, m) if kind[0] == "t" else (m, k)), seed=1)
    b = random(*((n, k) if kind[1] == "t" else (k, n)), seed=2)
    return a, b


def _product(kind: str) -> Any:
    """The product of arrays that have `.T`."""
    if kind == "nt":
        return lambda a, b: a @ b.T
    if kind == "tn":
        return lambda a, b: a.T @ b
    return lambda a, b: a @ b


def tinytorch_gemm(kind: str, m: int, n: int, k: int) -> Case:
    import tinytorch as tt

    def product(a: Any, b: Any) -> Any:
        return (a.transpose(0, 1) if kind[0] == "t" else a) @ (b.transpose(0, 1) if kind[1] == "t" else b)

    compiled = tt.compile(product)
    a, b = map(tt.Tensor, operands(kind, m, n, k))
    return Case(lambda: compiled(a, b), lambda: {"c": compiled(a, b).numpy()})


def tinytorch_frozen(kind: str, m: int, n: int, k: int) -> Case:
    import tinytorch as tt

    a, b = map(tt.Tensor, operands(kind, m, n, k))
    compiled = tt.compile(lambda a: a @ b, freeze=True)
    return Case(lambda: compiled(a), lambda: {"c": compiled(a).numpy()})


def numpy_gemm(kind: str, m: int, n: int, k: int) -> Case:
    a, b = operands(kind, m, n, k)
    a, b = (a.T if kind[0] == "t" else a), (b.T if kind[1] == "t" else b)
    c = np.empty((m, n), np.float32)
    return Case(lambda: np.matmul(a, b, out=c), lambda: {"c": c})


def torch_gemm(kind: str, m: int, n: int, k: int) -> Case:
    import torch

    a, b = map(torch.from_numpy, operands(kind, m, n, k))
    a, b = (a.T if kind[0] == "t" else a), (b.T if kind[1] == "t" else b)
    c = torch.empty(m, n)
    return Case(lambda: torch.mm(a, b, out=c), lambda: {"c": c.numpy()})


def jax_gemm(kind: str, m: int, n: int, k: int) -> Case:
    import jax
    import jax.numpy as jnp

    product = jax.jit(_product(kind))
    a, b = map(jnp.asarray, operands(kind, m, n, k))
    return Case(lambda: product(a, b).block_until_ready(), lambda: {"c": np.asarray(product(a, b))})


def onnxruntime_gemm(kind: str, m: int, n: int, k: int) -> Case:
    from onnx import helper

    a, b = operands(kind, m, n, k)
    node = helper.make_node("Gemm", ["a", "b"], ["y"], transA=int(kind[0] == "t"), transB=int(kind[1] == "t"))
    run = session_of([node], {"a": a, "b": b}, (m, n))
    return Case(run, lambda: {"c": run()})


def _register(kind: str, m: int, n: int, k: int, goal: float | None, suites: tuple[str, ...] = ("core",)) -> None:
    reads = kind == "fw" and m <= READ_ROWS
    builders = {
        "tinytorch": tinytorch_frozen if kind == "fw" else tinytorch_gemm,
        "numpy": numpy_gemm,
        "torch": torch_gemm,
        "jax": jax_gemm,
        "onnxruntime": onnxruntime_gemm,
    }
    register(
        Workload(
            f"gemm_{kind}_{m}x{n}x{k}",
            {name: functools.partial(builder, kind, m, n, k) for name, builder in builders.items()},
            flops=2.0 * m * n * k,
            bytes=4.0 * (m * k + k * n + m * n),
            limit="read" if reads else "fma",
            rtol=1e-3,
            atol=1e-5 * k**0.5 * 4,
            suites=suites,
            targets=Targets(limit=goal),
        )
    )


for _kind in ("nn", "nt", "tn"):
    for _size in SIZES:
        _register(_kind, *_size, GOALS[_kind])
    for _size in ODD_SIZES:
        _register(_kind, *_size, ODD_GOAL if _size == ODD_SIZES[0] else None)
    for _size in FURTHER_SIZES:
        _register(_kind, *_size, FURTHER_GOALS[_kind][min(_size) >= LARGE], ("products",))
for _size in WEIGHT_GRADIENTS:
    _register("tn", *_size, 0.90, ("products",))
for _size in FEW_ROWS:
    _register("fw", *_size, 0.90, ("products",))
