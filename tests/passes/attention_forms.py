"""Forms of attention, and what the pass makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch.ir.graph import Graph
from tinytorch.passes.pipeline import CLEAN, run_passes
from tinytorch.passes.recognize_attention import recognize_attention

Form = Callable[..., Any]
INF, LOWEST = math.inf, float(np.finfo(np.float32).min)
B, H, T, S, D, E = 2, 4, 5, 7, 8, 6


def traced(function: Form, *arrays: np.ndarray, grad: tuple[bool, ...] = ()) -> Graph:
    """The graph of a function of tensors, the first of which want gradients."""
    wants = [*grad, *[False] * (len(arrays) - len(grad))]
    step = tt.compile(function, backend="interpreter")
    step(*(tt.tensor(a, requires_grad=g) for a, g in zip(arrays, wants, strict=True)))
    return step.traced_graph


def training(form: Form, count: int) -> Form:
    """The result of `form`, and the gradients of its first operands for the cotangent that comes last."""

    def step(*operands: Any) -> Any:
        *given, g = operands
        y = form(*given)
        (y * g).sum().backward()
        return (y, *(x.grad for x in given[:count]))

    return step


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def causal(rows: int, columns: int) -> Any:
    return tt.tril(tt.ones((rows, columns)))


# How people write it. Each takes q, k and v of [batch, heads, tokens, width] or what it says.
def plain(q: Any, k: Any, v: Any) -> Any:
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1) @ v


QKV = normal(B, H, T, D), normal(B, H, S, D, seed=1), normal(B, H, S, E, seed=2)


def stays(form: Form, *arrays: np.ndarray, grad: tuple[bool, ...] = ()) -> None:
    graph = run_passes(traced(form, *arrays, grad=grad), (CLEAN,))[0]
    assert recognize_attention(graph) is graph
