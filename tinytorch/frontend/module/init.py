"""Initialisation of weights.

A layer y = W x keeps the variance of the activations if the entries of W have variance 1 / fan_in, that of the
gradients if 1 / fan_out. Xavier (Glorot & Bengio 2010) takes the mean of both, for activations like tanh; He
(He et al. 2015) doubles 1 / fan_in, because ReLU drops half of the signal. Weights are [out, in, ...].
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions import random as _random
from tinytorch.frontend.functions.random import Generator, rand, randn, randperm
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
    "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

_LINEAR = ("linear", *(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)))
_GAINS = dict.fromkeys(_LINEAR, 1.0) | {"sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """How much larger weights have to be in front of a nonlinearity for the signal to keep its size; `param` is the
    slope of leaky_relu (by default 0.01)."""
    if isinstance(nonlinearity, str) and nonlinearity == "leaky_relu":  # pyright: ignore[reportUnnecessaryIsInstance]
        slope = 0.01 if param is None else arguments.finite("calculate_gain", "param", param)
        return math.sqrt(2 / (1 + slope**2))
    if not isinstance(nonlinearity, str) or nonlinearity not in _GAINS:  # pyright: ignore[reportUnnecessaryIsInstance]
        names = ", ".join([*_GAINS, "leaky_relu"])
        raise TinyTorchError(f"calculate_gain: {nonlinearity!r} is not one of {names}", user_loc())
    return _GAINS[nonlinearity]


def fans(weight: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of weights [out, in, ...]: how many values each output sums, and each input reaches."""
    arguments.instance("fans", "weight", weight, Tensor)
    if weight.ndim < 2:
        raise ShapeError(f"fans: weights have at least two axes, got {weight.type}", user_loc())
    window = math.prod(weight.shape[2:])
    return weight.shape[1] * window, weight.shape[0] * window


def he_std(weight: Tensor, mode: str, nonlinearity: str, slope: float) -> float:
    """He's standard deviation, gain / sqrt(fan): `mode` says which fan, `slope` is that of leaky_relu."""
    arguments.choice("kaiming", "mode", mode, "fan_in", "fan_out")
    size = fans(weight)[mode == "fan_out"]
    return calculate_gain(nonlinearity, slope) / math.sqrt(max(size, 1))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """He: uniform with variance gain**2 / fan; `a` is the slope of leaky_relu."""
    bound = math.sqrt(3) * he_std(tensor, mode, nonlinearity, a)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """He: normal with variance gain**2 / fan."""
    return normal_(tensor, 0.0, he_std(tensor, mode, nonlinearity, a), generator)


def xavier_std(weight: Tensor, gain: float) -> float:
    """Xavier's standard deviation, gain * sqrt(2 / (fan_in + fan_out))."""
    arguments.finite("xavier", "gain", gain)
    return gain * math.sqrt(2 / max(sum(fans(weight)), 1))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Xavier: uniform with variance gain**2 * 2 / (fan_in + fan_out)."""
    bound = math.sqrt(3) * xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Xavier: normal with variance gain**2 * 2 / (fan_in + fan_out)."""
    return normal_(tensor, 0.0, xavier_std(tensor, gain), generator)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Overwrite `tensor` with uniform numbers in [a, b)."""
    for name, value in (("a", a), ("b", b)):
        arguments.finite("uniform_", name, value)
    return _random.uniform_(tensor, a, b, generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Overwrite `tensor` with normal numbers."""
    arguments.finite("normal_", "mean", mean)
    arguments.not_negative("normal_", "std", std)
    return _random.normal_(tensor, mean, std, generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Overwrite `tensor` with normal numbers of which those outside of [a, b] are drawn again; not under tt.compile.

    Uniform numbers in [a, b] are taken with a probability in the ratio of the density to its largest value there; not
    those for which that is less than 2^-24, the least step of uniform numbers.
    """
    for name, value in (("mean", mean), ("a", a), ("b", b)):
        arguments.finite("trunc_normal_", name, value)
    arguments.not_negative("trunc_normal_", "std", std)
    if not a < b:
        raise TinyTorchError(f"trunc_normal_: needs a < b, got {a} and {b}", user_loc())
    peak = min(max(mean, a), b)
    far = math.hypot(peak - mean, 9 * std) - abs(peak - mean)  # from the peak to where the density is e**-40 of it
    a, b = max(a, peak - far), min(b, peak + far)
    values = np.full(tensor.numel(), peak, tensor.dtype.numpy)
    pending = np.arange(tensor.numel() if std else 0)
    reach = math.hypot(peak - mean, std * math.sqrt(2 * math.log(2**24)))
    a, b = max(a, mean - reach), min(b, mean + reach)
    while pending.size:
        drawn = rand(2, pending.size, generator=generator).numpy().astype(np.float64)
        candidates = a + (b - a) * drawn[0]
        density = np.exp((((peak - mean) / std) ** 2 - ((candidates - mean) / std) ** 2) / 2)
        taken = drawn[1] < density
        values[pending[taken]] = candidates[taken]
        pending = pending[~taken]
    return _written(tensor, values.reshape(tensor.shape))


def _written(tensor: Tensor, values: Array) -> Tensor:
    with grad_mode(False):
        return tensor.copy_(values.astype(tensor.dtype.numpy))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Overwrite `tensor` with one number."""
    with grad_mode(False):
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 1.0)


