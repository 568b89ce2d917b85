"""Images, sequences and volumes in another size, as torch.nn.functional.interpolate makes them.

Every mode works along one axis after the other. An output is a weighted sum of a few elements of its line: `_taps` says
which, and how much each counts. These are gathered, not multiplied with zeros, so that an infinity or a NaN reaches
only the outputs that read it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.spatial.adaptive_pooling import adaptive_mean
from tinytorch.frontend.spatial.arguments import SPATIAL, Images, error
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.tensor.views import own
from tinytorch.ir.op import Array
from tinytorch.ir.types import f32, f64

Target = int | Sequence[int] | None  # what an image shall have, if that is given
Scale = float | Sequence[float] | None

NEAREST = ("nearest", "nearest-exact")
MODES = {
    1: (*NEAREST, "linear", "area"),
    2: (*NEAREST, "bilinear", "bicubic", "area"),
    3: (*NEAREST, "trilinear", "area"),
}
_CUBIC = -0.75  # the parameter a of the cubic convolution kernel of Keys (1981), as PyTorch has it


@spelled(space="nn.functional")
def interpolate(
    input: Tensor,
    size: Target = None,
    scale_factor: Scale = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The input [batch, channels, one to three spatial axes] in another spatial size.

    Either `size`, or floor(size * `scale_factor`), is one number or one for each axis. `mode`: "nearest" and
    "nearest-exact" (which measures from the middle of pixels) repeat elements; "linear", "bilinear" and "trilinear", by
    the number of axes, and "bicubic" interpolate; "area" takes means. Pixels are squares, of which with `align_corners`
    the middles of the outermost, else their outer edges fall on each other. Distances are multiples of 1 /
    scale_factor if that is given, unless `recompute_scale_factor`; else of the ratio of the sizes. All modes but the
    nearest need a float dtype. `antialias` is not supported.
    """
    name = "interpolate"
    rank = require_tensor(name, input).ndim - 2
    if rank not in SPATIAL:
        raise error(f"{name}: input is [batch, channels, ...] with one to three spatial axes, got {input.type}")
    if mode not in MODES[rank]:
        raise error(f"{name}: mode is one of {', '.join(MODES[rank])} for {rank} spatial axes, got {mode!r}")
    if arguments.flag(name, "antialias", antialias):
        raise error(f"{name}: antialias=True is not supported; blur the input before, as by avg_pool2d")
    corners = _corners(mode, align_corners)
    if 0 in input.shape[1:]:
        raise error(f"{name}: an axis of input {input.type} is empty")
    if not input.dtype.is_float and mode not in NEAREST:
        raise error(f'{name}: mode "{mode}" needs a float dtype, got input {input.type}')
    wanted, scales = _target(input.shape[2:], size, scale_factor, recompute_scale_factor)
    if mode == "area":
        return adaptive_mean(Images(name, input, rank), tuple(wanted))
    wide = input.cast(f32) if input.dtype.is_float and input.dtype.bits == 16 else input
    for i in reversed(range(rank)):
        wide = _resized(wide, 2 + i, wanted[i], scales[i], mode, corners)
    return own(wide.cast(input.dtype), input)


def _corners(mode: str, align_corners: bool | None) -> bool:
    if align_corners is None:
        return False
    if mode in (*NEAREST, "area"):
        raise error(
            f"interpolate: align_corners belongs to the modes that interpolate, got {align_corners!r} with mode "
            f'"{mode}"'
        )
    return arguments.flag("interpolate", "align_corners", align_corners)


def _each(what: str, given: Any, rank: int) -> list[Any]:
    found = list(given) if isinstance(given, (tuple, list)) else [given] * rank
    if len(found) != rank:
        raise error(f"interpolate: {what} is one number or one for each of {', '.join(SPATIAL[rank])}, got {given!r}")
    return found


def _target(
    sizes: tuple[int, ...], size: Target, scale_factor: Scale, recompute: bool | None
) -> tuple[list[int], list[float | None]]:
    """The size of each axis, and the factor that coordinates are measured by, where that is not their ratio."""
    name, rank = "interpolate", len(sizes)
    recompute = recompute is not None and arguments.flag(name, "recompute_scale_factor", recompute)
    if (size is None) == (scale_factor is None):
        raise error(f"{name}: needs either size or scale_factor, got size={size!r} and scale_factor={scale_factor!r}")
    if size is not None:
        if recompute:
            raise error(f"{name}: recompute_scale_factor belongs to scale_factor, not to size")
        return [arguments.integer(name, "size", n, 1) for n in _each("size", size, rank)], [None] * rank
    positive = "a positive number"
    scales = [
        float(arguments.number(name, "scale_factor", s, lambda v: 0 < v < math.inf, positive))
        for s in _each("scale_factor", scale_factor, rank)
    ]
    wanted = [math.floor(n * s) for n, s in zip(sizes, scales, strict=True)]
    if min(wanted) < 1:
        raise error(f"{name}: scale_factor {scale_factor!r} leaves nothing of {sizes}")
    return wanted, [None] * rank if recompute else cast("list[float | None]", scales)


