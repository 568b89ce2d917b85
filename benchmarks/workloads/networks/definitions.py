"""The networks, each a function of layers and an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.workloads.networks.layers import Layers

Network = Callable[[Layers, Any], Any]


def resnet18(n: Layers, x: Any, width: int = 64, classes: int = 10) -> Any:
    """He et al. 2016, for small images: a first convolution of 3 × 3 and no pooling behind it."""
    x = n.relu(n.norm(n.conv(x, width, 3, padding=1)))
    for stage in range(4):
        for block in range(2):
            x = _basic_block(n, x, width << stage, 2 if stage and not block else 1)
    return n.linear(n.mean(x), classes)


def _basic_block(n: Layers, x: Any, outputs: int, stride: int) -> Any:
    y = n.relu(n.norm(n.conv(x, outputs, 3, stride, padding=1)))
    y = n.norm(n.conv(y, outputs, 3, padding=1))
    return n.relu(n.add(y, _shortcut(n, x, outputs, stride)))


def _shortcut(n: Layers, x: Any, outputs: int, stride: int) -> Any:
    same = stride == 1 and n.channels(x) == outputs
    return x if same else n.norm(n.conv(x, outputs, 1, stride))


def resnet50(n: Layers, x: Any, width: int = 64, blocks: Sequence[int] = (3, 4, 6, 3), classes: int = 1000) -> Any:
    """He et al. 2016, with the strides in the convolutions of 3 × 3."""
    x = n.max_pool(n.relu(n.norm(n.conv(x, width, 7, 2, padding=3))), 3, 2, padding=1)
    for stage, count in enumerate(blocks):
        for block in range(count):
            x = _bottleneck(n, x, width << stage, 2 if stage and not block else 1)
    return n.linear(n.mean(x), classes)


def _bottleneck(n: Layers, x: Any, width: int, stride: int) -> Any:
    y = n.relu(n.norm(n.conv(x, width, 1)))
    y = n.relu(n.norm(n.conv(y, width, 3, stride, padding=1)))
    y = n.norm(n.conv(y, 4 * width, 1))
    return n.relu(n.add(y, _shortcut(n, x, 4 * width, stride)))


def unet(n: Layers, x: Any, widths: Sequence[int] = (32, 64, 128, 256)) -> Any:
    """Ronneberger et al. 2015, with padding and batch normalisation: one number for each pixel."""
    kept: list[Any] = []
    for width in widths[:-1]:
        kept.append(_twice(n, x, width))
        x = n.max_pool(kept[-1], 2, 2)
    x = _twice(n, x, widths[-1])
    for width in reversed(widths[:-1]):
        x = _twice(n, n.concat(kept.pop(), n.transposed(x, width, 2, 2, bias=True)), width)
    return n.conv(x, 1, 1, bias=True)


def _twice(n: Layers, x: Any, width: int) -> Any:
    for _ in range(2):
        x = n.relu(n.norm(n.conv(x, width, 3, padding=1)))
    return x


def generator(n: Layers, noise: Any, width: int = 64, sizes: int = 4) -> Any:
    """Noise [batch, latent, 1, 1] to pictures of 4 · 2^`sizes` pixels a side (Radford et al. 2016)."""
    x = n.relu(n.norm(n.transposed(noise, width << sizes - 1, 4, 1)))
    for size in reversed(range(sizes - 1)):
        x = n.relu(n.norm(n.transposed(x, width << size, 4, 2, padding=1)))
    return n.tanh(n.transposed(x, 3, 4, 2, padding=1))


def discriminator(n: Layers, x: Any, width: int = 64, sizes: int = 4) -> Any:
    """The logit of each picture."""
    x = n.leaky_relu(n.conv(x, width, 4, 2, padding=1))
    for size in range(1, sizes):
        x = n.leaky_relu(n.norm(n.conv(x, width << size, 4, 2, padding=1)))
    return n.flatten(n.conv(x, 1, 4))


# Expansion, channels, repeats, stride (Sandler et al. 2018, table 2).
MOBILE_STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


def mobilenet(
    n: Layers,
    x: Any,
    stages: Sequence[tuple[int, int, int, int]] = MOBILE_STAGES,
    last: int = 1280,
    classes: int = 1000,
) -> Any:
    """MobileNetV2 (Sandler et al. 2018)."""
    x = n.relu6(n.norm(n.conv(x, 32, 3, 2, padding=1)))
    for expansion, outputs, repeats, first in stages:
        for i in range(repeats):
            x = _inverted_residual(n, x, expansion, outputs, 1 if i else first)
    return n.linear(n.mean(n.relu6(n.norm(n.conv(x, last, 1)))), classes)


def _inverted_residual(n: Layers, x: Any, expansion: int, outputs: int, stride: int) -> Any:
    inputs = n.channels(x)
    y = x if expansion == 1 else n.relu6(n.norm(n.conv(x, expansion * inputs, 1)))
    y = n.relu6(n.norm(n.conv(y, expansion * inputs, 3, stride, padding=1, depthwise=True)))
    y = n.norm(n.conv(y, outputs, 1))
    return n.add(x, y) if stride == 1 and inputs == outputs else y
