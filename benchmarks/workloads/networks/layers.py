"""What a network is written in: layers of images with channels in front, as each framework applies them."""

from __future__ import annotations

from typing import Any, Protocol


class Layers(Protocol):
    """Layers take their weights, and batch normalisation its statistics, in the order in which they are applied."""

    def conv(
        self,
        x: Any,
        outputs: int,
        window: int,
        stride: int = 1,
        padding: int = 0,
        *,
        depthwise: bool = False,
        bias: bool = False,
    ) -> Any: ...

    def transposed(
        self, x: Any, outputs: int, window: int, stride: int, padding: int = 0, *, bias: bool = False
    ) -> Any:
        """A transposed convolution, whose results have (size - 1) stride + window - 2 padding elements."""

    def norm(self, x: Any) -> Any:
        """Batch normalisation with gain and shift."""

    def relu(self, x: Any) -> Any: ...

    def relu6(self, x: Any) -> Any: ...

    def leaky_relu(self, x: Any) -> Any:
        """With a slope of 0.2 below zero."""

    def tanh(self, x: Any) -> Any: ...

    def add(self, x: Any, y: Any) -> Any: ...

    def concat(self, x: Any, y: Any) -> Any:
        """The channels of x, then those of y."""

    def max_pool(self, x: Any, window: int, stride: int, padding: int = 0) -> Any: ...

    def mean(self, x: Any) -> Any:
        """Of each channel: [batch, channels]."""

    def linear(self, x: Any, outputs: int) -> Any:
        """Of [batch, features], with a bias."""

    def flatten(self, x: Any) -> Any:
        """One number for each image: [batch]."""

    def channels(self, x: Any) -> int: ...