def _require_axes(what: str, tensor: Tensor, accepts: Callable[[int], bool], wanted: str) -> None:
    if not accepts(tensor.ndim):
        raise ShapeError(f"{what}: needs a tensor of {wanted} axes, got {tensor.type}", user_loc())


def eye_(tensor: Tensor) -> Tensor:
    """Overwrite a matrix with the identity: a linear layer gives its input, as far as there is room."""
    _require_axes("eye_", tensor, lambda n: n == 2, "two")
    return _written(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Overwrite weights [out, in, ...] of a convolution with 1 in the middle of the window where in == out: it gives
    its input, as far as there are channels, in each of `groups`."""
    _require_axes("dirac_", tensor, lambda n: 3 <= n <= 5, "three, four or five")
    arguments.integer("dirac_", "groups", groups, 1)
    if tensor.shape[0] % groups:
        raise ShapeError(f"dirac_: {tensor.shape[0]} channels are no {groups} groups", user_loc())
    values = np.zeros(tensor.shape)
    middle = tuple(size // 2 for size in tensor.shape[2:])
    channels = tensor.shape[0] // groups
    for group in range(groups):
        for channel in range(min(channels, tensor.shape[1])):
            values[(group * channels + channel, channel, *middle)] = 1
    return _written(tensor, values)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Overwrite weights [rows, ...], as a matrix [rows, all others], with one whose rows (or columns, of which there
    are fewer) are orthonormal, times `gain` (Saxe et al. 2014); evenly distributed among these (Mezzadri 2007). It
    calls numpy, so it does not run under tt.compile."""
    _require_axes("orthogonal_", tensor, lambda n: n >= 2, "at least two")
    arguments.finite("orthogonal_", "gain", gain)
    if not tensor.numel():
        return tensor
    rows = tensor.shape[0]
    drawn = randn(rows, tensor.numel() // rows, generator=generator).numpy().astype(np.float64)
    q, r = np.linalg.qr(drawn.T if rows < drawn.shape[1] else drawn)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # QR is unique up to these signs
    matrix = q.T if rows < drawn.shape[1] else q
    return _written(tensor, gain * matrix.reshape(tensor.shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Overwrite a matrix with normal numbers, and the fraction `sparsity` of each column with 0 (Martens 2010); not
    under tt.compile."""
    _require_axes("sparse_", tensor, lambda n: n == 2, "two")
    arguments.fraction("sparse_", "sparsity", sparsity)
    normal_(tensor, 0.0, std, generator)
    rows, columns = tensor.shape
    values = tensor.numpy().copy()
    for column in range(columns):
        values[randperm(rows, generator=generator).numpy()[: math.ceil(sparsity * rows)], column] = 0
    return _written(tensor, values)


def initialize_(
    name: str, weight: Tensor, bias: Tensor | None, initialization: str, generator: Generator | None = None
) -> None:
    """The weights of layer `name`: "default" as in PyTorch, uniform with bound 1 / sqrt(fan_in), as the bias; "xavier"
    or "he", uniform with the variances given above, and the bias left as it is. TinyTorchError for another name."""
    arguments.choice(name, "initialization", initialization, "default", "xavier", "he")
    arguments.instance(name, "generator", generator, Generator, optional=True)
    if initialization == "xavier":
        xavier_uniform_(weight, generator=generator)
    elif initialization == "he":
        kaiming_uniform_(weight, nonlinearity="relu", generator=generator)
    else:
        bound = 1 / math.sqrt(fans(weight)[0])
        uniform_(weight, -bound, bound, generator)
        if bias is not None:
            uniform_(bias, -bound, bound, generator)
