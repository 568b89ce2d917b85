"""Layers of jax, on images with channels last and weights [height, width, in, out]."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from benchmarks.workloads.networks.torch_layers import EPSILON, MOMENTUM, SLOPE

_ORDER = ("NHWC", "HWIO", "NHWC")


def from_torch(weight: Any) -> Any:
    """[out, in, height, width] in jax's order; so become those of transposed convolutions, [in, out, height, width],
    the weights of the convolution of whose input it is the gradient."""
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight


def to_torch(weight: Any) -> Any:
    array = np.asarray(weight)
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array


class JaxLayers:
    """`renewed` are the running statistics that come out, where `training` counts those of the batch into them."""

    def __init__(self, weights: Iterable[Any], statistics: Iterable[Any], training: bool) -> None:
        self.training = training
        self.weights: Iterator[Any] = iter(weights)
        self.statistics: Iterator[Any] = iter(statistics)
        self.renewed: list[Any] = []

    def conv(
        self, x: Any, outputs: int, window: int, stride: int = 1, padding: int = 0, *,
        depthwise: bool = False, bias: bool = False,
    ) -> Any:  # fmt: skip
        from jax import lax

        groups, around = outputs if depthwise else 1, [(padding, padding)] * 2
        y = lax.conv_general_dilated(
            x, next(self.weights), (stride,) * 2, around, dimension_numbers=_ORDER, feature_group_count=groups
        )
        return y + next(self.weights) if bias else y

    def transposed(
        self, x: Any, outputs: int, window: int, stride: int, padding: int = 0, *, bias: bool = False
    ) -> Any:
        from jax import lax

        around = [(window - 1 - padding,) * 2] * 2
        y = lax.conv_transpose(
            x, next(self.weights), (stride,) * 2, around, dimension_numbers=_ORDER, transpose_kernel=True
        )
        return y + next(self.weights) if bias else y

    def norm(self, x: Any) -> Any:
        from jax import lax

        gain, shift = next(self.weights), next(self.weights)
        mean, variance = next(self.statistics)
        if self.training:
            count = x.size // x.shape[-1]
            running = mean, variance
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            of_batch = lax.stop_gradient(mean), lax.stop_gradient(variance) * count / (count - 1)
            self.renewed.append(tuple(old + MOMENTUM * (new - old) for old, new in zip(running, of_batch, strict=True)))
        return (x - mean) * (lax.rsqrt(variance + EPSILON) * gain) + shift

    def relu(self, x: Any) -> Any:
        import jax

        return jax.nn.relu(x)

    def relu6(self, x: Any) -> Any:
        import jax

        return jax.nn.relu6(x)

    def leaky_relu(self, x: Any) -> Any:
        import jax

        return jax.nn.leaky_relu(x, SLOPE)

    def tanh(self, x: Any) -> Any:
        import jax.numpy as jnp

        return jnp.tanh(x)

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def concat(self, x: Any, y: Any) -> Any:
        import jax.numpy as jnp

        return jnp.concatenate([x, y], axis=-1)

    def max_pool(self, x: Any, window: int, stride: int, padding: int = 0) -> Any:
        import jax.numpy as jnp
        from jax import lax

        sizes, steps, around = (1, window, window, 1), (1, stride, stride, 1), ((0, 0), *[(padding,) * 2] * 2, (0, 0))
        return lax.reduce_window(x, -jnp.inf, lax.max, sizes, steps, around)

    def mean(self, x: Any) -> Any:
        return x.mean((1, 2))

    def linear(self, x: Any, outputs: int) -> Any:
        return x @ next(self.weights).T + next(self.weights)

    def flatten(self, x: Any) -> Any:
        return x.reshape(-1)

    def channels(self, x: Any) -> int:
        return x.shape[-1]
