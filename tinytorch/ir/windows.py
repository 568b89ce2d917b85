"""Windows over images [batch, height, width, channels]: how many there are, and the elements that they read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinytorch.ir.op import Array

Pair = tuple[int, int]


def output_size(size: int, window: int, stride: int, low: int, high: int, dilation: int) -> int:
    """Positions of a window along an axis; not positive where it does not fit."""
    return (size + low + high - dilation * (window - 1) - 1) // stride + 1


def taps(window: Pair, outputs: Pair, stride: Pair, dilation: Pair) -> Iterator[tuple[int, int, tuple[slice, ...]]]:
    """For each place in the window, where in the padded images all outputs read."""
    for ky in range(window[0]):
        for kx in range(window[1]):
            starts = (ky * dilation[0], kx * dilation[1])
            spans = [slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, outputs, stride, strict=True)]
            yield ky, kx, (slice(None), *spans)


def padded(x: Array, low: Pair, high: Pair, value: int = 0) -> Array:
    """Zeros, or another value, around the image; negative amounts cut it."""
    amounts = [(0, 0), *zip(low, high, strict=True), (0, 0)]
    window = tuple(slice(max(0, -a), d - max(0, -b)) for d, (a, b) in zip(x.shape, amounts, strict=True))
    return np.pad(x[window], [(max(0, a), max(0, b)) for a, b in amounts], constant_values=value)


def places(
    size: Pair, outputs: Pair, *, window: Pair, stride: Pair, low: Pair, dilation: Pair
) -> Iterator[tuple[int, tuple[slice, ...], tuple[slice, ...]]]:
    """For each place of the window, in row-major order: its number, the outputs that have an element of an image of
    `size` there, and those elements."""
    for place in range(window[0] * window[1]):
        inner: list[slice] = []
        outer: list[slice] = []
        for i, k in enumerate(divmod(place, window[1])):
            start = k * dilation[i] - low[i]
            first = max(0, -(start // stride[i]))
            last = max(first, min(outputs[i], (size[i] - 1 - start) // stride[i] + 1))
            begin = start + first * stride[i]
            inner.append(slice(begin, begin + (last - first) * stride[i], stride[i]))
            outer.append(slice(first, last))
        yield place, (slice(None), *outer), (slice(None), *inner)
