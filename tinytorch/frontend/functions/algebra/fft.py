"""Fourier transforms whose operands and results are real: there are no complex dtypes here, so the others do not exist.

A transform along an axis of n is a product with an n x n matrix of cosines (and one of sines, where there are several
axes), which compiles and has gradients. It takes n^2 operations, not n log n: meant for axes of up to some thousands.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import cat
from tinytorch.frontend.functions.creation import as_tensor
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import integers, normalize_axis

_NORMS = ("forward", "backward", "ortho")


def _scale(what: str, norm: str | None, count: int, inverse: bool) -> float:
    """What the sums are multiplied with: by default 1 / count for inverse transforms, and 1 for the others."""
    name = arguments.choice(what, "norm", "backward" if norm is None else norm, *_NORMS)
    if name == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if inverse == (name == "backward") else 1.0


def _axes(what: str, x: Tensor, s: Any, dim: Any) -> tuple[list[int], list[int]]:
    """(the axes, the sizes of the result along them); the last one has 2 (m - 1) for m elements by default."""
    given = None if s is None else list(integers((s if isinstance(s, (tuple, list)) else (s,),)))
    dim = (dim,) if isinstance(dim, int) else dim
    if dim is None:
        axes = list(range(x.ndim - (x.ndim if given is None else len(given)), x.ndim))
    else:
        axes = [normalize_axis(f"{what}: dim", d, x.ndim) for d in dim]
    if not axes or len(set(axes)) != len(axes):
        raise ShapeError(f"{what}: dim names different axes, at least one, got {dim} for input {x.type}", user_loc())
    if given is not None and len(given) != len(axes):
        raise ShapeError(f"{what}: s has a size for each of {len(axes)} axes, got {given}", user_loc())
    usual = [x.shape[a] for a in axes[:-1]] + [2 * (x.shape[axes[-1]] - 1)]
    sizes = usual if given is None else [u if g == -1 else g for u, g in zip(usual, given, strict=True)]
    for size in sizes:
        if size < 1:
            raise ShapeError(f"{what}: a transform has at least one element, got size {size} of {x.type}", user_loc())
    return axes, sizes


def _fitted(x: Tensor, axis: int, size: int) -> Tensor:
    """Cut, or filled up with zeros, to so many elements along an axis."""
    own = x.shape[axis]
    if own >= size:
        return x.narrow(axis, 0, size) if own > size else x
    return x.pad([(0, size - own if i == axis else 0) for i in range(x.ndim)])


def _turned(x: Tensor, axis: int, matrix: np.ndarray[Any, Any]) -> Tensor:
    """Sums over an axis with the weights in each row of a matrix."""
    factors = as_tensor(matrix.astype(x.dtype.numpy))
    order = [i for i in range(x.ndim) if i != axis] + [axis]
    found = x.permute(order).matmul(factors.mT)
    return found.permute([order.index(i) for i in range(x.ndim)])


def _hermitian(what: str, input: Tensor, s: Any, dim: Any, norm: str | None, inverse: bool) -> Tensor:
    """The transform of what is Hermitian along the last of the axes, of which the first half is given."""
    x = input._float()
    axes, sizes = _axes(what, x, s, dim)
    scale = _scale(what, norm, math.prod(sizes), inverse)
    imaginary: Tensor | None = None
    for axis, size in zip(axes[:-1], sizes[:-1], strict=True):
        angles = 2 * np.pi * (np.outer(np.arange(size), np.arange(size)) % size) / size
        x = _fitted(x, axis, size)
        cosine, sine = np.cos(angles), np.sin(angles)
        if imaginary is None:
            x, imaginary = _turned(x, axis, cosine), _turned(x, axis, sine)
        else:
            y = _fitted(imaginary, axis, size)
            x, imaginary = (
                _turned(x, axis, cosine) - _turned(y, axis, sine),
                _turned(x, axis, sine) + _turned(y, axis, cosine),
            )
    axis, size = axes[-1], sizes[-1]
    half = size // 2 + 1
    weights = np.full(half, 2.0)
    weights[0] = 1.0
    if size % 2 == 0:
        weights[-1] = 1.0
    angles = 2 * np.pi * (np.outer(np.arange(size), np.arange(half)) % size) / size
    total = _turned(_fitted(x, axis, half), axis, np.cos(angles) * weights * scale)
    if imaginary is not None:
        total = total - _turned(_fitted(imaginary, axis, half), axis, np.sin(angles) * weights * scale)
    return total


@spelled(space="fft")
def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of the Fourier transform of `n` real numbers, from its first n // 2 + 1 elements, here real ones; `n`
    is 2 (m - 1) by default. `norm`: "backward" (1 / n), "ortho" (1 / sqrt(n)) or "forward" (1)."""
    return _hermitian("irfft", input, None if n is None else [n], [dim], norm, True)


@spelled(space="fft")
def irfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`irfftn` over two axes."""
    return _hermitian("irfft2", input, s, dim, norm, True)


@spelled(space="fft")
def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of the Fourier transform of real numbers over the axes `dim` (all by default), from the first half of
    the last one, here real numbers; `s` are the sizes of the result. See `irfft`."""
    return _hermitian("irfftn", input, s, dim, norm, True)


@spelled(space="fft")
def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The Fourier transform, which is real, of `n` numbers whose second half mirrors the first n // 2 + 1, here real
    ones; `n` is 2 (m - 1) by default. `norm`: "backward" (1), "ortho" (1 / sqrt(n)) or "forward" (1 / n)."""
    return _hermitian("hfft", input, None if n is None else [n], [dim], norm, False)


@spelled(space="fft")
def hfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`hfftn` over two axes."""
    return _hermitian("hfft2", input, s, dim, norm, False)


@spelled(space="fft")
def hfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The Fourier transform over the axes `dim` (all by default) of what is mirrored along the last one, of which the
    first half is given; `s` are the sizes of the result. See `hfft`."""
    return _hermitian("hfftn", input, s, dim, norm, False)


# The order of frequencies.
def _shifted(what: str, x: Tensor, dim: Any, back: bool) -> Tensor:
    given = range(x.ndim) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    for axis in [normalize_axis(f"{what}: dim", d, x.ndim) for d in given]:
        size = x.shape[axis]
        first = size // 2 if back else size - size // 2
        if 0 < first < size:
            x = cat([x.narrow(axis, first, size - first), x.narrow(axis, 0, first)], axis)
    return x


@spelled(space="fft")
def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The halves of each axis of `dim` (all by default) exchanged: what belongs to frequency 0 stands in the middle."""
    return _shifted("fftshift", input, dim, False)


@spelled(space="fft")
def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of `fftshift`."""
    return _shifted("ifftshift", input, dim, True)
