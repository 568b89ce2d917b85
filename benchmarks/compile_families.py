"""Functions of any size, to see how the time of compiling them grows.

A family makes, for about so many nodes as they are traced, a function and its arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinytorch as tt

Case = tuple[Callable[..., Any], tuple[Any, ...]]
_WIDTH = 32


def chain(nodes: int) -> Case:
    """Elementwise ops, one after the other."""

    def run(x: Any) -> Any:
        for i in range(nodes // 3):
            x = (x.tanh() if i % 2 else x * 0.5) + 1.0
        return x

    return run, (tt.randn(16, 64),)


def reductions(nodes: int) -> Case:
    """Reductions of rows, one after the other."""

    def run(x: Any) -> Any:
        for _ in range(nodes // 3):
            x = x - x.amax(1, keepdim=True)
        return x

    return run, (tt.randn(16, 64),)


def wide(nodes: int) -> Case:
    """Parallel kernels that are alike."""
    count = max(1, nodes // 5)

    def run(x: Any) -> Any:
        return [(x[i] * 0.5).tanh() for i in range(count)]

    return run, (tt.randn(count, 64),)


def wide_different(nodes: int) -> Case:
    """Parallel kernels, each with a number of its own."""

    def run(x: Any) -> Any:
        return [x * (1.0 + i) for i in range(nodes // 3)]

    return run, (tt.randn(16, 64),)


def join(nodes: int) -> Case:
    """One `cat` of many results of a product."""
    weights = [tt.randn(_WIDTH, 8) for _ in range(max(1, nodes // 2))]

    def run(x: Any) -> Any:
        return tt.cat([x @ w for w in weights], 1)

    return run, (tt.randn(16, _WIDTH),)


def _normalized(x: Any) -> Any:
    x = x - x.mean(-1, keepdim=True)
    return x / ((x * x).mean(-1, keepdim=True) + 1e-5).sqrt()


def transformer(nodes: int) -> Case:
    """Layers of attention, written out in products, softmax and layer normalization."""
    d = _WIDTH
    shapes = [(d, d)] * 4 + [(d, 2 * d), (2 * d, d)]
    layers = [[tt.randn(*shape) * 0.1 for shape in shapes] for _ in range(max(1, nodes // 47))]

    def run(x: Any) -> Any:
        for q, k, v, o, up, down in layers:
            h = _normalized(x)
            scores = ((h @ q) @ (h @ k).permute(0, 2, 1)) * d**-0.5
            x = x + (scores.softmax(-1) @ (h @ v)) @ o
            x = x + tt.relu(_normalized(x) @ up) @ down
        return x

    return run, (tt.randn(2, 8, d),)


def gru_train(nodes: int) -> Case:
    """A training step of a GRU, unrolled over time."""
    steps, d = max(1, nodes // 59), _WIDTH
    shapes = [(d, 3 * d), (d, 3 * d), (3 * d,)]
    weights = [tt.Parameter(tt.randn(*shape) * 0.1) for shape in shapes]
    optimizer = tt.SGD(weights, lr=0.01)

    def run(xs: Any) -> Any:
        wx, wh, bias = weights
        h = tt.zeros(4, d)
        for t in range(steps):
            gx, gh = xs[t] @ wx + bias, h @ wh
            r = (gx[:, :d] + gh[:, :d]).sigmoid()
            z = (gx[:, d : 2 * d] + gh[:, d : 2 * d]).sigmoid()
            n = (gx[:, 2 * d :] + r * gh[:, 2 * d :]).tanh()
            h = (1.0 - z) * n + z * h
        return _step((h * h).mean(), optimizer)

    return run, (tt.randn(steps, 4, d),)


def mlp_train(nodes: int) -> Case:
    """A training step of many dense layers with AdamW."""
    layers, d = max(1, nodes // 81), _WIDTH
    model = tt.Sequential(*[m for _ in range(layers) for m in (tt.Linear(d, d), tt.ReLU())])
    optimizer = tt.AdamW(model.parameters(), lr=1e-3)

    def run(x: Any, y: Any) -> Any:
        return _step(tt.mse_loss(model(x), y), optimizer)

    return run, (tt.randn(8, d), tt.randn(8, d))


def _step(loss: Any, optimizer: Any) -> Any:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


FAMILIES: dict[str, Callable[[int], Case]] = {
    f.__name__: f for f in (chain, reductions, wide, wide_different, join, transformer, gru_train, mlp_train)
}


# Kernels, to see what one more takes: `nodes` is their number.
def products(count: int) -> Case:
    """Products of different shapes."""
    pairs = [(tt.randn(16 + i, 64), tt.randn(64, 32 + i)) for i in range(count)]
    return lambda x: [(a * x) @ b for a, b in pairs], (tt.tensor(2.0),)


def loops(count: int) -> Case:
    """Elementwise chains of different shapes."""
    return lambda *xs: [(x * 0.5).tanh() * x + 1.0 for x in xs], tuple(tt.randn(16 + i, 64) for i in range(count))


def alike(count: int) -> Case:
    """Elementwise chains of one text, but for a number."""
    return lambda x: [(x[i] * (1.5 + i)).tanh() * x[i] + 1.0 for i in range(count)], (tt.randn(count, 64),)


KERNELS: dict[str, Callable[[int], Case]] = {f.__name__: f for f in (products, loops, alike)}
