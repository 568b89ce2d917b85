"""`import tinytorch.nn.functional as F`: layers, activations and losses as functions."""

from __future__ import annotations

from tinytorch.frontend import functional as _functional
from tinytorch.frontend import names as names
from tinytorch.frontend.functional import *
from tinytorch.frontend.spelling import names_in

__all__ = [*_functional.__all__, *(name for name in names_in("nn.functional") if name not in _functional.__all__)]  # pyright: ignore[reportUnsupportedDunderAll]

globals().update(names_in("nn.functional"))
