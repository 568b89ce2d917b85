"""Fourier transforms of real numbers with real results, under the names of torch.fft. There are no complex dtypes, so
`fft`, `rfft` and their relatives, whose results are complex, do not exist."""

from __future__ import annotations

from tinytorch.frontend import names as names
from tinytorch.frontend.spelling import names_in

__all__ = list(names_in("fft"))  # pyright: ignore[reportUnsupportedDunderAll]

globals().update(names_in("fft"))
