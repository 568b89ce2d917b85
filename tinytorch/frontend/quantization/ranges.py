"""Which range of a layer's activations the integers cover: what is beyond it becomes its ends, and what is within it is
the coarser the wider it is.

- "minmax": all that calibration has seen.
- "percentile": from the (100 - p)-th to the p-th percentile of it, so that a few outliers do not coarsen all others.
- "mse": the share of the first, out of 80, for which the sum of squared errors is least (Banner et al. 2019).
"""

from __future__ import annotations

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.quantization.affine import affine_parameters, largest_activation, require_numbers
from tinytorch.ir.op import Array

METHODS = ("minmax", "percentile", "mse")
_KEPT_OF_BATCH, _KEPT = 1 << 16, 1 << 20  # elements of which percentiles and errors are taken
_SHARES = np.linspace(1.0, 0.2, 81)


class SeenRange:
    """What calibration sees of one layer's activations: the least, the largest, and evenly spaced samples."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.low, self.high = 0.0, 0.0
        self.batches = 0
        self._samples: list[Array] = []
        self._kept = 0

    def see(self, x: Array) -> None:
        """A batch. TinyTorchError if it holds NaNs or infinities."""
        if not x.size:
            return
        require_numbers("quantize", f"the input of {self.name or 'the model'} in calibration", x)
        self.batches += 1
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
        flat = x.reshape(-1)
        samples = flat[:: max(1, -(-flat.size // _KEPT_OF_BATCH))]
        if self._kept < _KEPT:
            self._samples.append(samples.astype(np.float32))
            self._kept += samples.size

    def limits(self, method: str, percentile: float, bits: int) -> tuple[float, float]:
        """The range that the integers are to cover; it has 0 in it."""
        arguments.choice("quantize", "method", method, *METHODS)
        if method == "minmax" or not self._samples:
            return self.low, self.high
        samples = np.concatenate(self._samples)
        if method == "percentile":
            low, high = np.percentile(samples, [100 - percentile, percentile])
            return min(float(low), 0.0), max(float(high), 0.0)
        shares = [(_squared_error(samples, self.low * s, self.high * s, bits), -s) for s in _SHARES]
        share = -min(shares)[1]
        return self.low * share, self.high * share


def _squared_error(samples: Array, low: float, high: float, bits: int) -> float:
    scale, zero_point = affine_parameters(low, high, bits)
    q = np.clip(np.rint(samples / np.float32(scale)) + zero_point, 0, largest_activation(bits))
    return float(np.square((q - zero_point) * np.float32(scale) - samples).sum(dtype=np.float64))
