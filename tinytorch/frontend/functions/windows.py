"""Windows: weights for the samples of a stretch of a signal, most of which fall to 0 at its ends.

A symmetric window of n samples ends as it begins. A periodic one, for transforms, is a symmetric one of n + 1 samples
without the last. Formulas are those of torch.signal.windows; numbers are computed in f64 and then rounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.creation import tensor
from tinytorch.frontend.functions.random import shape_of
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import dtype_of, f32

_SPACE = "signal.windows"


def _places(what: str, count: int, symmetric: bool) -> tuple[Array, int]:
    """0, 1, … for `count` samples, and the place of the last one of the symmetric window that they begin."""
    (length,) = shape_of(what, (count,))
    arguments.flag(what, "sym", symmetric)
    return np.arange(length, dtype=np.float64), length - 1 if symmetric or length == 1 else length


def _made(what: str, values: Array, dtype: object, requires_grad: bool, device: object) -> Tensor:
    kind = f32 if dtype is None else dtype_of(dtype)
    if not kind.is_float:
        raise ShapeError(f"{what}: dtype is a float one, got {kind}", user_loc())
    return tensor(values, kind, requires_grad, device)


def _cosines(what: str, M: int, weights: Iterable[Any], sym: bool) -> Array:
    """The sum of a[i] (-1)^i cos(2 pi i n / N)."""
    n, last = _places(what, M, sym)
    if len(n) == 1:
        return np.ones(1)
    terms = [w * (-1) ** i * np.cos(2 * math.pi * i * n / max(last, 1)) for i, w in enumerate(weights)]
    return np.sum(terms, axis=0)


# By sums of cosines.
@spelled(space=_SPACE, method=False)
def general_cosine(
    M: int, *, a: Any, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """The sum of cosines of 0, 1, … periods with the weights `a`, of alternating signs."""
    if not isinstance(a, (list, tuple)) or not a:
        raise arguments.wrong_value("general_cosine", "a", "a list of numbers, at least one", a)
    weights = [arguments.finite("general_cosine", "a weight", w) for w in a]
    return _made("general_cosine", _cosines("general_cosine", M, weights, sym), dtype, requires_grad, device)


@spelled(space=_SPACE, method=False)
def general_hamming(
    M: int,
    *,
    alpha: float = 0.54,
    sym: bool = True,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi n / N)."""
    values = _cosines("general_hamming", M, (alpha, 1 - alpha), sym)
    return _made("general_hamming", values, dtype, requires_grad, device)


@spelled(space=_SPACE, method=False)
def hamming(
    M: int, *, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """0.54 - 0.46 cos(2 pi n / N)."""
    return _made("hamming", _cosines("hamming", M, (0.54, 0.46), sym), dtype, requires_grad, device)


@spelled(space=_SPACE, method=False)
def hann(
    M: int, *, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """(1 - cos(2 pi n / N)) / 2."""
    return _made("hann", _cosines("hann", M, (0.5, 0.5), sym), dtype, requires_grad, device)


@spelled(space=_SPACE, method=False)
def blackman(
    M: int, *, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""
    return _made("blackman", _cosines("blackman", M, (0.42, 0.5, 0.08), sym), dtype, requires_grad, device)


@spelled(space=_SPACE, method=False)
def nuttall(
    M: int, *, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """The sum of four cosines whose side lobes are lowest (Nuttall 1981, minimum 4-term)."""
    weights = (0.3635819, 0.4891775, 0.1365995, 0.0106411)
    return _made("nuttall", _cosines("nuttall", M, weights, sym), dtype, requires_grad, device)


# Others.
@spelled(space=_SPACE, method=False)
def bartlett(
    M: int, *, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """A triangle: 1 - |2 n / N - 1|."""
    return _made("bartlett", _triangle("bartlett", M, sym), dtype, requires_grad, device)


def _triangle(what: str, M: int, sym: bool) -> Array:
    n, last = _places(what, M, sym)
    return np.ones(1) if len(n) == 1 else 1 - np.abs(2 * n / max(last, 1) - 1)


@spelled(space=_SPACE, method=False)
def cosine(
    M: int, *, sym: bool = True, dtype: object = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """Half a period of a sine: sin(pi (n + 1/2) / (N + 1))."""
    n, last = _places("cosine", M, sym)
    return _made("cosine", np.sin(math.pi * (n + 0.5) / (last + 1)), dtype, requires_grad, device)


@spelled(space=_SPACE, method=False)
def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """exp(-|n - center| / tau); the `center`, N / 2 by default, may be given for periodic windows alone."""
    arguments.positive("exponential", "tau", tau)
    n, last = _places("exponential", M, sym)
    if sym and center is not None:
        raise arguments.wrong_value("exponential", "center", "None for a symmetric window", center)
    middle = last / 2 if center is None else arguments.finite("exponential", "center", center)
    return _made("exponential", np.exp(-np.abs(n - middle) / tau), dtype, requires_grad, device)


@spelled(space=_SPACE, method=False)
def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """exp(-((n - N / 2) / std)^2 / 2)."""
    arguments.positive("gaussian", "std", std)
    n, last = _places("gaussian", M, sym)
    return _made("gaussian", np.exp(-(((n - last / 2) / std) ** 2) / 2), dtype, requires_grad, device)


@spelled(space=_SPACE, method=False)
def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """i0(beta sqrt(1 - (2 n / N - 1)^2)) / i0(beta), with the modified Bessel function i0."""
    return _made("kaiser", _bessel("kaiser", M, beta, sym), dtype, requires_grad, device)


def _bessel(what: str, M: int, beta: float, sym: bool) -> Array:
    arguments.not_negative(what, "beta", beta)
    n, last = _places(what, M, sym)
    if len(n) == 1:
        return np.ones(1)
    return np.i0(beta * np.sqrt(np.maximum(0, 1 - (2 * n / max(last, 1) - 1) ** 2))) / np.i0(beta)


# Under their older names, periodic by default.
@spelled(method=False)
def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """`signal.windows.hann`, periodic by default."""
    values = _cosines("hann_window", window_length, (0.5, 0.5), not periodic)
    return _made("hann_window", values, dtype, requires_grad, device)


@spelled(method=False)
def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """alpha - beta cos(2 pi n / N), periodic by default."""
    values = _cosines("hamming_window", window_length, (alpha, beta), not periodic)
    return _made("hamming_window", values, dtype, requires_grad, device)


@spelled(method=False)
def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """`signal.windows.blackman`, periodic by default."""
    values = _cosines("blackman_window", window_length, (0.42, 0.5, 0.08), not periodic)
    return _made("blackman_window", values, dtype, requires_grad, device)


@spelled(method=False)
def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """`signal.windows.bartlett`, periodic by default."""
    values = _triangle("bartlett_window", window_length, not periodic)
    return _made("bartlett_window", values, dtype, requires_grad, device)


@spelled(method=False)
def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """`signal.windows.kaiser`, periodic by default."""
    values = _bessel("kaiser_window", window_length, beta, not periodic)
    return _made("kaiser_window", values, dtype, requires_grad, device)
