"""Which range of a layer's activations the integers cover: what is beyond it becomes its ends, and what is within it is
the coarser the wider it is.

- "minmax": all that calibration has seen.
- "percentile": from the (100 - p)-th to the p-th percentile of it, so that a few outliers do not coarsen all others.
- "mse": the share of the first, out of 80, for which the sum of squared errors is least (Banner et al. 2019).
"""

from __future__ import annotations

import numpy as np

from tinytorch.frontend.quantization.affine import LEAST_RANGE, affine_parameters, largest_activation, require_numbers
from tinytorch.ir.op import Array

METHODS = ("minmax", "percentile", "mse")
_KEPT_OF_BATCH, _KEPT = 1 << 16, 1 << 20  # elements of which percentiles and errors are taken
_TAIL = 1 << 12  # the least and the largest of a batch, all of which are kept: they are what clipping costs
_SHARES = np.linspace(1.0, 0.2, 81)


class SeenRange:
    """What calibration sees of one layer's activations: the least, the largest, and samples, each of which stands for
    `weights` elements."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.low, self.high = 0.0, 0.0
        self._samples: list[Array] = []
        self._weights: list[Array] = []

    def see(self, x: Array) -> None:
        """A batch. TinyTorchError if it holds NaNs or infinities."""
        if not x.size:
            return
        require_numbers("quantize", f"the input of {self.name or 'the model'} in calibration", x)
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
        if sum(each.size for each in self._samples) < _KEPT:
            for samples, weight in _sampled(x.reshape(-1).astype(np.float32)):
                self._samples.append(samples)
                self._weights.append(np.full(samples.size, weight))

    @property
    def varies(self) -> bool:
        """Whether there was anything but zeros, which would show no range."""
        return self.high - self.low >= LEAST_RANGE

    def limits(self, method: str, percentile: float, bits: int) -> tuple[float, float]:
        """The range that the integers are to cover; it has 0 in it."""
        if method == "minmax" or not self._samples:
            return self.low, self.high
        samples, weights = np.concatenate(self._samples), np.concatenate(self._weights)
        if method == "percentile":
            order = np.argsort(samples)
            share = np.cumsum(weights[order]) / weights.sum()
            ends = (np.searchsorted(share, p) for p in (1 - percentile / 100, percentile / 100))
            low, high = (float(samples[order[min(int(end), len(order) - 1)]]) for end in ends)
            return min(low, 0.0), max(high, 0.0)
        errors = [_squared_error(samples, weights, self.low * s, self.high * s, bits) for s in _SHARES]
        share = float(_SHARES[int(np.argmin(errors))])
        return self.low * share, self.high * share


def _sampled(flat: Array) -> list[tuple[Array, float]]:
    """Samples of a batch, and for how many elements each stands: both tails, and evenly spaced ones between."""
    if flat.size <= _KEPT_OF_BATCH:
        return [(flat, 1.0)]
    ordered = np.partition(flat, [_TAIL, flat.size - _TAIL])
    body = ordered[_TAIL:-_TAIL]
    samples = body[:: -(-body.size // _KEPT_OF_BATCH)]
    return [(ordered[:_TAIL], 1.0), (samples, body.size / samples.size), (ordered[-_TAIL:], 1.0)]


def _squared_error(samples: Array, weights: Array, low: float, high: float, bits: int) -> float:
    scale, zero_point = affine_parameters(low, high, bits)
    q = np.clip(np.rint(samples / np.float32(scale)) + zero_point, 0, largest_activation(bits))
    return float((np.square((q - zero_point) * np.float32(scale) - samples) * weights).sum())
