"""Convolutions by BLAS: the windows are copied side by side as the rows of a matrix, one for each group of channels.

That matrix is made for a part of the outputs at a time, which bounds the memory that it takes. Large convolutions of
many small groups, such as depthwise ones, come here only where there are no kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tinytorch.ir.fast.memory import copy_into, row_major
from tinytorch.ir.op import Array
from tinytorch.ir.types import contiguous_strides
from tinytorch.ir.windows import Pair, output_size

_COLUMNS = 1 << 21  # elements of the matrix of windows at a time (8 MiB of f32), if one row of outputs is not more


def conv2d(x: Array, w: Array, *, stride: Pair, low: Pair, high: Pair, dilation: Pair, groups: int) -> Array:
    """[batch, height, width, out channels] of images x and weights w, as the op `conv2d` defines it."""
    window = (w.shape[0], w.shape[1])
    across = zip(x.shape[1:3], window, stride, low, high, dilation, strict=True)
    rows, columns = (output_size(*axis) for axis in across)
    image = _padded(x, low, high)
    out = np.empty((x.shape[0], rows, columns, w.shape[3]), x.dtype)
    weights = _by_group(w, groups)
    for part in _parts(out.shape, w.size // w.shape[3] * groups):
        matrix = _windows(image, part, window, (rows, columns), stride, dilation, groups)
        np.matmul(matrix, weights, out=_rows_by_group(out[part], groups))
    return out


def conv2d_weight_grad(
    x: Array, g: Array, *, window: Pair, stride: Pair, low: Pair, dilation: Pair, groups: int
) -> Array:
    """[window height, window width, channels / groups, out channels], as the op `conv2d_weight_grad` defines it."""
    outputs = (g.shape[1], g.shape[2])
    spans = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(outputs, stride, dilation, window, strict=True)]
    image = _padded(x, low, (spans[0] - x.shape[1] - low[0], spans[1] - x.shape[2] - low[1]))
    g = row_major(g)
    channels, outs = x.shape[3] // groups, g.shape[3] // groups
    terms = window[0] * window[1] * channels
    total = np.zeros((groups, terms, outs), x.dtype)
    for part in _parts(g.shape, terms * groups):
        matrix = _windows(image, part, window, outputs, stride, dilation, groups)
        total += np.matmul(matrix.transpose(0, 2, 1), _rows_by_group(g[part], groups))
    return np.ascontiguousarray(total.transpose(1, 0, 2)).reshape(*window, channels, g.shape[3])


def _padded(x: Array, low: Pair, high: Pair) -> Array:
    """Zeros around the image, row-major; negative amounts cut it."""
    if not any((*low, *high)) and x.flags.c_contiguous:
        return x
    inner, outer = [slice(None)], [slice(None)]
    for d, a, b in zip(x.shape[1:3], low, high, strict=True):
        inner.append(slice(max(0, -a), max(0, d - max(0, -b))))
        outer.append(slice(max(0, a), d + a + b - max(0, b)))
    height, width = (d + a + b for d, a, b in zip(x.shape[1:3], low, high, strict=True))
    make = np.zeros if max(*low, *high) > 0 else np.empty
    out = make((x.shape[0], height, width, x.shape[3]), x.dtype)
    copy_into(out[tuple(outer)], x[tuple(inner)])
    return out


def _parts(outputs: tuple[int, ...], row: int) -> Iterator[tuple[slice, slice]]:
    """The images and lines of all outputs in parts of at most `_COLUMNS` elements, `row` of them for each output; or
    line by line, if a line alone is larger."""
    batch, height, width = outputs[:3]
    lines = max(1, _COLUMNS // max(1, row * width))
    images = max(1, lines // height)
    for n in range(0, batch, images):
        for y in range(0, height, min(lines, height)):
            yield slice(n, n + images), slice(y, y + lines)


def _windows(
    image: Array, part: tuple[slice, slice], window: Pair, outputs: Pair, stride: Pair, dilation: Pair, groups: int
) -> Array:
    """[groups, outputs, window height * window width * channels / groups]: what outputs at `part` read of `image`."""
    # Of axes of size 1, numpy says any stride.
    batch, height, width, channels = (s * image.itemsize for s in contiguous_strides(image.shape))
    images, lines = part[0].indices(image.shape[0]), part[1].indices(outputs[0])
    each = image.shape[3] // groups
    places = (images[1] - images[0], lines[1] - lines[0], outputs[1])
    if dilation[1] == 1 and groups == 1:  # a line of the window lies together: longer runs to copy
        inner, steps = (window[0], window[1] * each), (height * dilation[0], channels)
    else:
        inner, steps = (*window, each), (height * dilation[0], width * dilation[1], channels)
    view = np.lib.stride_tricks.as_strided(
        image[images[0] :, lines[0] * stride[0] :],
        (groups, *places, *inner),
        (each * channels, batch, height * stride[0], width * stride[1], *steps),
        writeable=False,
    )
    return view.reshape(groups, math.prod(places), window[0] * window[1] * each)


def _by_group(w: Array, groups: int) -> Array:
    """Weights as [groups, terms, out channels / groups]; transposed in memory where they lie so already."""
    height, width, channels, out = w.shape
    terms = height * width * channels
    if w.strides[3] > w.strides[2]:
        return w.transpose(3, 0, 1, 2).reshape(groups, out // groups, terms).transpose(0, 2, 1)
    return np.ascontiguousarray(w.reshape(terms, groups, out // groups).transpose(1, 0, 2))


def _rows_by_group(x: Array, groups: int) -> Array:
    """[batch, height, width, channels], row-major, as a view [groups, rows, channels / groups]."""
    return x.reshape(-1, groups, x.shape[3] // groups).transpose(1, 0, 2)
