"""A network as nodes of an ONNX model, for inference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads.networks.torch_layers import EPSILON, SLOPE

Array = NDArray[Any]


@dataclass(frozen=True)
class Named:
    """A value of the model, and its channels."""

    name: str
    channels: int


class OnnxLayers:
    def __init__(self, weights: Iterable[Array], statistics: Iterable[tuple[Array, Array]]) -> None:
        self.weights: Iterator[Array] = iter(weights)
        self.statistics: Iterator[tuple[Array, Array]] = iter(statistics)
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}

    def _constant(self, array: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def _node(self, op: str, inputs: list[str], channels: int, **attributes: Any) -> Named:
        from onnx import helper

        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return Named(name, channels)

    def _weighted(self, op: str, x: Named, outputs: int, bias: bool, **attributes: Any) -> Named:
        given = [self._constant(next(self.weights)) for _ in range(1 + bias)]
        return self._node(op, [x.name, *given], outputs, **attributes)

    def conv(
        self, x: Named, outputs: int, window: int, stride: int = 1, padding: int = 0, *,
        depthwise: bool = False, bias: bool = False,
    ) -> Named:  # fmt: skip
        return self._weighted(
            "Conv", x, outputs, bias, kernel_shape=(window,) * 2, strides=(stride,) * 2, pads=(padding,) * 4,
            group=outputs if depthwise else 1,
        )  # fmt: skip

    def transposed(
        self, x: Named, outputs: int, window: int, stride: int, padding: int = 0, *, bias: bool = False
    ) -> Named:
        sizes = {"kernel_shape": (window,) * 2, "strides": (stride,) * 2, "pads": (padding,) * 4}
        return self._weighted("ConvTranspose", x, outputs, bias, **sizes)

    def norm(self, x: Named) -> Named:
        given = [next(self.weights), next(self.weights), *next(self.statistics)]
        return self._node("BatchNormalization", [x.name, *map(self._constant, given)], x.channels, epsilon=EPSILON)

    def relu(self, x: Named) -> Named:
        return self._node("Relu", [x.name], x.channels)

    def relu6(self, x: Named) -> Named:
        ends = [self._constant(np.array(end, np.float32)) for end in (0, 6)]
        return self._node("Clip", [x.name, *ends], x.channels)

    def leaky_relu(self, x: Named) -> Named:
        return self._node("LeakyRelu", [x.name], x.channels, alpha=SLOPE)

    def tanh(self, x: Named) -> Named:
        return self._node("Tanh", [x.name], x.channels)

    def add(self, x: Named, y: Named) -> Named:
        return self._node("Add", [x.name, y.name], x.channels)

    def concat(self, x: Named, y: Named) -> Named:
        return self._node("Concat", [x.name, y.name], x.channels + y.channels, axis=1)

    def max_pool(self, x: Named, window: int, stride: int, padding: int = 0) -> Named:
        return self._node(
            "MaxPool", [x.name], x.channels, kernel_shape=(window,) * 2, strides=(stride,) * 2, pads=(padding,) * 4
        )

    def mean(self, x: Named) -> Named:
        pooled = self._node("GlobalAveragePool", [x.name], x.channels)
        return self._node("Flatten", [pooled.name], x.channels)

    def linear(self, x: Named, outputs: int) -> Named:
        return self._weighted("Gemm", x, outputs, True, transB=1)

    def flatten(self, x: Named) -> Named:
        return self._node("Reshape", [x.name, self._constant(np.array([-1]))], 1)

    def channels(self, x: Named) -> int:
        return x.channels
