"""Ordinary kernels, each in a graph of its own, to see what generating one and LLVM take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinytorch as tt
from benchmarks.compile_families import Case

LOOP, CONTRACTION = 0.010, 0.025  # seconds: the aims


def _product(dtype: str, left: str = "", right: str = "", batch: tuple[int, ...] = ()) -> Case:
    def make(turned: str, rows: int, columns: int) -> Any:
        shape = (columns, rows) if turned else (rows, columns)
        return tt.randn(*batch, *shape).to(dtype)

    def run(a: Any, b: Any) -> Any:
        return (a.mT if left else a) @ (b.mT if right else b)

    return run, (make(left, 96, 128), make(right, 128, 160))


def _images(channels: int, size: int) -> Any:
    return tt.randn(4, channels, size, size)


def _weight_gradient() -> Case:
    layer = tt.Conv2d(16, 32, 3, padding=1)

    def run(x: Any) -> Any:
        layer.zero_grad()
        (layer(x) ** 2).sum().backward()
        return layer.weight.grad

    return run, (_images(16, 16),)


def _adam() -> Case:
    weight = tt.Parameter(tt.randn(64, 64))
    optimizer = tt.AdamW([weight], lr=1e-3)

    def run(x: Any) -> None:
        optimizer.zero_grad()
        (weight * x).sum().backward()
        optimizer.step()

    return run, (tt.randn(64, 64),)


def _dense() -> Case:
    layer = tt.Linear(128, 160)
    return lambda x: tt.gelu(layer(x)), (tt.randn(96, 128),)


ORDINARY: dict[str, tuple[float, Callable[[], Case]]] = {
    "product f32": (CONTRACTION, lambda: _product("f32")),
    "product f32, left transposed": (CONTRACTION, lambda: _product("f32", left="T")),
    "product f32, right transposed": (CONTRACTION, lambda: _product("f32", right="T")),
    "product f32, batched": (CONTRACTION, lambda: _product("f32", batch=(8,))),
    "product f64": (CONTRACTION, lambda: _product("f64")),
    "product bf16": (CONTRACTION, lambda: _product("bf16")),
    "product of a vector": (CONTRACTION, lambda: (lambda a, b: a @ b, (tt.randn(1, 128), tt.randn(128, 160)))),
    "dense layer with gelu": (CONTRACTION, _dense),
    "convolution 3x3, stride 2": (CONTRACTION, lambda: (tt.Conv2d(16, 32, 3, 2, 1), (_images(16, 16),))),
    "convolution 3x3 (winograd)": (CONTRACTION, lambda: (tt.Conv2d(64, 64, 3, padding=1), (_images(64, 28),))),
    "convolution, depthwise": (CONTRACTION, lambda: (tt.Conv2d(32, 32, 3, 1, 1, groups=32), (_images(32, 16),))),
    "convolution and its weight gradient": (CONTRACTION, _weight_gradient),
    "max pooling": (LOOP, lambda: (tt.MaxPool2d(2), (_images(16, 16),))),
    "softmax": (LOOP, lambda: (lambda x: x.softmax(-1), (tt.randn(64, 256),))),
    "layer normalization": (LOOP, lambda: (tt.LayerNorm(256), (tt.randn(64, 256),))),
    "gelu": (LOOP, lambda: (tt.gelu, (tt.randn(64, 256),))),
    "sum of columns": (LOOP, lambda: (lambda x: x.sum(0), (tt.randn(64, 256),))),
    "AdamW": (LOOP, _adam),
}
