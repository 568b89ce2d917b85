"""`import tinytorch.nn.functional as F`: layers, activations and losses as functions."""

from __future__ import annotations

from tinytorch.frontend import functional as _functional
from tinytorch.frontend import names as names
from tinytorch.frontend.functional import *
from tinytorch.frontend.spelling import names_in as _names_in

__all__ = [*_functional.__all__, *(name for name in _names_in("nn.functional") if name not in _functional.__all__)]  # pyright: ignore[reportUnsupportedDunderAll]

globals().update(_names_in("nn.functional"))