def _resized(x: Tensor, axis: int, outputs: int, scale: float | None, mode: str, corners: bool) -> Tensor:
    """x with `outputs` elements along one axis."""
    size = x.shape[axis]
    if mode in NEAREST:
        return _repeated(x, axis, _nearest(size, outputs, scale, mode == "nearest-exact", x.dtype is f64))
    places, weights = _taps(_coordinates(size, outputs, scale, corners, x.dtype is f64), size, mode == "bicubic")
    if outputs == size and (places[0] == np.arange(size)).all() and (weights[0] == 1).all():
        return x
    behind = (1,) * (x.ndim - axis - 1)
    total: Tensor | None = None
    for place, weight in zip(places, weights, strict=True):
        part = x[(slice(None),) * axis + (place,)] * x.constant(weight.reshape(-1, *behind))
        total = part if total is None else total + part
    assert total is not None
    return total


def _repeated(x: Tensor, axis: int, places: Array) -> Tensor:
    """The elements of one axis at these places; where all are repeated equally often, without a gather."""
    size = x.shape[axis]
    times, rest = divmod(len(places), size)
    if rest or (places != np.arange(size).repeat(max(times, 1))).any():
        return x[(slice(None),) * axis + (places,)]
    if times == 1:
        return x
    apart = x.unsqueeze(axis + 1).broadcast_to((*x.shape[: axis + 1], times, *x.shape[axis + 1 :]))
    return apart.reshape((*x.shape[:axis], size * times, *x.shape[axis + 1 :]))


def _ratio(size: int, outputs: int, scale: float | None, real: Any) -> Any:
    """How far apart outputs lie in the input."""
    return real(1 / scale) if scale is not None else real(size) / real(outputs)


def _nearest(size: int, outputs: int, scale: float | None, exact: bool, double: bool) -> Array:
    """The place that each output repeats: in f32, as PyTorch rounds it, unless the elements are f64."""
    real = np.float64 if double else np.float32
    if outputs == size:
        return np.arange(size)
    if outputs == 2 * size:
        return np.arange(outputs) // 2
    first = np.arange(outputs).astype(real) + real(0.5 if exact else 0)
    return np.minimum(np.floor(first * _ratio(size, outputs, scale, real)).astype(np.int64), size - 1)


def _coordinates(size: int, outputs: int, scale: float | None, corners: bool, double: bool) -> Array:
    """Where the outputs lie among the elements of the input, whose middles have whole numbers."""
    real = np.float64 if double else np.float32
    steps = np.arange(outputs).astype(real)
    if outputs == size and corners:
        return steps
    if corners:
        return steps * (real(size - 1) / real(outputs - 1) if outputs > 1 else real(0))
    half = real(0.5)
    return _ratio(size, outputs, scale, real) * (steps + half) - half


def _taps(at: Array, size: int, cubic: bool) -> tuple[list[Array], list[Array]]:
    """The places that outputs at these coordinates read, and their weights."""
    if not cubic:
        at = np.maximum(at, 0)
    whole = np.floor(at)
    if not cubic:
        whole = np.minimum(whole, size - 1)
    part = np.clip(at - whole, 0, 1).astype(at.dtype)
    first = whole.astype(np.int64)
    if cubic:
        return [np.clip(first + k, 0, size - 1) for k in (-1, 0, 1, 2)], cubic_weights(part)
    return [first, np.minimum(first + 1, size - 1)], [1 - part, part]


def cubic_weights(t: Any) -> list[Any]:
    """Weights of the four elements around a point that lies `t` behind the second (Keys 1981)."""
    a = _CUBIC

    def near(d: Any) -> Any:  # distances up to 1
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(
        d: Any,
    ) -> Any:  # from 1 to 2, of which d is what is over 1: a (d + 1)**3 - 5 a (d + 1)**2 + 8 a (d + 1) - 4 a
        return a * d * (1 - d) * (1 - d)

    return [far(t), near(t), near(1 - t), far(1 - t)]


@spelled(space="nn.functional")
def upsample(
    input: Tensor,
    size: Target = None,
    scale_factor: Scale = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` under its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


@spelled(space="nn.functional")
def upsample_nearest(input: Tensor, size: Target = None, scale_factor: Scale = None) -> Tensor:
    """`interpolate` with the mode "nearest"."""
    return interpolate(input, size, scale_factor)


@spelled(space="nn.functional")
def upsample_bilinear(input: Tensor, size: Target = None, scale_factor: Scale = None) -> Tensor:
    """`interpolate` of images with the mode "bilinear" and aligned corners."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)
