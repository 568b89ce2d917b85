"""A decoder-only transformer as all frameworks are given it: sizes, weights to start from, batches, and what it costs.

Pre-LayerNorm blocks of causal attention and a network of width 4 d with GELU (tanh), learned positions, biases
everywhere but in the head, which is a matrix of its own (Radford et al. 2019).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import random

Array = NDArray[Any]
BATCHES = 4  # different batches, taken in turn
EPS = 1e-5  # of LayerNorm


@dataclass(frozen=True)
class Shape:
    """Sizes of a model and of its batches."""

    vocab: int
    context: int
    layers: int
    heads: int
    width: int
    batch: int
    dropout: float = 0.0

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def matrices(self) -> int:
        """Weights that every token is multiplied with: qkv, projection and network of each block, and the head."""
        return self.layers * 12 * self.width**2 + self.vocab * self.width

    def forward_flops(self, tokens: int) -> float:
        """Of a sequence of `tokens`: products, and of attention the lower triangle."""
        return 2.0 * tokens * self.matrices + self.layers * 2.0 * tokens**2 * self.width

    @property
    def training_flops(self) -> float:
        """Of a step: each product has two gradients of its size."""
        return 3 * self.batch * self.forward_flops(self.context)


SMALL = Shape(vocab=65, context=64, layers=4, heads=4, width=128, batch=12)
BASE = Shape(vocab=65, context=256, layers=6, heads=6, width=384, batch=8)
BASE_DROPOUT = Shape(vocab=65, context=256, layers=6, heads=6, width=384, batch=8, dropout=0.2)


@functools.cache
def parameters(shape: Shape) -> dict[str, Array]:
    """Matrices as [out, in], by name; gains and biases are not those of a new model, so that an error in them shows."""
    found: dict[str, Array] = {}
    d = shape.width

    def matrix(name: str, rows: int, columns: int, scale: float = 0.02) -> None:
        found[name] = random(rows, columns, seed=len(found), scale=scale)

    def vector(name: str, size: int, around: float = 0.0) -> None:
        found[name] = random(size, seed=len(found), scale=0.05) + np.float32(around)

    matrix("tokens", shape.vocab, d)
    matrix("positions", shape.context, d)
    for i in range(shape.layers):
        vector(f"{i}.norm1.gain", d, 1)
        vector(f"{i}.norm1.bias", d)
        matrix(f"{i}.qkv", 3 * d, d)
        vector(f"{i}.qkv.bias", 3 * d)
        matrix(f"{i}.projection", d, d, 0.02 / (2 * shape.layers) ** 0.5)
        vector(f"{i}.projection.bias", d)
        vector(f"{i}.norm2.gain", d, 1)
        vector(f"{i}.norm2.bias", d)
        matrix(f"{i}.up", 4 * d, d)
        vector(f"{i}.up.bias", 4 * d)
        matrix(f"{i}.down", d, 4 * d, 0.02 / (2 * shape.layers) ** 0.5)
        vector(f"{i}.down.bias", d)
    vector("norm.gain", d, 1)
    vector("norm.bias", d)
    matrix("head", shape.vocab, d)
    return found


@functools.cache
def batches(shape: Shape) -> list[tuple[Array, Array]]:
    """Tokens and the tokens behind them, [batch, context]; some are frequent, so that a few steps learn something."""
    draws = np.random.default_rng(9).geometric(0.15, (BATCHES, shape.batch, shape.context + 1))
    text = (draws - 1) % shape.vocab
    return [(window[:, :-1].copy(), window[:, 1:].copy()) for window in text]
