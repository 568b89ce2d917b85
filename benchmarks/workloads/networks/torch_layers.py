"""Layers of TinyTorch and of torch, which are called alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

EPSILON = 1e-5
MOMENTUM = 0.1
SLOPE = 0.2


class TorchLayers:
    """`torch` and `functional` are the modules of the framework; `training` batch normalisation takes the statistics of
    the batch and counts them into the running ones, in place."""

    def __init__(
        self, torch: Any, functional: Any, weights: Iterable[Any], statistics: Iterable[Any], training: bool
    ) -> None:
        self.torch, self.functional, self.training = torch, functional, training
        self.weights: Iterator[Any] = iter(weights)
        self.statistics: Iterator[Any] = iter(statistics)

    def conv(
        self, x: Any, outputs: int, window: int, stride: int = 1, padding: int = 0, *,
        depthwise: bool = False, bias: bool = False,
    ) -> Any:  # fmt: skip
        weight, shift = next(self.weights), next(self.weights) if bias else None
        groups = outputs if depthwise else 1
        return self.functional.conv2d(x, weight, shift, stride=stride, padding=padding, groups=groups)

    def transposed(
        self, x: Any, outputs: int, window: int, stride: int, padding: int = 0, *, bias: bool = False
    ) -> Any:
        weight, shift = next(self.weights), next(self.weights) if bias else None
        return self.functional.conv_transpose2d(x, weight, shift, stride=stride, padding=padding)

    def norm(self, x: Any) -> Any:
        gain, shift = next(self.weights), next(self.weights)
        mean, variance = next(self.statistics)
        return self.functional.batch_norm(x, mean, variance, gain, shift, self.training, MOMENTUM, EPSILON)

    def relu(self, x: Any) -> Any:
        return self.functional.relu(x)

    def relu6(self, x: Any) -> Any:
        return self.functional.relu6(x)

    def leaky_relu(self, x: Any) -> Any:
        return self.functional.leaky_relu(x, SLOPE)

    def tanh(self, x: Any) -> Any:
        return self.torch.tanh(x)

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def concat(self, x: Any, y: Any) -> Any:
        return self.torch.cat([x, y], dim=1)

    def max_pool(self, x: Any, window: int, stride: int, padding: int = 0) -> Any:
        return self.functional.max_pool2d(x, window, stride, padding)

    def mean(self, x: Any) -> Any:
        return self.functional.adaptive_avg_pool2d(x, 1).flatten(1)

    def linear(self, x: Any, outputs: int) -> Any:
        weight, shift = next(self.weights), next(self.weights)
        return self.functional.linear(x, weight, shift)

    def flatten(self, x: Any) -> Any:
        return x.flatten()

    def channels(self, x: Any) -> int:
        return x.shape[1]
