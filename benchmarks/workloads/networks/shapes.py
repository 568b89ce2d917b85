"""A network without numbers: the shapes of its weights, from which they are drawn, and its multiplications."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import random
from benchmarks.workloads.networks.definitions import Network

Array = NDArray[Any]
Size = tuple[int, ...]  # of one image: channels, height, width


@dataclass
class Shapes:
    """Layers that note what they would need for one image."""

    shapes: list[Size] = field(default_factory=list[Size])
    fans: list[int] = field(default_factory=list[int])  # inputs of an element, by weight; 0: a gain, -1: a shift
    norms: list[int] = field(default_factory=list[int])
    multiplications: list[int] = field(default_factory=list[int])  # of each layer that has some

    def conv(
        self, x: Size, outputs: int, window: int, stride: int = 1, padding: int = 0, *,
        depthwise: bool = False, bias: bool = False,
    ) -> Size:  # fmt: skip
        inputs = 1 if depthwise else x[0]
        size = tuple((n + 2 * padding - window) // stride + 1 for n in x[1:])
        self._weights((outputs, inputs, window, window), inputs * window**2, outputs if bias else 0)
        self.multiplications.append(outputs * size[0] * size[1] * inputs * window**2)
        return (outputs, *size)

    def transposed(
        self, x: Size, outputs: int, window: int, stride: int, padding: int = 0, *, bias: bool = False
    ) -> Size:
        fan = x[0] * -(-(window**2) // stride**2)
        self._weights((x[0], outputs, window, window), fan, outputs if bias else 0)
        self.multiplications.append(x[0] * x[1] * x[2] * outputs * window**2)
        return (outputs, *((n - 1) * stride + window - 2 * padding for n in x[1:]))

    def norm(self, x: Size) -> Size:
        self.shapes += [x[:1], x[:1]]
        self.fans += [0, -1]
        self.norms.append(x[0])
        return x

    def linear(self, x: Size, outputs: int) -> Size:
        self._weights((outputs, x[0]), x[0], outputs)
        self.multiplications.append(x[0] * outputs)
        return (outputs,)

    def _weights(self, shape: Size, fan: int, shifts: int) -> None:
        self.shapes += [shape] + [(shifts,)] * bool(shifts)
        self.fans += [fan] + [-1] * bool(shifts)

    def relu(self, x: Size) -> Size:
        return x

    relu6 = leaky_relu = tanh = relu

    def add(self, x: Size, y: Size) -> Size:
        assert x == y
        return x

    def concat(self, x: Size, y: Size) -> Size:
        assert x[1:] == y[1:]
        return (x[0] + y[0], *x[1:])

    def max_pool(self, x: Size, window: int, stride: int, padding: int = 0) -> Size:
        return (x[0], *((n + 2 * padding - window) // stride + 1 for n in x[1:]))

    def mean(self, x: Size) -> Size:
        return x[:1]

    def flatten(self, x: Size) -> Size:
        return ()

    def channels(self, x: Size) -> int:
        return x[0]


def shapes_of(network: Network, image: Size) -> Shapes:
    shapes = Shapes()
    network(shapes, image)
    return shapes


def parameters(shapes: Shapes) -> list[Array]:
    """Weights as He et al. 2015 draw them; gains around 1, shifts around 0."""
    found: list[Array] = []
    for i, (shape, fan) in enumerate(zip(shapes.shapes, shapes.fans, strict=True)):
        scale = (2 / fan) ** 0.5 if fan > 0 else 0.1
        found.append(random(*shape, seed=100 + i, scale=scale) + np.float32(fan == 0))
    return found


def statistics(shapes: Shapes, fresh: bool) -> list[tuple[Array, Array]]:
    """Running means and variances, by batch normalisation: as they begin, or as if images had been seen."""
    if fresh:
        return [(np.zeros(n, np.float32), np.ones(n, np.float32)) for n in shapes.norms]
    return [
        (random(n, seed=1000 + i, scale=0.1), 1 + np.abs(random(n, seed=2000 + i, scale=0.3)))
        for i, n in enumerate(shapes.norms)
    ]
